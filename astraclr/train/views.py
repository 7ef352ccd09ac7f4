"""Views of a star: windows of its light curve with augmentations, such as a long anchor and a short positive.

Whole batches are computed at once, on any device: the observations of a batch are one flat list, and every augmentation
(bin drop-out, window, thinning, noise, outlier, jitter) acts on that list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from astraclr.config import Preset, Recipe, View
from astraclr.data.tokens import Prepared, Tokens, centred_in_segments, centred_starts, ranges, to_tokens
from astraclr.train.augmentations import (
    in_lost_band,
    kept_after_bin_dropout,
    kept_after_thinning,
    or_all_of_a_row,
    with_outlier,
)
from astraclr.train.counter_rng import Draws, Purpose, StarDraws


def make_views(
    data: Prepared, stars: Tensor, preset: Preset, recipe: Recipe, draws: Draws, keys: Tensor | None = None
) -> list[Tokens]:
    """Make all views of a recipe for a batch of stars.

    Parameters
    ----------
    data : light curves
    stars : (batch,) int, rows of `data`
    preset, recipe : window lengths; views and their augmentations
    draws : random numbers of a seed and an epoch
    keys : (batch,) int, the stars' numbers in the whole set where `data` is a part of it; by default the rows. The
        views of a star depend on its number, not on the other stars of the batch or of `data`

    Returns
    -------
    list of Tokens, one a view, rows in the order of `stars`; each is as wide as its longest row

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = prepare(simulate(12, seed=0))
    >>> views = make_views(stars, torch.arange(8), preset("tiny"), recipe("corrected"), Draws(seed=0, epoch=0))
    >>> len(views), len(views[0].mag)
    (3, 8)
    """
    keys = stars if keys is None else keys
    return [
        make_view(data, stars, view, preset, recipe, draws.of(keys, number)) for number, view in enumerate(recipe.views)
    ]


def make_view(data: Prepared, stars: Tensor, view: View, preset: Preset, recipe: Recipe, draws: StarDraws) -> Tokens:
    """Make one view of every star of a batch.

    Parameters
    ----------
    data, stars, preset, recipe : as for `make_views`
    view : window and augmentations
    draws : random numbers of these stars in this view

    Returns
    -------
    Tokens, one row a star

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.simulation.simulate import simulate
    >>> stars, rows = prepare(simulate(12, seed=0)), torch.arange(12)
    >>> half = View("half", fraction=0.5)
    >>> tokens = make_view(stars, rows, half, preset("tiny"), recipe("corrected"), Draws(seed=0).of(rows))
    >>> bool((~tokens.mask).sum(1).max() <= 20 + 24 + 4)
    True
    """
    window = [max(1, int(preset.window(b, w, data.bands) * view.fraction)) for b, w in data.bands.items()]
    first, count = data.segments(stars)
    index, segment = _observations(data, stars, torch.tensor(window, device=stars.device), view, recipe, draws)
    row = _rows(count).index_select(0, segment)
    if view.thinning or view.lost_band:
        keep = kept_after_thinning(index - first[:, 0].index_select(0, row), row, view.thinning, draws)
        index, segment, row = index[keep], segment[keep], row[keep]
        keep = ~in_lost_band(segment, len(data.bands), view.lost_band, draws)
        index, segment, row = index[keep], segment[keep], row[keep]
    mag, magerr = data.mag.index_select(0, index), data.magerr.index_select(0, index)
    if recipe.centring == "window":
        mag = centred_in_segments(mag, magerr, segment)
    if view.noise:
        sigma = view.noise * (magerr if recipe.noise_unit == "error" else torch.ones_like(magerr))
        # Noise is keyed by a point's place in the star, so that it does not change with the window around it.
        place = index - first[:, 0].index_select(0, row)
        mag = mag + sigma * draws.normal(Purpose.NOISE, place, row)
        magerr = torch.hypot(magerr, sigma)  # the error that an instrument with that noise would state
    if view.outlier:
        mag = with_outlier(mag, row, recipe.outlier_sides, draws)
    if view.colour_jitter:
        shift = draws.normal(Purpose.COLOUR, torch.arange(len(data.bands), device=stars.device))
        mag = mag + view.colour_jitter * shift.ravel().index_select(0, segment)
    if view.error_jitter:
        magerr = magerr * (view.error_jitter * draws.normal(Purpose.ERRORS)).exp().index_select(0, row)
    return to_tokens(
        data, segment, index, len(stars), mag, magerr if recipe.reads_errors else None, steps=recipe.inputs == "steps"
    )


def _observations(
    data: Prepared, stars: Tensor, longest: Tensor, view: View, recipe: Recipe, draws: StarDraws
) -> tuple[Tensor, Tensor]:
    """Choose the observations of a view: their places in `data`, and their segments (row * n_bands + band)."""
    first, count = data.segments(stars)

    def windows(first: Tensor, count: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        if recipe.shared_window:
            return shared_windows(times, first, count, longest, draws)
        return random_windows(first, count, longest, recipe.last_start, draws)

    if view.bin_dropout == 0:
        return windows(first, count, data.times)
    index, segment = ranges(first.ravel(), count.ravel())
    times, row = data.times.index_select(0, index), _rows(count)
    keep = kept_after_bin_dropout(times, row.index_select(0, segment), view.bin_dropout, recipe.bin_rule, draws)
    if recipe.drop_in_place:
        chosen, segment = windows(*_segments(count), times)
        keep = or_all_of_a_row(keep.index_select(0, chosen), row.index_select(0, segment), len(draws)).nonzero()[:, 0]
        return index.index_select(0, chosen.index_select(0, keep)), segment.index_select(0, keep)
    left = keep.nonzero()[:, 0]
    count = torch.bincount(segment.index_select(0, left), minlength=count.numel()).view(count.shape)
    chosen, segment = windows(*_segments(count), times.index_select(0, left))
    return index.index_select(0, left.index_select(0, chosen)), segment


def random_windows(
    first: Tensor, count: Tensor, longest: Tensor, last_start: bool, draws: StarDraws
) -> tuple[Tensor, Tensor]:
    """Draw a contiguous window in every band of every star, its start uniformly; a shorter band is taken whole.

    Parameters
    ----------
    first, count : (batch, n_bands) int, where each band begins in a list of observations, and how many it has
    longest : (n_bands,) int, window lengths
    last_start : whether the last possible start can be drawn (the paper's code stops one short)
    draws : random numbers of the stars

    Returns
    -------
    positions in that list, and their segment (row * n_bands + band)

    Examples
    --------
    >>> first, count = torch.tensor([[0, 9]]), torch.tensor([[9, 2]])
    >>> position, segment = random_windows(first, count, torch.tensor([4, 4]), True, Draws(0).of(torch.arange(1)))
    >>> segment.tolist()
    [0, 0, 0, 0, 1, 1]
    """
    spare = (count - longest).clamp(min=0)
    u = draws.uniform(Purpose.WINDOW, torch.arange(len(longest), device=count.device))
    start = (u * (spare + int(last_start))).long()
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def shared_windows(
    times: Tensor, first: Tensor, count: Tensor, longest: Tensor, draws: StarDraws
) -> tuple[Tensor, Tensor]:
    """Cut all bands of a star around the time of one random observation of it.

    Parameters
    ----------
    times : (n,) days, of the list of observations; a star's bands follow one another
    first, count, longest, draws : as for `random_windows`

    Returns
    -------
    positions, segment : as `random_windows`

    Examples
    --------
    >>> times, first, count = torch.arange(11.0), torch.tensor([[0, 9]]), torch.tensor([[9, 2]])
    >>> draws = Draws(0).of(torch.arange(1))
    >>> shared_windows(times, first, count, torch.tensor([4, 4]), draws)[1].tolist()
    [0, 0, 0, 0, 1, 1]
    """
    total = count.sum(1)
    moment = times[first[:, 0] + (draws.uniform(Purpose.MOMENT) * total).long()]
    position, segment = ranges(first.ravel(), count.ravel())
    until = moment.repeat_interleave(count.shape[1]).index_select(0, segment)
    earlier = (times.index_select(0, position) < until).long()
    before = torch.zeros(count.numel(), dtype=torch.long, device=count.device).index_add(0, segment, earlier)
    start = centred_starts(before.view(count.shape), count, longest)
    return ranges((first + start).ravel(), torch.minimum(count, longest).ravel())


def _rows(count: Tensor) -> Tensor:
    """Row of every segment, (batch * n_bands,): looking it up is much faster than a division for every observation."""
    return torch.arange(len(count), device=count.device).repeat_interleave(count.shape[1])


def _segments(count: Tensor) -> tuple[Tensor, Tensor]:
    """First positions of segments that follow one another, and their sizes."""
    return (torch.cumsum(count.ravel(), 0) - count.ravel()).view(count.shape), count
