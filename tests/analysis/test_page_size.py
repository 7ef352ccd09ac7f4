"""The explorer says what its page costs before it starts, and refuses what no browser would show."""

from dataclasses import replace

import numpy as np
import pytest

from astraclr.analysis import page_size
from astraclr.analysis.explorer import explorer, filled
from astraclr.analysis.packed_curves import packed, thinned
from astraclr.analysis.page_size import MOST_POINTS, MOST_STARS, forecast, megabytes, points_a_star
from astraclr.model.checkpoint import load_checkpoint


def test_more_stars_get_fewer_points_each():
    assert [points_a_star(n, 150, 3) for n in (10, 20_000, 50_000, 10**9)] == [150, 150, 60, 3]
    assert points_a_star(MOST_STARS, 150, 3) * MOST_STARS <= MOST_POINTS


def test_too_many_stars_are_refused_before_any_work(stars, monkeypatch):
    monkeypatch.setattr(page_size, "MOST_STARS", 20)
    with pytest.raises(ValueError, match=r"stars are too many .*: at most 20\. .*--max-stars 20 "):
        explorer(stars, load_checkpoint("tiny"))


def test_the_size_of_the_curves_is_foreseen(stars):
    size = len(packed(thinned(stars, 50))) / 1e6
    assert megabytes(stars, len(stars), 50) - len(stars) * 230 / 1e6 == pytest.approx(size, rel=0.1)
    assert len(filled({"ids": ["1"], "encoder": "tiny"}, "")) < 1e6


def test_minutes_are_said_for_many_stars(stars, monkeypatch):
    few = replace(stars[:3], object_id=np.array(["a", "b", "c"]))
    assert forecast(few, load_checkpoint("tiny"), 3, 150).startswith("a page of 3 stars, about 0 MB")
    monkeypatch.setattr(page_size, "_QUICK", 2)
    said = forecast(few, load_checkpoint("tiny"), 3, 150)
    assert "to embed them takes about 0.0 minutes, then come the map and the neighbours" in said
