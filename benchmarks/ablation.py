"""Ablation: what each change from the paper's recipe to the recommended one does, and changes that did not help.

Usage: python benchmarks/ablation.py [--rows NAME,NAME] [--steps 800] [--out FILE]

Short runs of the `tiny` encoder, one seed, each beside the same encoder with random weights, some three CPU minutes a
row. Scores are on a validation set of the ablation's own stars; no test set is used. `predicted` was written
before the run, though after a prototype. Writes benchmarks/results/ablation.json after every row; rows that the present
code would reproduce are kept. In that file "road" means a change towards the recommended recipe, which keeps the
changes before it, "without" the recommended recipe without one of its parts, and "dead end" a change that did not help.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from _measure import decimals, write_results
from tqdm import tqdm

from astraclr.config import RECIPES, Preset, Recipe, View, preset
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate import benchmark
from astraclr.evaluate.features import features
from astraclr.evaluate.metrics import score
from astraclr.evaluate.probes import C_GRID, PAPER_C
from astraclr.evaluate.row_fingerprint import fingerprints_of, row_differences, row_key
from astraclr.evaluate.splits import cap_labels
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate
from astraclr.train.pretrain import pretrain

RESULTS = Path(__file__).parent / "results" / "ablation.json"
SEED, UNLABELLED, FIT, CHOOSE = 990_000, 8_000, 3_000, 2_000
FEW, DRAWS = 20, 3
"""Labels per class, and draws of them."""
SIZE = replace(preset("tiny"), n_stars=UNLABELLED, batch_size=32, steps=800, warmup=400, evaluate_every=200)
PARTS = ("method", "readers")
"""Fingerprints that a row depends on."""
PAPER, CORRECTED, RECOMMENDED = (RECIPES[name] for name in ("paper", "corrected", "recommended"))


@dataclass(frozen=True)
class Row:
    """A recipe to try, what it changes in words, and what was expected of the linear probe."""

    group: Literal["road", "without", "dead end"]
    change: str
    predicted: str
    recipe: Recipe
    size: Preset = SIZE


def views(of: Recipe, **changes: float) -> tuple[View, ...]:
    """The views of a recipe with some fields changed."""
    return tuple(replace(view, **changes) for view in of.views)


def rows() -> dict[str, Row]:
    """The table, in its order."""
    steps = towards_the_recommended_recipe()
    return steps | variants(steps["+ cosine"].recipe)


def towards_the_recommended_recipe() -> dict[str, Row]:
    """Changes from the paper's recipe to the recommended one, each with those before it."""
    errors = replace(CORRECTED, error_input=True)
    no_clock = replace(errors, time_rates="none")
    steps = replace(no_clock, error_input=False, inputs="steps")
    layers = replace(steps, initial_weights="torch", norm="pre", dropout=0.0)
    pooled = replace(layers, pooling="mean_std")
    jitter = replace(pooled, views=RECOMMENDED.views)
    cosine = replace(jitter, schedule="cosine", weight_decay=RECOMMENDED.weight_decay)
    summaries = replace(cosine, summaries=1.0)
    return {
        "paper": Row("road", "as its authors ran it", "near its own random control", PAPER),
        "corrected": Row("road", "without the slips of public code", "as paper, within the noise", CORRECTED),
        "+ errors": Row("road", "the error of each point is an input", "a little up", errors),
        "+ no clock": Row(
            "road", "no absolute time, which names the field and its schedule", "up, and its control too", no_clock
        ),
        "+ steps": Row(
            "road",
            "steps in magnitude and time from the observation before, as inputs",
            "up, and its control too",
            steps,
        ),
        "+ layers": Row(
            "road",
            "normalise before each part of a layer, torch's first weights, no drop-out",
            "faster learning, a little up",
            layers,
        ),
        "+ spread": Row(
            "road", "pool the standard deviation of tokens beside their mean", "up, and its control too", pooled
        ),
        "+ jitter": Row(
            "road", "shift colours, scale errors, thin, lose a band: shortcuts that name a star", "up", jitter
        ),
        "+ cosine": Row("road", "a higher rate that falls to zero", "up", cosine),
        "+ summaries": Row(
            "road", "a second task: say 92 numbers of the whole light curve", "up by several points", summaries
        ),
        "recommended": Row("road", "the contrast counts a twentieth of the second task", "up", RECOMMENDED),
    }


