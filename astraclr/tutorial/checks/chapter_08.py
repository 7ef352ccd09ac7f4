"""Graders of chapter 8: a loss with another denominator, two rules for the middle crop, exports that are refused."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Tokens
from astraclr.interop.onnx_export import export_onnx
from astraclr.interop.onnx_inputs import N_TOKENS, ModelInputs, model_inputs
from astraclr.model.checkpoint import Checkpoint
from astraclr.train.losses import chance_level, floor_level, nt_xent
from astraclr.tutorial.checks import grader

_T = 0.1
"""Temperature of the recipe."""


def _strict(z: Tensor, temperature: float = _T, mistake: str = "") -> float:
    """The loss without the other positives in the denominator; with one mistake in it, or none."""
    flat = z.flatten(0, 1).double()
    flat = flat if mistake == "lengths" else F.normalize(flat, dim=-1)
    similarity = flat @ flat.T / (1.0 if mistake == "temperature" else temperature)
    row = torch.arange(len(flat))
    star = row // len(z) if mistake == "order" else row % z.shape[1]
    itself, same = row[:, None] == row, star[:, None] == star
    other = similarity.masked_fill(same ^ itself if mistake == "itself" else same, -torch.inf).logsumexp(1)
    anchor, partner = (same & ~itself).nonzero().unbind(1)
    close = similarity[anchor, partner]
    total = other[anchor] if mistake == "strangers" else torch.logaddexp(other[anchor], close)
    return float((total - close).mean())


_DENOMINATOR_HINTS = {
    "itself": "An anchor is still compared with itself, which is always its best match.",
    "strangers": "The denominator also lacks the positive of the pair: the probability of the right answer can then "
    "exceed 1, and the loss fall below any floor.",
    "temperature": "It ignores the temperature.",
    "lengths": "Scalar products are cosines only for vectors of length 1.",
    "order": "z is (view, star, dimension): after flattening, how far apart are the rows of one star?",
}


@grader("ex-ch8-denominator")
def _denominator(strict: Callable[[Tensor], Tensor | float], lowest: Mapping[str, float]) -> str | None:
    """A loss whose denominator leaves out other positives, and the lowest values of both losses."""
    if not callable(strict):
        return "Pass the function itself, so that it can be tested on other vectors."
    generator = torch.Generator().manual_seed(8)
    z = 1.5 * torch.randn(3, 6, 5, generator=generator)
    loss = float(strict(z))
    if not math.isclose(loss, _strict(z), rel_tol=1e-4):
        if math.isclose(loss, float(nt_xent(z, _T)), rel_tol=1e-4):
            return "This is still the loss of the reference: its denominator holds other positives of the anchor."
        for mistake, hint in _DENOMINATOR_HINTS.items():
            if math.isclose(loss, _strict(z, mistake=mistake), rel_tol=1e-4):
                return hint
        return "For two stars in three views, write down by hand the four vectors with which one anchor is compared."
    if missing := {"kept", "left out"} - set(lowest):
        return f"`lowest` lacks {' and '.join(sorted(missing))}."
    tags, cold = torch.eye(4).expand(3, 4, 4), 0.01  # perfect vectors; negatives have no weight
    right = {"kept": float(nt_xent(tags, cold)), "left out": _strict(tags, cold)}
    given = {name: float(lowest[name]) for name in right}
    if all(math.isclose(given[name], right[name], abs_tol=1e-3) for name in right):
        return None
    other = {"kept": right["left out"], "left out": right["kept"]}
    if all(math.isclose(given[name], other[name], abs_tol=1e-3) for name in other):
        return "The two values are exchanged. In which loss does a positive compete when all negatives are far away?"
    if any(math.isclose(value, chance_level(3, n), rel_tol=1e-3) for value in given.values() for n in (16, 32, 128)):
        return "That is the level of a constant output. The lowest value is that of perfect vectors."
    if math.isclose(given["kept"], floor_level(4), abs_tol=1e-3):
        return "Which terms remain if negatives have no weight? Count the views of the star without the anchor."
    wide = torch.eye(128).expand(3, 128, 128)
    at_work = {"kept": float(nt_xent(wide, _T)), "left out": _strict(wide)}
    if any(math.isclose(given[name], at_work[name], rel_tol=1e-3) for name in given):
        return "Orthogonal negatives still have some weight at this temperature. Give the limit without them."
    wrong = " and ".join(name for name in right if not math.isclose(given[name], right[name], abs_tol=1e-3))
    return f"The lowest value with the others {wrong}: which terms of the sum are left if negatives have no weight?"


def _held(part: ModelInputs, k: int) -> set[tuple[float, float]]:
    """Observations of all crops of star `k`, as (time, band)."""
    seen = part.mask[k] == 0
    return set(zip(part.times[k][seen].ravel().tolist(), part.band_info[k][seen].ravel().tolist(), strict=True))


@grader("ex-ch8-middle")
def _middle(differ: np.ndarray, few: LightCurves) -> str | None:
    """Number of observations that only one rule's middle crop holds, by star."""
    differ = np.asarray(differ)
    if differ.shape != (len(few),):
        return f"One number for each of the {len(few)} stars is wanted; this has the shape {differ.shape}."
    if differ.dtype == bool:
        return "That tells whether they differ. Count by how many observations they do."
    if differ.max() > N_TOKENS:
        return (
            "More than the number of places: arrays of unlike shape were broadcast. "
            "Compare the shapes of times and mask before you combine them."
        )
    a, b = (model_inputs(few, ("middle",), middle=rule) for rule in ("band", "epoch"))
    one = np.array([len(_held(a, k) - _held(b, k)) for k in range(len(few))])
    other = np.array([len(_held(b, k) - _held(a, k)) for k in range(len(few))])
    if any(np.array_equal(differ, right) for right in (one, other)):
        return None
    if np.array_equal(differ, one + other):
        return "That counts the observations that either rule adds. Count those of one side."
    if not differ.any():
        return "Nothing differs. Did you use the same rule twice?"
    unlike = (a.times != b.times)[..., 0]
    if any(np.array_equal(differ, (unlike & (mask == 0)).sum((1, 2))) for mask in (a.mask, b.mask)):
        return (
            "Those are places. A window that begins one observation later has another one at every place. Count "
            "the observations that only one of the two holds, at any place."
        )
    x, y = (model_inputs(few, middle=rule) for rule in ("band", "epoch"))
    if np.array_equal(differ, [len(_held(x, k) - _held(y, k)) for k in range(len(few))]):
        return "These are all three crops. Ask for the middle one only."
    return "Take the observations of both crops as pairs of time and band, padding left out, and compare the two sets."


