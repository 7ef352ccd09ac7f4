"""Graders of chapter 3: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

import torch
from grading import hint, lenient  # noqa: F401 - a fixture for all of them

from astraclr import config
from astraclr.data.tokens import prepare
from astraclr.model.config import EncoderConfig
from astraclr.model.crops import crop_tokens
from astraclr.model.encoder import Attention, Encoder, new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.tutorial.checks import chapter_03, check

TINY = config.preset("tiny")


@torch.no_grad()
def test_the_literal_attention_without_a_mistake_is_the_packages():
    layer = Attention(EncoderConfig.of(TINY, config.recipe("corrected")))
    x, mask = torch.randn(1, 6, TINY.d_model), torch.tensor([[False, False, True, False, True, False]])
    q, k, v = layer.heads(x)
    right = layer.weights(x, mask)[0, 0] @ v[0, 0]
    assert torch.allclose(chapter_03._attention(q[0, 0], k[0, 0], v[0, 0], mask[0]), right, atol=1e-5)


def test_attention():
    assert check("ex-ch3-attention", chapter_03._attention)
    for mistake, words in chapter_03._ATTENTION_HINTS.items():
        said = hint("ex-ch3-attention", lambda *a, m=mistake: chapter_03._attention(*a, mistake=m))
        assert said == words
    assert "function itself" in hint("ex-ch3-attention", torch.zeros(7, 4))
    assert "one vector" in hint("ex-ch3-attention", lambda q, k, v, mask: (q @ k.T).softmax(-1))
    assert "Not attention yet" in hint("ex-ch3-attention", lambda q, k, v, mask: v)

    def unstable(q, k, v, mask):
        weight = (q @ k.T / q.shape[-1] ** 0.5).exp() * ~mask
        return weight / weight.sum(-1, keepdim=True) @ v

    assert "large ones" in hint("ex-ch3-attention", unstable)
    assert "0 times infinity" in hint(
        "ex-ch3-attention", lambda q, k, v, mask: (q @ k.T + torch.where(mask, -torch.inf, 0.0) * 0) @ v
    )


def test_a_softmax_over_the_queries_is_recognised():
    """With padding it gives NaN, which has other causes too."""

    def attend(q, k, v, mask):
        return (q @ k.T / q.shape[-1] ** 0.5).masked_fill(mask, -torch.inf).softmax(0) @ v

    assert "over the queries" in repr(check("ex-ch3-attention", attend))


def test_nan():
    right = {"1e6": True, "inf": False, "nan": False}
    assert check("ex-ch3-nan", right)
    assert "is a finite number" in hint("ex-ch3-nan", right | {"1e6": False})
    assert "0 times inf" in hint("ex-ch3-nan", right | {"inf": True})
    assert "0 times nan" in hint("ex-ch3-nan", right | {"nan": True})
    assert "One answer each" in hint("ex-ch3-nan", {"1e6": True})


@torch.no_grad()
def test_shift():
    tokens = crop_tokens(prepare(simulate(12, seed=4)), torch.arange(12), TINY, "middle")
    moved, between, largest, day = {}, {}, {}, {}
    for name in ("paper", "corrected"):
        encoder = new_encoder(TINY, config.recipe(name), 1).eval()
        h = encoder(tokens)
        moved[name], day[name] = (
            (encoder(tokens._replace(times=tokens.times + days)) - h).norm(dim=1).median().item()
            for days in (365.25, 1)
        )
        distances = torch.cdist(h, h)
        between[name] = distances[~torch.eye(12, dtype=torch.bool)].median().item()
        largest[name] = distances.max().item()

    def ratios(over, under):
        return {name: over[name] / (under[name] if under else 1) for name in over}, tokens, TINY, 1

    assert check("ex-ch3-shift", *ratios(moved, between))
    wrong = {
        "alone": (moved, None),
        "upside down": (between, moved),
        "typical one": (moved, largest),
        "one day": (day, between),
        "not the median": (moved, {name: 0.3 * x for name, x in largest.items()}),
    }
    for words, pair in wrong.items():
        said = hint("ex-ch3-shift", *ratios(*pair))
        assert words in said
        assert f"{moved['paper'] / between['paper']:.2f}" not in said
    assert "nothing moved" in hint("ex-ch3-shift", {"paper": 0.0, "corrected": 0.0}, tokens, TINY, 1)
    assert "Two ratios" in hint("ex-ch3-shift", {"paper": 1.0}, tokens, TINY, 1)


def test_count():
    encoder = Encoder(EncoderConfig.of(config.preset("paper"), config.recipe("paper")))
    total = sum(p.numel() for p in encoder.parameters())
    parts = {name: p.numel() for name, p in encoder.named_parameters()}

    def without(*words):
        return total - sum(n for name, n in parts.items() if any(word in name for word in words))

    assert check("ex-ch3-count", total)
    wrong = {
        without("bias"): "All biases",
        without("norm"): "layer norms",
        without("projection"): "projection head",
        without("embedding"): "embedding is missing",
        without("layers.1", "layers.2", "layers.3"): "One layer",
        without("attention.out"): "one matrix more",
        total + 256: "rates",
        1_000: "Far too few",
        total - 7: "Off by 7",
    }
    for answer, words in wrong.items():
        said = hint("ex-ch3-count", answer)
        assert words in said and f"{total:,}" not in said and str(total) not in said
