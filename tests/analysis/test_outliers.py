"""Planted events: formulas at points where they are known, the survey's own cadence, and purity counted by hand."""

import sys

import numpy as np
import pytest

from astraclr.analysis.outliers import disagreement, outlier_scores, purity_at_top
from astraclr.config import PRESETS
from astraclr.model.crops import CROPS, cropped
from astraclr.simulation.transients import EVENTS, bazin, paczynski, planted


def test_magnification_of_a_point_lens():
    assert paczynski(1.0) == pytest.approx(3 / np.sqrt(5))
    assert paczynski(0.01) == pytest.approx(100, rel=1e-3) and paczynski(50.0) == pytest.approx(1, abs=1e-6)


def test_supernova_peaks_at_zero_with_flux_one():
    days = np.linspace(-60, 200, 26_001)
    flux = bazin(days, 4.0, 30.0)
    assert days[flux.argmax()] == pytest.approx(0, abs=0.01) and flux.max() == pytest.approx(1)
    assert np.divide(*bazin(np.array([150.0, 120.0]), 4.0, 30.0)) == pytest.approx(np.exp(-1), rel=1e-3)  # decline
    t = days + 4 * np.log(30 / 4 - 1)
    plain = np.exp(-t / 30) / (1 + np.exp(-t / 4))
    np.testing.assert_allclose(flux, plain / plain.max(), rtol=1e-6)
    before, after = bazin(np.array([-5_000.0, 5_000.0]), 2.0, 20.0)
    assert before == 0 and np.isfinite(after)


def test_supernovae_rise_in_weeks():
    """Type Ia supernovae take two to three weeks: simulated ones one to four from a tenth of the maximum."""
    before = np.arange(-60.0, 0.1, 0.1)
    for rise, fall in ((2.0, 15.0), (4.0, 27.0), (6.0, 40.0)):
        days = -before[bazin(before, rise, fall) > 0.1][0]
        assert 7 < days < 30, (rise, fall, days)


@pytest.mark.parametrize("kind", EVENTS)
def test_events_brighten_a_constant_star_and_nothing_else_changes(kind):
    lc, again, quiet = (planted(30, kind, seed=2, event=event) for event in (True, True, False))
    assert lc.mag.tobytes() == again.mag.tobytes() and (lc.label == kind).all() and np.isnan(lc.period).all()
    assert lc.counts[:, 1].min() > 20 and np.all(np.diff(quiet.mjd)[np.diff(quiet.segment) == 0] > 0)
    gained = []
    for k in range(30):
        with_event, without = lc.star(k)["r"], quiet.star(k)["r"]
        _, a, b = np.intersect1d(with_event[0], without[0], return_indices=True)
        difference = without[1][b] - with_event[1][a]
        gained.append(difference.max())
        if kind == "supernova":
            assert np.median(np.abs(difference)) < 0.1  # months in years
            errors = without[2]
            assert np.std((without[1] - np.median(without[1])) / errors) < 3
    assert np.median(gained) > 0.3


def test_microlensing_is_achromatic_and_supernovae_redden():
    def colour_change(kind):
        out = []
        lc, quiet = (planted(150, kind, seed=3, difficulty=0, event=event) for event in (True, False))
        for k in range(len(lc)):
            gain = {}
            for band in "gr":
                (t, m, _), (s, q, _) = lc.star(k)[band], quiet.star(k)[band]
                at, i, j = np.intersect1d(t, s, return_indices=True)
                gain[band] = at, q[j] - m[i]
            (t, g), (s, r) = gain["g"], gain["r"]
            near = np.abs(t[:, None] - s).argmin(1)
            close = (np.abs(t - s[near]) < 0.2) & (g > 0.5)
            out += list((g - r[near])[close])
        return np.array(out)

    assert abs(np.median(colour_change("microlensing"))) < 0.03
    assert np.ptp(np.quantile(colour_change("supernova"), [0.1, 0.9])) > 0.3


def test_a_far_cluster_is_found_and_purity_is_a_count():
    pytest.importorskip("coniferest", reason='outlier scores need: pip install "astraclr[interop]"')
    rng = np.random.default_rng(0)
    strange = np.arange(400) >= 396
    x = rng.normal(size=(400, 3)) + 8 * strange[:, None]
    scores = outlier_scores(x, seed=1)
    assert np.array_equal(scores, outlier_scores(x, seed=1)) and not np.array_equal(scores, outlier_scores(x, seed=2))
    found = purity_at_top(scores, strange, 0.01)
    assert found["purity"] == 1 and found["best"] == 1 and found["n_top"] == 4
    assert found["low"] <= found["purity"] <= found["high"] and found["chance"] == 0.01
    assert purity_at_top(scores, strange, 0.05, 0)["purity"] == pytest.approx(4 / 20)
    assert purity_at_top(-scores, strange, 0.05, 0)["purity"] == 0


def test_windows_that_agree_and_one_that_does_not():
    windows = np.zeros((2, 3, 4))
    windows[1, 2, 0] = 3.0
    assert disagreement(windows).tolist() == [[0, 0, 0, 0], [2, 0, 0, 0]]


def test_the_windows_of_a_star_together_show_what_the_encoder_sees(stars):
    preset = PRESETS["tiny"]
    parts = [cropped(stars, preset, crops=[crop]) for crop in CROPS]
    assert all(np.array_equal(p.counts, np.minimum(stars.counts, [40, 48, 8])) for p in parts)
    seen = cropped(stars, preset)
    for k in range(3):
        for band, (mjd, *_) in seen.star(k).items():
            assert set(mjd) == set().union(*(p.star(k)[band][0] for p in parts))
    assert np.array_equal(parts[0].star(0)["r"][0], stars.star(0)["r"][0][:48])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: planted(3, "nova"), "no event 'nova'"),
        (lambda: planted(0, "supernova"), "n_stars 0"),
        (lambda: outlier_scores(np.array([[0.0], [np.nan]])), "1 of them not finite"),
        (lambda: disagreement(np.zeros((5, 1, 4))), r"shape \(5, 1, 4\)"),
        (lambda: purity_at_top(np.zeros(3), np.zeros(3, bool), 0.1), "0 planted"),
        (lambda: purity_at_top(np.zeros(3), np.array([1, 0, 0], bool), 1.0), "share is 1.0"),
    ],
)
def test_bad_input_says_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "coniferest.isoforest", None)
    with pytest.raises(ImportError, match=r"astraclr\[interop\]"):
        outlier_scores(np.zeros((3, 2)))
