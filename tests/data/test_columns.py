"""Columns of every kind of table as numbers: read exactly, or refused with the value, its row and a remedy."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astraclr.data.columns import columns_of, numbers


@pytest.mark.parametrize(
    "values",
    [
        [1, None],
        pd.Series([1.0, np.nan]),
        pd.array([1, None], dtype="Int64"),
        np.array([1.0, None], dtype=object),
        pa.array([1.0, None]),
        pa.array([1, None], pa.uint16()),
        pa.chunked_array([[1.0], [None]], type=pa.float32()),
        pd.Series([1.0, None], dtype=pd.ArrowDtype(pa.float64())),
    ],
)
def test_null_becomes_nan(values):
    found = numbers(values, "mag")
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [1, np.nan])


@pytest.mark.parametrize("as_type", [list, np.array, pd.Series, pa.array, lambda v: pa.chunked_array([v])])
def test_numbers_written_as_text_are_numbers(as_type):
    np.testing.assert_array_equal(
        numbers(as_type(["15.1", " -2e-3 ", "nan", "NA", ""]), "mag"), [15.1, -0.002] + [np.nan] * 3
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["18.9040", "bad"], r"column mag must hold numbers, found 'bad' in row 2; correct"),
        (pa.array(["15,5199"]), r"found '15,5199' in row 1: decimal commas.*decimal=','"),
        (["15.1", ">19.5"], r"found '>19.5' in row 2: a limit is no measurement"),
        (["[58000.1, 58001.2]"], "lists written as text; save the table as parquet"),
        ([True, None], "must hold numbers, found true"),
        (np.array([1.5, True], dtype=object), "must hold numbers, found true or false among them"),
        (pa.array([True, False]), "must hold numbers, found true and false"),
        (pd.to_datetime(pd.Series(["2020-01-01"])), "must hold numbers, found timestamp"),
        ([[1.0], [2.0]], "must hold numbers"),
        (["x" * 1000], r"found 'x{39}\.\.\. in row 1"),
    ],
)
def test_what_is_no_number_is_named_with_its_row_and_advice_that_loses_nothing(values, message):
    with pytest.raises(ValueError, match=message) as raised:
        numbers(values, "mag")
    assert "coerce" not in str(raised.value)


def test_flags_may_be_true_and_false():
    for values in (
        pa.array([True, False, None]),
        pd.Series(["True", "FALSE", None]),
        np.ma.array([1, 0, 7], mask=[False, False, True]),
    ):
        np.testing.assert_array_equal(numbers(values, "flag", truth=True), [1, 0, np.nan])


def test_numbers_of_every_precision_and_byte_order():
    exact = [15.25, -0.5, 3.0]
    for values in (
        np.array(exact, ">f8"),
        np.array(exact, ">f4"),
        np.array(exact, np.float16),
        pa.array(exact, pa.float32()),
        pa.array(np.array(exact, np.float16)),
        pa.array([Decimal("15.25"), Decimal("-0.5"), Decimal("3")]),
        np.array([Decimal("15.25"), Decimal("-0.5"), 3], dtype=object),
    ):
        np.testing.assert_array_equal(numbers(values, "mag"), exact)


def test_columns_of_every_kind_of_table():
    frame = pd.DataFrame({"mag": [1.0, 2.0]}, index=pd.Index(["a", "b"], name="object_id"))
    table = pytest.importorskip("astropy.table", reason="needs the extra data")
    units = pytest.importorskip("astropy.units", reason="needs the extra data")
    masked = table.MaskedColumn([1.0, 9.0], mask=[False, True])
    quantities = table.QTable({"mag": [1.0, 2.0] * units.mag, "object_id": ["a", "b"]})
    big = np.array([(1.0, b"a"), (2.0, b"b")], dtype=[("mag", ">f8"), ("object_id", "S1")])
    for one in (
        frame,
        pa.Table.from_pandas(frame),
        quantities,
        big,
        table.Table(big),
        {"mag": [1, 2], "object_id": ["a", "b"]},
    ):
        found = columns_of(one)
        assert set(found) >= {"mag", "object_id"}
        np.testing.assert_array_equal(numbers(found["mag"], "mag"), [1, 2])
    np.testing.assert_array_equal(numbers(columns_of(table.Table({"mag": masked}))["mag"], "mag"), [1, np.nan])
    with pytest.raises(TypeError, match="pandas DataFrame, pyarrow or astropy Table, got int"):
        columns_of(3)


def test_a_column_that_is_there_twice_is_refused_where_it_is_used():
    twice = pd.DataFrame([[1.0, 2.0]], columns=["mag", "mag"])
    for table in (twice, pa.table([pa.array([1.0]), pa.array([2.0])], names=["mag", "mag"])):
        with pytest.raises(ValueError, match="column mag is there more than once"):
            numbers(columns_of(table)["mag"], "mag")
