"""A star is cut into views: a long anchor, a short canonical positive, a long and damaged hard positive.

Whole batches at once, on any device: observations of a batch are one flat list, and every step (bin drop-out, window,
thinning, noise, outlier, jitter) acts on that list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from astraclr.config import Preset, Recipe, View
from astraclr.data.tokens import Prepared, Tokens, centred_in_segments, centred_starts, ranges, to_tokens
from astraclr.train.counter_rng import Draws, Purpose, StarDraws

BIN_WIDTH = 5.0
"""Days in a drop-out bin."""
OUTLIER_BRIGHT, OUTLIER_FAINT, OUTLIER_REACH = -0.69585, 1.52054, 0.5
"""99 % range of centred magnitudes, and how far beyond it an outlier may lie (method of the paper)."""


def make_views(
    data: Prepared, stars: Tensor, preset: Preset, recipe: Recipe, draws: Draws, keys: Tensor | None = None
) -> list[Tokens]:
    """All views of a recipe for a batch of stars.

    Parameters
    ----------
    stars : (batch,) int, rows of `data`
    draws : random numbers of a seed and an epoch
    keys : (batch,) int, the stars' numbers in the whole set where `data` is a part of it; by default the rows. A star
        has the same views whatever else is in the batch, and in `data`

    Returns
    -------
    list of Tokens, one a view, rows in the order of `stars`; each is as wide as its longest row
    """
    return [make_view(data, stars, view, preset, recipe, draws, keys, k) for k, view in enumerate(recipe.views)]


def make_view(
    data: Prepared,
    stars: Tensor,
    view: View,
    preset: Preset,
    recipe: Recipe,
    draws: Draws,
    keys: Tensor | None = None,
    number: int = 0,
) -> Tokens:
    """One view of every star of a batch (parameters as `make_views`); `number` is the view's place in the recipe."""
    lots = draws.of(stars if keys is None else keys, number)
    window = [max(1, int(preset.window(b, w, data.bands) * view.fraction)) for b, w in data.bands.items()]
    first, count = data.segments(stars)
    index, segment = _observations(data, first, count, torch.tensor(window, device=stars.device), view, recipe, lots)
    row = _rows(count).index_select(0, segment)
    if view.thinning or view.lost_band:
        keep = kept_after_thinning(index - first[:, 0].index_select(0, row), row, view.thinning, lots)
        index, segment, row = index[keep], segment[keep], row[keep]
        keep = ~in_lost_band(segment, len(data.bands), view.lost_band, lots)
        index, segment, row = index[keep], segment[keep], row[keep]
    mag, magerr = data.mag.index_select(0, index), data.magerr.index_select(0, index)
    if recipe.centring == "window":
        mag = centred_in_segments(mag, magerr, segment)
    if view.noise:
        sigma = view.noise * (magerr if recipe.noise_unit == "error" else torch.ones_like(magerr))
        # A point is known by its place in the star, so that its noise does not change with the window around it.
        place = index - first[:, 0].index_select(0, row)
        mag = mag + sigma * lots.normal(Purpose.NOISE, place, row)
        magerr = torch.hypot(magerr, sigma)  # what an instrument that noisy would state
    if view.outlier:
        mag = with_outlier(mag, row, recipe.outlier_sides, lots)
    if view.colour_jitter:
        shift = lots.normal(Purpose.COLOUR, torch.arange(len(data.bands), device=stars.device))
        mag = mag + view.colour_jitter * shift.ravel().index_select(0, segment)
    if view.error_jitter:
        magerr = magerr * (view.error_jitter * lots.normal(Purpose.ERRORS)).exp().index_select(0, row)
    return to_tokens(
        data, segment, index, len(stars), mag, magerr if recipe.reads_errors else None, steps=recipe.inputs == "steps"
    )


