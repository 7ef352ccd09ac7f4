"""What the heads of an encoder make of views: numbers that only losses read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from astraclr.data.tokens import Tokens
from astraclr.model.encoder import Encoder


class Heads(NamedTuple):
    """What the heads of an encoder make of views, each (views, batch, n); None where the encoder has no such head.

    Attributes
    ----------
    projected : for NT-Xent
    guesses : at the summaries of the whole light curve
    met : in the space where views meet descriptions of whole light curves
    """

    projected: Tensor
    guesses: Tensor | None = None
    met: Tensor | None = None


def heads(encoder: Encoder, views: list[Tokens]) -> Heads:
    """What the heads make of views, each computed at its own length."""
    return read_by_heads(encoder, [encoder(view) for view in views])


def read_by_heads(encoder: Encoder, pooled: Iterable[Tensor]) -> Heads:
    """What the heads make of embeddings, (views, batch, d_embedding); an encoder of another kind may lack some."""
    description = getattr(encoder, "description", None)
    each = list(pooled)
    others = (encoder.summaries, description and description.view)
    found = [None if reader is None else torch.stack([reader(p) for p in each]) for reader in others]
    return Heads(torch.stack([encoder.project(p) for p in each]), *found)
