from contextlib import nullcontext
from typing import cast

import numpy as np
import pytest
import torch
from parity import keras_weights, tokens_of

from astraclr.config import RECIPES, preset
from astraclr.data.tokens import Tokens
from astraclr.model.attention import best_form, norms_remade, over_segments
from astraclr.model.config import EncoderConfig
from astraclr.model.encoder import Dropout, Encoder, masked_mean, new_encoder
from astraclr.model.inputs import angular_rates

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
    mag, times, band = (t.masked_fill(tokens.mask, 1e6) for t in tokens[:3])
    filled = Tokens(mag, times, band, tokens.mask)
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
    same, again, other = (encoder.get_parameter("layers.0.ffn.0.weight") for encoder in (a, b, c))
    assert torch.equal(same, again) and not torch.equal(same, other)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="d_model 30 must be even and a multiple of n_heads 4"):
        EncoderConfig(30, 2, 4, 64)


def some_tokens(n):
    """Rows padded at the end, and with holes; the first and the last are full, the second has one token."""
    draw = torch.Generator().manual_seed(n)
    mask = torch.rand(n, 60, generator=draw) < 0.3
    mask |= torch.arange(60) >= torch.randint(1, 61, (n, 1), generator=draw)
    mask[1:2], mask[:, 0], mask[0], mask[-1] = True, False, False, False
    mag, times, band = (torch.randn(n, 60, generator=draw).masked_fill(mask, 0.0) for _ in range(3))
    follows = (torch.rand(n, 60, generator=draw) < 0.8) & ~mask & ~torch.cat([mask[:, :1] | True, mask[:, :-1]], dim=1)
    return Tokens(mag, times.double(), band, mask, mag.abs(), follows)


def row_by_row(filled, longest):
    """What `over_segments` does, on any device: attention of one light curve after the other."""
    assert longest >= int(filled.max())

    def mix(*qkv):
        rows = zip(*(t.split(filled.tolist(), dim=1) for t in qkv), strict=True)
        return torch.cat([torch.nn.functional.scaled_dot_product_attention(*row) for row in rows], dim=1)

    return mix


@pytest.mark.parametrize("recipe", ["corrected", "recommended"])
@pytest.mark.parametrize("form", ["grouped", "packed"])
@pytest.mark.parametrize("n", [1, 3, 8, 21])
def test_every_form_gives_the_embeddings_and_gradients_of_the_padded_form(n, form, recipe, monkeypatch):
    monkeypatch.setattr("astraclr.model.encoder.over_segments", row_by_row)
    encoder, tokens = new_encoder(preset("tiny"), RECIPES[recipe], 0).eval(), some_tokens(n)
    parameters, found = list(encoder.embedding.parameters()) + list(encoder.layers.parameters()), {}
    for encoder.form in ("padded", form):
        embedding = encoder(tokens)
        loss = (embedding * torch.linspace(-1, 1, embedding.numel()).view_as(embedding)).sum(1).mean()
        found[encoder.form] = embedding.detach(), *torch.autograd.grad(loss, parameters)
    for ours, expected in zip(found[form], found["padded"], strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)


def test_packed_tokens_go_through_a_compiled_encoder(monkeypatch):
    monkeypatch.setattr("astraclr.model.encoder.over_segments", row_by_row)
    encoder = new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval()
    encoder.form = "packed"
    expected = [encoder(some_tokens(n)) for n in (5, 9)]
    encoder.compile(backend="eager", dynamic=True)
    for n, plain in zip((5, 9), expected, strict=True):
        torch.testing.assert_close(encoder(some_tokens(n)), plain, atol=1e-5, rtol=0)


def test_a_light_curve_of_no_token_is_nan_in_every_form(monkeypatch):
    monkeypatch.setattr("astraclr.model.encoder.over_segments", row_by_row)
    encoder, tokens = new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), some_tokens(3)
    tokens.mask[1] = True
    for encoder.form in ("padded", "packed", "grouped"):
        assert encoder(tokens).isnan().any(1).tolist() == [False, True, False]


