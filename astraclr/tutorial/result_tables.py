"""Tables of committed results as pages show them: rows named in words, ranges over seeds, intervals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import pandas as pd

from astraclr.tutorial.results import (
    RECOMMENDED,
    SHIPPED,
    UNKNOWN,
    Found,
    Results,
    best_random,
    compared,
    score_of,
)

ROWS = {
    "majority": "most frequent class",
    "features": "features",
    "features-period": "features with periods",
    "features-windows": "features of the windows",
    "features-windows-period": "features of the windows, with periods",
    "paper": "paper's recipe",
    "laptop": "encoder of the book",
}
"""Rows of the benchmark of encoders in words; a recipe that is missing here keeps its name."""

PLACES = {"ztf": "ZTF", "eros": "EROS", "stripe82": "Stripe 82"}
"""Files of real stars, as the benchmark calls them and as pages do."""


def row_name(row: str) -> str:
    """Name a row of the benchmark of encoders in words.

    Parameters
    ----------
    row : str
        Name of the row in its file: a recipe, steps after an @, and what was done with the weights.

    Examples
    --------
    >>> row_name("paper@800-random"), row_name("features-period"), row_name("recommended")
    ("paper's recipe, random weights", 'features with periods', 'recommended')
    """
    name = re.sub(r"@\d+", "", row)
    for suffix, words in (("-random", ", random weights"), ("-supervised", ", trained with labels")):
        if name.endswith(suffix):
            base = name.removesuffix(suffix)
            return ROWS.get(base, base) + words
    return ROWS.get(name, name)


def _span(low: float, high: float, form: str = ".2f") -> str:
    """Write a range in brackets, with spaces at which no line breaks."""
    return f"({low:{form}}\u00a0to\u00a0{high:{form}})"


def measured_table(part: Mapping[str, Any], columns: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Tabulate means of a measured part of a result, with the lowest and the highest over its seeds.

    Parameters
    ----------
    part : mapping
        Name of a row -> nested mappings that end in ``{"mean": float, "seeds": [float, ...]}``.
    columns : mapping
        Name of a column -> keys that lead from a row to its number.

    Examples
    --------
    >>> part = {"trained": {"r2": {"mean": 0.7, "seeds": [0.6, 0.8]}}}
    >>> measured_table(part, {"R²": ["r2"]}).loc["trained", "R²"].split()
    ['0.70', '(0.60', 'to', '0.80)']
    """

    def text(row: Mapping[str, Any], keys: Sequence[str]) -> str:
        found = reduce(getitem, keys, row)
        return f"{found['mean']:.2f} {_span(min(found['seeds']), max(found['seeds']))}"

    return pd.DataFrame({name: {row: text(tree, keys) for row, tree in part.items()} for name, keys in columns.items()})


def survey_scores(rows: Mapping[str, Any], survey: str, rule: str = "shifted") -> dict[str, Mapping[str, float]]:
    """Scores of a linear probe on real stars of a survey (of guessing for the most frequent class), by row, for seed 0.

    Parameters
    ----------
    rows : mapping
        Rows of benchmarks/representation.py.
    survey : str
        One of `PLACES`.
    rule : str
        What was done with the times, "shifted" or "as they are".

    Examples
    --------
    >>> survey_scores({}, "ztf")
    {}
    """
    found = {}
    for row, measured in rows.items():
        scores = measured["seeds"].get("0", {}).get("real", {}).get(survey, {}).get(rule)
        if scores:
            found[row] = scores.get("linear_probe") or scores["majority"]
    return found


def survey_table(rows: Mapping[str, Any], rules: Iterable[str] = ("shifted", "as they are")) -> pd.DataFrame:
    """Tabulate macro-F1 on real stars with its 95 % interval, a line for each row, a column for each survey and rule.

    Parameters
    ----------
    rows : mapping
        Rows of benchmarks/representation.py; without scores of real stars the table is empty.
    rules : iterable of str
        What was done with the times.

    Examples
    --------
    >>> scores = {"macro_f1": 0.8, "macro_f1_low": 0.7, "macro_f1_high": 0.9}
    >>> seeds = {"0": {"real": {"ztf": {"shifted": {"linear_probe": scores}}}}}
    >>> survey_table({"paper@9": {"seeds": seeds}}).loc["paper's recipe", "ZTF"].split()[0]
    '0.80'
    """
    columns: dict[str, dict[str, str]] = {}
    for survey, place in PLACES.items():
        for rule in rules:
            for row, s in survey_scores(rows, survey, rule).items():
                text = f"{s['macro_f1']:.2f} {_span(s['macro_f1_low'], s['macro_f1_high'])}"
                name = place if rule == "shifted" else f"{place}, times {rule}"
                columns.setdefault(name, {})[row_name(row)] = text
    return pd.DataFrame(columns).fillna("")


def paired_gains(found: Mapping[str, Any]) -> dict[str, Mapping[str, float]]:
    """Macro-F1 of the trained encoder minus that of each control on a survey, from benchmarks/surveys.py.

    Parameters
    ----------
    found : mapping
        What that file holds of a survey.

    Examples
    --------
    >>> gain = {"r": {"linear_probe": {"macro_f1": 0.1}}, "features": {"linear_probe": {"macro_f1": 0.0}}}
    >>> list(paired_gains({"best_random": "r", "gain": gain}))
    ['random weights', 'features']
    """
    controls = {"random weights": found["best_random"], "features": "features", "raw summaries": "raw summaries"}
    return {name: found["gain"][row]["linear_probe"] for name, row in controls.items() if row in found["gain"]}


