"""How training scales, with stars, epochs a star, batch and ranks, and where the time of one step goes.

Usage: python benchmarks/scaling.py        (some four minutes on two idle cores)

One thread a process. Rates are medians over the steps: light curves per second by the clock and by the processor. Each
stands beside its floor: what the operations of the real tokens take at the rate of large matrix products, measured in
this run. Steps are those of `train.step.update`, one part at a time. Two ranks are two processes that share
the same global batch; a rank that waits for the other has a part of its own, so the sum of gradients is the sending
alone. Stars are simulated (some 620 epochs), but for the rows of epochs a star. Writes benchmarks/results/scaling.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from _measure import significant, write_results
from torch import nn
from training import MODELS, matrix_rate, operations

from astraclr.config import Preset, Recipe, preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shard_writer import write_shards
from astraclr.data.shards import Shards
from astraclr.data.sources import InMemory, Source
from astraclr.data.tokens import Tokens
from astraclr.files import provenance
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.distributed import ALONE, Ranks, joined
from astraclr.train.losses import nt_xent
from astraclr.train.optimizer import BETAS, EPSILON, learning_rate
from astraclr.train.step import CLIP_NORM
from astraclr.train.views import make_views

RESULTS = Path(__file__).parent / "results" / "scaling.json"
STARS, EPOCHS, BATCHES = (1_000, 10_000), (100, 200, 400, 700, 1_400), (8, 16, 32, 64, 128, 256)
STEPS = {"tiny": (128, 8), "laptop": (64, 5), "paper": (8, 2)}
"""Global batch and timed steps of the presets whose steps are taken apart."""
PARTS = ("views", "encoder forward", "loss", "backward", "waiting", "gradient sum", "optimiser")


class Clock:
    """Seconds by the clock and by the processor, of each part of one step."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {part: 0.0 for part in PARTS}
        self.cpu = dict(self.wall)
        self._now = time.perf_counter(), time.process_time()

    def lap(self, part: str) -> None:
        """Give the time since the last lap to a part."""
        now = time.perf_counter(), time.process_time()
        self.wall[part] += now[0] - self._now[0]
        self.cpu[part] += now[1] - self._now[1]
        self._now = now


def step_in_parts(
    encoder: Encoder,
    optimiser: torch.optim.Adam,
    source: Source,
    rows: np.ndarray,
    size: Preset,
    how: Recipe,
    done: int,
    ranks: Ranks = ALONE,
) -> tuple[Clock, list[Tokens]]:
    """A step of a recipe whose negatives are gathered: what `train.step.update` does, with a clock between its lines.

    Returns the clock and the views.
    """

    def wait() -> None:
        if ranks.size > 1:
            dist.barrier()
        clock.lap("waiting")

    parameters, mine, clock = list(encoder.parameters()), rows[ranks.share(len(rows))], Clock()
    views = make_views(source.prepared(mine), torch.arange(len(mine)), size, how, Draws(0, done), torch.as_tensor(mine))
    clock.lap("views")
    pooled = [encoder(view) for view in views]
    clock.lap("encoder forward")
    wait()
    loss = nt_xent(ranks.gathered(torch.stack([encoder.project(x) for x in pooled])), how.temperature)
    clock.lap("loss")
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    clock.lap("backward")
    wait()
    ranks.sum_([p.grad for p in parameters if p.grad is not None])
    clock.lap("gradient sum")
    nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(done + 1, encoder.config.d_model, size.warmup)
    optimiser.step()
    clock.lap("optimiser")
    return clock, views


def batches(source: Source, size: int) -> Iterator[np.ndarray]:
    """Numbers of stars of one step after another, epoch after epoch."""
    epoch, everyone = 0, np.arange(len(source))
    while True:
        order = source.order(everyone, 0, epoch)
        yield from (order[k : k + size] for k in range(0, len(order) - size + 1, size))
        epoch += 1


def rates(source: Source, size: Preset, batch: int, steps: int, ranks: Ranks = ALONE) -> dict[str, Any]:
    """Medians over `steps` steps after a first one: rates, parts of a step; tokens and operations of a star.

    `per_cpu_s` counts this rank's share of the stars and its own processor time.
    """
    torch.set_num_threads(1)
    how, rows = recipe("corrected"), batches(source, batch)
    encoder = new_encoder(size, how, 0).train()
    optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS, eps=EPSILON)
    clocks, lengths = [], []
    for done in range(steps + 1):
        clock, views = step_in_parts(encoder, optimiser, source, next(rows), size, how, done, ranks)
        if done:
            clocks.append(clock)
            lengths += [int(n) for view in views for n in (~view.mask).sum(1)]
    share = batch / ranks.size

    def median(clock: str) -> tuple[float, dict[str, float]]:
        """Seconds of a step, and of each part, by one of the two clocks."""
        laps = [getattr(c, clock) for c in clocks]
        return (
            float(np.median([sum(lap.values()) for lap in laps])),
            {part: float(np.median([lap[part] for lap in laps])) for part in PARTS},
        )

    (wall, parts), (cpu, parts_cpu) = median("wall"), median("cpu")
    return {
        "batch": batch,
        "per_s": batch / wall,
        "per_cpu_s": share / cpu,
        "tokens": sum(lengths) / (steps * share),
        "operations": operations(size, lengths) / (steps * share),
        "parts": parts,
        "parts_cpu": parts_cpu,
    }


