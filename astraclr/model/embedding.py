"""Start, middle and end crops of a light curve become one embedding by late fusion; many become a table."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from astraclr.config import RECIPES, Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Prepared, Tokens, centred_in_segments, prepare, ranges, to_tokens
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.device import own_device
from astraclr.model.encoder import Encoder

CROPS = ("start", "middle", "end")

Crop = str | Fraction
"""A name of `CROPS`, or a place from 0 (start) to 1 (end)."""

Fusion = Literal["mean", "concat"]

_PLACES: dict[str, Fraction] = dict(zip(CROPS, (Fraction(0), Fraction(1, 2), Fraction(1)), strict=True))

_CACHED = 6_000_000
"""Numbers of the widest layer that a CPU computes at once: 24 MB, which stay in its cache."""


def spread_crops(windows: int) -> tuple[Crop, ...]:
    """So many crops spread evenly along the light curve; three are `CROPS`, one is the middle.

    Raises
    ------
    ValueError
        For fewer than 1.
    """
    if windows < 1:
        raise ValueError(f"{windows} windows; a light curve is embedded from at least 1")
    if windows in (1, 3):
        return CROPS[1:2] if windows == 1 else CROPS
    return tuple(Fraction(k, windows - 1) for k in range(windows))


def place_of(crop: Crop) -> Fraction:
    """Where a crop lies, from 0 (start) to 1 (end)."""
    place = _PLACES.get(crop) if isinstance(crop, str) else crop
    if place is None or not 0 <= place <= 1:
        raise ValueError(f"no crop {crop!r}; choose from {', '.join(CROPS)}, or a fraction from 0 to 1")
    return place


def crop_starts(count: Tensor, longest: Tensor, crop: Crop, before: Tensor | None = None) -> Tensor:
    """Where a crop begins in every band: ``N f - T f``, both rounded down, and at least 0, for the place f of a crop.

    Parameters
    ----------
    count, longest : (..., n_bands) int, observations there are (N), and at most taken (T)
    crop : "start" (0), "middle" (``max(0, N // 2 - T // 2)``), "end" (``max(0, N - T)``) or a place between them
    before : (..., n_bands) int, observations before the place, where that is not the place in each band

    Returns
    -------
    (..., n_bands) int
    """
    place = place_of(crop)
    before = share_of(count, place) if before is None else before
    return torch.minimum((before - share_of(longest, place)).clamp(min=0), (count - longest).clamp(min=0))


def share_of(number: Tensor, place: Fraction) -> Tensor:
    """``number * place`` in whole numbers, rounded down."""
    return number * place.numerator // place.denominator


def before_place(data: Prepared, stars: Tensor, place: Fraction = _PLACES["middle"]) -> Tensor:
    """(batch, n_bands) epochs of each band among that first share of all epochs of the star (astra-infer's middle)."""
    first, count = data.segments(stars)
    index, segment = ranges(first.ravel(), count.ravel())
    row = segment // len(data.bands)
    by_time = torch.argsort(data.times[index], stable=True)
    order = by_time[torch.argsort(row[by_time], stable=True)]
    total = count.sum(1)
    rank = torch.arange(len(order), device=order.device) - (torch.cumsum(total, 0) - total)[row[order]]
    early = (rank < share_of(total, place)[row[order]]).long()
    return torch.zeros_like(count).view(-1).index_add(0, segment[order], early).view(count.shape)


def crop_observations(
    data: Prepared, stars: Tensor, layout: Sequence[int], crop: Crop, recipe: Recipe
) -> tuple[Tensor, Tensor]:
    """Places in `data` of what one crop shows, at most `layout` of each band, and segments (row * n_bands + band)."""
    longest = torch.tensor(layout, device=stars.device)
    first, count = data.segments(stars)
    by_epoch = recipe.middle_crop == "epoch" and 0 < place_of(crop) < 1
    before = before_place(data, stars, place_of(crop)) if by_epoch else None
    begin = first + crop_starts(count, longest, crop, before)
    return ranges(begin.ravel(), torch.minimum(count, longest).ravel())


def shown(lc: LightCurves, preset: Preset, recipe: Recipe = RECIPES["corrected"]) -> LightCurves:
    """Only those epochs that an encoder of that preset sees in at least one of its crops, for a fair comparison."""
    data, layout = prepare(lc), tuple(preset.window(b, w, lc.bands) for b, w in lc.bands.items())
    seen = np.zeros(lc.n_obs, bool)
    for crop in CROPS:
        seen[crop_observations(data, torch.arange(len(lc)), layout, crop, recipe)[0].numpy()] = True
    return replace(
        lc,
        mjd=lc.mjd[seen],
        mag=lc.mag[seen],
        magerr=lc.magerr[seen],
        notes={},
        offsets=np.concatenate([[0], np.cumsum(seen)])[lc.offsets],
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
    """One crop of every star of a batch; `padded` gives every band its full window (the paper's 300 + 350 + 50)."""
    layout = tuple(preset.window(band, wavelength, data.bands) for band, wavelength in data.bands.items())
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


def fuse(crops: Tensor, fusion: Fusion = "mean") -> Tensor:
    """(n_crops, batch, d) to (batch, d) by mean, or to (batch, n_crops * d) by concatenation."""
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    return crops.mean(0) if fusion == "mean" else torch.cat(list(crops), dim=-1)


@torch.inference_mode()
def embed(
    lc: LightCurves,
    checkpoint: Checkpoint,
    *,
    fusion: Fusion = "mean",
    windows: int = len(CROPS),
    batch_size: int | None = None,
    device: str | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Embed light curves.

    Parameters
    ----------
    lc : any number of stars; a band that the checkpoint's preset does not name gets the window of the nearest one
    fusion : "mean" of the crops' embeddings (the paper's probe), or their "concat"enation (its fine-tuning head)
    windows : crops, spread evenly along the light curve; the paper's three are start, middle and end
    batch_size : stars at once; by default 1024 on a GPU, and on a CPU 64 or, for large encoders, what fits its cache

    Returns
    -------
    (n_stars, d_embedding) float32, or (n_stars, windows * d_embedding) for "concat", in the order of `lc`; the
    checkpoint's encoder stays on its device and in its mode
    """
    crops = spread_crops(windows)
    device = device or own_device()
    data = prepare(lc, device)
    longest = np.array([checkpoint.preset.window(b, w, lc.bands) for b, w in lc.bands.items()])
    if batch_size is None:
        batch_size = stars_at_once(checkpoint.encoder, int(longest.sum())) if device == "cpu" else 1024
    # Where no band exceeds its window all crops are one and the same. Such stars come first, and all by length:
    # those that share a rectangle then leave little of it empty.
    several = np.any(lc.counts > longest, axis=1)
    order = np.lexsort((np.minimum(lc.counts, longest).sum(1), several))
    width = checkpoint.encoder.config.d_embedding * (1 if fusion == "mean" else windows)
    out = np.empty((len(lc), width), np.float32)
    bar = tqdm(total=len(lc), desc="embedding", unit="star", disable=not progress)
    with bar, evaluating(checkpoint.encoder, device) as encoder:
        for first in range(0, len(lc), batch_size):
            rows = order[first : first + batch_size]
            stars = torch.as_tensor(rows, device=device)
            distinct = crops if several[rows].any() else crops[:1]
            parts = [encoder(crop_tokens(data, stars, checkpoint.preset, c, checkpoint.recipe)) for c in distinct]
            out[rows] = fuse(torch.stack(parts).expand(windows, -1, -1), fusion).float().cpu().numpy()
            bar.update(len(rows))
    return out


@contextmanager
def evaluating(encoder: Encoder, device: torch.device | str) -> Iterator[Encoder]:
    """Within, the encoder in evaluation mode on `device`, a copy where it is on another; afterwards it is as it was."""
    there = torch.empty(0, device=device).device  # "cuda" is "cuda:0", or whichever is current
    used = encoder if next(encoder.parameters()).device == there else copy.deepcopy(encoder).to(there)
    modes = [(part, part.training) for part in used.modules()]
    used.eval()
    try:
        yield used
    finally:
        for part, training in modes:
            part.training = training


def stars_at_once(encoder: Encoder, length: int) -> int:
    """How many light curves of at most `length` tokens a CPU embeds fastest at once."""
    return max(1, min(64, _CACHED // (length * encoder.config.d_ff)))


def embedding_table(
    lc: LightCurves, checkpoint: Checkpoint, *, windows: int = len(CROPS), **how: object
) -> pd.DataFrame:
    """Embeddings with what a reader needs to judge them, one row a star.

    Columns: object_id, label, ``n_<band>`` epochs used by at least one crop, missing_bands, checkpoint (SHA-256 of
    the weights), preset, recipe, embedding (list of d_embedding float32). `how` goes to `embed`.
    """
    vectors = embed(lc, checkpoint, windows=windows, **how)  # type: ignore[arg-type]
    longest = np.array([checkpoint.preset.window(b, w, lc.bands) for b, w in lc.bands.items()])
    used = np.minimum(lc.counts, windows * longest)
    names = np.array(list(lc.bands))
    table = pd.DataFrame({"object_id": lc.object_id, "label": lc.label})
    for k, band in enumerate(lc.bands):
        table[f"n_{band}"] = used[:, k].astype(np.int32)
    table["missing_bands"] = [" ".join(names[row == 0]) for row in lc.counts]
    table["checkpoint"] = checkpoint.sha256
    table["preset"], table["recipe"] = checkpoint.preset.name, checkpoint.recipe.name
    table["embedding"] = list(vectors)
    return table


def one_window(lc: LightCurves, preset: Preset, crop: Crop, recipe: Recipe = RECIPES["corrected"]) -> LightCurves:
    """Only those epochs that an encoder of that preset sees in one of its crops."""
    layout = tuple(preset.window(b, w, lc.bands) for b, w in lc.bands.items())
    seen = np.zeros(lc.n_obs, bool)
    seen[crop_observations(prepare(lc), torch.arange(len(lc)), layout, crop, recipe)[0].numpy()] = True
    return replace(
        lc,
        mjd=lc.mjd[seen],
        mag=lc.mag[seen],
        magerr=lc.magerr[seen],
        notes={},
        offsets=np.concatenate([[0], np.cumsum(seen)])[lc.offsets],
    )
