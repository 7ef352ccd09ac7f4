"""Graders of chapter 3: attention written from scratch, values of padding, a shift by a year, number of parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from astraclr import config
from astraclr.config import Preset
from astraclr.data.tokens import Tokens
from astraclr.model.config import EncoderConfig
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.tutorial.checks import grader

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
_YEAR = 365.25
_PADDING = {"1e6": 1e6, "inf": math.inf, "nan": math.nan}


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, *, mistake: str = "") -> Tensor:
    """Attention of one star and one head with one mistake in it, or none."""
    width = {"scale": 1.0, "width": float(q.shape[-1]) ** 2, "length": float(len(k))}.get(mistake, float(q.shape[-1]))
    scores = q @ k.T / math.sqrt(width)
    hidden = {"flipped": ~mask, "unmasked": torch.zeros_like(mask), "late": torch.zeros_like(mask)}.get(mistake, mask)
    if mistake == "zero":
        return scores.masked_fill(hidden, 0.0).softmax(-1) @ v
    if mistake == "queries":
        return scores.masked_fill(hidden, -torch.inf).exp().div(scores.exp().sum(0)) @ v
    weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
    return (weights.masked_fill(mask, 0.0) if mistake == "late" else weights) @ v


_ATTENTION_HINTS = {
    "scale": "The scores grow with the width of the heads. By what are they divided in the text?",
    "width": "The scores are divided by too much. Read the denominator in the text again.",
    "length": "The scores are divided by something that depends on the number of keys. It should be the width.",
    "flipped": "It uses only the padding. What does True mean in this book's mask?",
    "unmasked": "Padding is used like any observation. Where do you apply the mask?",
    "late": "Padding gets no weight, but the other weights no longer add up to 1. Mask before the softmax?",
    "zero": "A score of 0 is not a weight of 0: what is exp(0)? Which score gives a weight of 0?",
    "queries": "The weights add up to 1 over the queries. They should add up to 1 over the keys, for each query.",
}


@grader("ex-ch3-attention")
def _attend(attend: Attend) -> str | None:
    """A function that computes attention of one head with a mask."""
    if not callable(attend):
        return "Pass the function itself, without brackets after its name, so that it can be tested."
    generator = torch.Generator().manual_seed(3)
    q, k, v = torch.randn(3, 7, 4, generator=generator).mul(1.5)
    mask = torch.tensor([False, False, True, False, False, True, True])
    everything = torch.zeros_like(mask)  # without padding a softmax over the wrong axis is finite, too
    over_queries = (q @ k.T / q.shape[-1] ** 0.5).softmax(0) @ v
    unpadded = torch.as_tensor(attend(q, k, v, everything))
    if unpadded.shape == over_queries.shape and torch.allclose(unpadded, over_queries, atol=1e-5):
        return _ATTENTION_HINTS["queries"]
    given, right = torch.as_tensor(attend(q, k, v, mask)), _attention(q, k, v, mask)
    if given.shape != right.shape:
        return f"Your result has the shape {tuple(given.shape)}; each query gets one vector, as wide as a value."
    if given.isnan().any():
        return "It gives NaN where three of seven keys are padding. What does 0 times infinity give?"
    if not torch.allclose(given, right, atol=1e-4):
        for mistake, hint in _ATTENTION_HINTS.items():
            if torch.allclose(given, _attention(q, k, v, mask, mistake=mistake), atol=1e-4):
                return hint
        return "Not attention yet: scores of each query with each key, a softmax over the keys, a sum of the values."
    q = 100 * q
    if not torch.allclose(torch.as_tensor(attend(q, k, v, mask)), _attention(q, k, v, mask), atol=1e-3):
        return (
            "Right for small scores, wrong for large ones. What does exp() give there? Subtracting a constant from all "
            "scores does not change a softmax."
        )
    return None


@grader("ex-ch3-nan")
def _nan(finite: Mapping[str, bool]) -> str | None:
    """Whether the encoder's output stays finite for each value of padding."""
    if set(finite) != set(_PADDING):
        return f"One answer each is wanted, True or False, for {', '.join(_PADDING)}."
    mask = torch.tensor([[False, False, True], [False, True, True]])
    encoder = new_encoder(config.preset("tiny"), config.recipe("corrected"), 0).eval()
    encoder.form = "padded"
    kinds = (0.1, torch.float32), (9.0, torch.float64), (3.7, torch.float32)
    with torch.no_grad():
        for name, value in _PADDING.items():
            filled = [torch.full(mask.shape, x, dtype=kind).masked_fill(mask, value) for x, kind in kinds]
            survives = bool(encoder(Tokens(filled[0], filled[1], filled[2], mask)).isfinite().all())
            if bool(finite[name]) == survives:
                continue
            if name == "1e6":
                return "1e6 is a finite number, and its weight is exactly 0. What is their product?"
            return f"Try {name} again: what is a weight of 0 times {name}?"
    return None


