"""Simulated transients: supernovae and microlensing events planted into light curves."""

from __future__ import annotations

import numpy as np

from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.simulation.cadence import ztf_fields
from astraclr.simulation.observation import epochs, observed
from astraclr.simulation.simulate import FAINTEST_MEAN

EVENTS = ("supernova", "microlensing")


def bazin(days: np.ndarray, rise: np.ndarray | float, fall: np.ndarray | float) -> np.ndarray:
    """Flux of a supernova in units of its maximum: ``exp(-t/fall) / (1 + exp(-t/rise))``, scaled and shifted.

    Equation 1 of Bazin et al. 2009 (A&A 499, 653) without the constant.

    Parameters
    ----------
    days : ndarray
        Days after the maximum.
    rise, fall : ndarray or float
        Time scales in days, fall > rise.

    Examples
    --------
    >>> bazin(np.array([-10.0, 0.0, 30.0]), 4.0, 25.0).round(2)
    array([0.53, 1.  , 0.36])
    """
    ratio = np.asarray(fall) / rise
    top = rise * np.log(ratio - 1)  # where the derivative vanishes
    with np.errstate(over="ignore"):  # long before, the flux is 0
        later = np.asarray(days) + top
        # Both exponentials together: alone, one overflows where the other is 0.
        flux = np.exp(-np.logaddexp(later / fall, later / fall - later / rise))
    return flux / np.exp(-np.logaddexp(top / fall, top / fall - top / rise))


def paczynski(u: np.ndarray | float) -> np.ndarray:
    """Magnification of a point source by a point lens (Paczynski 1986, ApJ 304, 1).

    Parameters
    ----------
    u : ndarray or float
        Distance of source and lens on the sky in Einstein radii, above 0.

    Examples
    --------
    >>> paczynski(np.array([0.1, 1.0, 10.0])).round(2)
    array([10.04,  1.34,  1.  ])
    """
    u2 = np.square(u)
    return (u2 + 2) / np.sqrt(u2 * (u2 + 4))


def planted(n_stars: int, kind: str, seed: int = 0, *, difficulty: float = 1.0, event: bool = True) -> LightCurves:
    """Simulate stars with one transient event each, with the cadence, errors and limits of `simulate`.

    "supernova": on a faint, constant host, up in two to four weeks, down more slowly, fastest in g, so that it reddens.
    "microlensing": of a constant star, equal in all bands, weeks to months long, without blending. The ranges are
    round numbers. The maximum falls on one of the star's own epochs, so that every event is observed.

    Parameters
    ----------
    n_stars : int
        Number of stars.
    kind : str
        One of `EVENTS`; also the label.
    seed : int
        Equal seeds give equal bytes.
    difficulty : float
        As for `simulate`: how inexact errors and nights are.
    event : bool
        False leaves only the event out. This is a control: constant stars are rare in the sample as well.

    Raises
    ------
    ValueError
        For an unknown kind, fewer than 1 star, a negative seed, a difficulty outside 0 to 3.

    Examples
    --------
    >>> stars = planted(3, "supernova", seed=1)
    >>> len(stars), str(stars.label[0])
    (3, 'supernova')
    """
    if kind not in EVENTS:
        raise ValueError(f"no event {kind!r}; choose from {', '.join(EVENTS)}")
    if n_stars < 1 or seed < 0 or not 0 <= difficulty <= 3:
        raise ValueError(f"n_stars {n_stars}, seed {seed}, difficulty {difficulty}: at least 1, at least 0, and 0 to 3")
    rng, fields = np.random.default_rng([seed, EVENTS.index(kind), n_stars]), ztf_fields()
    segment, row = epochs(rng, n_stars, fields)
    star, band = np.divmod(segment, 3)
    number = np.bincount(star, minlength=n_stars)
    top = (np.cumsum(number) - number) + (rng.random(n_stars) * number).astype(int)
    days = fields.mjd[row] - fields.mjd[row[top]][star]
    make = _supernova if kind == "supernova" else _microlensing
    mean, gain = make(rng, days, star, band, n_stars)
    mag = mean.ravel()[segment] - 2.5 * np.log10(1 + (gain if event else 0 * gain))
    mis_scale = np.exp(rng.normal(0, 0.2 * difficulty, n_stars)).astype(np.float32)
    mag, magerr, seen = observed(rng, mag.astype(np.float32), row, mis_scale[star], 0.0, difficulty, fields)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(segment[seen], minlength=3 * n_stars))])
    ids = np.array([f"{kind}-{seed}-{k:06d}" for k in range(n_stars)])
    return LightCurves(
        fields.mjd[row[seen]],
        mag[seen],
        magerr[seen].astype(np.float32),
        offsets,
        dict(ZTF_BANDS),
        ids,
        np.full(n_stars, kind),
        np.full(n_stars, np.nan),
    )


def _supernova(
    rng: np.random.Generator, days: np.ndarray, star: np.ndarray, band: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean magnitudes of the host (n, 3), and flux of the event in units of that of the host (n_obs,)."""
    host = _constant(rng, n, (18.5, 19.8))
    top = host[:, 1] - rng.uniform(0.5, 3, n)  # magnitude of the event alone in r, at maximum
    blue, red = rng.uniform(-0.2, 0.2, n), rng.uniform(-0.2, 0.1, n)
    event = np.stack([top + blue, top, top - red], 1)
    rise, fall = rng.uniform(2, 6, n), rng.uniform(15, 40, n)
    falls = np.stack([fall * rng.uniform(0.5, 0.7, n), fall, fall * rng.uniform(1.2, 1.6, n)], 1)
    rise = np.minimum(rise, falls[:, 0] / 2)  # a maximum needs a fall slower than the rise
    return host, 10 ** (0.4 * (host - event))[star, band] * bazin(days, rise[star], falls[star, band])


def _microlensing(
    rng: np.random.Generator, days: np.ndarray, star: np.ndarray, band: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean magnitudes of the source (n, 3), and its magnification minus 1 (n_obs,)."""
    source = _constant(rng, n, (15.0, 19.5))
    nearest, crossing = rng.uniform(0.02, 0.6, n), 10 ** rng.uniform(1, 2, n)  # Einstein radii; days
    return source, paczynski(np.hypot(nearest[star], days / crossing[star])) - 1


def _constant(rng: np.random.Generator, n: int, r: tuple[float, float]) -> np.ndarray:
    """(n, 3) magnitudes of constant sources, none of them fainter than `FAINTEST_MEAN` in both g and r."""
    mean = rng.uniform(*r, n)
    mean = np.stack([mean + rng.uniform(0.4, 1.1, n), mean, mean - rng.uniform(0.1, 0.5, n)], 1)
    return mean - np.maximum(mean[:, :2].max(1) - FAINTEST_MEAN, 0)[:, None]
