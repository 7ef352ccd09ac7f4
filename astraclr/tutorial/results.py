"""Read scores from committed results, and average them over seeds; a score that is missing is None, not an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from astraclr.config import preset
from astraclr.files import repository_file
from astraclr.tutorial.experiments import committed_result

Results = Mapping[str, Mapping[str, Any]]
"""Committed results by name; a missing file is an empty mapping."""

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

RECOMMENDED, SHIPPED = "recommended", "laptop"
"""Rows of the recipe of this book and of the encoder that comes with it, used where no other of its recipe is."""

SHARE_OF_LABELS = 0.02
"""Number of labels over the number of unlabelled stars, as in the paper's experiment with few labels."""

UNKNOWN, NONE = "not measured yet", ""


class Found(NamedTuple):
    """A score over training seeds: mean, standard deviation (NaN for one seed), number of seeds, 95 % interval.

    Examples
    --------
    >>> print(Found(0.72, 0.02, 3))
    0.720 ± 0.020
    """

    mean: float
    sd: float
    seeds: int
    low: float = np.nan
    high: float = np.nan

    def __str__(self) -> str:
        return f"{self.mean:.3f}" + (f" ± {self.sd:.3f}" if self.seeds > 1 else "")

    @property
    def interval(self) -> str:
        """The interval as text, empty if there is none."""
        return f"{self.low:.3f} to {self.high:.3f}" if np.isfinite(self.low) else NONE


def committed() -> dict[str, Mapping[str, Any]]:
    """Read the results `FILES`; a file that is missing gives an empty mapping.

    Examples
    --------
    >>> "rows" in committed()["representation-laptop"]
    True
    """
    out: dict[str, Mapping[str, Any]] = {}
    for name in FILES:
        try:
            out[name] = committed_result(name)
        except FileNotFoundError:
            out[name] = {}
    return out


