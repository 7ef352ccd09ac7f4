"""Shards at 10^3, 10^4 and 10^5 simulated stars: bytes, rates, peak memory, and what that makes of the paper's data.

Usage: python benchmarks/shards.py [--stars 1000,10000,100000] [--folder FOLDER]

Stars are simulated in pieces of 996, so that they are never all in memory; 10^5 take 2 GB of disk in the folder (a
temporary one by default) and some minutes. Every measurement runs in a process of its own: writing; then an epoch of
every batch of 128 stars read and prepared, once after the system was asked to forget the files ("cold", which only
Linux does) and once more ("warm"); then views of every batch at 300/350/50, for the memory of what training reads.
The largest set is also cut into as many shards as the paper's stars would fill, 210: a batch then opens many files.
Rates are per CPU second but for the cold ones, which wait for the disk. Writes benchmarks/results/shards.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import in_own_process, peak_mb, significant, write_results

from astraclr.config import preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shard_writer import STARS_PER_SHARD, write_shards
from astraclr.data.shards import Shards
from astraclr.files import provenance
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views

RESULTS = Path(__file__).parent / "results" / "shards.json"
PIECE, BATCH = 996, 128
PAPER_STARS, PAPER_EPOCHS = 2_100_000, 1_000
TARGET_MB = 300


def written(folder: Path, n: int) -> dict[str, Any]:
    """Write `n` simulated stars."""
    simulating = 0.0

    def pieces() -> Iterator[LightCurves]:
        nonlocal simulating
        for seed, first in enumerate(range(0, n, PIECE)):
            start = time.process_time()
            piece = simulate(min(PIECE, n - first), seed=seed)
            simulating += time.process_time() - start
            yield piece

    start = time.process_time()
    found = write_shards(pieces(), folder)
    seconds = time.process_time() - start - simulating
    observations = sum(found["observations"].values())
    return {
        "observations": observations,
        "bytes": found["bytes"],
        "bytes_a_star": found["bytes"] / n,
        "bytes_an_observation": found["bytes"] / observations,
        "write_cpu_s": seconds,
        "write_stars_a_cpu_s": n / seconds,
        "write_peak_mb": peak_mb(),
    }


def recut(folder: Path, source: Path, n_shards: int) -> dict[str, Any]:
    """The same stars in another number of shards."""
    shards = Shards(source)
    size = -(-len(shards) // n_shards)
    pieces = (shards.stars(np.arange(k, min(k + 1000, len(shards)))) for k in range(0, len(shards), 1000))
    found = write_shards(pieces, folder, size)
    return {"shards": len(found["parts"]), "bytes": found["bytes"]}


def forget(folder: Path) -> bool:
    """Ask the system to drop what it holds of the files in memory; whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.glob("*.arrow"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def epoch(shards: Shards, number: int) -> tuple[float, float, int]:
    """CPU and wall-clock seconds of reading every batch once, and how many stars that were."""
    cpu, wall, n = time.process_time(), time.perf_counter(), 0
    for rows in shards.batches(0, number, BATCH):
        n += len(shards.prepared(rows))
    return time.process_time() - cpu, time.perf_counter() - wall, n


def read(folder: Path) -> dict[str, Any]:
    """Read every batch of the folder three times."""
    torch.set_num_threads(1)
    before = peak_mb()
    start = time.process_time()
    shards = Shards(folder)
    out: dict[str, Any] = {"open_cpu_s": time.process_time() - start}
    if forget(folder):
        out["cold_epoch_s"] = epoch(shards, 0)[1]
    cpu, _, n = epoch(shards, 1)
    out |= {
        "epoch_cpu_s": cpu,
        "read_stars_a_cpu_s": n / cpu,
        "read_peak_mb": peak_mb(),
        "read_growth_mb": peak_mb() - before,
    }
    start, every = time.process_time(), torch.arange(BATCH)
    for number, rows in enumerate(shards.batches(0, 2, BATCH)):
        make_views(shards.prepared(rows), every, preset("gpu"), recipe("corrected"), Draws(number))
    out |= {"epoch_with_views_cpu_s": time.process_time() - start, "views_peak_mb": peak_mb()}
    return out


def extrapolated(largest: dict[str, Any], many: dict[str, Any]) -> dict[str, Any]:
    """The paper's data: bytes by stars and observations, seconds by observations at the rate of as many shards."""
    observations = PAPER_STARS * PAPER_EPOCHS
    beside = (largest["bytes"] - 16 * largest["observations"]) / largest["stars"]
    share = observations / largest["observations"]
    out = {
        "stars": PAPER_STARS,
        "epochs_a_star": PAPER_EPOCHS,
        "bytes_beside_observations_a_star": beside,
        "gigabytes": (16 * observations + beside * PAPER_STARS) / 1e9,
        "write_cpu_hours": share * largest["write_cpu_s"] / 3600,
        "epoch_cpu_minutes": share * many["epoch_cpu_s"] / 60,
        "epoch_with_views_cpu_minutes": share * many["epoch_with_views_cpu_s"] / 60,
    }
    if "cold_epoch_s" in many:
        out["cold_epoch_minutes"] = share * many["cold_epoch_s"] / 60
    return out


def measured(sizes: list[int], folder: Path) -> dict[str, Any]:
    """All measurements, each in a process of its own."""

    def step(*words: object) -> dict[str, Any]:
        return in_own_process(__file__, "--step", *words)

    rows = []
    for n in sizes:
        where = folder / str(n)
        rows.append(
            {
                "stars": n,
                **step("write", where, n),
                **step("read", where),
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr)
    n_shards = PAPER_STARS // STARS_PER_SHARD
    cut = step("recut", folder / "many", folder / str(sizes[-1]), n_shards)
    many = {"stars": sizes[-1], **cut, **step("read", folder / "many")}
    growth = {k: rows[-1][k] - rows[0][k] for k in ("read_peak_mb", "views_peak_mb", "write_peak_mb")}
    growth["many_shards_views_peak_mb"] = many["views_peak_mb"] - rows[0]["views_peak_mb"]
    return {
        "batch": BATCH,
        "stars_a_shard": STARS_PER_SHARD,
        "by_stars": rows,
        "in_many_shards": many,
        "memory_growth_mb": growth,
        "memory_growth_target_mb": TARGET_MB,
        "paper": extrapolated(rows[-1], many),
    }


STEPS = {
    "write": lambda folder, n: written(Path(folder), int(n)),
    "read": lambda folder: read(Path(folder)),
    "recut": lambda folder, source, n: recut(Path(folder), Path(source), int(n)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", default="1000,10000,100000")
    parser.add_argument("--folder", type=Path, help="where to write the shards, and leave them")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(STEPS[args.step[0]](*args.step[1:])))
        return
    sizes = sorted(map(int, args.stars.split(",")))
    with tempfile.TemporaryDirectory() as temporary:
        results = measured(sizes, args.folder or Path(temporary))
    table = {"benchmark": "shards", "made_with": provenance(), "results": significant(results)}
    write_results(RESULTS, table)
    print(json.dumps(table["results"]))


if __name__ == "__main__":
    main()
