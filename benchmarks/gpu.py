"""Training steps on a CUDA device: light curves and tokens per second, share of the matrix rate, memory, energy.

Usage: python benchmarks/gpu.py [--minutes 8] [--only paper] [--out FILE]; to try it: --device cpu --quick

Whole steps as `pretrain` takes them, views made on the device, for three presets, full windows and simulated stars,
float32 and bfloat16, padded and packed, compiled or not. Utilisation counts the operations of valid tokens alone, over
the bfloat16 matrix rate measured here. The file (benchmarks/results/gpu.json) is written after every row.

What bounds `paper` on an H200, by counting (some 7.5e14 operations per second in bfloat16, 4.3e12 bytes per second): a
token of a full window costs 9e7 operations a step, 0.12 us, or 0.18 as attention, a fifth of them, runs at 40 % of that
rate. Between the products a layer moves 140 kB a token (casts, drop-out, sums, normalisations, both ways): four layers
take 0.13 us, and 40 % is just missed; torch.compile halves that: 48 %. Adam moves 0.4 GB, 0.1 ms. Views are hundreds of
small kernels, some ms whatever the batch: a step must be far longer, 128 stars (about 60 ms) or more.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from _gpu_profile import group_of, kernels, power, synchronised
from _measure import write_results
from training import operations, stars_of

from astraclr.config import Preset, preset, recipe
from astraclr.data.tokens import Tokens, prepare
from astraclr.files import provenance
from astraclr.model.attention import Form, best_form
from astraclr.model.encoder import new_encoder
from astraclr.train.counter_rng import Draws
from astraclr.train.optimizer import BETAS, EPSILON
from astraclr.train.step import Training, update
from astraclr.train.views import make_views

RESULTS = Path(__file__).parent / "results" / "gpu.json"
BATCHES = {"paper": 256, "gpu": 512, "laptop": 1024}
"""Stars of a step; the preset's own batch is for several devices (`paper`), or small for one (`laptop`)."""
SECONDS = 2.0
"""Shortest time of the timed steps of a row."""
same_stars = cache(stars_of)


class Way(NamedTuple):
    """How a step is computed."""

    precision: str
    form: Form
    compiled: bool


WAYS = [
    Way("bf16", "packed", True),
    Way("bf16", "packed", False),
    Way("bf16", "padded", True),
    Way("bf16", "padded", False),
    Way("fp32", "padded", True),
    Way("fp32", "padded", False),
]
QUICK = [Way("fp32", "padded", False), Way("fp32", "grouped", False)]


class Step:
    """Training steps of one preset on one batch of stars."""

    def __init__(self, size: Preset, kind: str, batch: int, way: Way, device: torch.device) -> None:
        self.size, self.batch, self.way, self.device, self.done = size, batch, way, device, 0
        self.how = recipe("corrected")
        self.data = prepare(same_stars(kind, batch), device)
        self.stars = torch.arange(batch, device=device)
        self.encoder = new_encoder(size, self.how, 0).to(device).train()
        self.encoder.form = way.form
        self.optimiser = torch.optim.Adam(
            self.encoder.parameters(), betas=BETAS, eps=EPSILON, fused=device.type == "cuda"
        )
        if way.compiled:
            self.encoder.compile(dynamic=True)

    def views(self) -> list[Tokens]:
        """Those of the next step."""
        return make_views(self.data, self.stars, self.size, self.how, Draws(0, self.done))

    def train(self, views: list[Tokens]) -> None:
        training = Training(self.encoder, self.size, self.how, mixed=self.way.precision == "bf16")
        update(training, self.optimiser, views, self.done)
        self.done += 1


