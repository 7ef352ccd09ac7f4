"""A light curve folded at its best period: a periodogram, the period, and the phase of every observation.

The encoder sees steps in time and cannot count the cycles between them. These numbers let it see a window folded, and
let a description of a whole light curve say which period it has.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from astraclr.data.summaries import FREQUENCIES, LEAST_ERROR, LEAST_POWER, MOST_APART, N_FREQUENCIES
from astraclr.data.tokens import Prepared, Tokens, ranges, to_tokens

CELLS_PER_DAY, N_CELLS = 48, 1 << 16
"""Of the grid in time; its frequencies are multiples of their ratio, 1/1365 per day."""
N_PEAKS, N_BETWEEN = 4, 6
"""Peaks of the grid that are searched more finely; finer steps on each side, 12 to a step of the grid."""
N_HARMONICS, N_PHASES = 3, 16
N_FOLDED = N_FREQUENCIES + 1 + N_HARMONICS + 2 + 1 + 3 * (N_HARMONICS - 1) + N_PHASES
"""Length of `folded`."""
N_CYCLE_INPUTS = 2 * N_HARMONICS + 2
"""Numbers a token of `cycle_inputs`."""
_AT_ONCE = 16


class Cycle(NamedTuple):
    """The period that fits a light curve best.

    Attributes
    ----------
    frequency : (batch,) float64 per day
    age : (batch, length) float64 days since the first observation
    harmonics : (batch, 3) complex64, ``sum w m exp(2 pi i h f t)`` of the fundamental and two overtones
    powers : (batch, 3) float32, their normalised powers; a sine has 1/2
    beside : (batch, 2) float32, powers at 1/2 and at 3/2 of the frequency, high where the true period is twice as long
    highest : (batch, 32) float32, highest power in each bin of frequency (as `summaries.periodogram`)
    m, w : (batch, length) float64 magnitudes less the mean of their band, 0 at padding; weights, 0 at padding
    """

    frequency: Tensor
    age: Tensor
    harmonics: Tensor
    powers: Tensor
    beside: Tensor
    highest: Tensor
    m: Tensor
    w: Tensor

    def phase(self) -> Tensor:
        """(batch, length) float64 cycles since the fundamental was at its faintest."""
        zero = self.harmonics[:, :1].angle().double() / (2 * math.pi)
        return (self.age * self.frequency[:, None] - zero).remainder(1)


@torch.no_grad()
def best_cycle(tokens: Tokens) -> Cycle:
    """Find the best period of every light curve: highest sum of the powers of three harmonics near four grid peaks.

    Examples
    --------
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.simulation.simulate import simulate
    >>> cycle = best_cycle(whole(prepare(simulate(12, seed=0)), torch.arange(12)))
    >>> cycle.frequency.shape, bool((cycle.phase() < 1).all())
    (torch.Size([12]), True)
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
    parts = [_of_some(*part) for part in zip(*(t.split(_AT_ONCE) for t in (m, w, age)), strict=True)]
    return Cycle(*(torch.cat(field) for field in zip(*parts, strict=True)))


def folded(cycle: Cycle) -> Tensor:
    """(batch, 61) float32 of about 1: the periodogram, and the light curve folded at its best period.

    In order: log10 of the highest normalised power in each of 32 log-spaced bins of frequency; log10 of the best
    frequency; log10 of the powers of three harmonics there, of those at 1/2 and 3/2 of it, and of the sum of the three;
    for both overtones log10 of the amplitude relative to the fundamental, and cosine and sine of the relative phase,
    weighted by the overtone's share; ``asinh 5m`` in 16 bins of phase from the faintest point of the fundamental, 0
    where there is no observation. Relative amplitudes and phases tell shapes of pulsation apart (Simon & Lee 1981, ApJ
    248, 291).
    """
    phase = (cycle.phase() * N_PHASES).long().clamp(max=N_PHASES - 1)
    weight, total = torch.zeros(2, len(phase), N_PHASES, dtype=cycle.w.dtype, device=phase.device)
    weight = weight.scatter_add(1, phase, cycle.w)
    mean = total.scatter_add(1, phase, cycle.w * cycle.m) / weight.clamp(min=1e-12)
    powers, angle = cycle.powers, cycle.harmonics.angle()
    sums = powers.sum(1, keepdim=True)
    relative = (powers[:, 1:] / powers[:, :1].clamp(min=1e-6)).clamp(1e-3, 1e2).log10() / 2
    order = torch.arange(2, N_HARMONICS + 1, device=angle.device)
    turned = angle[:, 1:] - order * angle[:, :1]
    share = powers[:, 1:].sqrt() / (sums.sqrt() + 1e-6)
    return torch.cat(
        [
            _log(cycle.highest),
            (cycle.frequency.log10() + 0.5)[:, None].float(),
            _log(torch.cat([powers, cycle.beside, sums], dim=1)),
            *(relative, turned.cos() * share, turned.sin() * share),
            torch.asinh(5 * mean).float(),
        ],
        dim=1,
    )


