"""Flags of surveys and brokers: which observations they call bad, by reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BAD_EPOCH = 32768
"""Bit 15 of catflags: the epoch is unusable (ZTF public data release notes, IPAC)."""


@dataclass(frozen=True)
class Quality:
    """Columns of flags that are heeded wherever they are, and which observations they make bad, by reason."""

    columns: tuple[str, ...]
    bad: Callable[..., dict[str, np.ndarray]]
    text: bool = False
    """Whether the columns are text, or numbers."""


def _bad_catflags(catflags: np.ndarray) -> dict[str, np.ndarray]:
    known = (catflags >= 0) & (catflags < 2**31) & (catflags == np.floor(catflags))  # false for NaN
    bad = np.where(known, catflags, 0).astype(np.int64) & BAD_EPOCH != 0
    return {"dropped: catflags & 32768 (bad epoch)": bad, "dropped: catflags missing": ~known}


def _bad_zubercal(info: np.ndarray, flag: np.ndarray) -> dict[str, np.ndarray]:
    missing = ~(np.isfinite(info) & np.isfinite(flag))
    return {
        "dropped: info or flag is not 0": ~missing & ((info != 0) | (flag != 0)),
        "dropped: info or flag missing": missing,
    }


QUALITY = (Quality(("catflags",), _bad_catflags), Quality(("info", "flag"), _bad_zubercal))


def bad_fink(tag: np.ndarray) -> dict[str, np.ndarray]:
    """Alerts of Fink that are limits or of bad quality."""
    return {"dropped: d:tag is not valid (limit or bad quality)": (tag != "valid") & (tag != "")}


def bad_procstatus(status: np.ndarray) -> dict[str, np.ndarray]:
    """Forced photometry of ZTF whose processing had a warning."""
    return {"dropped: procstatus is not 0": status != "0"}


def bad_atlas(err: np.ndarray) -> dict[str, np.ndarray]:
    """Forced photometry of ATLAS with an error flag."""
    return {"dropped: err is not 0": err != 0}


def bad_gaia(by_photometry: np.ndarray, by_variability: np.ndarray) -> dict[str, np.ndarray]:
    """Transits that Gaia's photometric or variability processing rejected."""
    return {
        "dropped: rejected_by_photometry": by_photometry == 1,
        "dropped: rejected_by_variability": by_variability == 1,
    }
