"""A star is cut into views: a long anchor, a short canonical positive, a long and damaged hard positive.

Whole batches at once, on any device: observations of a batch are one flat list, and every step (noise, bin drop-out,
window, outlier) acts on that list.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from astraclr.preparation import Prepared, Tokens, centred_in_segments, centred_starts, ranges, to_tokens
from astraclr.presets import Preset, Recipe, View

BIN_WIDTH = 5.0
"""Days in a drop-out bin."""
OUTLIER_BRIGHT, OUTLIER_FAINT, OUTLIER_REACH = -0.69585, 1.52054, 0.5
"""99 % range of centred magnitudes, and how far beyond it an outlier may lie (method of the paper)."""


def make_views(data: Prepared, stars: Tensor, preset: Preset, recipe: Recipe, generator: Generator) -> list[Tokens]:
    """All views of a recipe for a batch of stars.

    Parameters
    ----------
    stars : (batch,) int, rows of `data`
    generator : on the device of `data`; equal seeds give equal views

    Returns
    -------
    list of Tokens, one a view, rows in the order of `stars`; each is as wide as its longest row
    """
    return [make_view(data, stars, view, preset, recipe, generator) for view in recipe.views]


def make_view(data: Prepared, stars: Tensor, view: View, preset: Preset, recipe: Recipe,
              generator: Generator) -> Tokens:  # fmt: skip
    """One view of every star of a batch (parameters as `make_views`)."""
    window = [max(1, int(preset.window(b, w) * view.fraction)) for b, w in data.bands.items()]
    longest = torch.tensor(window, device=stars.device)
    first, count = data.segments(stars)

    def windows(times: Tensor, first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        if recipe.shared_window:
            return shared_windows(times, first, count, longest, generator)
        return random_windows(first, count, longest, recipe.last_start, generator)

    if view.bin_dropout == 0:
        index, segment = windows(data.times, first, count)
    else:
        index, segment = ranges(first.ravel(), count.ravel())
        row = segment // len(data.bands)
        keep = kept_after_bin_dropout(data.times[index], row, view.bin_dropout, recipe.bin_rule, generator)
        if recipe.drop_in_place:
            chosen, segment = windows(data.times[index], *_segments(segment, count.shape))
            keep = _or_all_of_a_row(keep[chosen], segment // len(data.bands), len(stars))
            index, segment = index[chosen][keep], segment[keep]
        else:
            index, segment = index[keep], segment[keep]
            chosen, segment = windows(data.times[index], *_segments(segment, count.shape))
            index = index[chosen]
    mag, magerr = data.mag[index], data.magerr[index]
    if recipe.centring == "window":
        mag = centred_in_segments(mag, magerr, segment)
    if view.noise:
        sigma = view.noise * (magerr if recipe.noise_unit == "error" else torch.ones_like(magerr))
        mag = mag + sigma * torch.randn(mag.shape, generator=generator, device=mag.device)
        magerr = torch.hypot(magerr, sigma)  # what an instrument that noisy would state
    if view.outlier:
        mag = with_outlier(mag, segment // len(data.bands), len(stars), recipe.outlier_sides, generator)
    return to_tokens(data, segment, index, len(stars), mag, magerr if recipe.error_input else None)


def random_windows(first: Tensor, count: Tensor, longest: Tensor, last_start: bool,
                   generator: Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A contiguous window in every band of every star, starting uniformly at random; a shorter band is taken whole.

    Parameters
    ----------
    first, count : (batch, n_bands) int, where each band begins in a list of observations, and how many it has
    longest : (n_bands,) int, window lengths
    last_start : whether the last possible start can be drawn (the paper's code stops one short)

    Returns
    -------
    positions in that list, and their segment (row * n_bands + band)
    """
    spare = (count - longest).clamp(min=0)
    u = torch.rand(count.shape, generator=generator, device=count.device, dtype=torch.float64)
    start = (u * (spare + int(last_start))).long()
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def shared_windows(times: Tensor, first: Tensor, count: Tensor, longest: Tensor,
                   generator: Generator) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `random_windows`, but all bands of a star are cut around the time of one random observation of it.

    Parameters
    ----------
    times : (n,) days, the list of observations that `first` and `count` speak of; a star's bands follow one another
    """
    total = count.sum(1)
    u = torch.rand(len(count), generator=generator, device=count.device, dtype=torch.float64)
    moment = times[first[:, 0] + (u * total).long().clamp(max=total - 1)]
    position, segment = ranges(first.ravel(), count.ravel())
    earlier = (times[position] < moment[segment // count.shape[1]]).long()
    before = torch.zeros(count.numel(), dtype=torch.long, device=count.device).index_add(0, segment, earlier)
    start = centred_starts(before.view(count.shape), count, longest)
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def kept_after_bin_dropout(times: Tensor, row: Tensor, rate: float, rule: str, generator: Generator) -> Tensor:
    """Which observations survive when whole bins of `BIN_WIDTH` days are dropped from every light curve.

    Parameters
    ----------
    times, row : (n,) days; which light curve each belongs to, ascending
    rate : share of the occupied bins to drop
    rule : "share" drops round(rate x occupied bins) of them. "ranks" does what the paper's code does: it draws
        max(int(rate x occupied bins), 1) bin numbers, then drops the observations whose bin's *rank* (in order of
        first appearance) is among them.

    Returns
    -------
    (n,) bool; a light curve that would lose everything keeps everything
    """
    n_rows = int(row[-1]) + 1
    start = torch.full((n_rows,), torch.inf, dtype=times.dtype, device=times.device)
    start = start.scatter_reduce(0, row, times, "amin")
    age = (times - start[row]) / BIN_WIDTH
    number = (age.ceil() if rule == "ranks" else age.floor()).long()
    stride = int(number.max()) + 2
    occupied, bin_of = torch.unique(row * stride + number, return_inverse=True)
    bin_row = occupied // stride
    n_bins = torch.bincount(bin_row, minlength=n_rows)
    n_drop = (rate * n_bins).round().long() if rule == "share" else (rate * n_bins).long().clamp(min=1)
    u = torch.rand(len(occupied), generator=generator, device=row.device, dtype=torch.float64)
    dropped = _rank_in_row(u, bin_row, n_bins) < n_drop[bin_row]
    if rule == "share":
        keep = ~dropped[bin_of]
    else:
        order = torch.arange(len(row), device=row.device)
        seen = torch.full_like(occupied, len(row)).scatter_reduce(0, bin_of, order, "amin")
        rank = _rank_in_row(seen.double() / len(row), bin_row, n_bins)[bin_of]
        wanted = row * stride + rank
        found = torch.searchsorted(occupied, wanted).clamp(max=len(occupied) - 1)
        keep = ~(dropped[found] & (occupied[found] == wanted))
    return _or_all_of_a_row(keep, row, n_rows)


def with_outlier(mag: Tensor, row: Tensor, n_rows: int, sides: str, generator: Generator) -> Tensor:
    """Give one observation of every row a magnitude beyond the 99 % range, brighter or (sides="both") fainter."""
    length = torch.bincount(row, minlength=n_rows)
    u = torch.rand(3, n_rows, generator=generator, device=mag.device)
    victim = torch.cumsum(length, 0) - length + (u[0] * length).long().clamp(max=length - 1)
    beyond = OUTLIER_REACH * u[1]
    value = OUTLIER_BRIGHT - beyond
    if sides == "both":
        value = torch.where(u[2] < 0.5, value, OUTLIER_FAINT + beyond)
    return mag.scatter(0, victim, value)


def _or_all_of_a_row(keep: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """`keep`, and all of a row that would keep nothing: there must be something to encode."""
    left = torch.zeros(n_rows, dtype=torch.long, device=row.device).index_add(0, row, keep.long())
    return keep | (left == 0)[row]


def _segments(segment: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    count = torch.bincount(segment, minlength=shape.numel())
    return (torch.cumsum(count, 0) - count).view(shape), count.view(shape)


def _rank_in_row(value: Tensor, row: Tensor, size: Tensor) -> Tensor:
    """Rank of each value among those of its row; `value` lies in [0, 1), `size` is how many each row has."""
    order = torch.argsort(row + value.double())
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=row.device)
    return rank - (torch.cumsum(size, 0) - size)[row]
