import numpy as np
import pytest
import torch

from astraclr.encoder import Encoder, EncoderConfig, angular_rates, masked_mean, new_encoder
from astraclr.preparation import Tokens
from astraclr.presets import RECIPES, preset

TINY = EncoderConfig(32, 2, 4, 64, 16, dropout=0.0)


def torch_name(key):
    """Name and orientation of the reference's weights in our encoder."""
    for old, new in (("projection.1", "projection.2"), ("ffn.1", "ffn.2"), ("band.1", "band.2"), ("gamma", "weight"),
                     ("beta", "bias")):  # fmt: skip
        key = key.replace(old, new)
    return key


def keras_weights(arrays, prefix):
    weights = {k.removeprefix(prefix): torch.tensor(arrays[k]) for k in arrays if k.startswith(prefix)}
    return {torch_name(k): w.T.contiguous() if w.ndim == 2 else w for k, w in weights.items()}


def tokens_of(arrays, prefix):
    mag, times, band, mask = (torch.tensor(arrays[f"{prefix}/{k}"]) for k in ("input", "times", "band_info", "mask"))
    return Tokens(mag[..., 0], times[..., 0].double(), band[..., 0], mask.reshape(mag.shape[:2]).bool())


@pytest.fixture(scope="module")
def reference(oracles):
    arrays = oracles("model_tiny")
    encoder = Encoder(TINY).eval()
    encoder.load_state_dict(keras_weights(arrays, "weights/"))
    return arrays, encoder, tokens_of(arrays, "inputs")


@torch.no_grad()
def test_every_stage_equals_the_reference(reference):
    arrays, encoder, tokens = reference
    embedded = encoder.embedding(tokens)
    stages = {
        "positional_encoding": (encoder.embedding.encode_time(tokens.times), 5e-5),
        "embedding": (embedded, 5e-5),
        "attention_layer_0": (encoder.layers[0].attention.weights(embedded, tokens.mask), 2e-5),
        "encoder_layer_0": (encoder.layers[0](embedded, tokens.mask), 2e-5),
        "encoder": (encoder.tokens_out(tokens), 2e-5),
        "pooled": (encoder(tokens), 1e-5),
        "projection": (encoder.project(encoder(tokens)), 1e-5),
    }
    for name, (ours, tolerance) in stages.items():
        expected, ours = arrays[f"outputs/{name}"], ours.numpy()
        if name in ("encoder_layer_0", "encoder", "embedding"):
            # Rows that nobody reads differ where the reference's float32 times do.
            ours, expected = ours[~tokens.mask], expected[~tokens.mask]
        np.testing.assert_allclose(ours, expected, atol=tolerance, err_msg=name)


@torch.no_grad()
def test_padding_never_changes_an_embedding(reference):
    _, encoder, tokens = reference
    filled = Tokens(*(t.masked_fill(tokens.mask, 1e6) for t in tokens[:3]), tokens.mask)
    torch.testing.assert_close(encoder(filled), encoder(tokens), atol=1e-5, rtol=0)
    order = torch.randperm(tokens.mag.shape[1], generator=torch.Generator().manual_seed(0))
    shuffled = Tokens(*(t[:, order] for t in tokens))
    torch.testing.assert_close(encoder(shuffled), encoder(tokens), atol=1e-5, rtol=0)


def test_number_of_parameters_of_the_paper():
    encoder = Encoder(EncoderConfig())
    assert sum(p.numel() for p in encoder.parameters()) == 13_021_504
    assert sum(p.numel() for p in encoder.projection.parameters()) == 13_021_504 - 12_627_520


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


def recipe_weights(seed, key_order, shapes):
    """Weights by the documented recipe of tests/oracles/README.md, in Keras orientation."""
    rng, weights = np.random.default_rng(seed), {}
    for key in key_order:
        z = rng.standard_normal(shapes[key])
        scale = {"weight": lambda z: z / np.sqrt(z.shape[0]), "gamma": lambda z: 1 + 0.05 * z}
        weights[key] = scale.get(key.rsplit(".", 1)[1], lambda z: 0.05 * z)(z).astype(np.float32)
    return weights


@torch.no_grad()
def test_the_papers_size_equals_the_reference(oracles):
    arrays = oracles("model_paper")
    encoder = Encoder(EncoderConfig()).eval()
    ours = encoder.state_dict()
    keys = [str(key) for key in arrays["meta/key_order"]]
    shapes = {key: tuple(ours[torch_name(key)].shape)[::-1] for key in keys}
    weights = recipe_weights(0, keys, shapes)
    sums = [float(weights[key].sum(dtype=np.float64)) for key in keys]
    np.testing.assert_allclose(sums, arrays["meta/weight_sums"], rtol=1e-9, atol=1e-9)
    encoder.load_state_dict(keras_weights({f"w/{k}": v for k, v in weights.items()}, "w/"))
    tokens = tokens_of(arrays, "inputs")
    pooled = encoder(tokens)
    np.testing.assert_allclose(pooled.numpy(), arrays["outputs/pooled"], atol=1e-4)
    np.testing.assert_allclose(encoder.project(pooled).numpy(), arrays["outputs/projection"], atol=1e-4)
