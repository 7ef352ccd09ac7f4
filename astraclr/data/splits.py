"""The 80/20 split of the paper's code, and labelled stars in three sets: training, validation and test."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from astraclr.data.lightcurves import LightCurves

TRAIN_SHARE = 0.8


def split(n: int, share: float = TRAIN_SHARE, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Split n stars into training and validation rows, 80 to 20: shuffled and cut as in the paper's code."""
    order = np.random.RandomState(seed).permutation(n)  # the paper's generator
    return order[: int(share * n)], order[int(share * n) :]


class Splits(NamedTuple):
    """Labelled stars in three sets by object: to fit probes on, to choose settings with, to test once."""

    fit: LightCurves
    choose: LightCurves
    test: LightCurves
