"""What the chapters and benchmarks share: the simulated stars of a preset, and encoders trained once and kept."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from astraclr.checkpoints import Checkpoint, load_checkpoint
from astraclr.files import cache_folder, replacing, revision
from astraclr.lightcurves import LightCurves
from astraclr.presets import Preset, Recipe, to_dict
from astraclr.presets import preset as preset_named
from astraclr.presets import recipe as recipe_named
from astraclr.pretraining import pretrain
from astraclr.simulate import simulate

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
_BYTES_PER_STAR = 4 * 620 * 16
"""Some 620 epochs of 16 bytes; the simulator joins its chunks, and training holds a centred copy."""


class Splits(NamedTuple):
    """Labelled stars in three sets by object: to fit probes on, to choose settings with, to test once."""

    fit: LightCurves
    choose: LightCurves
    test: LightCurves


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
    return simulate(chosen.n_stars, seed=1_000 + seed, progress=progress)


def labelled_stars(preset: str | Preset, seed: int = 0) -> Splits:
    """Simulated stars to probe with; none of them is among `training_stars`."""
    n = preset_named(preset).n_probe
    cuts = np.cumsum([n, n // 3, n])
    stars = simulate(int(cuts[-1]), seed=900_000 + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


def _memory_gib() -> float:
    if not hasattr(os, "sysconf"):  # Windows does not say
        return float("inf")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


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


def repository_file(path: str) -> Path:
    """A file of the repository that does not travel with the package.

    Raises
    ------
    FileNotFoundError
        Where the package was installed without its repository.
    """
    file = Path(__file__).parents[1] / path
    if not file.exists():
        raise FileNotFoundError(f"{path} is a file of the repository: clone it, and install with `pip install -e .`")
    return file


def committed_result(name: str) -> dict[str, Any]:
    """What ``benchmarks/results/<name>.json`` holds, with the command that made it."""
    return json.loads(repository_file(f"benchmarks/results/{name}.json").read_text())


def provenance() -> dict[str, str]:
    """What a committed result was made with: command, git revision ("+" if files differ from it), versions, machine."""
    root = Path(__file__).parents[1]
    command = " ".join(["python", os.path.relpath(sys.argv[0], root), *sys.argv[1:]])
    return {
        "command": command,
        "revision": revision(root, "astraclr"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
    }


def words_are_checked(preset: str, seed: int) -> bool:
    """Whether this run must bear out what a page says in words: preset tiny, seed 0, where the variable CI is set.

    Elsewhere the numbers on the page speak for themselves: another processor rounds differently, and a reader's build
    must not fail for that.
    """
    return bool(os.environ.get("CI")) and (preset, seed) == ("tiny", 0)
