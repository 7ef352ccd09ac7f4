"""Crops of a light curve, such as start, middle and end: where they lie, and their tokens for the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from astraclr.config import RECIPES, Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Prepared, Tokens, centred_in_segments, prepare, ranges, to_tokens

CROPS = ("start", "middle", "end")

Crop = str | Fraction
"""A name of `CROPS`, or a place from 0 (start) to 1 (end)."""

_PLACES: dict[str, Fraction] = dict(zip(CROPS, (Fraction(0), Fraction(1, 2), Fraction(1)), strict=True))


def spread_crops(windows: int) -> tuple[Crop, ...]:
    """Crops spread evenly along the light curve; three are `CROPS`, one is the middle.

    Raises
    ------
    ValueError
        For fewer than one window.

    Examples
    --------
    >>> spread_crops(3), len(spread_crops(5))
    (('start', 'middle', 'end'), 5)
    """
    if windows < 1:
        raise ValueError(f"{windows} windows; a light curve is embedded from at least 1")
    if windows in (1, 3):
        return CROPS[1:2] if windows == 1 else CROPS
    return tuple(Fraction(k, windows - 1) for k in range(windows))


def place_of(crop: Crop) -> Fraction:
    """Place of a crop, from 0 (start) to 1 (end).

    Raises
    ------
    ValueError
        For an unknown name, or a fraction outside [0, 1].

    Examples
    --------
    >>> place_of("middle")
    Fraction(1, 2)
    """
    place = _PLACES.get(crop) if isinstance(crop, str) else crop
    if place is None or not 0 <= place <= 1:
        raise ValueError(f"no crop {crop!r}; choose from {', '.join(CROPS)}, or a fraction from 0 to 1")
    return place


def crop_starts(count: Tensor, longest: Tensor, crop: Crop, before: Tensor | None = None) -> Tensor:
    """First observation of a crop in every band: ``N f - T f``, each rounded down, and at least 0, for a place f.

    Parameters
    ----------
    count, longest : (..., n_bands) int, observations of a band (N), and at most taken (T)
    crop : "start" (0), "middle" (``max(0, N // 2 - T // 2)``), "end" (``max(0, N - T)``) or a place between them
    before : (..., n_bands) int, observations before the place, where that is not the place in each band (`N f`)

    Returns
    -------
    (..., n_bands) int, at most ``N - T``

    Examples
    --------
    >>> crop_starts(torch.tensor([100, 10]), torch.tensor([40, 40]), "middle").tolist()
    [30, 0]
    """
    place = place_of(crop)
    before = share_of(count, place) if before is None else before
    return torch.minimum((before - share_of(longest, place)).clamp(min=0), (count - longest).clamp(min=0))


def share_of(number: Tensor, place: Fraction) -> Tensor:
    """``number * place`` as integers, rounded down.

    Examples
    --------
    >>> share_of(torch.tensor(7), Fraction(1, 2)).item()
    3
    """
    return number * place.numerator // place.denominator


def before_place(data: Prepared, stars: Tensor, place: Fraction = _PLACES["middle"]) -> Tensor:
    """Count the observations of each band among the first `place` of all observations of a star, (batch, n_bands).

    With it all bands are cut at one time, as astra-infer cuts the middle crop.
    """
    first, count = data.segments(stars)
    index, segment = ranges(first.ravel(), count.ravel())
    row = segment // len(data.bands)
    by_time = torch.argsort(data.times[index], stable=True)
    order = by_time[torch.argsort(row[by_time], stable=True)]
    total = count.sum(1)
    rank = torch.arange(len(order), device=order.device) - (torch.cumsum(total, 0) - total)[row[order]]
    early = (rank < share_of(total, place)[row[order]]).long()
    return torch.zeros_like(count).view(-1).index_add(0, segment[order], early).view(count.shape)


def window_lengths(bands: dict[str, float], preset: Preset) -> tuple[int, ...]:
    """Observations taken of each band, in the order of `bands` (name -> wavelength in angstrom).

    Examples
    --------
    >>> from astraclr.config import ZTF_BANDS, preset
    >>> window_lengths(ZTF_BANDS, preset("paper"))
    (300, 350, 50)
    """
    return tuple(preset.window(band, wavelength, bands) for band, wavelength in bands.items())


def crop_observations(
    data: Prepared, stars: Tensor, layout: Sequence[int], crop: Crop, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Choose the observations of one crop: their places in `data`, and their segments (row * n_bands + band).

    Parameters
    ----------
    data, stars : light curves, and (batch,) int, rows of them
    layout : observations taken of each band at most
    crop, recipe : which crop; whether a middle crop is cut by band or by epoch
    """
    longest = torch.tensor(layout, device=stars.device)
    first, count = data.segments(stars)
    by_epoch = recipe.middle_crop == "epoch" and 0 < place_of(crop) < 1
    before = before_place(data, stars, place_of(crop)) if by_epoch else None
    begin = first + crop_starts(count, longest, crop, before)
    return ranges(begin.ravel(), torch.minimum(count, longest).ravel())


def cropped(
    lc: LightCurves, preset: Preset, recipe: Recipe = RECIPES["corrected"], crops: Sequence[Crop] = CROPS
) -> LightCurves:
    """Keep only the observations that lie in at least one crop: what an encoder of this preset uses of each star.

    Parameters
    ----------
    lc : light curves
    preset, recipe : window lengths; where the middle crop lies
    crops : all of an embedding by default; one for what a single crop holds

    Returns
    -------
    LightCurves, the same stars

    Examples
    --------
    >>> from astraclr.config import preset
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(12, seed=0)
    >>> middle = cropped(stars, preset("tiny"), crops=["middle"])
    >>> len(middle), bool((middle.counts <= [40, 48, 8]).all()), middle.n_obs < stars.n_obs
    (12, True, True)
    """
    data, layout = prepare(lc), window_lengths(lc.bands, preset)
    kept = np.zeros(lc.n_obs, bool)
    for crop in crops:
        kept[crop_observations(data, torch.arange(len(lc)), layout, crop, recipe)[0].numpy()] = True
    return replace(
        lc,
        mjd=lc.mjd[kept],
        mag=lc.mag[kept],
        magerr=lc.magerr[kept],
        notes={},
        offsets=np.concatenate([[0], np.cumsum(kept)])[lc.offsets],
    )


def crop_tokens(
    data: Prepared,
    stars: Tensor,
    preset: Preset,
    crop: Crop,
    recipe: Recipe = RECIPES["corrected"],
    *,
    padded: bool = False,
) -> Tokens:
    """Make the encoder's input from one crop of every star of a batch.

    Parameters
    ----------
    data, stars : light curves, and (batch,) int, rows of them
    preset, recipe : window lengths; centring, and what the encoder reads
    crop : a name of `CROPS`, or a place from 0 to 1
    padded : give every band its full window (the paper's 300 + 350 + 50 tokens); else rows are as long as needed

    Returns
    -------
    Tokens, rows in the order of `stars`

    Examples
    --------
    >>> from astraclr.config import preset
    >>> from astraclr.simulation.simulate import simulate
    >>> crop_tokens(prepare(simulate(12, seed=0)), torch.arange(8), preset("tiny"), "start", padded=True).mag.shape
    torch.Size([8, 96])
    """
    layout = window_lengths(data.bands, preset)
    index, segment = crop_observations(data, stars, layout, crop, recipe)
    by_window = recipe.centring == "window"
    magerr = data.magerr.index_select(0, index) if by_window or recipe.reads_errors else None
    mag = data.mag.index_select(0, index)
    if magerr is not None and by_window:
        mag = centred_in_segments(mag, magerr, segment)
    return to_tokens(
        data,
        segment,
        index,
        len(stars),
        mag,
        magerr if recipe.reads_errors else None,
        layout if padded else None,
        recipe.inputs == "steps",
    )
