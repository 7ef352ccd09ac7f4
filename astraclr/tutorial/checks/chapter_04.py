"""Graders of chapter 4: the loss written from scratch, its floor, the shortest warm-up, equal weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from astraclr.train.losses import chance_level, floor_level, nt_xent
from astraclr.tutorial.checks import grader

_VIEWS, _TAGS, _BATCH = 3, 128, 32
"""Views of the recipe; stars with a vector of their own, and stars in a batch of `short_run`, as in the chapter."""


def _literal(z: Tensor, temperature: float, *, mistake: str = "") -> float:
    """NT-Xent with one mistake in it, or none."""
    n_views, batch, _ = z.shape
    flat = (z if mistake == "lengths" else F.normalize(z, dim=-1)).flatten(0, 1).double()
    logits = flat @ flat.T / {"temperature": 1.0, "times": 1 / temperature}.get(mistake, temperature)
    row = torch.arange(n_views * batch)
    star = row // n_views if mistake == "order" else row % batch
    itself = row[:, None] == row
    same = (star[:, None] == star) & ~itself
    left_out = {"itself": torch.zeros_like(itself), "positives": same | itself}.get(mistake, itself)
    total = logits.masked_fill(left_out, -torch.inf).logsumexp(1, keepdim=True)
    if mistake == "positives":  # only its own positive, and strangers
        total = torch.logaddexp(total, logits)
    pairs = (total - logits)[same & (row[:, None] < row) if mistake in ("once", "sum once") else same]
    if mistake == "sum views":  # a mean over anchors of the sum over their positives
        return float(pairs.sum() / len(row))
    return float(pairs.sum() if mistake in ("sum", "sum once") else pairs.mean())


_SUM = "It is a sum over the pairs. Take their mean: the loss should not grow with the number of pairs."
_LOSS_HINTS = {
    "lengths": "Scalar products are cosines only for vectors of length 1. What must be done to z first?",
    "temperature": "It ignores the temperature. Where does T stand in the formula?",
    "times": "It multiplies by the temperature. A small T should make differences between similarities larger.",
    "itself": "An anchor is also compared with itself, which is always its best match. Which k does the sum leave out?",
    "positives": "Its denominator leaves out the other positives of the anchor. Over what does the sum run?",
    "order": "It pairs rows of different stars. z is (view, star, dimension): after flattening, how far apart are "
    "the rows of one star?",
    "once": "It counts each pair once. But the losses of (i, j) and (j, i) have different denominators.",
    "sum": _SUM,
    "sum once": _SUM,
    "sum views": "It sums over the positives of an anchor. Take the mean over all pairs of an anchor and a positive.",
}


@grader("ex-ch4-loss")
def _loss(loss: Callable[[Tensor, float], Tensor | float]) -> str | None:
    """A function that computes NT-Xent."""
    if not callable(loss):
        return "Pass the function itself, without brackets after its name, so that it can be tested."
    generator = torch.Generator().manual_seed(4)
    z = torch.empty(0)
    for n_views, batch in ((3, 4), (2, 5), (4, 3)):
        z = 1.5 * torch.randn(n_views, batch, 6, generator=generator)
        given, right = float(loss(z, 0.3)), float(nt_xent(z, 0.3))
        if math.isclose(given, right, rel_tol=1e-4):
            continue
        if math.isclose(given, -right, rel_tol=1e-4):
            return "The size is right and the sign is not. A loss falls when the right answer becomes more probable."
        for mistake, hint in _LOSS_HINTS.items():
            if math.isclose(given, _literal(z, 0.3, mistake=mistake), rel_tol=1e-4):
                return hint
        return (
            f"With {n_views} views of {batch} stars it is not the loss of the formula. Compare the terms of one "
            "anchor with the loop of the chapter, pair by pair."
        )
    if not math.isfinite(float(loss(z, 0.005))):
        return (
            "It is right, but not finite at T = 0.005: the exponentials are larger than a float can hold. "
            "Which function of torch computes the logarithm of such a sum without overflow?"
        )
    return None


@grader("ex-ch4-floor")
def _floor(floor: float, above: Mapping[float, float]) -> str | None:
    """Floor of the loss for two views, and how far unique vectors lie above that of three."""
    floor = float(floor)
    if not math.isclose(floor, floor_level(2), abs_tol=1e-9):
        if math.isclose(floor, floor_level(3), rel_tol=1e-3) or math.isclose(floor, math.log(2), rel_tol=1e-3):
            return "That is the floor of three views. Count the positives of an anchor, not its views."
        if math.isclose(floor, chance_level(2, _TAGS), rel_tol=1e-3):
            return "That is the level of a constant output. The floor is that of perfect vectors."
        if 0 < floor < 0.05:
            return (
                "That is the loss of unique vectors, in which negatives still have some weight. Give the limit itself."
            )
        return "Which terms remain in the sum if every negative has a weight of 0? The floor follows from them."
    tags = {v: torch.eye(_TAGS).expand(v, -1, -1) for v in (2, _VIEWS)}
    if set(above) != {0.1, 0.05}:
        return f"The distances are wanted at the temperatures 0.1 and 0.05; you gave {sorted(above)}."
    for temperature, given in above.items():
        loss = {v: float(nt_xent(z, temperature)) for v, z in tags.items()}
        right = loss[_VIEWS] - floor_level(_VIEWS)
        if math.isclose(float(given), right, rel_tol=0.05, abs_tol=2e-6):
            continue
        if math.isclose(float(given), loss[_VIEWS], rel_tol=1e-3):
            return "That is the loss itself. How far is it above the floor of three views?"
        if math.isclose(float(given), loss[2], rel_tol=0.05, abs_tol=1e-9):
            return "These are for two views. The distances are wanted for three."
        return f"At T = {temperature} {_TAGS} unique vectors in {_VIEWS} views have another distance from the floor."
    return None


def _collapsed(gauge: Mapping[str, float]) -> bool:
    """Whether all stars have the same embedding."""
    return abs(gauge["val_loss"] - chance_level(_VIEWS, _BATCH)) < 0.02 and gauge["uniformity"] > -0.02


@grader("ex-ch4-warmup")
def _warmup(shortest: int, tried: Mapping[int, Mapping[str, float]]) -> str | None:
    """Shortest warm-up that does not collapse, and the gauges of all runs."""
    if not tried or not all(isinstance(gauge, Mapping) and "uniformity" in gauge for gauge in tried.values()):
        return "`tried` should hold the gauges of each run, the second value that `short_run` returns, by warm-up."
    if shortest not in tried:
        return f"There is no run with a warm-up of {shortest} among those that you tried: {sorted(tried)}."
    if _collapsed(tried[shortest]):
        return f"With {shortest} every star has the same vector: look at its loss and its uniformity together."
    shorter = [warmup for warmup in tried if warmup < shortest]
    if not any(_collapsed(tried[warmup]) for warmup in shorter):
        return "None of the shorter warm-ups that you tried collapses. Try even shorter ones."
    if not _collapsed(tried[max(shorter)]):
        return f"A shorter warm-up that you tried, {max(shorter)}, does not collapse either. The shortest is asked for."
    if shortest > 2 * max(shorter):
        return f"{max(shorter)} collapses and {shortest} does not; the limit lies in between. Try a value there."
    return None


@grader("ex-ch4-bytes")
def _bytes(first: Any, second: Any, third: Any) -> str | None:
    """Three checkpoints: two with the same weights, one with others."""
    runs = [first, second, third]
    if any(a is b for a, b in ((first, second), (first, third), (second, third))):
        return "Two of the three are the same object. Train three times."
    states = [getattr(run, "encoder", run).state_dict() for run in runs]
    if any(
        set(state) != set(states[0]) or any(state[k].shape != w.shape for k, w in states[0].items()) for state in states
    ):
        return "The three encoders differ in shape. Only the seed should differ, and only the third one's."
    same = [[torch.equal(w, state[k]) for k, w in states[0].items()] for state in states[1:]]
    if not all(same[0]):
        near = all(torch.allclose(w, states[1][k], atol=1e-4) for k, w in states[0].items())
        if near:
            return (
                "The first two differ in their last digits. Use one processor thread, which adds sums in a fixed order."
            )
        return "The first two differ. Did they have the same seed, stars and number of steps?"
    if all(same[1]):
        return "The third has the same weights, too. Did you give it another seed?"
    return None
