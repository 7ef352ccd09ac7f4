"""Graders of chapter 2: a view from nothing, bins dropped by rank, time reversed, windows that do not overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch

from astraclr.data.tokens import Prepared, Tokens
from astraclr.tutorial.checks import grader

Star = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
_TIMES = np.array([0.0, 1.0, 7.0, 13.0, 100.0, 104.0, 250.0, 251.0])
"""Days; the chapter's handful."""
_WINDOW, _TRIES = 5, 400
_ASKED = {"RR": False, "ECL": True, "ELL": True, "AGN": True, "CV": False}
"""Whether a light curve of the class could as well have run backwards."""


def _example() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """A red star with unequal errors: bands longer than a window, and one shorter."""
    rng = np.random.default_rng(2)
    sizes, levels = {"g": 9, "r": 8, "i": 3}, {"g": 17.4, "r": 16.1, "i": 15.2}
    return {
        b: (58_000 + np.sort(rng.uniform(0, 900, n)), levels[b] + rng.normal(0, 0.3, n), rng.uniform(0.01, 0.1, n))
        for b, n in sizes.items()
    }


def _mean(star: Star, weighted: bool = True) -> float:
    mag, magerr = (np.concatenate([columns[k] for columns in star.values()]) for k in (1, 2))
    return float(np.average(mag, weights=magerr**-2.0 if weighted else None))


def _band_hint(band: str, whole: tuple, cut: tuple, mean: float, plain: float) -> tuple[str | None, int]:
    """What is wrong with a window of one band, and where it begins."""
    (t, m, e), (t_cut, m_cut, e_cut) = whole, (np.asarray(c, float) for c in cut)
    if len(t_cut) != min(_WINDOW, len(t)):
        if len(t) < _WINDOW:
            return f"Band {band} has fewer observations than a window and should come whole.", 0
        return f"Band {band}: {len(t_cut)} observations instead of {_WINDOW}.", 0
    at = np.searchsorted(t, t_cut)
    if (at >= len(t)).any() or not np.array_equal(t[np.minimum(at, len(t) - 1)], t_cut):
        return f"Band {band} shows times at which the star was not observed.", 0
    if (np.diff(at) != 1).any():
        return f"The observations of {band} are not consecutive. A window has no holes.", 0
    if not np.allclose(e_cut, e[at]):
        return f"The errors of {band} are not those of its window. Are all three columns cut alike?", 0
    off = m[at] - m_cut
    if np.ptp(off) > 1e-4:
        return f"The magnitudes of {band} do not belong to its times, or were more than shifted.", 0
    if abs(off[0]) < 1e-6:
        return "The magnitudes are as they were. Which number should come off?", 0
    if abs(off[0] - mean) < 1e-3:
        return None, int(at[0])
    if abs(off[0] - plain) < 1e-3:
        return "All observations count alike in this mean. What do their errors say?", 0
    if abs(np.average(m_cut, weights=e_cut**-2.0)) < 1e-3 or abs(m_cut.mean()) < 1e-3:
        return f"The window of {band} has mean zero. What became of the star's colour?", 0
    if abs(off[0] - np.average(m, weights=e**-2.0)) < 1e-3:
        return f"Band {band} lost its own mean. What became of the star's colour?", 0
    return "The number taken off is not the star's mean. Is it computed before anything is cut, over all bands?", 0


@grader("ex-ch2-view")
def _view(view: Callable[[Star, int, np.random.Generator], Star]) -> str | None:
    if not callable(view):
        return "Hand over the function itself, without brackets behind its name, so that it can be tried."
    star, rng = _example(), np.random.default_rng(5)
    mean, plain, starts = _mean(star), _mean(star, weighted=False), []
    for _ in range(_TRIES):
        cut = view({b: (t.copy(), m.copy(), e.copy()) for b, (t, m, e) in star.items()}, _WINDOW, rng)
        if set(cut) != set(star):
            return f"Bands {', '.join(star)} went in, {', '.join(cut) or 'none'} came out."
        found = [_band_hint(b, star[b], cut[b], mean, plain) for b in star]
        if hints := [hint for hint, _ in found if hint]:
            return hints[0]
        starts.append([begin for _, begin in found])
    drawn = np.array(starts)
    for k, (band, (t, *_)) in enumerate(star.items()):
        last = len(t) - min(_WINDOW, len(t))
        if set(drawn[:, k]) == {0} and last:
            return f"The window of {band} always begins at the first observation. Where is chance?"
        if last and last not in drawn[:, k]:
            return f"In {_TRIES} tries the last observation of {band} was never shown. Does the end of a range count?"
        if last and 0 not in drawn[:, k]:
            return f"In {_TRIES} tries the first observation of {band} was never shown."
    if (drawn[:, 0] == drawn[:, 1]).mean() > 0.5:
        return "g and r begin at the same place most times. The paper draws a window for every band by itself."
    return None


