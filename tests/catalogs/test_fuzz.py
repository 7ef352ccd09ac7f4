"""Whatever light curves come: shapes, masks and finiteness hold, and neither padding nor the order of rows is seen."""

import typing
import warnings
from dataclasses import dataclass, fields, replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astraclr.config import RECIPES, ZTF_BANDS, Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS, crop_tokens
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views

MINI = Preset("mini", 16, 2, 2, 32, (("g", 12), ("r", 15), ("i", 4)), 0, 0, 8, 1)
WIDE = replace(MINI, name="wide", windows=(("g", 300), ("r", 350), ("i", 50)))
BANDS = (
    ZTF_BANDS,
    {"r": 6366.38},
    {"B": 4361.0, "R": 6407.0},
    {"u": 3551.0, "g": 4686.0, "r": 6166.0, "i": 7480.0, "z": 8932.0},
)
BAD = (
    {"mjd": np.nan},
    {"mjd": -np.inf},
    {"mjd": -999.0},
    {"mjd": 1e300},
    {"mag": np.nan},
    {"mag": np.inf},
    {"mag": 99.999},
    {"mag": -90.0},
    {"mag": 1e300},
    {"magerr": np.nan},
    {"magerr": 0.0},
    {"magerr": -0.1},
    {"magerr": 9.0},
    {"magerr": 1e300},
    {"magerr": 1e-300},
)
"""What no survey measures; 1e300 and 1e-300 do not fit in float32."""

MAGS = st.floats(-90, 90, exclude_min=True, exclude_max=True, width=32)
ERRORS = st.floats(0, 9, exclude_min=True, exclude_max=True, width=32) | st.sampled_from([1e-45, 1e-30, 1e-12, 0.02])
TIMES = st.floats(-9e6, 9e6) | st.floats(58_000, 60_000)
COUNTS = st.integers(0, 20) | st.sampled_from([0, 0, 1, 60])
LONG = st.sampled_from([0, 1, 49, 51, 299, 300, 301, 350, 351, 3000])
NOTHING_BAD = st.just([])
MODELS = {
    **RECIPES,
    "errors": replace(RECIPES["corrected"], error_input=True),
    "window": replace(RECIPES["corrected"], centring="window", middle_crop="epoch"),
}


def fuzz(examples):
    """Every run tries the same examples, however slow the machine."""
    checks = typing.cast("list[HealthCheck]", list(HealthCheck))  # its metaclass gives the members no type
    return settings(max_examples=examples, derandomize=True, deadline=None, suppress_health_check=checks)


@dataclass
class Rows:
    """Observations in any order; `good` where one can be kept. Stars and bands are numbered."""

    star: np.ndarray
    band: np.ndarray
    mjd: np.ndarray
    mag: np.ndarray
    magerr: np.ndarray
    good: np.ndarray
    n_stars: int
    bands: dict

    def light_curves(self, order: np.ndarray | slice = slice(None)) -> LightCurves:
        columns = [c[order] for c in (self.star, self.band, self.mjd, self.mag, self.magerr)]
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            warnings.filterwarnings("ignore", "times run from", UserWarning)
            return LightCurves.from_arrays(*columns, bands=self.bands, object_id=np.arange(self.n_stars))

    def shuffled(self, random):
        order = np.arange(len(self.star))
        random.shuffle(order)
        return self.light_curves(order)


