import json

import numpy as np
import pytest

from astraclr.tutorial import results
from astraclr.tutorial.results import (
    FILES,
    NONE,
    UNKNOWN,
    best_random,
    compared,
    gain_text,
    over_seeds,
    paper_row,
    records,
    score_of,
    share_error,
)


def test_seeds_without_the_score_do_not_count():
    assert over_seeds([]) is None and over_seeds([{"macro_f1": 0.5}]) is None
    found = over_seeds([{"accuracy": 0.5}, {}])
    assert found and str(found) == "0.500" and found.interval == NONE


def test_files_that_are_not_there_are_empty(monkeypatch):
    def read(name):
        if name != "parity":
            raise FileNotFoundError(name)
        return json.loads('{"results": []}')

    monkeypatch.setattr(results, "committed_result", read)
    assert results.committed() == {name: {} for name in FILES} | {"parity": {"results": []}}


def test_a_difference_within_two_errors_is_undecided():
    assert gain_text(8.04, 1.0, "it") == "8.0 points above it" and gain_text(-3.0, 1.0, "it") == "3.0 points below it"
    assert gain_text(-1.0, 1.0, "it") == "1.0 points below it (undecided)"
    assert gain_text(None, 1.0, "it") == UNKNOWN


@pytest.mark.parametrize(
    "one, other, error, word",
    [
        (0.80, 0.70, 0.02, "above"),
        (0.70, 0.80, 0.02, "below"),
        (0.80, 0.77, 0.02, "level"),
        (0.77, 0.80, 0.02, "level"),
        (0.5, 0.5, 0.0, "level"),
        (0.51, 0.5, 0.0, "above"),
    ],
)
def test_numbers_closer_than_two_errors_are_level(one, other, error, word):
    assert compared(one, other, error) == word


def test_a_guard_fails_when_its_claim_is_false():
    for claim, one, other in (("above", 0.7, 0.8), ("above", 0.80, 0.79), ("level", 0.8, 0.7), ("below", 0.8, 0.7)):
        assert compared(one, other, error=0.02) != claim


@pytest.mark.parametrize("numbers", [(0.5, float("nan"), 0.1), (0.5, 0.4, float("nan")), (0.5, 0.4, -0.1)])
def test_what_is_not_a_number_is_not_compared(numbers):
    with pytest.raises(ValueError, match="give finite numbers and an error of 0 or more"):
        compared(*numbers)


def test_error_of_a_difference_of_shares_is_what_draws_scatter_by():
    rng = np.random.default_rng(0)
    draws = (rng.binomial(500, 0.8, 20_000) - rng.binomial(500, 0.6, 20_000)) / 500
    assert share_error(0.8, 0.6, 500) == pytest.approx(draws.std(), rel=0.03)


def test_rows_are_found_by_their_kind():
    seeds = {"0": {"knn": {"accuracy": 0.4}}, "1": {}}
    low = {"0": {"knn": {"accuracy": 0.1}}}
    result = {"rows": {"paper-random": {"seeds": seeds}, "paper": {"seeds": low}, "mine-random": {"seeds": low}}}
    assert paper_row(result) == "paper" and paper_row({}) is None
    found = best_random(result, "knn")
    assert found and (found.mean, found.seeds) == (0.4, 1)
    assert score_of(result, "paper", "linear_probe") is None and score_of({}, None, "knn") is None


def test_records_are_found_wherever_they_stand():
    rows = [{"way": "a", "accuracy": 1.0}, {"way": "b"}]
    assert list(records({"x": [{"y": rows}], "accuracy": 2}, "way", "accuracy")) == rows[:1]
