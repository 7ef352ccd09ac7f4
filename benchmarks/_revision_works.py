"""The works that benchmarks/revisions.py times, done by whichever revision of the package is on the path.

Names are looked for in the places that they have or had.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import astraclr  # before torch: it says how threads wait

import torch  # isort: skip

PLACES = {
    "preset": ("config", "presets"),
    "recipe": ("config", "presets"),
    "prepare": ("data.tokens", "preparation"),
    "Shards": ("data.shards", "shards"),
    "write_shards": ("data.shard_writer", "sharding"),
    "make_views": ("train.views", "views"),
    "Draws": ("train.counter_rng", "draws"),
    "nt_xent": ("train.losses", "losses"),
    "new_encoder": ("model.encoder", "encoder"),
    "Checkpoint": ("model.checkpoint", "checkpoints"),
    "embed": ("model.embedding", "embedding"),
}
STARS_READ, BATCH, STEP, EMBEDDED = 500, 128, 16, 48


def named(name: str) -> Any:
    """A function or class of the package, from the first module of `PLACES` that this revision has."""
    for place in PLACES[name]:
        try:
            return getattr(import_module(f"astraclr.{place}"), name)
        except ModuleNotFoundError:
            continue
    raise SystemExit(f"astraclr of {Path(astraclr.__file__).parent} has no {name} in {', '.join(PLACES[name])}")


def works(file: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """What can be asked for, by name."""
    preset, recipe, prepare, draws = (named(name) for name in ("preset", "recipe", "prepare", "Draws"))
    size, how = replace(preset("paper"), d_model=64, n_layers=2, n_heads=4, d_ff=128), recipe("corrected")
    stars = astraclr.read(file)
    data, every = prepare(stars), torch.arange(BATCH)
    make_views, write_shards, shards_of = named("make_views"), named("write_shards"), named("Shards")
    checkpoint = named("Checkpoint")(named("new_encoder")(size, how, 0).eval(), size, how, 0)
    encoder = named("new_encoder")(size, how, 0).train()
    optimiser = torch.optim.Adam(encoder.parameters())
    write_shards([stars], folder / "kept", 100)

    def write() -> None:
        write_shards([stars], folder / "new", 100)

    def read_shards() -> None:
        shards = shards_of(folder / "kept")
        for rows in torch.arange(STARS_READ).split(BATCH):
            shards.prepared(rows.numpy())

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        views = make_views(data, every[:STEP], size, how, draws(0))
        named("nt_xent")(torch.stack([encoder.project(encoder(view)) for view in views])).backward()
        optimiser.step()

    return {
        "read": lambda: astraclr.read(file),
        "prepare": lambda: prepare(stars),
        "views": lambda: make_views(data, every, size, how, draws(0)),
        "write shards": write,
        "read shards": read_shards,
        "embed": lambda: named("embed")(stars[:EMBEDDED], checkpoint, device="cpu"),
        "step": step,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        known = works(Path(sys.argv[1]), Path(folder))
        for line in sys.stdin:
            begin = time.process_time()
            known[line.strip()]()
            seconds = time.process_time() - begin
            shutil.rmtree(Path(folder) / "new", ignore_errors=True)
            print(seconds, flush=True)


if __name__ == "__main__":
    main()
