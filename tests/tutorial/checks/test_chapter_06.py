"""Graders of chapter 6: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

from types import SimpleNamespace

import numpy as np
import pytest
from grading import hint_of

from astraclr.evaluate.benchmark import Vectors, best_of, logistic_classifier
from astraclr.evaluate.probes import C_GRID, linear_probe, weighted_knn
from astraclr.tutorial.checks import chapter_06, check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(6)
    return tuple(rng.choice(list("abc"), n) for n in (180, 151, 163))


def vectors(labels, seed, noise):
    """Vectors of three sets of stars whose classes show, more or less; the columns have different units."""
    rng = np.random.default_rng(seed)
    of_class = {c: rng.normal(size=6) for c in "abc"}
    clouds = (np.array([of_class[c] for c in y]) + noise * rng.normal(size=(len(y), 6)) for y in labels)
    return Vectors(*(cloud * (1, 9, 1, 1, 1, 1) + 2 for cloud in clouds))


def test_difference():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(500) < 0.7, rng.random(500) < 0.6
    only, other = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    z = (only - other) / np.sqrt(only + other)
    p, q = ours.mean(), theirs.mean()
    assert check("ex-ch6-difference", z, ours, theirs)
    wrong = {
        "second classifier": -z,
        "difference of the accuracies": p - q,
        "difference of counts": only - other,
        "different stars": (p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 500),
        "a square": z**2,
        "share of the disagreements": (only - other) / (only + other),
        "for each": 77.0,
    }
    for words, answer in wrong.items():
        hint = hint_of(check("ex-ch6-difference", answer, ours, theirs))
        assert words in hint.lower() + hint and f"{z:.1f}" not in hint
    assert "True or False" in hint_of(check("ex-ch6-difference", z, ours.astype(int), theirs.astype(int)))


def test_together(labels):
    fit_y, choose_y, test_y = labels
    names = ("recommended", "random weights", "chapter 4")
    x = {name: vectors(labels, seed, 2.0 + seed) for seed, name in enumerate(names)}
    x["features"] = vectors(labels, 9, 3.0)

    def accuracy(*parts, place=1):
        fit, asked = (np.hstack([x[p][k] for p in parts]) for k in (0, place))
        return linear_probe(fit, fit_y, asked, labels[place], C=0.1).accuracy

    alone = accuracy("features")
    right = {name: accuracy("features", name) - alone for name in names}
    assert check("ex-ch6-together", right, x, *labels)
    name = names[0]
    wrong = {
        "both together": right[name] + alone,
        "reversed": -right[name],
        "other way round": right[name] + alone - accuracy(name),
        "test stars": accuracy("features", name, place=2) - accuracy("features", place=2),
        "subtract ": 3.0,
    }
    for words, answer in wrong.items():
        hint = hint_of(check("ex-ch6-together", right | {name: answer}, x, *labels))
        assert words in hint and f"{right[name]:.2f}" not in hint
    assert "no gain for chapter 4" in hint_of(check("ex-ch6-together", dict(list(right.items())[:2]), x, *labels))


def test_temperature(labels):
    fit_y, choose_y, _ = labels
    v = vectors(labels, 3, 4.0)
    mean, spread = v.fit.mean(0), v.fit.std(0)

    def found(a, b, k_of=lambda k: k, t_of=lambda t: t):
        return {
            (k, t): weighted_knn(a, fit_y, b, choose_y, k=k_of(k), temperature=t_of(t)).accuracy
            for k in (1, 5, 20, 100)
            for t in (0.07, 1.0)
        }

    right = found(v.fit, v.choose)
    assert check("ex-ch6-temperature", right, v, fit_y, choose_y)
    wrong = {
        "other temperature": found(v.fit, v.choose, t_of=lambda t: 1.07 - t),
        "another number": found(v.fit, v.choose, k_of=lambda k: 20),
        "are standardised": found(*((part - mean) / spread for part in v[:2])),
        "train on the first": dict.fromkeys(right, 2.0),
        "missing": {(1, 0.07): 0.5},
    }
    for words, answer in wrong.items():
        verdict = check("ex-ch6-temperature", answer, v, fit_y, choose_y)
        assert words in hint_of(verdict) and not any(f"{value:.3f}" in hint_of(verdict) for value in right.values())


def test_contrast(labels, monkeypatch):
    v = vectors(labels, 4, 3.0)
    splits = SimpleNamespace(
        **{part: SimpleNamespace(label=y, x=x) for part, y, x in zip(("fit", "choose", "test"), labels, v, strict=True)}
    )
    monkeypatch.setattr(chapter_06, "random_control", lambda checkpoint: checkpoint)
    monkeypatch.setattr(chapter_06, "embed", lambda stars, checkpoint: stars.x)
    by_C = best_of({C: logistic_classifier(v.fit, labels[0], C) for C in C_GRID}, v.choose, labels[1])[1]
    middle = {"no times": {"1.0": 0.123, "10.0": 0.2}, "chapter 4": {"1.0": 0.321}}
    right = max(by_C.values())
    assert check("ex-ch6-contrast", right, None, splits, middle)
    wrong = {
        "'no times'": 0.2,
        "'chapter 4'": 0.321,
        "not the best one": min(by_C.values()),
        "as they are": 0.9999,
    }
    assert min(by_C.values()) < right - 1e-3
    for words, answer in wrong.items():
        verdict = check("ex-ch6-contrast", answer, None, splits, middle)
        assert words in hint_of(verdict) and f"{right:.2f}" not in hint_of(verdict)
    assert "could not be read" in hint_of(check("ex-ch6-contrast", by_C, None, splits, middle))
