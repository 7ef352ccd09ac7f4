"""Follow the embeddings of a few simulated stars through a training, for the page "The latent space while it learns".

Usage: python benchmarks/learning.py [--preset tiny] [--recipe recommended] [--seed 0]

Trains as `astraclr.pretrain` does, and at some forty moments embeds stars that are not trained on. All moments are
drawn with one projection. Minutes at tiny on one core. Writes benchmarks/results/learning.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import numpy as np
import torch

from astraclr.config import Preset, Recipe, preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.sources import InMemory
from astraclr.data.splits import split
from astraclr.evaluate.probes import fit_logistic
from astraclr.files import provenance, replacing, repository_file
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.simulation.samples import labelled_stars, training_stars
from astraclr.train.counter_rng import Draws
from astraclr.train.optimizer import new_optimiser
from astraclr.train.step import Training, update, validate
from astraclr.train.summary_targets import Summaries
from astraclr.train.views import make_views

N_MOMENTS, N_SHOWN, N_PROBE = 40, 288, 480


def moments(steps: int) -> list[int]:
    """Steps to look at, from 0 to the last, denser at the start where the embedding changes fastest."""
    return sorted({0, *np.round(np.geomspace(1, steps, N_MOMENTS)).astype(int).tolist()})


def training(
    stars: LightCurves, size: Preset, method: Recipe, seed: int, looked_at: list[int]
) -> Iterator[tuple[int, Checkpoint, float]]:
    """The encoder at each of these steps, with its loss on validation stars; the steps are those of `pretrain`."""
    source, (train, held) = InMemory(stars, "cpu"), split(len(stars))
    held = held[: 4 * size.batch_size]
    encoder = new_encoder(size, method, seed, len(stars.bands)).train()
    model, optimiser = Training(encoder, size, method), new_optimiser(encoder, method, "cpu")
    summaries = Summaries(source, train, "cpu") if method.summaries else None
    held_data, held_rows = source.prepared(held, "cpu"), torch.arange(len(held))
    per_epoch = len(train) // size.batch_size
    for step in range(size.steps + 1):
        if step in looked_at:
            truth = None if summaries is None else summaries.of(held)
            keys = torch.as_tensor(held)
            gauges = validate(model, held_data, held_rows, 0, keys, truth)
            encoder.eval()
            yield step, Checkpoint(encoder, size, method, seed), gauges["val_loss"]
            encoder.train()
        if step == size.steps:
            return
        epoch, k = divmod(step, per_epoch)
        rows = source.order(train, seed, epoch)[k * size.batch_size : (k + 1) * size.batch_size]
        torch.manual_seed(seed * 1_000_003 + step)
        data, keys = source.prepared(rows, "cpu"), torch.as_tensor(rows)
        views = make_views(data, torch.arange(len(rows)), size, method, Draws(seed, epoch), keys)
        truth = None if summaries is None else summaries.of(rows)
        update(model, optimiser, views, step, truth)


def projected(x: list[np.ndarray], fit: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Each of the (n, d) embeddings in the plane that best parts the classes of the (m, d) last ones."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    plane = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.1, n_components=2).fit(unit(fit), labels)
    return [plane.transform(unit(one)) for one in x]


def unit(x: np.ndarray) -> np.ndarray:
    """(n, d) rows of length 1."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--recipe", default="recommended")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    size, method = preset(options.preset), recipe(options.recipe)
    sets = labelled_stars(size, options.seed)
    fit, test, shown = sets.fit[:N_PROBE], sets.test[:N_PROBE], sets.test[N_PROBE : N_PROBE + N_SHOWN]
    states, places, last = [], [], None
    torch.set_num_threads(1)
    stars = training_stars(size, options.seed)
    for step, checkpoint, loss in training(stars, size, method, options.seed, moments(size.steps)):
        last, x = embed(fit, checkpoint), embed(test, checkpoint)
        accuracy = float(np.mean(fit_logistic(last, fit.label, 1.0).predict(x) == test.label))
        places.append(embed(shown, checkpoint))
        states.append({"step": step, "loss": round(loss, 4), "probe": round(accuracy, 4)})
        print(states[-1], flush=True)
    assert last is not None
    for state, xy in zip(states, projected(places, last, fit.label), strict=True):
        state["xy"] = np.round(xy, 2).ravel().tolist()
    result = {
        "provenance": provenance(),
        "of": f"Preset {size.name}, recipe {method.name}, seed {options.seed}: {size.steps} steps of {size.batch_size} "
        f"simulated stars. The {len(shown)} stars shown and those of the probe are not trained on.",
        "projection": "The projection is linear: the plane that parts the classes best at the end of the training "
        f"(discriminant analysis on {len(fit)} other labelled stars), on embeddings of length 1.",
        "majority": round(float(np.unique(test.label, return_counts=True)[1].max() / len(test)), 4),
        "labels": shown.label.tolist(),
        "states": states,
    }
    out = repository_file("benchmarks/results") / "learning.json"
    with replacing(out) as part:
        part.write_text(json.dumps(result, separators=(",", ":")) + "\n")
    print(f"wrote {out} ({out.stat().st_size / 1e3:.0f} kB)")


if __name__ == "__main__":
    main()
