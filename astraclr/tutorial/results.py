"""Scores in committed results: read wherever they are, averaged over seeds, and missing without an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import getitem
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from astraclr.tutorial.experiments import committed_result

Results = Mapping[str, Mapping[str, Any]]
"""Committed results by name; an empty one stands for a file that is not there."""

FILES = (
    "representation-laptop",
    "representation-laptop-draw1",
    "representation-gpu",
    "few_labels",
    "many_labels",
    "beyond",
    "parity",
    "differences",
)

SHIPPED = "laptop"
"""Row of the encoder that comes with the book, where the others of its recipe were not measured."""

UNKNOWN, NONE = "not measured yet", "none"


class Found(NamedTuple):
    """A score over training seeds: mean, standard deviation (NaN of one seed), seeds, bounds of its interval."""

    mean: float
    sd: float
    seeds: int
    low: float = np.nan
    high: float = np.nan

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + (f" ± {self.sd:.3f}" if self.seeds > 1 else "")

    @property
    def interval(self) -> str:
        """The bounds of the interval as text, or that there are none."""
        return f"{self.low:.3f} to {self.high:.3f}" if np.isfinite(self.low) else NONE


def committed() -> dict[str, Mapping[str, Any]]:
    """The results that the tables read; an empty one where there is no such file yet."""
    out: dict[str, Mapping[str, Any]] = {}
    for name in FILES:
        try:
            out[name] = committed_result(name)
        except FileNotFoundError:
            out[name] = {}
    return out


def over_seeds(scores: Sequence[Mapping[str, Any]], metric: str = "accuracy") -> Found | None:
    """One score of several seeds; the interval reaches from the lowest bound of all seeds to the highest.

    Where there are no bounds, they are those of a binomial of ``n_test`` stars (95 %), if that number is there.
    """
    values = np.array([s[metric] for s in scores if s.get(metric) is not None], float)
    if not len(values):
        return None
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else np.nan
    bounds = [(s[f"{metric}_low"], s[f"{metric}_high"]) for s in scores if f"{metric}_low" in s]
    if bounds:
        return Found(mean, sd, len(values), min(b[0] for b in bounds), max(b[1] for b in bounds))
    n = max(s.get("n_test", 0) for s in scores)
    half = 1.96 * (mean * (1 - mean) / n) ** 0.5 if n and metric == "accuracy" else np.nan
    return Found(mean, sd, len(values), mean - half, mean + half)


def score_of(result: Mapping[str, Any], row: str | None, *place: str, metric: str = "accuracy") -> Found | None:
    """Score of a row of benchmarks/representation.py at a place such as ("few_labels", "20"); None if not there."""
    found = []
    for at in result.get("rows", {}).get(row, {}).get("seeds", {}).values():
        for name in place:
            at = at.get(name, {})
        found.append(at)
    return over_seeds(found, metric)


def paper_row(result: Mapping[str, Any]) -> str | None:
    """Name of the row of the paper's recipe; one with steps of its own, at equal cost, goes first."""
    names = [name for name in result.get("rows", {}) if name.partition("@")[0] == "paper" and "-" not in name]
    return max(names, key=lambda name: "@" in name, default=None)


def supervised_row(result: Mapping[str, Any]) -> str | None:
    """Name of the row of the recommended network trained with labels; one trained until it is done goes first."""
    names = [name for name in result.get("rows", {}) if name.endswith("-supervised") and name.startswith("recommended")]
    return min(names, key=lambda name: "@" in name, default=None)


def best_random(result: Mapping[str, Any], *place: str, metric: str = "accuracy") -> Found | None:
    """The best encoder with random weights of the whole table: what a gain is measured from."""
    names = [name for name in result.get("rows", {}) if name.endswith("-random")]
    found = [f for name in names if (f := score_of(result, name, *place, metric=metric))]
    return max(found, key=lambda f: f.mean, default=None)


def records(value: Any, *columns: str) -> Iterator[dict[str, Any]]:
    """Every dictionary with these keys, wherever it stands in a result."""
    if isinstance(value, Mapping):
        if set(columns) <= set(value):
            yield dict(value)
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from records(part, *columns)


def of_laptop(result: Mapping[str, Any], *columns: str) -> list[dict[str, Any]]:
    """`records` of the laptop's recommended encoder, by the name of their checkpoint or by the file's."""
    whose = result.get("checkpoint", "laptop")
    found = [{"checkpoint": whose} | r for r in records(result, *columns)]
    return [r for r in found if r["checkpoint"] == "laptop" or r["checkpoint"].startswith("laptop-recommended-")]


def compared(one: float, other: float, error: float) -> str:
    """Where a number stands beside another: "above", "below", or "level" where their uncertainty decides nothing.

    Parameters
    ----------
    one, other : float
        Two results, such as accuracies.
    error : float
        Standard error of their difference, such as `share_error`; within two of them the numbers are level.

    Raises
    ------
    ValueError
        If the error is negative, or anything is not a number.

    Examples
    --------
    >>> compared(0.83, 0.72, error=0.02), compared(0.83, 0.80, error=0.02)
    ('above', 'level')
    """
    if not (error >= 0 and np.isfinite(one - other)):
        raise ValueError(
            f"{one} beside {other} with an error of {error}: give finite numbers and an error of 0 or more"
        )
    if abs(one - other) <= 2 * error:
        return "level"
    return "above" if one > other else "below"


def share_error(one: float, other: float, n: int) -> float:
    """Standard error of the difference of two shares (0 to 1), each of `n` stars; of the same stars it is less.

    Examples
    --------
    >>> round(share_error(0.8, 0.7, 1_000), 3)
    0.019
    """
    return ((one * (1 - one) + other * (1 - other)) / n) ** 0.5


def said(points: float | None, error: float, than: str) -> str:
    """A difference in points of accuracy, in words; within two errors it is undecided, whatever its sign."""
    if points is None:
        return UNKNOWN
    words = f"{abs(points):.1f} points {'above' if points > 0 else 'below'} {than}"
    return words if abs(points) >= 2 * error else f"{words} (undecided)"


METRICS = ("accuracy", "macro_f1")


def bench_table(committed: Mapping[str, Any]) -> pd.DataFrame:
    """One line for each row and reader of the simulated test stars.

    Parameters
    ----------
    committed : what ``benchmarks/results/representation-<preset>.json`` holds, or any other ``--out`` of that benchmark

    Returns
    -------
    DataFrame
        Index ``row`` ("recommended", "features", ...) and ``reader`` ("linear_probe", "knn", "few_labels 20", ...), in
        the order of the file. Columns: ``seeds``, how many trainings; for each of `METRICS` the mean over them, its
        standard deviation ``_sd`` (NaN for one seed), and ``_low`` to ``_high``, which span the 95 % intervals of all
        seeds and so hold both the chance of the test stars and that of the training; ``calibration_error`` and
        ``natural`` (accuracy under natural class frequencies), means over seeds, NaN where a reader has none.

    Raises
    ------
    ValueError
        If there are no rows in it.
    """
    lines = []
    for name, row in committed.get("rows", {}).items():
        for reader in (r for r in row["over_seeds"] if r != "n"):
            scores = [reduce(getitem, reader.split(), s) for s in row["seeds"].values()]
            lines.append({"row": name, "reader": reader} | _line(scores))
    if not lines:
        raise ValueError("no rows in this result; make them with `python benchmarks/representation.py`")
    return pd.DataFrame(lines).set_index(["row", "reader"])


def _line(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Scores of one reader, one dictionary a seed."""
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
