"""Make the encoder and the head that ship with the package, and measure them: one JSON line, kept beside them.

Usage: python benchmarks/shipped_checkpoint.py [--out data/checkpoints/tiny] [--preset tiny] [--real FILE]

Trains at the preset (minutes at tiny), fits the head on labelled simulated stars, and scores it on others, beside the
same encoder with random weights (three seeds, and once with its clock stopped, a stronger control) and the most
frequent class. With --real also on real ZTF stars: how many are flagged, and how many labels are met; only these two
shares are written.
"""

import argparse
import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from astraclr.catalogs import read
from astraclr.checkpoints import Checkpoint, random_control, save_checkpoint
from astraclr.embedding import embed
from astraclr.experiments import Splits, labelled_stars, training_stars
from astraclr.files import replacing
from astraclr.prediction import Head, fit_head, prediction_table, save_head
from astraclr.pretraining import pretrain
from astraclr.probing import linear_probe, majority, weighted_knn

C_HEAD = 1.0


def scores_of(checkpoint: Checkpoint, stars: Splits, bootstraps: int) -> dict[str, dict[str, float]]:
    """Linear probe (C = 10, the paper's, and the head's) and weighted k-NN on the test stars."""
    sets = embed(stars.fit, checkpoint), stars.fit.label, embed(stars.test, checkpoint), stars.test.label
    return {
        "linear_probe_C10": linear_probe(*sets, bootstraps=bootstraps, progress=True).summary(),
        "linear_probe_C1": linear_probe(*sets, C=C_HEAD).summary(),
        "weighted_knn": weighted_knn(*sets).summary(),
    }


def clock_stopped(checkpoint: Checkpoint) -> Checkpoint:
    """Random weights without a time encoding: at small sizes a clock drowns the magnitudes (chapter 3)."""
    control = random_control(checkpoint)
    control.encoder.embedding.rates.zero_()
    return control


def on_real_stars(path: Path, checkpoint: Checkpoint, head: Head) -> dict[str, float]:
    """Shares of real stars that are flagged, and of labelled ones whose label the head meets."""
    table = prediction_table(read(path), checkpoint, head)
    known = np.isin(table["label"], head.classes)
    met = (table["label"] == table["predicted"])[known]
    return {"stars": len(table), "flagged": round(float((table["flag"] != "").mean()), 2),
            "labelled": int(known.sum()), "label_met": round(float(met.mean()), 2)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/checkpoints/tiny"))
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--real", type=Path, help="real light curves to score on; nothing of them is kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = pretrain(training_stars(options.preset), options.preset, seed=0)
    save_checkpoint(checkpoint, options.out)
    stars = labelled_stars(options.preset)
    scores = {"trained": scores_of(checkpoint, stars, bootstraps=20)}
    scores |= {f"random weights, seed {s}": scores_of(random_control(checkpoint, s), stars, 0) for s in range(3)}
    scores["random weights, clock stopped"] = scores_of(clock_stopped(checkpoint), stars, 0)
    scores["most frequent class"] = majority(stars.fit.label, stars.test.label).summary()
    head = fit_head(embed(stars.fit, checkpoint), stars.fit.label, checkpoint, C_HEAD)
    head = replace(head, accuracy=scores["trained"]["linear_probe_C1"]["accuracy"])
    save_head(head, options.out / "head.safetensors")
    result = {"benchmark": "shipped_checkpoint", "checkpoint": checkpoint.name, "n_fit": len(stars.fit),
              "n_test": len(stars.test), "simulated": scores, "python": platform.python_version(),
              "torch": torch.__version__}  # fmt: skip
    before = options.out / "scores.json"
    known = json.loads(before.read_text()) if before.exists() else {}
    if options.real:
        result["real ZTF"] = on_real_stars(options.real, checkpoint, head)
    elif known.get("checkpoint") == checkpoint.name and "real ZTF" in known:  # the same weights on the same stars
        result["real ZTF"] = known["real ZTF"]
    with replacing(options.out / "scores.json") as part:
        part.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
