"""An expert in the loop: how many real oddities she sees among the first 30 and 100 stars, as JSON.

Usage: python benchmarks/discover.py [--stars 20000] [--seeds 5] [--out FILE]

On one thread; embedding takes most of it, some six milliseconds a star and seed; needs the extra interop. Two searches
among simulated stars that the encoder never saw. "events": supernovae and microlensing events, of which it saw none
in training, are planted among stars of the twelve classes. "rare class": the class CV is left out of the ordinary stars
and a few of it are put in; the encoder saw this class in training, without labels. An oracle with the true labels
answers for the expert, ten stars a round as the page of `astraclr discover` asks them. Beside the two methods with
answers stand an isolation forest without, and random order. A seed draws stars, oddities and forests; intervals are
Student's t over seeds, 95 %, cut off at what is possible. Writes benchmarks/results/discover.json.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import write_results
from scipy import stats

from astraclr.analysis.active_search import METHODS, ODD, ORDINARY, UNKNOWN, active_scores, next_asked, ranking, vectors
from astraclr.analysis.outliers import outlier_scores
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.simulation.simulate import simulate
from astraclr.simulation.transients import EVENTS, planted

RESULTS = Path(__file__).parent / "results" / "discover.json"
SHOWN, A_ROUND = (30, 100), 10
ODD_SHARE = 0.002
RARE = "CV"
ORDINARY_SEED, ODD_SEED = 990_000, 995_000
PARTS = ("embeddings", "windows", "features")
INPUTS = {
    "embeddings": ("embeddings",),
    "windows": ("windows",),
    "features": ("features",),
    "embeddings and features": ("embeddings", "features"),
    "windows and features": ("windows", "features"),
    "all three": PARTS,
}
"""Which vectors stand side by side."""


def read(lc: LightCurves, checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    """Vectors of each kind; embeddings and windows from one pass."""
    both = vectors(lc, checkpoint, PARTS[:2])
    width = both.shape[1] // 2
    return {"embeddings": both[:, :width], "windows": both[:, width:], "features": vectors(lc, checkpoint, PARTS[2:])}


def n_odd(n_stars: int) -> int:
    """Number of oddities among so many ordinary stars."""
    return max(2, round(ODD_SHARE * n_stars))


def searches(n_stars: int, seed: int, checkpoint: Checkpoint) -> dict[str, tuple[dict[str, np.ndarray], np.ndarray]]:
    """Search -> vectors of each kind, and which stars are oddities (n,) bool."""
    n = n_odd(n_stars)
    lots = {"ordinary": simulate(n_stars, seed=ORDINARY_SEED + seed)}
    halves = zip(EVENTS, (n - n // 2, n // 2), strict=True)
    lots["events"] = concatenate([planted(half, kind, ODD_SEED + seed) for kind, half in halves])
    lots["rare class"] = simulate(n, seed=ODD_SEED + seed, classes=[RARE])
    read_of = {name: read(lc, checkpoint) for name, lc in lots.items()}
    usual = {"events": np.ones(n_stars, bool), "rare class": lots["ordinary"].label != RARE}
    out = {}
    for name, keep in usual.items():
        x = {part: np.concatenate([read_of["ordinary"][part][keep], read_of[name][part]]) for part in PARTS}
        out[name] = x, np.arange(keep.sum() + n) >= keep.sum()
    return out


def asked(x: np.ndarray, odd: np.ndarray, method: str, seed: int) -> np.ndarray:
    """(max(SHOWN),) bool: whether each star that the expert sees, in her order, is an oddity."""
    answers, seen = np.full(len(x), UNKNOWN), []
    while len(seen) < min(max(SHOWN), len(x)):
        rows = next_asked(active_scores(x, answers, method, seed), answers, A_ROUND)
        answers[rows] = np.where(odd[rows], ODD, ORDINARY)
        seen += rows.tolist()
    return odd[seen]


def counted(seen: np.ndarray) -> dict[str, int]:
    """Oddities among the first stars seen."""
    return {str(n): int(seen[:n].sum()) for n in SHOWN}


def one_seed(n_stars: int, seed: int, checkpoint: Checkpoint) -> dict[str, Any]:
    """Search -> kind of vectors -> way to rank -> number of stars seen -> oddities among them."""
    out: dict[str, Any] = {}
    for name, (parts, odd) in searches(n_stars, seed, checkpoint).items():
        order = np.random.default_rng(seed).permutation(len(odd))
        out[name] = {"any": {"random order": counted(odd[order])}}
        for kind, use in INPUTS.items():
            x = np.concatenate([parts[part] for part in use], axis=1)
            found = {"isolation forest": counted(odd[ranking(outlier_scores(x, seed))])}
            found |= {method: counted(asked(x, odd, method, seed)) for method in METHODS}
            out[name][kind] = found
    return out


def over_seeds(trees: list[Any], most: int) -> Any:
    """Join equal trees of numbers: mean, 95 % interval (None for one seed), and every seed's number.

    The interval is Student's t, cut off at what is possible: from 0 to the oddities there are, at most `most`, and no
    more than the stars seen, which the innermost keys say.
    """
    if isinstance(trees[0], dict):
        limit = {key: min(most, int(key)) if key.isdigit() else most for key in trees[0]}
        return {key: over_seeds([tree[key] for tree in trees], limit[key]) for key in trees[0]}
    mean, low, high = float(np.mean(trees)), None, None
    if len(trees) > 1:
        half = float(stats.t.ppf(0.975, len(trees) - 1) * np.std(trees, ddof=1) / np.sqrt(len(trees)))
        low, high = round(max(0.0, mean - half), 2), round(min(mean + half, most), 2)
    return {"mean": round(mean, 2), "low": low, "high": high, "seeds": [int(v) for v in trees]}


def result_of(trees: list[Any], n_stars: int, checkpoint: Checkpoint, seconds: float) -> dict[str, Any]:
    """What the file holds."""
    return {
        "benchmark": "discover",
        "made_with": provenance(),
        "checkpoint": checkpoint.name,
        "stars": n_stars,
        "oddities": n_odd(n_stars),
        "seeds": len(trees),
        "a_round": A_ROUND,
        "rare_class": RARE,
        "intervals": "95 %, Student's t over seeds, cut off at 0 and at the possible number",
        "searches": over_seeds(trees, n_odd(n_stars)),
        "cpu_seconds": round(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--stars", type=int, default=20_000, help="ordinary stars (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint, begin, trees = load_checkpoint(given.checkpoint), time.process_time(), []
    for seed in range(given.seeds):
        trees.append(one_seed(given.stars, seed, checkpoint))
        seconds = time.process_time() - begin
        print(f"seed {seed}: {seconds:.0f} CPU seconds so far", flush=True)
        write_results(given.out, result_of(trees, given.stars, checkpoint, seconds))  # a stop leaves the seeds so far


if __name__ == "__main__":
    main()
