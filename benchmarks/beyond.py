"""Beyond classes: outliers, periods and finer subclasses, as JSON.

Usage: python benchmarks/beyond.py [--checkpoint laptop] [--seeds 3] [--out FILE] [--trained-only] [--quick]

On one thread, from simulated stars that the encoder never saw, some two minutes a seed for the shipped encoder; needs
the extra interop. Every part stands beside the same encoder with random weights and hand-crafted features of the whole
light curves, with and without Lomb-Scargle. A seed draws the stars, the random weights and the forest; the trained
encoder is one. Writes benchmarks/results/beyond.json: mean, standard deviation and every seed's own number. New weights
of the same preset and recipe change the trained encoder's rows alone: --trained-only measures these (20 CPU seconds a
seed) and keeps the others from the file, with what they were made with.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import write_results

from astraclr.analysis.outliers import disagreement, outlier_scores, purity_at_top
from astraclr.analysis.periods import period_regression, period_scores
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.features import features
from astraclr.evaluate.metrics import majority
from astraclr.evaluate.probes import linear_probe
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.crops import CROPS, cropped
from astraclr.model.embedding import embed
from astraclr.simulation.classes import PERIODIC
from astraclr.simulation.simulate import drawn_numbers, simulate
from astraclr.simulation.transients import EVENTS, planted

RESULTS = Path(__file__).parent / "results" / "beyond.json"
SHARES = (0.01, 0.05)
FULL = {"ordinary": 1_500, "planted": 30, "periods": 500, "subclasses": 250}
QUICK = {"ordinary": 60, "planted": 4, "periods": 16, "subclasses": 12}
PEAK = "r_periodogram_period_0"
Encoders = dict[str, Checkpoint]
Size = dict[str, int]


def vectors(lc: LightCurves, encoders: Encoders) -> dict[str, np.ndarray]:
    """(n, d) vectors of each kind: embeddings, and features with and without those of the periodogram."""
    return {name: embed(lc, c) for name, c in encoders.items()} | featured(lc, encoders)


def featured(lc: LightCurves, encoders: Encoders) -> dict[str, np.ndarray]:
    """Hand-crafted features, with and without those of the periodogram; none where the controls are left out."""
    if set(encoders) == {"trained"}:
        return {}
    x, names = features(lc, periodogram=True)
    plain = np.array(["periodogram" not in name for name in names])
    return {"features": x[:, plain], "features with Lomb-Scargle": x}


def stars_and_windows(lc: LightCurves, encoders: Encoders) -> dict[str, np.ndarray]:
    """As `vectors`, and of each kind but the last how much the windows of a star disagree."""
    windows = {name: embed(lc, c, fusion="concat").reshape(len(lc), len(CROPS), -1) for name, c in encoders.items()}
    whole = {name: x.mean(1) for name, x in windows.items()} | featured(lc, encoders)
    c = encoders["trained"]
    if "features" in whole:
        windows["features"] = np.stack([features(cropped(lc, c.preset, c.recipe, [crop]))[0] for crop in CROPS], 1)
    return whole | {f"{name}, windows": disagreement(x) for name, x in windows.items()}


def outliers(encoders: Encoders, seed: int, size: Size) -> dict[str, Any]:
    """Purity at the top of the ranking, one kind of event at a time; and of the same stars without their event.

    Keys: kind of vectors, kind of event, "event" or "no event", share of the ranking.
    """
    usual = simulate(size["ordinary"] - size["planted"], seed=950_000 + seed)
    strange = np.arange(size["ordinary"]) >= len(usual)
    x, out = stars_and_windows(usual, encoders), {}
    for kind in EVENTS:
        for event in ("event", "no event"):
            lc = planted(size["planted"], kind, 950_000 + seed, event=event == "event")
            for name, more in stars_and_windows(lc, encoders).items():
                scores = outlier_scores(np.concatenate([x[name], more]), seed)
                found = {str(share): purity_at_top(scores, strange, share, 0)["purity"] for share in SHARES}
                out.setdefault(name, {}).setdefault(kind, {})[event] = found
    return out


def periods(encoders: Encoders, seed: int, size: Size) -> dict[str, dict[str, float]]:
    """Ridge regression of log10 period on periodic stars; the best peak in r and median periods beside it."""
    fit, test = (simulate(size["periods"], seed=960_000 + 2 * seed + k, classes=PERIODIC) for k in range(2))
    fit, test = (lc[np.isfinite(lc.period)] for lc in (fit, test))
    x, y = (vectors(lc, encoders) for lc in (fit, test))
    rows = {name: period_regression(x[name], fit.period, y[name], test.period) for name in x}
    if "features" not in rows:
        return rows
    place = features(test[:1], periodogram=True)[1].index(PEAK)
    peak = 10.0 ** y["features with Lomb-Scargle"][:, place].astype(float)
    median = {name: np.median(fit.period[fit.label == name]) for name in np.unique(fit.label)}
    guesses = {
        "best Lomb-Scargle peak in r": peak,
        "median period of the class": np.array([median.get(name, np.median(fit.period)) for name in test.label]),
        "median period": np.full(len(test), np.median(fit.period)),
    }
    return rows | {name: period_scores(guess, test.period) for name, guess in guesses.items()}


def subclasses(encoders: Encoders, seed: int, size: Size) -> dict[str, dict[str, dict[str, float]]]:
    """Linear probes of finer names inside a class, which the simulator knows. Keys: class, kind of vectors."""
    out, n = {}, size["subclasses"]
    for label in ("RR", "ECL"):
        lc = simulate(2 * n, seed=970_000 + seed, classes=[label])
        names = drawn_numbers(len(lc), 970_000 + seed, classes=[label])["subclass"]
        found = {
            name: linear_probe(x[:n], names[:n], x[n:], names[n:], C=1.0) for name, x in vectors(lc, encoders).items()
        }
        found["most frequent subclass"] = majority(names[:n], names[n:])
        out[label] = {name: s.summary() for name, s in found.items()}
    return out


def over_seeds(trees: Sequence[Any]) -> Any:
    """Join equal trees of numbers: ``mean``, ``sd`` (of several) and ``seeds`` of every number."""
    if isinstance(trees[0], dict):
        return {key: over_seeds([tree[key] for tree in trees]) for key in trees[0]}
    spread = round(float(np.std(trees, ddof=1)), 4) if len(trees) > 1 else None
    return {"mean": round(float(np.mean(trees)), 4), "sd": spread, "seeds": [round(float(v), 4) for v in trees]}


def kept(before: Any, anew: Any) -> Any:
    """The tree `before` with what was measured `anew` in its place."""
    if not isinstance(anew, dict) or not isinstance(before, dict):
        return anew
    return before | {key: kept(before.get(key), value) for key, value in anew.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    parser.add_argument("--trained-only", action="store_true", help="keep the controls from the file")
    parser.add_argument("--quick", action="store_true", help="few stars, to check that the script works")
    given = parser.parse_args()
    torch.set_num_threads(1)
    size, begin = QUICK if given.quick else FULL, time.process_time()
    checkpoint = load_checkpoint(given.checkpoint)
    before = json.loads(given.out.read_text()) if given.trained_only else {}
    if before and (before["size"], before["seeds"]) != (size, given.seeds):
        parser.error(f"{given.out} holds {before['seeds']} seeds of sizes {before['size']}: measure all of it again")
    parts: dict[str, Callable[[Encoders, int, Size], Any]] = {
        "outliers": outliers,
        "periods": periods,
        "subclasses": subclasses,
    }
    found: dict[str, list[Any]] = {name: [] for name in parts}
    for seed in range(given.seeds):
        encoders = {"trained": checkpoint}
        if not given.trained_only:
            encoders["random weights"] = random_control(checkpoint, seed)
        for name, part in parts.items():
            started = time.process_time()
            found[name].append(part(encoders, seed, size))
            print(f"seed {seed}, {name}: {time.process_time() - started:.0f} CPU seconds", flush=True)
    result = {
        "benchmark": "beyond",
        "made_with": provenance(),
        "checkpoint": checkpoint.name,
        "seeds": given.seeds,
        "size": size,
        **{name: kept(before.get(name), over_seeds(trees)) for name, trees in found.items()},
        "cpu_seconds": round(time.process_time() - begin),
    }
    if before:
        result["controls_made_with"] = before.get("controls_made_with", before["made_with"])
        result["controls_cpu_seconds"] = before.get("controls_cpu_seconds", before["cpu_seconds"])
    write_results(given.out, result)
    print(f"{given.out}: {result['cpu_seconds']} CPU seconds")


if __name__ == "__main__":
    main()
