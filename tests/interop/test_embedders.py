"""Our encoder under the calls of other packages, and their models under ours."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from astraclr.config import RUBIN_BANDS
from astraclr.interop import embedders
from astraclr.interop.embedders import Curve, StarEmbedder, Transformer, curves, find_model, vectors_by
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.embedding import embed


@pytest.fixture(scope="module")
def tiny():
    return load_checkpoint("tiny")


def test_one_star_is_called_as_a_model_of_light_curve(tiny, stars):
    from inspect import signature

    light_curve = pytest.importorskip("light_curve.embed")
    assert list(signature(StarEmbedder.__call__).parameters) == list(
        signature(light_curve.AstraCLR.__call__).parameters
    )
    star, expected = curves(stars[:1])[0], embed(stars[:1], tiny)
    found = StarEmbedder(tiny)(star.mjd, star.mag, star.magerr, star.band)
    assert found.shape == (1, 1, 1, 64)
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-5)
    crops = StarEmbedder(tiny, fused=False)(list(star.mjd), list(star.mag), list(star.magerr), list(star.band))
    assert crops.shape == (1, 3, 1, 64)
    np.testing.assert_allclose(crops.mean(axis=(1, 2)), expected, atol=1e-5)


def test_light_curves_of_every_form_are_transformed(tiny, stars):
    few = stars[:3]
    one, other, third = curves(few)

    class Plain:
        time, mag, magerr, band = other.mjd, other.mag, other.magerr, other.band

    mixed = [dict(one), Plain(), pd.DataFrame(dict(third)).drop(columns="time")]
    np.testing.assert_allclose(Transformer(tiny).transform(mixed), embed(few, tiny), atol=1e-5)
    np.testing.assert_array_equal(Transformer(tiny).transform(few), embed(few, tiny))


def test_unusable_columns_are_refused(tiny, stars):
    star = curves(stars[:1])[0]
    for change, line in (
        ({"band": np.full(len(star.mjd), "u")}, "band u is unknown; give its wavelength with bands="),
        ({"mag": np.full(len(star.mjd), np.nan)}, "are not finite"),
        ({"magerr": np.zeros(len(star.mjd))}, "errors must be above 0"),
    ):
        with pytest.raises(ValueError, match=line):
            Transformer(tiny).transform([{**star, **change}])
    with pytest.raises(ValueError, match="lacks the column mag"):
        Transformer(tiny).transform([{"mjd": star.mjd}])
    with pytest.raises(ValueError, match="no light curves"):
        Transformer(tiny).transform([])
    assert StarEmbedder(tiny, bands=RUBIN_BANDS)(star.mjd, star.mag, star.magerr, star.band).shape[-1] == 64
    with pytest.raises(AttributeError):
        _ = Curve(mjd=star.mjd).mag


class Fluxes:
    """A model of light_curve.embed's kind, of fluxes in two windows."""

    def __call__(self, time, flux, flux_err, band: Any = None):
        assert len(time) == len(band) and np.all(np.diff(time) >= 0)
        return np.stack([[[np.log10(flux).mean(), (flux_err / flux).mean()]]] * 2, axis=1)


def test_foreign_models_are_called_by_the_names_of_their_arguments(stars):
    few = stars[:4]
    star = np.repeat(np.arange(4), few.counts.sum(1))
    mag, err = (np.bincount(star, c) / np.bincount(star) for c in (few.mag, few.magerr))
    found = vectors_by(Fluxes(), few)
    np.testing.assert_allclose(found[:, 0], -0.4 * (mag - 31.4), atol=1e-4)
    np.testing.assert_allclose(found[:, 1], err * 0.4 * np.log(10), rtol=1e-4)
    np.testing.assert_array_equal(vectors_by(lambda lc: lc.counts, few), few.counts)


def test_a_result_of_the_wrong_kind_is_refused(stars):
    with pytest.raises(ValueError, match=r"gives an array of shape \(4,\) for 4 stars; need \(4, d\)"):
        vectors_by(lambda lc: np.zeros(len(lc)), stars[:4])
    with pytest.raises(ValueError, match="4 of 4 vectors that are not finite"):
        vectors_by(lambda lc: np.full((len(lc), 2), np.nan), stars[:4])


def test_a_model_is_found_by_module_and_attribute():
    assert find_model("astraclr.interop.embedders:curves") is embedders.curves
    for where, line in (
        ("curves", "write module:attribute"),
        ("no_such_module:x", "no_such_module"),
        ("json:x", "'x'"),
    ):
        with pytest.raises(ValueError, match=line):
            find_model(where)
