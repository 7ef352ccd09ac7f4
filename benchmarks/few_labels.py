"""Few labels: ways to use an encoder, windows to read, and topology before and after, as JSON.

Usage: python benchmarks/few_labels.py [--checkpoint laptop] [--seeds 3] [--jobs 1] [--out FILE] [--quick]

On one thread a job, from simulated stars that the encoder never saw. Labels are 2 % of the stars that it was trained
on, as many more stars choose settings, and every way is tested on the same stars; a seed draws other labelled stars and
other random weights. Smaller numbers of labels, more windows and topology are of the first seed. Writes
benchmarks/results/few_labels.json.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from _measure import write_results

from astraclr.analysis.latent_space import topology
from astraclr.data.splits import Splits
from astraclr.evaluate.few_labels import (
    EPOCHS,
    HEAD_RATE,
    RANDOM_RATE,
    RATE,
    compare,
    label_curve,
    tuned_checkpoint,
    window_curve,
)
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "few_labels.json"
SHARE_OF_LABELS = 0.02
"""Of the unlabelled training set: the paper's few labels."""
FULL = {"test": 2_000, "per_class": (5, 20), "curve_test": 1_000, "windows": (1, 2, 3, 5), "epochs": EPOCHS}
QUICK = {"test": 60, "per_class": (1,), "curve_test": 30, "windows": (1, 2), "epochs": 1, "labels": 60}
TEST_SEED, LABEL_SEED = 920_000, 930_000
Size = dict[str, Any]


def stars(checkpoint: Checkpoint, size: Size, seed: int) -> Splits:
    """Labelled stars of a seed, as many to choose by, and the test stars of all seeds."""
    n = size.get("labels") or round(SHARE_OF_LABELS * checkpoint.preset.n_stars)
    both = simulate(2 * n, seed=LABEL_SEED + seed)
    return Splits(both[:n], both[n:], simulate(size["test"], seed=TEST_SEED))


def thawed(checkpoint: Checkpoint) -> int:
    """Half of the layers, as the paper's two of four."""
    return max(1, checkpoint.preset.n_layers // 2)


def few_labels(checkpoint: Checkpoint, size: Size, seed: int) -> dict[str, Any]:
    """All ways to use 2 % of labels; of the first seed, topology with random weights, before and after."""
    sets, kept = stars(checkpoint, size, seed), {}
    rows = compare(checkpoint, *sets, layers=thawed(checkpoint), epochs=size["epochs"], seed=seed, kept=kept)
    print(rows[["way", "accuracy", "chosen"]].round(3).to_string(index=False), flush=True)
    found: dict[str, Any] = {"rows": rows.to_dict("records")}
    if seed == 0:
        encoders = {
            "random weights": random_control(checkpoint, seed),
            "before": checkpoint,
            "after": tuned_checkpoint(kept["last layers"], checkpoint),
        }
        vectors = {name: embed(sets.test, encoder) for name, encoder in encoders.items()}
        found["topology"] = topology(vectors, sets.test.label)
    return found


def windows(checkpoint: Checkpoint, size: Size, seed: int) -> dict[str, Any]:
    """Accuracy with several windows of each light curve, fused in three ways."""
    return {"rows": window_curve(checkpoint, *stars(checkpoint, size, seed), size["windows"]).to_dict("records")}


def curve(checkpoint: Checkpoint, size: Size, seed: int) -> dict[str, Any]:
    """All ways with fewer labels, tested on the first of the test stars."""
    fit, choose, test = stars(checkpoint, size, seed)
    rows = label_curve(
        checkpoint,
        fit,
        choose,
        test[: size["curve_test"]],
        size["per_class"],
        layers=thawed(checkpoint),
        epochs=size["epochs"],
        seed=seed,
    )
    return {"rows": rows.to_dict("records")}


def done(task: tuple[str, int], where: str, size: Size) -> dict[str, Any]:
    """One part of the benchmark, on one thread."""
    torch.set_num_threads(1)
    name, seed = task
    print(f"{name}, seed {seed}: begun", flush=True)
    begin = time.process_time()
    found = {"few_labels": few_labels, "windows": windows, "curve": curve}[name](load_checkpoint(where), size, seed)
    found["cpu_seconds"] = round(time.process_time() - begin)
    print(f"{name}, seed {seed}: done in {found['cpu_seconds']} CPU seconds", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="parts at once, each on one core (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few stars, to check that the script works")
    given = parser.parse_args()
    size, made_with = QUICK if given.quick else FULL, provenance()
    tasks = [*(("few_labels", seed) for seed in range(given.seeds)), ("windows", 0), ("curve", 0)]
    work = partial(done, where=given.checkpoint, size=size)
    if given.jobs > 1:
        with ProcessPoolExecutor(given.jobs, multiprocessing.get_context("spawn")) as pool:
            parts = dict(zip(tasks, pool.map(work, tasks), strict=True))
    else:
        parts = {task: work(task) for task in tasks}
    checkpoint = load_checkpoint(given.checkpoint)
    result: dict[str, Any] = {
        "benchmark": "few_labels",
        "made_with": made_with,
        "checkpoint": checkpoint.name,
        "seeds": given.seeds,
        "size": size,
        "thawed_layers": thawed(checkpoint),
        "rates": {"trained": RATE, "random weights": RANDOM_RATE, "head only": HEAD_RATE},
        "note": "windows, curve and topology are of seed 0",
        "cpu_seconds": {f"{name} {seed}": part["cpu_seconds"] for (name, seed), part in parts.items()},
        "few_labels": [
            {"seed": seed, **row}
            for (name, seed), part in parts.items()
            if name == "few_labels"
            for row in part["rows"]
        ],
        "windows": parts["windows", 0]["rows"],
        "curve": parts["curve", 0]["rows"],
        "topology": parts["few_labels", 0]["topology"],
    }
    write_results(given.out, result)
    print(pd.DataFrame(result["few_labels"]).groupby("way", sort=False)["accuracy"].agg(["mean", "std"]).round(3))


if __name__ == "__main__":
    main()
