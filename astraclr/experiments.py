"""What the chapters and benchmarks share: the simulated stars of a preset, and encoders trained once and kept."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from astraclr.checkpoints import Checkpoint, load_checkpoint
from astraclr.files import cache_folder, replacing, revision
from astraclr.fingerprint import (
    FINGERPRINT,
    Fingerprint,
    load_fingerprint,
    method_fingerprint,
    save_fingerprint,
    settings_digest,
)
from astraclr.lightcurves import LightCurves
from astraclr.presets import Preset
from astraclr.presets import preset as preset_named
from astraclr.presets import recipe as recipe_named
from astraclr.pretraining import pretrain
from astraclr.simulate import simulate

COST = "cost.json"
"""In the folder of a run: the CPU seconds that it took."""
TRAINING_STARS, LABELLED_STARS = 1_000, 900_000
"""Seeds of the simulated stars, plus the seed of the run."""
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


def run_folder(preset: str | Preset, recipe: str = "corrected", seed: int = 0) -> Path:
    """Folder of the run of these settings that the method, as it is now, has made, or is to make.

    Its name holds a digest of the settings and of the exact part of `fingerprint.method_fingerprint`. Where a run of
    that name has another close part, the folder has a number more.
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