@grader("ex-ch2-share")
def _share(share: float) -> str | None:
    share = float(share)
    occupied, rank = np.unique((_TIMES // 5).astype(int), return_inverse=True)
    drawn = int(0.5 * len(occupied)) / len(occupied)
    safe = np.isin(np.arange(len(occupied)), occupied)
    right = drawn * safe.mean()
    for wrong, hint in (
        (right, None),
        (100 * right, "A share lies between 0 and 1."),
        (0.5, "That is the nominal rate. How many whole bins of these can be drawn?"),
        (drawn, "That is the share of bins that are *drawn*. Which observations can a drawn number hit?"),
        (0.5 * safe.mean(), "Half of this many bins is not a whole number. How many does the rule draw?"),
        (safe.mean(), "That is the share of bins that *can* be dropped. How probable is it that such a one is?"),
        (1 - right, "That is the share that stays."),
        (drawn * safe[rank].mean(), "That is the share of observations. The exercise asks for bins."),
        (1 - safe.mean(), "That is the share of bins that are safe for ever."),
    ):
        if abs(share - wrong) < 0.002:
            return hint
    return "List number and rank of each bin side by side. Which ranks are numbers too, and how often is one drawn?"


@grader("ex-ch2-reverse")
def _reverse(star: Star, back: Star, harmless: Iterable[str]) -> str | None:
    if set(star) != set(back):
        return "The reversed star has other bands."
    for band, (mjd, mag, _) in star.items():
        t, m = (np.asarray(c, float) for c in back[band][:2])
        order = np.argsort(t, kind="stable")
        if len(t) != len(mjd):
            return f"Reversing loses no observation; {band} had {len(mjd)} and has {len(t)}."
        same_gaps = np.allclose(np.diff(t[order]), np.diff(mjd)[::-1], atol=1e-6)
        if np.allclose(np.diff(t[order]), np.diff(mjd), atol=1e-6) and not same_gaps:
            return "The gaps come in the old order: the times still run forwards."
        if not same_gaps:
            return "The gaps between observations are not the old ones in reverse order. Was time stretched?"
        if np.ptp(mag) > 1e-3 and np.ptp(m[order] + mag[::-1]) < 1e-3:
            return "Magnitudes were turned over. That is another mirror."
        if not np.allclose(m[order], mag[::-1], atol=1e-4):
            return "Times run backwards, but the magnitudes do not go with them: each must stay with its own time."
    named = set(harmless)
    if unknown := named - set(_ASKED):
        return f"{', '.join(sorted(unknown))}: not among the five that the exercise asks about."
    if any(not _ASKED[name] for name in named):
        return "One of the classes that you call harmless has a fast and a slow side. Look again at the gallery."
    if named != {name for name, either_way in _ASKED.items() if either_way}:
        return "There are more classes whose light curves look alike both ways. Is every one of the others lopsided?"
    return None


@grader("ex-ch2-window")
def _window(share: float, anchor: Tokens, data: Prepared) -> str | None:
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
        (float(g_first.double().mean()), "There are two ways to miss. You count those where g comes first."),
        (float(r_first.double().mean()), "There are two ways to miss. You count those where r comes first."),
        (
            float(((end[0] < naive[1]) | (end[1] < naive[0])).double().mean()),
            "Places without an observation of the band took part. What time stands there?",
        ),
    ):
        if abs(share - wrong) < 0.002:
            return hint
    return "Two windows miss each other where one ends before the other begins. Take first and last time of each band."
