"""Random numbers keyed by seed, epoch, star, view and purpose, independent of the order in which they are drawn.

With a usual random generator a view depends on every star that was drawn before it. Here a number is a function of its
key alone (a counter-based generator: Salmon et al. 2011, SC '11), so a star has the same views whatever the batch,
worker, rank or device. The function is SplitMix64 (Steele, Lea & Flood 2014, OOPSLA '14): integers only, hence the same
bits on every device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum, unique

import torch
from torch import Tensor

_WORD = 1 << 64
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
"""SplitMix64's step (2^64 over the golden ratio, odd) and the factors of its finaliser (Stafford's variant 13)."""
VALIDATION = -1
"""The epoch of validation views; those of training are 0 or more."""


@unique
class Purpose(IntEnum):
    """What a random number is used for; a change of a value here gives other views."""

    WINDOW = 0
    MOMENT = 1
    NOISE = 2
    BINS = 3
    OUTLIER_PLACE = 4
    OUTLIER_VALUE = 5
    OUTLIER_SIDE = 6
    COLOUR = 7
    ERRORS = 8
    THINNING = 9
    THINNED = 10
    LOST_BAND = 11


@dataclass(frozen=True)
class Draws:
    """Random numbers of an epoch of a seed; both are any integers, taken modulo 2^64.

    Examples
    --------
    >>> draws = Draws(seed=0, epoch=1).of(torch.arange(4))
    >>> draws.uniform(Purpose.WINDOW, torch.arange(3)).shape
    torch.Size([4, 3])
    """

    seed: int
    epoch: int = 0

    def of(self, stars: Tensor, view: int = 0) -> StarDraws:
        """Random numbers of some stars in a view.

        Parameters
        ----------
        stars : (batch,) int, each star's number in the whole data set, not its row in a batch or shard
        view : number of the view in its recipe
        """
        key = _folded(_folded(torch.tensor(0), self.seed), self.epoch)
        return StarDraws(_folded(_folded(key.to(stars.device), stars), view))


@dataclass(frozen=True)
class StarDraws:
    """Random numbers of a batch of stars in one view; `key` is (batch,) int64."""

    key: Tensor

    def __len__(self) -> int:
        return len(self.key)

    def bits(self, purpose: Purpose, index: Tensor | int = 0, row: Tensor | None = None) -> Tensor:
        """64 random bits as int64.

        Parameters
        ----------
        purpose : what the numbers are used for
        index : which of the numbers for that purpose: one for all stars, or (m,) int
        row : (m,) int, the star (row of the batch) that each `index` is for

        Returns
        -------
        (batch,), or (batch, m) for several indices and no rows, or (m,) with rows
        """
        key = _folded(self.key, purpose)
        if row is not None:
            key = key.index_select(0, row)
        elif isinstance(index, Tensor):
            key = key[:, None]
        return _folded(key, index)

    def uniform(self, purpose: Purpose, index: Tensor | int = 0, row: Tensor | None = None) -> Tensor:
        """Uniform in [0, 1), float64 of 53 bits (parameters as `bits`)."""
        return _shifted(self.bits(purpose, index, row), 11).double().mul_(2.0**-53)

    def normal(self, purpose: Purpose, index: Tensor | int = 0, row: Tensor | None = None) -> Tensor:
        """Standard normal, float32, by Box & Muller (1958) from 32 bits each; none is beyond 6.7."""
        bits = self.bits(purpose, index, row)
        # In float64, so that a device or a processor that rounds otherwise agrees after the rounding to float32.
        radius = _shifted(bits, 32).double().add_(1.0).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
        angle = (bits & 0xFFFFFFFF).double().mul_(2.0**-31 * math.pi)
        return angle.cos_().mul_(radius).float()


def _signed(number: int) -> int:
    """Signed 64-bit integer with the bits of a number."""
    number %= _WORD
    return number - _WORD if number >= _WORD // 2 else number


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Bits shifted right and filled with zeros; torch's own shift fills with ones where a number is negative."""
    return (bits >> places).bitwise_and_((1 << (64 - places)) - 1)


def _folded(key: Tensor, number: Tensor | int) -> Tensor:
    """Output `number` of SplitMix64 seeded with `key`: 64 bits that serve as a number, or as a key in turn."""
    if isinstance(number, Tensor):
        z = number.long().add(1).mul_(_signed(_GOLDEN)).add(key)
    else:
        z = key + _signed(_GOLDEN * (number + 1))
    z = z.bitwise_xor_(_shifted(z, 30)).mul_(_signed(_FIRST))
    z = z.bitwise_xor_(_shifted(z, 27)).mul_(_signed(_SECOND))
    return z.bitwise_xor_(_shifted(z, 31))
