"""Times of any table as MJD: dates, Julian dates and Unix times are recognised, converted and counted."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.data.cleaning import MJD_RANGE, SENTINEL_TIMES, Notes
from astraclr.data.columns import MISSING, as_arrow, is_text, numbers, texts

JD_OF_MJD = 2_400_000.5
"""JD = MJD + 2,400,000.5 (IAU 1973)."""

_UNIX = {"seconds": 1e9, "milliseconds": 1e12, "microseconds": 1e15, "nanoseconds": 1e18}


def days(values: Any, column: str, star: np.ndarray | None = None, ids: Any = None) -> tuple[np.ndarray, Notes]:
    """A column of times as MJD: dates, Julian dates and Unix times are converted with a count.

    Parameters
    ----------
    values : (n_obs,) MJD, JD, Unix time, dates or their text (ISO 8601; UTC where no zone is given)
    star, ids : (n_obs,) and (n_stars,), to say which stars are in JD where others are not

    Returns
    -------
    (n_obs,) float64 days, and what was converted or rounded
    """
    found = as_arrow(values, column, "times")
    text = _first_text(found)
    if text is not None and re.match(r"\d{4}-\d\d-\d\d", text):
        found = _dates(found, column)
    if pa.types.is_temporal(found.type) and not pa.types.is_duration(found.type) and not pa.types.is_time(found.type):
        return _from_dates(found), {"converted: date to MJD": len(found) - found.null_count}
    time, notes = numbers(found, column), {}
    usable = np.isfinite(time) & ~np.isin(time, SENTINEL_TIMES) & (time != 0)
    if not usable.any():
        return time, notes
    if pa.types.is_float32(found.type) or pa.types.is_float16(found.type):
        step = float(np.spacing(np.float32(np.abs(time[usable]).max())))
        if step > 1e-4:
            notes[f"rounded: time stored as a 32-bit float, steps of {step:.2g} d"] = int(usable.sum())
    for unit, scale in _UNIX.items():
        if (time[usable] > 0.2 * scale).all() and (time[usable] < 5 * scale).all():
            notes[f"converted: Unix {unit} to MJD (seconds / 86400 + 40587)"] = int(usable.sum())
            return np.where(usable, time / (scale / 1e9) / 86400 + 40587, np.nan), notes
    low, high = (edge + JD_OF_MJD for edge in MJD_RANGE)
    julian = (time >= low) & (time <= high)
    if n := int(julian.sum()):
        notes["converted: JD to MJD (JD - 2400000.5)"] = n
        if n < usable.sum():
            _warn_of_two_time_systems(julian, usable, star, ids)
        time = np.where(julian, time - JD_OF_MJD, time)
    return time, notes


def _first_text(found: pa.Array) -> str | None:
    if not is_text(found.type):
        return None
    return next((str(v) for v in found.drop_null()[:1].to_pylist()), None)


def _dates(found: pa.Array, column: str) -> pa.Array:
    text = texts(found, column).to_pandas().replace(dict.fromkeys(MISSING))
    try:
        return pa.array(pd.to_datetime(text, format="ISO8601", utc=True))
    except ValueError as error:
        raise ValueError(f"column {column} must hold times, found a date that cannot be read ({error})") from error


def _from_dates(found: pa.Array) -> np.ndarray:
    """MJD of Arrow dates, exact to a nanosecond; 40587 is 1970-01-01."""
    if pa.types.is_date(found.type):
        found = found.cast(pa.timestamp("ms"))
    per_day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[found.type.unit]
    ticks = found.cast(pa.int64())
    whole, rest = np.divmod(ticks.fill_null(0).to_numpy(zero_copy_only=False), per_day)
    return np.where(found.is_null().to_numpy(zero_copy_only=False), np.nan, 40587 + whole + rest / per_day)


def _warn_of_two_time_systems(julian: np.ndarray, usable: np.ndarray, star: np.ndarray | None, ids: Any) -> None:
    which = ""
    if star is not None and ids is not None:
        those = np.unique(star[julian])
        more = f" and {len(those) - 3} more" if len(those) > 3 else ""
        which = f" of {', '.join(str(ids[k]) for k in those[:3])}{more}"
    warnings.warn(
        f"times{which} ({int(julian.sum()):,} of {int(usable.sum()):,} observations) are Julian dates, the others are "
        "not: converted by subtracting 2400000.5; check that one table holds one survey",
        stacklevel=4,
    )
