"""The laboratory on selection: built like a chapter, and graders that know mistakes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_devices as devices
from grading import hint_of

from astraclr.evaluate.metrics import NATURAL
from astraclr.simulation.simulate import simulate
from astraclr.tutorial.checks import check

PAGE = Path(__file__).resolve().parents[3] / "book" / "lab_bias.ipynb"


DEVICES = (
    "a_chapter_has_all_its_parts_in_order",
    "a_chapter_can_be_read_in_one_sitting",
    "predictions_are_checked",
    "quizzes",
    "exercises_have_folded_solutions",
)


@pytest.mark.parametrize("device", DEVICES)
def test_it_is_built_like_a_chapter(device):
    getattr(devices, f"test_{device}")(PAGE)


@pytest.fixture(scope="module")
def many():
    return simulate(600, seed=3)


def test_the_cut(many):
    left = {
        c: min(np.mean((many.counts[many.label == name, :2] >= c).all(axis=1)) for name in np.unique(many.label))
        for c in range(10, 400, 10)
    }
    right = max(c for c, share in left.items() if share >= 0.9)
    assert check("ex-lab-cut", right, many)
    assert "stricter" in hint_of(check("ex-lab-cut", right - 20, many))
    assert "Too strict" in hint_of(check("ex-lab-cut", 350, many))
    between = [c for c in left if left[c] < 0.9 <= (many.counts[:, :2] >= c).all(axis=1).mean()]
    assert all("each class" in hint_of(check("ex-lab-cut", c, many)) for c in between)
    assert "not a step" in hint_of(check("ex-lab-cut", right + 1, many))


def test_the_sky():
    recall = pd.Series(np.linspace(0.2, 0.9, 12), index=sorted(NATURAL))
    share = pd.Series(NATURAL) / sum(NATURAL.values())
    assert check("ex-lab-sky", (share * recall).sum(), recall)
    assert "equally frequent" in hint_of(check("ex-lab-sky", recall.mean(), recall))
    assert "divide the weights" in hint_of(check("ex-lab-sky", (pd.Series(NATURAL) * recall).sum(), recall))
    mixed = recall.sample(frac=1, random_state=0)
    assert "orders" in hint_of(check("ex-lab-sky", (share.to_numpy() * mixed.to_numpy()).sum(), mixed))
    assert "twelve classes" in hint_of(check("ex-lab-sky", 0.5, recall[:5]))
    assert "wanted" in hint_of(check("ex-lab-sky", 0.01, recall))


def test_the_spectra():
    r_mag = np.arange(1200) % 600 / 100.0
    fit = np.arange(1200) < 600
    bright = fit & (r_mag < 3)
    faint = np.arange(450, 550)
    assert check("ex-lab-buy", faint, r_mag, fit, bright)
    assert "different stars" in hint_of(check("ex-lab-buy", faint[:50], r_mag, fit, bright))
    assert "test stars" in hint_of(check("ex-lab-buy", faint + 600, r_mag, fit, bright))
    assert "already" in hint_of(check("ex-lab-buy", faint - 300, r_mag, fit, bright))
    assert "faintest third" in hint_of(check("ex-lab-buy", np.arange(300, 400), r_mag, fit, bright))
    assert "whole numbers" in hint_of(check("ex-lab-buy", fit, r_mag, fit, bright))
