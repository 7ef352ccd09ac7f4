"""Times of a table as MJD: what is certain is converted and counted, what is not is said."""

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astraclr.data.times import days

MJD = np.array([58_399.25, 59_000.5, 58_000.125])
DATES = ["2018-10-08 06:00:00", "2020-05-31 12:00:00", "2017-09-04 03:00:00"]


def aware(values):
    return pd.to_datetime(pd.Series(values), utc=True)


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (MJD, {}),
        (MJD.astype(">f8"), {}),
        (pa.array(MJD.astype(str)), {}),
        (MJD + 2_400_000.5, {"converted: JD to MJD (JD - 2400000.5)": 3}),
        ((MJD - 40587) * 86400, {"converted: Unix seconds to MJD (seconds / 86400 + 40587)": 3}),
        ((MJD - 40587) * 86400e3, {"converted: Unix milliseconds to MJD (seconds / 86400 + 40587)": 3}),
        ((MJD - 40587) * 86400e9, {"converted: Unix nanoseconds to MJD (seconds / 86400 + 40587)": 3}),
        (pd.to_datetime(pd.Series(DATES)), {"converted: date to MJD": 3}),
        (pa.array(pd.to_datetime(DATES)).cast(pa.timestamp("us", "Europe/Berlin")), {"converted: date to MJD": 3}),
        (aware(DATES), {"converted: date to MJD": 3}),
        (DATES, {"converted: date to MJD": 3}),
        (["2018-10-08T06:00:00Z", "2020-05-31T14:00:00+02:00", "2017-09-04T03:00:00"], {"converted: date to MJD": 3}),
    ],
)
def test_times_that_are_certain_become_mjd(values, note):
    found, notes = days(values, "mjd")
    np.testing.assert_allclose(found, MJD, rtol=0, atol=1e-6)
    assert notes == note


def test_dates_keep_nanoseconds_and_gaps():
    found, notes = days(pa.array([date(2020, 1, 1), None]), "mjd")
    assert found[0] == 58_849 and np.isnan(found[1]) and notes == {"converted: date to MJD": 1}
    close = pd.to_datetime(pd.Series(["2020-01-01 00:00:00.000000000", "2020-01-01 00:00:00.000864"]))
    assert np.diff(days(close, "mjd")[0])[0] == pytest.approx(1e-8, rel=1e-2)


def test_julian_dates_among_mjd_are_said_with_their_star():
    mixed = np.where([False, True, False], MJD + 2_400_000.5, MJD)
    with pytest.warns(UserWarning, match=r"times of b \(1 of 3 observations\) are Julian dates"):
        found, notes = days(mixed, "mjd", np.array([0, 1, 0]), ["a", "b"])
    np.testing.assert_allclose(found, MJD)
    assert notes == {"converted: JD to MJD (JD - 2400000.5)": 1}


def test_unix_times_among_mjd_are_said_but_one_value_is_a_mark():
    mixed = np.where([False, True, True], (MJD - 40587) * 86400, MJD)
    with pytest.warns(UserWarning, match=r"\(2 of 3 observations\) are Unix times"):
        found, notes = days(mixed, "mjd")
    np.testing.assert_allclose(found, MJD)
    assert notes == {"converted: Unix seconds to MJD (seconds / 86400 + 40587)": 2}


def test_heliocentric_dates_are_called_so_and_short_ones_are_asked_about():
    assert days(MJD + 2_400_000.5, "HJD")[1] == {"converted: HJD to MJD (HJD - 2400000.5)": 3}
    with pytest.warns(UserWarning, match="column hjd holds 58399.25, no full Julian date: it is read as MJD"):
        assert days(MJD, "hjd")[0].tolist() == MJD.tolist()


def test_times_that_were_short_floats_once_are_told_from_round_ones():
    was_short = np.array([58_399.2578125, 59_000.50390625, 58_000.12890625])
    assert days(was_short, "mjd")[1] == {"rounded: time stored as a 32-bit float, steps of 0.0039 d": 3}
    assert days(MJD, "mjd")[1] == {}
    seconds = ((MJD - 40587) * 86400).astype(np.float32)
    assert days(seconds, "mjd")[1]["rounded: time stored as a 32-bit float, steps of 0.0015 d"] == 3


@pytest.mark.parametrize(
    ("values", "step"), [(MJD.astype(np.float32), "0.0039"), ((MJD + 2.4e6).astype(np.float32), "0.25")]
)
def test_the_rounding_of_short_floats_is_said(values, step):
    assert f"rounded: time stored as a 32-bit float, steps of {step} d" in days(values, "mjd")[1]


@pytest.mark.parametrize("values", [[290.5, 1184.25], [-999.0, 0.0], [np.nan], [1e300, -1e300], [3.6e4, 1e9]])
def test_times_of_unknown_origin_are_left_alone(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, notes = days(values, "mjd")
    np.testing.assert_array_equal(found, values)
    assert notes == {}


@pytest.mark.parametrize("values", [["2018-10-08", "yesterday"], [["a"]], pa.array([True])])
def test_what_is_no_time_is_refused(values):
    with pytest.raises(ValueError, match="column mjd must hold"):
        days(values, "mjd")
