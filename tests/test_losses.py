import math

import numpy as np
import pytest
import torch

from astraclr.losses import alignment, chance_level, effective_rank, floor_level, nt_xent, nt_xent_pairs, uniformity


def literal_pair_losses(z, temperature):
    """Loss of every ordered pair, written as the formula stands, in float64 loops."""
    n_views, batch, _ = z.shape
    flat = (z / np.linalg.norm(z, axis=-1, keepdims=True)).reshape(n_views * batch, -1)
    losses = np.zeros((n_views, n_views, batch))
    for a in range(n_views):
        for p in range(n_views):
            for s in range(batch):
                i, j = a * batch + s, p * batch + s
                others = sum(math.exp(flat[i] @ flat[k] / temperature) for k in range(len(flat)) if k != i)
                losses[a, p, s] = -math.log(math.exp(flat[i] @ flat[j] / temperature) / others) if a != p else np.nan
    return losses


@pytest.mark.parametrize("n_views", [2, 3])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_pairs_mean_and_gradient_equal_the_reference(oracles, n_views, temperature):
    arrays = oracles("nt_xent")
    key = f"views{n_views}/t{temperature}"
    z = torch.tensor(arrays[f"views{n_views}/z"], requires_grad=True)
    pairs = nt_xent_pairs(z, temperature)
    ours = np.sort(pairs.detach().numpy().ravel())
    np.testing.assert_allclose(ours, np.sort(arrays[f"{key}/pair_losses"]), atol=1e-6)
    loss = nt_xent(z, temperature)
    assert loss.item() == pytest.approx(float(arrays[f"{key}/mean_loss"]), abs=1e-6)
    gradient = torch.autograd.grad(loss, z)[0]
    np.testing.assert_allclose(gradient.numpy(), arrays[f"{key}/grad_mean_loss"], atol=1e-6)


def test_pairs_equal_the_literal_formula():
    z = np.random.default_rng(0).normal(size=(4, 5, 7))
    ours = nt_xent_pairs(torch.tensor(z), 0.2).numpy()
    literal = literal_pair_losses(z, 0.2)
    for a in range(4):
        np.testing.assert_allclose(ours[a], np.delete(literal[a], a, axis=0), atol=1e-5)


def test_collapse_is_chance_and_perfection_is_the_floor():
    assert nt_xent(torch.ones(3, 8, 4)).item() == pytest.approx(chance_level(3, 8), abs=1e-5)
    perfect = torch.eye(8).expand(3, 8, 8)
    assert nt_xent(perfect, 0.02).item() == pytest.approx(floor_level(3), abs=1e-5)


def test_one_view_is_refused():
    with pytest.raises(ValueError, match=r"expected \(views >= 2, batch, d\)"):
        nt_xent(torch.ones(1, 8, 4))


def test_gauges_tell_collapse_from_spread():
    collapsed = torch.ones(2, 50, 6) + 1e-6 * torch.randn(2, 50, 6, generator=torch.Generator().manual_seed(0))
    spread = torch.randn(1, 400, 6, generator=torch.Generator().manual_seed(0)).expand(2, 400, 6)
    assert alignment(spread).item() == 0
    assert uniformity(collapsed[0]).item() == pytest.approx(0, abs=1e-4)
    assert uniformity(spread[0]).item() < -2
    assert effective_rank(spread[0]).item() == pytest.approx(6, abs=0.1)
    assert effective_rank(torch.ones(20, 6)).item() == 1
    assert effective_rank(torch.outer(torch.arange(20.0), torch.ones(6))).item() == pytest.approx(1, abs=1e-3)
