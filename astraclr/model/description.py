"""Local to global: a short, damaged view meets the description of its whole light curve, and no other star's.

One small network reads a view's embedding, another the summaries of the whole light curve (`data.summaries`); both
end in one space, where `train.losses.local_to_global` is the loss: the pair of an image and its caption in CLIP
(Radford et al. 2021, arXiv 2103.00020), with what a light curve says about itself in place of words. No number is to be
predicted, and no label is needed: a view is only to be nearer to its own star's description than to those of the batch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.model.config import EncoderConfig

WIDTH = 256
"""Of the hidden layers that read a description."""


class Description(nn.Module):
    """The two networks that end in the space where views and whole light curves meet, and its temperature.

    Examples
    --------
    >>> import torch
    >>> config = EncoderConfig(d_model=64, n_layers=1, n_heads=2, d_ff=64, d_projection=32, n_described=92)
    >>> Description(config).of_stars(torch.zeros(5, 92)).shape
    torch.Size([5, 64])
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.view = nn.Linear(config.d_embedding, config.d_model)
        self.star = nn.Sequential(
            *(nn.Linear(config.n_described, WIDTH), nn.GELU()),
            *(nn.Linear(WIDTH, WIDTH), nn.GELU()),
            nn.Linear(WIDTH, config.d_model),
        )

    def of_stars(self, described: Tensor) -> Tensor:
        """(batch, d), of length 1/temperature, of (batch, n_described) standardised numbers; NaN counts as the mean."""
        return F.normalize(self.star(described.nan_to_num()).float(), dim=-1) / self.temperature
