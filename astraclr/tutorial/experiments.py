"""What the chapters and benchmarks share: the simulated stars of a preset, and encoders trained once and kept."""

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
"""In the folder of a run: the CPU seconds that it took."""


def run_folder(preset: str | Preset, recipe: str = "corrected", seed: int = 0) -> Path:
    """Folder of the run of these settings that the method, as it is now, has made, or is to make.

    Its name holds a digest of the settings and of the exact part of `train.fingerprint.method_fingerprint`. Where a run
    of that name has another close part, the folder has a number more.
    """
    return _run_folder(preset, recipe, seed)[0]


def trained(
    preset: str | Preset = "tiny", recipe: str = "corrected", seed: int = 0, progress: bool = True
) -> Checkpoint:
    """The encoder that chapter 4 trains: loaded if it is there, trained once, with a progress bar, if not."""
    folder, differs = _run_folder(preset, recipe, seed)
    if (folder / "config.json").exists():
        return load_checkpoint(folder)
    if differs:
        more = f" (and {len(differs) - 1} more)" if len(differs) > 1 else ""
        print(f"{folder.name} is trained anew, the kept one is of code that did something else, {differs[0]}{more}")
    stars = training_stars(preset, seed, progress)
    save_fingerprint(_run_fingerprint(preset, recipe, seed), folder)
    with _cost_noted(folder / COST):
        return pretrain(stars, preset, recipe, seed=seed, out=folder, progress=progress)


def _run_folder(preset: str | Preset, recipe: str, seed: int) -> tuple[Path, list[str]]:
    """The folder; where it is to be made and another run of these names is kept, also in what that one differs."""
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
    """What the method does, and the settings that it does it with."""
    method = method_fingerprint()
    settings = settings_digest(preset_named(preset), recipe_named(recipe), seed, TRAINING_STARS)
    return Fingerprint({"settings": settings} | method.exact, method.close)


@contextmanager
def _cost_noted(path: Path) -> Iterator[None]:
    """Add the CPU seconds of the block to those of the parts before it; a part that was killed is not counted."""
    before, begin = json.loads(path.read_text())["cpu_seconds"] if path.exists() else 0.0, time.process_time()
    try:
        yield
    finally:
        with replacing(path) as part:
            part.write_text(json.dumps({"cpu_seconds": before + time.process_time() - begin}) + "\n")


def save_metrics(
    chapter: str, preset: str, seed: int, values: dict[str, float], checkpoint: Checkpoint | None = None
) -> Path:
    """Write the numbers of a chapter, with what they were made from, as ``metrics/<chapter>-<preset>-<seed>.json``."""
    facts = {"chapter": chapter, "preset": preset, "seed": seed}
    if checkpoint is not None:
        facts |= {"recipe": checkpoint.recipe.name, "checkpoint": checkpoint.sha256}
    path = cache_folder() / "metrics" / f"{chapter}-{preset}-{seed}.json"
    with replacing(path) as part:
        part.write_text(json.dumps({**facts, "values": values}, indent=1) + "\n")
    return path


def committed_result(name: str) -> dict[str, Any]:
    """What ``benchmarks/results/<name>.json`` holds, with the command that made it."""
    return json.loads(repository_file(f"benchmarks/results/{name}.json").read_text())


def words_are_checked(preset: str, seed: int) -> bool:
    """Whether this run must bear out what a page says in words: preset tiny, seed 0, where the variable CI is set.

    Elsewhere the numbers on the page speak for themselves: a reader may have changed a chapter or its data, and a build
    must not fail for that. What is checked holds on any processor: within two standard errors (`scores.compared`), or
    with a margin far above rounding.
    """
    return bool(os.environ.get("CI")) and (preset, seed) == ("tiny", 0)
