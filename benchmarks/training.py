"""Training speed in light curves per second, and memory of a training step: ours beside a padded baseline.

Usage: python benchmarks/training.py [--threads 2] [--only small|paper]

Padded: every view is padded to 700 tokens, as public implementations do. Ours: each view at its own length, dropped and
missing points left out, light curves of like length together. Each measurement is a process of its own. The limit
(floor) is what the floating-point operations of the real tokens take at the rate of large matrix products, measured
just before. Ratios are of one run: to the padded baseline, to the limit, and of bfloat16 to float32, which is measured
where the processor multiplies it in hardware. What was recorded of the reference implementation stands with its
processors in benchmarks/results/reference.json: rates of two machines make no ratio. Writes
benchmarks/results/training.json. An idle machine matters.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from _measure import in_own_process, peak_mb, processor, write_results

from astraclr.config import Preset, preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Tokens, prepare
from astraclr.files import provenance
from astraclr.model.device import matrix_products, multiplies_bfloat16
from astraclr.model.encoder import Encoder, masked_mean, new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.losses import nt_xent
from astraclr.train.views import make_views

RESULTS = Path(__file__).parent / "results" / "training.json"
PLACES = 700
MODELS = {
    "small": (replace(preset("paper"), d_model=64, n_layers=2, n_heads=4, d_ff=128), 32),
    "paper": (preset("paper"), 8),
}
"""Preset and batch of the reference's own measurements."""
HALF = ", bfloat16"
ROWS = {"small": ("full", "simulated"), "paper": ("full", "simulated", f"full{HALF}")}
"""Kinds of stars, with the precision where it is not float32, by model."""


def stars_of(kind: str, n: int) -> LightCurves:
    """Synthetic stars whose windows are all full, or simulated ones of about 450 epochs."""
    if kind == "full":
        rng, counts = np.random.default_rng(0), (600, 650, 100)
        size = n * sum(counts)
        return LightCurves.from_arrays(
            np.repeat(np.arange(n), sum(counts)),
            np.tile(np.repeat(range(3), counts), n),
            58_200 + rng.uniform(0, 1_700, size),
            15 + rng.normal(0, 0.3, size),
            np.full(size, 0.05),
        )
    stars = simulate(4 * n, seed=1)
    return stars[np.argsort(np.abs(stars.counts.sum(1) - 450), kind="stable")[:n]]


def padded(encoder: Encoder, view: Tokens) -> torch.Tensor:
    """Embeddings of a view padded to 700 tokens."""
    more = PLACES - view.mask.shape[1]
    mag, times, band = (F.pad(t, (0, more)) for t in (view.mag, view.times, view.band))
    wide = Tokens(mag, times, band, F.pad(view.mask, (0, more), value=True))
    return masked_mean(encoder.tokens_out(wide), wide.mask)


def operations(size: Preset, lengths: list[int]) -> float:
    """Floating-point operations of a training step (three times those of the forward pass) over real tokens."""
    d = size.d_model
    per_token = 2 * (4 * d * d + 2 * d * size.d_ff)
    return 3 * size.n_layers * sum(n * per_token + 4 * n * n * d for n in lengths)


def matrix_rate(threads: int, dtype: torch.dtype = torch.float32) -> float:
    """Operations per second of a large product."""
    torch.set_num_threads(threads)
    a, b = torch.rand(2048, 2048).to(dtype), torch.rand(2048, 2048).to(dtype)
    a @ b
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - begin)
    return 2 * 2048**3 / min(seconds)


def measure(model: str, kind: str, way: str, threads: int, steps: int) -> dict[str, float]:
    """One measurement, in this process; the best of `steps` steps after a first one."""
    torch.set_num_threads(threads)
    kind, mixed = kind.removesuffix(HALF), kind.endswith(HALF)
    size, batch = MODELS[model]
    how = recipe("corrected")
    data, encoder = prepare(stars_of(kind, batch)), new_encoder(size, how, 0).train()
    optimiser = torch.optim.Adam(encoder.parameters())
    wall, cpu, lengths = [], [], list[int]()
    for step in range(steps + 1):
        begin, used = time.perf_counter(), time.process_time()
        optimiser.zero_grad(set_to_none=True)
        views = make_views(data, torch.arange(batch), size, how, Draws(0, step))
        encode = encoder if way == "ours" else lambda view: padded(encoder, view)
        with matrix_products("cpu", mixed):
            z = torch.stack([encoder.project(encode(view)) for view in views])
        loss = nt_xent(z.float())
        loss.backward()
        optimiser.step()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - used)
        lengths = [int(n) for view in views for n in (~view.mask).sum(1)]
    return {
        "per_s": batch / min(wall[1:]),
        "per_cpu_s": batch / min(cpu[1:]),
        "tokens": float(sum(lengths) / batch),
        "peak_mb": peak_mb(),
        "operations": operations(size, lengths) / batch,
    }


def compared(model: str, kind: str, threads: int, steps: int) -> dict[str, Any]:
    """Ours beside the padded baseline and the limit, all of one run."""
    rate = matrix_rate(threads, torch.bfloat16 if kind.endswith(HALF) else torch.float32)
    how = "--threads", threads, "--steps", steps, "--one", model, kind
    row: dict[str, Any] = {way: in_own_process(__file__, *how, way) for way in ("padded", "ours")}
    for name, key in {"ratio": "per_s", "ratio_cpu": "per_cpu_s", "ratio_memory": "peak_mb"}.items():
        row[name] = row["ours"][key] / row["padded"][key]
    row["matrix_gflops"], row["floor_per_s"] = rate / 1e9, rate / row["ours"]["operations"]
    return row | {"of_floor": row["ours"]["per_s"] / row["floor_per_s"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", choices=list(MODELS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "STARS", "WAY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        model, kind, way = given.one
        print(json.dumps(measure(model, kind, way, given.threads, given.steps)))
        return
    rows, half = {}, multiplies_bfloat16("cpu")
    for model in [given.only] if given.only else MODELS:
        for kind in (kind for kind in ROWS[model] if half or not kind.endswith(HALF)):
            row = rows[f"{model}, {kind}"] = compared(model, kind, given.threads, given.steps)
            if kind.endswith(HALF):
                row["of_float32"] = row["ours"]["per_s"] / rows[f"{model}, {kind.removesuffix(HALF)}"]["ours"]["per_s"]
            print(
                f"{model}, {kind}: {row['ratio']:.2f} times the padded baseline, {row['of_floor']:.0%} of the limit, "
                + (f"{row['of_float32']:.2f} times float32, " if "of_float32" in row else "")
                + f"{row['ratio_memory']:.0%} of the memory ({row['ours']['peak_mb']:.0f} MB)",
                flush=True,
            )
    result = {
        "benchmark": "training",
        "made_with": provenance(),
        "processor": processor(),
        "threads": given.threads,
        "results": rows,
    }
    write_results(given.out, result)


if __name__ == "__main__":
    main()
