"""The 700 tokens of the exchange contract: their layout, their rules, and that they are the house's own crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import PRESETS, RECIPES
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.interop.onnx_inputs import LAYOUT, STRATEGIES, model_inputs
from astraclr.model.crops import crop_tokens


@pytest.fixture(scope="module")
def long():
    """Five stars with bands longer than their windows, as long, shorter and empty; times of bands interleaved."""
    rng = np.random.default_rng(5)
    counts = np.array([[900, 500, 80], [300, 350, 50], [301, 20, 0], [0, 733, 0], [1, 0, 0]])
    key = np.repeat(np.arange(counts.size), counts.ravel())
    n = len(key)
    return LightCurves.from_arrays(
        key // 3, key % 3, rng.uniform(58_200, 59_900, n), rng.normal(16 + key % 3, 0.3, n), rng.uniform(0.01, 0.1, n)
    )


def test_bands_have_their_places(long):
    inputs = model_inputs(long, STRATEGIES)
    assert [a.shape for a in inputs] == [(5, 5, 700, 1)] * 3 + [(5, 5, 700)]
    assert all(a.dtype == np.float32 for a in inputs)
    taken = (1 - inputs.mask).reshape(5, 5, 700)
    for k, (first, last) in enumerate(((0, 300), (300, 650), (650, 700))):
        expected = np.minimum(long.counts[:, k], last - first)
        assert (taken[:, :, first:last].sum(-1) == expected[:, None]).all()
        assert (np.diff(taken[:, :, first:last]) <= 0).all()  # padding at the end of each band
    padding = inputs.mask[..., None] == 1
    assert all((a[padding] == 0).all() for a in inputs[:3])
    assert np.allclose(np.unique(inputs.band_info[..., 0][..., 300:650]), [0, np.log10(6366.38)])


@pytest.mark.parametrize("middle", ["band", "epoch"])
@pytest.mark.parametrize("centring", ["star", "window"])
def test_deterministic_strategies_are_our_own_crops(long, middle, centring):
    inputs = model_inputs(long, ("beginning", "middle", "end"), middle=middle, centring=centring)
    recipe = replace(RECIPES["corrected"], middle_crop=middle, centring=centring)
    for s, crop in enumerate(("start", "middle", "end")):
        tokens = crop_tokens(prepare(long), torch.arange(5), PRESETS["paper"], crop, recipe, padded=True)
        np.testing.assert_array_equal(inputs.mask[:, s], tokens.mask.numpy())
        np.testing.assert_array_equal(inputs.times[:, s, :, 0], tokens.times.float().numpy())
        np.testing.assert_array_equal(inputs.band_info[:, s, :, 0], tokens.band.numpy())
        np.testing.assert_allclose(inputs.input[:, s, :, 0], tokens.mag.numpy(), atol=2e-6)


def test_windows_lie_inside_and_samples_are_sorted_without_repeats(long):
    for seed in range(20):
        inputs = model_inputs(long, ("window", "sample"), seed=seed)
        for k, (first, last) in enumerate(((0, 300), (300, 650), (650, 700))):
            for star in range(len(long)):
                n = min(long.counts[star, k], last - first)
                band = long.mjd[long.offsets[3 * star + k] : long.offsets[3 * star + k + 1]] - 58_000
                window, sample = (inputs.times[star, s, first : first + n, 0] for s in (0, 1))
                assert (np.diff(sample) > 0).all() and np.isin(sample, band.astype(np.float32)).all()
                place = np.searchsorted(band.astype(np.float32), window)
                assert (np.diff(place) == 1).all()


def test_one_generator_serves_star_after_star(long):
    whole = model_inputs(long, ("sample", "window"), seed=3)
    rng = np.random.default_rng(3)
    parts = [model_inputs(long[k : k + 2], ("sample", "window"), seed=rng) for k in (0, 2, 4)]
    for k, array in enumerate(whole):
        np.testing.assert_array_equal(array, np.concatenate([part[k] for part in parts]))
    assert not np.array_equal(whole.times, model_inputs(long, ("sample", "window"), seed=4).times)


def test_a_star_in_fewer_bands_or_another_order_is_the_same_star(long):
    star = long[2].to_table()
    few = LightCurves.from_table(star, bands={"r": 6366.38, "g": 4746.48})
    for a, b in zip(model_inputs(long[2], STRATEGIES), model_inputs(few, STRATEGIES), strict=True):
        np.testing.assert_array_equal(a, b)


def test_window_centring_forgets_the_offset_between_bands(long):
    r = long.segment % 3 == 1
    redder = replace(long, mag=np.where(r, long.mag + np.float32(0.5), long.mag))
    same, other = (
        model_inputs(redder, centring=c).input - model_inputs(long, centring=c).input for c in ("window", "star")
    )
    assert np.abs(same).max() < 5e-6
    g, r = other[0, 0, 0, 0], other[0, 0, 300, 0]
    assert r - g == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"strategies": ("start",)}, "no strategy 'start'; choose from beginning, middle, end, window, sample"),
        ({"strategies": ()}, "no strategy given"),
        ({"middle": "star"}, "no middle 'star'; choose from band, epoch"),
        ({"centring": "band"}, "no centring 'band'; choose from star, window"),
    ],
)
def test_other_rules_are_refused(long, how, message):
    with pytest.raises(ValueError, match=message):
        model_inputs(long, **how)


def test_other_bands_are_refused(long):
    bands = {"g": 4746.48, "y": 9700.0}
    lc = LightCurves.from_arrays(
        np.zeros(3, int),
        np.array([0, 1, 1]),
        np.arange(58_300.0, 58_303),
        np.full(3, 15.0),
        np.full(3, 0.1),
        bands=bands,
    )
    with pytest.raises(ValueError, match="no place for y, only g, r, i; .*drop_unknown_bands"):
        model_inputs(lc)
    assert list(LAYOUT.values()) == [300, 350, 50]
