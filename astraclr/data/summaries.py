"""Summary statistics of whole light curves: quantiles, structure functions and a periodogram for each band."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from astraclr.data.tokens import Prepared, ranges

QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)

LAGS = (0.0, 0.05, 0.5, 1.5, 5.0, 15.0, 50.0, 150.0, 1000.0)
"""Days between which pairs of observations share a bin of the structure function."""

NEIGHBOURS = (1, 2, 3, 5, 8, 13, 21, 34, 55)
"""Pairs are an observation and the one so many places later in its band."""

FEWEST, FEWEST_PAIRS = 5, 3
"""Observations of a band (or pairs in a bin) below which there is nothing to say."""

CELLS_PER_DAY, N_CELLS = 64, 1 << 17
"""Of the grid in time; its frequencies are multiples of their ratio, 1/2048 per day."""

FREQUENCIES, N_FREQUENCIES = (1 / 800, 24.0), 32
"""Range (per day) of the periodogram, and log-spaced bins in it."""

LEAST_ERROR, MOST_APART, LEAST_POWER = 0.03, 3.0, 1e-4
"""Mag added to errors in quadrature, so that no point decides alone; mag that a point counts at most; power."""

_SHAPE = (0, 2, 4, 6)

_AT_ONCE = 64


def n_summaries(n_bands: int) -> int:
    """Numbers of a star with so many bands."""
    return n_bands * (len(QUANTILES) + 1 + len(_SHAPE) + len(LAGS) - 1) + N_FREQUENCIES


def summaries(data: Prepared, stars: Tensor) -> Tensor:
    """(batch, n_summaries) float32 of whole light curves.

    Of each band `band_quantiles` and `structure_function`, then the `periodogram` of all bands together.
    """
    return torch.cat([_of_some(data, some) for some in stars.split(_AT_ONCE)])


def _of_some(data: Prepared, stars: Tensor) -> Tensor:
    first, count = data.segments(stars)
    index, segment = ranges(first.ravel(), count.ravel())
    mag, times = data.mag.index_select(0, index).double(), data.times.index_select(0, index)
    n = len(stars)
    parts = [band_quantiles(mag, segment, count.ravel()), structure_function(mag, times, segment, count.numel())]
    power = periodogram(mag, data.magerr.index_select(0, index).double(), times, segment, count)
    return torch.cat([*(part.view(n, -1) for part in parts), power], dim=1).float()


def band_quantiles(mag: Tensor, segment: Tensor, count: Tensor) -> Tensor:
    """``asinh 5q`` of 7 quantiles, the log of the width from 10 to 90 %, and 4 quantiles from the median in that width.

    Parameters
    ----------
    mag, segment : (n,) float64 magnitudes minus the mean of the star; which of the bands of all stars, ascending
    count : (n_segments,) int

    Returns
    -------
    (n_segments, 12) float64, NaN for fewer than `FEWEST` observations
    """
    order = torch.argsort(mag, stable=True)
    order = order[torch.argsort(segment[order], stable=True)]
    ordered = mag.index_select(0, order)
    place = count[:, None] - 1.0
    place = place.clamp(min=0) * torch.tensor(QUANTILES, dtype=torch.float64, device=mag.device)
    begin, low = (count.cumsum(0) - count)[:, None], place.floor().long()
    low, high = ((begin + k).clamp(max=len(mag) - 1) for k in (low, low + 1))
    q = ordered[low] + (place - place.floor()) * (ordered[high] - ordered[low])
    width = q[:, 5:6] - q[:, 1:2] + 1e-3
    shape = ((q[:, _SHAPE] - q[:, 3:4]) / width).clamp(-3, 3)
    found = torch.cat([torch.asinh(5 * q), width.log10(), shape], dim=1)
    return found.masked_fill((count < FEWEST)[:, None], torch.nan)


def structure_function(mag: Tensor, times: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """How much two observations differ that are so long apart (Simonetti, Cordes & Heeschen 1985, ApJ 296, 46).

    The mean of ``asinh 10|dm|``, which outliers move less than the mean square, over the pairs of `NEIGHBOURS` in bins
    of `LAGS` (days; the upper end belongs to a bin, and no lag at all to the first).

    Returns
    -------
    (n_segments, 8) float64, NaN for fewer than `FEWEST_PAIRS` pairs
    """
    edges, n_bins = torch.tensor(LAGS, dtype=torch.float64, device=mag.device), len(LAGS) - 1
    total, number = mag.new_zeros(2, n_segments * n_bins)
    for k in NEIGHBOURS:
        lag = (times[k:] - times[:-k]).clamp(min=1e-9)
        place = torch.searchsorted(edges, lag) - 1
        pair = ((segment[k:] == segment[:-k]) & (place < n_bins)).nonzero()[:, 0]
        cell = segment[k:][pair] * n_bins + place[pair]
        total.index_add_(0, cell, torch.asinh(10 * (mag[k:] - mag[:-k])[pair].abs()))
        number.index_add_(0, cell, torch.ones_like(cell, dtype=mag.dtype))
    return (total / number).masked_fill(number < FEWEST_PAIRS, torch.nan).view(n_segments, n_bins)


def periodogram(mag: Tensor, magerr: Tensor, times: Tensor, segment: Tensor, count: Tensor) -> Tensor:
    """log10 of the largest normalised power in each of 32 log-spaced bins of frequency, all bands together.

    ``P = |sum w m exp(i 2 pi f t)|^2 / (sum w m^2 sum w)``, with w from the errors and each band's mean subtracted: for
    evenly spread phases half the periodogram of Lomb (1976, Ap&SS 39, 447) and Scargle (1982, ApJ 263, 835), so that a
    sine has 1/2. Times are rounded to cells of a grid, and a Fourier transform gives all frequencies. Its period is
    2,048 days; later cells wrap around, which changes nothing at its frequencies.

    Parameters
    ----------
    mag, magerr, times, segment : (n,) observations
    count : (batch, n_bands) int

    Returns
    -------
    (batch, 32) float64, NaN for a star without `FEWEST` observations that vary
    """
    n, n_bands = count.shape
    row = segment // n_bands
    w = 1 / (magerr.square() + LEAST_ERROR**2)
    weight = w.new_zeros(n * n_bands).index_add_(0, segment, w)
    mean = w.new_zeros(n * n_bands).index_add_(0, segment, w * mag) / weight
    m = (mag - mean.index_select(0, segment)).clamp(-MOST_APART, MOST_APART)
    square = w.new_zeros(n).index_add_(0, row, w * m * m)
    start = times.new_full((n,), torch.inf).scatter_reduce_(0, row, times, "amin")
    cell = ((times - start.index_select(0, row)) * CELLS_PER_DAY).round().long() % N_CELLS
    grid = torch.zeros(n * N_CELLS, device=mag.device).index_add_(0, row * N_CELLS + cell, (w * m).float())
    grid = grid.view(n, N_CELLS)
    # One star at a time on a processor: its libraries may round a batch of transforms by its size.
    if grid.device.type == "cpu":
        highest = torch.stack([_highest(torch.fft.rfft(one)) for one in grid])
    else:
        highest = _highest(torch.fft.rfft(grid))
    power = highest.double().square() / (square * weight.view(n, n_bands).sum(1)).clamp(min=1e-12)[:, None]
    silent = (square <= 0) | (count.sum(1) < FEWEST)
    return power.clamp(min=LEAST_POWER).log10().masked_fill(silent[:, None], torch.nan)


def _highest(spectrum: Tensor) -> Tensor:
    """Largest amplitude in each bin of frequency."""
    edges = np.geomspace(*FREQUENCIES, N_FREQUENCIES + 1) * N_CELLS / CELLS_PER_DAY
    cuts = np.ceil(edges).astype(int).tolist()  # a bin begins with the first frequency that is not below its edge
    amplitude = spectrum[..., : cuts[-1]].abs()
    return torch.stack([amplitude[..., a:b].amax(-1) for a, b in pairwise(cuts)], dim=-1)