@grader("ex-ch3-shift")
@torch.no_grad()
def _shift(ratios: Mapping[str, float], tokens: Tokens, preset: Preset, seed: int) -> str | None:
    """How far embeddings move in a year, over the distance between stars."""
    if set(ratios) != {"paper", "corrected"}:
        return "Two ratios are wanted, by the names of the recipes: paper and corrected."
    for name in ratios:
        encoder = new_encoder(preset, config.recipe(name), seed).eval()
        h, later = encoder(tokens), encoder(tokens._replace(times=tokens.times + _YEAR))
        moved = float((later - h).norm(dim=1).median())
        distances = torch.cdist(h, h)
        between = float(distances[~torch.eye(len(h), dtype=torch.bool)].median())
        day = float((encoder(tokens._replace(times=tokens.times + 1)) - h).norm(dim=1).median())
        hint = _ratio_hint(float(ratios[name]), moved, between, float(distances.max()), day)
        if hint:
            return f"{name}: {hint}"
    return None


def _ratio_hint(given: float, moved: float, between: float, largest: float, day: float) -> str | None:
    """Hint about a ratio of distances; None if it is right."""
    for wrong, hint in (
        (moved / between, None),
        (between / moved, "the ratio is upside down. How far did it move, in units of the distance between stars?"),
        (moved, "a distance alone has no scale. Divide by a typical distance between two stars."),
        (moved / largest, "the largest distance between two stars is not a typical one. Which number is robust?"),
        (day / between, "this is the effect of one day. How many days has a year?"),
        (0.0, "nothing moved. Did the encoder get the shifted times?"),
    ):
        if abs(given - wrong) < 0.015 * max(wrong, 0.1):
            return hint
    return "not the median shift over the median distance of two different stars, of these tokens and this seed."


@grader("ex-ch3-count")
def _count(number: int) -> str | None:
    """Number of parameters of the paper's encoder."""
    with torch.device("meta"):
        encoder = Encoder(EncoderConfig.of(config.preset("paper"), config.recipe("paper")))
    size = {name: p.numel() for name, p in encoder.named_parameters()}
    total = sum(size.values())

    def of(*parts: str) -> int:
        return sum(n for name, n in size.items() if any(part in name for part in parts))

    layer, band = of("layers.0."), of("embedding.band.0.")
    if len(str(int(number))) < len(str(total)) - 1:
        return "Far too few. Did you count all layers? A matrix from a to b numbers has a times b entries."
    for off, hint in (
        (0, None),
        (of("bias"), "All biases are missing: a linear layer adds one number per output."),
        (of("bias") - of("norm1.bias", "norm2.bias"), "The biases of the linear layers are missing."),
        (of("norm1", "norm2"), "The layer norms are missing: each has a scale and a shift per entry."),
        (of("norm1", "norm2") // 2, "Two norms a layer, each with a scale and a shift: one of these was halved."),
        (of("projection"), "The projection head is missing; it is small, but it counts."),
        (
            of("embedding"),
            "The embedding is missing: magnitude, and band in two layers. The time encoding has no parameters.",
        ),
        (of("embedding.band"), "The band's two linear layers are missing."),
        (band, "The band network has two layers; its first one is missing."),
        (of("layers") - layer, "One layer was counted. How many are there?"),
        (of("attention.out"), "Attention has one matrix more, which follows when the heads are put side by side."),
        (-encoder.config.d_model // 2, "The rates of the time encoding are fixed, and so they are not parameters."),
    ):
        if int(number) == total - off:
            return hint
    return f"Off by {abs(int(number) - total):,}. Which part of the encoder holds that many, or a multiple?"
