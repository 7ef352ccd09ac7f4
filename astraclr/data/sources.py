"""Where training takes its stars from: memory or shards, one interface for both."""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from astraclr.data.lightcurves import LightCurves

if TYPE_CHECKING:
    from astraclr.data.tokens import Prepared


_REST = ", SHA-256 "


def fingerprint(lc: LightCurves) -> str:
    """A line that tells one set of light curves from another, by all that training reads, and the ids.

    Numbers of stars and observations; the CRC-32 of the magnitudes, with which the line ended in earlier versions (see
    `same_stars`); the SHA-256 of times, errors, bands with their wavelengths, where each begins, and object ids.
    Labels and periods, which training does not read, may be given later.
    """
    rest = hashlib.sha256()
    for column, kind in ((lc.mjd, np.float64), (lc.magerr, np.float32), (lc.offsets, np.int64)):
        rest.update(np.ascontiguousarray(column, kind).data)
    names = [[(band, float(wavelength)) for band, wavelength in lc.bands.items()], lc.object_id.tolist()]
    rest.update(json.dumps(names).encode())
    crc = zlib.crc32(np.ascontiguousarray(lc.mag).data)
    return f"{len(lc)} stars, {lc.n_obs} observations, CRC-32 {crc:08x}{_REST}{rest.hexdigest()[:16]}"


def same_stars(recorded: str, now: str, where: str | Path) -> bool:
    """Whether what was recorded in `where` is a `fingerprint` of the stars of `now`, as far as it can say.

    Warns
    -----
    UserWarning
        If an earlier version recorded it, by whose line only magnitudes can be compared, and these are equal.
    """
    if recorded == now:
        return True
    if not now.startswith(f"{recorded}{_REST}"):
        return False
    warnings.warn(
        f"{where} is of an earlier version, which recorded of its stars how many there are and a checksum of their "
        "magnitudes: these agree; times, errors, bands and ids could not be compared. If you changed them, choose "
        "another folder",
        stacklevel=3,
    )
    return True


BLOCK, BUFFER = 64, 16_384
"""Stars that are read side by side, and stars that are shuffled among one another (`shuffled`)."""


class Source(Protocol):
    """What pre-training needs of its stars, wherever they are; `Shards` and `InMemory` have it."""

    bands: dict[str, float]

    def __len__(self) -> int: ...

    @property
    def fingerprint(self) -> str:
        """A line that tells these stars from others."""
        ...

    def order(self, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """The numbers of stars `rows` in the order of an epoch."""
        ...

    def prepared(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Prepared:
        """Stars of these numbers, in this order, renumbered from 0, centred as `preparation.prepare` does."""
        ...


class InMemory:
    """`LightCurves` as a `Source`: prepared when first needed, once, on one device."""

    def __init__(self, lc: LightCurves, device: torch.device | str = "cpu") -> None:

        self.bands, self.fingerprint = lc.bands, fingerprint(lc)
        self._lc, self._device = lc, device

    def __len__(self) -> int:
        return len(self._lc)

    @cached_property
    def _data(self) -> Prepared:
        from astraclr.data.tokens import prepare

        return prepare(self._lc, self._device)

    def order(self, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """A new permutation every epoch."""
        return rows[np.random.default_rng([seed, epoch]).permutation(len(rows))]

    def prepared(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Prepared:
        """Stars of these numbers, renumbered from 0."""
        import torch

        from astraclr.data.tokens import Prepared, ranges

        data = self._data
        first, count = data.segments(torch.as_tensor(np.asarray(rows), device=data.offsets.device))
        index, _ = ranges(first.ravel(), count.ravel())
        offsets = torch.cat([count.new_zeros(1), count.ravel().cumsum(0)])
        found = (data.mag[index], data.times[index], data.magerr[index], offsets)
        mag, times, magerr, offsets = (c.to(device) for c in found)
        return Prepared(mag, times, magerr, offsets, data.log_wavelength.to(device), data.bands)


def shuffled(rows: np.ndarray, seed: int, epoch: int, block: int = BLOCK, buffer: int = BUFFER) -> np.ndarray:
    """Numbers of stars in an order that is nearly random and reads nearly in sequence; it depends on nothing else.

    The sorted numbers are cut into blocks (elsewhere every epoch), the blocks come in random order, and every `buffer`
    stars of that are shuffled. Up to `buffer` stars this is a plain permutation. Beyond, stars of a block meet more
    often than chance has it: a batch of 128 holds on average 0.5 of the 63 neighbours in the catalogue of each of its
    stars, not the 0.004 of 2.1 million stars at random.
    """
    rng = np.random.default_rng([seed, epoch])
    if len(rows) <= buffer:
        return rows[rng.permutation(len(rows))]
    first = rng.permutation(np.arange(-int(rng.integers(block)), len(rows), block))
    place = (first[:, None] + np.arange(block)).ravel()
    place = place[(place >= 0) & (place < len(rows))]
    for k in range(0, len(place), buffer):
        rng.shuffle(place[k : k + buffer])
    return np.sort(rows)[place]
