"""Embeddings of several kinds in one table: the same probe, the same stars, the same epochs, as JSON.

Usage: python benchmarks/comparison.py [--checkpoint laptop] [--fit 750 --choose 250 --test 500] [--seed 0]
           [--model NAME=MODULE:ATTRIBUTE ...] [--skip features-period ...] [--real FOLDER] [--out FILE]

Built in are the encoder, the same with random weights, hand-crafted features without and with the best period, and a
transform as of ROCKET (random convolutions of the light curve on a grid). --model adds any object that
`astraclr.interop.embedders` can call: a class of `light_curve.embed` made with a local file, an object with
``transform(lcs)``, or a function of `LightCurves`. Of every star the same random epochs are kept for all: 20, 50, 200
(a star with fewer keeps all). The probe is a logistic regression whose C the validation stars choose. At 200 epochs the
test stars are also counted in a brighter and a fainter half, and damaged as other surveys would damage them (with
the probe of the undamaged ones). --real adds folds on real stars of each survey in FOLDER.

Some two CPU minutes with the defaults, most of them for periods; writes benchmarks/results/comparison.json.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import decimals, write_results

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.benchmark import Predictions, Sizes, bench_stars, best_of, logistic_classifier
from astraclr.evaluate.features import band_means, features
from astraclr.evaluate.metrics import score, with_intervals
from astraclr.evaluate.paired import paired_difference
from astraclr.evaluate.probes import C_GRID
from astraclr.evaluate.surveys import SURVEYS, compared_out_of_folds
from astraclr.files import provenance
from astraclr.interop.embedders import find_model, vectors_by
from astraclr.model.checkpoint import load_checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.shifts import several

RESULTS = Path(__file__).parent / "results" / "comparison.json"
N_EPOCHS = (20, 50, 200)
RANDOM = "random weights"
"""The control: of it every other model's gain is counted."""
N_KERNELS, N_GRID, KERNEL_LENGTH = 250, 128, 9
KEPT = [metric + end for metric in ("accuracy", "macro_f1") for end in ("", "_low", "_high")]

Vectors = Callable[[LightCurves], np.ndarray]


def with_epochs(lc: LightCurves, n: int, seed: int) -> LightCurves:
    """The same stars with at most `n` random observations each, of all bands together."""
    star = lc.segment // len(lc.bands)
    order = np.lexsort((np.random.default_rng(seed).random(lc.n_obs), star))
    first = lc.offsets[: -1 : len(lc.bands)]
    keep = np.zeros(lc.n_obs, bool)
    keep[order[np.arange(lc.n_obs) - first[star] < n]] = True
    offsets = np.concatenate([[0], np.cumsum(keep)])[lc.offsets]
    return replace(lc, mjd=lc.mjd[keep], mag=lc.mag[keep], magerr=lc.magerr[keep], offsets=offsets)


def on_grid(lc: LightCurves) -> np.ndarray:
    """(n_stars, n_bands, N_GRID) magnitudes, standardised per star and interpolated to a grid over its time span."""
    out = np.zeros((len(lc), len(lc.bands), N_GRID))
    for k in range(len(lc)):
        bands = lc.star(k)
        every = np.concatenate([mag for _, mag, _ in bands.values()]).astype(np.float64)
        grid = np.linspace(min(t[0] for t, _, _ in bands.values()), max(t[-1] for t, _, _ in bands.values()), N_GRID)
        for j, band in enumerate(lc.bands):
            if band in bands:
                out[k, j] = (np.interp(grid, bands[band][0], bands[band][1]) - every.mean()) / (every.std() + 1e-3)
    return out


class RandomKernels:
    """Random convolution kernels in the manner of ROCKET (Dempster et al. 2020, DMKD 34, 1454), on interpolated bands.

    Of each kernel the largest value and the share of positive ones are kept. Kernels have random weights of mean 0, a
    random bias, a random band, and a random dilation up to the length of the grid.
    """

    name = "rocket-like"

    def __init__(self, n_kernels: int = N_KERNELS, seed: int = 0) -> None:
        self.n_kernels, self.seed = n_kernels, seed

    def __call__(self, lc: LightCurves) -> np.ndarray:
        """(n_stars, 2 n_kernels) float32."""
        rng, x, out = np.random.default_rng(self.seed), on_grid(lc), []
        for _ in range(self.n_kernels):
            weight = rng.normal(size=KERNEL_LENGTH)
            dilation = int(2 ** rng.uniform(0, np.log2((N_GRID - 1) / (KERNEL_LENGTH - 1))))
            band, bias = rng.integers(x.shape[1]), rng.uniform(-1, 1)
            length = N_GRID - (KERNEL_LENGTH - 1) * dilation
            parts = (w * x[:, band, j * dilation :][:, :length] for j, w in enumerate(weight - weight.mean()))
            found = sum(parts, np.full((len(x), length), bias))
            out += [found.max(1), (found > 0).mean(1)]
        return np.stack(out, axis=1).astype(np.float32)


