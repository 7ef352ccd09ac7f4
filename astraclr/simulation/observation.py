"""Epochs, noise and detection limits: how a survey observes simulated stars."""

from __future__ import annotations

import numpy as np

from astraclr.simulation.cadence import Fields

ERROR_FLOOR = 0.012
"""Smallest error of ZTF's photometry (mag), from its calibration."""
SATURATION = 12.5
"""Brightest magnitude that is recorded."""


def epochs(rng: np.random.Generator, n: int, fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Draw the epochs of stars: each lies in a random field and keeps 65 to 95 % of its epochs.

    Parameters
    ----------
    rng : Generator
        Draws fields and epochs.
    n : int
        Number of stars.
    fields : Fields
        From `ztf_fields`.

    Returns
    -------
    segment, row : ndarray
        (n_obs,) int, 3 star + band of each epoch, and its row of `fields`.

    Examples
    --------
    >>> from astraclr.simulation.cadence import ztf_fields
    >>> segment, row = epochs(np.random.default_rng(0), 4, ztf_fields())
    >>> len(segment) == len(row), int(segment.max()) < 12
    (True, True)
    """
    place = rng.integers(0, (len(fields.offsets) - 1) // 3, n)
    source = (3 * place[:, None] + np.arange(3)).ravel()
    length = np.diff(fields.offsets)[source]
    start = np.concatenate([[0], np.cumsum(length)[:-1]])
    row = np.arange(length.sum()) + np.repeat(fields.offsets[source] - start, length)
    share = np.repeat(rng.uniform(0.65, 0.95, n).astype(np.float32), 3)
    kept = rng.random(len(row), np.float32) < np.repeat(share, length)
    return np.repeat(np.arange(3 * n), length)[kept], row[kept]


def observed(
    rng: np.random.Generator,
    mag: np.ndarray,
    row: np.ndarray,
    mis_scale: np.ndarray | float,
    flicker: np.ndarray | float,
    difficulty: float,
    fields: Fields,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add noise to true magnitudes, and tell which of them the survey detects.

    Parameters
    ----------
    rng : Generator
        Draws the noise.
    mag : ndarray
        (n_obs,) float32, true magnitudes.
    row : ndarray
        (n_obs,) int, the row of `fields` of each epoch.
    mis_scale, flicker : ndarray or float
        True scatter over stated error; scatter of the star itself from one epoch to the next (mag).
    difficulty : float
        As for `simulate`: scales the error of the zero points.
    fields : Fields
        Limiting magnitudes and zero points.

    Returns
    -------
    mag, magerr : ndarray
        (n_obs,) float32, observed magnitudes and stated errors.
    seen : ndarray
        (n_obs,) bool: neither saturated nor fainter than the limit.

    Examples
    --------
    >>> from astraclr.simulation.cadence import ztf_fields
    >>> fields, row = ztf_fields(), np.arange(100)
    >>> true = np.full(100, 15.0, np.float32)
    >>> mag, magerr, seen = observed(np.random.default_rng(0), true, row, 1.0, 0.0, 1.0, fields)
    >>> bool(seen.all()), bool(magerr.min() >= ERROR_FLOOR)
    (True, True)
    """
    error = np.sqrt(ERROR_FLOOR**2 + (0.2 * 10 ** (np.float32(0.4) * (mag - fields.limit[row]))) ** 2)
    sigma = np.hypot(error * mis_scale, flicker)
    noise = sigma * rng.standard_normal(len(mag), np.float32)
    mag = mag + (noise + np.float32(0.015 * difficulty) * fields.zero_point[row])
    return mag, error, (mag > SATURATION) & (mag < fields.limit[row])
