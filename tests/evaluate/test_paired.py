"""Paired intervals see a gain that two separate intervals hide, and count an object with all its rows."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from astraclr.evaluate.metrics import score, with_intervals
from astraclr.evaluate.paired import drawn_objects, paired_difference


def two_classifiers(n=400, seed=0):
    """Hard stars are wrong for both; a few more are wrong for the second alone."""
    rng = np.random.default_rng(seed)
    truth = np.array(["RR", "ECL", "LPV"])[rng.integers(3, size=n)]
    other = np.roll(["RR", "ECL", "LPV"], 1)[np.searchsorted(["ECL", "LPV", "RR"], truth)]
    hard, more = rng.random(n) < 0.4, rng.random(n) < 0.05
    return truth, np.where(hard, other, truth), np.where(hard | more, other, truth), np.arange(n)


def test_a_gain_that_separate_intervals_hide_is_found():
    truth, ours, theirs, ids = two_classifiers()
    apart = [with_intervals(score(truth, labels), truth, ids) for labels in (ours, theirs)]
    assert apart[0]["accuracy_low"] < apart[1]["accuracy_high"]
    found = paired_difference(truth, ours, theirs, ids)
    assert found["accuracy_low"] > 0 and found["macro_f1_low"] > 0
    assert found["accuracy"] == pytest.approx((ours == truth).mean() - (theirs == truth).mean())
    back = paired_difference(truth, theirs, ours, ids)
    assert back["accuracy"] == -found["accuracy"] and back["macro_f1_high"] == pytest.approx(-found["macro_f1_low"])


def test_differences_are_those_of_a_loop_over_resampled_objects():
    truth, ours, theirs, ids = two_classifiers(60)
    ids = ids // 2  # two rows an object
    draws = []
    for times in drawn_objects(ids, seed=3, resamples=40):
        rows = np.repeat(np.arange(60), times)
        assert all(times[ids == k][0] == times[ids == k][1] for k in range(30))
        with warnings.catch_warnings(action="ignore"):  # a class that nothing is predicted as scores 0
            a, b = (f1_score(truth[rows], p[rows], average="macro") for p in (ours, theirs))
        draws.append(a - b)
    found = paired_difference(truth, ours, theirs, ids, seed=3, resamples=40)
    expected = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose([found["macro_f1_low"], found["macro_f1_high"]], expected, atol=1e-12)


def test_equal_classifiers_differ_by_nothing_and_unequal_lengths_are_refused():
    truth, ours, _, ids = two_classifiers(30)
    assert set(paired_difference(truth, ours, ours, ids).values()) == {0.0}
    with pytest.raises(ValueError, match="30 true classes, 30 and 29 predictions, 30 identifiers"):
        paired_difference(truth, ours, ours[1:], ids)
