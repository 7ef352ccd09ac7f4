"""What each difference between the paper's code and `corrected` does to a linear probe, one switch at a time.

Usage: python benchmarks/differences.py [--seeds 2] [--steps 200] [--only NAME ...] [--third NAME ...]

Every run trains the `tiny` encoder for fewer steps than the preset, so that all of them take about an hour on one idle
core, and stands beside the same encoder with random weights. Runs that are there, and would come out the same, are not
repeated. Runs named by --third are made with one more seed. Writes benchmarks/results/differences.json.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _measure import write_results
from tqdm import tqdm

from astraclr.config import Recipe, preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import Splits
from astraclr.evaluate.probes import linear_probe
from astraclr.evaluate.row_fingerprint import row_differences, row_key
from astraclr.files import cache_folder, provenance, replacing
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.samples import labelled_stars, training_stars
from astraclr.train.pretrain import pretrain

RESULTS = Path(__file__).parent / "results" / "differences.json"
PAPER, CORRECTED = recipe("paper"), recipe("corrected")


def switched(**fields: object) -> Recipe:
    """`corrected` with some fields as given."""
    return replace(CORRECTED, name="corrected, one switch", **fields)  # type: ignore[arg-type]


PARTS = ("method", "readers")
"""Fingerprints that a run depends on."""
RUNS: dict[str, Recipe] = {
    "corrected": CORRECTED,
    "paper": PAPER,
    "paper-two-views": recipe("paper-two-views"),
    **{
        f"{field}={getattr(PAPER, field)}": switched(**{field: getattr(PAPER, field)})
        for field in (
            "bin_rule",
            "drop_in_place",
            "last_start",
            "outlier_sides",
            "time_rates",
            "loss_sum",
            "keras_adam",
            "fixed_validation",
        )
    },
    "noise_unit=mag": switched(noise_unit="mag", views=PAPER.views),
    "negatives=replica": switched(negatives="replica"),  # of 8 replicas
    "frozen_views=True": switched(frozen_views=True),
    "initial_weights=torch": switched(initial_weights="torch"),
    "shared_window=True": switched(shared_window=True),
    "centring=window": switched(centring="window"),
    "error_input=True": switched(error_input=True),
}


def run(chosen: Recipe, seed: int, steps: int, train: LightCurves, stars: Splits) -> dict[str, float]:
    """Accuracy of the linear probe on the test stars, trained and with random weights, and the last training loss."""
    size = replace(preset("tiny"), warmup=steps + 50, replicas=8, evaluate_every=steps // 4)
    checkpoint = pretrain(train, size, chosen, seed=seed, steps=steps, progress=False)

    def accuracy(which: Checkpoint) -> float:
        fit, test = (embed(part, which) for part in (stars.fit, stars.test))
        return linear_probe(fit, stars.fit.label, test, stars.test.label).accuracy

    return {
        "probe": accuracy(checkpoint),
        "random": accuracy(random_control(checkpoint)),
        "loss": float(np.mean(checkpoint.history["loss"].tail(10))),
    }


def kept_in(folder: Path, name: str, seed: int, steps: int) -> Path:
    return folder / f"{name}-{seed}-{steps}.json"


def would_come_out_the_same(file: Path, name: str, steps: int) -> bool:
    """Whether a kept run would be reproduced by the present code."""
    if not file.exists():
        return False
    row = json.loads(file.read_text())
    differs = row_differences(row["fingerprint"], [RUNS[name], steps], PARTS, row["fingerprints"])
    if differs:
        tqdm.write(f"{name} is trained anew: {differs[0]}")
    return not differs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", nargs="*", choices=list(RUNS), help="write the file only when all runs are there")
    parser.add_argument("--third", nargs="*", choices=list(RUNS), default=[], help="runs of one seed more")
    options = parser.parse_args()
    folder = cache_folder() / "differences"
    stars = labelled_stars("tiny")
    for seed in range(options.seeds + bool(options.third)):
        train = training_stars("tiny", seed)
        for name in tqdm(options.third if seed == options.seeds else options.only or RUNS, desc=f"seed {seed}"):
            file = kept_in(folder, name, seed, options.steps)
            if not would_come_out_the_same(file, name, options.steps):
                begin = time.process_time()
                # Told before it is trained: the tree may change meanwhile.
                row: dict[str, Any] = {"trained_at": provenance()["revision"], "fingerprints": {}}
                row["fingerprint"] = row_key([RUNS[name], options.steps], PARTS, row["fingerprints"])
                row |= run(RUNS[name], seed, options.steps, train, stars)
                row["cpu_seconds"] = time.process_time() - begin
                with replacing(file) as part:
                    part.write_text(json.dumps(row))
    rows, trained_at, known = {}, set(), {}
    for name in RUNS:
        files = [kept_in(folder, name, seed, options.steps) for seed in range(options.seeds)]
        if not all(would_come_out_the_same(file, name, options.steps) for file in files):
            return
        found = [json.loads(file.read_text()) for file in files]
        rows[name] = {key: [round(row[key], 4) for row in found] for key in ("probe", "random", "loss")}
        rows[name]["fingerprint"] = found[0]["fingerprint"]
        rows[name]["cpu_seconds"] = round(sum(row.get("cpu_seconds", 0.0) for row in found))
        known |= found[0]["fingerprints"]
        trained_at |= {row.get("trained_at", "unknown") for row in found}
    result = {
        "benchmark": "differences",
        "made_with": provenance(),
        "trained_at": ", ".join(sorted(trained_at)),
        "preset": "tiny",
        "steps": options.steps,
        "seeds": options.seeds,
        "n_fit": len(stars.fit),
        "n_test": len(stars.test),
        "fingerprints": known,
        "results": rows,
    }
    if options.third:
        files = {name: kept_in(folder, name, options.seeds, options.steps) for name in options.third}
        more = {name: json.loads(file.read_text()) for name, file in files.items()}
        result["third_seed"] = {
            name: {key: round(row[key], 4) for key in ("probe", "random", "loss")} for name, row in more.items()
        }
    write_results(RESULTS, result)
    for name, row in rows.items():
        probe, random = np.array(row["probe"]), np.array(row["random"])
        print(f"{name:28s} probe {probe.mean():.3f} +- {probe.std():.3f}, random {random.mean():.3f}")


if __name__ == "__main__":
    main()
