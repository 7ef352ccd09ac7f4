"""Tabulate the scores of the benchmark of encoders, from a committed result."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import pandas as pd

METRICS = ("accuracy", "macro_f1")


def bench_table(committed: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate the scores of benchmarks/representation.py on simulated test stars.

    Parameters
    ----------
    committed : mapping
        A result of that benchmark, such as ``committed_result("representation-laptop")``.

    Returns
    -------
    DataFrame
        Index ``row`` ("recommended", "features", ...) and ``classifier`` ("linear_probe", "knn", "few_labels 20", ...),
        in the order of the file. Columns: ``seeds``, the number of trainings; for each of `METRICS` the mean over them,
        its standard deviation ``_sd`` (NaN for one seed), and ``_low`` to ``_high``, which span the 95 % intervals of
        all seeds, and so cover the choice of test stars and the randomness of training; ``calibration_error`` and
        ``natural`` (accuracy under natural class frequencies), means over seeds, NaN where a classifier has none.

    Raises
    ------
    ValueError
        If it holds no rows.

    Examples
    --------
    >>> from astraclr.tutorial.experiments import committed_result
    >>> list(bench_table(committed_result("representation-laptop")).index.names)
    ['row', 'classifier']
    """
    lines = []
    for name, row in committed.get("rows", {}).items():
        for classifier in (key for key in row["over_seeds"] if key != "n"):
            scores = [reduce(getitem, classifier.split(), s) for s in row["seeds"].values()]
            lines.append({"row": name, "classifier": classifier} | _line(scores))
    if not lines:
        raise ValueError("no rows in this result; make them with `python benchmarks/representation.py`")
    return pd.DataFrame(lines).set_index(["row", "classifier"])


_ROWS = {
    "majority": "majority class",
    "features": "features",
    "features-period": "features with a period search",
    "features-windows": "features of the windows",
    "features-windows-period": "features of the windows with a period search",
}
_KINDS = {"random": "random weights", "supervised": "trained with labels"}


def row_name(row: str) -> str:
    """Name a row of the benchmark, RECIPE[@STEPS][-KIND], in words.

    Examples
    --------
    >>> row_name("recommended@2600-supervised"), row_name("paper@3100-random"), row_name("features")
    ('recommended, 2,600 steps, trained with labels', 'paper, random weights', 'features')
    """
    if row in _ROWS:
        return _ROWS[row]
    base, _, kind = row.partition("-")
    recipe, _, steps = base.partition("@")
    after = f", {int(steps):,} steps" if steps and kind != "random" else ""  # random weights have taken none
    return recipe.replace("_", " ") + after + (f", {_KINDS.get(kind, kind)}" if kind else "")


def signed(points: float) -> str:
    """Write a difference with its sign and one decimal; what rounds to zero has no sign.

    Examples
    --------
    >>> signed(1.26), signed(-0.04)
    ('+1.3', '0.0')
    """
    text = f"{points:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def probe_table(table: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the linear probe and of k-NN for each row of `bench_table`, as text, to be shown on a page.

    Returns
    -------
    DataFrame
        Index: the rows in words. Columns ``linear probe`` (with the standard deviation over trainings, if there are
        several), ``weighted k-NN`` and ``trainings``; a row without a probe is left out.

    Examples
    --------
    >>> from astraclr.tutorial.experiments import committed_result
    >>> list(probe_table(bench_table(committed_result("representation-laptop"))).columns)
    ['linear probe', 'weighted k-NN', 'trainings']
    """
    probes = table.xs("linear_probe", level="classifier")
    votes = table.xs("knn", level="classifier")["accuracy"] if "knn" in table.index.get_level_values(1) else {}
    lines = {}
    for row, line in probes.to_dict("index").items():
        spread = f" ± {line['accuracy_sd']:.3f}" if line["seeds"] > 1 else ""
        near = f"{votes[row]:.3f}" if row in votes else ""
        trained = int(line["seeds"]) if not str(row).startswith("features") else 0
        lines[row_name(str(row))] = {
            "linear probe": f"{line['accuracy']:.3f}{spread}",
            "weighted k-NN": near,
            "trainings": f"{trained}" if trained else "",
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def _line(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Average the scores of one classifier, a dictionary for each seed."""
    out: dict[str, float] = {"seeds": len(scores)}
    for metric in METRICS:
        values = [s[metric] for s in scores]
        out |= {
            metric: float(np.mean(values)),
            f"{metric}_sd": float(np.std(values, ddof=1)) if values[1:] else np.nan,
            f"{metric}_low": min(s[f"{metric}_low"] for s in scores),
            f"{metric}_high": max(s[f"{metric}_high"] for s in scores),
        }
    natural = [s.get("natural", {}).get("accuracy", np.nan) for s in scores]
    return out | {
        "calibration_error": float(np.mean([s.get("calibration_error", np.nan) for s in scores])),
        "natural": float(np.mean(natural)),
    }


SEARCHES = {"isolation forest": "isolation forest", "aad": "AAD", "pine": "Pine Forest"}
"""Ways to rank of benchmarks/discover.py, as its table names them."""


def discovery_table(committed: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate the oddities that an expert sees among the first stars of a search.

    Parameters
    ----------
    committed : mapping
        A result of benchmarks/discover.py.

    Returns
    -------
    DataFrame
        Index ``search`` and ``ranked by``; a column for each of `SEARCHES`. A cell holds the means over seeds among the
        first 30 and the first 100 stars, then the interval of the latter; of fewer than three seeds, each one's number.

    Examples
    --------
    >>> cell = {"30": {"mean": 2.0}, "100": {"mean": 5.5, "low": 4.1, "high": 6.9, "seeds": [5, 5, 6]}}
    >>> ways = dict.fromkeys(SEARCHES, cell)
    >>> discovery_table({"searches": {"events": {"any": {}, "windows": ways}}})["AAD"].iloc[0]
    '2.0 / 5.5 (4.1 to 6.9)'
    """

    def text(cell: Mapping[str, Any]) -> str:
        few, many = cell["30"], cell["100"]
        known = f"{many['low']:.1f} to {many['high']:.1f}"
        if len(many["seeds"]) < 3:  # an interval of two numbers says nothing
            known = ", ".join(map(str, many["seeds"]))
        return f"{few['mean']:.1f} / {many['mean']:.1f} ({known})"

    rows = {
        (search, kind): {name: text(ways[way]) for way, name in SEARCHES.items()}
        for search, kinds in committed["searches"].items()
        for kind, ways in kinds.items()
        if kind != "any"
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index=["search", "ranked by"])
