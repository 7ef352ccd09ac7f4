"""Attention in batches of light curves of unequal length, in three equivalent forms, and ways to save memory."""

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
"""How a batch is computed, always with the same result. "packed": the tokens of all light curves in one list, attention
within each (half precision on CUDA); "padded": a rectangle as wide as its longest row; "grouped": several rectangles of
light curves of similar length."""
Mix = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From queries, keys and values to weighted sums of the values, each (..., heads, length, d_model / heads). It knows
where each light curve begins and ends, so that a layer need not."""


def over_rows(mask: Tensor | None) -> Mix:
    """Make attention within the rows of a rectangle.

    Parameters
    ----------
    mask : (batch, length) bool, True = ignore; None where nothing is masked, which is faster

    Examples
    --------
    >>> q = k = v = torch.ones(2, 1, 5, 4)
    >>> over_rows(torch.zeros(2, 5, dtype=torch.bool))(q, k, v).shape
    torch.Size([2, 1, 5, 4])
    """
    seen = None if mask is None else ~mask[:, None, None]
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=seen)


def over_segments(filled: Tensor, longest: int) -> Mix:
    """Make attention within light curves that follow one another in one list, for half precision on a CUDA device.

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
    """Choose the fastest form on a device, at the current precision.

    Packed attention needs torch >= 2.10, an NVIDIA GPU of 2020 or later, 16 bits, and a `head_width` (d_model / heads)
    that is a multiple of 8.

    Examples
    --------
    >>> best_form(torch.device("cpu"), 32)
    'grouped'
    """
    if device.type != "cuda":
        return "grouped" if device.type == "cpu" else "padded"
    half = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda") in (torch.bfloat16, torch.float16)
    fits = head_width % 8 == 0 and head_width <= 256 and torch.cuda.get_device_capability(device) >= (8, 0)
    there = find_spec("torch.nn.attention.varlen") is not None and torch.backends.cuda.is_flash_attention_available()
    return "packed" if half and fits and there else "padded"


@torch.compiler.disable()
def packed(tokens: Tokens) -> tuple[Tensor, Tokens, Tensor]:
    """Take the tokens that are not masked, (n,) one light curve after the other.

    Their number must be read from the device before memory can be allocated, so this cannot be compiled into a graph.

    Returns
    -------
    where, flat, filled : (n,) place of each in the rectangle; the tokens; (batch,) how many each light curve has
    """
    where = (~tokens.mask).flatten().nonzero()[:, 0]
    return where, tokens.each(lambda t: t.flatten(0, 1).index_select(0, where)), (~tokens.mask).sum(1)


@contextmanager
def norms_remade(encoder: nn.Module) -> Iterator[None]:
    """Save memory: gradients in the block keep only the input of each normalisation, and compute its output again."""
    if not torch.is_grad_enabled():
        yield
        return
    made: dict[int, tuple[nn.Module, Tensor, Tensor]] = {}

    def note(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        made[output.untyped_storage().data_ptr()] = norm, inputs[0], output  # kept, so that its memory is not reused

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