def over_seeds(scores: Sequence[Mapping[str, Any]], metric: str = "accuracy") -> Found | None:
    """Average a score over seeds.

    Parameters
    ----------
    scores : sequence of mapping
        One for each seed, with keys such as ``accuracy``, ``accuracy_low``, ``accuracy_high``, ``n_test``.
    metric : str
        Which score.

    Returns
    -------
    Found or None
        None if no seed has the score. The interval reaches from the lowest bound of all seeds to the highest; without
        bounds it is that of a binomial distribution of ``n_test`` stars (95 %), if that number is given.

    Examples
    --------
    >>> print(over_seeds([{"accuracy": 0.70}, {"accuracy": 0.74}]))
    0.720 ± 0.028
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
    """Score of a row of benchmarks/representation.py, averaged over its seeds; None if it is missing.

    Parameters
    ----------
    result : mapping
        A result of that benchmark.
    row : str, optional
        Name of a row, such as "recommended".
    *place : str
        Keys below a seed, such as "few_labels", "20".
    metric : str
        Which score.

    Examples
    --------
    >>> seeds = {"0": {"knn": {"accuracy": 0.5}}, "1": {"knn": {"accuracy": 0.6}}}
    >>> score_of({"rows": {"paper": {"seeds": seeds}}}, "paper", "knn").seeds
    2
    """
    found = []
    for at in result.get("rows", {}).get(row, {}).get("seeds", {}).values():
        for name in place:
            at = at.get(name, {})
        found.append(at)
    return over_seeds(found, metric)


def paper_row(result: Mapping[str, Any]) -> str | None:
    """Name of the row of the paper's recipe; a row that was trained at equal cost (``paper@steps``) is preferred.

    Examples
    --------
    >>> paper_row({"rows": {"paper": {}, "paper@77": {}, "paper-random": {}}})
    'paper@77'
    """
    names = [name for name in result.get("rows", {}) if name.partition("@")[0] == "paper" and "-" not in name]
    return max(names, key=lambda name: "@" in name, default=None)


def supervised_row(result: Mapping[str, Any]) -> str | None:
    """Name of the row of the recommended network trained with labels; a row without a limit of steps is preferred.

    Examples
    --------
    >>> supervised_row({"rows": {"recommended@9-supervised": {}, "recommended-supervised": {}}})
    'recommended-supervised'
    """
    names = [n for n in result.get("rows", {}) if n.endswith("-supervised") and n.startswith(RECOMMENDED)]
    return min(names, key=lambda name: "@" in name, default=None)


def best_random(result: Mapping[str, Any], *place: str, metric: str = "accuracy") -> Found | None:
    """Score of the best encoder with random weights of the whole table, over which gains are measured.

    Examples
    --------
    >>> rows = {f"{k}-random": {"seeds": {"0": {"knn": {"accuracy": k / 10}}}} for k in (4, 5)}
    >>> best_random({"rows": rows}, "knn").mean
    0.5
    """
    names = [name for name in result.get("rows", {}) if name.endswith("-random")]
    found = [f for name in names if (f := score_of(result, name, *place, metric=metric))]
    return max(found, key=lambda f: f.mean, default=None)


def records(value: Any, *columns: str) -> Iterator[dict[str, Any]]:
    """Yield every dictionary with these keys, at any depth of a result.

    Examples
    --------
    >>> list(records({"a": [{"n": 1, "score": 0.5}], "b": {"n": 2}}, "n", "score"))
    [{'n': 1, 'score': 0.5}]
    """
    if isinstance(value, Mapping):
        if set(columns) <= set(value):
            yield dict(value)
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from records(part, *columns)


def of_laptop(result: Mapping[str, Any], *columns: str) -> list[dict[str, Any]]:
    """List the `records` of the recommended encoder of preset laptop, by their checkpoint or by that of the file.

    Examples
    --------
    >>> of_laptop({"checkpoint": "tiny-recommended-0-0123abcd", "rows": [{"n": 1}]}, "n")
    []
    """
    whose = result.get("checkpoint", "laptop")
    found = [{"checkpoint": whose} | r for r in records(result, *columns)]
    return [r for r in found if r["checkpoint"] == "laptop" or r["checkpoint"].startswith("laptop-recommended-")]


def few_label_scores(result: Mapping[str, Any]) -> tuple[int | None, dict[str, Found | None]]:
    """Number of labels that is nearest to the paper's share, and the accuracy of each way to use them.

    Examples
    --------
    >>> row = {"way": "last 2 layers", "accuracy": 0.7, "n_fit": 800}
    >>> n, ways = few_label_scores({"rows": [row]})
    >>> n, ways["tuned"].mean
    (800, 0.7)
    """
    found = of_laptop(result, "way", "accuracy", "n_fit")
    wanted = SHARE_OF_LABELS * preset("laptop").n_stars
    n = min({r["n_fit"] for r in found}, key=lambda k: abs(k - wanted), default=None)
    ways: dict[str, list[dict[str, Any]]] = {}
    for r in found:
        if r["n_fit"] == n:
            ways.setdefault("tuned" if r["way"].startswith("last") else r["way"], []).append(r)
    return n, {way: over_seeds(scores) for way, scores in ways.items()}


def compared(one: float, other: float, error: float) -> str:
    """Compare two numbers: "above", "below", or "level" where the difference is within its uncertainty.

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
    """Standard error of the difference of two shares (0 to 1) of `n` stars each; for the same stars it is smaller.

    Examples
    --------
    >>> round(share_error(0.8, 0.7, 1_000), 3)
    0.019
    """
    return ((one * (1 - one) + other * (1 - other)) / n) ** 0.5


def gain_text(points: float | None, error: float, than: str) -> str:
    """Write a difference in points of accuracy in words; within two errors it is undecided, whatever its sign.

    Parameters
    ----------
    points : float, optional
        Difference in points; None if it was not measured.
    error : float
        Its standard error, in points.
    than : str
        What the difference refers to.

    Examples
    --------
    >>> gain_text(3.2, 1.0, "random weights"), gain_text(-0.4, 1.0, "the features")
    ('3.2 points above random weights', '0.4 points below the features (undecided)')
    """
    if points is None:
        return UNKNOWN
    words = f"{abs(points):.1f} points {'above' if points > 0 else 'below'} {than}"
    return words if abs(points) >= 2 * error else f"{words} (undecided)"


def others() -> pd.DataFrame:
    """List scores that others published: ``who, data, task, score, not comparable because``.

    Examples
    --------
    >>> list(others().columns)
    ['who', 'data', 'task', 'score', 'not comparable because']
    """
    return pd.DataFrame(json.loads(repository_file("data/others.json").read_text()))
