"""Graders of chapter 4: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

import math

import pytest
import torch
import torch.nn.functional as F
from grading import hint_of

from astraclr.train.losses import chance_level, floor_level, nt_xent
from astraclr.tutorial.checks import chapter_04, check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


def test_the_literal_loss_without_a_mistake_is_nt_xent():
    z = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    assert chapter_04._literal(z, 0.2) == pytest.approx(float(nt_xent(z, 0.2)), rel=1e-5)


@pytest.mark.parametrize("mistake", chapter_04._LOSS_HINTS)
def test_each_mistake_in_the_loss_gets_its_own_hint(mistake):
    verdict = check("ex-ch4-loss", lambda z, T: chapter_04._literal(z, T, mistake=mistake))
    assert hint_of(verdict) == chapter_04._LOSS_HINTS[mistake]


def test_loss():
    assert check("ex-ch4-loss", nt_xent)
    assert "sign" in hint_of(check("ex-ch4-loss", lambda z, T: -nt_xent(z, T)))
    assert "function itself" in hint_of(check("ex-ch4-loss", 2.5))
    assert "term" in hint_of(check("ex-ch4-loss", lambda z, T: 0.0))

    def unstable(z, T):
        unit = F.normalize(z, dim=-1).flatten(0, 1)
        weight = torch.exp(unit @ unit.T / T).fill_diagonal_(0)
        row = torch.arange(len(unit))
        same = (row[:, None] % z.shape[1] == row % z.shape[1]) & (row[:, None] != row)
        return -torch.log(weight / weight.sum(1, keepdim=True))[same].mean()

    assert "not finite at T = 0.005" in hint_of(check("ex-ch4-loss", unstable))


def test_floor():
    loss = {(v, t): float(nt_xent(torch.eye(128).expand(v, -1, -1), t)) for v in (2, 3) for t in (0.1, 0.05)}
    above = {t: loss[3, t] - floor_level(3) for t in (0.1, 0.05)}
    assert check("ex-ch4-floor", 0.0, above)
    hints = {
        "of three views": check("ex-ch4-floor", math.log(2), above),
        "constant output": check("ex-ch4-floor", chance_level(2, 128), above),
        "still have some weight": check("ex-ch4-floor", loss[2, 0.1], above),
        "every negative": check("ex-ch4-floor", 3.0, above),
        "the temperatures": check("ex-ch4-floor", 0.0, {0.1: above[0.1]}),
        "the loss itself": check("ex-ch4-floor", 0.0, {t: loss[3, t] for t in above}),
        "two views": check("ex-ch4-floor", 0.0, {t: loss[2, t] for t in above}),
        "another distance": check("ex-ch4-floor", 0.0, {0.1: 0.5, 0.05: 0.5}),
    }
    for words, verdict in hints.items():
        assert words in hint_of(verdict)
        assert not {"ln 1", f"{above[0.1]:.3f}", f"{above[0.1]:.4f}"} & set(hint_of(verdict).split())


def gauge(loss, uniformity):
    return {"val_loss": loss, "uniformity": uniformity}


def test_warmup():
    dead, alive = gauge(chance_level(3, 32), 0.0), gauge(3.9, -1.2)
    tried = {4: dead, 9: dead, 15: alive, 500: alive}
    assert check("ex-ch4-warmup", 15, tried)
    hints = {
        "no run": check("ex-ch4-warmup", 12, tried),
        "same vector": check("ex-ch4-warmup", 9, tried),
        "even shorter": check("ex-ch4-warmup", 15, {15: alive, 500: alive}),
        "shortest is asked": check("ex-ch4-warmup", 500, tried),
        "in between": check("ex-ch4-warmup", 15, {4: dead, 15: alive}),
        "hold the gauges": check("ex-ch4-warmup", 15, {15: ([4.5], alive)}),
    }
    assert all(words in hint_of(verdict) for words, verdict in hints.items())
    assert "15" not in hint_of(hints["no run"]).split(":")[0] + hint_of(hints["same vector"])


def test_bytes():
    def layer(seed, width=3):
        torch.manual_seed(seed)
        return torch.nn.Linear(width, 2)

    assert check("ex-ch4-bytes", layer(0), layer(0), layer(1))
    one, rounded = layer(0), layer(0)
    rounded.weight.data += 1e-7
    hints = {
        "same object": check("ex-ch4-bytes", one, one, layer(1)),
        "same seed, stars": check("ex-ch4-bytes", layer(0), layer(2), layer(1)),
        "last digits": check("ex-ch4-bytes", layer(0), rounded, layer(1)),
        "another seed": check("ex-ch4-bytes", layer(0), layer(0), layer(0)),
        "shape": check("ex-ch4-bytes", layer(0), layer(0), layer(1, width=4)),
    }
    assert all(words in hint_of(verdict) for words, verdict in hints.items())
