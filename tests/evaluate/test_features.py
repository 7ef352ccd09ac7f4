"""The hand-crafted baseline: finite whatever the light curve, and right about as often as real surveys are."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.features import MIN_EPOCHS, features
from astraclr.simulation.simulate import simulate

pytest.importorskip("light_curve", reason='the baseline needs: pip install "astraclr[interop]"')


def test_shape_names_and_finite():
    lc = simulate(36, seed=0)
    X, names = features(lc)
    assert X.shape == (36, len(names)) and X.dtype == np.float32 and np.isfinite(X).all()
    assert len(set(names)) == len(names) and {"g_amplitude", "i_missing", "g-r", "r-i"} <= set(names)
    missing = X[:, names.index("i_missing")] == 1
    assert np.array_equal(missing, lc.counts[:, 2] < MIN_EPOCHS)
    assert not X[missing][:, [k for k, n in enumerate(names) if n.startswith("i_") and n != "i_missing"]].any()


def test_a_star_has_the_same_features_in_any_company():
    lc = simulate(600, seed=0)
    np.testing.assert_array_equal(features(lc)[0][505:510], features(lc[505:510])[0])


def test_features_do_not_see_the_brightness():
    lc = simulate(24, seed=0)
    fainter = LightCurves(lc.mjd + 10, lc.mag + 1, lc.magerr, lc.offsets, lc.bands, lc.object_id, lc.label, lc.period)
    names = features(lc)[1]
    difference = np.abs(features(lc)[0] - features(fainter)[0]).max(0)
    changed = {name for name, d in zip(names, difference, strict=True) if d > 0.02}
    assert not changed


def test_hostile_light_curves_stay_finite():
    star = np.array([0] * 3 + [1] * 20 + [2] * 8)
    mjd = 58_200 + np.concatenate([np.arange(3), np.arange(20), np.repeat(np.arange(4), 2)]).astype(float)
    mag = np.concatenate([np.full(3, 17.0), np.full(20, 17.0), 17 + 0.1 * np.arange(8)])
    lc = LightCurves.from_arrays(star, np.zeros(31, int), mjd, mag, np.full(31, 0.02))
    X, names = features(lc)  # 3 epochs; a constant star; repeated times
    assert np.isfinite(X).all()
    assert X[:, names.index("g_missing")].tolist() == [1, 0, 0] and X[:, names.index("r_missing")].all()


def test_colours_are_differences_of_weighted_means():
    lc = LightCurves.from_arrays(
        np.zeros(12, int),
        np.repeat([0, 1], 6),
        58_200.0 + np.tile(np.arange(6), 2),
        np.repeat([17.5, 17.0], 6),
        np.full(12, 0.02),
    )
    X, names = features(lc)
    assert X[0, names.index("g-r")] == pytest.approx(0.5, abs=1e-6) and X[0, names.index("r-i")] == 0


def test_periodogram_finds_the_period_of_rr_lyrae():
    lc = simulate(20, seed=4, classes=["RR"], difficulty=0)
    X, names = features(lc, periodogram=True)
    found = 10 ** X[:, names.index("g_periodogram_period_0")]
    assert np.mean(np.abs(found / lc.period - 1) < 0.002) > 0.7  # the rest are daily aliases
    assert np.isfinite(X).all()


def test_the_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "light_curve", None)
    with pytest.raises(ImportError, match=r"astraclr\[interop\]"):
        features(simulate(1))


def test_logistic_regression_is_as_right_as_on_real_surveys():
    """0.70 to 0.78 with 3,000 training stars is the aim; 1,500 cost 2 points, 1,000 test stars 1.4 points of noise."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    lc = simulate(2_500, seed=0)
    X, _ = features(lc)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(X[:1_500], lc.label[:1_500])
    assert 0.66 < model.score(X[1_500:], lc.label[1_500:]) < 0.80
