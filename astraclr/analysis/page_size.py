"""How large the explorer's page becomes and how long it takes, known before the work starts."""

from __future__ import annotations

import time

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.model.checkpoint import Checkpoint

MOST_STARS = 50_000
"""More stars than this are refused: the page would hang a browser, and the map would take most of an hour."""
MOST_POINTS = 3_000_000
"""Observations of all stars in a page, 32 MB; where there are more, each star gets fewer."""
_OF_POINT, _OF_STAR = 32 / 3, 230
"""Bytes in the page: 8 in base64 an observation; neighbours, place, counts and id of a star."""
_TRIED, _QUICK = 64, 5_000


def points_a_star(n_stars: int, points: int, n_bands: int) -> int:
    """Largest number of observations of a star in the page, so that all stars together hold `MOST_POINTS` at most.

    Examples
    --------
    >>> points_a_star(5_000, 150, 3), points_a_star(50_000, 150, 3)
    (150, 60)
    """
    return max(n_bands, min(points, MOST_POINTS // max(n_stars, 1)))


def need_few_enough(n_stars: int) -> None:
    """Raise ValueError for more stars than a page can show.

    Examples
    --------
    >>> need_few_enough(200_000)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: 200,000 stars are too many for a page that a browser shows: ...
    """
    if n_stars > MOST_STARS:
        raise ValueError(
            f"{n_stars:,} stars are too many for a page that a browser shows: at most {MOST_STARS:,}. Draw so many at "
            f"random, --max-stars {MOST_STARS} (max_stars={MOST_STARS}); `astraclr embed` writes a table of all"
        )


def megabytes(lc: LightCurves, n_stars: int, points: int) -> float:
    """Size of the page of `n_stars` of these stars with at most `points` observations each, within some per cent."""
    most = points_a_star(n_stars, points, len(lc.bands))
    mean = float(np.minimum(lc.counts.sum(axis=1), most).mean())
    return n_stars * (mean * _OF_POINT + _OF_STAR) / 1e6


def forecast(lc: LightCurves, checkpoint: Checkpoint, n_stars: int, points: int) -> str:
    """Say how large the page of so many stars becomes, and for many stars how long their embedding takes.

    The rate is that of a few stars, embedded to find it.
    """
    said = f"a page of {n_stars:,} stars, about {megabytes(lc, n_stars, points):,.0f} MB"
    if n_stars <= _QUICK:
        return said
    from astraclr.model.embedding import embed

    few = lc[np.linspace(0, len(lc) - 1, _TRIED).astype(int)]
    embed(few[:1], checkpoint)  # the first call sets up what the others find ready
    start = time.perf_counter()
    embed(few, checkpoint)
    minutes = (time.perf_counter() - start) / _TRIED * n_stars / 60
    return f"{said}; to embed them takes about {minutes:,.1f} minutes, then come the map and the neighbours"
