"""Many labels: fine-tuning beside the probe and training from scratch, with as many labels as the paper has.

Usage: python benchmarks/many_labels.py [--checkpoint laptop] [--labels 4000,41827] [--seeds 1] [--explore] [--out FILE]
           [--quick]

One thread. Every way learns from the same labels and is tested on the same stars; a seed draws other labelled stars and
other random weights. The penalty of a probe and the rate of a training are those of best accuracy on choosing stars;
rates were chosen once, with the fewer labels of a draw that no row uses; --explore measures these again and keeps them
in the file. Writes benchmarks/results/many_labels.json after every way; what is there, and would come out the same, is
kept.
"""

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import write_results
from _self_training import BATCH, DROPOUT, WINDOWS, best_probe, self_train

from astraclr.analysis.latent_space import topology
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import Splits
from astraclr.evaluate.features import features
from astraclr.evaluate.few_labels import tuned_checkpoint
from astraclr.evaluate.heads import probe_head
from astraclr.evaluate.metrics import score
from astraclr.evaluate.probes import PAPER_C, fit_logistic
from astraclr.evaluate.row_fingerprint import fingerprints_of, row_differences, row_key
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "many_labels.json"
PAPER_LABELS = 41_827
"""The paper's labels: at most 4,000 of each of its 12 classes, some 2 % of its 2.1 million stars."""
LABEL_SEED, CHOOSE_SEED, TEST_SEED = 950_000, 960_000, 922_000
PASSES = 3
"""Epochs, if `FULL` does not give them for a number of labels."""
FULL: dict[str, Any] = {"choose": 2_000, "test": 4_000, "passes": {4_000: 10, PAPER_LABELS: PASSES}}
QUICK: dict[str, Any] = {"choose": 60, "test": 60, "passes": {60: 1}}
RATES = {"last layers": (1e-3, 3e-3), "whole encoder": (5e-4, 1e-3, 2e-3), "from scratch": (1e-3, 2e-3)}
MAPPED = 2_000
"""Test stars whose neighbourhoods are measured."""
PARTS = ("method", "readers", "features")
"""Fingerprints that the rows depend on."""
EXPLORED = 4
"""Epochs of the runs that explore learning rates."""
CHOSEN = {"last layers": 3e-3, "whole encoder": 5e-4, "from scratch": 2e-3}
NOTE = (
    "Whole windows drawn at random, milder damage than in pre-training, a rate that falls to 0 "
    "(astraclr.self_training); nothing is stopped early. "
    "From scratch has the same steps, not the most that would help it."
)
START = {"linear probe, features": "features", "linear probe, random weights": "random", "from scratch": "random"}
WAYS = (
    "linear probe",
    f"linear probe, C = {PAPER_C:g}",
    "linear probe, features",
    "linear probe, random weights",
    *CHOSEN,
)


