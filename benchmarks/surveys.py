"""What training adds on real stars of other surveys, by paired intervals over the same stars, as JSON.

Usage: python benchmarks/surveys.py --real FOLDER [--checkpoint laptop] [--repeats 4] [--out FILE]

A linear probe and a weighted k-NN are fitted and tested in folds on the real stars of each file in FOLDER, for the
trained encoder, three encoders with random weights, hand-crafted features without periods, and the summaries that the
encoder was trained to predict. Every difference is the trained encoder minus a control on the same stars in the same
folds. Nothing of a single star is written. Needs the extra interop; about five CPU minutes. Writes
benchmarks/results/surveys.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import decimals, write_results

from astraclr.data.lightcurves import LightCurves
from astraclr.data.summaries import summaries
from astraclr.data.tokens import prepare
from astraclr.evaluate.features import features
from astraclr.evaluate.surveys import SURVEYS, compared_out_of_folds
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.embedding import embed

RESULTS = Path(__file__).parent / "results" / "surveys.json"
N_RANDOM = 3
TRAINED = "trained"
KEPT = [metric + end for metric in ("accuracy", "macro_f1") for end in ("", "_low", "_high")]


def raw_summaries(lc: LightCurves) -> np.ndarray:
    """(n_stars, n_summaries) summaries of the whole light curves, 0 where there is nothing to say."""
    return np.nan_to_num(summaries(prepare(lc, "cpu"), torch.arange(len(lc))).numpy())


def vectors_of(lc: LightCurves, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """The trained encoder's embeddings first, then the controls."""
    random = {f"random weights, seed {k}": random_control(checkpoint, k) for k in range(N_RANDOM)}
    encoders = {TRAINED: checkpoint, **random}
    x = {name: embed(lc, encoder) for name, encoder in encoders.items()}
    return x | {"features": features(lc)[0], "raw summaries": raw_summaries(lc)}


def on_survey(lc: LightCurves, checkpoint: Checkpoint, repeats: int) -> dict[str, Any]:
    """Scores of every kind of vectors, the gain over each control, and over the best of the random weights."""
    found = compared_out_of_folds(vectors_of(lc, checkpoint), lc.label, lc.object_id, repeats=repeats)
    for part in ("scores", "gain"):
        found[part] = {
            name: {way: {key: by_way[way][key] for key in KEPT} for way in ("linear_probe", "knn")}
            for name, by_way in found[part].items()
        }
    random = [name for name in found["gain"] if name.startswith("random")]
    best = max(random, key=lambda name: found["scores"][name]["linear_probe"]["macro_f1"])
    names, n = np.unique(lc.label, return_counts=True)
    return {"stars": dict(zip(names.tolist(), n.tolist(), strict=True)), "best_random": best, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, metavar="FOLDER", help="holds the files of SURVEYS")
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=4, help="divisions into folds (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint, begin, found = load_checkpoint(given.checkpoint), time.process_time(), {}
    for name, survey in SURVEYS.items():
        found[name] = on_survey(survey.read(given.real), checkpoint, given.repeats)
        for other, gain in found[name]["gain"].items():
            g = gain["linear_probe"]
            interval = f"{g['macro_f1']:+.3f} ({g['macro_f1_low']:+.3f} to {g['macro_f1_high']:+.3f})"
            print(f"{name}: {TRAINED} minus {other}, macro-F1 {interval}", flush=True)
    result = {
        "benchmark": "surveys",
        "made_with": provenance(),
        "checkpoint": checkpoint.name,
        "repeats": given.repeats,
        "surveys": decimals(found),
        "cpu_seconds": round(time.process_time() - begin),
    }
    write_results(given.out, result)


if __name__ == "__main__":
    main()
