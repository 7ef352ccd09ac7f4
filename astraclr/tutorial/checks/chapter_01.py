"""Graders of chapter 1: a slow change and its alias, aliases of a period, Julian dates, a cut on observations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from astraclr.catalogs import macho_example
from astraclr.data.lightcurves import LightCurves
from astraclr.tutorial.checks import grader

_SLOWEST, _FASTEST = 0.05, 3.2
"""Frequencies of the chapter's search, per day."""
_PERIOD, _NIGHT = 0.6, 0.99727
"""Days; the period of the star in the exercise on aliases, and the sidereal day after which it is observed again."""
_CUTS = np.arange(50, 351, 25)


@cache
def _macho() -> LightCurves:
    """Light curves of MACHO that the chapter reads."""
    return macho_example()


@cache
def _found(star: int, band: str, slowest: float | None) -> float:
    """Period in days of the highest peak; None searches from one cycle in the whole light curve."""
    from astropy.timeseries import LombScargle

    mjd, mag, magerr = _macho().star(star)[band]
    search = LombScargle(mjd, mag, magerr)
    frequency, power = search.autopower(minimum_frequency=slowest or 1 / np.ptp(mjd), maximum_frequency=_FASTEST)
    return float(1 / frequency[power.argmax()])


def _near(answer: float, right: float, tolerance: float) -> bool:
    """Whether an answer is within a relative tolerance of the right one."""
    return abs(answer / right - 1) < tolerance


@grader("ex-ch1-alias")
def _alias(fast: float, slow: float) -> str | None:
    """Periods of a star in days: of the chapter's search, and of one that begins at one cycle."""
    fast, slow = float(fast), float(slow)
    length = float(np.ptp(_macho().star(1)["B"][0]))
    if not _near(fast, _found(1, "B", _SLOWEST), 1e-4):
        if _near(fast, _found(0, "B", _SLOWEST), 1e-3):
            return "The first number is the period of the chapter's star. Python counts from 0: which star is meant?"
        if _near(1 / fast, _found(1, "B", _SLOWEST), 1e-4):
            return "The first number looks like a frequency. A period is wanted, in days."
        if _near(fast, _found(1, "R", _SLOWEST), 1e-4):
            return "The first number comes from the other band. The exercise asks for B."
        return "The first number is not what the chapter's own search finds in this star. Search the same frequencies."
    if _near(slow, fast, 0.01):
        return "The second search found the same period again. What was its lowest frequency?"
    if _near(slow, 1 / _SLOWEST, 0.1):
        return "The second period lies at the edge of the search, where a peak may not be a maximum. Widen it."
    if slow > 1.05 * length:
        return "The second period is longer than the observations, so that not one whole cycle was observed."
    if slow < 1 and _near(1 / slow, _found(1, "B", None), 0.25):
        return "The second number looks like a frequency. A period is wanted, in days."
    if not _near(slow, _found(1, "B", None), 0.25):
        return "The second period is not the highest peak when the search begins at one cycle in the whole light curve."
    return None


def _fits(period: float) -> bool:
    """Whether a wave of that period has the same values as one of `_PERIOD` on every night."""
    turns = np.array([1 / period - 1 / _PERIOD, 1 / period + 1 / _PERIOD]) * _NIGHT  # cycles gained from night to night
    return bool((np.abs(turns - np.round(turns)) < 0.005).any())


