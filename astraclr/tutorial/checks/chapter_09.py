"""Graders of chapter 9: an older encoder, more windows, a statistic for one kind of event, periods within a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from astraclr.analysis.outliers import disagreement, outlier_scores, purity_at_top
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.model.checkpoint import load_checkpoint
from astraclr.simulation.simulate import simulate
from astraclr.simulation.transients import EVENTS, planted
from astraclr.tutorial.checks import grader

_OFF = 0.07
"""Largest difference of two isolation forests with different seeds in the share of events at the top."""


def _purity(usual: np.ndarray, events: np.ndarray, share: float = 0.05, seed: int = 0) -> float:
    """Share of events among the strangest stars."""
    scores = outlier_scores(np.concatenate([usual, events]), seed)
    return purity_at_top(scores, np.arange(len(scores)) >= len(usual), share, bootstraps=0)["purity"]


def _ranked(
    found: Mapping[str, float],
    sets: Mapping,
    rank: Callable[[np.ndarray], np.ndarray],
    other: Callable[[np.ndarray], np.ndarray],
) -> str | None:
    """Hint if the share of events among the strangest 5 % is not that of the vectors that `rank` makes."""
    if missing := [kind for kind in EVENTS if kind not in found]:
        return f"There is no share for {', '.join(missing)}."
    usual = sets["usual"]
    for kind in EVENTS:
        given, right = float(found[kind]), _purity(rank(usual), rank(sets[kind, True]))
        if abs(given - right) <= _OFF:
            continue
        if given > 1:
            return f"{kind}: give a share, from 0 to 1."
        if abs(given - _purity(rank(usual), rank(sets[kind, True]), 0.01)) <= 0.01:
            return f"{kind}: that is of the strangest 1 %. Give that of the strangest 5 %."
        if abs(given - _purity(rank(usual), rank(sets[kind, False]))) <= 0.01:
            return f"{kind}: that is for the null, the same stars without their event."
        if abs(given - _purity(other(usual), other(sets[kind, True]))) <= 0.02:
            return f"{kind}: you exchanged the mean of the windows and their disagreement. The other one is asked for."
        return f"{kind}: these vectors give another share. Rank all stars together, 980 and 20, strangest first."
    return None


def _mean(windows: np.ndarray) -> np.ndarray:
    """Mean over the windows of each star."""
    return windows.mean(axis=1)


def _shape_of(sets: Mapping, n_windows: int) -> str | None:
    """Hint about sets that are missing or have another shape."""
    needed = ["usual", *((kind, event) for kind in EVENTS for event in (True, False))]
    if missing := [name for name in needed if name not in sets]:
        return f"The vectors of {missing[0]} are missing. Include all five sets of the chapter."
    shapes = {np.shape(sets[name])[1:] for name in needed}
    if any(len(shape) != 2 or shape[0] != n_windows for shape in shapes):
        return (
            f"Vectors should be (star, window, dimension) with {n_windows} windows; these are (star, "
            f"{', '.join(map(str, shapes.pop()))})."
        )
    return None


@grader("ex-ch9-old")
def _old(found: Mapping[str, Mapping[str, float]], three: Mapping) -> str | None:
    """Shares of events at the top with the shipped encoder `tiny`, by star and by windows."""
    if hint := _shape_of(three, 3):
        return hint
    wanted = load_checkpoint("tiny").preset.d_model
    if (given := np.shape(three["usual"])[-1]) != wanted:
        return f'Vectors of {given} dimensions do not come from `load_checkpoint("tiny")`.'
    for what, rank, other in (("star", _mean, disagreement), ("windows", disagreement, _mean)):
        if what not in found:
            return f"The answer lacks {what!r}."
        if hint := _ranked(found[what], three, rank, other):
            return f"By the {what}, {hint}"
    return None


@grader("ex-ch9-windows")
def _windows(found: Mapping[str, float], six: Mapping) -> str | None:
    """Share of events at the top by the disagreement of six windows."""
    return _shape_of(six, 6) or _ranked(found, six, disagreement, _mean)


def _changed(lc: LightCurves, change: Callable[[np.ndarray], np.ndarray]) -> LightCurves:
    """Change the magnitudes of stars, band by band."""
    mag = lc.mag.copy()
    for begin, end in zip(lc.offsets[:-1], lc.offsets[1:], strict=True):
        mag[begin:end] = change(lc.mag[begin:end])
    return replace(lc, mag=mag.astype(np.float32))


def _one_bright_point(mag: np.ndarray) -> np.ndarray:
    """Make the middle observation 4 mag brighter."""
    out = mag.copy()
    out[len(out) // 2 : len(out) // 2 + 1] -= 4
    return out


@grader("ex-ch9-purpose")
def _purpose(brightening: Callable[[LightCurves], np.ndarray]) -> str | None:
    """A function that scores stars by their brightening."""
    if not callable(brightening):
        return "Pass the function itself, so that it can be tested on other stars."
    usual, events = simulate(300, seed=990_001), planted(20, "microlensing", 990_001)
    quiet = planted(20, "microlensing", 990_001, event=False)
    scores = {name: np.asarray(brightening(lc), float) for name, lc in (("events", events), ("quiet", quiet))}
    if scores["events"].shape != (len(events),):
        return (
            f"One number for each star is wanted; {len(events)} stars gave an array of shape {scores['events'].shape}."
        )
    if not np.isfinite(scores["quiet"]).all():
        return "Some scores are not finite. What if the scatter of a star is zero?"
    if not np.allclose(brightening(_changed(quiet, lambda m: m + 2)), scores["quiet"], rtol=0.02, atol=0.02):
        return "The same stars get other scores if they are two magnitudes fainter. Subtract each star's own median."
    if np.median(scores["events"]) < np.median(scores["quiet"]):
        return (
            "Stars with an event score lower than without. Bright means a small magnitude: which median is brightest?"
        )
    if np.mean(brightening(_changed(quiet, _one_bright_point)) > scores["quiet"] + 2) > 0.3:
        return "A single outlying point makes a star an event. Medians of five neighbours should prevent that."
    twice = brightening(_changed(events, lambda m: np.median(m) + 2 * (m - np.median(m))))
    if np.median(twice / scores["events"]) > 1.5:
        return "A star that varies twice as much scores twice as high. Divide the brightening by the star's scatter."
    everyone = np.asarray(brightening(concatenate([usual, events])), float)
    purity = purity_at_top(everyone, np.arange(len(everyone)) >= len(usual), len(events) / len(everyone), 0)["purity"]
    if purity < 0.5:
        return (
            "Among 300 ordinary stars it finds few of 20 microlensing events. Are the points sorted by time, "
            "and of band r only?"
        )
    return None


@grader("ex-ch9-class")
def _class(r2: Mapping[str, float], x: Mapping[str, np.ndarray], inside: LightCurves) -> str | None:
    """Share of the variance of log period that each representation explains within a class."""
    if len(kinds := np.unique(inside.label)) > 1:
        return (
            f"These are stars of {len(kinds)} classes, and the class alone predicts much of the period. Take one class."
        )
    if missing := [name for name in x if name not in r2]:
        return f"`r2` lacks {', '.join(missing)}."
    half, period = len(inside) // 2, inside.period

    def explained(vectors: np.ndarray, target: np.ndarray, on: slice) -> float:
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 5, 17)))
        return float(model.fit(vectors[:half], target[:half]).score(vectors[on], target[on]))

    new, seen = slice(half, None), slice(half)
    for name, vectors in x.items():
        given, right = float(r2[name]), explained(vectors, np.log10(period), new)
        if abs(given - right) <= 0.03:
            continue
        if abs(given - explained(vectors, np.log10(period), seen)) <= 0.005:
            return f"{name}: that is for the stars that it was fitted to. Test on the other half."
        if abs(given - explained(vectors, period, new)) <= 0.005:
            return f"{name}: that is for the period. The logarithm is asked for."
        if abs(given - max(right, 0) ** 0.5) <= 0.01:
            return f"{name}: that looks like a correlation. R² is the share of the variance that is explained."
        return f"{name}: another share is explained. Fit on the first half of `inside`, test on the second."
    return None
