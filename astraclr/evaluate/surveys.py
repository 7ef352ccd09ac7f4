"""Probes on real stars of other surveys, with frozen encoders that learnt from simulated ZTF light curves only.

Two rules adapt another survey's light curves; every score states both. Time: all times of a survey are shifted by one
number, so that the middle of their span falls on the middle of ZTF's (some count days from an origin of their own);
`Survey.read` also gives them as they are. Bands: each fills the window of the nearest ZTF band, and the encoder is told
its wavelength (`config.Preset.window`).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from astraclr.catalogs import labelled_by, read
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.benchmark import (
    Predictions,
    best_of,
    knn_classifier,
    logistic_classifier,
    scores_with_intervals,
)
from astraclr.evaluate.paired import paired_difference
from astraclr.evaluate.probes import C_GRID
from astraclr.evaluate.splits import split_by_object
from astraclr.simulation.cadence import MJD_END, MJD_START


@dataclass(frozen=True)
class Survey:
    """A file of labelled stars of one survey.

    Attributes
    ----------
    file : name of a file with one row per star; bands : name -> effective wavelength in angstrom
    column : of the labels; classes : those to be told apart; rest : label for all others, "" leaves them out
    own_time : whether its times differ from ZTF's, so that they are shifted
    """

    file: str
    bands: dict[str, float]
    classes: tuple[str, ...]
    column: str = "label"
    rest: str = ""
    own_time: bool = True

    def read(self, folder: str | Path, shifted: bool = True) -> LightCurves:
        """Read the labelled stars from a folder, with times shifted or as they are; unusable epochs are dropped."""
        path = Path(folder) / self.file
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*MJD")  # times of another origin are expected here
            lc = labelled_by(read(path, bands=self.bands), path, self.column)
        lc = replace(lc, label=np.where(np.isin(lc.label, self.classes), lc.label, self.rest))
        lc = lc[lc.label != ""]
        return at_the_time_of_ztf(lc) if shifted and self.own_time else lc


SURVEYS: dict[str, Survey] = {
    "ztf": Survey("ztf.parquet", ZTF_BANDS, ("RR", "ECL"), rest="rest", own_time=False),
    "eros": Survey("eros.parquet", {"B": 5200.0, "R": 6900.0}, ("RR", "CEP", "ECL", "LPV")),
    "stripe82": Survey(
        "stripe82.parquet",
        {"u": 3551.0, "g": 4686.0, "r": 6166.0, "i": 7480.0, "z": 8932.0},
        ("RRab", "RRc"),
        column="label_orig",
    ),
}
"""EROS-1 (broad bands, wavelengths approximate), and RR Lyrae of SDSS Stripe 82 (Sesar et al. 2010, ApJ 708, 717)."""


def at_the_time_of_ztf(lc: LightCurves) -> LightCurves:
    """Shift all times by one number, so that the middle of their span becomes the middle of ZTF's.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> lc = at_the_time_of_ztf(replace(simulate(4, seed=0), mjd=simulate(4, seed=0).mjd - 50_000))
    >>> bool(np.isclose(lc.mjd.min() + lc.mjd.max(), MJD_START + MJD_END))
    True
    """
    return replace(lc, mjd=lc.mjd + ((MJD_START + MJD_END) / 2 - (lc.mjd.min() + lc.mjd.max()) / 2))


def out_of_folds(
    x: np.ndarray, label: np.ndarray, object_id: np.ndarray, folds: int = 5, repeats: int = 4, seed: int = 0
) -> dict[str, Any]:
    """Scores of linear probe and weighted k-NN by repeated, stratified cross-validation.

    In each training fold settings are chosen on a quarter of it; then the classifier is fitted to the whole fold.

    Parameters
    ----------
    x : (n, d) vectors; label, object_id : (n,), one row per object
    folds : number of folds, fewer where a class has fewer stars
    repeats, seed : how often stars are divided into folds, and the seed of the first division

    Returns
    -------
    dict
        ``linear_probe`` and ``knn`` as `benchmark.scores_with_intervals` on the predictions of all repeats (a star is
        resampled with all its predictions); ``n``, ``folds``, ``repeats``.

    Raises
    ------
    ValueError
        If a class has fewer than three stars.

    Examples
    --------
    >>> x, label = np.eye(2)[np.arange(12) % 2], np.array(["RR", "ECL"] * 6)
    >>> found = out_of_folds(x, label, np.arange(12).astype(str), folds=3, repeats=1)
    >>> found["linear_probe"]["accuracy"], found["folds"]
    (1.0, 3)
    """
    at, predicted, folds = _predicted_in_folds(x, label, object_id, folds, repeats, seed)
    out: dict[str, Any] = {
        name: scores_with_intervals(found, label[at], object_id[at], name != "knn", False, seed)
        for name, found in predicted.items()
    }
    return out | {"n": len(label), "folds": folds, "repeats": repeats}


def compared_out_of_folds(
    vectors: Mapping[str, np.ndarray],
    label: np.ndarray,
    object_id: np.ndarray,
    folds: int = 5,
    repeats: int = 4,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of several kinds of vectors in the same folds, and the first kind minus each other, paired by star.

    Parameters
    ----------
    vectors : name -> (n, d) vectors of the same stars, in the same order
    label, object_id, folds, repeats, seed : as `out_of_folds`

    Returns
    -------
    dict
        ``scores``: name -> as `out_of_folds`; ``gain``: name of each but the first -> classifier ->
        `paired_difference` of the first kind and that one.

    Raises
    ------
    ValueError
        As `out_of_folds`.

    Examples
    --------
    >>> label = np.array(["RR", "ECL"] * 6)
    >>> both = {"good": np.eye(2)[np.arange(12) % 2], "blind": np.ones((12, 2))}
    >>> found = compared_out_of_folds(both, label, np.arange(12).astype(str), folds=3, repeats=1)
    >>> found["gain"]["blind"]["linear_probe"]["accuracy"]
    0.5
    """
    scores, said, at = {}, {}, np.empty(0, int)
    for name, x in vectors.items():
        at, predicted, used = _predicted_in_folds(x, label, object_id, folds, repeats, seed)
        said[name] = {way: found.labels for way, found in predicted.items()}
        scores[name] = {
            way: scores_with_intervals(found, label[at], object_id[at], way != "knn", False, seed)
            for way, found in predicted.items()
        } | {"n": len(label), "folds": used, "repeats": repeats}
    first, *others = said
    gain = {
        other: {
            way: paired_difference(label[at], labels, said[other][way], object_id[at], seed)
            for way, labels in said[first].items()
        }
        for other in others
    }
    return {"scores": scores, "gain": gain}


