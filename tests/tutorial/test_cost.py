"""The cost of a run, against arithmetic done by hand."""

import re
from dataclasses import replace

import pytest
from notebooks import BOOK, code_of, read_notebook

from astraclr.config import preset
from astraclr.tutorial.cost import Assumed, cost, paper_rate, paper_run, stars_seen, what_if


def test_a_run_costs_what_arithmetic_says():
    """7.2 million light curves at 100/s are 20 device-hours: 2.5 on each of 8; 14 kWh at 700 W, 40 at 2 an hour."""
    found = cost(7_200_000, 100, Assumed(price=2.0, watts=700, carbon=0.5), devices=8)
    assert found == pytest.approx({"device_hours": 20, "days": 2.5 / 24, "kwh": 14, "money": 40, "kg_co2": 7})
    alone = cost(7_200_000, 100, Assumed(price=2.0, watts=700, carbon=0.5))
    assert alone["money"] == found["money"] and alone["days"] == pytest.approx(20 / 24)


def test_the_papers_run_is_250_passes_or_stops_after_21():
    fewest, most = stars_seen(preset("paper"))
    assert most == 250 * 2_692 * 624 == 419_952_000  # 2,692 batches of 624 are 1.68 million stars, 80 % of 2.1
    assert fewest == 21 * 2_692 * 624
    short = replace(preset("paper"), steps=100)
    assert stars_seen(short) == (62_400, 62_400)


def test_an_assumed_rate_is_a_share_of_the_peak():
    assert what_if(1e11, 1e15, 0.4) == pytest.approx(4_000)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="a rate of 0 light curves/s on 1 devices"):
        cost(1, 0, Assumed(1, 1))
    with pytest.raises(ValueError, match="on 0 devices"):
        cost(1, 1, Assumed(1, 1), devices=0)
    with pytest.raises(ValueError, match="utilisation 40: a share"):
        what_if(1, 1, 40)


def test_the_papers_run_has_one_rate_and_one_function():
    """Two cores at the measured rate; both chapters that print the bill take it from here."""
    found = paper_run(paper_rate(), Assumed(price=0.10, watts=60))
    assert list(found) == ["21 passes", "250 passes"]
    assert found["250 passes"]["days"] == pytest.approx(419_952_000 / paper_rate() / 86_400)
    for chapter in ("04_pretraining", "10_scaling_out"):
        code = "\n".join(code_of(read_notebook(BOOK / f"{chapter}.ipynb")))
        assert re.search(r"\bpaper_run\(", code) and re.search(r"\bpaper_rate\(", code), chapter