def paired_table(surveys: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate `paired_gains` with their intervals, a line for each control and a column for each survey.

    Parameters
    ----------
    surveys : mapping
        Surveys of benchmarks/surveys.py, by name.

    Examples
    --------
    >>> g = {"linear_probe": {"macro_f1": 0.1, "macro_f1_low": 0.05, "macro_f1_high": 0.15}}
    >>> paired_table({"ztf": {"best_random": "r", "gain": {"r": g}}}).loc["random weights", "ZTF"].split()[0]
    '+0.100'
    """
    return pd.DataFrame(
        {
            PLACES.get(survey, survey): {
                name: f"{g['macro_f1']:+.3f} {_span(g['macro_f1_low'], g['macro_f1_high'], '+.3f')}"
                for name, g in paired_gains(found).items()
            }
            for survey, found in surveys.items()
        }
    ).fillna("")


def decided(surveys: Mapping[str, Any], sign: int) -> str:
    """List the comparisons whose paired interval lies above zero (`sign` 1) or below (-1), in words.

    Parameters
    ----------
    surveys : mapping
        Surveys of benchmarks/surveys.py, by name.
    sign : int
        1 or -1.

    Examples
    --------
    >>> g = {"linear_probe": {"macro_f1_low": 0.05, "macro_f1_high": 0.15}}
    >>> found = {"ztf": {"best_random": "r", "gain": {"r": g}}}
    >>> decided(found, 1), decided(found, -1)
    ('ZTF (random weights)', 'nowhere')
    """
    end, listed = ("macro_f1_low" if sign > 0 else "macro_f1_high"), []
    for survey, found in surveys.items():
        names = [name for name, g in paired_gains(found).items() if sign * g[end] > 0]
        if names:
            listed.append(f"{PLACES.get(survey, survey)} ({', '.join(names)})")
    return "; ".join(listed) or "nowhere"


def beside(part: Mapping[str, Any], one: str, other: str, keys: Sequence[str]) -> str:
    """Say where the mean over seeds of one row stands beside another: "above", "below" or "level".

    Parameters
    ----------
    part : mapping
        As for `measured_table`.
    one, other : str
        Names of rows.
    keys : sequence of str
        Keys that lead from a row to its number.

    Examples
    --------
    >>> part = {"trained": {"r2": {"seeds": [0.7, 0.8]}}, "random": {"r2": {"seeds": [0.1, 0.2]}}}
    >>> beside(part, "trained", "random", ["r2"])
    'above'
    """
    first, second = (np.asarray(reduce(getitem, keys, part[row])["seeds"], float) for row in (one, other))
    error = sum(values.var(ddof=1) / len(values) if len(values) > 1 else 0.0 for values in (first, second)) ** 0.5
    return compared(float(first.mean()), float(second.mean()), error)


def gains_table(ours: Found | None, others: Mapping[str, Found | None], n_test: int) -> pd.DataFrame:
    """Tabulate by how many points an accuracy differs from others, and whether the test stars decide it.

    Parameters
    ----------
    ours : Found, optional
        Accuracy of the recipe.
    others : mapping
        Accuracies by name; those that were not measured are None.
    n_test : int
        Number of test stars. Accuracies of this many stars have a standard error; within two of them of the difference
        the verdict is "level".

    Examples
    --------
    >>> table = gains_table(Found(0.80, 0.01, 2), {"features": Found(0.70, 0.01, 2), "other": None}, 1_000)
    >>> table["points"].tolist(), table["it is"].tolist()
    (['+10.0', 'not measured yet'], ['above', ''])
    """
    rows = {}
    for name, other in others.items():
        if ours is None or other is None or not n_test:
            rows[name] = {"points": UNKNOWN, "it is": ""}
            continue
        error = (2 * ours.mean * (1 - ours.mean) / n_test) ** 0.5
        points = round(100 * (ours.mean - other.mean), 1) + 0.0
        rows[name] = {"points": f"{points:+.1f}", "it is": compared(ours.mean, other.mean, error)}
    return pd.DataFrame.from_dict(rows, orient="index")


def other_stars_table(results: Results) -> pd.DataFrame:
    """Tabulate the encoder of the book on labelled stars that were drawn after everything was fixed.

    Parameters
    ----------
    results : mapping
        From `astraclr.tutorial.results.committed`.

    Examples
    --------
    >>> from collections import defaultdict
    >>> set(other_stars_table(defaultdict(dict))["new stars"])
    {'not measured yet'}
    """
    first, again = results["representation-laptop"], results["representation-laptop-draw1"]
    places = {
        "linear probe, accuracy": (("linear_probe",), "accuracy"),
        "k-NN, accuracy": (("knn",), "accuracy"),
        "20 labels a class, macro-F1": (("few_labels", "20"), "macro_f1"),
    }
    rows = {}
    for name, (place, metric) in places.items():
        found = {
            "test stars": score_of(first, RECOMMENDED, *place, metric=metric),
            "new stars": score_of(again, SHIPPED, *place, metric=metric),
            "new stars, best random weights": best_random(again, *place, metric=metric),
            "new stars, features": score_of(again, "features", *place, metric=metric),
        }
        rows[name] = {column: f"{score.mean:.3f}" if score else UNKNOWN for column, score in found.items()}
    return pd.DataFrame.from_dict(rows, orient="index")
