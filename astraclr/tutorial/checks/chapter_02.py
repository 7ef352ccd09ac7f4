"""Graders of chapter 2: a view written from scratch, bins dropped by rank, reversed time, disjoint windows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

from astraclr.data.tokens import Prepared, Tokens
from astraclr.tutorial.checks import grader

Star = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
_TIMES = np.array([0.0, 1.0, 7.0, 13.0, 100.0, 104.0, 250.0, 251.0])
"""Days; the observations of the chapter's example."""
_WINDOW, _TRIES = 5, 400
_ASKED = {"RR": False, "ECL": True, "ELL": True, "AGN": True, "CV": False}
"""Whether a light curve of the class looks alike in reversed time."""


def _example() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A red star with unequal errors: bands longer than a window, and one shorter."""
    rng = np.random.default_rng(2)
    sizes, levels = {"g": 9, "r": 8, "i": 3}, {"g": 17.4, "r": 16.1, "i": 15.2}
    return {
        b: (58_000 + np.sort(rng.uniform(0, 900, n)), levels[b] + rng.normal(0, 0.3, n), rng.uniform(0.01, 0.1, n))
        for b, n in sizes.items()
    }


def _mean(star: Star, weighted: bool = True) -> float:
    """Mean magnitude over all bands, with inverse-variance weights or without."""
    mag, magerr = (np.concatenate([columns[k] for columns in star.values()]) for k in (1, 2))
    return float(np.average(mag, weights=magerr**-2.0 if weighted else None))


def _band_hint(band: str, whole: tuple, cut: tuple, mean: float, plain: float) -> tuple[str | None, int]:
    """What is wrong with a window of one band, and where it begins."""
    (t, m, e), (t_cut, m_cut, e_cut) = whole, (np.asarray(c, float) for c in cut)
    if len(t_cut) != min(_WINDOW, len(t)):
        if len(t) < _WINDOW:
            return f"Band {band} has fewer observations than a window: return all of them.", 0
        return f"Band {band}: {len(t_cut)} observations instead of {_WINDOW}.", 0
    at = np.searchsorted(t, t_cut)
    if (at >= len(t)).any() or not np.array_equal(t[np.minimum(at, len(t) - 1)], t_cut):
        return f"Band {band} holds times at which the star was not observed.", 0
    if (np.diff(at) != 1).any():
        return f"The observations of {band} are not consecutive. A window leaves out none in between.", 0
    if not np.allclose(e_cut, e[at]):
        return f"The errors of {band} are not those of its window. Did you cut all three columns alike?", 0
    off = m[at] - m_cut
    if np.ptp(off) > 1e-4:
        return f"The magnitudes of {band} do not belong to its times, or more than a constant was subtracted.", 0
    if abs(off[0]) < 1e-6:
        return "The magnitudes are unchanged. Which number should be subtracted?", 0
    if abs(off[0] - mean) < 1e-3:
        return None, int(at[0])
    if abs(off[0] - plain) < 1e-3:
        return "All observations have the same weight in this mean. What do their errors tell?", 0
    if abs(np.average(m_cut, weights=e_cut**-2.0)) < 1e-3 or abs(m_cut.mean()) < 1e-3:
        return f"The window of {band} has mean zero. What happens to the star's colour?", 0
    if abs(off[0] - np.average(m, weights=e**-2.0)) < 1e-3:
        return f"You subtracted the mean of band {band} alone. What happens to the star's colour?", 0
    return "The number that you subtracted is not the star's mean. Do you compute it before the cut, over all bands?", 0


@grader("ex-ch2-view")
def _view(view: Callable[[Star, int, np.random.Generator], Star]) -> str | None:
    """A function that cuts a window from each band and subtracts the star's mean."""
    if not callable(view):
        return "Pass the function itself, without brackets after its name, so that it can be tested."
    star, rng = _example(), np.random.default_rng(5)
    mean, plain, starts = _mean(star), _mean(star, weighted=False), []
    for _ in range(_TRIES):
        cut = view({b: (t.copy(), m.copy(), e.copy()) for b, (t, m, e) in star.items()}, _WINDOW, rng)
        if set(cut) != set(star):
            return f"The star has the bands {', '.join(star)}, your view has {', '.join(cut) or 'none'}."
        found = [_band_hint(b, star[b], cut[b], mean, plain) for b in star]
        if hints := [hint for hint, _ in found if hint]:
            return hints[0]
        starts.append([begin for _, begin in found])
    drawn = np.array(starts)
    for k, (band, (t, *_)) in enumerate(star.items()):
        last = len(t) - min(_WINDOW, len(t))
        if set(drawn[:, k]) == {0} and last:
            return f"The window of {band} always begins at the first observation. Draw the beginning at random."
        if last and last not in drawn[:, k]:
            return (
                f"In {_TRIES} tries the last observation of {band} was never in a window. Does a range include its end?"
            )
        if last and 0 not in drawn[:, k]:
            return f"In {_TRIES} tries the first observation of {band} was never in a window."
    if (drawn[:, 0] == drawn[:, 1]).mean() > 0.5:
        return "g and r mostly begin at the same place. The paper draws a window for each band independently."
    return None


