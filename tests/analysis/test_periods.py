"""Period regression: exact where the period is in the embedding, and every way to be wrong in its own column."""

import numpy as np
import pytest

from astraclr.analysis.periods import period_regression, period_scores


def test_a_linear_embedding_gives_the_period_and_noise_gives_nothing():
    rng = np.random.default_rng(0)
    period = 10 ** rng.uniform(-1, 2, 400)
    x = rng.normal(size=(400, 4))
    x[:, 2] = 3 * np.log10(period) + 5
    good = period_regression(x[:200], period[:200], x[200:], period[200:])
    assert good["r2"] > 0.999 and good["right"] == 1 and good["other"] == 0
    assert good == period_regression(x[:200], period[:200], x[200:], period[200:])
    bad = period_regression(x[:200, :2], period[:200], x[200:, :2], period[200:])
    assert bad["r2"] < 0.1 and bad["right"] < 0.3


def test_each_way_to_be_wrong_is_counted_once():
    truth = np.array([0.3, 0.3, 0.3, 0.3, 0.3, 5.0, 1.0])
    wrong = np.array([0.32, 0.15, 0.6, 1 / (1 / 0.3 - 1), 1 / (1 / 0.3 + 1), 500.0, 40.0])
    found = period_scores(wrong, truth)
    assert [found[k] * 7 for k in ("right", "half", "double", "day_alias", "other")] == pytest.approx([1, 1, 1, 2, 2])
    log, ours = np.log10(truth), np.log10(wrong)
    assert found["r2"] == pytest.approx(1 - ((ours - log) ** 2).sum() / ((log - log.mean()) ** 2).sum())
    assert period_scores(np.full(7, 10 ** log.mean()), truth)["r2"] == pytest.approx(0)


@pytest.mark.parametrize(
    "truth, predicted, message",
    [
        ([1.0, np.nan], [1.0, 1.0], "1 of 2 periods are not positive"),
        ([1.0, 2.0], [1.0, 0.0], "predicted set"),
        ([1.0, 2.0], [1.0], "1 predicted and 2 true"),
        ([2.0, 2.0], [1.0, 1.0], "all true periods are equal"),
    ],
)
def test_bad_periods(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        period_scores(np.array(predicted), np.array(truth))


def test_numbers_of_stars_must_agree():
    with pytest.raises(ValueError, match="training set: 3 embeddings and 2 periods"):
        period_regression(np.zeros((3, 1)), np.ones(2), np.zeros((2, 1)), np.ones(2))
