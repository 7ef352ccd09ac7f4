"""What the chapters and benchmarks share: the simulated stars of a preset, and encoders trained once and kept."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astraclr.config import Preset, Recipe, to_dict
from astraclr.config import preset as preset_named
from astraclr.config import recipe as recipe_named
from astraclr.files import cache_folder, replacing, repository_file
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.simulation.samples import training_stars
from astraclr.train.pretrain import pretrain

_METHOD = (
    "cadence",
    "kinds",
    "simulate",
    "preparation",
    "draws",
    "views",
    "ragged",
    "inputs",
    "encoder",
    "losses",
    "summaries",
    "presets",
    "schedules",
    "pretraining",
    "runs",
    "distributed",
)
"""Modules whose text decides what a trained encoder is."""

COST = "cost.json"
"""In the folder of a run: the CPU seconds that it took."""


def run_folder(preset: str | Preset, recipe: str = "corrected", seed: int = 0) -> Path:
    """Folder of a run; its name changes with the settings and with the code of the method."""
    preset, chosen = preset_named(preset), recipe_named(recipe)
    name = f"{preset.name}-{chosen.name}-{seed}-{method_digest(preset, chosen)}"
    return cache_folder() / "runs" / name


def method_digest(*settings: Preset | Recipe | str, modules: Sequence[str] = ()) -> str:
    """Eight characters that change with the settings, with the code of the method, and of more `modules`."""
    here = Path(__file__).parent
    text = json.dumps([s if isinstance(s, str) else to_dict(s) for s in settings], sort_keys=True)
    # The syntax tree leaves out comments and layout, which change nothing.
    code = "".join(ast.dump(ast.parse((here / f"{name}.py").read_text())) for name in (*_METHOD, *modules))
    return hashlib.sha256(f"{text}{code}".encode()).hexdigest()[:8]


def trained(
    preset: str | Preset = "tiny", recipe: str = "corrected", seed: int = 0, progress: bool = True
) -> Checkpoint:
    """The encoder that chapter 4 trains: loaded if it is there, trained once, with a progress bar, if not."""
    folder = run_folder(preset, recipe, seed)
    if (folder / "config.json").exists():
        return load_checkpoint(folder)
    stars = training_stars(preset, seed, progress)
    with _cost_noted(folder / COST):
        return pretrain(stars, preset, recipe, seed=seed, out=folder, progress=progress)


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

    Elsewhere the numbers on the page speak for themselves: another processor rounds differently, and a reader's build
    must not fail for that.
    """
    return bool(os.environ.get("CI")) and (preset, seed) == ("tiny", 0)
