"""What is refused, what is dropped and what is only counted."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning

GOOD = (np.array([58000.0, 58001.0]), np.array([15.0, 15.1]), np.array([0.1, 0.1]))


def with_bad(mjd=58002.0, mag=15.0, magerr=0.1):
    return [np.append(c, bad) for c, bad in zip(GOOD, (mjd, mag, magerr), strict=True)]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"mag": np.nan}, "dropped: value not finite"),
        ({"mag": np.inf}, "dropped: value not finite"),
        ({"magerr": np.nan}, "dropped: value not finite"),
        ({"magerr": -np.inf}, "dropped: value not finite"),
        ({"mjd": np.nan}, "dropped: value not finite"),
        ({"magerr": 0.0}, "dropped: error not positive"),
        ({"magerr": -0.1}, "dropped: error not positive"),
        ({"mag": 100.0}, "dropped: sentinel magnitude or error"),
        ({"mag": 99.999}, "dropped: sentinel magnitude or error"),
        ({"mag": -999.0}, "dropped: sentinel magnitude or error"),
        ({"magerr": 99.999}, "dropped: sentinel magnitude or error"),
        ({"magerr": -999.0}, "dropped: sentinel magnitude or error"),
        ({"mag": -999.0, "magerr": np.nan}, "dropped: value not finite"),
    ],
)
def test_unusable_observations_are_dropped_with_one_reason_each(bad, reason):
    keep, notes = cleaning.usable(*with_bad(**bad))
    assert keep.tolist() == [True, True, False]
    assert notes == {reason: 1}


def test_instrumental_magnitudes_are_usable():
    keep, notes = cleaning.usable(*with_bad(mag=-6.1, magerr=2.3))
    assert keep.all() and notes == {}


@pytest.mark.parametrize(
    ("star", "band", "bands", "reason"),
    [
        ([0, 1], [0, 3], ZTF_BANDS, "band 3: there are 3, numbered from 0"),
        ([0, 1], [0, -1], ZTF_BANDS, "band -1: there are 3"),
        ([0, 2], [0, 0], ZTF_BANDS, "star 2: there are 2"),
        ([0, 1], [0], ZTF_BANDS, "2 numbers of stars, 1 of bands"),
        ([0, 1], [0, 0], {"g": 4746.48, "r": 0.0, "i": np.nan}, "wavelength r=0.0, i=nan: give a positive number"),
    ],
)
def test_numbers_that_would_mean_another_star_and_wavelengths_without_logarithm(star, band, bands, reason):
    with pytest.raises(ValueError, match=reason):
        cleaning.segments(star, band, 2, bands)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 3, 1, 0]])
def test_what_rows_say_of_their_star_does_not_depend_on_their_order(order):
    star, label = np.array([1, 0, 1, 1, 2])[order], np.array(["", "RR", "ECL", None, None], dtype=object)[order]
    period = np.array([np.nan, 0.5, 2.0, 2.0, np.nan])[order]
    said = cleaning.one_a_star(label, star, ["a", "b", "c"], "label")
    assert said[:2].tolist() == ["RR", "ECL"] and pd.isna(said[2])
    np.testing.assert_array_equal(cleaning.one_a_star(period, star, ["a", "b", "c"], "period"), [0.5, 2.0, np.nan])
    assert pd.isna(cleaning.one_a_star(np.full(5, None), star, ["a", "b", "c"], "label")).all()
    with pytest.raises(ValueError, match="star b has several values of label: (RR and ECL|ECL and RR); give it one"):
        cleaning.one_a_star(label, np.ones(5, int), ["a", "b", "c"], "label")


def test_in_order_agrees_with_a_literal_sort():
    rng = np.random.default_rng(0)
    key, mjd = rng.integers(0, 5, 200), rng.integers(58000, 58030, 200).astype(float)
    mag, magerr = rng.normal(15, 1, 200), rng.uniform(0.01, 0.1, 200)
    columns, notes = cleaning.in_order(key, mjd, mag, magerr, drop_repeated=False)
    expected = sorted(zip(key, mjd, magerr, mag, strict=True))
    np.testing.assert_array_equal(np.column_stack(columns)[:, [0, 1, 3, 2]], expected)
    assert notes == {"kept: repeated time within a band": 200 - len({(k, t) for k, t, _, _ in expected})}


def test_a_repeated_time_keeps_the_smallest_error_on_request():
    key, mjd = np.array([0, 0, 0, 1]), np.array([1.0, 1.0, 2.0, 1.0])
    mag, magerr = np.array([15.0, 16.0, 17.0, 18.0]), np.array([0.2, 0.1, 0.3, 0.4])
    (key, mjd, mag, _), notes = cleaning.in_order(key, mjd, mag, magerr, drop_repeated=True)
    assert key.tolist() == [0, 0, 1] and mag.tolist() == [16.0, 17.0, 18.0]
    assert notes == {"dropped: repeated time within a band": 1}


def test_the_warning_about_times_names_their_range():
    with pytest.warns(UserWarning, match=r"290\.5 to 1184\.25, not MJD"):
        cleaning.warn_unless_mjd(np.array([290.5, 1184.25]))
    with pytest.warns(UserWarning, match="subtract 2400000.5"):
        cleaning.warn_unless_mjd(np.array([2458200.5, 2459000.5]))


def test_mjd_does_not_warn(recwarn):
    cleaning.warn_unless_mjd(np.array([48823.4, 60500.0]))
    cleaning.warn_unless_mjd(np.array([]))
    assert not recwarn


def test_a_missing_column_is_named_with_those_found():
    with pytest.raises(ValueError, match="missing column magerr, band; the table has mjd, mag"):
        cleaning.need(["mjd", "mag"], ["mjd", "magerr", "band"])


def test_flatten_counts_null_as_empty():
    values, length = cleaning.flatten(pa.chunked_array([[[1.0, 2.0], None], [[], [3.0]]]), "mag")
    assert np.asarray(values).tolist() == [1, 2, 3] and length.tolist() == [2, 0, 0, 1]


@pytest.mark.parametrize("column", [pd.Series([1.0, 2.0]), pd.Series([[1.0], ["a"]]), pd.Series(["g", "r"])])
def test_a_column_that_holds_no_lists_is_refused(column):
    with pytest.raises(ValueError, match="column mag must hold"):
        cleaning.flatten(column, "mag")


def test_times_that_mean_no_value_are_dropped_with_a_count():
    mjd = np.array([58_000.0, -999.0, 1e300])
    keep, notes = cleaning.usable(mjd, np.full(3, 15.0), np.full(3, 0.1))
    assert keep.tolist() == [True, False, False] and notes == {"dropped: sentinel time": 2}
