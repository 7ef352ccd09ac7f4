import numpy as np
import pytest
import torch
from parity import keras_weights, tokens_of

from astraclr.encoder import Encoder, EncoderConfig, angular_rates, masked_mean, new_encoder
from astraclr.preparation import Tokens
from astraclr.presets import RECIPES, preset

TINY = EncoderConfig(32, 2, 4, 64, 16, dropout=0.0)


@pytest.fixture(scope="module")
def reference(oracles):
    arrays = oracles("model_tiny")
    encoder = Encoder(TINY).eval()
    encoder.load_state_dict(keras_weights(arrays, "weights/"))
    return arrays, encoder, tokens_of(arrays, "inputs")


@torch.no_grad()
def test_padding_never_changes_an_embedding(reference):
    _, encoder, tokens = reference
    filled = Tokens(*(t.masked_fill(tokens.mask, 1e6) for t in tokens[:3]), tokens.mask)
    torch.testing.assert_close(encoder(filled), encoder(tokens), atol=1e-5, rtol=0)
    order = torch.randperm(tokens.mag.shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = Tokens(*(t[:, order] for t in tokens[:4]))
    torch.testing.assert_close(encoder(shuffled), encoder(tokens), atol=1e-5, rtol=0)


def test_gpu_preset_stays_under_its_limit():
    encoder = new_encoder(preset("gpu"), RECIPES["corrected"], 0)
    assert sum(p.numel() for p in encoder.parameters()) < 4_500_000


def test_rates_reach_hours_only_when_logarithmic():
    days, log = (2 * np.pi / angular_rates(64, kind).numpy() for kind in ("days", "log"))
    assert days.min() == pytest.approx(2 * np.pi)
    assert log.min() == pytest.approx(0.05) and log.max() == pytest.approx(1000)


def test_masked_mean():
    x = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert masked_mean(x, torch.tensor([[False, False, True]])).item() == 2.0


def test_seed_decides_the_weights_and_leaves_the_global_state():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (new_encoder(preset("tiny"), RECIPES["paper"], s) for s in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(a.layers[0].ffn[0].weight, b.layers[0].ffn[0].weight)
    assert not torch.equal(a.layers[0].ffn[0].weight, c.layers[0].ffn[0].weight)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="d_model 30 must be even and a multiple of n_heads 4"):
        EncoderConfig(30, 2, 4, 64)


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 3, 8, 21])
def test_groups_of_like_length_give_the_embeddings_of_the_padded_form(n):
    draw = torch.Generator().manual_seed(n)
    encoder = new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval()
    mask = torch.rand(n, 60, generator=draw) < 0.3
    mask |= torch.arange(60) >= torch.randint(1, 61, (n, 1), generator=draw)  # padded at the end, and holes
    mask[:, 0] = False
    mag, times, band = (torch.randn(n, 60, generator=draw).masked_fill(mask, 0.0) for _ in range(3))
    tokens = Tokens(mag, times.double(), band, mask)
    expected = masked_mean(encoder.tokens_out(tokens), mask)
    torch.testing.assert_close(encoder(tokens), expected, atol=1e-5, rtol=0)


def test_no_padding_is_computed(monkeypatch):
    encoder, widths = new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), []
    whole = encoder.tokens_out
    monkeypatch.setattr(encoder, "tokens_out", lambda t, **how: widths.append(t.mask.shape) or whole(t, **how))
    lengths = torch.arange(1, 65)
    mask = torch.arange(64) >= lengths[:, None]
    encoder(Tokens(torch.zeros(64, 64), torch.zeros(64, 64, dtype=torch.float64), torch.zeros(64, 64), mask))
    computed = sum(rows * width for rows, width in widths)
    assert int(lengths.sum()) <= computed < 1.12 * int(lengths.sum())
