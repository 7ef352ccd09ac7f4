"""Graders of chapter 9: right answers pass, and each typical mistake gets the hint that belongs to it."""

from typing import Any

import numpy as np
import pytest

from astraclr.analysis.outliers import disagreement, outlier_scores, purity_at_top
from astraclr.simulation.simulate import simulate
from astraclr.simulation.transients import EVENTS
from astraclr.tutorial.checks import chapter_09 as graders
from astraclr.tutorial.checks import check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


def lots(n_windows: int, dimensions: int) -> dict:
    """Windows of 400 stars and of 20 of each kind, whose event is in one window; the null has none."""
    rng = np.random.default_rng(0)
    found: dict[Any, np.ndarray] = {
        "usual": rng.normal(size=(400, 1, dimensions)) + 0.3 * rng.normal(size=(400, n_windows, dimensions))
    }
    for kind in EVENTS:
        for event in (True, False):
            x = 0.3 * rng.normal(size=(20, n_windows, dimensions))
            x[:10, 0] += 4.0 * event
            found[kind, event] = x
    return found


def purity(vectors: dict, rank, share: float = 0.05, event: bool = True) -> dict[str, float]:
    found = {}
    for kind in EVENTS:
        x = np.concatenate([rank(vectors["usual"]), rank(vectors[kind, event])])
        scores = outlier_scores(x, 0)
        found[kind] = purity_at_top(scores, np.arange(len(x)) >= 400, share)["purity"]
    return found


def mean(windows: np.ndarray) -> np.ndarray:
    return windows.mean(axis=1)


def test_ranked_by_windows():
    six = lots(6, 16)
    right = purity(six, disagreement)
    assert 0.3 < min(right.values()) and check("ex-ch9-windows", right, six)
    wrong = {
        "strangest 1 %": purity(six, disagreement, 0.01),
        "the null": purity(six, disagreement, event=False),
        "a share": {kind: 40.0 for kind in EVENTS},
        "another share": dict.fromkeys(EVENTS, 0.2),
        "no share for microlensing": {"supernova": right["supernova"]},
    }
    for hint, answer in wrong.items():
        said = repr(check("ex-ch9-windows", answer, six))
        assert hint in said and f"{right['supernova']:.2f}" not in said
    flat = {name: x.reshape(len(x), -1) for name, x in six.items()}
    assert "6 windows" in repr(check("ex-ch9-windows", right, flat))
    assert "6 windows" in repr(check("ex-ch9-windows", right, lots(3, 16)))


def test_old_encoder():
    width = graders.load_checkpoint("tiny").preset.d_model
    three = lots(3, width)
    found = {"star": purity(three, mean), "windows": purity(three, disagreement)}
    assert check("ex-ch9-old", found, three)
    exchanged = {"star": found["windows"], "windows": found["star"]}
    assert "other one is asked for" in repr(check("ex-ch9-old", exchanged, three))
    assert "dimensions do not come" in repr(check("ex-ch9-old", found, lots(3, 2 * width)))
    assert "lacks 'windows'" in repr(check("ex-ch9-old", {"star": found["star"]}, three))


def brightening(lc, smooth: int = 5, scaled: bool = True, usual: bool = True, sign: int = 1):
    out = np.zeros(len(lc))
    for k in range(len(lc)):
        mag = lc.star(k)["r"][1]
        medians = np.median(np.lib.stride_tricks.sliding_window_view(mag, smooth), axis=1)
        low, middle, high = np.percentile(medians, [16, 50, 84])
        out[k] = sign * ((middle if usual else 20) - medians.min()) / (max(high - low, 1e-3) if scaled else 1)
    return out


def test_made_for_the_purpose():
    assert check("ex-ch9-purpose", brightening)
    mistakes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"smooth": 1}, "single outlying point"),
        ({"scaled": False}, "by the star's scatter"),
        ({"usual": False}, "own median"),
        ({"sign": -1}, "which median is brightest"),
    )
    for how, hint in mistakes:
        assert hint in repr(check("ex-ch9-purpose", lambda lc, how=how: brightening(lc, **how)))
    assert "function itself" in repr(check("ex-ch9-purpose", 0.8))
    assert "One number for each star" in repr(check("ex-ch9-purpose", lambda lc: brightening(lc)[:3]))


def test_period_inside_a_class():
    inside = simulate(200, seed=3, classes=("RR",))
    rng = np.random.default_rng(0)
    log_period = np.log10(inside.period)
    x = {"trained": np.stack([log_period + 0.05 * rng.normal(size=200), *rng.normal(size=(30, 200))], 1)}

    def explained(target, on):
        model = graders.make_pipeline(graders.StandardScaler(), graders.RidgeCV(np.logspace(-3, 5, 17)))
        return {"trained": model.fit(x["trained"][:100], target[:100]).score(x["trained"][on], target[on])}

    new = slice(100, None)
    right = explained(log_period, new)
    assert check("ex-ch9-class", right, x, inside)
    wrong = {
        "fitted to": explained(log_period, slice(100)),
        "The logarithm": explained(inside.period, new),
        "correlation": {"trained": right["trained"] ** 0.5},
        "another share": {"trained": -0.2},
        "lacks trained": {},
    }
    for hint, answer in wrong.items():
        said = repr(check("ex-ch9-class", answer, x, inside))
        assert hint in said and f"{right['trained']:.2f}" not in said
    assert "classes" in repr(check("ex-ch9-class", right, x, simulate(60, seed=1)))
