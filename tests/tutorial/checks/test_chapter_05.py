"""Graders of chapter 5: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

import re

import numpy as np
import pytest
from grading import hint_of

from astraclr.analysis.latent_space import neighbour_purity, neighbours
from astraclr.tutorial.checks import check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


@pytest.fixture(scope="module")
def sky():
    """Vectors of 240 stars in which class and field both show, their labels, and who shares a field."""
    rng = np.random.default_rng(5)
    label, field = rng.choice(list("aabc"), 240), rng.integers(0, 12, 240)
    of_class, of_field = {c: rng.normal(size=8) for c in "abc"}, rng.normal(size=(12, 8))
    x = np.array([of_class[c] for c in label]) + of_field[field] + rng.normal(size=(240, 8))
    x *= rng.uniform(0.2, 5, size=(240, 1))
    return x, label, field[:, None] == field


def elsewhere(x, label, same_field, skip_itself=True):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    likeness = unit @ unit.T
    likeness[same_field & (skip_itself | ~np.eye(len(x), dtype=bool))] = -2
    return float((label[np.argsort(-likeness, axis=1)[:, :10]] == label[:, None]).mean())


def tells(verdict, *answers):
    """Whether a hint holds one of the right answers, rounded in any usual way."""
    numbers = {float(n) for n in re.findall(r"\d+\.\d+", hint_of(verdict))}
    return any(round(float(a), digits) in numbers for a in answers for digits in (2, 3, 4))


def test_cadence(sky):
    x, label, same_field = sky
    right = {"one": elsewhere(x, label, same_field)}
    assert check("ex-ch5-cadence", right, {"one": x}, same_field, label)
    index = neighbours(x, k=10)[0]
    alike, foreign = label[index] == label[:, None], ~same_field[np.arange(240)[:, None], index]
    away = np.where(same_field, np.inf, ((x[:, None] - x) ** 2).sum(-1))
    wrong = {
        "own field": alike.mean(),
        "found itself": elsewhere(x, label, same_field, skip_itself=False),
        "fewer than ten": alike[foreign].mean(),
        "directions": (label[np.argsort(away, axis=1)[:, :10]] == label[:, None]).mean(),
        "Which stars were excluded": 0.999,
    }
    for words, share in wrong.items():
        verdict = check("ex-ch5-cadence", {"one": float(share)}, {"one": x}, same_field, label)
        assert words in hint_of(verdict) and not tells(verdict, right["one"])
    assert "no number for two" in hint_of(check("ex-ch5-cadence", right, {"one": x, "two": x}, same_field, label))


def test_families(sky):
    x, label, _ = sky
    family = np.array([{"a": "pulsating", "b": "cataclysmic", "c": "rotating"}[c] for c in label])
    purity, names = neighbour_purity(x, family, k=10), ("pulsating", "cataclysmic")
    chance = {name: (family == name).mean() for name in names}
    right = {name: purity[name] / chance[name] for name in names}
    assert check("ex-ch5-families", right, x, family)
    wrong = {
        "that is the purity": {name: purity[name] for name in names},
        "that is the chance level": chance,
        "is a difference": {name: purity[name] - chance[name] for name in names},
        "not equally large": {name: purity[name] * 3 for name in names},
        "Check both": {name: 9.0 for name in names},
        "no number for cataclysmic": {"pulsating": right["pulsating"]},
    }
    for words, times in wrong.items():
        verdict = check("ex-ch5-families", times, x, family)
        assert words.lower() in hint_of(verdict).lower() and not tells(verdict, *right.values(), *chance.values())


def test_crops(sky):
    x, label, _ = sky
    three = x[:, None] / np.linalg.norm(x, axis=1)[:, None, None] + np.random.default_rng(6).normal(size=(240, 3, 8))
    three[:, 1] *= 2

    def purity(vectors):
        return float(np.mean(list(neighbour_purity(vectors, label, k=10).values())))

    single, fused = [purity(three[:, k]) for k in range(3)], purity(three.mean(1))
    side_by_side = purity(three.reshape(240, -1))
    right = fused - np.mean(single)
    assert check("ex-ch5-crops", {"one": right}, {"one": three}, label)
    wrong = {
        "sign": -right,
        "fused vectors": fused,
        "best crop": fused - max(single),
        "side by side": side_by_side - np.mean(single),
        "less the mean": 7.0,
    }
    for words, gain in wrong.items():
        verdict = check("ex-ch5-crops", {"one": gain}, {"one": three}, label)
        assert words in hint_of(verdict) and not tells(verdict, right)