@st.composite
def rows(draw, counts=COUNTS, bad=NOTHING_BAD, most=4):
    """A ragged set of light curves; values come from small pools, so that times and whole rows repeat."""
    bands, n_stars = draw(st.sampled_from(BANDS)), draw(st.integers(1, most))
    n_segments = n_stars * len(bands)
    length = draw(st.lists(counts, min_size=n_segments, max_size=n_segments).filter(any))
    n, rng = sum(length), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = {
        name: rng.choice(draw(st.lists(pool, min_size=1, max_size=6)), n)
        for name, pool in (("mjd", TIMES), ("mag", MAGS), ("magerr", ERRORS))
    }
    columns["mjd"] = columns["mjd"] + draw(st.sampled_from([0.25, 7.0])) * rng.integers(1 + n // 2, size=n)
    good = ~np.isin(columns["mjd"], (-9999, -999, -99))
    for wrong in draw(bad):
        (name, value), place = *wrong.items(), rng.integers(n)
        columns[name][place], good[place] = value, False
    segment = np.repeat(np.arange(n_segments), length)
    star, band = segment // len(bands), segment % len(bands)
    return Rows(star, band, columns["mjd"], columns["mag"], columns["magerr"], good, n_stars, bands)


def switched():
    """Every recipe, and the default with every single switch of `Recipe` in each of its other positions."""
    yield from (pytest.param(recipe, id=name) for name, recipe in RECIPES.items())
    default, kinds = RECIPES["corrected"], typing.get_type_hints(Recipe)
    for name in (field.name for field in fields(Recipe)):
        is_choice = typing.get_origin(kinds[name]) is typing.Literal
        for position in typing.get_args(kinds[name]) if is_choice else (False, True) if kinds[name] is bool else ():
            if position != getattr(default, name):
                yield pytest.param(replace(default, **{name: position}), id=f"{name}={position}")


def check_tokens(tokens, data, windows, exact):
    """Rows hold observations of their stars, in time order, at most (or exactly) as many as a window takes."""
    for values in (t for t in tokens if t is not None):
        assert values.shape == tokens.mask.shape and torch.isfinite(values).all()
    assert [t.dtype for t in tokens[:4]] == [torch.float32, torch.float64, torch.float32, torch.bool]
    assert (~tokens.mask).any(1).all() and all((values[tokens.mask] == 0).all() for values in tokens[:3])
    first, count = data.segments(torch.arange(len(data)))
    for star, keep in enumerate(~tokens.mask):
        times, band = tokens.times[star][keep], tokens.band[star][keep]
        assert torch.isin(band, data.log_wavelength).all()
        for k, (start, n) in enumerate(zip(first[star], count[star], strict=True)):
            taken, there = times[band == data.log_wavelength[k]].tolist(), iter(data.times[start : start + n].tolist())
            assert all(t in there for t in taken)  # in order, and none twice: the iterator does not go back
            assert len(taken) == min(n, windows[k]) if exact else len(taken) <= windows[k]


@fuzz(250)
@given(rows(bad=st.lists(st.sampled_from(BAD), max_size=6)), st.randoms(use_true_random=False))
def test_observations_are_kept_or_counted_and_the_order_of_rows_is_not_seen(drawn, random):
    stars = np.unique(drawn.star[drawn.good])
    if not len(stars):
        with pytest.raises(ValueError, match="no usable observation"):
            drawn.light_curves()
        return
    lc = drawn.light_curves()
    expected = np.zeros((drawn.n_stars, len(drawn.bands)), int)
    np.add.at(expected, (drawn.star[drawn.good], drawn.band[drawn.good]), 1)
    np.testing.assert_array_equal(lc.counts, expected[stars])
    assert lc.object_id.tolist() == stars.astype(str).tolist()
    lost = lc.notes.get("dropped: star without a usable observation in these bands", 0)
    assert lost == drawn.n_stars - len(stars)
    assert sum(n for reason, n in lc.notes.items() if reason.startswith("dropped")) == lost + (~drawn.good).sum()
    other = drawn.shuffled(random)
    assert other.notes == lc.notes and other.object_id.tolist() == lc.object_id.tolist()
    for column in ("mjd", "mag", "magerr", "offsets"):
        assert getattr(lc, column).tobytes() == getattr(other, column).tobytes(), column


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("name", MODELS)
def test_crops(crop, name):
    @fuzz(20)
    @given(rows())
    def check(drawn):
        data, stars = prepare(drawn.light_curves()), torch.arange(drawn.n_stars)
        assert torch.isfinite(data.mag).all() and data.mag.abs().max() < 180
        windows = [MINI.window(b, w) for b, w in data.bands.items()]
        stars, model = stars[: len(data)], MODELS[name]
        compact, padded = (crop_tokens(data, stars, MINI, crop, model, padded=p) for p in (False, True))
        for tokens in (compact, padded):
            check_tokens(tokens, data, windows, exact=True)
        assert padded.mask.shape[1] == sum(windows) and compact.mask.shape[1] == (~compact.mask).sum(1).max()
        for a, b in zip(compact, padded, strict=True):
            if a is None or b is None:
                assert a is b
            else:
                assert torch.equal(a[~compact.mask], b[~padded.mask])

    check()


@pytest.mark.parametrize("recipe", list(switched()))
def test_views(recipe):
    @fuzz(20)
    @given(rows(), st.integers(0, 1000))
    def check(drawn, seed):
        data = prepare(drawn.light_curves())
        views = make_views(data, torch.arange(len(data)), MINI, recipe, Draws(seed))
        for view, tokens in zip(recipe.views, views, strict=True):
            windows = [max(1, int(MINI.window(b, w) * view.fraction)) for b, w in data.bands.items()]
            check_tokens(tokens, data, windows, exact=not view.thins)

    check()


@pytest.fixture(scope="module")
def models():
    """Random weights of every kind of encoder."""
    return {name: Checkpoint(new_encoder(MINI, recipe, 0).eval(), MINI, recipe, 0) for name, recipe in MODELS.items()}


@fuzz(150)
@given(rows(), st.sampled_from(CROPS), st.sampled_from(list(MODELS)), st.booleans())
def test_padding_is_not_seen(models, drawn, crop, name, padded):
    data, model = prepare(drawn.light_curves()), models[name]
    tokens = crop_tokens(data, torch.arange(len(data)), MINI, crop, model.recipe, padded=padded)
    filled = {k: t.masked_fill(tokens.mask, 1e6) for k, t in tokens._asdict().items() if t is not None and k != "mask"}
    with torch.no_grad():
        expected, found = model.encoder(tokens), model.encoder(tokens._replace(**filled))
    assert torch.isfinite(expected).all() and (expected - found).abs().max() <= 1e-5


@fuzz(100)
@given(rows(), st.sampled_from(list(MODELS)), st.integers(1, 3), st.randoms(use_true_random=False))
def test_neither_batch_nor_order_changes_an_embedding(models, drawn, name, size, random):
    lc, model = drawn.light_curves(), models[name]
    expected = embed(lc, model)
    assert np.isfinite(expected).all()
    assert embed(drawn.shuffled(random), model).tobytes() == expected.tobytes()
    alone = np.concatenate([embed(lc[k], model) for k in range(len(lc))])
    for other in (embed(lc, model, batch_size=size), embed(lc[::-1], model)[::-1], alone):
        np.testing.assert_allclose(other, expected, rtol=0, atol=1e-5)


@fuzz(25)
@given(rows(counts=LONG, most=2), st.sampled_from(list(MODELS)))
def test_long_light_curves_in_the_windows_of_the_paper(models, drawn, name):
    lc = drawn.light_curves()
    data, model = prepare(lc), replace(models[name], preset=WIDE)
    windows = [WIDE.window(b, w) for b, w in data.bands.items()]
    stars = torch.arange(len(data))
    for crop in CROPS:
        check_tokens(crop_tokens(data, stars, WIDE, crop, model.recipe), data, windows, exact=True)
    anchor = make_views(data, stars, WIDE, model.recipe, Draws(0))[0]
    check_tokens(anchor, data, windows, exact=not model.recipe.views[0].thins)
    assert np.isfinite(embed(lc, model)).all()


def test_a_light_curve_without_observations_is_refused(stars, models):
    counts = np.vstack([stars.counts[:2], [[0, 0, 0]]])
    two = stars[:2]
    hollow = replace(two, offsets=np.concatenate([[0], np.cumsum(counts)]), object_id=np.array(["a", "b", "c"]))
    with pytest.raises(ValueError, match=r"1 light curves have no observation; drop them"):
        embed(hollow, models["corrected"])
    assert embed(hollow[hollow.counts.any(axis=1)], models["corrected"]).shape == (2, 16)
    assert embed(two[[]], models["corrected"]).shape == (0, 16)


@pytest.mark.parametrize("error", [1e-12, 1e-30, 1e-45])
def test_a_tiny_error_decides_the_mean_and_overflows_nothing(error):
    mag, magerr = np.array([15.0, 17.0, 18.0]), np.array([error, 0.1, 8.9])
    star = LightCurves.from_arrays(np.array([0, 0, 0]), np.array([0, 1, 1]), 58_000.0 + np.arange(3), mag, magerr)
    assert prepare(star).mag.tolist() == pytest.approx([0.0, 2.0, 3.0], abs=1e-6)
