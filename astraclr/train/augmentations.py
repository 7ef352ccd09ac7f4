"""Augmentations of views: bins, observations or a band are dropped, and an outlier is planted.

The observations of a batch are one flat list; `row` says which light curve each belongs to.
"""

from __future__ import annotations

import torch
from torch import Tensor

from astraclr.train.counter_rng import Purpose, StarDraws

BIN_WIDTH = 5.0
"""Days in a drop-out bin."""
OUTLIER_BRIGHT, OUTLIER_FAINT, OUTLIER_REACH = -0.69585, 1.52054, 0.5
"""99 % range of centred magnitudes, and how far beyond it an outlier may lie (method of the paper)."""


def kept_after_bin_dropout(times: Tensor, row: Tensor, rate: float, rule: str, draws: StarDraws) -> Tensor:
    """Drop whole bins of `BIN_WIDTH` days from every light curve, and say which observations are kept.

    Parameters
    ----------
    times, row : (n,) days; which light curve each belongs to, ascending
    rate : share of the occupied bins to drop
    rule : "share" drops round(rate x occupied bins) of them. "ranks" does what the paper's code does: it draws
        max(int(rate x occupied bins), 1) bin numbers, then drops the observations whose bin's *rank* (in order of
        first appearance) is among them
    draws : random numbers of the stars

    Returns
    -------
    (n,) bool; a light curve that would lose everything keeps everything

    Examples
    --------
    >>> from astraclr.train.counter_rng import Draws
    >>> times, row = 5.0 * torch.arange(10), torch.zeros(10, dtype=torch.long)
    >>> int(kept_after_bin_dropout(times, row, 0.5, "share", Draws(0).of(torch.arange(1))).sum())
    5
    """
    number = bin_numbers(times, row, len(draws), rule)
    stride = int(number.max()) + 2
    occupied, bin_of = _occupied(row * stride + number, len(draws) * stride)
    bin_row = occupied // stride
    n_bins = torch.bincount(bin_row, minlength=len(draws))
    n_drop = (rate * n_bins).round().long() if rule == "share" else (rate * n_bins).long().clamp(min=1)
    dropped = _drawn(draws.bits(Purpose.BINS, occupied - bin_row * stride, bin_row), bin_row, n_bins, n_drop)
    if rule == "ranks":
        wanted = bin_row * stride + _rank_of_appearance(bin_of, bin_row, n_bins)
        found = torch.searchsorted(occupied, wanted).clamp(max=len(occupied) - 1)
        dropped = dropped[found] & (occupied[found] == wanted)
    return or_all_of_a_row(~dropped.index_select(0, bin_of), row, len(draws))


def bin_numbers(times: Tensor, row: Tensor, n_rows: int, rule: str) -> Tensor:
    """Bin of each observation, (n,) int, counted from the first observation of its light curve.

    Examples
    --------
    >>> times, row = torch.tensor([100.0, 104.0, 106.0, 50.0]), torch.tensor([0, 0, 0, 1])
    >>> bin_numbers(times, row, 2, "share").tolist(), bin_numbers(times, row, 2, "ranks").tolist()
    ([0, 0, 1, 0], [0, 1, 2, 0])
    """
    start = torch.full((n_rows,), torch.inf, dtype=times.dtype, device=times.device)
    start = start.scatter_reduce(0, row, times, "amin")
    age = (times - start.index_select(0, row)).div_(BIN_WIDTH)
    return (age.ceil_() if rule == "ranks" else age.floor_()).long()


