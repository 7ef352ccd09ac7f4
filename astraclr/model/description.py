"""Local to global: a short, damaged view meets the description of its whole light curve, and no other star's.

One small network reads a view's embedding, another the summaries of the whole light curve (`data.summaries`); both
end in one space, where `train.losses.local_to_global` is the loss: the pair of an image and its caption in CLIP
(Radford et al. 2021, arXiv 2103.00020), with what a light curve says about itself in place of words. No number is to be
predicted, and no label is needed: a view is only to be nearer to its own star's description than to those of the batch.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.model.config import EncoderConfig

WIDTH = 256
"""Of the hidden layers that read a description."""
MOST_SCALE = math.log(100)
"""Of the logarithm of 1/temperature, where it is learnt (as CLIP has it)."""


class Description(nn.Module):
    """The two networks that end in the space where views and whole light curves meet, and its temperature."""

    log_scale: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, d = config.d_embedding, config.d_model
        self.view = nn.Linear(width, d)
        if config.view_head == "mlp":
            self.view = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, d))
        sizes = [config.n_described, *[WIDTH] * config.description_depth]
        hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.GELU())]
        self.star = nn.Sequential(*hidden, nn.Linear(sizes[-1], d))
        scale = torch.tensor(-math.log(config.temperature))
        if config.learn_temperature:
            self.log_scale = nn.Parameter(scale)
        else:
            self.register_buffer("log_scale", scale, persistent=False)

    def of_stars(self, described: Tensor) -> Tensor:
        """(batch, d) of (batch, n_described) standardised numbers; NaN, nothing to say, is read as their mean.

        Of length 1/temperature: of several ranks, each then learns the temperature from its own stars only.
        """
        unit = F.normalize(self.star(described.nan_to_num()).float(), dim=-1)
        return unit * self.log_scale.clamp(max=MOST_SCALE).exp()
