"""Folds never see the star they predict, and another survey's times are shifted by one number."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from astraclr.evaluate import surveys
from astraclr.evaluate.surveys import SURVEYS, Survey, at_the_time_of_ztf, out_of_folds
from astraclr.simulation.cadence import MJD_END, MJD_START


def clouds(n=60, shift=3.0):
    y = np.arange(n) % 3
    x = np.random.default_rng(0).normal(size=(n, 4)) + shift * np.eye(4)[y]
    return x, np.array(["RR", "ECL", "rest"])[y], np.array([f"s{k}" for k in range(n)])


def test_every_star_is_predicted_once_a_repeat_by_classifiers_that_did_not_see_it(monkeypatch):
    x, label, ids = clouds()
    x[:, 0] = np.arange(60)  # a name tag, by which the stars of a classifier are recognised
    fits, tests = [], []
    real = surveys.logistic_classifier

    def spy(fit_x, fit_y, C):
        classify = real(fit_x, fit_y, C)

        def noted(vectors):
            fits.append(set(fit_x[:, 0]))
            tests.append(set(vectors[:, 0]))
            return classify(vectors)

        return noted

    monkeypatch.setattr(surveys, "logistic_classifier", spy)
    found = out_of_folds(x, label, ids, repeats=2)
    assert all(not fit & test for fit, test in zip(fits, tests, strict=True))
    last = tests[4::5]  # four trials on a part of the training fold, then the fold itself
    assert len(last) == 10 and sorted(k for test in last[:5] for k in test) == list(range(60))
    assert found["linear_probe"]["n"] == 120 and found["n"] == 60 and "natural" not in found["linear_probe"]
    low, value, high = (found["linear_probe"][f"accuracy{end}"] for end in ("_low", "", "_high"))
    assert low < value < high and value > 0.8


def test_a_star_in_many_repeats_is_still_one_star():
    x, label, ids = clouds(shift=1.5)
    widths = []
    for repeats in (1, 4):
        found = out_of_folds(x, label, ids, repeats=repeats)["linear_probe"]
        widths.append(found["accuracy_high"] - found["accuracy_low"])
    assert widths[1] > 0.7 * widths[0]


def test_too_rare_a_class_is_refused():
    x, label, ids = clouds()
    label[:] = np.where(np.arange(60) < 2, "CV", "RR")
    with pytest.raises(ValueError, match="class CV has 2 stars; folds need at least 3"):
        out_of_folds(x, label, ids)


def test_times_are_shifted_by_one_number(stars):
    odd = replace(stars, mjd=stars.mjd - 50_123.0)
    found = at_the_time_of_ztf(odd)
    assert (found.mjd.min() + found.mjd.max()) / 2 == pytest.approx((MJD_START + MJD_END) / 2)
    np.testing.assert_allclose(found.mjd - odd.mjd, found.mjd[0] - odd.mjd[0], atol=1e-6)


def test_reading_keeps_the_classes_asked_for(stars, tmp_path):
    table = stars.to_rows().drop(columns="label")
    table["kind"] = np.where(stars.label == "", None, stars.label)
    table.loc[0, "kind"] = None
    table.to_parquet(tmp_path / "s.parquet")
    known = stars.object_id[1:][np.isin(stars.label[1:], ["RR", "ECL"])]
    two = Survey("s.parquet", stars.bands, ("RR", "ECL"), column="kind").read(tmp_path)
    assert two.object_id.tolist() == known.tolist() and set(two.label) == {"RR", "ECL"}
    three = Survey("s.parquet", stars.bands, ("RR", "ECL"), column="kind", rest="rest", own_time=False).read(tmp_path)
    assert len(three) == len(stars) and set(three.label) == {"RR", "ECL", "rest"}
    np.testing.assert_array_equal(three.mjd, stars.mjd)


@pytest.mark.real
@pytest.mark.parametrize(("name", "n", "classes"), [("ztf", 125, 3), ("eros", 1_017, 4), ("stripe82", 238, 2)])
def test_the_real_surveys(real_data, name, n, classes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lc, as_it_is = (SURVEYS[name].read(real_data, shifted) for shifted in (True, False))
    assert len(lc) == n and len(np.unique(lc.label)) == classes
    moved = np.unique(np.round(lc.mjd - as_it_is.mjd, 3))
    assert len(moved) == 1 and (moved[0] == 0) == (name == "ztf")


def test_kinds_of_vectors_are_compared_in_the_same_folds():
    x, label, ids = clouds()
    blind = np.random.default_rng(1).normal(size=x.shape)
    found = surveys.compared_out_of_folds({"trained": x, "blind": blind, "same": x}, label, ids, repeats=1)
    assert found["scores"]["trained"] == out_of_folds(x, label, ids, repeats=1)
    gain, apart = found["gain"]["blind"]["linear_probe"], found["scores"]
    assert gain["macro_f1"] == pytest.approx(
        apart["trained"]["linear_probe"]["macro_f1"] - apart["blind"]["linear_probe"]["macro_f1"]
    )
    assert 0 < gain["macro_f1_low"] < gain["macro_f1"] < gain["macro_f1_high"]
    assert set(found["gain"]["same"]["knn"].values()) == {0.0}
