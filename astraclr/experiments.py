"""What the chapters and benchmarks share: the simulated stars of a preset, and encoders trained once and kept."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from astraclr.checkpoints import Checkpoint, load_checkpoint
from astraclr.lightcurves import LightCurves
from astraclr.presets import Preset, to_dict
from astraclr.presets import preset as preset_named
from astraclr.presets import recipe as recipe_named
from astraclr.pretraining import pretrain
from astraclr.simulate import simulate

_METHOD = ("cadence", "simulate", "preparation", "views", "encoder", "losses", "presets", "pretraining")
"""Modules whose text decides what a trained encoder is."""


class Splits(NamedTuple):
    """Labelled stars in three sets by object: to fit probes on, to choose settings with, to test once."""

    fit: LightCurves
    choose: LightCurves
    test: LightCurves


def training_stars(preset: str | Preset, seed: int = 0) -> LightCurves:
    """Simulated stars to pre-train on; their labels are there, and never used."""
    return simulate(preset_named(preset).n_stars, seed=1_000 + seed)


def labelled_stars(preset: str | Preset, seed: int = 0) -> Splits:
    """Simulated stars to probe with; none of them is among `training_stars`."""
    n = preset_named(preset).n_probe
    cuts = np.cumsum([n, n // 3, n])
    stars = simulate(int(cuts[-1]), seed=900_000 + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


def cache_folder() -> Path:
    """Where trained encoders are kept: ``ASTRACLR_CACHE``, or ``~/.cache/astraclr``."""
    return Path(os.environ.get("ASTRACLR_CACHE", Path.home() / ".cache" / "astraclr"))


def run_folder(preset: str | Preset, recipe: str = "corrected", seed: int = 0) -> Path:
    """Folder of a run; its name changes with the settings and with the code of the method."""
    preset, chosen = preset_named(preset), recipe_named(recipe)
    here = Path(__file__).parent
    text = json.dumps([to_dict(preset), to_dict(chosen)], sort_keys=True).encode()
    code = b"".join((here / f"{name}.py").read_bytes() for name in _METHOD)
    digest = hashlib.sha256(text + code).hexdigest()[:8]
    return cache_folder() / "runs" / f"{preset.name}-{chosen.name}-{seed}-{digest}"


def trained(preset: str | Preset = "tiny", recipe: str = "corrected", seed: int = 0,
            progress: bool = True) -> Checkpoint:  # fmt: skip
    """The encoder that chapter 4 trains: loaded if it is there, trained once, with a progress bar, if not."""
    folder = run_folder(preset, recipe, seed)
    if (folder / "config.json").exists():
        return load_checkpoint(folder)
    return pretrain(training_stars(preset, seed), preset, recipe, seed=seed, out=folder, progress=progress)