def cycle_inputs(cycle: Cycle) -> Tensor:
    """(batch, length, 8) float32: cosine and sine of three harmonics of each phase, log10 of frequency and of power."""
    order = torch.arange(1, N_HARMONICS + 1, device=cycle.age.device)
    angle = (2 * math.pi * (cycle.phase()[..., None] * order).remainder(1)).float()
    whole = torch.cat([cycle.frequency.log10()[:, None].float() + 0.5, _log(cycle.powers.sum(1, keepdim=True))], dim=1)
    return torch.cat([angle.cos(), angle.sin(), whole[:, None].expand(*angle.shape[:2], 2)], dim=-1)


def whole(data: Prepared, stars: Tensor) -> Tokens:
    """Whole light curves as tokens with errors."""
    first, count = data.segments(stars)
    index, segment = ranges(first.ravel(), count.ravel())
    return to_tokens(data, segment, index, len(stars), magerr=data.magerr.index_select(0, index))


def folded_stars(data: Prepared, stars: Tensor) -> Tensor:
    """`folded` of whole light curves, (batch, 61)."""
    return torch.cat([folded(best_cycle(whole(data, some))) for some in stars.split(_AT_ONCE)])


def frequency_cuts() -> list[int]:
    """First frequency of each bin of the periodogram, in steps of 1/1365 per day, and the end of the last bin.

    A bin begins with the first frequency that is not below its edge, and is not empty.

    Examples
    --------
    >>> cuts = frequency_cuts()
    >>> len(cuts), cuts[:4], cuts[-1]
    (33, [2, 3, 4, 5], 32768)
    """
    edges = np.geomspace(*FREQUENCIES, N_FREQUENCIES + 1) * N_CELLS / CELLS_PER_DAY
    cuts = [int(c) for c in np.ceil(edges)]
    for k in range(1, len(cuts)):
        cuts[k] = max(cuts[k], cuts[k - 1] + 1)
    return cuts


def _log(power: Tensor) -> Tensor:
    return power.clamp(min=LEAST_POWER).log10() + 1.5


def _of_some(m: Tensor, w: Tensor, age: Tensor) -> Cycle:
    rows, cuts = torch.arange(len(m), device=m.device), frequency_cuts()
    weighted = (w * m).float()
    total = ((w * m * m).sum(1) * w.sum(1)).clamp(min=1e-12).float()
    power = _power(weighted, age)[:, : cuts[-1]] / total[:, None]
    found = [power[:, a:b].max(1) for a, b in pairwise(cuts)]
    highest = torch.stack([f.values for f in found], dim=1)
    place = torch.stack([f.indices + a for f, a in zip(found, cuts, strict=False)], dim=1)
    near = place.gather(1, highest.topk(N_PEAKS, dim=1).indices).double()
    between = torch.arange(-N_BETWEEN, N_BETWEEN + 1, device=m.device) / (2 * N_BETWEEN)
    tried = (near[:, :, None] + between).flatten(1) * (CELLS_PER_DAY / N_CELLS)
    wave = _waves(tried, age)
    first = wave * weighted[:, None]
    second = first * wave
    sums = torch.stack([first.sum(-1), second.sum(-1), (second * wave).sum(-1)], dim=-1)
    powers = _square(sums) / total[:, None, None]
    best = powers.sum(-1).argmax(1)
    frequency = tried[rows, best]
    halves = frequency[:, None] * torch.tensor([0.5, 1.5], dtype=frequency.dtype, device=m.device)
    beside = _square((_waves(halves, age) * weighted[:, None]).sum(-1)) / total[:, None]
    return Cycle(frequency, age, sums[rows, best], powers[rows, best], beside, highest, m, w)


def _power(weighted: Tensor, age: Tensor) -> Tensor:
    """(n, n_frequencies) ``|sum w m exp(2 pi i f t)|^2``, times rounded to cells of a grid.

    Always of the same number of light curves at once, since libraries round a batch of transforms by its size, and
    another peak might win.
    """
    cell = (age * CELLS_PER_DAY).round().long() % N_CELLS
    grid = torch.zeros(_AT_ONCE, N_CELLS, device=age.device)
    grid[: len(cell)].scatter_add_(1, cell, weighted)
    return _square(torch.fft.rfft(grid)[: len(cell)])


def _square(z: Tensor) -> Tensor:
    return z.real.square() + z.imag.square()


def _waves(frequency: Tensor, age: Tensor) -> Tensor:
    """(batch, n, length) complex64, ``exp(2 pi i f t)``."""
    angle = (2 * math.pi * (frequency[:, :, None] * age[:, None]).remainder(1)).float()
    return torch.polar(torch.ones_like(angle), angle)
