"""Training with several threads alone, beside a busy process, and twice at once: threads that wait asleep or spinning.

Usage: python benchmarks/oversubscription.py [--repeats 3] [--seconds 5] [--only tiny|small] [--out FILE]

On two processors (`--threads N` on N). A training is a process of its own that takes steps for some seconds; those of
one measurement begin together. Three measurements alternate between threads that wait asleep, as astraclr has them
(OMP_WAIT_POLICY), and threads that spin first, as OpenMP does by itself:

- alone: one training with two threads
- busy: the same beside a process that computes all the time
- twice: two such trainings at once; the sum of their rates over the rate alone is "together": 1 or more where two at
  once end no later than one after the other

Stated are medians over the repeats with the lowest and the highest. An idle machine matters. Writes
benchmarks/results/oversubscription.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from _measure import processor, significant, write_results

from astraclr.files import provenance  # astraclr before torch: it says how threads wait

RESULTS = Path(__file__).parent / "results" / "oversubscription.json"
WAITS = {"asleep": {}, "spinning": {"OMP_WAIT_POLICY": "", "GOMP_SPINCOUNT": "300000"}}
"""Environment of each way to wait; 300,000 turns are what libgomp takes where nothing is set."""
BATCHES = {"tiny": 64, "small": 8}
"""Light curves of a step: of preset tiny, which has many small products, and of 2 layers of 64 on full windows."""


def train(model: str, threads: int, seconds: float) -> float:
    """Light curves per second of steps in this process, from the moment that a line comes on stdin."""
    import torch
    from training import MODELS, stars_of

    from astraclr.config import preset, recipe
    from astraclr.data.tokens import prepare
    from astraclr.model.encoder import new_encoder
    from astraclr.train.counter_rng import Draws
    from astraclr.train.optimizer import new_optimiser
    from astraclr.train.step import Training, update
    from astraclr.train.views import make_views

    torch.set_num_threads(threads)
    size, how, batch = preset("tiny") if model == "tiny" else MODELS[model][0], recipe("corrected"), BATCHES[model]
    data = prepare(stars_of("simulated" if model == "tiny" else "full", batch))
    training = Training(new_encoder(size, how, 0).train(), size, how)
    optimiser, stars = new_optimiser(training.encoder, how, "cpu"), torch.arange(batch)

    def step(k: int) -> None:
        update(training, optimiser, make_views(data, stars, size, how, Draws(0, k)), k)

    step(0)
    print("ready", flush=True)
    sys.stdin.readline()
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() < begin + seconds:
        steps += 1
        step(steps)
    return batch * steps / (time.perf_counter() - begin)


def at_once(model: str, wait: str, n: int, given: argparse.Namespace) -> float:
    """Sum of the rates of `n` trainings at once."""
    words = ["--train", model, "--threads", given.threads, "--seconds", given.seconds]
    running = [
        subprocess.Popen(
            [sys.executable, __file__, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={k: v for k, v in (os.environ | WAITS[wait]).items() if v and k != "OMP_NUM_THREADS"},
        )
        for _ in range(n)
    ]
    for one in running:
        assert one.stdout is not None and one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        print(file=one.stdin, flush=True)
    return sum(json.loads(one.communicate()[0]) for one in running)


def beside_busy(model: str, wait: str, given: argparse.Namespace) -> float:
    """Rate of one training beside a process that computes all the time."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        return at_once(model, wait, 1, given)
    finally:
        busy.kill()
        busy.wait()


def compared(model: str, given: argparse.Namespace) -> dict[str, Any]:
    """All measurements of a model, the ways to wait in turn."""
    found: dict[str, dict[str, list[float]]] = {w: {"alone": [], "busy": [], "twice": []} for w in WAITS}
    for _ in range(given.repeats):
        for wait, rates in found.items():
            rates["alone"].append(at_once(model, wait, 1, given))
            rates["busy"].append(beside_busy(model, wait, given))
            rates["twice"].append(at_once(model, wait, 2, given))
    rows: dict[str, Any] = {}
    for wait, rates in found.items():
        rows[wait] = {name: spread(values) for name, values in rates.items()}
        rows[wait]["together"] = spread([b / a for a, b in zip(rates["alone"], rates["twice"], strict=True)])
        rows[wait]["busy_of_alone"] = spread([b / a for a, b in zip(rates["alone"], rates["busy"], strict=True)])
        print(model, wait, rows[wait], flush=True)
    return rows


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return significant({"median": median(values), "lowest": min(values), "highest": max(values)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=list(BATCHES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--train", choices=list(BATCHES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        print(train(given.train, given.threads, given.seconds))
        return
    settings = {"threads": given.threads, "seconds": given.seconds, "repeats": given.repeats}
    table: dict[str, Any] = {"benchmark": "oversubscription", "made_with": provenance(), "processor": processor()}
    table |= settings | {"load_before": os.getloadavg()[0], "results": {}}
    for model in [given.only] if given.only else BATCHES:
        table["results"][model] = compared(model, given)
        write_results(given.out, table)


if __name__ == "__main__":
    main()