def _occupied(cell: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """The same as ``torch.unique(cell, return_inverse=True)``, by a table of all cells where that is not too long."""
    if n_cells > 4 * len(cell) + 1_000:
        return torch.unique(cell, return_inverse=True)
    seen = torch.zeros(n_cells, dtype=torch.bool, device=cell.device).index_fill_(0, cell, True)
    return seen.nonzero()[:, 0], (seen.cumsum(0) - 1).index_select(0, cell)


def _drawn(bits: Tensor, row: Tensor, size: Tensor, n_drawn: Tensor) -> Tensor:
    """(n,) bool: the `n_drawn` elements of every row with the lowest bits; rows are ascending and have `size`."""
    # One sort of integers, the row above 40 of the bits: rows keep their places, so that the position gives the rank.
    order = torch.sort((row << 40) | (bits & ((1 << 40) - 1)), stable=True).indices
    rank = torch.arange(len(row), device=row.device) - (size.cumsum(0) - size).index_select(0, row)
    return torch.empty_like(rank, dtype=torch.bool).scatter_(0, order, rank < n_drawn.index_select(0, row))


def _rank_of_appearance(bin_of: Tensor, bin_row: Tensor, size: Tensor) -> Tensor:
    """Rank of every bin among those of its row, in the order of their first observations in the list."""
    n = len(bin_of)
    seen = torch.full_like(bin_row, n).scatter_reduce(0, bin_of, torch.arange(n, device=bin_of.device), "amin")
    new = torch.zeros_like(bin_of).index_fill_(0, seen, 1)
    return new.cumsum(0).index_select(0, seen) - 1 - (size.cumsum(0) - size).index_select(0, bin_row)


def kept_after_thinning(place: Tensor, row: Tensor, most: float, draws: StarDraws) -> Tensor:
    """Drop each observation of a light curve with one probability, and say which are kept.

    Parameters
    ----------
    place, row : (n,) int, each observation's place in its star; which light curve it belongs to, ascending
    most : the probability is drawn uniformly between 0 and this for each light curve
    draws : random numbers of the stars

    Returns
    -------
    (n,) bool; a light curve that would lose everything keeps everything

    Examples
    --------
    >>> from astraclr.train.counter_rng import Draws
    >>> place, row = torch.arange(100), torch.zeros(100, dtype=torch.long)
    >>> int(kept_after_thinning(place, row, 0.0, Draws(0).of(torch.arange(1))).sum())
    100
    """
    probability = (most * draws.uniform(Purpose.THINNING)).index_select(0, row)
    return or_all_of_a_row(draws.uniform(Purpose.THINNED, place, row) >= probability, row, len(draws))


def in_lost_band(segment: Tensor, n_bands: int, chance: float, draws: StarDraws) -> Tensor:
    """Choose light curves that lose the band with the fewest observations, where another band is left.

    Parameters
    ----------
    segment : (n,) int, row * n_bands + band
    n_bands : of every light curve
    chance : probability of the loss
    draws : random numbers of the stars

    Returns
    -------
    (n,) bool, observations that are lost; of bands with equally few it is the first

    Examples
    --------
    >>> from astraclr.train.counter_rng import Draws
    >>> segment = torch.tensor([0, 0, 0, 1, 2, 2])
    >>> in_lost_band(segment, 3, 1.0, Draws(0).of(torch.arange(1))).tolist()
    [False, False, False, True, False, False]
    """
    size = torch.bincount(segment, minlength=len(draws) * n_bands).view(-1, n_bands)
    sparsest = size.masked_fill(size == 0, torch.iinfo(size.dtype).max).argmin(1, keepdim=True)
    loses = (draws.uniform(Purpose.LOST_BAND) < chance) & ((size > 0).sum(1) > 1)
    lost = torch.zeros_like(size, dtype=torch.bool).scatter_(1, sparsest, loses[:, None])
    return lost.view(-1).index_select(0, segment)


def with_outlier(mag: Tensor, row: Tensor, sides: str, draws: StarDraws) -> Tensor:
    """Give one observation of every row a magnitude beyond the 99 % range, brighter or (sides="both") fainter.

    Parameters
    ----------
    mag, row : (n,) centred magnitudes; which light curve each belongs to, ascending
    sides : "bright" or "both"
    draws : random numbers of the stars

    Examples
    --------
    >>> from astraclr.train.counter_rng import Draws
    >>> changed = with_outlier(torch.zeros(5), torch.zeros(5).long(), "both", Draws(0).of(torch.arange(1)))
    >>> int((changed != 0).sum())
    1
    """
    length = torch.bincount(row, minlength=len(draws))
    victim = torch.cumsum(length, 0) - length + (draws.uniform(Purpose.OUTLIER_PLACE) * length).long()
    beyond = OUTLIER_REACH * draws.uniform(Purpose.OUTLIER_VALUE)
    value = OUTLIER_BRIGHT - beyond
    if sides == "both":
        value = torch.where(draws.uniform(Purpose.OUTLIER_SIDE) < 0.5, value, OUTLIER_FAINT + beyond)
    return mag.scatter(0, victim, value.to(mag.dtype))


def or_all_of_a_row(keep: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """`keep`, and all of a row that would keep nothing, since an empty light curve cannot be encoded.

    Examples
    --------
    >>> keep, row = torch.tensor([True, False, False, False]), torch.tensor([0, 0, 1, 1])
    >>> or_all_of_a_row(keep, row, n_rows=2).tolist()
    [True, False, True, True]
    """
    left = torch.zeros(n_rows, dtype=torch.long, device=row.device).index_add(0, row, keep.long())
    return keep | (left == 0).index_select(0, row)
