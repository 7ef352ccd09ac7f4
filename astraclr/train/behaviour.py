"""Short runs of every step of the method, on fixed stars that include extreme ones; `train.fingerprint` compares them.

Each part gives plain JSON values that must be equal on every processor, and numbers that round. To add one, choose
numbers away from zero that hang on no threshold, and look at them under other processors' rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from astraclr.config import Recipe, View
from astraclr.data.folding import (
    CELLS_PER_DAY,
    N_BETWEEN,
    N_CELLS,
    N_PEAKS,
    best_cycle,
    cycle_inputs,
    folded,
    whole,
)
from astraclr.data.lightcurves import ZTF_BANDS, LightCurves
from astraclr.data.sources import InMemory, shuffled
from astraclr.data.splits import split
from astraclr.data.summaries import summaries
from astraclr.data.taxonomy import CLASSES
from astraclr.data.tokens import Prepared, prepare
from astraclr.model.encoder import new_encoder
from astraclr.model.inputs import Steps, angular_rates
from astraclr.simulation.cadence import ztf_fields
from astraclr.simulation.classes import KINDS, PERIODIC
from astraclr.simulation.observation import observed
from astraclr.train.counter_rng import VALIDATION, Draws, Purpose
from astraclr.train.fixed_cases import DESCRIBED, RECIPES, SIZE, stars
from astraclr.train.losses import local_to_global, nt_xent
from astraclr.train.optimizer import new_optimiser, rate_of_step
from astraclr.train.pretrain import pretrain
from astraclr.train.run_state import Run
from astraclr.train.step import Training, update
from astraclr.train.summary_targets import REFERENCE, Summaries
from astraclr.train.views import make_view, make_views

Part = tuple[dict[str, Any], dict[str, Any]]
"""Of a fingerprint: plain JSON values that must be equal, and lists of numbers that must be close."""


def _rms(values: Tensor | np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    return np.sqrt(np.nanmean(np.square(np.asarray(values, float)), axis=axis))


def _sky() -> Part:
    sky = ztf_fields()
    days = sky.mjd - 58_000.0
    return (
        {"epochs": sky.offsets.tolist(), "nights": np.floor(days).astype(int).tolist()},
        {
            "time, limit, zero point": [
                days.mean(),
                days.std(),
                sky.limit.mean(),
                sky.limit.std(),
                _rms(sky.zero_point),
            ],
            "some limits": sky.limit[::1999],
        },
    )


def _simulator() -> Part:
    lc, sky = stars()[:36], ztf_fields()
    mag, row = np.linspace(11.5, 21.5, 400, dtype=np.float32), np.arange(400)
    seen_mag, error, seen = observed(np.random.default_rng(3), mag, row, 1.0, 0.0, 1.0, sky)
    kinds = [list(vars(kind).values()) for kind in KINDS]
    exact = {
        "classes and bands": [CLASSES, PERIODIC, kinds, list(ZTF_BANDS)],
        "labels": [lc.label.tolist(), lc.object_id.tolist(), np.isfinite(lc.period).tolist()],
        "observations": [lc.offsets.tolist(), seen.tolist()],
    }
    each = [slice(a, b) for a, b in zip(lc.offsets[:-1:3], lc.offsets[3::3], strict=True)]
    return exact, {
        "wavelengths": list(ZTF_BANDS.values()),
        "mean magnitudes": [lc.mag[s].mean(dtype=float) - 10 for s in each],
        "scatter": [lc.mag[s].std(dtype=float) for s in each],
        "errors": [lc.magerr[s].mean(dtype=float) for s in each],
        "periods": lc.period[np.isfinite(lc.period)],
        "observed": [_rms(seen_mag - mag), _rms(error), error.min()],
    }


def _numbers() -> Part:
    """Splits, orders of stars and raw random bits: whatever is drawn from integers alone."""
    drawn, some = Draws(3, 1).of(torch.tensor([0, 7, 1 << 40]), 2), torch.arange(3)
    bits = [[purpose.name, drawn.bits(purpose, some).tolist()] for purpose in Purpose]
    bits += [Draws(3, VALIDATION).of(some).bits(Purpose.NOISE, some, some).tolist()]
    source = InMemory(stars()[:2])
    exact = {
        "split": [[part.tolist() for part in split(n)] for n in (10, 41)],
        "orders": [source.order(np.arange(20), seed, epoch).tolist() for seed in (0, 1) for epoch in (0, 1)],
        "orders of shards": [shuffled(np.arange(20_000), 1, epoch).tolist() for epoch in (0, 1)],
        "bits": bits,
    }
    normal, uniform = drawn.normal(Purpose.NOISE, torch.arange(200)), drawn.uniform(Purpose.NOISE, torch.arange(200))
    return exact, {"normal and uniform": [_rms(normal), normal.max(), _rms(uniform), _rms(1 - uniform)]}


def _views() -> Part:
    lc = stars()
    data, every = prepare(lc), torch.arange(len(lc))
    exact: dict[str, Any] = {}
    close: dict[str, Any] = {"centred magnitudes": [float(_rms(_one(data, k).mag)) for k in range(len(lc))]}
    for name, recipe in RECIPES.items():
        shown = make_views(data, every, SIZE, recipe, Draws(5))
        # Times are exact in float64; rounded, they are so wherever a library's logarithm rounds the last bit otherwise.
        exact[name] = [[(v.times * 1e4).round().long().tolist(), v.mask.int().tolist()] for v in shown]
        exact[name] += [v.follows.int().tolist() for v in shown if v.follows is not None]
        close[f"{name}: magnitudes"] = [rms for v in shown for rms in _by_star(v.mag, v.mask)]
        if recipe.reads_errors:
            close[f"{name}: errors"] = [
                rms for v in shown if v.magerr is not None for rms in _by_star(v.magerr, v.mask)
            ]
        close[f"{name}: bands"] = [_rms(v.band[~v.mask]) for v in shown]
    return exact, close


def _one(data: Prepared, star: int) -> Prepared:
    """One star of several."""
    cut = slice(*data.offsets[[3 * star, 3 * star + 3]].tolist())
    return replace(data, mag=data.mag[cut], times=data.times[cut], magerr=data.magerr[cut])


def _by_star(values: Tensor, mask: Tensor) -> list[float]:
    """Over all simulated stars the root mean square, and that of each of the others."""
    groups = [slice(0, 36), *(slice(k, k + 1) for k in range(36, len(values)))]
    return [float(_rms(values[g][~mask[g]])) for g in groups]


def _inputs() -> Part:
    """What the encoder reads, and what it makes of it before it has learnt anything."""
    lc = stars()
    data, every, rich = prepare(lc), torch.arange(len(lc)), RECIPES["rich"]
    whole = make_view(data, every, View("whole"), SIZE, rich, Draws(5).of(every))
    harsh = whole._replace(magerr=None if whole.magerr is None else 2 * whole.magerr)  # beyond both ends of the range
    numbers = Steps.numbers(harsh)[~whole.mask].double()
    close: dict[str, Any] = {
        "numbers": torch.cat([numbers.square().mean(0).sqrt(), numbers.amin(0), numbers.amax(0)]),
        "rates of time": torch.cat([angular_rates(16, kind) for kind in ("days", "log")]),
    }
    for name, recipe in RECIPES.items():
        tokens = make_view(data, every, View("whole"), SIZE, recipe, Draws(5).of(every))
        # Where drop-out drops everything, what is left does not depend on what it draws.
        for rate in (0.0, 1.0):
            encoder = new_encoder(SIZE, replace(recipe, dropout=rate), 4).train()
            with torch.no_grad():
                pooled, layer = encoder(tokens), encoder.layers[0](encoder.embedding(tokens), lambda q, k, v: v)
            close[f"{name}: embeddings with drop-out {rate:g}"] = [
                _rms(pooled),
                _rms(pooled, 1)[36:].sum(),
                _rms(layer),
            ]
        close[f"{name}: first weights"] = [_rms(p.detach()) for p in encoder.parameters() if p.dim() > 1]
    return {}, close


def _summaries() -> Part:
    lc = stars()
    data, every = prepare(lc), torch.arange(len(lc))
    some = np.arange(len(lc))
    found, known = summaries(data, every), Summaries(InMemory(lc), some).of(some)
    return (
        {"reference": REFERENCE, "told": found.isfinite().int().tolist()},
        {
            "of all stars": _rms(found, 0),
            "standardised": [_rms(known), known.nan_to_num().amax(), known.nan_to_num().amin()],
        },
    )


def _described() -> Part:
    """Contrast with descriptions of whole light curves, and light curves folded at their best period."""
    lc = stars()
    data, every = prepare(lc), torch.arange(len(lc))
    cycle, recipe = best_cycle(whole(data, every)), DESCRIBED
    checkpoint = pretrain(lc, SIZE, recipe, seed=2, device="cpu", progress=False)
    z = torch.linspace(-1, 1, 48).view(3, 4, 4).sin()
    close: dict[str, Any] = {str(column): values.dropna() for column, values in checkpoint.history.items()}
    close["highest powers"] = _rms(cycle.highest, 0)
    close["folded"] = _rms(folded(cycle), 0)
    close["phases"] = _rms(cycle_inputs(cycle)[:, :4], (0, 1))
    close["loss of fixed vectors"] = [local_to_global(z, z[0].flip(0))]
    return {"grid": [CELLS_PER_DAY, N_CELLS, N_PEAKS, N_BETWEEN]}, close


def _schedules() -> Part:
    """Learning rates at five steps of short and long runs, and where a run stops."""
    rates = {
        f"{name} of {steps}": [rate_of_step(recipe, done, 64, 50, steps, 32) for done in (0, 1, 60, 150, steps - 1)]
        for name, recipe in RECIPES.items()
        for steps in (200, 600, 4_000)
    }
    recipe, size = RECIPES["plain"], replace(SIZE, steps=9, evaluate_every=1, patience=3)
    encoder = new_encoder(size, recipe, 0)
    run = Run(Training(encoder, size, recipe), new_optimiser(encoder, recipe, "cpu"), 0, "", None)
    stops = []
    for step, loss in enumerate((3.0, 2.0, 2.5, 2.2, 2.0, 1.0), start=1):
        run.note({"step": step, "loss": loss, "val_loss": loss}, 1.0, 8)
        stops.append([run.best_step, run.finished])
    return {"early stop": stops}, rates


class _Watched(InMemory):
    """Stars that note which of them are asked for, and from which seed drop-out draws at that moment."""

    def __init__(self, lc: LightCurves) -> None:
        super().__init__(lc)
        self.asked: list[list[int]] = []

    def prepared(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Prepared:
        self.asked.append([torch.initial_seed(), *np.asarray(rows).tolist()])
        return super().prepared(rows, device)


def _learning() -> Part:
    """Three steps of training, one more than an epoch has."""
    exact: dict[str, Any] = {}
    close: dict[str, Any] = {}
    for name, recipe in RECIPES.items():
        source = _Watched(stars())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            checkpoint = pretrain(source, SIZE, recipe, seed=2, device="cpu", progress=False)
        exact[f"{name}: batches"] = source.asked
        for column, values in checkpoint.history.items():
            close[f"{name}: {column}"] = values.dropna()
        first = dict(new_encoder(SIZE, recipe, 2).named_parameters())
        changed = {k: _rms((p - first[k]).detach()) for k, p in checkpoint.encoder.named_parameters()}
        close[f"{name}: change of weights"] = [v for k, v in changed.items() if _is_told(k)]
    return exact, close


def _steps() -> Part:
    """One step of each recipe, looked at more closely."""
    close: dict[str, Any] = {name: _one_step(recipe) for name, recipe in RECIPES.items()}
    z = torch.linspace(-1, 1, 48).view(3, 4, 4).sin()
    close["loss of fixed vectors"] = [nt_xent(z, t) for t in (0.1, 0.5)]
    return {}, close


def _is_told(parameter: str) -> bool:
    """A bias of keys cancels in the softmax: its gradient is rounding, which Adam blows up to full steps."""
    return not parameter.endswith("attention.k.bias")


def _one_step(recipe: Recipe) -> list[float]:
    """Loss, rate, the gradient as the optimiser saw it (clipped or not) and the optimiser's own constants."""
    encoder, source, rows = new_encoder(SIZE, recipe, 3), InMemory(stars()), np.arange(32, 40)
    optimiser = new_optimiser(encoder, recipe, "cpu")
    truth = Summaries(source, rows).of(rows) if recipe.summaries else None
    views = make_views(source.prepared(rows), torch.arange(8), SIZE, recipe, Draws(1), torch.as_tensor(rows))
    taken = update(Training(encoder, replace(SIZE, steps=6), recipe), optimiser, views, 1, truth)
    gradient = torch.cat([p.grad.double().ravel() for p in encoder.parameters() if p.grad is not None])
    group = optimiser.param_groups[0]
    numbers = [*(float(term.loss) for term in taken.terms), taken.rate, float(gradient.norm())]
    return [*numbers, *group["betas"], group["eps"], group["weight_decay"]]


PARTS: dict[str, Callable[[], Part]] = {
    "sky": _sky,
    "simulator": _simulator,
    "numbers": _numbers,
    "views": _views,
    "inputs": _inputs,
    "summaries": _summaries,
    "described": _described,
    "schedules": _schedules,
    "learning": _learning,
    "steps": _steps,
}
