"""Graders of chapter 5: neighbours from other fields, purities beside chance, the gain of fusion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from astraclr.analysis.latent_space import neighbour_purity, neighbours
from astraclr.tutorial.checks import grader

_K = 10


def _near(given: float, right: float | np.floating, within: float = 0.004) -> bool:
    """Whether an answer is close to the right one."""
    return math.isclose(float(given), float(right), abs_tol=within)


def _missing(answer: Mapping[str, float], names: Mapping) -> str | None:
    """Hint that names the numbers that an answer lacks."""
    absent = [name for name in names if name not in answer]
    return f"There is no number for {', '.join(absent)}." if absent else None


def _elsewhere(x: np.ndarray, forbidden: np.ndarray, label: np.ndarray, cosine: bool = True) -> float:
    """Share of the nearest stars outside `forbidden` that have the star's own label."""
    if cosine:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    square = (x**2).sum(1)
    away = square[:, None] + square - 2 * x @ x.T  # for unit vectors in the order of the cosine
    away = np.where(forbidden, np.inf, away)
    return float((label[np.argsort(away, axis=1, kind="stable")[:, :_K]] == label[:, None]).mean())


@grader("ex-ch5-cadence")
def _cadence(
    share: Mapping[str, float], vectors: Mapping[str, np.ndarray], same_field: np.ndarray, label: np.ndarray
) -> str | None:
    """Share of the ten nearest stars of other fields that have the star's class."""
    if hint := _missing(share, vectors):
        return hint
    for name, x in vectors.items():
        itself = np.eye(len(x), dtype=bool)
        given, right = share[name], _elsewhere(x, same_field | itself, label)
        if _near(given, right):
            continue
        index = neighbours(x, k=_K)[0]
        alike, foreign = label[index] == label[:, None], ~same_field[np.arange(len(x))[:, None], index]
        if _near(given, alike.mean()):
            return (
                f"{name}: these neighbours may still be of the star's own field. Exclude those before you choose ten."
            )
        if _near(given, _elsewhere(x, same_field & ~itself, label)):
            return f"{name}: each star found itself, which always has its own class. Exclude it with its field."
        if foreign.any() and _near(given, alike[foreign].mean()):
            return (
                f"{name}: those are the rest of the ten nearest, fewer than ten for most stars. Choose the ten nearest "
                "among the stars of other fields."
            )
        if _near(given, _elsewhere(x, same_field | itself, label, cosine=False)):
            return f"{name}: these seem nearest by distance. The chapter, and the loss, compare directions."
        return f"{name}: not the share of the ten most similar stars of other fields. Which stars were excluded?"
    return None


@grader("ex-ch5-families")
def _families(times: Mapping[str, float], x: np.ndarray, family: np.ndarray) -> str | None:
    """Purity of two families over their chance level."""
    asked = ("pulsating", "cataclysmic")
    if hint := _missing(times, dict.fromkeys(asked)):
        return hint
    purity = neighbour_purity(x, family, k=_K)
    for name in asked:
        given, chance = float(times[name]), float((family == name).mean())
        if math.isclose(given, purity[name] / chance, rel_tol=0.01):
            continue
        if _near(given, purity[name]):
            return f"{name}: that is the purity. Divide it by its chance level."
        if _near(given, chance):
            return f"{name}: that is the chance level. Divide the purity by it."
        if _near(given, purity[name] - chance):
            return f"{name}: that is a difference. Give the purity divided by chance."
        if math.isclose(given, purity[name] * len(purity), rel_tol=0.01):
            return f"{name}: families are not equally large. Which share of all stars belongs to this one?"
        return f"{name}: not the purity in the recommended embedding over the share of the family. Check both."
    return None


@grader("ex-ch5-crops")
def _crops(gain: Mapping[str, float], crops: Mapping[str, np.ndarray], label: np.ndarray) -> str | None:
    """Gain in mean purity of fused crops over single crops."""
    if hint := _missing(gain, crops):
        return hint

    def mean_purity(x: np.ndarray) -> float:
        return float(np.mean(list(neighbour_purity(x, label, k=_K).values())))

    for name, three in crops.items():
        single, fused = [mean_purity(three[:, k]) for k in range(three.shape[1])], mean_purity(three.mean(1))
        given = float(gain[name])
        if _near(given, fused - np.mean(single), 0.002):
            continue
        if _near(given, np.mean(single) - fused, 0.002):
            return f"{name}: the sign is reversed. A gain is positive if fusion has more than a single crop."
        if _near(given, fused):
            return f"{name}: that is the purity of the fused vectors. How much more is it than that of one crop?"
        if _near(given, fused - max(single), 0.002):
            return f"{name}: that is the gain over the best crop, which is not known beforehand. Compare with the mean."
        if _near(given, mean_purity(three.reshape(len(three), -1)) - np.mean(single), 0.002):
            return f"{name}: you put three crops side by side. The chapter fuses them by their mean."
        return (
            f"{name}: not the mean purity (over the classes) of the fused crops less the mean of three mean purities."
        )
    return None
