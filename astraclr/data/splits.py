"""Labelled stars in three sets: training, validation and test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from astraclr.data.lightcurves import LightCurves

TRAIN_SHARE = 0.8


def split(n: int, share: float = TRAIN_SHARE, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Numbers 0..n-1 shuffled and cut at int(share n), as the paper's code splits objects."""
    order = np.random.RandomState(seed).permutation(n)  # the paper's generator
    return order[: int(share * n)], order[int(share * n) :]


class Splits(NamedTuple):
    """Labelled stars in three sets by object: to fit probes on, to choose settings with, to test once."""

    fit: LightCurves
    choose: LightCurves
    test: LightCurves
