"""Graders of chapter 6: a paired comparison, gains over features, settings of k-NN, a fair control."""

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


def _near(given: float, right: float, within: float = 0.004) -> bool:
    """Whether an answer is close to the right one."""
    return math.isclose(float(given), float(right), abs_tol=within)


@grader("ex-ch6-difference")
def _difference(z: float, ours: np.ndarray, theirs: np.ndarray) -> str | None:
    """McNemar's z of two classifiers on the same test stars."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape or ours.dtype != bool or theirs.dtype != bool:
        return (
            "Give z and, for each of the two classifiers, one True or False for each test star: was it predicted right?"
        )
    only, other, n, z = int((ours & ~theirs).sum()), int((theirs & ~ours).sum()), len(ours), float(z)
    right = (only - other) / math.sqrt(max(only + other, 1))
    if _near(z, right, 0.02):
        return None
    p, q = ours.mean(), theirs.mean()
    if _near(z, -right, 0.02):
        return "The sign says that the second classifier is better. Which one is?"
    if _near(z, p - q, 0.002):
        return "That is the difference of the accuracies. Divide it by its standard error."
    if _near(z, only - other, 0.5):
        return (
            "That is a difference of counts. What is its standard deviation if each disagreement is a fair coin flip?"
        )
    if _near(z, (p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / n), 0.05):
        return "This treats the two as tested on different stars. They had the same ones: on which do they differ?"
    if _near(z, right**2, 0.05):
        return "That is the statistic of McNemar's test, a square. Give it in standard deviations."
    if only + other and _near(z, (only - other) / (only + other), 0.002):
        return "That is a share of the disagreements. How many standard deviations is it, for as many coin flips?"
    return "Count the stars that only one of the two gets right, for each. Divide the difference by its deviation."


@grader("ex-ch6-together")
def _together(
    gain: Mapping[str, float], x: Mapping[str, Vectors], fit_y: np.ndarray, choose_y: np.ndarray, test_y: np.ndarray
) -> str | None:
    """Gain in accuracy of features and embedding over features alone."""
    names = ("recommended", "random weights", "chapter 4")
    if absent := [name for name in names if name not in gain]:
        return f"There is no gain for {', '.join(absent)}."

    def right(parts: list[Vectors], place: int = 1) -> float:
        fit, asked = (np.hstack([part[k] for part in parts]) for k in (0, place))
        return linear_probe(fit, fit_y, asked, (fit_y, choose_y, test_y)[place], C=_C).accuracy

    hand = x["features"]
    alone = right([hand])
    for name in names:
        given, both = float(gain[name]), right([hand, x[name]])
        if _near(given, both - alone):
            continue
        if _near(given, both):
            return f"{name}: that is the accuracy of both together. Subtract that of the features alone."
        if _near(given, alone - both):
            return f"{name}: the sign is reversed; more accuracy is a gain."
        if _near(given, both - right([x[name]])):
            return f"{name}: that is what the features add to the embedding. The exercise asks the other way round."
        if _near(given, right([hand, x[name]], 2) - right([hand], 2)):
            return f"{name}: this was measured on the test stars. Keep them for the final result."
        return (
            f"{name}: train on the first set, features beside embedding, C = {_C}; predict the second; subtract "
            "the accuracy of the features alone."
        )
    return None


@grader("ex-ch6-temperature")
def _temperature(
    found: Mapping[tuple[int, float], float], v: Vectors, fit_y: np.ndarray, choose_y: np.ndarray
) -> str | None:
    """Accuracy of weighted k-NN for each number of neighbours and temperature."""
    wanted = [(k, t) for k in (1, 5, 20, 100) for t in (0.07, 1.0)]
    if absent := [key for key in wanted if key not in found]:
        return f"Eight accuracies are wanted, by (k, temperature); missing: {', '.join(map(str, absent))}."

    def right(k: int, t: float, a: np.ndarray = v.fit, b: np.ndarray = v.choose) -> float:
        return weighted_knn(a, fit_y, b, choose_y, k=k, temperature=t).accuracy

    mean, spread = v.fit.mean(0), v.fit.std(0)
    scaled = [(part - mean) / spread for part in (v.fit, v.choose)]
    for k, t in wanted:
        given = found[k, t]
        if _near(given, right(k, t), 1e-3):
            continue
        if _near(given, right(k, 1.07 - t), 1e-3):
            return f"k = {k}, T = {t}: that belongs to the other temperature. Do you pass the argument on?"
        if _near(given, right(20, t), 1e-3):
            return f"k = {k}, T = {t}: that is the vote of another number of neighbours. Do you pass k on?"
        if _near(given, right(k, t, *scaled), 1e-3):
            return f"k = {k}, T = {t}: these vectors are standardised. Use the vectors as they are."
        return f"k = {k}, T = {t}: train on the first set, predict the second, vectors as they are, cosine similarity."
    return None


@grader("ex-ch6-contrast")
def _contrast(
    accuracy: float, old: Checkpoint, splits: Splits, middle: Mapping[str, Mapping[str, float]]
) -> str | None:
    """Accuracy of a probe on chapter 4's encoder with random weights."""
    given = float(accuracy)
    for name in ("no times", "chapter 4"):
        if _near(given, max(middle[name].values()), 5e-4):
            return f"That is the accuracy of {name!r}. Probe an untrained network that still has its time encoding."
    a, b = (embed(stars, random_control(old)) for stars in (splits.fit, splits.choose))
    right = best_of({C: logistic_classifier(a, splits.fit.label, C) for C in C_GRID}, b, splits.choose.label)[1]
    if _near(given, max(right.values()), 5e-4):
        return None
    if any(_near(given, value, 5e-4) for value in right.values()):
        return "That belongs to a C that is not the best one. The others chose their best C, too."
    return "Take the random weights of chapter 4's encoder as they are, embed both sets, choose C on the second set."
