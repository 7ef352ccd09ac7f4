"""Flags that say which observations are bad: heeded in files and in tables in memory alike, each loss counted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from astraclr.data.columns import as_arrow, numbers

BAD_EPOCH = 32768
"""Bit 15 of catflags: the epoch is unusable (ZTF public data release notes, IPAC)."""

ERROR_UNIT = 1e-4
"""Zubercal stores magerr as whole numbers of 1e-4 mag (readme of the release, IPAC)."""


@dataclass(frozen=True)
class Quality:
    """Columns of flags that are heeded wherever they are, and which observations they make bad, by reason."""

    columns: tuple[str, ...]
    bad: Callable[..., dict[str, np.ndarray]]
    text: bool = False
    """Whether the columns are text, or numbers."""


def _bad_catflags(catflags: np.ndarray) -> dict[str, np.ndarray]:
    missing = ~np.isfinite(catflags)
    whole = ~missing & (np.abs(catflags) < 2**31) & (catflags == np.floor(catflags))
    # A 16-bit column holds bit 15 as a negative number; & reads both the same.
    bad = np.where(whole, catflags, 0).astype(np.int64) & BAD_EPOCH != 0
    return {
        "dropped: catflags & 32768 (bad epoch)": bad,
        "dropped: catflags missing": missing,
        "dropped: catflags is not a whole number below 2**31": ~missing & ~whole,
    }


def _bad_zubercal(info: np.ndarray, flag: np.ndarray) -> dict[str, np.ndarray]:
    missing = ~(np.isfinite(info) & np.isfinite(flag))
    return {
        "dropped: info or flag is not 0": ~missing & ((info != 0) | (flag != 0)),
        "dropped: info or flag missing": missing,
    }


QUALITY = (Quality(("catflags",), _bad_catflags), Quality(("info", "flag"), _bad_zubercal))
"""Flags that are heeded in every table: those of ZTF's light curves (IRSA), and those of Zubercal."""


def flags_in(columns: Any) -> list[str]:
    """Names of the columns of flags that `flagged` heeds in a table with these columns."""
    return [name for rule in QUALITY if set(rule.columns) <= set(columns) for name in rule.columns]


def flagged(columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Observations that the flags of a table call bad, by reason; empty where it has none.

    Examples
    --------
    >>> bad = flagged({"catflags": [0, 32768, None]})
    >>> {reason: int(n.sum()) for reason, n in bad.items() if n.any()}
    {'dropped: catflags & 32768 (bad epoch)': 1, 'dropped: catflags missing': 1}
    """
    found = {}
    for rule in QUALITY:
        if set(rule.columns) <= set(columns):
            found |= rule.bad(*(numbers(columns[c], c, truth=True) for c in rule.columns))
    return found


def keep(bad: Mapping[str, np.ndarray], n_obs: int) -> tuple[np.ndarray, dict[str, int]]:
    """(n_obs,) mask of observations that no reason makes bad, and how many are dropped for which; each counted once."""
    good, notes = np.ones(n_obs, bool), {}
    for reason, those in bad.items():
        if n := int((those & good).sum()):
            notes[reason] = n
        good &= ~those
    return good, notes


def in_magnitudes(magerr: np.ndarray, whole_numbers: bool) -> np.ndarray:
    """Errors in mag from Zubercal's whole numbers of 1e-4 mag, also where these were made floats on the way.

    In units of 1e-4 mag the median error is tens to thousands, in mag it is below 1: no survey confuses the two.
    """
    positive = magerr[magerr > 0]
    scaled = whole_numbers or (len(positive) > 0 and np.median(positive) >= 5)
    return magerr * ERROR_UNIT if scaled else magerr


def errors_of(columns: Mapping[str, Any]) -> np.ndarray:
    """(n_obs,) errors in mag of a table; whole numbers of 1e-4 mag where it has the flags of Zubercal."""
    magerr = numbers(columns["magerr"], "magerr")
    if not {"info", "flag"} <= set(columns):
        return magerr
    return in_magnitudes(magerr, pa.types.is_integer(as_arrow(columns["magerr"], "magerr", "numbers").type))
