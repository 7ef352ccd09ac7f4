"""The benchmark of discovery: what an oracle sees is counted, and joined over seeds."""

import numpy as np
from discover import INPUTS, SHOWN, asked, counted, one_seed, over_seeds

from astraclr.model.checkpoint import load_checkpoint


def test_an_oracle_finds_what_stands_apart():
    x = np.random.default_rng(0).normal(size=(150, 2))
    odd = np.arange(150) >= 144
    x[odd] += 12
    seen = asked(x, odd, "aad", 0)
    assert len(seen) == max(SHOWN) and counted(seen) == {"30": 6, "100": 6}


def test_every_search_has_every_row(monkeypatch):
    monkeypatch.setattr("discover.INPUTS", {name: INPUTS[name] for name in ("windows", "all three")})
    found = one_seed(40, 0, load_checkpoint("tiny"))
    assert set(found) == {"events", "rare class"}
    for rows in found.values():
        assert set(rows) == {"any", "windows", "all three"}
        assert all(set(rows[kind]) == {"isolation forest", "aad", "pine"} for kind in rows if kind != "any")
        assert all(0 <= n["30"] <= n["100"] <= 2 for kind in rows.values() for n in kind.values())


def test_intervals_are_students_and_hold_only_what_is_possible():
    joined = over_seeds([{"100": 19}, {"100": 21}], most=40)["100"]
    assert joined["mean"] == 20 and joined["seeds"] == [19, 21]
    assert joined["low"] == round(20 - 12.706, 2) and joined["high"] == round(20 + 12.706, 2)
    wide = over_seeds([{"30": 2, "100": 2}, {"30": 28, "100": 38}], most=40)
    assert [wide[n]["low"] for n in wide] == [0, 0] and [wide[n]["high"] for n in wide] == [30, 40]
    assert over_seeds([{"30": 4}], most=40)["30"]["low"] is None
