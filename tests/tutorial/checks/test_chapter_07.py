"""Graders of chapter 7: right answers pass, and each typical mistake gets the hint that belongs to it."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from astraclr.config import preset, recipe
from astraclr.evaluate.finetune import FineTuned
from astraclr.evaluate.splits import bright
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.tutorial.checks import check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


@pytest.fixture(scope="module")
def checkpoint():
    size, method = preset("tiny"), recipe("corrected")
    return Checkpoint(new_encoder(size, method, 0).eval(), size, method, 0)


def tuned(checkpoint, moved: float, accuracy=(0.4, 0.6, 0.5), loss=(2.6, 2.5, 2.4)) -> FineTuned:
    """As if one layer had been thawed, and one of its weights had gone furthest."""
    encoder = copy.deepcopy(checkpoint.encoder)
    with torch.no_grad():
        for weight in encoder.layers[-1].parameters():
            weight += moved / 10
        next(iter(encoder.layers[-1].parameters())).view(-1)[0] += 0.9 * moved
    history = pd.DataFrame({"epoch": range(len(loss)), "loss": loss, "accuracy": accuracy})
    return FineTuned(encoder, nn.Identity(), checkpoint.preset, checkpoint.recipe, np.array(["a"]), history)


def test_rate(checkpoint):
    slow = tuned(checkpoint, 2e-4)
    assert check("ex-ch7-rate", slow, 2e-4, checkpoint)
    before, after = checkpoint.encoder.state_dict(), slow.encoder.state_dict()
    apart = [(after[k] - before[k]).abs() for k in before]
    every = float(np.mean([a.mean().item() for a in apart]))
    whole = sum(float(a.square().sum()) for a in apart) ** 0.5
    for furthest, hint in (
        (every, "That is a mean"),
        (whole, "length of the whole move"),
        (0.0, "with itself"),
        (1e-4, "moved further"),
        (2.4e-3, "what the rule allows"),
    ):
        said = repr(check("ex-ch7-rate", slow, furthest, checkpoint))
        assert hint in said and "0.0002" not in said and "2.0e-04" not in said
    assert "far larger rate" in repr(check("ex-ch7-rate", tuned(checkpoint, 0.02), 0.02, checkpoint))
    assert "No weight" in repr(check("ex-ch7-rate", tuned(checkpoint, 0.0), 0.0, checkpoint))
    warm = tuned(checkpoint, 2e-4, loss=(np.nan, 1.0, 0.9))
    assert "began at a probe" in repr(check("ex-ch7-rate", warm, 2e-4, checkpoint))


def test_optimism(checkpoint):
    label = np.array(["a", "b"] * 10)
    said = {"one": np.array(["a", "b"] * 5 + ["a"] * 10), "two": np.full(20, "b")}
    runs = {name: tuned(checkpoint, 0.0) for name in said}
    right = {"one": 0.6 - 0.75, "two": 0.6 - 0.5}
    assert check("ex-ch7-optimism", right, said, runs, label)
    wrong = {
        "sign": {k: -v for k, v in right.items()},
        "points of a hundred": {k: 100 * v for k, v in right.items()},
        "last pass": {k: v - 0.1 for k, v in right.items()},
        "lacks two": {"one": right["one"]},
        "one of the two": {"one": 0.6, "two": 0.6},
        "no pass": {"one": 0.33, "two": 0.1},
    }
    for hint, answer in wrong.items():
        told = repr(check("ex-ch7-optimism", answer, said, runs, label))
        assert hint in told and "0.15" not in told and "0.10" not in told
    assert "same stars" in repr(check("ex-ch7-optimism", right, said, runs, label[:9]))


def test_bright():
    test = simulate(120, seed=5)
    light = bright(test)
    assert 10 < light.sum() < 110
    lot = np.random.default_rng(0).random(120)
    guess = np.where(lot < np.where(light, 0.9, 0.4), test.label, "?")
    right = guess == test.label
    gap = float(right[light].mean() - right[~light].mean())
    guesses = {"encoder": guess, "features": guess}
    assert check("ex-ch7-bright", dict.fromkeys(guesses, gap), guesses, test)
    for answer, hint in (
        (-gap, "Small magnitudes"),
        (100 * gap, "of a hundred"),
        (gap / 2, "not that far apart"),
        (float(right[light].mean() - right.mean()), "a part"),
    ):
        said = repr(check("ex-ch7-bright", dict.fromkeys(guesses, answer), guesses, test))
        assert hint in said and f"{gap:.2f}" not in said
    assert "lacks features" in repr(check("ex-ch7-bright", {"encoder": gap}, guesses, test))


def found(x: np.ndarray, of: int = 1, among: int = 0, unit: bool = True) -> float:
    v = x / np.linalg.norm(x, axis=-1, keepdims=True) if unit else x
    return float(((v[:, of] @ v[:, among].T).argmax(1) == np.arange(len(x))).mean())


def test_forget():
    rng = np.random.default_rng(1)
    star, length = rng.normal(size=(200, 1, 4)), rng.uniform(0.3, 3, (200, 3, 1))
    three = {
        "before": length * (star + rng.normal(0, 0.3, (200, 3, 4))),
        "after": length * (star + rng.normal(0, 0.6, (200, 3, 4))),
    }
    share = {name: found(x) for name, x in three.items()}
    assert check("ex-ch7-forget", share, three)
    wrong = {"long vectors": {"unit": False}, "other way round": {"of": 0, "among": 1}, "end crops": {"of": 2}}
    for hint, how in wrong.items():
        said = repr(check("ex-ch7-forget", {name: found(x, **how) for name, x in three.items()}, three))
        assert hint in said and f"{share['before']:.2f}" not in said
    assert "nearest to itself" in repr(check("ex-ch7-forget", {"before": 1.0, "after": 1.0}, three))
    same = {"before": three["before"], "after": three["before"]}
    assert "Which pass" in repr(check("ex-ch7-forget", dict.fromkeys(same, share["before"]), same))
    assert "another share" in repr(check("ex-ch7-forget", {"before": 0.123, "after": 0.1}, three))
