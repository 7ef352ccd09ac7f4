"""Light curves of unequal length in one batch: three forms of one computation, and less memory for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.data.tokens import Tokens

Form = Literal["packed", "padded", "grouped"]
"""How a batch is computed, always with the same result: tokens of all light curves in one list, attention within each
(half precision on CUDA); a rectangle as wide as its longest row; some rectangles of light curves of like length."""
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values to weighted sums of the values, each (..., heads, length, d_model / heads): all that a layer
is told about where one light curve ends and the next begins."""


def over_rows(mask: Tensor | None) -> Mix:
    """Attention within the rows of a rectangle.

    Parameters
    ----------
    mask : (batch, length) bool, True = ignore; None where nothing is masked, which is faster
    """
    seen = None if mask is None else ~mask[:, None, None]
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def over_segments(filled: Tensor, longest: int) -> Mix:
    """Attention within light curves that follow one another in one list, for half precision on a CUDA device.

    Parameters
    ----------
    filled : (batch,) int, tokens of each
    longest : the largest of `filled`, or more
    """
    from torch.nn.attention.varlen import varlen_attn

    ends = F.pad(filled.cumsum(0), (1, 0)).int()

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (t.transpose(0, 1) for t in (q, k, v))
        mixed = varlen_attn(q, k, v, ends, ends, longest, longest)
        return mixed.transpose(0, 1)  # pyright: ignore[reportAttributeAccessIssue] - a tuple only where one asks for it

    return mix


@torch.compiler.disable()
def best_form(device: torch.device, head_width: int) -> Form:
    """The fastest form on a device, at the precision of the moment.

    Packed attention asks for torch >= 2.10, an NVIDIA GPU of 2020 or later, 16 bits, and heads of a multiple of 8.
    """
    if device.type != "cuda":
        return "grouped" if device.type == "cpu" else "padded"
    half = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") in (torch.bfloat16, torch.float16)
    fits = head_width % 8 == 0 and head_width <= 256 and torch.cuda.get_device_capability(device) >= (8, 0)
    there = find_spec("torch.nn.attention.varlen") is not None and torch.backends.cuda.is_flash_attention_available()
    return "packed" if half and fits and there else "padded"


@torch.compiler.disable()
def packed(tokens: Tokens) -> tuple[Tensor, Tokens, Tensor]:
    """The tokens that are not masked, (n,) one light curve after the other.

    Their number must come from the device before anything can be allocated, so a graph cannot hold this.

    Returns
    -------
    where, flat, filled : (n,) place of each in the rectangle; the tokens; (batch,) how many each light curve has
    """
    where = (~tokens.mask).flatten().nonzero()[:, 0]
    return where, tokens.each(lambda t: t.flatten().index_select(0, where)), (~tokens.mask).sum(1)


@contextmanager
def norms_remade(encoder: nn.Module) -> Iterator[None]:
    """Within, a gradient keeps the input of every normalisation, and makes the output again: memory for little time."""
    if not torch.is_grad_enabled():
        yield
        return
    made: dict[int, tuple[nn.Module, Tensor, Tensor]] = {}

    def note(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        made[output.untyped_storage().data_ptr()] = norm, inputs[0], output  # held, so that no other takes its place

    def pack(saved: Tensor) -> Tensor | tuple[nn.Module, Tensor, torch.Size]:
        norm, x, _ = made.get(saved.untyped_storage().data_ptr(), (None, saved, None))
        return saved if norm is None else (norm, x.detach(), saved.shape)

    def unpack(kept: Tensor | tuple[nn.Module, Tensor, torch.Size]) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        norm, x, shape = kept
        return norm.forward(x).view(shape)

    handles = [m.register_forward_hook(note) for m in encoder.modules() if isinstance(m, nn.LayerNorm)]
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield
    finally:
        for handle in handles:
            handle.remove()
        made.clear()
