"""Make an encoder and the head that ship with the package, measure them, and write their card.

Usage: python benchmarks/shipped_checkpoint.py [--preset tiny] [--recipe corrected] [--seed 0] [--real [FILE]]
           [--head-only]

Trains (minutes at tiny, 20 at laptop), or takes the run that the chapters and benchmarks keep, and scores it on
labelled simulated stars, beside the same encoder with random weights (three seeds, and where it has a clock once with
it stopped, a stronger control), hand-crafted features and the most frequent class. The head is fitted on training
stars; its C and its temperature are chosen on validation stars, damaged as other surveys would damage them. With --real
the head is also scored on real ZTF stars, which decide nothing; only aggregates are written. Writes config.json,
weights, history.csv, fingerprint.json, head.safetensors, head_features.safetensors (on embedding and hand-crafted
features), scores.json and README.md (the card) into data/checkpoints/PRESET. --head-only makes the heads again for the
encoder that is there (two minutes).
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from _measure import decimals, real_data
from _training_cost import WATTS, cost_of
from model_card import model_card

from astraclr.analysis.classifier import Head, load_head, save_head
from astraclr.analysis.head_calibration import choose_head, damaged, left_out, on_real_stars, scored
from astraclr.analysis.predictions import prediction_table
from astraclr.catalogs import read
from astraclr.cli.inputs import HEAD, HEAD_WITH_FEATURES
from astraclr.data.splits import Splits
from astraclr.evaluate.features import features
from astraclr.evaluate.metrics import majority, with_intervals
from astraclr.evaluate.paired import paired_difference
from astraclr.evaluate.probes import linear_probe, weighted_knn
from astraclr.files import provenance, replacing
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control, save_checkpoint
from astraclr.model.embedding import embed
from astraclr.simulation.samples import labelled_stars
from astraclr.train.fingerprint import load_fingerprint, save_fingerprint
from astraclr.tutorial.experiments import run_folder, trained

Readable = dict[str, dict[str, float]]


def scores_of(fit: np.ndarray, test: np.ndarray, stars: Splits) -> Readable:
    """Linear probe (C = 10, the paper's, and 1) and weighted k-NN on the test stars, with their intervals."""
    sets = fit, stars.fit.label, test, stars.test.label
    found = {
        "linear_probe_C10": linear_probe(*sets),
        "linear_probe_C1": linear_probe(*sets, C=1.0),
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


class Vectors(NamedTuple):
    """Embeddings of the training and of the test stars."""

    fit: np.ndarray
    test: np.ndarray


def fitted_heads(checkpoint: Checkpoint, stars: Splits, vectors: Vectors) -> tuple[dict[str, Head], dict[str, Any]]:
    """The heads that ship by the names of their files, chosen on damaged validation stars, and what was measured."""
    known = {kind: embed(lc, checkpoint, progress=True) for kind, lc in damaged(stars.choose).items()}
    label = stars.choose.label
    head, by_C = choose_head(vectors.fit, stars.fit.label, checkpoint, known, label)
    head = replace(head, accuracy=accuracy_of(head, vectors.test, stars.test.label))
    both, found = head_with_features(checkpoint, stars, vectors, known, head)
    sets = scored(head, known, label)
    facts = {
        "made_with": provenance(),
        "n_validation": len(label),
        "mean_accuracy_by_C": by_C,
        "temperature": {"base": head.temperature.base, "growth": head.temperature.growth},
        "accuracy": head.accuracy,
        "damaged": left_out(sets),
        "with_features": found,
        "one_temperature": {kind: f["calibration_error"] for kind, f in left_out(sets, grows=False).items()},
    }
    return {HEAD: head, HEAD_WITH_FEATURES: both}, decimals(facts)


def head_with_features(
    checkpoint: Checkpoint, stars: Splits, vectors: Vectors, known: dict[str, np.ndarray], head: Head
) -> tuple[Head, dict[str, Any]]:
    """A head on embedding and features, chosen in the same way, and what it gains over `head` on each damage."""
    (x, names), (y, _) = features(stars.fit), features(stars.test)
    sets = {kind: np.concatenate([known[kind], features(lc)[0]], axis=1) for kind, lc in damaged(stars.choose).items()}
    label, ids = stars.choose.label, stars.choose.object_id
    joined = np.concatenate([vectors.fit, x], axis=1)
    both, by_C = choose_head(joined, stars.fit.label, checkpoint, sets, label, names)
    both = replace(both, accuracy=accuracy_of(both, np.concatenate([vectors.test, y], axis=1), stars.test.label))
    gain = {}
    for kind in known:
        ours, theirs = labels_of(both, sets[kind]), labels_of(head, known[kind])
        found = paired_difference(label, ours, theirs, ids)
        gain[kind] = {name: value for name, value in found.items() if name.startswith("accuracy")}
    return both, {"mean_accuracy_by_C": by_C, "accuracy": both.accuracy, "accuracy_gain": gain}


def labels_of(head: Head, x: np.ndarray) -> np.ndarray:
    """(n,) most probable class names."""
    return np.array(head.classes)[head.scores(x.astype(float)).argmax(1)]


def accuracy_of(head: Head, x: np.ndarray, label: np.ndarray) -> float:
    """Share of stars whose most probable class is their label."""
    return round(float(np.mean(labels_of(head, x) == label)), 4)


def on_the_sky(path: Path, checkpoint: Checkpoint, head: Head) -> dict[str, Any]:
    """What the head is worth on the labelled ones of real ZTF stars, and the share of all that is flagged."""
    lc = read(path)
    flagged = float(np.mean(prediction_table(lc, checkpoint, head)["flag"] != ""))
    found = {"survey": "ZTF", "stars": len(lc), "flagged_of_all": flagged, **on_real_stars(lc, checkpoint, head)}
    return decimals(found)


def kept_real_sky(file: Path, head: Head, checkpoint: Checkpoint) -> dict[str, Any]:
    """What was measured on real stars with the same head, if the file holds it."""
    if not file.exists():
        return {}
    try:
        old = load_head(file, checkpoint)
    except ValueError:  # of another encoder
        return {}
    same = old.temperature == head.temperature and np.array_equal(old.coefficients, head.coefficients)
    return dict(old.real_sky) if same else {}


def encoder_scores(checkpoint: Checkpoint, stars: Splits, fit: np.ndarray, test: np.ndarray) -> dict[str, Readable]:
    """Scores of the encoder and of every control."""
    scores = {"trained": scores_of(fit, test, stars)}
    for name, control in controls(checkpoint):
        fit, test = (embed(lc, control, progress=True) for lc in (stars.fit, stars.test))
        scores[name] = scores_of(fit, test, stars)
    scores["hand-crafted features"] = scores_of(features(stars.fit)[0], features(stars.test)[0], stars)
    guess = {name: round(value, 4) for name, value in majority(stars.fit.label, stars.test.label).summary().items()}
    return scores | {"most frequent class": {classifier: guess for classifier in scores["trained"]}}


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
    parser.add_argument("--head-only", action="store_true", help="keep the encoder and its scores in the folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, out = (options.preset, options.recipe, options.seed), options.out or Path("data/checkpoints", options.preset)
    checkpoint = load_checkpoint(out) if options.head_only else trained(*run)
    stars = labelled_stars(options.preset)
    fit, test = (embed(lc, checkpoint, progress=True) for lc in (stars.fit, stars.test))
    if options.head_only:
        result = json.loads((out / "scores.json").read_text())
    else:
        training = cost_of(checkpoint, run_folder(*run))
        save_checkpoint(checkpoint, out)
        save_fingerprint(load_fingerprint(run_folder(*run)), out)
        training["watts_assumed"] = WATTS[training["device"]]
        result = {
            "benchmark": "shipped_checkpoint",
            "checkpoint": checkpoint.name,
            "made_with": provenance(),
            "training": training,
            "n_fit": len(stars.fit),
            "n_test": len(stars.test),
            "simulated": encoder_scores(checkpoint, stars, fit, test),
        }
    heads, result["head"] = fitted_heads(checkpoint, stars, Vectors(fit, test))
    for name, head in heads.items():
        file, title = out / name, "real ZTF" if name == HEAD else "real ZTF, with features"
        sky = on_the_sky(options.real, checkpoint, head) if options.real else kept_real_sky(file, head, checkpoint)
        result.pop(title, None)
        if sky:
            result[title] = sky
        save_head(replace(head, real_sky=sky), file)
    for path, text in {
        out / "scores.json": json.dumps(result, indent=1) + "\n",
        out / "README.md": model_card(checkpoint, result),
    }.items():
        with replacing(path) as part:
            part.write_text(text)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
