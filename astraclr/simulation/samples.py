"""The simulated stars that chapters and benchmarks share."""

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
"""Some 620 epochs of 16 bytes; the simulator joins its chunks, and training holds a centred copy."""


def training_stars(preset: str | Preset, seed: int = 0, progress: bool = False) -> LightCurves:
    """Simulated stars to pre-train on; their labels are there, and never used.

    Raises
    ------
    ValueError
        If this machine's memory cannot hold them.
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
    """Simulated stars to probe with; none of them is among `training_stars`."""
    n = preset_named(preset).n_probe
    cuts = np.cumsum([n, n // 3, n])
    stars = simulate(int(cuts[-1]), seed=LABELLED_STARS + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


def _memory_gib() -> float:
    if not hasattr(os, "sysconf"):  # Windows does not say
        return float("inf")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
