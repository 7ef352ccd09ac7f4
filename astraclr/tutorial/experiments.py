"""Shared by chapters and benchmarks: encoders that are trained once and kept, and results on disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from astraclr.config import Preset
from astraclr.config import preset as preset_named
from astraclr.config import recipe as recipe_named
from astraclr.files import cache_folder, replacing, repository_file
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.simulation.samples import TRAINING_STARS, training_stars
from astraclr.train.fingerprint import (
    FINGERPRINT,
    Fingerprint,
    load_fingerprint,
    method_fingerprint,
    save_fingerprint,
    settings_digest,
)
from astraclr.train.pretrain import pretrain

COST = "cost.json"
"""File in the folder of a run that holds the CPU seconds of its training."""


def run_folder(preset: str | Preset, recipe: str = "corrected", seed: int = 0) -> Path:
    """Folder in which the run of these settings is kept, or is to be made.

    A kept run counts only if the method still behaves as it did for that run. The name of the folder holds a digest of
    the settings and of the exact part of `train.fingerprint.method_fingerprint`; a number is added if a run of that
    name has another float part.

    Parameters
    ----------
    preset : str or Preset
        Size of the run.
    recipe : str
        Name of the recipe.
    seed : int
        Seed of the stars and of the training.

    Examples
    --------
    >>> run_folder("tiny").name.startswith("tiny-corrected-0-")
    True
    """
    return _run_folder(preset, recipe, seed)[0]


def trained(
    preset: str | Preset = "tiny", recipe: str = "corrected", seed: int = 0, progress: bool = True
) -> Checkpoint:
    """Return the encoder of these settings: load it if it is kept, else train it, with a progress bar, and keep it.

    Parameters
    ----------
    preset : str or Preset
        Size of the run.
    recipe : str
        Name of the recipe.
    seed : int
        Seed of the stars and of the training.
    progress : bool
        Show a bar while it trains.

    Examples
    --------
    >>> trained("tiny").recipe.name  # doctest: +SKIP
    'corrected'
    """
    folder, differs = _run_folder(preset, recipe, seed)
    if (folder / "config.json").exists():
        return load_checkpoint(folder)
    if differs:
        more = f" (and {len(differs) - 1} more)" if len(differs) > 1 else ""
        print(f"{folder.name} is trained anew: the code behaves otherwise than for the kept one, {differs[0]}{more}")
    stars = training_stars(preset, seed, progress)
    save_fingerprint(_run_fingerprint(preset, recipe, seed), folder)
    with _cost_noted(folder / COST):
        return pretrain(stars, preset, recipe, seed=seed, out=folder, progress=progress)


def _run_folder(preset: str | Preset, recipe: str, seed: int) -> tuple[Path, list[str]]:
    """Folder of a run; if it is to be made although a run of these settings is kept, also how that one differs."""
    now, runs = _run_fingerprint(preset, recipe, seed), cache_folder() / "runs"
    name = f"{preset_named(preset).name}-{recipe_named(recipe).name}-{seed}-"
    kept = sorted(runs.glob(f"{escape(name)}*/{FINGERPRINT}"), key=lambda path: path.stat().st_mtime)
    differs: list[str] = []
    for path in reversed(kept):
        found = now.differences(load_fingerprint(path.parent))
        if not found:
            return path.parent, []
        differs = differs or found
    folder, number = runs / f"{name}{now.digest}", 1
    while folder.exists():
        number += 1
        folder = runs / f"{name}{now.digest}-{number}"
    return folder, differs


def _run_fingerprint(preset: str | Preset, recipe: str, seed: int) -> Fingerprint:
    """Fingerprint of the method, with the settings of a run."""
    method = method_fingerprint()
    settings = settings_digest(preset_named(preset), recipe_named(recipe), seed, TRAINING_STARS)
    return Fingerprint({"settings": settings} | method.exact, method.close)


@contextmanager
def _cost_noted(path: Path) -> Iterator[None]:
    """Add the CPU seconds of the block to those in the file; an interrupted run is made in several parts."""
    before, begin = json.loads(path.read_text())["cpu_seconds"] if path.exists() else 0.0, time.process_time()
    try:
        yield
    finally:
        with replacing(path) as part:
            part.write_text(json.dumps({"cpu_seconds": before + time.process_time() - begin}) + "\n")


def save_metrics(
    chapter: str, preset: str, seed: int, values: dict[str, float], checkpoint: Checkpoint | None = None
) -> Path:
    """Write numbers of a chapter, with settings and checkpoint, as ``metrics/<chapter>-<preset>-<seed>.json``.

    Parameters
    ----------
    chapter, preset : str
        Names.
    seed : int
        Seed of the run.
    values : dict
        Numbers by name.
    checkpoint : Checkpoint, optional
        The encoder that they belong to.

    Returns
    -------
    Path
        The file, in the cache folder.

    Examples
    --------
    >>> save_metrics("06_probing", "tiny", 0, {"accuracy": 0.5}).name  # doctest: +SKIP
    '06_probing-tiny-0.json'
    """
    facts = {"chapter": chapter, "preset": preset, "seed": seed}
    if checkpoint is not None:
        facts |= {"recipe": checkpoint.recipe.name, "checkpoint": checkpoint.sha256}
    path = cache_folder() / "metrics" / f"{chapter}-{preset}-{seed}.json"
    with replacing(path) as part:
        part.write_text(json.dumps({**facts, "values": values}, indent=1) + "\n")
    return path


def committed_result(name: str) -> dict[str, Any]:
    """Read ``benchmarks/results/<name>.json``.

    Raises
    ------
    FileNotFoundError
        If there is no such result, or the package was installed without its repository.

    Examples
    --------
    >>> "results" in committed_result("parity")
    True
    """
    return json.loads(repository_file(f"benchmarks/results/{name}.json").read_text())


def words_are_checked(preset: str, seed: int) -> bool:
    """Whether a chapter must check its sentences about results: at preset tiny and seed 0, where CI is set.

    Elsewhere it does not: a reader may have changed the chapter or its data, and the build must not fail for that. What
    is checked holds on any processor: within two standard errors (`results.compared`), or with a margin far above
    rounding.

    Examples
    --------
    >>> words_are_checked("laptop", 0)
    False
    """
    return bool(os.environ.get("CI")) and (preset, seed) == ("tiny", 0)
