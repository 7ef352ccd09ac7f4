"""One light curve's way into the encoder: centred magnitudes, days since MJD 58000, the band, a mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from astraclr.data.lightcurves import LightCurves

MJD_ZERO = 58_000.0
"""Origin of the time axis (method of the paper)."""


class Tokens(NamedTuple):
    """What the encoder reads; one row a light curve, one token an observation.

    Attributes
    ----------
    mag : (batch, length) float32, magnitude minus the light curve's weighted mean
    times : (batch, length) float64, MJD - 58000 days
    band : (batch, length) float32, log10 of the effective wavelength in angstrom
    mask : (batch, length) bool, True = ignore (padding)
    magerr : (batch, length) float32 mag, only for an encoder that reads errors
    follows : (batch, length) bool, whether the token before is the previous observation of the same band; only for an
        encoder that reads steps
    cycle : (batch, length, 8) float32, `folding.cycle_inputs`, which an encoder that reads phases adds itself
    """

    mag: Tensor
    times: Tensor
    band: Tensor
    mask: Tensor
    magerr: Tensor | None = None
    follows: Tensor | None = None
    cycle: Tensor | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> Tokens:
        """The same with every tensor changed."""
        return Tokens(*(None if t is None else change(t) for t in self))  # pyright: ignore[reportArgumentType]

    def to(self, device: torch.device | str) -> Tokens:
        """The same on another device."""
        return self.each(lambda t: t.to(device))

    def rows(self, index: Tensor | slice) -> Tokens:
        """Some of the light curves."""
        return self.each(lambda t: t[index])


@dataclass(frozen=True)
class Prepared:
    """Light curves as tensors on one device, centred once; segments as in `LightCurves`."""

    mag: Tensor
    times: Tensor
    magerr: Tensor
    offsets: Tensor
    log_wavelength: Tensor
    bands: dict[str, float]

    def __len__(self) -> int:
        return (len(self.offsets) - 1) // len(self.bands)

    def segments(self, stars: Tensor) -> tuple[Tensor, Tensor]:
        """First observation and number of observations, each (n_stars, n_bands), of the given stars."""
        k = len(self.bands)
        index = stars[:, None] * k + torch.arange(k, device=stars.device)
        return self.offsets[index], self.offsets[index + 1] - self.offsets[index]


def weighted_mean(lc: LightCurves) -> np.ndarray:
    """(n_stars,) inverse-variance weighted mean magnitude over all bands, so that colour survives as an offset."""
    if not (seen := lc.counts.any(axis=1)).all():
        raise ValueError(f"{int((~seen).sum())} light curves have no observation; drop them: lc[lc.counts.any(axis=1)]")
    first = lc.offsets[: -1 : len(lc.bands)]
    weight = np.square(lc.magerr, dtype=np.float64)
    np.reciprocal(weight, out=weight)
    total = np.add.reduceat(weight, first)
    weight *= lc.mag  # in place: a new array of this size costs more than the arithmetic
    return np.add.reduceat(weight, first) / total


def centred_in_segments(mag: Tensor, magerr: Tensor, segment: Tensor) -> Tensor:
    """(n,) magnitudes minus the weighted mean of their segment (band of a window), which loses colour."""
    weight = magerr.double().square().reciprocal()
    zero = weight.new_zeros(int(segment.max()) + 1)
    mean = zero.index_add(0, segment, weight * mag) / zero.index_add(0, segment, weight)
    return (mag - mean[segment]).to(mag.dtype)


def prepare(lc: LightCurves, device: torch.device | str = "cpu") -> Prepared:
    """Centre every light curve and move all to `device`."""
    mean = np.repeat(weighted_mean(lc), lc.counts.sum(axis=1))
    mag, times = (lc.mag - mean).astype(np.float32), lc.mjd - MJD_ZERO
    mag, times, magerr, offsets = (torch.as_tensor(c, device=device) for c in (mag, times, lc.magerr, lc.offsets))
    wavelengths = torch.tensor(np.log10(list(lc.bands.values())), dtype=torch.float32, device=device)
    return Prepared(mag, times, magerr, offsets, wavelengths, lc.bands)


def ranges(first: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Write out ranges ``first[k], first[k] + 1, ...`` of given lengths.

    Returns
    -------
    positions, owner : (length.sum(),) int each; the numbers, and which range each belongs to
    """
    owner = torch.repeat_interleave(length)
    before = first - (torch.cumsum(length, 0) - length)
    return before.index_select(0, owner).add_(torch.arange(len(owner), device=length.device)), owner


def centred_starts(before: Tensor, count: Tensor, longest: Tensor) -> Tensor:
    """Starts of windows around a cut that has `before` observations of the band on its left, shifted back to fit."""
    return torch.minimum((before - longest // 2).clamp(min=0), (count - longest).clamp(min=0))


def to_tokens(
    data: Prepared,
    segment: Tensor,
    index: Tensor,
    n_rows: int,
    mag: Tensor | None = None,
    magerr: Tensor | None = None,
    layout: tuple[int, ...] | None = None,
    steps: bool = False,
) -> Tokens:
    """Lay observations out in a rectangle.

    Parameters
    ----------
    segment : (n,) int, row * n_bands + band of every observation, ascending
    index : (n,) int, the observation's place in `data`
    n_rows : number of rows
    mag : (n,) magnitudes to use instead of ``data.mag[index]``
    magerr : (n,) errors, for an encoder that reads them
    layout : tokens reserved for each band (the paper's 300, 350, 50); without it rows are filled from the left and
        are as long as the longest needs, which gives the same embedding: attention does not see positions
    steps : tell which tokens follow the previous observation of their band, for an encoder that reads steps

    Raises
    ------
    ValueError
        If a row has no observation: its embedding would be NaN.
    """
    device, n_bands = segment.device, len(data.bands)
    size = torch.bincount(segment, minlength=n_rows * n_bands).view(n_rows, n_bands)
    filled = size.sum(1)
    if (filled == 0).any():
        raise ValueError(f"{int((filled == 0).sum())} light curves have no observation to embed; drop them first")
    width = int(filled.max()) if layout is None else sum(layout)
    place = size.cumsum(1) - size if layout is None else torch.tensor([0, *np.cumsum(layout)[:-1]], device=device)
    begin = (torch.arange(n_rows, device=device)[:, None] * width + place).ravel()
    listed = size.ravel().cumsum(0) - size.ravel()
    target = (begin - listed).index_select(0, segment).add_(torch.arange(len(segment), device=device))

    def lay(values: Tensor) -> Tensor:
        return values.new_zeros(n_rows * width).scatter_(0, target, values).view(n_rows, width)

    mag = data.mag.index_select(0, index) if mag is None else mag
    band = data.log_wavelength.repeat(n_rows).index_select(0, segment)
    mask = torch.ones(n_rows * width, dtype=torch.bool, device=device).index_fill_(0, target, False)
    # Observations of a segment lie side by side in any layout, so that the previous one is the token before.
    follows = lay(F.pad(segment[1:] == segment[:-1], (1, 0))) if steps else None
    return Tokens(
        lay(mag),
        lay(data.times.index_select(0, index)),
        lay(band),
        mask.view(n_rows, width),
        None if magerr is None else lay(magerr),
        follows,
    )
