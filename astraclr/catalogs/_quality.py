"""Flags of single surveys and brokers: which observations they call bad, by reason."""

from __future__ import annotations

import numpy as np


def bad_fink(tag: np.ndarray) -> dict[str, np.ndarray]:
    """Alerts of Fink that are limits or of bad quality."""
    return {"dropped: d:tag is not valid (limit or bad quality)": (tag != "valid") & (tag != "")}


def bad_procstatus(status: np.ndarray) -> dict[str, np.ndarray]:
    """Forced photometry of ZTF whose processing had a warning."""
    return {
        "dropped: procstatus is not 0": (status != "0") & (status != ""),
        "dropped: procstatus missing": status == "",
    }


def bad_atlas(err: np.ndarray) -> dict[str, np.ndarray]:
    """Forced photometry of ATLAS with an error flag."""
    return {"dropped: err is not 0": np.isfinite(err) & (err != 0), "dropped: err missing": ~np.isfinite(err)}


def bad_skypatrol(quality: np.ndarray) -> dict[str, np.ndarray]:
    """Photometry of ASAS-SN's Sky Patrol 2 that is not called good."""
    return {
        "dropped: quality is not G": (quality != "G") & (quality != ""),
        "dropped: quality missing": quality == "",
    }


def bad_rubin(flag: np.ndarray) -> dict[str, np.ndarray]:
    """Fluxes whose measurement failed."""
    return {"dropped: psfFlux_flag is set": flag == 1}


def bad_gaia(by_photometry: np.ndarray, by_variability: np.ndarray) -> dict[str, np.ndarray]:
    """Transits that Gaia's photometric or variability processing rejected."""
    return {
        "dropped: rejected_by_photometry": by_photometry == 1,
        "dropped: rejected_by_variability": by_variability == 1,
        "dropped: rejected_by_photometry or rejected_by_variability missing": np.isnan(by_photometry + by_variability),
    }