@pytest.mark.parametrize("device, form", [("cpu", "grouped"), ("mps", "padded")])
def test_form_follows_the_device(device, form):
    assert best_form(torch.device(device), 64) == form


@pytest.mark.parametrize(
    "lacks, form",
    [
        ({}, "packed"),
        ({"half": torch.float32}, "padded"),
        ({"width": 12}, "padded"),
        ({"width": 512}, "padded"),
        ({"card": (7, 5)}, "padded"),
        ({"module": None}, "padded"),
        ({"built": False}, "padded"),
    ],
)
def test_packed_only_where_its_attention_runs(monkeypatch, lacks, form):
    has = {"half": torch.bfloat16, "width": 64, "card": (9, 0), "module": "there", "built": True} | lacks
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda kind: has["half"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: has["card"])
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: has["built"])
    monkeypatch.setattr("astraclr.model.attention.find_spec", lambda name: has["module"])
    assert best_form(torch.device("cuda"), has["width"]) == form


def test_attention_over_segments_asks_torch_for_each_light_curve_alone(monkeypatch):
    asked = {}

    def varlen_attn(q, k, v, ends, ends_k, longest, longest_k):
        asked.update(shape=q.shape, ends=ends, same=ends is ends_k, longest=(longest, longest_k))
        return q + v

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    q, k, v = (torch.rand(2, 9, 4) for _ in range(3))  # heads, tokens, width
    mixed = over_segments(torch.tensor([4, 0, 5]), 7)(q, k, v)
    assert torch.equal(mixed, q + v) and asked["shape"] == (9, 2, 4)
    assert asked["ends"].tolist() == [0, 4, 4, 9] and asked["ends"].dtype == torch.int32
    assert asked["same"] and asked["longest"] == (7, 7)


@pytest.mark.parametrize(("width", "dtype"), [(40, torch.float32), (256, torch.bool)])
def test_drop_out_draws_what_torch_draws_and_keeps_bytes_where_it_is_wide(width, dtype):
    x, kept = torch.randn(50, width, requires_grad=True), []
    results = []
    for drop in (Dropout(0.3), torch.nn.Dropout(0.3)):
        torch.manual_seed(1)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.dtype) or t, lambda t: t):
            y = drop(x)
        results.append((y.detach(), torch.autograd.grad(y.sum(), x)[0], torch.rand(1)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert kept == [dtype, torch.float32]
    assert Dropout(0.3).eval()(x) is x


def test_normalised_values_are_not_kept_and_gradients_are_the_same(monkeypatch):
    encoder, tokens, found = new_encoder(preset("tiny"), RECIPES["corrected"], 0).train(), some_tokens(8), []
    norm = encoder.get_submodule("layers.0.norm1")
    for remade in (norms_remade, lambda encoder: nullcontext()):
        monkeypatch.setattr("astraclr.model.encoder.WIDE", 0)
        monkeypatch.setattr("astraclr.model.encoder.norms_remade", remade)
        calls, forward = [], norm.forward
        monkeypatch.setattr(norm, "forward", lambda x, calls=calls, forward=forward: calls.append(1) or forward(x))
        torch.manual_seed(0)
        encoder.zero_grad()
        encoder.project(encoder(tokens)).square().sum().backward()
        monkeypatch.undo()
        found.append((len(calls), [cast(torch.Tensor, p.grad).clone() for p in encoder.parameters()]))
    assert all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))
    assert found[0][0] == 2 * found[1][0]  # once forward, once for the first linear layer's gradient
    assert not norm._forward_hooks


def test_no_padding_is_computed(monkeypatch):
    encoder, widths = new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), []
    whole = encoder.tokens_out
    monkeypatch.setattr(encoder, "tokens_out", lambda t, *mix: widths.append(t.mask.shape) or whole(t, *mix))
    lengths = torch.arange(1, 65)
    mask = torch.arange(64) >= lengths[:, None]
    encoder(Tokens(torch.zeros(64, 64), torch.zeros(64, 64, dtype=torch.float64), torch.zeros(64, 64), mask))
    computed = sum(rows * width for rows, width in widths)
    assert int(lengths.sum()) <= computed < 1.12 * int(lengths.sum())
