"""Is an encoder still of use in the exchange format? Linear probes at its own windows and at 300/350/50, as JSON.

Usage: python benchmarks/exchange.py [--checkpoint tiny] [--stars 1000] [--seed 0] [--out FILE]

Nothing is trained but probes (C = 10, the paper's). Each row embeds the same labelled simulated stars with the encoder,
with the same encoder with random weights, and with random weights and a stopped clock where that is affordable:
at its own windows by torch, at 300/350/50 by the exported file, and by light-curve's class on that file. Takes some
four minutes on one core for the shipped encoder; needs the extra interop.
"""

import argparse
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _measure import write_results
from shipped_checkpoint import clock_stopped

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.probes import linear_probe
from astraclr.files import provenance
from astraclr.interop.onnx_export import export_onnx
from astraclr.interop.onnx_inputs import LAYOUT
from astraclr.interop.onnx_runtime import embed_with_onnx
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.embedding import embed
from astraclr.simulation.samples import labelled_stars

Embedder = Callable[[LightCurves], np.ndarray]


def by_light_curve(path: Path) -> Embedder:
    """Mean of the three crops of `light_curve.embed.AstraCLR`, which centres each band's window by itself."""
    import onnxruntime as ort
    from light_curve.embed import AstraCLR

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the class is experimental
        model = AstraCLR(
            ort.InferenceSession(str(path), options),
            band_groups={b: k for k, b in enumerate(LAYOUT)},
            reduction=["beginning", "middle", "end"],
        )

    def embed_all(stars: LightCurves) -> np.ndarray:
        out = []
        for star in range(len(stars)):
            bands = stars.star(star)
            names = np.repeat(list(bands), [len(mjd) for mjd, _, _ in bands.values()])
            mjd, mag, magerr = [np.concatenate(column) for column in zip(*bands.values(), strict=True)]
            out.append(model(mjd, mag, magerr, names)[0, :, 0].mean(0))
        return np.array(out)

    return embed_all


def by_torch(checkpoint: Checkpoint, **how: object) -> Embedder:
    """`embed`, with some fields of the recipe or the preset replaced."""
    windows = how.pop("windows", checkpoint.preset.windows)
    other = replace(
        checkpoint, preset=replace(checkpoint.preset, windows=windows), recipe=replace(checkpoint.recipe, **how)
    )
    return lambda stars: embed(stars, other)


def ways_of(checkpoint: Checkpoint, path: Path) -> dict[str, Embedder]:
    """Each way from a light curve to an embedding; what is exported is at `path`."""
    export_onnx(checkpoint, path)
    return {
        "own windows": by_torch(checkpoint),
        "own windows, centred per band and window": by_torch(checkpoint, centring="window"),
        "300/350/50, exported file": lambda stars: embed_with_onnx(stars, path),
        "300/350/50, light-curve's class": by_light_curve(path),
    }


def agreement(checkpoint: Checkpoint, path: Path, stars: LightCurves) -> dict[str, float]:
    """Largest differences of embeddings: of the class from our own preparation, and what float32 times cost."""
    file = embed_with_onnx(stars, path)
    own = by_torch(checkpoint, windows=tuple(LAYOUT.items()))(stars)
    same = embed_with_onnx(stars, path, centring="window", middle="band")
    theirs = by_light_curve(path)(stars)
    return {
        "stars": len(stars),
        "light-curve's class beside ours, centred alike": float(np.abs(theirs - same).max()),
        "float32 times beside float64": float(np.abs(file - own).max()),
        "colour lost beside colour kept, median over stars": float(np.median(np.abs(theirs - file).max(1))),
        "spread between stars": float(own.std(0).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="tiny", help="folder or shipped name (default %(default)s)")
    parser.add_argument("--stars", type=int, default=1_000, help="for each of fit and test (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON file to write as well; the book reads results/exchange.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.process_time()
    checkpoint = load_checkpoint(given.checkpoint)
    sets = labelled_stars(replace(checkpoint.preset, n_probe=given.stars), given.seed)
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        encoders = {
            "trained": checkpoint,
            "random weights": random_control(checkpoint),
            "random weights, clock stopped": clock_stopped(checkpoint),
        }
        for k, (name, encoder) in enumerate(encoders.items()):
            ways = ways_of(encoder, Path(folder) / f"{k}.onnx")
            if "stopped" in name:
                ways.pop("300/350/50, light-curve's class")
            for way, embedder in ways.items():
                score = linear_probe(embedder(sets.fit), sets.fit.label, embedder(sets.test), sets.test.label)
                rows.setdefault(way, {})[name] = round(score.accuracy, 4)
                print(f"{way}, {name}: {score.accuracy:.3f}", flush=True)
        apart = agreement(checkpoint, Path(folder) / "0.onnx", sets.choose[:64])
    accuracy = rows["own windows"]["trained"]
    result = {
        "benchmark": "exchange",
        "made_with": provenance(),
        "checkpoint": checkpoint.name,
        "seed": given.seed,
        "windows": "/".join(str(n) for _, n in checkpoint.preset.windows),
        "n_fit": len(sets.fit),
        "n_test": len(sets.test),
        "standard_error": round((accuracy * (1 - accuracy) / len(sets.test)) ** 0.5, 4),
        "cpu_seconds": round(time.process_time() - begin),
        "results": rows,
        "agreement": apart,
    }
    if given.out:
        write_results(given.out, result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
