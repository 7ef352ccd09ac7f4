"""What happens to bad input: refused with a clear error, or dropped with a count."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

SENTINEL_MAG, SENTINEL_ERR = 90.0, 9.0
"""No survey measures magnitudes of 90 or errors of 9 mag, of either sign: 99.9, 100 and -999 mean "no value"."""

SENTINEL_TIMES, LATEST_TIME = (-9999.0, -999.0, -99.0), 1e7
"""Times that mean "no value"; the latest is beyond any Julian date."""

MJD_RANGE = (40_000.0, 80_000.0)
"""1968 to 2077: times outside are probably not MJD."""

Notes = dict[str, int]


def usable(mjd: np.ndarray, mag: np.ndarray, magerr: np.ndarray) -> tuple[np.ndarray, Notes]:
    """(n_obs,) mask of observations to keep, and how many were refused for which reason (each counted once)."""
    finite = np.isfinite(mjd) & np.isfinite(mag) & np.isfinite(magerr)
    dated = (np.abs(mjd) < LATEST_TIME) & ~np.isin(mjd, SENTINEL_TIMES)
    if (zero := mjd == 0).any() and np.min(mjd, where=finite & dated & ~zero, initial=np.inf) >= MJD_RANGE[0]:
        dated &= ~(zero & (finite & dated & ~zero).any())  # among MJD, 0 is no time
    real = (np.abs(mag) < SENTINEL_MAG) & (np.abs(magerr) < SENTINEL_ERR)
    positive = magerr > 0
    keep = finite & dated & real & positive
    if keep.all():
        return keep, {}
    refused = {
        "dropped: value not finite": ~finite,
        "dropped: sentinel time": finite & ~dated,
        "dropped: sentinel magnitude or error": finite & dated & ~real,
        "dropped: error not positive": finite & dated & real & ~positive,
    }
    return keep, {reason: int(n.sum()) for reason, n in refused.items() if n.any()}


def need_bands(bands: Any) -> None:
    """Raise TypeError unless `bands` maps names to numbers."""
    mapping = isinstance(bands, Mapping) and all(isinstance(b, str) and isinstance(w, Real) for b, w in bands.items())
    if not mapping:
        raise TypeError(f"bands must map names to wavelengths in angstrom, as {{'g': 4746.48}} does, got {bands!r}")


def segments(star: np.ndarray, band: np.ndarray, n_stars: int, bands: Mapping[str, float]) -> np.ndarray:
    """(n_obs,) int64 number of the segment, star * n_bands + band, of every observation.

    Raises
    ------
    ValueError
        For a star or band that does not exist (it would become an observation of another star), or a wavelength that
        has no logarithm.
    """
    need_bands(bands)
    if odd := [f"{b}={w}" for b, w in bands.items() if not (np.isfinite(w) and w > 0)]:
        raise ValueError(f"wavelength {', '.join(odd)}: give a positive number of angstrom")
    star, band = np.asarray(star, np.int64), np.asarray(band, np.int64)
    if len(star) != len(band):
        raise ValueError(f"{len(star)} numbers of stars, {len(band)} of bands: give one of each an observation")
    for what, number, n in (("star", star, n_stars), ("band", band, len(bands))):
        low, high = number.min(initial=0), number.max(initial=0)
        if low < 0 or high >= n:
            raise ValueError(f"{what} {low if low < 0 else high}: there are {n}, numbered from 0")
    return star * len(bands) + band


def need_one_each(n_stars: int, **columns: Any) -> None:
    """Raise ValueError naming the first of the columns that is given and has not one value a star."""
    for name, values in columns.items():
        if values is not None and len(values) != n_stars:
            raise ValueError(f"{len(values)} values of {name}, {n_stars} stars: give one for each star")


def unsigned_zeros(values: np.ndarray) -> np.ndarray:
    """`values` with 0.0 for -0.0: rows that compare equal must be equal, or the order they came in would show."""
    return values if values.all() else values + values.dtype.type(0)


def one_a_star(values: Any, star: np.ndarray, object_id: Any, column: str) -> np.ndarray:
    """The value of each star in a column of rows, some of which may be empty; the order of the rows does not matter.

    Parameters
    ----------
    values, star : (n_rows,) and the number of the star that each row speaks of
    object_id : (n_stars,)

    Raises
    ------
    ValueError
        If rows of one star say different things.
    """
    code, found = pd.factorize(pd.Series(values))
    empty = np.append(pd.Series(found).eq("").to_numpy(bool), True)  # null has code -1, the last place
    known = ~empty[code]
    said = np.full(len(object_id), -1)
    said[star[known]] = code[known]
    if (odd := np.flatnonzero(code[known] != said[star[known]])).size:
        at = star[known][odd[0]]
        raise ValueError(
            f"star {object_id[at]} has several values of {column}: {found[code[known][odd[0]]]!s} and "
            f"{found[said[at]]!s}; give it one, or leave the column out"
        )
    return pd.Series(found).reindex(said).to_numpy()


def in_order(
    key: np.ndarray, mjd: np.ndarray, mag: np.ndarray, magerr: np.ndarray, drop_repeated: bool
) -> tuple[tuple[np.ndarray, ...], Notes]:
    """Sort observations by segment, then time; ties by error, then magnitude, so that input order never matters.

    Parameters
    ----------
    key : (n_obs,) int, number of the segment (star and band)
    drop_repeated : keep only the observation of smallest error where a segment repeats a time

    Returns
    -------
    (key, mjd, mag, magerr), notes
    """
    given = key, mjd, mag, magerr
    # Most tables are in order, or in order of time with bands mixed: to sort by all columns costs thirty times more.
    for way in (lambda: slice(None), lambda: np.argsort(key, kind="stable"), lambda: np.lexsort((mjd, key))):
        order = way()
        if (later := _later(key[order], mjd[order])).all():
            return tuple(c[order] for c in given), {}
    columns = tuple(c[order] for c in given)
    repeated = np.concatenate([[False], ~later])
    tied = np.flatnonzero(repeated | np.concatenate([~later, [False]]))
    again = tied[np.lexsort(tuple(c[tied] for c in (columns[2], columns[3], columns[1], columns[0])))]
    for c in columns:
        c[tied] = c[again]
    note = {f"{'dropped' if drop_repeated else 'kept'}: repeated time within a band": int(repeated.sum())}
    return (tuple(c[~repeated] for c in columns) if drop_repeated else columns), note


def _later(key: np.ndarray, mjd: np.ndarray) -> np.ndarray:
    """(n - 1,) bool, whether each observation but the first comes after the one before, in segment, then time."""
    return (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & (mjd[1:] > mjd[:-1]))


def warn_unless_mjd(mjd: np.ndarray) -> None:
    """Warn when times lie outside `MJD_RANGE`, saying what they look like."""
    if not len(mjd) or (mjd.min() >= MJD_RANGE[0] and mjd.max() <= MJD_RANGE[1]):
        return
    low, high = float(mjd.min()), float(mjd.max())
    julian = low > 2.4e6
    short = low > 1_000 and high < 20_000
    guess = "add their origin if you know it"
    if low > 1_900 and high < 2_101:
        guess = "they look like years, so give dates or MJD instead"
    elif julian or short:
        guess = "they look like Julian dates" + (", so subtract 2400000.5" if julian else " - 2450000, so add 49999.5")
        if short and low < 5_000:
            guess += " (56999.5 if they are TESS's BTJD, 54832.5 if they are Kepler's BKJD)"
    warnings.warn(
        f"times run from {low:.8g} to {high:.8g}, not MJD ({MJD_RANGE[0]:.0f} to {MJD_RANGE[1]:.0f} days): {guess}. "
        "Embeddings may depend on the absolute time",
        stacklevel=3,
    )


def need(columns: Iterable[str], required: Iterable[str]) -> None:
    """Raise ValueError naming the required columns that are missing, and those that are there."""
    columns = [str(c) for c in columns]
    if missing := [c for c in required if c not in columns]:
        raise ValueError(f"missing column {', '.join(missing)}; the table has {', '.join(columns) or 'no columns'}")


def is_list_type(kind: pa.DataType) -> bool:
    """Whether an Arrow column of this type holds lists."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def add_notes(*notes: Mapping[str, int]) -> Notes:
    """Notes with the counts of each reason added up."""
    total: Notes = {}
    for one in notes:
        for reason, n in one.items():
            total[reason] = total.get(reason, 0) + n
    return total


