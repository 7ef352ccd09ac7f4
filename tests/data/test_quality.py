"""Flags say which observations are bad, in tables in memory as in files."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astraclr.data.lightcurves import LightCurves
from astraclr.data.quality import flagged, keep


def table(**columns):
    base = {
        "object_id": ["a"] * 4,
        "mjd": 58_000.25 + np.arange(4),
        "mag": 16.0,
        "magerr": 0.02,
        "band": ["g", "zr"] * 2,
    }
    return pd.DataFrame(base | columns)


def test_each_loss_is_counted_once():
    bad = {"first": np.array([True, True, False]), "second": np.array([False, True, True])}
    good, notes = keep(bad, 3)
    assert good.tolist() == [False, False, False] and notes == {"first": 2, "second": 1}


@pytest.mark.parametrize(
    ("catflags", "lost"),
    [
        ([0, 32768, 2, 32770], {"dropped: catflags & 32768 (bad epoch)": 2}),
        (np.array([0, -32768, 2, 4], np.int16), {"dropped: catflags & 32768 (bad epoch)": 1}),
        ([0, None, np.nan, 4], {"dropped: catflags missing": 2}),
        ([0, 0.5, 1, 1e12], {"dropped: catflags is not a whole number below 2**31": 2}),
        (["0", "32768", "", "4"], {"dropped: catflags & 32768 (bad epoch)": 1, "dropped: catflags missing": 1}),
    ],
)
def test_catflags_in_memory_lose_what_they_lose_in_a_file(catflags, lost):
    found = LightCurves.from_table(table(catflags=catflags))
    assert found.notes == lost and found.n_obs == 4 - sum(lost.values())
    rows = table(catflags=catflags).groupby("object_id").agg(list).reset_index()
    assert LightCurves.from_rows(rows).notes == lost


def test_one_flag_a_star_holds_for_all_its_observations():
    rows = table().groupby("object_id").agg(list).reset_index()
    rows = pd.concat([rows, rows.assign(object_id="b")], ignore_index=True).assign(catflags=[0, 32768])
    found = LightCurves.from_rows(rows)
    assert found.object_id.tolist() == ["a"] and found.notes["dropped: catflags & 32768 (bad epoch)"] == 4


def test_zubercal_in_memory_has_its_flags_and_its_unit_of_errors():
    found = LightCurves.from_table(
        table(info=[0, 3, 0, 0], flag=[False, False, True, False], magerr=[200, 200, 200, 100])
    )
    assert found.notes == {"dropped: info or flag is not 0": 2}
    np.testing.assert_allclose(found.magerr, [0.02, 0.01], rtol=1e-6)


def test_unknown_bands_of_flagged_rows_are_no_objection():
    found = LightCurves.from_table(table(catflags=[32768, 0, 0, 0], band=["?", "g", "g", "g"]))
    assert found.n_obs == 3
    with pytest.raises(ValueError, match="no usable observation .*bad epoch.*: 4"):
        LightCurves.from_table(table(catflags=32768))


def test_flags_of_a_nested_column_are_heeded():
    nested_pandas = pytest.importorskip("nested_pandas", reason="needs the extra data")
    one = table(catflags=[0, 32768, 0, 0])
    frame = nested_pandas.NestedFrame({"object_id": ["a"]}).join_nested(
        one.drop(columns="object_id").set_index(pd.Index([0] * 4)), "lc"
    )
    assert LightCurves.from_nested(frame).notes == {"dropped: catflags & 32768 (bad epoch)": 1}


def test_a_table_without_flags_has_none():
    assert flagged({"info": [1], "mag": [2]}) == {}


def test_columns_of_different_length_and_other_kinds_of_tables():
    with pytest.raises(ValueError, match=r"columns differ in length \(4 of object_id, 3 of mjd"):
        LightCurves.from_table({**{c: table()[c].tolist() for c in table()}, "mjd": [1.0, 2.0, 3.0]})
    assert LightCurves.from_table(pa.RecordBatch.from_pandas(table())).n_obs == 4
