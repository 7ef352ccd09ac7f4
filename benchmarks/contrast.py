"""Contrast between views and whole light curves: what it earns at the laptop's windows, and which part earns it.

Usage: python benchmarks/contrast.py [--arms views,global] [--steps 400] [--seeds 1] [--preset laptop] [--out FILE]

Every arm is one recipe, trained without labels on 24,000 simulated stars in batches of 128, and stands beside random
weights of the same encoder. Accuracies are of a linear probe (the better of four C) and of weighted k-NN (the better of
two scalings), fitted on 6,000 labelled stars and read off 2,000 validation stars; no test star is touched. Controls
without training are the 92 summaries of whole light curves, alone and with the whole curve folded at its best period.
Writes benchmarks/results/contrast.json after every run (some 4 to 6 CPU minutes at 400 steps), and keeps rows that the
present code would reproduce.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import decimals, write_results
from representation import described

from astraclr.config import RECIPES, Preset, Recipe, View, preset
from astraclr.evaluate import benchmark
from astraclr.evaluate.probes import C_GRID
from astraclr.evaluate.row_fingerprint import fingerprints_of, row_differences, row_key
from astraclr.files import cache_folder, provenance
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.samples import TRAINING_STARS
from astraclr.simulation.simulate import simulate
from astraclr.train.fingerprint import settings_digest
from astraclr.train.pretrain import pretrain

RESULTS = Path(__file__).parent / "results" / "contrast.json"
UNLABELLED, BATCH = 24_000, 128
PARTS = ("method", "readers")
"""Fingerprints that a row depends on."""
_DAMAGE: dict[str, Any] = {"colour_jitter": 0.15, "error_jitter": 0.3, "thinning": 0.5, "lost_band": 0.3}
HALVES = View("half", 0.5, **_DAMAGE), View("hard half", 0.5, 2.0, 0.5, True, **_DAMAGE)
FULL = View("full", 1.0, 1.0, **_DAMAGE), HALVES[1]


def arm(**changes: Any) -> Recipe:
    """The recommended recipe with two short views and no loss but those named."""
    none = {"contrast": 0.0, "summaries": 0.0, "global_contrast": 0.0}
    return replace(RECIPES["recommended"], **{"name": "contrast", "views": HALVES, **none, **changes})


ARMS: dict[str, Recipe] = {
    "views": arm(contrast=1.0),
    "global": arm(global_contrast=1.0),
    "global-full": arm(global_contrast=1.0, views=FULL),
    "summaries": arm(summaries=1.0),
    "window": arm(global_contrast=1.0, contrast=0.5, global_inputs="folded", folded_input="window"),
    "tokens": arm(global_contrast=1.0, contrast=0.5, global_inputs="folded", folded_input="tokens"),
    "tokens-views": arm(contrast=1.0, folded_input="tokens"),
    "both": arm(global_contrast=1.0, contrast=0.5, global_inputs="folded", folded_input="both"),
    "both-T0.07": arm(
        global_contrast=1.0, contrast=0.5, global_inputs="folded", folded_input="both", global_temperature=0.07
    ),
    "both-summaries": arm(
        global_contrast=1.0, contrast=0.5, global_inputs="folded", folded_input="both", summaries=1.0
    ),
}
"""By name: contrast of views with views, with descriptions of the whole light curve, regression of summaries; and what
the encoder is given of its window folded at its best period."""
CONTROLS = {"raw summaries": False, "raw summaries and folded light curve": True}


def scores(x: benchmark.Vectors, stars: benchmark.Splits) -> dict[str, float]:
    """Accuracy on the validation stars of a linear probe and of weighted k-NN, each at its best setting."""
    truth, label = stars.choose.label, stars.fit.label

    def accuracy(classify: benchmark.Classifier) -> float:
        return float((classify(x.choose).labels == truth).mean())

    return {
        "linear probe": max(accuracy(benchmark.logistic_classifier(x.fit, label, c)) for c in C_GRID),
        "k-NN": max(accuracy(benchmark.knn_classifier(x.fit, label, scaled)) for scaled in (True, False)),
    }


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--arms", default=",".join(a.replace(",", ";") for a in ARMS), help="names; ; for a comma in one"
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--preset", default="laptop", help="whose windows and encoder are used")
    parser.add_argument("--stars", type=int, default=UNLABELLED)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(words)
    names = given.arms.split(",")
    if unknown := [name for name in names if name not in ARMS]:
        parser.error(f"no arm {unknown[0]!r}; choose from {', '.join(ARMS)}")
    torch.set_num_threads(1)
    size = replace(
        preset(given.preset),
        n_stars=given.stars,
        batch_size=min(BATCH, given.stars // 2),
        steps=given.steps,
        warmup=min(100, given.steps),
        evaluate_every=min(100, given.steps),
    )
    table = Table(given.out, benchmark.sizes_of(given.preset))
    for name, period in CONTROLS.items():
        table.control(name, period)
    for name in names:
        for seed in range(given.seeds):
            table.run(name, size, seed)


class Table:
    """The file of results, and the stars that all rows share."""

    def __init__(self, path: Path, sizes: benchmark.Sizes) -> None:
        before = json.loads(path.read_text()) if path.exists() else {}
        self.path, self.rows, self.known = path, before.get("rows", {}), before.get("fingerprints", {})
        self.stars = benchmark.bench_stars(sizes)

    def control(self, name: str, period: bool) -> None:
        """Scores of numbers of whole light curves, without an encoder."""

        def make() -> dict[str, Any]:
            fit, choose = (described(lc, period) for lc in (self.stars.fit, self.stars.choose))
            return scores(benchmark.Vectors(fit, choose, choose), self.stars)

        self._keep(name, [name], make)

    def run(self, name: str, size: Preset, seed: int) -> None:
        """Train an arm, and score it beside random weights of the same encoder."""
        recipe = ARMS[name]

        def make() -> dict[str, Any]:
            unlabelled, began = simulate(size.n_stars, seed=TRAINING_STARS + seed, progress=True), time.process_time()
            folder = cache_folder() / "contrast" / settings_digest(size, recipe, seed)
            checkpoint = pretrain(unlabelled, size, recipe, seed=seed, out=folder)
            spent = time.process_time() - began
            random = self._embedded(random_control(checkpoint, seed))
            return {
                "cpu_seconds": round(spent),
                **scores(self._embedded(checkpoint), self.stars),
                "random weights": scores(random, self.stars),
            }

        self._keep(f"{name}, {size.name}, {size.steps} steps, seed {seed}", [size, recipe, seed], make)

    def _embedded(self, checkpoint: Checkpoint) -> benchmark.Vectors:
        fit, choose = (embed(lc, checkpoint, progress=True) for lc in (self.stars.fit, self.stars.choose))
        return benchmark.Vectors(fit, choose, np.empty((0, fit.shape[1])))

    def _keep(self, name: str, settings: list[Any], make: Any) -> None:
        row, what = self.rows.get(name), (settings, PARTS, self.known)
        if row is None or row_differences(row["fingerprint"], *what):
            self.rows[name] = row = {"fingerprint": row_key(*what), **decimals(make())}
            known = fingerprints_of(self.rows.values(), self.known)
            write_results(self.path, {"made_with": provenance(), "fingerprints": known, "rows": self.rows})
        print(f"{name}: probe {row['linear probe']:.3f}, k-NN {row['k-NN']:.3f}", flush=True)


if __name__ == "__main__":
    main()