def _lists(column: Any) -> pa.Array:
    """A column of lists, tuples or arrays; what an array masks is null."""
    if isinstance(column, np.ndarray) and column.ndim > 1:
        column = list(column)
    if not isinstance(column, pa.Array) and any(isinstance(one, np.ndarray) for one in column):
        column = [_native(one) for one in column]
    return pa.array(column, from_pandas=True)


def _native(one: Any) -> Any:
    """Numbers in the order of bytes of this machine; a list with None where an array masks."""
    if isinstance(one, np.ma.MaskedArray):
        return one.tolist()
    return one.astype(one.dtype.newbyteorder("=")) if isinstance(one, np.ndarray) else one


def flatten(column: Any, name: str) -> tuple[Any, np.ndarray]:
    """A column of lists as (all values in a row, length of each list); null counts as empty."""
    try:
        lists = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([_lists(column)])
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"column {name} must hold one list of like values a star: {error}") from error
    if not (is_list_type(lists.type) or pa.types.is_null(lists.type)):
        raise ValueError(
            f"column {name} must hold a list for each star, found {lists.type}; "
            "for one row an observation use from_table"
        )
    if pa.types.is_null(lists.type):
        return np.array([]), np.zeros(len(lists), np.int64)
    flat = pc.list_flatten(lists)  # pyright: ignore[reportAttributeAccessIssue] - pyarrow makes these when imported
    length = pc.list_value_length(lists).fill_null(0).to_numpy()  # pyright: ignore[reportAttributeAccessIssue]
    return flat.combine_chunks() if isinstance(flat, pa.ChunkedArray) else flat, length.astype(np.int64)


def vectors(column: Any, name: str, ids: np.ndarray) -> np.ndarray:
    """A column of lists, one a star, as (n, d) float32.

    Raises
    ------
    ValueError
        If lists are empty or differ in length, or hold what is no finite number; it names the first such star.
    """
    values, length = flatten(column, name)
    if len(np.unique(length)) != 1 or length[0] == 0:
        low, high = (length.min(), length.max()) if len(length) else (0, 0)
        raise ValueError(f"{name}s of {low} to {high} numbers; all must be of one length")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            x = np.asarray(values, np.float32).reshape(len(length), length[0])
    except (ValueError, TypeError) as error:
        raise ValueError(f"column {name} must hold lists of numbers, found {getattr(values, 'type', '')}") from error
    if (odd := np.flatnonzero(~np.isfinite(x).all(1))).size:
        raise ValueError(
            f"{odd.size:,} of {len(x):,} {name}s hold NaN or infinity, the first of star {ids[odd[0]]}; leave them out"
        )
    return x