class Draw:
    """The labelled stars of a seed, their vectors, and the ways to use them."""

    def __init__(self, checkpoint: Checkpoint, n: int, passes: int, size: dict[str, Any], seed: int) -> None:
        self.seed, self.steps = seed, max(1, passes * n // BATCH)
        self.stars = Splits(
            simulate(n, seed=LABEL_SEED + seed),
            simulate(size["choose"], seed=CHOOSE_SEED),
            simulate(size["test"], seed=TEST_SEED),
        )
        self.start = {"trained": checkpoint, "random": random_control(checkpoint, seed)}
        self.read: dict[str, list[np.ndarray]] = {}

    def vectors(self, which: str) -> list[np.ndarray]:
        """(n, d) vectors of the three sets: "features", or embeddings by the "trained" or the "random" encoder."""
        if which not in self.read:
            vectors_of = (
                (lambda lc: features(lc, progress=True)[0])
                if which == "features"
                else partial(embed, checkpoint=self.start[which], windows=WINDOWS, progress=True)
            )
            self.read[which] = [vectors_of(lc) for lc in self.stars]
        return self.read[which]

    def predicted(self, way: str, rate: float | None, on: LightCurves) -> tuple[np.ndarray, float, Checkpoint | None]:
        """(n_stars,) labels that a way predicts, its setting (C or learning rate), and its encoder."""
        fit, choose, _ = self.stars
        which = START.get(way, "trained")
        x, middle, last = self.vectors(which)
        if way.startswith("linear"):
            model, C = (
                (fit_logistic(x, fit.label, PAPER_C), PAPER_C)
                if "=" in way
                else best_probe(x, fit.label, middle, choose.label)[:2]
            )
            return model.predict(last if on is self.stars.test else middle), C, self.start.get(which)
        rate = rate or CHOSEN[way]
        head = probe_head(fit_logistic(x, fit.label, 0.1), x, DROPOUT)  # which C hardly matters after so many steps
        layers = max(1, self.start[which].preset.n_layers // 2) if way == "last layers" else "all"
        tuned = self_train(
            self.start[which],
            fit,
            head,
            steps=self.steps,
            learning_rate=rate,
            layers=layers,
            seed=self.seed,
            progress=True,
        )
        return tuned.predict(on), rate, tuned_checkpoint(tuned, self.start[which])


def rows(draw: Draw, ways: list[str]) -> Iterator[dict[str, Any]]:
    """Accuracy and macro-F1 of each way, and its points above the linear probe with their paired standard error."""
    truth = draw.stars.test.label
    probe = draw.predicted("linear probe", None, draw.stars.test)[0] == truth
    for way in ways:
        begun = time.process_time()
        predicted, setting, encoder = draw.predicted(way, None, draw.stars.test)
        found, apart = score(truth, predicted), 100 * ((predicted == truth) - 1.0 * probe)
        yield {
            "way": way,
            "accuracy": found.accuracy,
            "macro_f1": found.macro_f1,
            "setting": setting,
            "above_probe": float(apart.mean()),
            "error": float(apart.std() / len(apart) ** 0.5),
            "steps": 0 if way.startswith("linear") else draw.steps,
            "n_test": len(truth),
            "cpu_seconds": round(time.process_time() - begun),
            "topology": encoder and clouds(encoder, draw),
        }


def clouds(encoder: Checkpoint, draw: Draw) -> dict[str, float]:
    """Silhouette, purity and trustworthiness of the first test stars in the embedding of an encoder."""
    some = draw.stars.test[:MAPPED]
    return topology({"": embed(some, encoder, windows=WINDOWS)}, some.label)[""]


def explored(checkpoint: Checkpoint, size: dict[str, Any], known: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Accuracy on choosing stars of every rate that is not known, with the fewest labels; it decides nothing itself."""
    draw = Draw(checkpoint, min(size["passes"]), EXPLORED, size, seed=100)
    there = {(one["way"], one["rate"]) for one in known}
    for way, rate in ((way, rate) for way, rates in RATES.items() for rate in rates if (way, rate) not in there):
        begun = time.process_time()
        predicted, *_ = draw.predicted(way, rate, draw.stars.choose)
        right = score(draw.stars.choose.label, predicted).accuracy
        spent = round(time.process_time() - begun)
        yield {"way": way, "rate": rate, "chosen": round(right, 4), "cpu_seconds": spent}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--labels", default=f"4000,{PAPER_LABELS}", help="numbers of labels (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="draws of labels (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    parser.add_argument("--explore", action="store_true", help="also try the learning rates on choosing stars")
    parser.add_argument("--quick", action="store_true", help="few stars, to check that the script works")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, checkpoint = QUICK if given.quick else FULL, load_checkpoint(given.checkpoint)
    passes = {int(n): size["passes"].get(int(n), PASSES) for n in given.labels.split(",")}
    if given.quick:
        passes = size["passes"]
    kept = json.loads(given.out.read_text()) if given.out.exists() else {}
    settings, known = [checkpoint.name, json.dumps([CHOSEN, size])], kept.get("fingerprints", {})
    differs = row_differences(kept.get("fingerprint"), settings, PARTS, known)
    if differs and kept:
        print(f"all of it is made anew: {differs[0]}", flush=True)
    found: list[dict[str, Any]] = [] if differs else kept.get("rows", [])
    tried: list[dict[str, Any]] = [] if differs and given.explore else kept.get("explored", [])
    key = row_key(settings, PARTS, known)
    result: dict[str, Any] = {
        "benchmark": "many_labels",
        "made_with": provenance(),
        "note": NOTE,
        "checkpoint": checkpoint.name,
        "size": {"choose": size["choose"], "test": size["test"], "batch": BATCH},
        "rates": CHOSEN,
        "fingerprints": fingerprints_of([{"fingerprint": key}], known),
        "fingerprint": key,
        "explored": tried,
        "rows": found,
    }
    for one in explored(checkpoint, size, tried) if given.explore else ():
        tried.append(one)
        print(json.dumps(one), flush=True)
        write_results(given.out, result)
    for n, many in passes.items():
        for seed in range(given.seeds):
            missing = [way for way in WAYS if (n, seed, many, way) not in {place_of(row) for row in found}]
            if missing:
                for row in rows(Draw(checkpoint, n, many, size, seed), missing):
                    found.append({"n_fit": n, "seed": seed, "passes": many, **row})
                    print(json.dumps(found[-1]), flush=True)
                    write_results(given.out, result)


def place_of(row: dict[str, Any]) -> tuple[int, int, int, str]:
    return row["n_fit"], row["seed"], row["passes"], row["way"]


if __name__ == "__main__":
    main()
