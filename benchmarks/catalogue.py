"""A catalogue embedded end to end on Dask: stars a second, memory of a worker, a worker killed; and stars like others.

Usage: python benchmarks/catalogue.py [--stars 100000] [--rows 2000] [--vectors 200000] [--folder FOLDER]

A HATS catalogue of simulated stars, thinned to some 480 epochs a star, is embedded with the shipped encoder `laptop`,
every time in a process of its own: by one worker (no cluster), by two, and by two of which one is killed after the
first partition. Rates are per second and per CPU second of all processes together, their start included; on a busy
machine only the latter mean much. Beside them: the encoder alone, on stars in memory; and the floor, which is what the
operations of the real tokens take at the rate of large matrix products measured in this run. From the rate of one
worker follow the hours of 2.1 million stars. The second part makes an index of many made-up embeddings in groups, as
`astraclr similar` does, and measures its recall, and milliseconds a query beside those of the exact search.
Writes benchmarks/results/catalogue.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import in_own_process, significant, write_results
from training import operations

from astraclr import load_checkpoint
from astraclr.analysis.catalogue import embed_catalogue
from astraclr.analysis.similar_index import build_index
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.evaluate.embedding_tables import Embeddings
from astraclr.files import provenance
from astraclr.model.crops import CROPS, window_lengths
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "catalogue.json"
ENCODER, EPOCHS, PIECE = "laptop", 480, 996
PAPER_STARS = 2_100_000
TARGETS = {"stars_a_s_a_core": 500, "two_workers_times_as_fast": 1.8, "recall": 0.98}


def thinned(n: int, seed: int) -> LightCurves:
    """Simulated stars, thinned at random to some 480 epochs each."""
    table = simulate(n, seed=seed).to_table()
    kept = np.random.default_rng(seed).random(len(table)) < EPOCHS * n / len(table)
    return LightCurves.from_table(table[kept])


def make(folder: str, n: str, rows: str) -> dict[str, Any]:
    """Write a HATS catalogue of simulated stars scattered over the sky."""
    from lsdb.loaders.dataframe.from_dataframe import from_dataframe

    wanted = int(n)
    pieces = [thinned(min(PIECE, wanted - k), seed) for seed, k in enumerate(range(0, wanted, PIECE))]
    stars, rng = concatenate(pieces), np.random.default_rng(0)
    frame = stars.to_nested().rename(columns={"label": "Class"})
    frame["ra"] = rng.uniform(0, 360, wanted)
    frame["dec"] = np.degrees(np.arcsin(rng.uniform(-1, 1, wanted)))
    catalogue = from_dataframe(frame, partition_rows=int(rows), margin_threshold=None)
    catalogue.write_catalog(folder, catalog_name="simulated", progress_bar=False)
    return {"stars": wanted, "epochs_a_star": stars.n_obs / wanted}


def cpu_s() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def whole(source: str, out: str, workers: str, kill: str) -> dict[str, Any]:
    """Embed the catalogue with so many workers; kill one after the first partition, or none."""
    began = time.perf_counter()
    if kill == "kill":
        found = with_a_killed_worker(source, Path(out), int(workers))
    else:
        found = embed_catalogue(source, out, ENCODER, workers=int(workers))
    seconds, n = time.perf_counter() - began, found["rows"]
    files = [p["sha256"] for p in found["parts"] if p["rows"]]
    return {
        "seconds": seconds,
        "stars_a_s": n / seconds,
        "stars_a_cpu_s": n / cpu_s(),
        "worker_peak_mb": found["peak_mb"],
        "partitions": len(found["parts"]),
        "files_sha256": hashlib.sha256("".join(files).encode()).hexdigest(),
    }


def with_a_killed_worker(source: str, out: Path, workers: int) -> dict[str, Any]:
    """The same, with one worker killed as soon as a first file is there."""
    from astraclr.catalogs._dask import cluster

    with cluster(workers) as client:
        victim = next(iter(client.run(os.getpid).values()))

        def kill() -> None:
            while not list(out.rglob("Npix=*.parquet")):
                time.sleep(0.01)
            os.kill(victim, signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        return embed_catalogue(source, out, ENCODER, client=client)


def matrix_rate() -> float:
    """Operations in a CPU second of a large product in float32, on one thread."""
    a, b, seconds = torch.rand(1024, 1024), torch.rand(1024, 1024), []
    for _ in range(12):
        began = time.process_time()
        a @ b
        seconds.append(time.process_time() - began)
    return 2 * 1024**3 / min(seconds)


def alone() -> dict[str, Any]:
    """The encoder alone: stars a CPU second in memory, and the floor of this processor."""
    torch.set_num_threads(1)
    encoder, stars = load_checkpoint(ENCODER), thinned(600, 1)
    embed(stars[:64], encoder, device="cpu")
    began = time.process_time()
    embed(stars, encoder, device="cpu")
    rate = len(stars) / (time.process_time() - began)
    longest = np.array(window_lengths(stars.bands, encoder.preset))
    crops = np.where(np.any(stars.counts > longest, axis=1), len(CROPS), 1)
    tokens = np.repeat(np.minimum(stars.counts, longest).sum(1), crops)
    each = operations(encoder.preset, tokens.tolist()) / 3 / len(stars)  # a training step takes three times as many
    floor = matrix_rate() / each
    return {
        "stars_a_cpu_s": rate,
        "operations_a_star": each,
        "floor_stars_a_s": floor,
        "of_floor": rate / floor,
    }


def searched(n: str) -> dict[str, Any]:
    """An index of made-up embeddings in groups."""
    rng, wanted = np.random.default_rng(0), int(n)
    group = rng.integers(500, size=wanted)
    x = rng.normal(size=(500, 128)).astype(np.float32)[group]
    x += 0.5 * rng.standard_normal(x.shape, np.float32)
    table = Embeddings(np.arange(wanted).astype(str), group.astype(str), x, "0" * 64, "mean")
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        _, facts = build_index(table, "", folder)
        seconds, size = time.process_time() - began, (Path(folder) / "index.faiss").stat().st_size
    kept = ("n_stars", "d", "lists", "probes", "recall", "ms_exact", "ms")
    return {"build_cpu_s": seconds, "megabytes": size / 1e6} | {k: getattr(facts, k) for k in kept}


STEPS = {"make": make, "whole": whole, "alone": alone, "searched": searched}


def measured(n: int, rows: int, vectors: int, folder: Path) -> dict[str, Any]:
    """All measurements, each in a process of its own."""

    def step(*words: object) -> dict[str, Any]:
        row = in_own_process(__file__, "--step", *words)
        print(*words, json.dumps(row), file=sys.stderr, flush=True)
        return row

    source = folder / "catalogue"
    made = step("make", source, n, rows)
    runs = {name: step("whole", source, folder / name, *how) for name, how in RUNS.items()}
    rate = runs["one worker"]["stars_a_cpu_s"]
    return {
        "catalogue": made,
        "encoder": ENCODER,
        "encoder_alone": step("alone"),
        "runs": runs,
        "two_workers_times_as_fast": runs["two workers"]["stars_a_s"] / runs["one worker"]["stars_a_s"],
        "same_bytes": len({r["files_sha256"] for r in runs.values()}) == 1,
        "paper": {"stars": PAPER_STARS, "core_hours": PAPER_STARS / rate / 3600},
        "similar": step("searched", vectors),
    }


RUNS = {
    "one worker": ("1", "none"),
    "two workers": ("2", "none"),
    "two workers, one killed": ("2", "kill"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=2_000, help="stars in a partition, at most")
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to write, and leave, the catalogue and the results")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(STEPS[args.step[0]](*args.step[1:])))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        results = measured(args.stars, args.rows, args.vectors, args.folder or Path(temporary))
    machine = {"cores": os.cpu_count(), "load_before": load, "load_after": os.getloadavg()[0]}
    table = {"benchmark": "catalogue", "made_with": provenance(), "machine": machine, "targets": TARGETS}
    write_results(RESULTS, table | {"results": significant(results)})
    print(json.dumps(results))


if __name__ == "__main__":
    main()
