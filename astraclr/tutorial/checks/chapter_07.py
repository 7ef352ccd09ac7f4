"""Graders of chapter 7: how far weights move, optimism of a chosen pass, bright and faint stars, lost similarity."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_RATE, FineTuned
from astraclr.evaluate.splits import bright
from astraclr.model.checkpoint import Checkpoint
from astraclr.tutorial.checks import grader


def _near(a: float, b: float, off: float = 5e-4) -> bool:
    """Whether two numbers differ by at most `off`."""
    return abs(float(a) - float(b)) <= off


def _missing(given: Mapping[str, object], wanted: Mapping[str, object], what: str) -> str | None:
    """Hint that tells which names an answer lacks."""
    lacking = ", ".join(name for name in wanted if name not in given)
    return f"{what} lacks {lacking}." if lacking else None


@grader("ex-ch7-rate")
def _rate(slow: FineTuned, furthest: float, checkpoint: Checkpoint) -> str | None:
    """Largest change of a weight of the encoder in a run."""
    losses = slow.history["loss"].to_numpy(float)
    if np.isnan(losses[:1]).any():
        return "This run began at a probe (its pass 0 has no loss). The exercise asks for a head of random numbers."
    before, after = checkpoint.encoder.state_dict(), slow.encoder.state_dict()
    if any(before[name].shape != weight.shape for name, weight in after.items()):
        return "The run is of another encoder than `checkpoint`."
    apart = {name: (weight - before[name]).abs().double() for name, weight in after.items()}
    largest = max(float(a.max()) for a in apart.values())
    if largest == 0:
        return "No weight of the encoder has moved. Did you thaw any layers?"
    if largest > 200 * PAPER_RATE:
        return f"A weight moved by {largest:.1e}: that is a run with a far larger rate than the paper's."
    if math.isclose(furthest, largest, rel_tol=0.02):
        return None
    thawed = [a for a in apart.values() if a.any()]
    means = [float(np.mean([a.mean().item() for a in some])) for some in (thawed, list(apart.values()))]
    if any(math.isclose(furthest, mean, rel_tol=0.02) for mean in means):
        return "That is a mean. The rule limits how far a single weight can move: take the one that moved most."
    if math.isclose(furthest, sum(float(a.square().sum()) for a in apart.values()) ** 0.5, rel_tol=0.02):
        return "That is the length of the whole move. Adam's rule is about each weight separately."
    if furthest == 0:
        return "Did you compare the encoder with itself? A run trains a copy; `checkpoint.encoder` is unchanged."
    if furthest < largest:
        return "Some weight moved further. Compare all tensors of `state_dict()`, in both directions."
    return "No weight of the encoder moved as far as that. Is it what the rule allows, or what you measured?"


@grader("ex-ch7-optimism")
def _optimism(
    optimism: Mapping[str, float], said: Mapping[str, np.ndarray], runs: Mapping[str, FineTuned], label: np.ndarray
) -> str | None:
    """Best accuracy on the validation set minus that on the test set, by run."""
    for given, what in ((optimism, "`optimism`"), (said, "`said`")):
        if hint := _missing(given, runs, what):
            return hint
    for name, run in runs.items():
        if len(said[name]) != len(label):
            return f"{len(said[name])} predictions and {len(label)} labels: both should be of the same stars."
        history = run.history["accuracy"].to_numpy(float)
        on_test = float(np.mean(np.asarray(said[name]) == label))
        right, given = float(history.max()) - on_test, float(optimism[name])
        if _near(given, right):
            continue
        if _near(given, -right):
            return "The sign is reversed: optimism is the accuracy on the validation set minus that on the test set."
        if _near(given, 100 * right, 0.05):
            return "These look like points of a hundred. Accuracies here are shares, and so are their differences."
        if _near(given, float(history[-1]) - on_test):
            return "That is of the last pass. Which pass does a run keep, and by which accuracy?"
        if any(_near(given, value) for value in (history.max(), on_test)):
            return "That is one of the two accuracies. The exercise asks for their difference."
        return f"{name}: no pass of its history differs by that much from the accuracy of `said`."
    return None


@grader("ex-ch7-bright")
def _bright(gap: Mapping[str, float], guesses: Mapping[str, np.ndarray], test: LightCurves) -> str | None:
    """Accuracy on bright stars minus that on faint stars, by classifier."""
    if hint := _missing(gap, guesses, "The answer"):
        return hint
    light = bright(test)
    bands = np.arange(len(test.bands))
    first = [test.offsets[len(bands) * np.arange(len(test)) + b] for b in bands]
    for name, guess in guesses.items():
        if len(guess) != len(test):
            return f"{len(guess)} predictions of {len(test)} stars: `guesses` should be of all test stars."
        right = np.asarray(guess) == test.label
        wanted, given = float(right[light].mean() - right[~light].mean()), float(gap[name])
        if _near(given, wanted):
            continue
        if _near(given, -wanted):
            return "The sign is reversed. Small magnitudes are bright."
        if _near(given, right[light].mean() - right.mean()):
            return "That compares the bright stars with all stars, of which they are a part. Compare with faint ones."
        if _near(given, 100 * wanted, 0.05):
            return "These look like points of a hundred. Give differences of shares."
        for b in bands:
            alone = test.mag[np.minimum(first[b], test.n_obs - 1)] < 18
            if alone.any() and not alone.all() and _near(given, right[alone].mean() - right[~alone].mean()):
                return "Did you take a single observation of each star? `bright` uses the mean of a band."
        return f"{name}: its accuracies on bright and on faint stars are not that far apart. Use `bright`."
    return None


def _found_first(crops: np.ndarray, mistake: str = "") -> float:
    """Share of middle crops whose nearest start crop is of their own star."""
    unit = crops if mistake == "lengths" else crops / np.linalg.norm(crops, axis=-1, keepdims=True)
    start, middle = unit[:, 0], unit[:, 1]
    if mistake == "back":
        start, middle = middle, start
    if mistake == "end":
        middle = unit[:, 2]
    return float(((middle @ start.T).argmax(1) == np.arange(len(unit))).mean())


_FORGET_HINTS = {
    "lengths": "Scalar products prefer long vectors. Compare directions only.",
    "back": "You searched the middle crops that are nearest to each start crop. The exercise asks the other way round.",
    "end": "You used end crops instead of middle crops.",
}


@grader("ex-ch7-forget")
def _forget(share: Mapping[str, float], crops: Mapping[str, np.ndarray]) -> str | None:
    """Share of middle crops whose nearest start crop is of their star, before and after."""
    wanted = {"before": 0, "after": 0}
    for given, what in ((share, "`share`"), (crops, "`three`")):
        if hint := _missing(given, wanted, what):
            return hint
    before, after = (np.asarray(crops[name], float) for name in wanted)
    if before.ndim != 3 or before.shape != after.shape:
        return f"Crops should be (star, crop, dimension), alike before and after; not {before.shape} and {after.shape}."
    if np.allclose(before, after, atol=1e-6):
        return (
            "The encoder is the same before and after. Which pass did that run keep? Take a run that kept a later pass."
        )
    for name, x in (("before", before), ("after", after)):
        right, given = _found_first(x), float(share[name])
        if _near(given, right):
            continue
        if _near(given, 1.0) and right < 0.99:
            return f"{name}: each vector is nearest to itself. Compare two different crops."
        for mistake, hint in _FORGET_HINTS.items():
            if _near(given, _found_first(x, mistake)):
                return hint
        if _near(given, 100 * right, 0.05):
            return "Give a share, from 0 to 1."
        return f"{name}: for these crops another share finds its own star first."
    return None
