"""NT-Xent against the reference's, a slow literal loop, and another library's."""

import math

import numpy as np
import pytest
import torch
from parity import in_the_references_order

from astraclr.train.losses import nt_xent, nt_xent_pairs

CASES = [(n_views, temperature) for n_views in (2, 3) for temperature in (0.1, 0.5)]


def literal_pair_losses(z, temperature):
    """(views, views - 1, batch) loss of every ordered pair, written as the formula stands, in float64 loops."""
    n_views, batch, _ = z.shape
    flat = (z / np.linalg.norm(z, axis=-1, keepdims=True)).reshape(n_views * batch, -1)
    losses = np.zeros((n_views, n_views - 1, batch))
    for a in range(n_views):
        for k, p in enumerate(p for p in range(n_views) if p != a):
            for s in range(batch):
                i, j = a * batch + s, p * batch + s
                others = sum(math.exp(flat[i] @ flat[m] / temperature) for m in range(len(flat)) if m != i)
                losses[a, k, s] = -math.log(math.exp(flat[i] @ flat[j] / temperature) / others)
    return losses


@pytest.mark.parametrize(("n_views", "temperature"), CASES)
def test_pair_losses_mean_and_gradient(oracles, parity, n_views, temperature):
    arrays = oracles("nt_xent")
    theirs = {k.rsplit("/", 1)[1]: v for k, v in arrays.items() if k.startswith(f"views{n_views}/t{temperature}/")}
    z = torch.tensor(arrays[f"views{n_views}/z"], requires_grad=True)
    pairs = in_the_references_order(nt_xent_pairs(z, temperature), arrays[f"views{n_views}/pair_indices"])
    assert len(pairs) == n_views * (n_views - 1) * 6
    name = f"NT-Xent, {n_views} views, T = {temperature}"
    parity(f"{name}: pair losses, in the reference's order", 1e-6, pairs, theirs["pair_losses"])
    loss = nt_xent(z, temperature)
    parity(f"{name}: mean", 1e-6, loss, theirs["mean_loss"])
    parity(f"{name}: gradient of the mean", 1e-6, torch.autograd.grad(loss, z)[0], theirs["grad_mean_loss"])
    # Relative: one unit in the last place of the largest of these sums is 2e-6.
    parity(
        f"{name}: sum of pairs over the batch",
        1e-6,
        pairs.sum() / 6,
        theirs["scaled_loss_global_batch_6"],
        relative=True,
    )


@pytest.mark.parametrize(("n_views", "temperature"), [*CASES, (4, 0.2)])
def test_a_slow_literal_loop(oracles, parity, n_views, temperature):
    random = np.random.default_rng(0).normal(size=(4, 5, 7)).astype(np.float32)
    z = oracles("nt_xent")[f"views{n_views}/z"] if n_views < 4 else random
    ours = nt_xent_pairs(torch.tensor(z), temperature)
    parity(
        "NT-Xent, 2 to 4 views: pair losses beside a literal loop in float64",
        1e-6,
        ours,
        literal_pair_losses(z.astype(np.float64), temperature),
    )


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_two_views_against_another_library(oracles, parity, temperature):
    from pytorch_metric_learning.losses import NTXentLoss

    z = torch.tensor(oracles("nt_xent")["views2/z"], requires_grad=True)
    star = torch.arange(z.shape[1]).repeat(2)
    ours, theirs = nt_xent(z, temperature), NTXentLoss(temperature)(z.flatten(0, 1), star)
    parity("NT-Xent, 2 views: mean beside pytorch-metric-learning's", 1e-6, ours, theirs)
    gradients = [torch.autograd.grad(loss, z)[0] for loss in (ours, theirs)]
    parity("NT-Xent, 2 views: gradient beside pytorch-metric-learning's", 1e-6, *gradients)
