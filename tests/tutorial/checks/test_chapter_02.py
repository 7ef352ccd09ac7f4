"""Graders of chapter 2: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

import numpy as np
import torch
from grading import hint, lenient  # noqa: F401 - a fixture for all of them

from astraclr import config
from astraclr.data.tokens import prepare
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views
from astraclr.tutorial.checks import chapter_02, check


def view(star, n, rng, mean="star", last=1, together=False, pick="window"):
    taken = chapter_02._mean(star, weighted=mean != "plain")
    start, out = 0.0 if pick == "first" else rng.random(), {}
    for band, (t, m, e) in star.items():
        u = start if together or pick == "first" else rng.random()
        begin = int(u * (max(len(t) - n, 0) + last))
        at = slice(begin, begin + n)
        if pick == "holes":
            at = np.sort(rng.choice(len(t), min(n, len(t)), replace=False))
        level = {"band": np.average(m, weights=e**-2.0), "window": m[at].mean(), "none": 0}.get(mean, taken)
        out[band] = t[at], m[at] - level, e[at]
    return out


def test_view():
    assert check("ex-ch2-view", view)
    wrong = {
        "alone. What happens": {"mean": "band"},
        "has mean zero": {"mean": "window"},
        "are unchanged": {"mean": "none"},
        "same weight": {"mean": "plain"},
        "include its end": {"last": 0},
        "same place": {"together": True},
        "in between": {"pick": "holes"},
        "at random": {"pick": "first"},
    }
    for words, how in wrong.items():
        assert words in hint("ex-ch2-view", lambda *a, how=how: view(*a, **how))
    assert "function itself" in hint("ex-ch2-view", view(chapter_02._example(), 5, np.random.default_rng(0)))
    assert "your view has" in hint("ex-ch2-view", lambda *a: {"g": view(*a)["g"]})
    assert "instead of" in hint("ex-ch2-view", lambda star, n, rng: view(star, n + 1, rng))
    assert "return all of them" in hint(
        "ex-ch2-view", lambda *a: {b: tuple(c[:2] if b == "i" else c for c in v) for b, v in view(*a).items()}
    )


def test_share():
    drawn, of = 2 / 5, 3 / 5
    assert check("ex-ch2-share", drawn * of)
    wrong = {
        0.5: "nominal",
        drawn: "*drawn*",
        of: "*can*",
        0.3: "whole number",
        1 - drawn * of: "is kept",
        drawn * 0.5: "observations",
        24.0: "between 0 and 1",
        0.11: "side by side",
    }
    for answer, words in wrong.items():
        said = hint("ex-ch2-share", answer)
        assert words in said and "0.24" not in said


def test_reverse():
    star = simulate(3, seed=1).star(0)
    right = ["ECL", "ELL", "AGN"]

    def turned(change):
        return {band: change(*columns) for band, columns in star.items()}

    back = turned(lambda t, m, e: (-t, m, e))
    assert check("ex-ch2-reverse", star, back, right)
    assert check("ex-ch2-reverse", star, turned(lambda t, m, e: (120_000 - t[::-1], m[::-1], e[::-1])), right)
    changes = {
        "forwards": lambda t, m, e: (t, m[::-1], e),
        "follow them": lambda t, m, e: (-t[::-1], m, e),
        "stretch": lambda t, m, e: (-2 * t, m, e),
        "sign of the magnitudes": lambda t, m, e: (-t, -m, e),
        "no observation": lambda t, m, e: (-t[1:], m[1:], e[1:]),
    }
    for words, change in changes.items():
        assert words in hint("ex-ch2-reverse", star, turned(change), right)
    assert "falls slowly" in hint("ex-ch2-reverse", star, back, ["ECL", "ELL", "AGN", "RR"])
    assert "More classes" in hint("ex-ch2-reverse", star, back, ["ECL"])
    assert "not among" in hint("ex-ch2-reverse", star, back, [*right, "LPV"])


def test_window():
    data = prepare(simulate(80, seed=2))
    anchor = make_views(data, torch.arange(80), config.preset("tiny"), config.recipe("paper"), Draws(0))[0]
    spans = []
    for w in data.log_wavelength[:2]:
        times = [t[torch.isclose(b, w, atol=1e-4)] for t, b in zip(anchor.times, anchor.band, strict=True)]
        spans.append([(float(t.min()), float(t.max())) for t in times])
    first = np.array([[g[1] < r[0], r[1] < g[0]] for g, r in zip(*spans, strict=True)])
    right = first.any(1).mean()
    assert check("ex-ch2-window", right, anchor, data)
    wrong = {
        1 - right: "do overlap",
        first[:, 0].mean(): "g comes first",
        first[:, 1].mean(): "r comes first",
        100 * right: "between 0 and 1",
        0.0123: "ends before",
    }
    for answer, words in wrong.items():
        assert words in hint("ex-ch2-window", answer, anchor, data)
