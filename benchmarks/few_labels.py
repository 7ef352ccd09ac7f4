"""Few labels: ways to fine-tune, windows to read, and topology before and after, as JSON.

Usage: python benchmarks/few_labels.py [--checkpoint tiny] [--seed 0] [--out FILE] [--quick]

On one thread, from simulated stars that the encoder never saw, in some minutes for the shipped encoder. Fine-tuning
uses equal labels and test stars in every way, and one seed. Writes benchmarks/results/few_labels.json.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astraclr.checkpoints import Checkpoint, load_checkpoint, random_control
from astraclr.embedding import embed
from astraclr.experiments import provenance
from astraclr.few_labels import best_finetuned, few, label_curve, tuned_checkpoint, window_curve
from astraclr.files import replacing
from astraclr.latent_space import topology
from astraclr.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "few_labels.json"
SHARE_OF_LABELS = 0.02
"""Of the unlabelled training set: the paper's few labels."""
FULL = {"stars": 900, "per_class": (5, 20), "epochs": 8, "windows": (1, 2, 3, 5)}
QUICK = {"stars": 96, "per_class": (1,), "epochs": 1, "windows": (1, 2)}
Size = dict[str, Any]


def few_labels(checkpoint: Checkpoint, seed: int, size: Size) -> list[dict[str, Any]]:
    """Ways to use few labels: the size's numbers a class, and 2 % of the unlabelled set where stars suffice."""
    n = size["stars"]
    stars = simulate(3 * n, seed=920_000 + seed)
    fit, choose, test = stars[:n], stars[n : 2 * n], stars[2 * n :]
    most = min(np.unique(lc.label, return_counts=True)[1].min() for lc in (fit, choose))
    share = round(SHARE_OF_LABELS * checkpoint.preset.n_stars / len(np.unique(stars.label)))
    numbers = sorted(k for k in {*size["per_class"], share} if 1 <= k <= most)
    return label_curve(checkpoint, fit, choose, test, numbers, epochs=size["epochs"], seed=seed).to_dict("records")


def windows(checkpoint: Checkpoint, seed: int, size: Size) -> list[dict[str, Any]]:
    """Accuracy with several windows of each light curve, fused in three ways."""
    n = size["stars"] // 2
    stars = simulate(4 * n, seed=930_000 + seed)
    fit, choose, test = stars[:n], stars[n : 2 * n], stars[2 * n :]
    return window_curve(checkpoint, fit, choose, test, size["windows"], seed=seed).to_dict("records")


def before_and_after(checkpoint: Checkpoint, seed: int, size: Size) -> dict[str, dict[str, float]]:
    """Topology of test stars with random weights, trained, and fine-tuned with the most labels of the curve."""
    stars, test = (simulate(size["stars"], seed=940_000 + 2 * seed + k) for k in range(2))
    half = len(stars) // 2
    fit, choose = (few(part, size["per_class"][-1], seed) for part in (stars[:half], stars[half:]))
    tuned, _ = best_finetuned(checkpoint, fit, choose, (2e-3,), epochs=size["epochs"], seed=seed)
    encoders = {"random weights": random_control(checkpoint), "before": checkpoint,
                "after": tuned_checkpoint(tuned, checkpoint)}  # fmt: skip
    return topology({name: embed(test, c) for name, c in encoders.items()}, test.label)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="few stars: tries the wiring, its scores mean nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, begin = QUICK if given.quick else FULL, time.process_time()
    checkpoint = load_checkpoint(given.checkpoint)
    result: dict[str, Any] = {"benchmark": "few_labels", "made_with": provenance(), "checkpoint": checkpoint.name,
                              "seed": given.seed, "size": size}  # fmt: skip
    parts: dict[str, Callable[[], Any]] = {
        "few_labels": lambda: few_labels(checkpoint, given.seed, size),
        "windows": lambda: windows(checkpoint, given.seed, size),
        "topology": lambda: before_and_after(checkpoint, given.seed, size),
    }
    for name, part in parts.items():
        started = time.process_time()
        result[name] = part()
        print(f"{name}: {time.process_time() - started:.0f} CPU seconds", flush=True)
    result["cpu_seconds"] = round(time.process_time() - begin)
    with replacing(given.out) as file:
        file.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