def matrix_rate(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Operations per second of a square product of random numbers, ten after three."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    for repeats in (3, 10):
        began = synchronised(device)
        for _ in range(repeats):
            torch.mm(a, b, out=out)
        took = (synchronised(device) - began) / repeats
    return 2 * side**3 / took


def measure(step: Step, rate: float, seconds: float) -> dict[str, Any]:
    """One row: whole steps for at least `seconds`, after some that warm up, or compile."""
    device, cuda = step.device, step.device.type == "cuda"
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    began = synchronised(device)
    for _ in range(4 if cuda else 1):  # the second size of a batch may be compiled again
        step.train(step.views())
    warm = synchronised(device) - began
    lengths, n = [], 0
    with power(device) as watts:
        began = synchronised(device)
        while n < 2 or time.perf_counter() - began < seconds:
            views = step.views()
            lengths += [(~view.mask).sum(1) for view in views]
            step.train(views)
            n += 1
        took = (synchronised(device) - began) / n
    began = synchronised(device)
    for _ in range(3):
        step.views()
    views_took = (synchronised(device) - began) / 3
    tokens = torch.cat(lengths).tolist()
    done = operations(step.size, tokens) / n
    row = {
        "batch": step.batch,
        "steps": n,
        "warm_up_s": warm,
        "step_ms": 1e3 * took,
        "views_ms": 1e3 * views_took,
        "per_s": step.batch / took,
        "tokens_per_s": sum(tokens) / n / took,
        "tokens_per_light_curve": sum(tokens) / n / step.batch,
        "operations_per_light_curve": done / step.batch,
        "utilisation": done / took / rate,
    }
    if cuda:
        peak, whole = torch.cuda.max_memory_allocated(device), torch.cuda.get_device_properties(device).total_memory
        row |= {"peak_mb": peak / 2**20, "batch_that_fits": fitting(step, peak, whole)}
    if watts:
        row |= {"watts": sum(watts) / len(watts), "joules_per_light_curve": sum(watts) / len(watts) * took / step.batch}
    return row


def fitting(step: Step, peak: int, whole: int) -> int:
    """Stars of the largest step, if memory grows in proportion and a tenth of the device stays free."""
    fixed = 4 * sum(p.nbytes for p in step.encoder.parameters())  # weights, gradients and two moments
    return int((0.9 * whole - fixed) / ((peak - fixed) / step.batch))


def parts(step: Step) -> dict[str, Any]:
    """Where the time of one step goes, ms: kernels by group, those of the views apart, and the longest by name."""
    views: list[Tokens] = []
    made = kernels(lambda: views.extend(step.views()), step.device)
    found = kernels(lambda: step.train(views), step.device)
    groups: Counter[str] = Counter({"views": sum(made.values())})
    for name, ms in found.items():
        groups[group_of(name)] += ms
    longest = {name[:90]: round(ms, 3) for name, ms in found.most_common(12)}
    return {
        "ms": {group: round(ms, 3) for group, ms in groups.most_common()},
        "longest": longest,
        "kernels": {"views": made.calls, "rest": found.calls},
    }


def one(
    size: Preset, kind: str, batch: int, way: Way, device: torch.device, rate: float, seconds: float, detail: bool
) -> dict[str, Any]:
    """A row, or why there is none; a failure here must not lose the others."""
    try:
        if way.form == "packed":
            with torch.autocast(device.type, torch.bfloat16):
                if best_form(device, size.d_model // size.n_heads) != "packed":
                    return {"left_out": "this device or torch has no packed attention"}
        step = Step(size, kind, batch, way, device)
        row = measure(step, rate, seconds)
        if detail:
            row["parts"] = parts(step)
        return row
    except Exception as error:  # an out-of-memory error, or one of torch.compile's many
        return {"batch": batch, "failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
    finally:
        torch.compiler.reset()


def plan(only: str | None, quick: bool) -> Iterator[tuple[str, Preset, int, str, Way]]:
    """What is measured, what matters most first."""
    for model, batch in BATCHES.items():
        if only not in (None, model):
            continue
        size = preset(model)
        if quick:
            size, batch = replace(size, d_model=32, n_layers=2, n_heads=2, d_ff=64, windows=(("g", 12), ("r", 12))), 4
        for kind in ("full", "simulated"):
            for way in QUICK if quick else WAYS:
                # Half a minute or more of compiling each.
                if not way.compiled or way.form == "packed" or (model, kind) == ("paper", "full"):
                    name = f"{model}, {kind}, {way.precision}, {way.form}{', compiled' * way.compiled}"
                    yield name, size, batch, kind, way


def describe(device: torch.device, revision: str | None) -> dict[str, Any]:
    """Device and versions."""
    made = provenance() | {"device": device.type}
    if revision:
        made["revision"] = revision
    if device.type == "cuda":
        p = torch.cuda.get_device_properties(device)
        made |= {
            "device": p.name,
            "memory_gib": f"{p.total_memory / 2**30:.1f}",
            "capability": f"{p.major}.{p.minor}",
            "multiprocessors": str(p.multi_processor_count),
            "cuda": torch.version.cuda or "",
        }
    return made


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to try the script")
    parser.add_argument("--only", choices=list(BATCHES))
    parser.add_argument("--batch", type=int, help="stars of a step instead of the table's")
    parser.add_argument("--minutes", type=float, default=8.0, help="no row is begun later")
    parser.add_argument("--revision", help="git revision, where the copy is no clone")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(words)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu --quick tries the script without one")
    if device.type == "cpu" and not given.quick:
        raise SystemExit("on a CPU use --quick; benchmarks/training.py measures one")
    began, side = time.monotonic(), 256 if given.quick else 8192
    rates = {str(t).removeprefix("torch."): matrix_rate(device, t, side) for t in (torch.float32, torch.bfloat16)}
    result = {
        "benchmark": "gpu",
        "made_with": describe(device, given.revision),
        "matrix_tflops": {name: rate / 1e12 for name, rate in rates.items()},
        "results": {},
    }
    for name, size, batch, kind, way in plan(given.only, given.quick):
        if time.monotonic() - began > 60 * given.minutes:
            row: dict[str, Any] = {"left_out": f"{given.minutes:g} minutes had passed"}
        else:
            row = one(
                size,
                kind,
                given.batch or batch,
                way,
                device,
                rates["bfloat16"],
                0 if given.quick else SECONDS,
                kind == "full",
            )
        result["results"][name] = row
        print(
            f"{time.monotonic() - began:4.0f} s  {name}: "
            + ", ".join(
                f"{k} {row[k]:.3g}" if isinstance(row[k], float) else f"{k} {row[k]}"
                for k in ("per_s", "utilisation", "peak_mb", "failed", "left_out")
                if k in row
            ),
            flush=True,
        )
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_results(given.out, result)


if __name__ == "__main__":
    main()
