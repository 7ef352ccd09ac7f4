"""Rules of surveys and brokers that turn what they publish into apparent magnitudes with errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from astraclr.data.cleaning import SENTINEL_MAG

SIGNIFICANCE = 3.0
"""Fluxes below so many times their error are dropped: their magnitudes would be biased, their errors not symmetric."""

UNITS = {"Jy": 8.9, "mJy": 16.4, "uJy": 23.9, "nJy": 31.4}
"""Zero points of AB magnitudes of fluxes in these units (Oke & Gunn 1983, ApJ 266, 713: 3631 Jy)."""

MAG_PER_FRACTION = 2.5 / np.log(10)
"""1.0857: the error in mag of a relative error of flux."""

Values = Callable[[str], np.ndarray]
Photometry = tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]


def from_flux(flux: np.ndarray, error: np.ndarray, zero_point: float | np.ndarray) -> Photometry:
    """Magnitudes, their errors, and which observations have none, by reason.

    ``mag = zero_point - 2.5 log10(flux)``, ``magerr = 1.0857 error / flux``. Fluxes that are not positive, and those
    below `SIGNIFICANCE` times their error, are dropped with a count of each.

    Parameters
    ----------
    flux, error : (n_obs,) in one unit
    zero_point : mag of a flux of 1

    Examples
    --------
    >>> mag, magerr, bad = from_flux(np.array([10.0, -1.0, 2.0]), np.array([1.0, 1.0, 1.0]), 25.0)
    >>> mag[0], {reason: int(n.sum()) for reason, n in bad.items()}
    (np.float64(22.5), {'dropped: flux not positive': 1, 'dropped: flux below 3 sigma': 1})
    """
    known = np.isfinite(flux) & np.isfinite(error)
    positive = flux > 0
    safe = np.where(known & positive, flux, 1.0)
    bad = {
        "dropped: flux not positive": known & ~positive,
        f"dropped: flux below {SIGNIFICANCE:g} sigma": known & positive & (flux < SIGNIFICANCE * error),
    }
    gone = ~(known & positive)
    mag = np.where(gone, np.nan, zero_point - 2.5 * np.log10(safe))
    return mag, np.where(gone, np.nan, MAG_PER_FRACTION * error / safe), bad


def fluxes(zero_point: float | None) -> Callable[[Values], Photometry]:
    """The rule for columns flux and fluxerr of a known zero point; of that in the column zero_point where None."""

    def rule(value: Values) -> Photometry:
        zero = value("zero_point") if zero_point is None else zero_point
        return from_flux(value("flux"), value("fluxerr"), zero)

    return rule


def alert(value: Values) -> Photometry:
    """Apparent magnitude of a ZTF alert: the flux of the reference star plus or minus that of the difference.

    ``F = 10**(-0.4 magnr) + sign 10**(-0.4 magpsf)``; the error is that of the difference alone, as in ALeRCE's
    sigmapsf_corr_ext (Forster et al. 2021, AJ 161, 242).
    """
    difference, sign = _fraction(value("magpsf")), value("sign")
    flux = _fraction(value("magnr")) + sign * difference
    mag, magerr, bad = from_flux(flux, difference * value("sigmapsf") / MAG_PER_FRACTION, 0.0)
    return mag, magerr, {"dropped: isdiffpos is neither true nor false": np.isnan(sign)} | bad


def _fraction(mag: np.ndarray, zero: float | np.ndarray = 0.0) -> np.ndarray:
    """Flux in units of that of magnitude `zero`; NaN where a magnitude is a mark for "no value", as -999."""
    difference = np.where(np.abs(mag) < SENTINEL_MAG, zero - mag, np.nan)
    return 10 ** (0.4 * np.clip(difference, -200, 200))


def forced_ztf(value: Values) -> Photometry:
    """Total flux of ZTF's forced photometry: that of the difference plus that of the reference source.

    ``F = forcediffimflux + 10**(0.4 (zpdiff - nearestrefmag))``, errors added in quadrature (Masci et al. 2023,
    arXiv:2305.16279, section on absolute photometry of variable sources).
    """
    zero = value("zpdiff")
    reference = _fraction(value("refmag"), zero)
    error = np.hypot(value("fluxerr"), reference * value("refmagerr") / MAG_PER_FRACTION)
    return from_flux(value("flux") + reference, error, zero)


def gaia(value: Values) -> Photometry:
    """Gaia's own magnitude, which holds its zero point, with the error of its flux."""
    _, magerr, bad = from_flux(value("flux"), value("fluxerr"), 0.0)
    return value("mag"), magerr, bad