def _refusal(checkpoint: Checkpoint) -> str:
    """Message of a refused export; empty if the export succeeds."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            export_onnx(checkpoint, Path(folder) / "broken.onnx")
        except ValueError as error:
            return str(error)
    return ""


def _stops_by_itself(checkpoint: Checkpoint) -> bool:
    """Whether the encoder itself raises an error for the inputs of the exchange contract."""
    ones = torch.ones(1, 4)
    tokens = Tokens(ones, torch.arange(4.0)[None].double(), 3.6 * ones, torch.zeros(1, 4, dtype=torch.bool))
    try:
        with torch.no_grad():
            checkpoint.encoder(tokens)
    except ValueError:
        return True
    return False


@grader("ex-ch8-refuse")
def _refuse(first: Checkpoint, second: Checkpoint, messages: Sequence[str], found_anyway: str) -> str | None:
    """Two checkpoints that are not exported, the messages, and which would fail anyway."""
    if not first.recipe.error_input:
        return "The recipe of the first checkpoint takes no errors as inputs: set its switch."
    if all(weight.isfinite().all() for weight in second.encoder.state_dict().values()):
        return "All weights of the second checkpoint are finite."
    if len(messages) != 2 or not all(messages):
        return "Two messages are wanted, of the first and of the second export."
    texts = [str(message) for message in messages]
    right = [_refusal(c) for c in (first, second)]
    if texts == right[::-1]:
        return "The messages are exchanged."
    for number, (given, wanted) in enumerate(zip(texts, right, strict=True), start=1):
        if given != wanted:
            return f"Message {number} is not what the export of that checkpoint says. Keep the text of its ValueError."
    stops = {name: _stops_by_itself(c) for name, c in (("first", first), ("second", second))}
    if found_anyway not in stops:
        return "`found_anyway` should be the word first or second."
    if not stops[found_anyway]:
        return "Give that encoder the four inputs of a light curve: does anything stop it, or does it return numbers?"
    return None
