"""Light curves read in frequency: the highest peaks of a periodogram, and the curve folded at the highest.

The same numbers of a whole light curve, as a part of its description, and of a window, as an input of the encoder,
which sees steps in time and cannot count cycles that it has no clock for.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from astraclr.data.summaries import FREQUENCIES, LEAST_ERROR, LEAST_POWER, MOST_APART, N_FREQUENCIES
from astraclr.data.tokens import Prepared, Tokens, ranges, to_tokens

CELLS_PER_DAY, N_CELLS = 64, 1 << 16
"""Of the grid in time; its frequencies are multiples of their ratio, 1/1024 per day."""
N_PHASES = 16
N_FOLDED = N_FREQUENCIES + 4 + N_PHASES
_AT_ONCE = 16


@torch.no_grad()
def folded(tokens: Tokens) -> Tensor:
    """(batch, 52) float32 of about 1: peaks of a periodogram, and the light curve folded at the highest.

    In order: log10 of the highest normalised power in each of 32 log-spaced bins of frequency (as
    `summaries.periodogram`); log10 of the frequency of the highest peak, of the power there, at half and at twice that
    frequency; ``asinh 5m`` in 16 bins of phase, from the faintest point of the sine that fits best, 0 where there is no
    observation. Each band's mean is subtracted first; masked tokens do not count.
    """
    there = ~tokens.mask
    error = torch.zeros_like(tokens.mag) if tokens.magerr is None else tokens.magerr
    w = there / (error.double().square() + LEAST_ERROR**2)
    m = tokens.mag.double()
    for band in tokens.band[there].unique():
        of_band = w * (tokens.band == band)
        mean = (of_band * m).sum(1, keepdim=True) / of_band.sum(1, keepdim=True).clamp(min=1e-12)
        m = torch.where(tokens.band == band, m - mean, m)
    m = m.clamp(-MOST_APART, MOST_APART) * there
    start = tokens.times.masked_fill(~there, torch.inf).amin(1, keepdim=True)
    age = (tokens.times - start) * there
    parts = zip(*(t.split(_AT_ONCE) for t in (m, w, age)), strict=True)
    return torch.cat([_of_some(*part) for part in parts])


def folded_stars(data: Prepared, stars: Tensor) -> Tensor:
    """`folded` of whole light curves."""
    return torch.cat([folded(_whole(data, some)) for some in stars.split(_AT_ONCE)])


def _whole(data: Prepared, stars: Tensor) -> Tokens:
    first, count = data.segments(stars)
    index, segment = ranges(first.ravel(), count.ravel())
    return to_tokens(data, segment, index, len(stars), magerr=data.magerr.index_select(0, index))


def _of_some(m: Tensor, w: Tensor, age: Tensor) -> Tensor:
    n, rows = len(m), torch.arange(len(m), device=m.device)
    cell = (age * CELLS_PER_DAY).round().long() % N_CELLS
    grid = torch.zeros(n, N_CELLS, device=m.device).scatter_add_(1, cell, (w * m).float())
    transform = torch.fft.rfft(grid)
    cuts = _cuts()
    total = ((w * m * m).sum(1) * w.sum(1)).clamp(min=1e-12)
    power = torch.view_as_real(transform[:, : 2 * cuts[-1]]).square().sum(-1) / total[:, None].float()
    highest = torch.stack([power[:, a:b].amax(1) for a, b in pairwise(cuts)], dim=1)
    best = power[:, cuts[0] : cuts[-1]].argmax(1) + cuts[0]
    peaks = torch.stack([power[rows, p.clamp(max=power.shape[1] - 1)] for p in (best, best // 2, 2 * best)], dim=1)
    frequency = best * (CELLS_PER_DAY / N_CELLS)
    phase = age * frequency[:, None] + (transform[rows, best].angle() / (2 * math.pi)).double()[:, None]
    bin_of = (phase.remainder(1) * N_PHASES).long().clamp(max=N_PHASES - 1)
    weight = w.new_zeros(n, N_PHASES).scatter_add_(1, bin_of, w)
    mean = w.new_zeros(n, N_PHASES).scatter_add_(1, bin_of, w * m) / weight.clamp(min=1e-12)
    powers = torch.cat([highest, peaks], dim=1).clamp(min=LEAST_POWER).log10() + 1.5
    found = [powers[:, :N_FREQUENCIES], (frequency.log10() + 0.5)[:, None], powers[:, N_FREQUENCIES:]]
    return torch.cat([*(f.double() for f in found), torch.asinh(5 * mean)], dim=1).float()


def _cuts() -> list[int]:
    """First frequency of each bin; a bin begins with the first that is not below its edge, and is not empty."""
    edges = np.geomspace(*FREQUENCIES, N_FREQUENCIES + 1) * N_CELLS / CELLS_PER_DAY
    cuts = [int(c) for c in np.ceil(edges)]
    for k in range(1, len(cuts)):
        cuts[k] = max(cuts[k], cuts[k - 1] + 1)
    return cuts
