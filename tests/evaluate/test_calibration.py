"""A temperature makes confidence honest, one that grows with the distance also under shift, and keeps the class."""

from typing import Any

import numpy as np
import pytest

from astraclr.evaluate.calibration import Temperature, confidence_scores, fit_temperature, log_loss
from astraclr.evaluate.metrics import calibration_error


def shifted(n, novelty, seed):
    """Stars whose scores are too large by a factor that grows with the novelty."""
    rng = np.random.default_rng(seed)
    honest = 2 * rng.normal(size=(n, 4))
    p = np.exp(honest) / np.exp(honest).sum(1, keepdims=True)
    truth = (p.cumsum(1) > rng.random((n, 1))).argmax(1)
    distance = np.full(n, novelty)
    return honest * 1.5 * (1 + 2 * distance)[:, None], distance, truth


def test_the_factor_is_found():
    sets = [shifted(800, d, seed) for seed, d in enumerate((0.1, 0.5, 1.0, 4.0))]
    found = fit_temperature(sets)
    assert found.base == pytest.approx(1.5, rel=0.2) and found.growth == pytest.approx(2.0, rel=0.3)
    one = fit_temperature(sets, grows=False)
    assert one.growth == 0 and all(log_loss(found, s) <= log_loss(one, s) + 1e-3 for s in sets)


def test_calibration_under_a_shift_that_was_not_fitted():
    found = fit_temperature([shifted(800, d, seed) for seed, d in enumerate((0.1, 0.5, 1.0))])
    scores, novelty, truth = shifted(2_000, 8.0, seed=9)

    def error(temperature):
        p = temperature.probabilities(scores, novelty)
        return calibration_error(p, p.argmax(1) == truth)

    assert error(found) < 0.08 < 0.2 < error(Temperature())
    p = found.probabilities(scores, novelty)
    np.testing.assert_array_equal(p.argmax(1), scores.argmax(1))


def test_a_temperature_of_one_is_the_softmax():
    scores = np.array([[1.0, 2.0, 1000.0], [0.0, 0.0, -1000.0]])
    p = Temperature().probabilities(scores, np.array([0.0, 9.0]))
    np.testing.assert_allclose(p, [[0, 0, 1], [0.5, 0.5, 0]], atol=1e-12)


def test_impossible_temperatures_and_empty_groups_are_refused():
    for base, growth in ((0.0, 0.0), (-1.0, 0.0), (np.nan, 0.0), (1.0, -0.1)):
        with pytest.raises(ValueError, match="base > 0, growth >= 0"):
            Temperature(base, growth)
    with pytest.raises(ValueError, match="give labelled stars to calibrate on"):
        fit_temperature([])


def test_confidence_scores_say_what_a_flag_is_worth():
    rng = np.random.default_rng(0)
    flagged = np.arange(400) < 200
    right = rng.random(400) < np.where(flagged, 0.4, 0.8)
    p = np.stack([np.full(400, 0.8), np.full(400, 0.2)], 1)
    found: dict[str, Any] = dict(confidence_scores(p, right, flagged))
    assert found["n"] == 400 and found["flagged"] == 0.5 and found["confidence"] == pytest.approx(0.8)
    assert found["accuracy"] == right.mean() and found["calibration_error"] == pytest.approx(0.8 - right.mean())
    assert 0.25 < found["flag_difference_low"] < found["flag_difference"] < found["flag_difference_high"] < 0.55
    assert found["calibration_error_of_perfect"] < 0.03 < found["calibration_error_low"]
    few = confidence_scores(p[:20], right[:20], np.arange(20) < 5)
    assert few["accuracy_flagged"] is None and few["flag_difference_low"] is None and few["accuracy_unflagged"]
