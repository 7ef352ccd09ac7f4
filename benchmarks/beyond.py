"""Beyond classes: outliers, periods and finer subclasses, as JSON.

Usage: python benchmarks/beyond.py [--checkpoint tiny] [--seed 0] [--out FILE] [--quick]

On one thread, from simulated stars that the encoder never saw, in some three minutes for the shipped encoder; needs
the extra interop. Every part stands beside the same encoder with random weights and hand-crafted features of the whole
light curves, with and without Lomb-Scargle. Writes benchmarks/results/beyond.json.
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
from astraclr.features import features
from astraclr.files import replacing
from astraclr.kinds import PERIODIC
from astraclr.lightcurves import LightCurves
from astraclr.outliers import EVENTS, outlier_scores, planted, purity_at_top
from astraclr.periods import period_regression, period_scores
from astraclr.probing import linear_probe, majority
from astraclr.simulate import drawn_numbers, simulate

RESULTS = Path(__file__).parent / "results" / "beyond.json"
FULL = {"ordinary": 4_000, "planted": 40, "periods": 800, "subclasses": 400, "bootstraps": 200}
QUICK = {"ordinary": 60, "planted": 4, "periods": 16, "subclasses": 12, "bootstraps": 5}
Reader = Callable[[LightCurves], np.ndarray]
Size = dict[str, Any]


def readers(checkpoint: Checkpoint) -> dict[str, Reader]:
    """Each way from light curves to numbers."""
    random = random_control(checkpoint)
    return {
        "trained": lambda lc: embed(lc, checkpoint),
        "random weights": lambda lc: embed(lc, random),
        "features": lambda lc: features(lc)[0],
        "features with Lomb-Scargle": lambda lc: features(lc, periodogram=True)[0],
    }


def outliers(ways: dict[str, Reader], seed: int, size: Size) -> list[dict[str, Any]]:
    """Purity at the top of the ranking, one kind of event at a time; and of the same stars without their event."""
    usual = simulate(size["ordinary"] - size["planted"], seed=950_000 + seed)
    strange = np.arange(size["ordinary"]) >= len(usual)
    events = {(kind, event): planted(size["planted"], kind, seed, event=event)
              for kind in EVENTS for event in (True, False)}  # fmt: skip
    rows = []
    for name, read in ways.items():
        x = read(usual)
        for (kind, event), lc in events.items():
            scores = outlier_scores(np.concatenate([x, read(lc)]), seed)
            for share in (0.01, 0.05):
                found = purity_at_top(scores, strange, share, size["bootstraps"], seed)
                rows.append({"reader": name, "kind": kind, "event": event, "share": share, **found})
    return rows


def periods(ways: dict[str, Reader], seed: int, size: Size) -> dict[str, dict[str, float]]:
    """Ridge regression of log10 period on periodic stars; the median period, and the best peak in r, beside it."""
    fit, test = (simulate(size["periods"], seed=960_000 + 2 * seed + k, classes=PERIODIC) for k in range(2))
    fit, test = (lc[np.isfinite(lc.period)] for lc in (fit, test))
    rows, x = {}, np.empty(0)
    for name, read in ways.items():
        x = read(test)
        rows[name] = period_regression(read(fit), fit.period, x, test.period)
    names = features(test[:1], periodogram=True)[1]  # those of the last reader
    peak = 10.0 ** x[:, names.index("r_periodogram_period_0")].astype(float)
    return rows | {"best Lomb-Scargle peak in r": period_scores(peak, test.period),
                   "median period": period_scores(np.full(len(test), np.median(fit.period)), test.period)}  # fmt: skip


def subclasses(ways: dict[str, Reader], seed: int, size: Size) -> list[dict[str, Any]]:
    """Linear probes of finer names inside a class, by the simulator's own knowledge."""
    rows = []
    for label in ("RR", "ECL"):
        lc = simulate(2 * size["subclasses"], seed=970_000 + seed, classes=[label])
        names = drawn_numbers(len(lc), 970_000 + seed, classes=[label])["subclass"]
        n = size["subclasses"]
        found = {}
        for name, read in ways.items():
            x = read(lc)
            found[name] = linear_probe(x[:n], names[:n], x[n:], names[n:], C=1.0)
        found["most frequent subclass"] = majority(names[:n], names[n:])
        rows += [{"class": label, "reader": name, **s.summary()} for name, s in found.items()]
    return rows


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
    ways = readers(checkpoint)
    result: dict[str, Any] = {"benchmark": "beyond", "made_with": provenance(), "checkpoint": checkpoint.name,
                              "seed": given.seed, "size": size}  # fmt: skip
    parts: dict[str, Callable[[], Any]] = {
        "outliers": lambda: outliers({k: v for k, v in ways.items() if "Lomb" not in k}, given.seed, size),
        "periods": lambda: periods(ways, given.seed, size),
        "subclasses": lambda: subclasses(ways, given.seed, size),
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
