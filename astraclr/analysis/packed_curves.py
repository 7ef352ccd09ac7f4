"""Light curves packed for a page: thinned out, in small whole numbers, one piece a star, as base64."""

from __future__ import annotations

import base64
from dataclasses import replace
from itertools import pairwise

import numpy as np

from astraclr.data.lightcurves import LightCurves

POINTS = 150
"""Largest number of observations of a star in the page: 5,000 stars are then about 8 MB."""
DAY, MAGNITUDE = 1e-4, 1e-3
"""Units of the times and magnitudes in the page."""


def thinned(lc: LightCurves, points: int = POINTS) -> LightCurves:
    """Keep at most `points` observations per star, evenly along each band, in proportion to the bands' observations.

    Raises
    ------
    ValueError
        For fewer points than bands.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> int(thinned(simulate(4, seed=0), points=30).counts.sum(1).max()) <= 30
    True
    """
    n_bands = len(lc.bands)
    if points < n_bands:
        raise ValueError(f"{points} points for {n_bands} bands; allow at least one per band")
    counts, total = lc.counts, lc.counts.sum(1, keepdims=True)
    share = np.where(counts > 0, counts * (points - n_bands) // np.maximum(total, 1) + 1, 0)
    kept = np.where(total > points, share, counts)
    length, few = np.diff(lc.offsets)[lc.segment], kept.ravel()[lc.segment]
    place = np.arange(lc.n_obs) - lc.offsets[lc.segment]
    keep = place * few % length < few  # as many as `few`, where place * few / length reaches the next whole number
    return replace(
        lc,
        mjd=lc.mjd[keep],
        mag=lc.mag[keep],
        magerr=lc.magerr[keep],
        notes={},
        offsets=np.concatenate([[0], np.cumsum(kept)]),
    )


def packed(lc: LightCurves) -> str:
    """Encode light curves as base64, one piece per star, so that a page can decode a single star.

    A piece holds, bands in order: times since the star's first day as uint32 in units of `DAY`, magnitudes minus the
    brightest as uint16 in units of `MAGNITUDE`, and errors as uint16 in units of `MAGNITUDE`: 8 m bytes for m
    observations.

    Raises
    ------
    ValueError
        If a light curve spans more than 1,000 years.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> star = simulate(1, seed=0)
    >>> len(base64.b64decode(packed(star))) == 8 * star.n_obs
    True
    """
    star = lc.segment // len(lc.bands)
    times = np.round((lc.mjd - np.floor(first_times(lc))[star]) / DAY)
    if (far := times > np.iinfo(np.uint32).max).any():
        raise ValueError(f"star {lc.object_id[star[far][0]]}: its times span more than 1,000 years; give MJD in days")
    mags = _small(np.round(lc.mag.astype(np.float64) / MAGNITUDE) - brightest(lc)[star])
    columns = times.astype("<u4"), mags, _small(np.round(lc.magerr.astype(np.float64) / MAGNITUDE))
    ends = lc.offsets[:: len(lc.bands)]
    return "".join(base64.b64encode(b"".join(c[a:b].tobytes() for c in columns)).decode() for a, b in pairwise(ends))


def first_times(lc: LightCurves) -> np.ndarray:
    """(n_stars,) times of the first observation of every star, days."""
    return np.minimum.reduceat(lc.mjd, lc.offsets[:: len(lc.bands)][:-1])


def brightest(lc: LightCurves) -> np.ndarray:
    """(n_stars,) int, smallest magnitude of every star in units of `MAGNITUDE`."""
    least = np.minimum.reduceat(lc.mag, lc.offsets[:: len(lc.bands)][:-1]).astype(np.float64)
    return np.round(least / MAGNITUDE).astype(int)


def _small(values: np.ndarray) -> np.ndarray:
    """Units of `MAGNITUDE` as uint16, cut off at 65 magnitudes, which no observation reaches."""
    return np.minimum(values, np.iinfo(np.uint16).max).astype("<u2")
