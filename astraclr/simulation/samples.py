"""The simulated stars on which chapters and benchmarks train and evaluate."""

from __future__ import annotations

import os

import numpy as np

from astraclr.config import Preset
from astraclr.config import preset as preset_named
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import Splits
from astraclr.simulation.simulate import simulate

TRAINING_STARS, LABELLED_STARS = 1_000, 900_000
"""Seeds of the simulated stars, plus the seed of the run."""
_BYTES_PER_STAR = 4 * 620 * 16
"""Some 620 epochs of 16 bytes, four times: the simulator joins its chunks, and training holds a centred copy."""


def training_stars(preset: str | Preset, seed: int = 0, progress: bool = False) -> LightCurves:
    """Simulate the stars of a preset to pre-train on; training does not use their labels.

    Parameters
    ----------
    preset : str or Preset
        Its `n_stars` are simulated.
    seed : int
        The seed of the run.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        If this machine's memory cannot hold them.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from astraclr.config import preset
    >>> len(training_stars(replace(preset("tiny"), n_stars=24)))
    24
    """
    chosen = preset_named(preset)
    needed, there = chosen.n_stars * _BYTES_PER_STAR / 2**30, _memory_gib()
    if needed > there:
        raise ValueError(
            f"preset {chosen.name} trains on {chosen.n_stars:,} simulated stars, about {needed:.0f} GiB "
            f"of memory; this machine has {there:.0f} GiB. Choose a smaller preset, such as laptop"
        )
    return simulate(chosen.n_stars, seed=TRAINING_STARS + seed, progress=progress)


def labelled_stars(preset: str | Preset, seed: int = 0) -> Splits:
    """Simulate labelled stars for probes; none of them is among `training_stars`.

    Parameters
    ----------
    preset : str or Preset
        Its `n_probe` is the size of the training and of the test set; the validation set has a third of it.
    seed : int
        The seed of the run.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from astraclr.config import preset
    >>> [len(part) for part in labelled_stars(replace(preset("tiny"), n_probe=36))]
    [36, 12, 36]
    """
    n = preset_named(preset).n_probe
    cuts = np.cumsum([n, n // 3, n])
    stars = simulate(int(cuts[-1]), seed=LABELLED_STARS + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


def _memory_gib() -> float:
    """Memory of this machine in GiB; infinite where the system does not tell."""
    if not hasattr(os, "sysconf"):  # Windows does not say
        return float("inf")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
