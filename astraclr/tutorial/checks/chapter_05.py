"""Graders of chapter 5: neighbours of other fields, purities beside their own chance, what fusion buys."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from astraclr.analysis.latent_space import neighbour_purity, neighbours
from astraclr.tutorial.checks import grader

_K = 10


def _near(said: float, right: float | np.floating, within: float = 0.004) -> bool:
    return math.isclose(float(said), float(right), abs_tol=within)


def _missing(answer: Mapping[str, float], names: Mapping) -> str | None:
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
    if hint := _missing(share, vectors):
        return hint
    for name, x in vectors.items():
        itself = np.eye(len(x), dtype=bool)
        said, right = share[name], _elsewhere(x, same_field | itself, label)
        if _near(said, right):
            continue
        index = neighbours(x, k=_K)[0]
        alike, foreign = label[index] == label[:, None], ~same_field[np.arange(len(x))[:, None], index]
        if _near(said, alike.mean()):
            return f"{name}: these neighbours may still be of the star's own field. Forbid those before you choose ten."
        if _near(said, _elsewhere(x, same_field & ~itself, label)):
            return f"{name}: each star found itself, and it always has its own class. Is a star in its own field?"
        if foreign.any() and _near(said, alike[foreign].mean()):
            return (
                f"{name}: those are what is left of the ten nearest, fewer than ten for most stars. Look further "
                "instead, until there are ten from elsewhere."
            )
        if _near(said, _elsewhere(x, same_field | itself, label, cosine=False)):
            return f"{name}: near by distance, it seems. The chapter, and the loss, compare directions."
        return f"{name}: not what the ten most similar stars of other fields have. Which stars were excluded?"
    return None


@grader("ex-ch5-families")
def _families(times: Mapping[str, float], x: np.ndarray, family: np.ndarray) -> str | None:
    asked = ("pulsating", "cataclysmic")
    if hint := _missing(times, dict.fromkeys(asked)):
        return hint
    purity = neighbour_purity(x, family, k=_K)
    for name in asked:
        said, chance = float(times[name]), float((family == name).mean())
        if math.isclose(said, purity[name] / chance, rel_tol=0.01):
            continue
        if _near(said, purity[name]):
            return f"{name}: that is the purity. How many times its own chance level is it?"
        if _near(said, chance):
            return f"{name}: that is the chance level. How many times that is the purity?"
        if _near(said, purity[name] - chance):
            return f"{name}: a difference. The question is how many *times* chance it is."
        if math.isclose(said, purity[name] * len(purity), rel_tol=0.01):
            return f"{name}: families are not equally large. What share of all stars belongs to this one?"
        return f"{name}: purity of the family, in the recommended embedding, over the share of the family. Check both."
    return None


@grader("ex-ch5-crops")
def _crops(gain: Mapping[str, float], crops: Mapping[str, np.ndarray], label: np.ndarray) -> str | None:
    if hint := _missing(gain, crops):
        return hint

    def mean_purity(x: np.ndarray) -> float:
        return float(np.mean(list(neighbour_purity(x, label, k=_K).values())))

    for name, three in crops.items():
        single, fused = [mean_purity(three[:, k]) for k in range(three.shape[1])], mean_purity(three.mean(1))
        said = float(gain[name])
        if _near(said, fused - np.mean(single), 0.002):
            continue
        if _near(said, np.mean(single) - fused, 0.002):
            return f"{name}: the sign is turned round. A gain is what fusion has more than a single crop."
        if _near(said, fused):
            return f"{name}: that is the purity of the fused vectors. How much more is it than that of one crop?"
        if _near(said, fused - max(single), 0.002):
            return f"{name}: that is against the best crop, and nobody knows beforehand which it is."
        if _near(said, mean_purity(three.reshape(len(three), -1)) - np.mean(single), 0.002):
            return f"{name}: three crops side by side are another fusion. The chapter's is their mean."
        return f"{name}: mean purity (over the classes) of the mean of the crops, less the mean of three mean purities."
    return None