@grader("ex-ch2-share")
def _share(share: float) -> str | None:
    """Expected share of bins that are dropped."""
    share = float(share)
    occupied, rank = np.unique((_TIMES // 5).astype(int), return_inverse=True)
    drawn = int(0.5 * len(occupied)) / len(occupied)
    safe = np.isin(np.arange(len(occupied)), occupied)
    right = drawn * safe.mean()
    for wrong, hint in (
        (right, None),
        (100 * right, "A share lies between 0 and 1."),
        (0.5, "That is the nominal rate. How many whole bins can be drawn of these?"),
        (drawn, "That is the share of bins that are *drawn*. Which observations can a drawn number hit?"),
        (0.5 * safe.mean(), "Half of this many bins is not a whole number. How many does the rule draw?"),
        (
            safe.mean(),
            "That is the share of bins that *can* be dropped. How probable is it that such a bin is dropped?",
        ),
        (1 - right, "That is the share that is kept."),
        (drawn * safe[rank].mean(), "That is the share of observations. The exercise asks for bins."),
        (1 - safe.mean(), "That is the share of bins that can never be dropped."),
    ):
        if abs(share - wrong) < 0.002:
            return hint
    return "List number and rank of each bin side by side. Which ranks are also bin numbers? How often is one drawn?"


@grader("ex-ch2-reverse")
def _reverse(star: Star, back: Star, harmless: Iterable[str]) -> str | None:
    """A star in reversed time, and the classes that look alike both ways."""
    if set(star) != set(back):
        return "The reversed star has different bands."
    for band, (mjd, mag, _) in star.items():
        t, m = (np.asarray(c, float) for c in back[band][:2])
        order = np.argsort(t, kind="stable")
        if len(t) != len(mjd):
            return f"Reversing loses no observation; {band} had {len(mjd)} and has {len(t)}."
        same_gaps = np.allclose(np.diff(t[order]), np.diff(mjd)[::-1], atol=1e-6)
        if np.allclose(np.diff(t[order]), np.diff(mjd), atol=1e-6) and not same_gaps:
            return "The gaps are in the old order: the times still run forwards."
        if not same_gaps:
            return "The gaps between observations are not the old ones in reverse order. Did you stretch time?"
        if np.ptp(mag) > 1e-3 and np.ptp(m[order] + mag[::-1]) < 1e-3:
            return "You reversed the sign of the magnitudes. Reverse the times instead."
        if not np.allclose(m[order], mag[::-1], atol=1e-4):
            return "Times are reversed, but the magnitudes do not follow them: each belongs to its own time."
    named = set(harmless)
    if unknown := named - set(_ASKED):
        return f"{', '.join(sorted(unknown))}: not among the five classes of the exercise."
    if any(not _ASKED[name] for name in named):
        return "One of the classes that you call harmless rises fast and falls slowly. Look again at the gallery."
    if named != {name for name, either_way in _ASKED.items() if either_way}:
        return "More classes have light curves that look alike both ways. Are all the others asymmetric in time?"
    return None


@grader("ex-ch2-window")
def _window(share: float, anchor: Tokens, data: Prepared) -> str | None:
    """Share of anchors whose windows in g and r do not overlap in time."""
    share = float(share)
    begin, end, naive = [], [], []
    for wavelength in data.log_wavelength[:2]:
        here = torch.isclose(anchor.band, wavelength, atol=1e-4) & ~anchor.mask
        begin.append(anchor.times.masked_fill(~here, torch.inf).amin(1))
        end.append(anchor.times.masked_fill(~here, -torch.inf).amax(1))
        naive.append((anchor.times * here).amin(1))  # absent observations count as time 0
    g_first, r_first = end[0] < begin[1], end[1] < begin[0]
    right = float((g_first | r_first).double().mean())
    for wrong, hint in (
        (right, None),
        (100 * right, "A share lies between 0 and 1."),
        (1 - right, "That is the share whose windows do overlap."),
        (
            float(g_first.double().mean()),
            "Windows can miss each other in two orders. You count those where g comes first.",
        ),
        (
            float(r_first.double().mean()),
            "Windows can miss each other in two orders. You count those where r comes first.",
        ),
        (
            float(((end[0] < naive[1]) | (end[1] < naive[0])).double().mean()),
            "You included places without an observation of the band. What time do they hold?",
        ),
    ):
        if abs(share - wrong) < 0.002:
            return hint
    return "Two windows miss each other where one ends before the other begins. Take first and last time of each band."