def _observations(
    data: Prepared, first: Tensor, count: Tensor, longest: Tensor, view: View, recipe: Recipe, lots: StarDraws
) -> tuple[Tensor, Tensor]:
    """Which observations a view shows: their places in `data`, and their segments (row * n_bands + band)."""

    def windows(first: Tensor, count: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        if recipe.shared_window:
            return shared_windows(times, first, count, longest, lots)
        return random_windows(first, count, longest, recipe.last_start, lots)

    if view.bin_dropout == 0:
        return windows(first, count, data.times)
    index, segment = ranges(first.ravel(), count.ravel())
    times, row = data.times.index_select(0, index), _rows(count)
    keep = kept_after_bin_dropout(times, row.index_select(0, segment), view.bin_dropout, recipe.bin_rule, lots)
    if recipe.drop_in_place:
        chosen, segment = windows(*_segments(count), times)
        keep = _or_all_of_a_row(keep.index_select(0, chosen), row.index_select(0, segment), len(lots)).nonzero()[:, 0]
        return index.index_select(0, chosen.index_select(0, keep)), segment.index_select(0, keep)
    left = keep.nonzero()[:, 0]
    count = torch.bincount(segment.index_select(0, left), minlength=count.numel()).view(count.shape)
    chosen, segment = windows(*_segments(count), times.index_select(0, left))
    return index.index_select(0, left.index_select(0, chosen)), segment


def random_windows(
    first: Tensor, count: Tensor, longest: Tensor, last_start: bool, lots: StarDraws
) -> tuple[Tensor, Tensor]:
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
    u = lots.uniform(Purpose.WINDOW, torch.arange(len(longest), device=count.device))
    start = (u * (spare + int(last_start))).long()
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def shared_windows(
    times: Tensor, first: Tensor, count: Tensor, longest: Tensor, lots: StarDraws
) -> tuple[Tensor, Tensor]:
    """As `random_windows`, but all bands of a star are cut around the time of one random observation of it.

    Parameters
    ----------
    times : (n,) days, the list of observations that `first` and `count` speak of; a star's bands follow one another
    """
    total = count.sum(1)
    moment = times[first[:, 0] + (lots.uniform(Purpose.MOMENT) * total).long()]
    position, segment = ranges(first.ravel(), count.ravel())
    until = moment.repeat_interleave(count.shape[1]).index_select(0, segment)
    earlier = (times.index_select(0, position) < until).long()
    before = torch.zeros(count.numel(), dtype=torch.long, device=count.device).index_add(0, segment, earlier)
    start = centred_starts(before.view(count.shape), count, longest)
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def kept_after_bin_dropout(times: Tensor, row: Tensor, rate: float, rule: str, lots: StarDraws) -> Tensor:
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
    number = bin_numbers(times, row, len(lots), rule)
    stride = int(number.max()) + 2
    occupied, bin_of = _occupied(row * stride + number, len(lots) * stride)
    bin_row = occupied // stride
    n_bins = torch.bincount(bin_row, minlength=len(lots))
    n_drop = (rate * n_bins).round().long() if rule == "share" else (rate * n_bins).long().clamp(min=1)
    dropped = _drawn(lots.bits(Purpose.BINS, occupied - bin_row * stride, bin_row), bin_row, n_bins, n_drop)
    if rule == "ranks":
        wanted = bin_row * stride + _rank_of_appearance(bin_of, bin_row, n_bins)
        found = torch.searchsorted(occupied, wanted).clamp(max=len(occupied) - 1)
        dropped = dropped[found] & (occupied[found] == wanted)
    return _or_all_of_a_row(~dropped.index_select(0, bin_of), row, len(lots))


def bin_numbers(times: Tensor, row: Tensor, n_rows: int, rule: str) -> Tensor:
    """(n,) number of each observation's bin, counted from the first observation of its light curve."""
    start = torch.full((n_rows,), torch.inf, dtype=times.dtype, device=times.device)
    start = start.scatter_reduce(0, row, times, "amin")
    age = (times - start.index_select(0, row)).div_(BIN_WIDTH)
    return (age.ceil_() if rule == "ranks" else age.floor_()).long()


def _occupied(cell: Tensor, n_cells: int) -> tuple[Tensor, Tensor]:
    """``torch.unique(cell, return_inverse=True)``, by a table of all cells unless that is much longer than the list."""
    if n_cells > 4 * len(cell) + 1_000:
        return torch.unique(cell, return_inverse=True)
    seen = torch.zeros(n_cells, dtype=torch.bool, device=cell.device).index_fill_(0, cell, True)
    return seen.nonzero()[:, 0], (seen.cumsum(0) - 1).index_select(0, cell)


def _drawn(bits: Tensor, row: Tensor, size: Tensor, n_drawn: Tensor) -> Tensor:
    """(n,) bool, the `n_drawn` elements of every row that have the lowest bits; rows are ascending and have `size`."""
    # One sort of integers, the row above 40 of the bits; rows stay where they are, so positions tell the rank.
    order = torch.sort((row << 40) | (bits & ((1 << 40) - 1)), stable=True).indices
    rank = torch.arange(len(row), device=row.device) - (size.cumsum(0) - size).index_select(0, row)
    return torch.empty_like(rank, dtype=torch.bool).scatter_(0, order, rank < n_drawn.index_select(0, row))


def _rank_of_appearance(bin_of: Tensor, bin_row: Tensor, size: Tensor) -> Tensor:
    """Rank of every bin among those of its row, in the order in which the observations' list meets them."""
    n = len(bin_of)
    seen = torch.full_like(bin_row, n).scatter_reduce(0, bin_of, torch.arange(n, device=bin_of.device), "amin")
    new = torch.zeros_like(bin_of).index_fill_(0, seen, 1)
    return new.cumsum(0).index_select(0, seen) - 1 - (size.cumsum(0) - size).index_select(0, bin_row)


def kept_after_thinning(place: Tensor, row: Tensor, most: float, lots: StarDraws) -> Tensor:
    """Which observations survive when every light curve loses each of its own with one probability.

    Parameters
    ----------
    place, row : (n,) int, each observation's place in its star; which light curve it belongs to, ascending
    most : the probability is drawn uniformly between 0 and this for each light curve

    Returns
    -------
    (n,) bool; a light curve that would lose everything keeps everything
    """
    probability = (most * lots.uniform(Purpose.THINNING)).index_select(0, row)
    return _or_all_of_a_row(lots.uniform(Purpose.THINNED, place, row) >= probability, row, len(lots))


def in_lost_band(segment: Tensor, n_bands: int, chance: float, lots: StarDraws) -> Tensor:
    """(n,) bool, which observations go when a light curve loses the band with the fewest, where another is left.

    Of bands with equally few it is the first; `segment` is row * n_bands + band.
    """
    size = torch.bincount(segment, minlength=len(lots) * n_bands).view(-1, n_bands)
    sparsest = size.masked_fill(size == 0, torch.iinfo(size.dtype).max).argmin(1, keepdim=True)
    loses = (lots.uniform(Purpose.LOST_BAND) < chance) & ((size > 0).sum(1) > 1)
    lost = torch.zeros_like(size, dtype=torch.bool).scatter_(1, sparsest, loses[:, None])
    return lost.view(-1).index_select(0, segment)


def with_outlier(mag: Tensor, row: Tensor, sides: str, lots: StarDraws) -> Tensor:
    """Give one observation of every row a magnitude beyond the 99 % range, brighter or (sides="both") fainter."""
    length = torch.bincount(row, minlength=len(lots))
    victim = torch.cumsum(length, 0) - length + (lots.uniform(Purpose.OUTLIER_PLACE) * length).long()
    beyond = OUTLIER_REACH * lots.uniform(Purpose.OUTLIER_VALUE)
    value = OUTLIER_BRIGHT - beyond
    if sides == "both":
        value = torch.where(lots.uniform(Purpose.OUTLIER_SIDE) < 0.5, value, OUTLIER_FAINT + beyond)
    return mag.scatter(0, victim, value.to(mag.dtype))


def _or_all_of_a_row(keep: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """`keep`, and all of a row that would keep nothing: there must be something to encode."""
    left = torch.zeros(n_rows, dtype=torch.long, device=row.device).index_add(0, row, keep.long())
    return keep | (left == 0).index_select(0, row)


def _rows(count: Tensor) -> Tensor:
    """(batch * n_bands,) row of every segment: looking it up is much faster than dividing for every observation."""
    return torch.arange(len(count), device=count.device).repeat_interleave(count.shape[1])


def _segments(count: Tensor) -> tuple[Tensor, Tensor]:
    """Where segments of given sizes begin that follow one another, and their sizes."""
    return (torch.cumsum(count.ravel(), 0) - count.ravel()).view(count.shape), count
