"""Graders of chapter 6: a paired comparison, what adds to the features, the vote, a fair control."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from astraclr.data.splits import Splits
from astraclr.evaluate.benchmark import Vectors, best_of, logistic_classifier
from astraclr.evaluate.probes import C_GRID, linear_probe, weighted_knn
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.tutorial.checks import grader

_C = 0.1
"""Of the probes on features and embedding side by side."""


def _near(said: float, right: float, within: float = 0.004) -> bool:
    return math.isclose(float(said), float(right), abs_tol=within)


@grader("ex-ch6-difference")
def _difference(z: float, ours: np.ndarray, theirs: np.ndarray) -> str | None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != bool or theirs.dtype != bool:
        return "Hand over z, and for each of the two readers one True or False a test star: did it get that star right?"
    only, other, n, z = int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours), float(z)
    right = (only - other) / math.sqrt(max(only + other, 1))
    if _near(z, right, 0.02):
        return None
    p, q = ours.mean(), theirs.mean()
    if _near(z, -right, 0.02):
        return "The sign says that the second reader is ahead. Who is?"
    if _near(z, p - q, 0.002):
        return "That is the difference of the accuracies. How large is it beside what chance alone would do?"
    if _near(z, only - other, 0.5):
        return "A difference of counts. What is its standard deviation, if every disagreement falls either way evenly?"
    if _near(z, (p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / n), 0.05):
        return "This treats the two as tested on different stars. They met the same ones: on which do they differ?"
    if _near(z, right**2, 0.05):
        return "That is the statistic of McNemar's test, a square. In standard deviations?"
    if only + other and _near(z, (only - other) / (only + other), 0.002):
        return "A share of the disagreements. How many standard deviations is it? Think of so many coin flips."
    return "Count the stars that only the one gets right, and only the other; compare their difference with its spread."


@grader("ex-ch6-together")
def _together(
    gain: Mapping[str, float], x: Mapping[str, Vectors], fit_y: np.ndarray, choose_y: np.ndarray, test_y: np.ndarray
) -> str | None:
    names = ("recommended", "its random weights", "contrast only")
    if absent := [name for name in names if name not in gain]:
        return f"There is no gain for {', '.join(absent)}."

    def right(parts: list[Vectors], place: int = 1) -> float:
        fit, asked = (np.hstack([part[k] for part in parts]) for k in (0, place))
        return linear_probe(fit, fit_y, asked, (fit_y, choose_y, test_y)[place], C=_C).accuracy

    hand = x["features"]
    alone = right([hand])
    for name in names:
        said, both = float(gain[name]), right([hand, x[name]])
        if _near(said, both - alone):
            continue
        if _near(said, both):
            return f"{name}: the accuracy of both together. What do the features have alone?"
        if _near(said, alone - both):
            return f"{name}: the sign is turned round; more accuracy is a gain."
        if _near(said, both - right([x[name]])):
            return f"{name}: that is what the features add to the embedding. The question was the other way round."
        if _near(said, right([hand, x[name]], 2) - right([hand], 2)):
            return f"{name}: this was read on the test stars. Nothing is reported yet, so nothing needs them."
        return (
            f"{name}: fit on the first set, features beside embedding, C = {_C}; count on the second; take off "
            "what the features have alone in the same way."
        )
    return None


@grader("ex-ch6-temperature")
def _temperature(
    found: Mapping[tuple[int, float], float], v: Vectors, fit_y: np.ndarray, choose_y: np.ndarray
) -> str | None:
    wanted = [(k, t) for k in (1, 5, 20, 100) for t in (0.07, 1.0)]
    if absent := [key for key in wanted if key not in found]:
        return f"Eight accuracies are wanted, by (k, temperature); missing: {', '.join(map(str, absent))}."

    def right(k: int, t: float, a: np.ndarray = v.fit, b: np.ndarray = v.choose) -> float:
        return weighted_knn(a, fit_y, b, choose_y, k=k, temperature=t).accuracy

    mean, spread = v.fit.mean(0), v.fit.std(0)
    scaled = [(part - mean) / spread for part in (v.fit, v.choose)]
    for k, t in wanted:
        said = found[k, t]
        if _near(said, right(k, t), 1e-3):
            continue
        if _near(said, right(k, 1.07 - t), 1e-3):
            return f"k = {k}, T = {t}: that belongs to the other temperature. Is the argument passed on?"
        if _near(said, right(20, t), 1e-3):
            return f"k = {k}, T = {t}: that is the vote of another number of neighbours. Is k passed on?"
        if _near(said, right(k, t, *scaled), 1e-3):
            return f"k = {k}, T = {t}: these vectors are standardised. Hand over those of the vectors as they are."
        return f"k = {k}, T = {t}: fit on the first set, ask about the second, vectors as they are, cosine."
    return None


@grader("ex-ch6-contrast")
def _contrast(
    accuracy: float, old: Checkpoint, splits: Splits, middle: Mapping[str, Mapping[str, float]]
) -> str | None:
    said = float(accuracy)
    for name in ("clock stopped", "contrast only"):
        if _near(said, max(middle[name].values()), 5e-4):
            return f"That is what {name!r} has. Does the network that you probed still have its clock, and no training?"
    a, b = (embed(stars, random_control(old)) for stars in (splits.fit, splits.choose))
    right = best_of({C: logistic_classifier(a, splits.fit.label, C) for C in C_GRID}, b, splits.choose.label)[1]
    if _near(said, max(right.values()), 5e-4):
        return None
    if any(_near(said, value, 5e-4) for value in right.values()):
        return "That belongs to a C that is not the best one. The others were allowed to choose, too."
    return "Take the random weights of chapter 4's encoder as they are, embed both sets, choose C on the second."