def of_length(epochs: int, n: int) -> LightCurves:
    """`n` stars of about so many epochs in g, r and i, in the proportions of the paper's windows."""
    rng, counts = np.random.default_rng(0), np.array([epochs * w // 700 for w in (300, 350, 50)])
    size = n * counts.sum()
    return LightCurves.from_arrays(
        np.repeat(np.arange(n), counts.sum()),
        np.tile(np.repeat(range(3), counts), n),
        58_200 + rng.uniform(0, 1_700, size),
        15 + rng.normal(0, 0.3, size),
        np.full(size, 0.05),
    )


def by_stars(numbers: tuple[int, ...], steps: int, folder: Path) -> list[dict[str, Any]]:
    """Preset tiny on more and more stars, in memory and in shards."""
    rows, everyone = [], simulate(max(numbers), seed=1)
    for n in numbers:
        stars = everyone[:n]
        write_shards(stars, folder / str(n))
        for place, source in (("memory", InMemory(stars)), ("shards", Shards(folder / str(n)))):
            found = rates(source, preset("tiny"), min(128, n), steps)
            rows.append({"stars": n, "place": place} | found)
    return rows


def by_epochs(numbers: tuple[int, ...], batch: int, steps: int) -> list[dict[str, Any]]:
    """A small encoder at the paper's windows on longer and longer light curves."""
    size = replace(MODELS["small"][0], batch_size=batch)
    return [{"epochs": n} | rates(InMemory(of_length(n, batch)), size, batch, steps) for n in numbers]


def by_batch(names: tuple[str, ...], numbers: tuple[int, ...], steps: int) -> list[dict[str, Any]]:
    """Presets at larger and larger batches."""
    source = InMemory(simulate(2 * max(numbers), seed=1))
    return [{"preset": name} | rates(source, preset(name), n, steps) for name in names for n in numbers]


def in_parts(steps: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """A step of each preset, on as many ranks as torchrun started this process with."""
    source, rows = InMemory(simulate(256, seed=1)), []
    with joined("cpu") as ranks:
        for name, (batch, n) in steps.items():
            rows.append({"ranks": ranks.size, "preset": name} | rates(source, preset(name), batch, n, ranks))
    return rows


def by_ranks(numbers: tuple[int, ...], steps: dict[str, tuple[int, int]], folder: Path) -> list[dict[str, Any]]:
    """`in_parts` on one rank and on more, each a process started by torchrun; what the first rank measured."""
    rows = []
    for n in numbers:
        out = folder / f"ranks-{n}.json"
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc_per_node={n}",
            __file__,
            "--ranks-to",
            str(out),
            json.dumps(steps),
        ]
        path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path})
        rows += json.loads(out.read_text())
    return rows


def add_floors(results: dict[str, list[dict[str, Any]]], matrix: float) -> None:
    """Add to every row the rates at which real tokens alone would be multiplied, at `matrix` operations per second."""
    for row in [row for rows in results.values() for row in rows]:
        row["floor_per_cpu_s"] = matrix / row["operations"]
        row["floor_per_s"] = row.get("ranks", 1) * row["floor_per_cpu_s"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks-to", nargs=2, metavar=("FILE", "STEPS"), help=argparse.SUPPRESS)
    if given := parser.parse_args().ranks_to:
        rows = in_parts(json.loads(given[1]))
        if os.environ["RANK"] == "0":
            Path(given[0]).write_text(json.dumps(rows))
        return
    began, matrix = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder, results = Path(name), {}
        for key, found in (
            ("stars", lambda: by_stars(STARS, 8, folder)),
            ("epochs", lambda: by_epochs(EPOCHS, 32, 2)),
            ("batch", lambda: by_batch(("tiny", "laptop"), BATCHES, 3)),
            ("ranks", lambda: by_ranks((1, 2), STEPS, folder)),
        ):
            matrix = max(matrix, matrix_rate(1))  # the best of several: whatever else runs only slows it
            results[key] = found()
            print(f"{key}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    add_floors(results, matrix)
    table = {
        "benchmark": "scaling",
        "made_with": provenance(),
        "matrix_gflops_a_core": matrix / 1e9,
        "seconds": time.perf_counter() - began,
        "results": results,
    }
    write_results(RESULTS, significant(table))


if __name__ == "__main__":
    main()
