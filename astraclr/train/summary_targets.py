"""Targets of the second task: standardised summaries of the whole light curve, to be predicted from each view.

They need no labels: quantiles, a structure function and a periodogram, about 30 numbers a band (`data.summaries`), the
same for a star whatever the batch. Where a band has too few observations they are NaN, which the loss leaves out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from astraclr.data.folding import N_FOLDED, folded_stars
from astraclr.data.summaries import _AT_ONCE, n_summaries, summaries

if TYPE_CHECKING:
    from astraclr.data.sources import Source


REFERENCE = 4_096
"""Training stars by whose mean and spread summaries are standardised."""

LIMIT = 5.0
"""Standard deviations beyond which a summary is cut."""


class Summaries:
    """Standardised summaries of the stars of a source, computed when first needed and then kept.

    They are kept in half precision, 200 bytes a star, and always read from there: a star has the same numbers in a run
    and in the same run resumed.

    Parameters
    ----------
    source : of the light curves
    reference : numbers of the training stars, of which the first `REFERENCE` set mean and standard deviation
    device : where summaries are computed and returned
    folded : whether `folding.folded` of the whole light curve follows the summaries

    Examples
    --------
    >>> from astraclr.data.sources import InMemory
    >>> from astraclr.simulation.simulate import simulate
    >>> targets = Summaries(InMemory(simulate(12, seed=0)), reference=np.arange(12))
    >>> targets.of(np.arange(4)).shape
    torch.Size([4, 92])
    """

    def __init__(
        self, source: Source, reference: np.ndarray, device: torch.device | str = "cpu", folded: bool = False
    ) -> None:
        self.source, self.device, self.folded = source, device, folded
        self._made = np.zeros(len(source), bool)
        width = n_summaries(len(source.bands)) + (N_FOLDED if folded else 0)
        self._kept = np.zeros((len(source), width), np.float16)
        for some in np.split(reference[:REFERENCE], range(_AT_ONCE, min(REFERENCE, len(reference)), _AT_ONCE)):
            self._make(some)
        known = torch.as_tensor(self._kept[reference[:REFERENCE]]).double()
        self._mean = known.nanmean(0)
        self._spread = (known - self._mean).square().nanmean(0).sqrt().clamp(min=1e-3)

    def of(self, rows: np.ndarray) -> Tensor:
        """(batch, n) float32 of stars with these numbers; NaN where a band has too few points."""
        self._make(rows[~self._made[rows]])
        z = (torch.as_tensor(self._kept[rows]).double() - self._mean) / self._spread
        return z.clamp(-LIMIT, LIMIT).float().to(self.device)

    def _make(self, rows: np.ndarray) -> None:
        """Compute and keep the summaries of some stars."""
        if not len(rows):
            return
        data = self.source.prepared(rows, self.device)
        stars = torch.arange(len(rows), device=self.device)
        parts = [summaries(data, stars), *([folded_stars(data, stars)] if self.folded else [])]
        self._kept[rows] = torch.cat(parts, dim=1).half().cpu().numpy()
        self._made[rows] = True


def summary_loss(guess: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error of predicted summaries, where the true ones are finite; a scalar.

    About 1 for predictions of the mean, 0 for perfect ones.

    Parameters
    ----------
    guess : (views, batch, n)
    truth : (batch, n), standardised

    Examples
    --------
    >>> summary_loss(torch.zeros(3, 1, 2), torch.tensor([[2.0, torch.nan]])).item()
    4.0
    """
    known = truth.isfinite()
    apart = (guess - truth.nan_to_num()).square() * known
    return apart.sum() / (known.sum() * len(guess)).clamp(min=1)