def variants(cosine: Recipe) -> dict[str, Row]:
    """The recommended recipe without one of its parts, and changes that did not help, some to the row "+ cosine"."""
    without, calm = RECOMMENDED, {"colour_jitter": 0.0, "error_jitter": 0.0, "thinning": 0.0, "lost_band": 0.0}
    strong = {"colour_jitter": 0.3, "error_jitter": 0.6, "thinning": 0.8, "lost_band": 0.5}
    wide = replace(SIZE, windows=preset("laptop").windows)
    return {
        "no contrast": Row("without", "the second task alone", "a little down", replace(without, contrast=0.0)),
        "no jitter": Row(
            "without", "views damaged as in corrected", "down", replace(without, views=views(without, **calm))
        ),
        "no steps": Row(
            "without",
            "magnitude, band and error as inputs, and the clock",
            "down",
            replace(without, inputs="paper", error_input=True, time_rates="log"),
        ),
        "no spread": Row("without", "mean of the tokens alone", "down", replace(without, pooling="mean")),
        "post-norm": Row("without", "normalise after each part of a layer", "no change", replace(without, norm="post")),
        "paper's schedule": Row("without", "warm-up and root of the step", "down", replace(without, schedule="warmup")),
        "no colour": Row(
            "without", "one mean for each band of a window is subtracted", "down", replace(without, centring="window")
        ),
        "clock": Row("dead end", "recommended, and the time as well", "no change", replace(without, time_rates="log")),
        "strong jitter": Row(
            "dead end", "twice the jitter", "no change", replace(without, views=views(without, **strong))
        ),
        "warm contrast": Row(
            "dead end", "contrast alone at temperature 0.5", "no better than at 0.1", replace(cosine, temperature=0.5)
        ),
        "large batch": Row(
            "dead end",
            "contrast alone, 128 stars a step instead of 32, a quarter of the steps",
            "up",
            cosine,
            replace(SIZE, batch_size=128, steps=SIZE.steps // 4, evaluate_every=50),
        ),
        "long contrast": Row(
            "dead end",
            "contrast alone, three times as long",
            "a little up",
            cosine,
            replace(SIZE, steps=3 * SIZE.steps),
        ),
        "wide windows": Row(
            "dead end", "windows of preset laptop: no dead end, but dearer", "up by several points", RECOMMENDED, wide
        ),
    }


def scores(fit: np.ndarray, choose: np.ndarray, fit_label: np.ndarray, label: np.ndarray) -> dict[str, float]:
    """Scores of classifiers on the validation set; C, and whether k-NN standardises, are the best there."""
    linear = {C: benchmark.logistic_classifier(fit, fit_label, C) for C in C_GRID}
    best, _ = benchmark.best_of(linear, choose, label)
    near = {kind: benchmark.knn_classifier(fit, fit_label, kind) for kind in (False, True)}
    kind, _ = benchmark.best_of(near, choose, label)
    few = []
    for draw in range(DRAWS):
        some = cap_labels(fit_label, FEW, seed=draw)
        found = (benchmark.logistic_classifier(fit[some], fit_label[some], C)(choose).labels for C in C_GRID)
        few.append(max(score(label, predicted).macro_f1 for predicted in found))

    def accuracy(classify: benchmark.Classifier) -> float:
        return float((classify(choose).labels == label).mean())

    return {
        "linear_probe": accuracy(linear[best]),
        "C": best,
        "linear_probe_C10": accuracy(linear[PAPER_C]),
        "knn": accuracy(near[kind]),
        "macro_f1_20": float(np.mean(few)),
    }


def measured(row: Row, train: LightCurves, fit: LightCurves, choose: LightCurves) -> dict[str, Any]:
    """Scores of a row's encoder after training, and with random weights."""
    begin = time.process_time()
    checkpoint = pretrain(train, row.size, row.recipe, seed=0)
    spent = time.process_time() - begin
    last = checkpoint.history.dropna(subset=["val_loss"]).iloc[-1]

    def read(which: Checkpoint) -> dict[str, float]:
        return scores(embed(fit, which), embed(choose, which), fit.label, choose.label)

    final = {name: float(last[name]) for name in ("loss", "val_loss", "alignment", "uniformity", "effective_rank")}
    return {
        "trained": read(checkpoint),
        "random": read(random_control(checkpoint)),
        "final": final,
        "steps": len(checkpoint.history),
        "cpu_seconds": spent,
    }


def settings_of(row: Row, settings: dict[str, Any]) -> list[Preset | Recipe | str | int]:
    """Settings that a row depends on."""
    return [row.size, row.recipe, json.dumps(settings)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", help="names, separated by commas (default: all)")
    parser.add_argument("--steps", type=int, help="instead of 800, to check that the script works")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = rows()
    names = given.rows.split(",") if given.rows else list(table)
    if unknown := [name for name in names if name not in table]:
        parser.error(f"no row {unknown[0]!r}; choose of {', '.join(table)}")
    file = json.loads(given.out.read_text()) if given.out.exists() else {}
    before, known = file.get("rows", {}), file.get("fingerprints", {})
    settings = {
        "seed_of_stars": SEED,
        "unlabelled": UNLABELLED,
        "fit": FIT,
        "choose": CHOOSE,
        "few_labels": FEW,
        "draws": DRAWS,
        "steps": SIZE.steps,
        "batch_size": SIZE.batch_size,
        "training_seeds": 1,
        "split": "middle",
    }
    train, labelled = simulate(UNLABELLED, seed=SEED), simulate(FIT + CHOOSE, seed=SEED + 1)
    fit, choose = labelled[:FIT], labelled[FIT:]
    hand_fit, hand_choose = (features(part, progress=True)[0] for part in (fit, choose))
    result = {
        "benchmark": "ablation",
        "made_with": provenance(),
        "settings": settings,
        "features": decimals(scores(hand_fit, hand_choose, fit.label, choose.label)),
    }
    for name in tqdm(names, desc="rows"):
        row = table[name]
        row = replace(row, size=replace(row.size, steps=given.steps or row.size.steps))
        what = settings_of(row, settings), PARTS, known
        if differs := row_differences(before.get(name, {}).get("fingerprint"), *what):
            if name in before:
                tqdm.write(f"{name} is made anew: {differs[0]}")
            key, found = row_key(*what), decimals(measured(row, train, fit, choose))
            facts = {"group": row.group, "change": row.change, "predicted": row.predicted}
            before[name] = {"fingerprint": key} | facts | found
        kept = {each: before[each] for each in table if each in before}
        rows_and_keys = {"fingerprints": fingerprints_of(kept.values(), known), "rows": kept}
        write_results(given.out, result | rows_and_keys)
        probe = {kind: before[name][kind]["linear_probe"] for kind in ("trained", "random")}
        tqdm.write(f"{name}: probe {probe['trained']:.3f}, random weights {probe['random']:.3f}")


if __name__ == "__main__":
    main()
