"""Graders of the laboratory on selection: a cut on observations, accuracy in a survey, labels to buy."""

from __future__ import annotations

import numpy as np
import pandas as pd

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.metrics import NATURAL
from astraclr.tutorial.checks import grader

_STEP, _SHARE, _BOUGHT = 10, 0.9, 100
"""Step of the cuts; share of each class that must be kept; number of labels."""


def _left(stars: LightCurves, cut: int) -> tuple[float, float]:
    """Share that a cut keeps of the class that loses most, and of all stars."""
    kept = np.all(stars.counts[:, :2] >= cut, axis=1)
    return min(float(kept[stars.label == c].mean()) for c in np.unique(stars.label)), float(kept.mean())


@grader("ex-lab-cut")
def _cut(n_cut: int, stars: LightCurves) -> str | None:
    """The strictest cut that keeps enough of every class."""
    cut = int(n_cut)
    if cut != n_cut or cut % _STEP:
        return f"{n_cut} is not a step: try multiples of {_STEP}."
    worst, everybody = _left(stars, cut)
    if worst < _SHARE:
        if everybody >= _SHARE:
            return "It keeps enough of all stars together. Does it keep enough of each class?"
        return "Too strict: even of all stars together it keeps less than the exercise asks for."
    if _left(stars, cut + _STEP)[0] >= _SHARE:
        return "It keeps enough of every class, and so does a stricter one."
    return None


@grader("ex-lab-sky")
def _sky(accuracy: float, recall: pd.Series) -> str | None:
    """Accuracy where classes are as frequent as in a survey."""
    share = pd.Series(NATURAL, dtype=float).reindex(recall.index)
    if share.isna().any() or len(recall) != len(NATURAL):
        return "The second argument is the recall of each of the twelve classes, under their names."
    share /= share.sum()
    wanted = float((share * recall).sum())
    if np.isclose(accuracy, wanted, atol=5e-4):
        return None
    if np.isclose(accuracy, recall.mean(), atol=5e-4):
        return "That is the accuracy where all classes are equally frequent. In this survey they are not."
    by_place = np.array(list(NATURAL.values())) @ recall.to_numpy() / sum(NATURAL.values())
    if np.isclose(accuracy, by_place, atol=5e-4):
        return "The recalls and the numbers of sources are in different orders. Match them by name."
    if accuracy > 1 or accuracy < 0:
        return "An accuracy lies between 0 and 1. Did you divide the weights by their sum?"
    return "This is not the mean that is wanted. Weight each recall by how often its class occurs."


@grader("ex-lab-buy")
def _buy(chosen: np.ndarray, r_mag: np.ndarray, fit: np.ndarray, bright: np.ndarray) -> str | None:
    """Stars whose labels to buy."""
    places = np.asarray(chosen)
    if places.dtype == bool or not np.issubdtype(places.dtype, np.integer):
        return "Give the places of the chosen stars, as whole numbers."
    if len(places) != _BOUGHT or len(np.unique(places)) < _BOUGHT:
        return f"You can pay for {_BOUGHT} different stars; these are {len(np.unique(places))}."
    if not fit[places].all():
        return "Some of them are test stars. The accuracy on them would no longer be a test."
    if bright[places].any():
        return "Some of them have a label already."
    faint = r_mag[places] > np.quantile(r_mag, 2 / 3)
    if not faint.all():
        return f"Only {faint.mean():.0%} are of the third that is to gain. Choose the faintest third."
    return None
