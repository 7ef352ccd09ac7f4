"""Make an encoder and the head that ship with the package, measure them, and write their card.

Usage: python benchmarks/shipped_checkpoint.py [--preset tiny] [--recipe corrected] [--seed 0] [--real [FILE]]

Trains (minutes at tiny, 20 at laptop), or takes the run that the chapters and benchmarks keep, fits the head on
labelled simulated stars, and scores it on others, beside the same encoder with random weights (three seeds, and where
it has a clock once with it stopped, a stronger control), hand-crafted features and the most frequent class. With --real
also on real ZTF stars: the share that is flagged, and the accuracy on labelled ones; only these two are written. Writes
config.json, weights, history.csv, fingerprint.json, head.safetensors, scores.json and README.md (the card) into
data/checkpoints/PRESET.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _measure import real_data
from _training_cost import WATTS, cost_of
from model_card import model_card

from astraclr.analysis.classifier import Head, fit_head, prediction_table, save_head
from astraclr.catalogs import read
from astraclr.data.splits import Splits
from astraclr.evaluate.features import features
from astraclr.evaluate.metrics import majority, with_intervals
from astraclr.evaluate.probes import linear_probe, weighted_knn
from astraclr.files import provenance, replacing
from astraclr.model.checkpoint import Checkpoint, random_control, save_checkpoint
from astraclr.model.embedding import embed
from astraclr.simulation.samples import labelled_stars
from astraclr.train.fingerprint import load_fingerprint, save_fingerprint
from astraclr.tutorial.experiments import run_folder, trained

C_HEAD = 1.0
Readable = dict[str, dict[str, float]]


def scores_of(fit: np.ndarray, test: np.ndarray, stars: Splits) -> Readable:
    """Linear probe (C = 10, the paper's, and the head's) and weighted k-NN on the test stars, with their intervals."""
    sets = fit, stars.fit.label, test, stars.test.label
    found = {
        "linear_probe_C10": linear_probe(*sets),
        "linear_probe_C1": linear_probe(*sets, C=C_HEAD),
        "weighted_knn": weighted_knn(*sets),
    }
    kept = [name + end for name in ("accuracy", "macro_f1") for end in ("", "_low", "_high")]
    rows = {name: with_intervals(s, stars.test.label, stars.test.object_id, seed=0) for name, s in found.items()}
    return {name: {key: round(row[key], 4) for key in kept} for name, row in rows.items()}


def controls(checkpoint: Checkpoint) -> Iterator[tuple[str, Checkpoint]]:
    """Encoders with random weights, and one without its time encoding, which hides the magnitudes at small sizes."""
    for seed in range(3):
        yield f"random weights, seed {seed}", random_control(checkpoint, seed)
    if checkpoint.recipe.time_rates != "none":
        yield "random weights, clock stopped", clock_stopped(checkpoint)


def clock_stopped(checkpoint: Checkpoint) -> Checkpoint:
    """Random weights without a time encoding."""
    control = random_control(checkpoint)
    control.encoder.embedding.rates.zero_()
    return control


def on_real_stars(path: Path, checkpoint: Checkpoint, head: Head) -> dict[str, float]:
    """Share of real stars that are flagged, and accuracy of the head on the labelled ones."""
    table = prediction_table(read(path), checkpoint, head)
    known = np.isin(table["label"], head.classes)
    met = (table["label"] == table["predicted"])[known]
    return {
        "stars": len(table),
        "flagged": round(float(np.mean(table["flag"] != "")), 2),
        "labelled": int(known.sum()),
        "label_met": round(float(np.mean(met)), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--recipe", default="corrected")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="instead of data/checkpoints/PRESET")
    parser.add_argument(
        "--real",
        type=Path,
        nargs="?",
        const=real_data() / "ztf.parquet",
        help="real light curves to score on, by default those of ASTRACLR_REAL_DATA; nothing of them is kept",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, out = (options.preset, options.recipe, options.seed), options.out or Path("data/checkpoints", options.preset)
    checkpoint = trained(*run)
    training = cost_of(checkpoint, run_folder(*run))
    save_checkpoint(checkpoint, out)
    save_fingerprint(load_fingerprint(run_folder(*run)), out)
    stars = labelled_stars(options.preset)

    def embedded(which: Checkpoint) -> tuple[np.ndarray, np.ndarray]:
        return embed(stars.fit, which, progress=True), embed(stars.test, which, progress=True)

    fit, test = embedded(checkpoint)
    scores = {"trained": scores_of(fit, test, stars)}
    scores |= {name: scores_of(*embedded(control), stars) for name, control in controls(checkpoint)}
    scores["hand-crafted features"] = scores_of(features(stars.fit)[0], features(stars.test)[0], stars)
    guess = {name: round(value, 4) for name, value in majority(stars.fit.label, stars.test.label).summary().items()}
    scores["most frequent class"] = {classifier: guess for classifier in scores["trained"]}
    head = fit_head(fit, stars.fit.label, checkpoint, C_HEAD)
    head = replace(head, accuracy=scores["trained"]["linear_probe_C1"]["accuracy"])
    save_head(head, out / "head.safetensors")
    training["watts_assumed"] = WATTS[training["device"]]
    result = {
        "benchmark": "shipped_checkpoint",
        "checkpoint": checkpoint.name,
        "made_with": provenance(),
        "training": training,
        "n_fit": len(stars.fit),
        "n_test": len(stars.test),
        "simulated": scores,
    }
    before = out / "scores.json"
    known = json.loads(before.read_text()) if before.exists() else {}
    if options.real:
        result["real ZTF"] = on_real_stars(options.real, checkpoint, head)
    elif known.get("checkpoint") == checkpoint.name and "real ZTF" in known:  # the same weights on the same stars
        result["real ZTF"] = known["real ZTF"]
    texts = {before: json.dumps(result, indent=1) + "\n", out / "README.md": model_card(checkpoint, result)}
    for path, text in texts.items():
        with replacing(path) as part:
            part.write_text(text)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