@grader("ex-ch1-ghosts")
def _ghosts(periods: Iterable[float]) -> str | None:
    """Three aliases (days) of the star's period."""
    periods = np.array(list(periods), dtype=float)
    if len({round(p, 3) for p in periods}) < 3:
        return f"Three different periods are wanted, and you gave {len(set(periods))}."
    if (periods <= 0).any():
        return "A period cannot be negative. What does a wave of negative frequency look like?"
    if (np.abs(periods - _PERIOD) < 1e-3).any():
        return f"{_PERIOD} days is the period of the star itself. Its aliases are wanted."
    if any(
        _near(p, _PERIOD + k * day, 0.002)
        for p in periods
        for k in (-2, -1, 1, 2, 3)
        for day in (1, _NIGHT)
        if _PERIOD + k * day > 0
    ):
        return (
            "You added days to the period. The number of cycles from night to night must change by a whole number; "
            "how does it follow from frequency and time?"
        )
    if any(_near(p, _PERIOD * k, 0.002) and not _fits(p) for p in periods for k in (2, 3, 1 / 2, 1 / 3)):
        return (
            "Twice or half the period is a different confusion, that of a shape with two minima. Compute the wave on "
            "each night: does it have the same value as the star?"
        )
    if all(_fits(1 / p) for p in periods) and not all(_fits(p) for p in periods):
        return "These look like frequencies. Periods are wanted, in days."
    if any(not _fits(p) for p in periods) and all(_near(1 / p % 1, (1 / _PERIOD) % 1, 0.01) for p in periods):
        return "Close: they fit nights that are whole solar days apart. How far apart are the nights of this exercise?"
    if wrong := [f"{p:.4g}" for p in periods if not _fits(p)]:
        return f"{', '.join(wrong)} days: on the next night such a wave has another value than the star."
    if (periods <= 0.2).any():
        return "They agree with the observations, but the exercise asks for periods above 0.2 days."
    return None


@grader("ex-ch1-jd")
def _jd(julian: LightCurves, mended: LightCurves) -> str | None:
    """Light curves from Julian dates, and from dates that were converted by hand."""
    if not (isinstance(julian, LightCurves) and isinstance(mended, LightCurves)):
        return "Two LightCurves are wanted: one from the table with Julian dates, one from the mended table."
    if not any(reason.startswith("converted: JD") for reason in julian.notes):
        return (
            "The first was not built from Julian dates: its report counts no conversion. Add 2400000.5 to `mjd` first."
        )
    if any(reason.startswith("converted: JD") for reason in mended.notes):
        return "The second was converted for you. Subtract the origin yourself before you build it."
    if julian.n_obs != mended.n_obs:
        return f"{julian.n_obs} observations before and {mended.n_obs} after: a conversion of times drops nothing."
    off = mended.mjd - julian.mjd
    if np.ptp(off) > 1e-5:
        return f"The times are off by different amounts, {np.ptp(off):.2g} days apart. How many digits has a float32?"
    if abs(abs(off[0]) - 0.5) < 1e-3:
        return "All times are off by half a day. One of the two kinds of date begins its days at noon."
    if abs(off[0]) > 1e-3:
        return "All times are off by the same amount. Compare the first time with the one in the chapter's own table."
    return None


def _shares(stars: LightCurves, rule: str) -> np.ndarray:
    """Share of the stars that each cut keeps under a rule, the right one or a mistaken one."""
    g, r = (stars.counts[:, list(stars.bands).index(b)][:, None] for b in ("g", "r"))
    kept = {
        "right": (g >= _CUTS) & (r >= _CUTS),
        "either": (g >= _CUTS) | (r >= _CUTS),
        "g": g >= _CUTS,
        "r": r >= _CUTS,
        "sum": g + r >= _CUTS,
    }[rule]
    return kept.mean(axis=0)


_CUT_HINTS = {
    "either": "These stars have enough observations in one of the two bands. The paper asks for more.",
    "g": "Only g was tested. What about r?",
    "r": "Only r was tested. What about g?",
    "sum": "You added the observations of both bands. Each band needs enough of its own.",
}


@grader("ex-ch1-cut")
def _cut(stars: LightCurves, shares: Iterable[float]) -> str | None:
    """Share of the stars that each cut keeps."""
    shares = np.array(list(shares), dtype=float)
    if shares.shape != _CUTS.shape:
        return (
            f"You gave {shares.size} shares; from {_CUTS[0]} to {_CUTS[-1]}, both ends included, there are "
            f"{_CUTS.size} cuts. What does range() do with its end?"
        )
    if (shares > 1).any():
        return "A share lies between 0 and 1. Give neither counts nor per cent."
    if (np.diff(shares) > 1e-9).any():
        return "A stricter cut cannot keep more stars. In which order are the numbers?"
    if np.allclose(shares, _shares(stars, "right"), atol=0.002):
        return None
    for rule, hint in _CUT_HINTS.items():
        if np.allclose(shares, _shares(stars, rule), atol=0.002):
            return hint
    return (
        "These are not the shares of these stars. Divide the number of stars that are kept by the number of all stars."
    )
