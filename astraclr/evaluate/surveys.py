"""Real stars of other surveys, read by probes on frozen encoders that learnt from simulated ZTF light curves only.

Two rules make another survey's light curves readable, and both are stated beside every score. Time: all times of a
survey are shifted by one number, so that the middle of their span falls on the middle of ZTF's (some count days from an
origin of their own); `Survey.read` also gives them as they are. Bands: each fills the window of the nearest ZTF band,
and the encoder is told its wavelength (`presets.Preset.window`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from astraclr.catalogs import labelled_by, read
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.benchmark import (
    C_GRID,
    Predictions,
    best_of,
    knn_classifier,
    logistic_classifier,
    scores_with_intervals,
)
from astraclr.evaluate.splits import split_by_object
from astraclr.simulation.cadence import MJD_END, MJD_START


@dataclass(frozen=True)
class Survey:
    """A file of labelled stars, and what is asked of them.

    Attributes
    ----------
    file : one row a star; bands : name -> effective wavelength in angstrom
    column : of the labels; classes : those to be told apart; rest : name for all others, "" leaves them out
    own_time : its times are not ZTF's
    """

    file: str
    bands: dict[str, float]
    classes: tuple[str, ...]
    column: str = "label"
    rest: str = ""
    own_time: bool = True

    def read(self, folder: str | Path, shifted: bool = True) -> LightCurves:
        """Its labelled stars, times by the rule above or as they are; unusable epochs are dropped."""
        path = Path(folder) / self.file
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*MJD")  # that is what the rule is for
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
    """All times shifted by one number: the middle of their span becomes the middle of ZTF's."""
    return replace(lc, mjd=lc.mjd + ((MJD_START + MJD_END) / 2 - (lc.mjd.min() + lc.mjd.max()) / 2))


def out_of_folds(
    x: np.ndarray, label: np.ndarray, object_id: np.ndarray, folds: int = 5, repeats: int = 4, seed: int = 0
) -> dict[str, Any]:
    """Linear probe and weighted k-NN in repeated stratified folds.

    In each training fold settings are chosen on a quarter of it, then the reader is fitted to all of it.

    Parameters
    ----------
    x : (n, d) vectors; label, object_id : (n,), one row an object
    folds : fewer where a class has fewer stars

    Returns
    -------
    dict
        ``linear_probe`` and ``knn`` as `benchmark.scores_with_intervals` on the predictions of all repeats, each star
        drawn with all of its own; ``n``, ``folds``, ``repeats``.

    Raises
    ------
    ValueError
        If a class has fewer than three stars.
    """
    from sklearn.model_selection import StratifiedKFold

    names, count = np.unique(label, return_counts=True)
    if count.min() < 3:
        raise ValueError(f"class {names[count.argmin()]} has {count.min()} stars; folds need at least 3: leave it out")
    folds = min(folds, int(count.min()))
    rows, found = [], {"linear_probe": [], "knn": []}
    for repeat in range(repeats):
        cut = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat)
        for train, test in cut.split(x, label):
            rows.append(test)
            fit, choose = (train[r] for r in split_by_object(object_id[train], label[train], 0.25, seed + repeat))
            ways = {"linear_probe": (C_GRID, logistic_classifier), "knn": ((False, True), knn_classifier)}
            for name, (grid, reader) in ways.items():
                trial = {setting: reader(x[fit], label[fit], setting) for setting in grid}
                chosen, _ = best_of(trial, x[choose], label[choose])
                found[name].append(reader(x[train], label[train], chosen)(x[test]))
    at = np.concatenate(rows)
    pooled = {
        name: Predictions(np.concatenate([p.scores for p in parts]), parts[0].classes) for name, parts in found.items()
    }
    scores = {
        name: scores_with_intervals(p, label[at], object_id[at], name != "knn", False, seed)
        for name, p in pooled.items()
    }
    return scores | {
        "n": len(label),
        "folds": folds,
        "repeats": repeats,
    }
