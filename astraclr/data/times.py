"""Times of any table as MJD: dates, Julian dates and Unix times are recognised, converted and counted."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.data.cleaning import MJD_RANGE, SENTINEL_TIMES, Notes
from astraclr.data.columns import MISSING, as_arrow, is_text, numbers, shown, texts

JD_OF_MJD = 2_400_000.5
"""JD = MJD + 2,400,000.5 (IAU 1973)."""

_JULIAN = ("jd", "hjd", "bjd")
"""Columns of Julian dates; heliocentric and barycentric ones lie within 8.4 minutes of those on Earth."""

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
    step = _step_of_32_bits(found.type, time[usable])
    for unit, scale in _UNIX.items():
        unix = usable & (time > 0.2 * scale) & (time < 5 * scale)
        if unix.sum() > 1 and (unix[usable].all() or len(np.unique(time[unix])) > 1):  # one value is a mark
            notes[f"converted: Unix {unit} to MJD (seconds / 86400 + 40587)"] = int(unix.sum())
            if not unix[usable].all():
                _warn_of_two_time_systems("Unix times", "seconds / 86400 + 40587", (unix, usable), star, ids)
            per_day = 86400 * scale / 1e9
            time, step = np.where(unix, time / per_day + 40587, np.where(usable, time, np.nan)), step / per_day
    if step > 1e-4:
        notes[f"rounded: time stored as a 32-bit float, steps of {step:.2g} d"] = int(usable.sum())
    low, high = (edge + JD_OF_MJD for edge in MJD_RANGE)
    julian = (time >= low) & (time <= high)
    name = column.upper() if column.lower() in _JULIAN else "JD"
    if n := int(julian.sum()):
        notes[f"converted: {name} to MJD ({name} - 2400000.5)"] = n
        if n < usable.sum():
            _warn_of_two_time_systems("Julian dates", "subtracting 2400000.5", (julian, usable), star, ids)
        time = np.where(julian, time - JD_OF_MJD, time)
    elif name == column.upper() and (time[usable] >= MJD_RANGE[0]).all() and (time[usable] <= MJD_RANGE[1]).all():
        warnings.warn(
            f"column {column} holds {time[usable][0]:.8g}, no full Julian date: it is read as MJD. If it is "
            f"{name} - 2400000, subtract 0.5 first",
            stacklevel=3,
        )
    return time, notes


def _step_of_32_bits(kind: pa.DataType, time: np.ndarray) -> float:
    """Rounding of times that are 32-bit floats, or were once: then all are multiples of the step; else 0.

    Times that are multiples of sixteen steps are round for another reason, quarters of days for example; in Julian
    dates, whose step is a quarter of a day, the two cannot be told apart.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        step = float(np.spacing(np.float32(np.abs(time).max())))
    if pa.types.is_float32(kind) or pa.types.is_float16(kind):
        return step
    once = 1e-4 < step < 0.01 and len(time) > 2 and (time % step == 0).all() and not (time % (16 * step) == 0).all()
    return step if once else 0.0


def _first_text(found: pa.Array) -> str | None:
    if not is_text(found.type):
        return None
    return next((str(v) for v in found.drop_null()[:1].to_pylist()), None)


def _dates(found: pa.Array, column: str) -> pa.Array:
    text = texts(found, column).to_pandas().replace(dict.fromkeys(MISSING))
    try:
        return pa.array(pd.to_datetime(text, format="ISO8601", utc=True))
    except ValueError:
        good = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").notna() | text.isna()
        row = int(np.argmin(good.to_numpy()))
        raise ValueError(
            f"column {column} must hold times, found {shown(text.iloc[row])} in row {row + 1} among dates; write all "
            "times as MJD, or all as dates of ISO 8601 (2018-10-08T01:02:03)"
        ) from None


def _from_dates(found: pa.Array) -> np.ndarray:
    """MJD of Arrow dates, exact to a nanosecond; 40587 is 1970-01-01."""
    if pa.types.is_date(found.type):
        found = found.cast(pa.timestamp("ms"))
    per_day = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}[found.type.unit]
    ticks = found.cast(pa.int64())
    whole, rest = np.divmod(ticks.fill_null(0).to_numpy(zero_copy_only=False), per_day)
    return np.where(found.is_null().to_numpy(zero_copy_only=False), np.nan, 40587 + whole + rest / per_day)


def _warn_of_two_time_systems(
    what: str, how: str, masks: tuple[np.ndarray, np.ndarray], star: np.ndarray | None, ids: Any
) -> None:
    which, (converted, usable) = "", masks
    if star is not None and ids is not None:
        those = np.unique(star[converted])
        more = f" and {len(those) - 3} more" if len(those) > 3 else ""
        which = f" of {', '.join(str(ids[k]) for k in those[:3])}{more}"
    warnings.warn(
        f"times{which} ({int(converted.sum()):,} of {int(usable.sum()):,} observations) are {what}, the others are "
        f"not: converted by {how}; check that one table holds one survey",
        stacklevel=4,
    )
