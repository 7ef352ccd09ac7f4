"""Six optimiser steps of the reference's own training loop, and its learning-rate schedule."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parity import in_the_references_order, keras_weights, tokens_of

from astraclr.config import RECIPES, preset
from astraclr.model.config import EncoderConfig
from astraclr.model.encoder import Embedding, Encoder
from astraclr.train.losses import nt_xent_pairs
from astraclr.train.optimizer import BETAS, learning_rate
from astraclr.train.step import Training, project_views, update

RECIPE = RECIPES["paper"]
SIZE = replace(preset("paper"), warmup=100, replicas=1)
NOISE = "attention.k.bias"
"""Its gradient is zero in theory and rounding noise in practice, which Adam makes steps of (oracles' README)."""


def views_of(arrays, step):
    return [tokens_of(arrays, f"steps/{step}/view{v}") for v in range(3)]


def six_steps(arrays):
    """Our training loop's update on the reference's batches, and what passed through it."""
    encoder = Encoder(EncoderConfig(32, 2, 4, 64, 16, dropout=0.0)).train()
    encoder.load_state_dict(keras_weights(arrays, "weights_initial/"))
    optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
    names = [name for name, _ in encoder.named_parameters()]
    seen: dict[str, Any] = {"losses": [], "learning_rates": [], "norms": [], "gradients": [], "weights": []}
    clip = torch.nn.utils.clip_grad_norm_

    def watched(parameters, limit):
        parameters = list(parameters)
        seen["gradients"].append({n: p.grad.clone() for n, p in zip(names, parameters, strict=True)})
        seen["norms"].append(float(clip(parameters, limit)))

    with torch.no_grad():
        seen["projections"] = project_views(encoder, views_of(arrays, 0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", watched)
        for step in range(6):
            taken = update(Training(encoder, SIZE, RECIPE), optimiser, views_of(arrays, step), step)
            seen["losses"].append(float(taken.loss))
            seen["learning_rates"].append(taken.rate)
            seen["weights"].append({n: w.clone() for n, w in encoder.state_dict().items()})
    return seen


def encode_time_in_float32(self, times):
    """The time encoding with angles as the reference rounds them: hundreds of radians in float32."""
    power = np.arange(0, self.magnitude.out_features, 2).astype(np.float32)
    rates = np.exp(power * np.float32(-math.log(10_000) / self.magnitude.out_features))
    phase = times.float()[..., None] * torch.as_tensor(rates)
    return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(-2)


@pytest.fixture(scope="module")
def run(oracles):
    arrays = oracles("train_tiny")
    return arrays, six_steps(arrays)


@pytest.fixture(scope="module")
def run_with_their_angles(oracles):
    arrays = oracles("train_tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Embedding, "encode_time", encode_time_in_float32)
        return arrays, six_steps(arrays)


def compare_weights(parity, stage, tolerance, run, steps):
    arrays, seen = run
    theirs, start = (keras_weights(arrays, f"weights_{when}/") for when in (f"after_{steps}_steps", "initial"))
    ours = seen["weights"][steps - 1]
    assert theirs.keys() == ours.keys()
    compared = [name for name in ours if NOISE not in name]
    for name in compared:
        parity(stage, tolerance, ours[name], theirs[name])
    assert all((theirs[name] != start[name]).any() for name in compared), "weights that never move compare nothing"


def test_losses_rates_and_norms_of_six_steps(run, parity):
    arrays, seen = run
    parity("six steps: losses", 1e-4, seen["losses"], arrays["losses"])
    # Ours is float64, theirs float32: two units in its last place.
    parity("six steps: learning rates", 2.4e-7, seen["learning_rates"], arrays["learning_rates"], relative=True)
    parity(
        "six steps: gradient norms before clipping",
        1e-3,
        seen["norms"],
        arrays["grad_global_norms_before_clip"],
        relative=True,
    )
    assert min(seen["norms"]) > 1, "clipping is active at every step"


def test_the_first_step_from_projections_to_gradients(run, oracles, parity):
    arrays, seen = run
    parity("first step: projections", 1e-5, seen["projections"], arrays["step0_projections"])
    pairs = nt_xent_pairs(seen["projections"], RECIPE.temperature)
    listed = in_the_references_order(pairs, oracles("nt_xent")["views3/pair_indices"])
    parity("first step: pair losses", 1e-5, listed, arrays["step0_pair_losses"])
    parity("first step: scaled loss", 1e-6, pairs.sum() / 6, arrays["step0_scaled_loss"], relative=True)
    theirs = keras_weights(arrays, "step0_grads_unclipped/")
    assert theirs.keys() == seen["gradients"][0].keys()
    for name, ours in seen["gradients"][0].items():
        parity("first step: gradients of the scaled loss", 1e-5, ours, theirs[name])


def test_the_first_update_moves_nothing(run, parity):
    arrays, seen = run
    start = keras_weights(arrays, "weights_initial/")
    for name, ours in seen["weights"][0].items():
        parity("six steps: weights after the first, those of the start", 0, ours, start[name])


@pytest.mark.parametrize(("steps", "tolerance"), [(2, 1e-4), (6, 1e-3)])
def test_weights_after_steps(run, parity, steps, tolerance):
    compare_weights(parity, f"six steps: weights after {steps}", tolerance, run, steps)


def test_what_is_left_comes_from_the_references_time_encoding(run_with_their_angles, parity):
    """Given their float32 angles, the weights agree to a few roundings: nothing else differs."""
    arrays, seen = run_with_their_angles
    name = "six steps, angles in float32 as theirs"
    parity(f"{name}: losses", 5e-6, seen["losses"], arrays["losses"])
    parity(
        f"{name}: gradient norms before clipping",
        5e-5,
        seen["norms"],
        arrays["grad_global_norms_before_clip"],
        relative=True,
    )
    compare_weights(parity, f"{name}: weights after 6", 2e-6, run_with_their_angles, 6)


def test_learning_rate_schedule(oracles, parity):
    arrays = oracles("lr_schedule")
    steps, theirs = arrays["step"], arrays["lr"]
    ours = [learning_rate(int(step), 512, 1000) for step in steps]
    assert ours[0] == theirs[0] == 0 and int(np.argmax(ours)) == int(np.argmax(theirs)) == 1000
    assert ours[1000] == pytest.approx(1.3975e-3, rel=1e-4)
    parity("learning rate, steps 0 to 3000", 2.4e-7, ours, theirs, relative=True)
    # The formula rounded to float32 after each operation is theirs bit for bit: ours differs by that rounding alone.
    step = steps[1:].astype(np.float32)
    rounded = 1 / np.sqrt(np.float32(512)) * np.minimum(1 / np.sqrt(step), step * np.float32(1000**-1.5))
    assert rounded.dtype == np.float32 and (rounded == theirs[1:]).all()