def models_of(checkpoint_name: str, more: list[str], skipped: list[str]) -> dict[str, Vectors]:
    """Every kind of vectors by name, the encoder first."""
    checkpoint = load_checkpoint(checkpoint_name)
    control = random_control(checkpoint)
    models: dict[str, Vectors] = {
        "encoder": lambda lc: embed(lc, checkpoint),
        RANDOM: lambda lc: embed(lc, control),
        "features": lambda lc: features(lc)[0],
        "features-period": lambda lc: features(lc, periodogram=True, progress=True)[0],
        RandomKernels.name: RandomKernels(),
    }
    for text in more:
        name, _, where = text.partition("=")
        if not name or name in models:
            raise ValueError(f"--model {text!r}: write NAME=MODULE:ATTRIBUTE with a name of its own")
        model = find_model(where)
        models[name] = lambda lc, model=model: vectors_by(model, lc, progress=True)
    if unknown := set(skipped) - set(models):
        raise ValueError(f"--skip {', '.join(sorted(unknown))}: the models are {', '.join(models)}")
    return {name: model for name, model in models.items() if name not in skipped or name == RANDOM}


def counted(truth: np.ndarray, predictions: Predictions, object_id: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-F1 with their intervals."""
    found = with_intervals(score(truth, predictions.labels), truth, object_id)
    return {name: found[name] for name in KEPT}


def compared(models: dict[str, Vectors], stars: Any, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of every model in every condition, and gains over the control, paired by star."""
    scores: dict[str, Any] = {name: {"seconds": 0.0} for name in models}
    said: dict[str, dict[str, np.ndarray]] = {}
    test, longest = stars.test, N_EPOCHS[-1]
    brightness = np.nanmin(band_means(test), axis=1)
    bright = brightness < np.median(brightness)
    damaged = with_epochs(several(test, np.random.default_rng(seed)), longest, seed)
    for n in N_EPOCHS:
        parts = [with_epochs(lc, n, seed) for lc in stars]
        for name, model in models.items():
            begun = time.process_time()
            fit, choose, held = (model(lc) for lc in parts)
            other = model(damaged) if n == longest else held
            scores[name]["seconds"] += time.process_time() - begun
            scores[name]["width"] = fit.shape[1]
            trial = {C: logistic_classifier(fit, stars.fit.label, C) for C in C_GRID}
            best, _ = best_of(trial, choose, stars.choose.label)
            found = {f"{n} epochs": (trial[best](held), np.ones(len(test), bool))}
            if n == longest:
                found |= {"bright": (trial[best](held), bright), "faint": (trial[best](held), ~bright)}
                found["other survey"] = (trial[best](other), np.ones(len(test), bool))
            for condition, (predictions, rows) in found.items():
                some = Predictions(predictions.scores[rows], predictions.classes)
                scores[name][condition] = counted(test.label[rows], some, test.object_id[rows])
                said.setdefault(condition, {})[name] = predictions.labels
            print(f"{name}, {n} epochs: {scores[name][f'{n} epochs']['accuracy']:.3f}", flush=True)
    rows = {"bright": bright, "faint": ~bright}
    gains: dict[str, Any] = {name: {} for name in models if name != RANDOM}
    for condition, labels in said.items():
        at = rows.get(condition, np.ones(len(test), bool))
        for name, row in gains.items():
            row[condition] = paired_difference(
                test.label[at], labels[name][at], labels[RANDOM][at], test.object_id[at], seed
            )
    return scores, gains


def on_real(models: dict[str, Vectors], folder: Path) -> dict[str, Any]:
    """Scores in folds on the real stars of every survey, and gains over the control."""
    out: dict[str, Any] = {}
    for survey, one in SURVEYS.items():
        lc = one.read(folder)
        ordered = {RANDOM: models[RANDOM](lc), **{n: m(lc) for n, m in models.items() if n != RANDOM}}
        found = compared_out_of_folds(ordered, lc.label, lc.object_id, repeats=1)
        out[survey] = {
            "stars": len(lc),
            **{name: {key: by["linear_probe"][key] for key in KEPT} for name, by in found["scores"].items()},
        }
    return out


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="laptop", help="folder or shipped name (default %(default)s)")
    for name, n in (("fit", 750), ("choose", 250), ("test", 500)):
        parser.add_argument(f"--{name}", type=int, default=n, help="simulated stars of this set (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=MODULE:ATTRIBUTE")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="leave a built-in model out")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="holds the files of SURVEYS")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    given = parser.parse_args(words)
    torch.set_num_threads(1)
    begin, models = time.process_time(), models_of(given.checkpoint, given.model, given.skip)
    stars = bench_stars(Sizes(0, fit=given.fit, choose=given.choose, test=given.test), given.seed)
    scores, gains = compared(models, stars, given.seed)
    result = {
        "benchmark": "comparison",
        "made_with": provenance(),
        "checkpoint": load_checkpoint(given.checkpoint).name,
        "seed": given.seed,
        "stars": {"fit": given.fit, "choose": given.choose, "test": given.test},
        "epochs_a_star": [int(n) for n in np.percentile(stars.test.counts.sum(1), [0, 50, 100])],
        "control": RANDOM,
        "models": decimals(scores),
        "gain_over_control": decimals(gains),
    }
    if given.real:
        result["real"] = decimals(on_real(models, given.real))
    write_results(given.out, result | {"cpu_seconds": round(time.process_time() - begin)})


if __name__ == "__main__":
    main()
