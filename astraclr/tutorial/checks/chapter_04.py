"""Graders of chapter 4: the loss from nothing, its floor, the edge of collapse, equal bytes."""

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
"""Views of the recipe; stars with a name tag, and in a batch of `short_run`, as the chapter has them."""


def _literal(z: Tensor, temperature: float, *, mistake: str = "") -> float:
    """NT-Xent with one mistake in it, or none."""
    n_views, batch, _ = z.shape
    flat = (z if mistake == "lengths" else F.normalize(z, dim=-1)).flatten(0, 1).double()
    logits = flat @ flat.T / (1.0 if mistake == "temperature" else temperature)
    row = torch.arange(n_views * batch)
    star = row // n_views if mistake == "order" else row % batch
    itself = row[:, None] == row
    same = (star[:, None] == star) & ~itself
    left_out = {"itself": torch.zeros_like(itself), "positives": same | itself}.get(mistake, itself)
    total = logits.masked_fill(left_out, -torch.inf).logsumexp(1, keepdim=True)
    if mistake == "positives":  # only its own positive, and strangers
        total = torch.logaddexp(total, logits)
    pairs = (total - logits)[same & (row[:, None] < row) if mistake == "once" else same]
    return float(pairs.sum() if mistake == "sum" else pairs.mean())


_LOSS_HINTS = {
    "lengths": "Scalar products of vectors of any length are no cosines. What has to happen to z first?",
    "temperature": "It ignores the temperature. Where does T stand in the formula?",
    "itself": "An anchor is compared with itself, too, its own best match for ever. Which k does the sum leave out?",
    "positives": "Its denominator leaves out the other positives of the anchor. Read again what the sum runs over.",
    "order": "It takes other rows for one star than z does. z is (view, star, dimension): once flattened, how far "
    "apart are the rows of one star?",
    "once": "It counts each pair once. But the loss of (i, j) has another denominator than that of (j, i).",
    "sum": "It adds the pairs up. The loss of a batch should not grow with the number of its pairs.",
}


@grader("ex-ch4-loss")
def _loss(loss: Callable[[Tensor, float], Tensor | float]) -> str | None:
    if not callable(loss):
        return "Hand over the function itself, without brackets behind its name, so that it can be tried."
    generator = torch.Generator().manual_seed(4)
    z = torch.empty(0)
    for n_views, batch in ((3, 4), (2, 5), (4, 3)):
        z = 1.5 * torch.randn(n_views, batch, 6, generator=generator)
        said, right = float(loss(z, 0.3)), float(nt_xent(z, 0.3))
        if math.isclose(said, right, rel_tol=1e-4):
            continue
        if math.isclose(said, -right, rel_tol=1e-4):
            return "The size is right and the sign is not. A loss falls when the right answer becomes more probable."
        for mistake, hint in _LOSS_HINTS.items():
            if math.isclose(said, _literal(z, 0.3, mistake=mistake), rel_tol=1e-4):
                return hint
        return (
            f"With {n_views} views of {batch} stars it is not the loss of the formula. Compare the terms of one "
            "anchor with the loop of the chapter, pair by pair."
        )
    if not math.isfinite(float(loss(z, 0.005))):
        return (
            "It is right, but no number at T = 0.005: the exponentials have outgrown what a float can hold. "
            "Which function of torch takes the logarithm of such a sum without writing it down?"
        )
    return None


@grader("ex-ch4-floor")
def _floor(floor: float, above: Mapping[float, float]) -> str | None:
    floor = float(floor)
    if not math.isclose(floor, floor_level(2), abs_tol=1e-9):
        if math.isclose(floor, floor_level(3), rel_tol=1e-3) or math.isclose(floor, math.log(2), rel_tol=1e-3):
            return "Is that not the floor of three views? Count the positives of an anchor, not its views."
        if math.isclose(floor, chance_level(2, _TAGS), rel_tol=1e-3):
            return "That is the level of a constant output. The floor is at the other end."
        if 0 < floor < 0.05:
            return "That is where name tags come to lie, with some weight left on strangers. Give the limit itself."
        return "What would the sum hold if every stranger weighed nothing? The floor follows from what is left."
    tags = {v: torch.eye(_TAGS).expand(v, -1, -1) for v in (2, _VIEWS)}
    if set(above) != {0.1, 0.05}:
        return f"The distances are wanted at the temperatures 0.1 and 0.05; there are some at {sorted(above)}."
    for temperature, said in above.items():
        loss = {v: float(nt_xent(z, temperature)) for v, z in tags.items()}
        right = loss[_VIEWS] - floor_level(_VIEWS)
        if math.isclose(float(said), right, rel_tol=0.05, abs_tol=2e-6):
            continue
        if math.isclose(float(said), loss[_VIEWS], rel_tol=1e-3):
            return "That is the loss itself. How far is it above the floor of three views?"
        if math.isclose(float(said), loss[2], rel_tol=0.05, abs_tol=1e-9):
            return "These are two views. The distances are wanted for three."
        return f"At T = {temperature} name tags of {_TAGS} stars in {_VIEWS} views lie elsewhere above their floor."
    return None


def _collapsed(gauge: Mapping[str, float]) -> bool:
    return abs(gauge["val_loss"] - chance_level(_VIEWS, _BATCH)) < 0.02 and gauge["uniformity"] > -0.02


@grader("ex-ch4-warmup")
def _warmup(shortest: int, tried: Mapping[int, Mapping[str, float]]) -> str | None:
    if not tried or not all(isinstance(gauge, Mapping) and "uniformity" in gauge for gauge in tried.values()):
        return "`tried` should hold the gauges of each run, the second thing that `short_run` gives back, by warm-up."
    if shortest not in tried:
        return f"There is no run with a warm-up of {shortest} among those that you tried: {sorted(tried)}."
    if _collapsed(tried[shortest]):
        return f"With {shortest} every star has the same vector: look at its loss and its uniformity together."
    shorter = [warmup for warmup in tried if warmup < shortest]
    if not any(_collapsed(tried[warmup]) for warmup in shorter):
        return "None of the shorter ones that you tried collapses, so the edge may lie lower. Go on downwards."
    if not _collapsed(tried[max(shorter)]):
        return f"A shorter warm-up that you tried, {max(shorter)}, does not collapse either. Best is another question."
    if shortest > 2 * max(shorter):
        return f"Between {max(shorter)}, which collapses, and {shortest} the edge may be anywhere. Try one in between."
    return None


@grader("ex-ch4-bytes")
def _bytes(first: Any, second: Any, third: Any) -> str | None:
    runs = [first, second, third]
    if any(a is b for a, b in ((first, second), (first, third), (second, third))):
        return "Two of the three are one and the same object. Train three times."
    states = [getattr(run, "encoder", run).state_dict() for run in runs]
    if any(
        set(state) != set(states[0]) or any(state[k].shape != w.shape for k, w in states[0].items()) for state in states
    ):
        return "The three encoders differ in shape. Only the seed should differ, and only the third one's."
    same = [[torch.equal(w, state[k]) for k, w in states[0].items()] for state in states[1:]]
    if not all(same[0]):
        near = all(torch.allclose(w, states[1][k], atol=1e-4) for k, w in states[0].items())
        if near:
            return "The first two differ in their last digits. On one processor thread sums are added in one order."
        return "The first two differ. Did they have the same seed, stars and number of steps?"
    if all(same[1]):
        return "The third has the same weights, too. Did it have another seed?"
    return None
