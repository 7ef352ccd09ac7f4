"""Epochs and limiting magnitudes of simulated ZTF fields: seasons, visits every few nights, nights of many exposures.

A field is a list of epochs per band. Every simulated star lies in one field and keeps a random part of its epochs.
Numbers were set by eye to the public survey (Bellm et al. 2019, PASP 131, 068003: a visit every 3 nights in g and r,
every 2 nights after 2020, a sparse i survey) and to the statistics of `astraclr.simulation.realism`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

MJD_START, MJD_END = 58_194.0, 59_951.0
"""Span of ZTF DR16 (days), the release that the paper uses."""

N_FIELDS = 128
SYNODIC_MONTH, FULL_MOON = 29.530589, 58_179.0

LIMIT = (20.75, 20.6, 20.05)
"""Median 5-sigma limit of an epoch in g, r and i (mag), before seeing, clouds and the Moon."""

# Probability that the next visit comes 1, 2, ... nights later: public fields, busier fields of partner surveys, i band.
_PUBLIC = (0.08, 0.30, 0.32, 0.16, 0.08, 0.06)
_BUSY = (0.40, 0.27, 0.16, 0.09, 0.05, 0.03)
_SPARSE = (0.05, 0.08, 0.12, 0.25, 0.25, 0.25)
_SECOND_VISIT = (0.12, 0.26, 0.05)  # probability of a second epoch in the same night
_DENSE_NIGHT = (0.0005, 0.0065, 0.0)  # probability of a night of continuous exposures


@dataclass(frozen=True, eq=False)
class Fields:
    """Epochs of many fields; field ``f`` in band ``b`` is ``offsets[3 * f + b] : offsets[3 * f + b + 1]``.

    Attributes
    ----------
    mjd : ndarray
        (n,) float64 days, sorted inside a band.
    limit : ndarray
        (n,) float32, 5-sigma limiting magnitude of each epoch.
    zero_point : ndarray
        (n,) float32, standard normal, one value for each field, band and night.
    offsets : ndarray
        (3 n_fields + 1,) int64.
    """

    mjd: np.ndarray
    limit: np.ndarray
    zero_point: np.ndarray
    offsets: np.ndarray


@lru_cache(maxsize=2)
def ztf_fields(n_fields: int = N_FIELDS) -> Fields:
    """Draw the fields of the simulator; they do not depend on the seed of a simulation.

    Parameters
    ----------
    n_fields : int
        Number of fields.

    Examples
    --------
    >>> fields = ztf_fields()
    >>> len(fields.offsets), bool((fields.mjd >= MJD_START).all())
    (385, True)
    """
    rng = np.random.default_rng(58_194)
    n_nights = int(MJD_END - MJD_START)
    clear = _clear_nights(rng, n_nights)
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for _ in range(n_fields):
        nights = np.arange(n_nights)
        phase = (nights - rng.uniform(0, 365.25) + 182.625) % 365.25 - 182.625
        half = rng.uniform(84, 130)
        visible = clear & (np.abs(phase) < half)
        transit = 0.32 - 0.16 * phase / half  # late in the night as the season begins, early as it ends
        busy, has_i = rng.random() < 0.20, rng.random() < 0.55
        gaps = (_BUSY if busy else _PUBLIC, _BUSY if busy else _PUBLIC, _SPARSE)
        for band in range(3):
            mjd = _epochs(rng, visible, transit, gaps[band], band)
            columns.append(_depth(rng, mjd if band < 2 or has_i else mjd[:0], band))
    lengths = [len(c[0]) for c in columns]
    mjd, limit, zero_point = (np.concatenate(c) for c in zip(*columns, strict=True))
    return Fields(mjd, limit, zero_point, np.concatenate([[0], np.cumsum(lengths)]))


def _clear_nights(rng: np.random.Generator, n_nights: int) -> np.ndarray:
    """Whether each night is clear: three nights in four are, and a cloudy spell lasts about three nights."""
    clear = np.ones(n_nights, bool)
    draws = rng.random(n_nights)
    for night in range(1, n_nights):
        clear[night] = draws[night] > (0.12 if clear[night - 1] else 0.65)
    return clear


def _epochs(
    rng: np.random.Generator, visible: np.ndarray, transit: np.ndarray, gaps: tuple[float, ...], band: int
) -> np.ndarray:
    """Sorted times (MJD) of one field in one band."""
    steps = rng.choice(np.arange(1, len(gaps) + 1), size=len(visible), p=gaps)
    nights = np.cumsum(steps)
    nights = nights[nights < len(visible)]
    nights = nights[visible[nights]]
    if band == 2:  # the i survey ran mostly in the first three years, with gaps
        nights = nights[(nights < 1_100) & (rng.random(len(nights)) < 0.6)]
    first = MJD_START + nights + np.clip(transit[nights] + rng.normal(0, 0.05, len(nights)), 0.10, 0.53)
    again = rng.random(len(nights)) < _SECOND_VISIT[band]
    times = [first, first[again] + rng.uniform(0.01, 0.12, again.sum())]
    dense = first[rng.random(len(nights)) < _DENSE_NIGHT[band]]
    times += [start + np.arange(1, rng.integers(10, 70)) * rng.uniform(5e-4, 2e-3) for start in dense]
    return np.sort(np.concatenate(times))


def _depth(rng: np.random.Generator, mjd: np.ndarray, band: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, limiting magnitudes (Moon, seeing, clouds), and a standard normal zero point for each night."""
    moon = np.maximum(np.cos(2 * np.pi * (mjd - FULL_MOON) / SYNODIC_MONTH), 0) ** 2
    limit = LIMIT[band] - (0.6, 0.45, 0.25)[band] * moon + rng.normal(0, 0.22, len(mjd))
    _, night = np.unique(np.floor(mjd), return_inverse=True)
    zero_point = rng.standard_normal(night.max(initial=-1) + 1)[night]
    return mjd, limit.astype(np.float32), zero_point.astype(np.float32)
