"""Triplets of views made in a CPU second, and how many times faster than one star at a time.

Usage: python benchmarks/views.py [--batch 128] [--repeats 7]

On one thread. Every repeat makes the views in batches and, right after, one star at a time with the same function; the
rates are the best of the repeats, since other programs only ever slow one down, and the ratio is the median. Simulated
stars, thinned to some 480 epochs; and, for full windows, pairs of the best observed ones joined and thinned to some
1,350 epochs. Writes benchmarks/results/views.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from _measure import write_results

from astraclr.config import Preset, Recipe, preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Prepared, prepare
from astraclr.files import provenance
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views

RESULTS = Path(__file__).parent / "results" / "views.json"
FULL = {"g": 300, "r": 350, "i": 50}
TARGETS = {"some 480 epochs": 12_000, "full windows": 5_000}
"""Triplets per CPU second at 300/350/50."""
ONE_BY_ONE = 128
"""Stars that the comparison takes one at a time."""


def joined(lc: LightCurves, n_joined: int, epochs: float) -> LightCurves:
    """Light curves of `n_joined` stars each, thinned at random to a mean number of epochs."""
    n = len(lc) // n_joined
    keep = np.random.default_rng(0).random(lc.n_obs) < n * epochs / lc.n_obs
    star, band = np.divmod(lc.segment, len(lc.bands))
    keep &= star < n * n_joined
    return LightCurves.from_arrays(*(c[keep] for c in (star // n_joined, band, lc.mjd, lc.mag, lc.magerr)))


def stars_to_measure(n: int) -> dict[str, LightCurves]:
    """The two sets, `n` stars each, fewer if not so many are observed well."""
    some = joined(simulate(n, seed=1), 1, 480)
    full = joined(simulate(12 * n, seed=2).with_counts(FULL), 2, 1_350).with_counts(FULL)
    return dict(zip(TARGETS, (some, full[:n]), strict=True))


def rate(data: Prepared, stars: torch.Tensor, batch: int, size: Preset, how: Recipe) -> float:
    """Triplets per CPU second."""
    begin = time.process_time()
    for part in stars.split(batch):
        make_views(data, part, size, how, Draws(0))
    return len(stars) / (time.process_time() - begin)


def measured(data: Prepared, batch: int, repeats: int, size: Preset, how: Recipe) -> dict[str, float]:
    """Rates in batches and one star at a time, after a first small batch of each."""
    stars = torch.arange(len(data) // batch * batch)
    rate(data, stars[:batch], batch, size, how)
    pairs = [
        (rate(data, stars, batch, size, how), rate(data, stars[:ONE_BY_ONE], 1, size, how)) for _ in range(repeats)
    ]
    together, alone = np.max(pairs, axis=0)
    ratio = np.median([a / b for a, b in pairs])
    return {"triplets_per_cpu_s": round(together), "one_star_at_a_time": round(alone), "ratio": round(ratio, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--stars", type=int, default=512, help="of each set (default %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, lc in stars_to_measure(options.stars).items():
        data = prepare(lc)
        for windows in ("tiny", "paper"):
            for how in ("corrected", "paper"):
                row = {"stars": name, "epochs": round(lc.n_obs / len(lc)), "windows": windows, "recipe": how}
                row |= measured(data, options.batch, options.repeats, preset(windows), recipe(how))
                if (windows, how) == ("paper", "corrected"):
                    row["target"] = TARGETS[name]
                rows.append(row)
                print(json.dumps(row))
    result = {
        "benchmark": "views",
        "made_with": provenance(),
        "batch": options.batch,
        "stars": options.stars,
        "results": rows,
    }
    write_results(RESULTS, result)


if __name__ == "__main__":
    main()