def _predicted_in_folds(
    x: np.ndarray, label: np.ndarray, object_id: np.ndarray, folds: int, repeats: int, seed: int
) -> tuple[np.ndarray, dict[str, Predictions], int]:
    """Rows in the order in which they were predicted, predictions of both classifiers, and the number of folds."""
    from sklearn.model_selection import StratifiedKFold

    names, count = np.unique(label, return_counts=True)
    if count.min() < 3:
        raise ValueError(f"class {names[count.argmin()]} has {count.min()} stars; folds need at least 3: leave it out")
    folds = min(folds, int(count.min()))
    ways = {"linear_probe": (C_GRID, logistic_classifier), "knn": ((False, True), knn_classifier)}
    rows, found = [], {name: [] for name in ways}
    for repeat in range(repeats):
        cut = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat)
        for train, test in cut.split(x, label):
            rows.append(test)
            part, held = (train[r] for r in split_by_object(object_id[train], label[train], 0.25, seed + repeat))
            for name, (grid, classifier) in ways.items():
                trial = {setting: classifier(x[part], label[part], setting) for setting in grid}
                chosen, _ = best_of(trial, x[held], label[held])
                found[name].append(classifier(x[train], label[train], chosen)(x[test]))
    pooled = {
        name: Predictions(np.concatenate([p.scores for p in parts]), parts[0].classes) for name, parts in found.items()
    }
    return np.concatenate(rows), pooled, folds
