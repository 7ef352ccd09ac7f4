"""Ids, labels and bands as text: kept exactly, or refused; never merged."""

from datetime import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astraclr.config import ZTF_BANDS
from astraclr.data.names import band_codes, each_name, identifiers, labels

BIG = 2**60 + 1


def test_an_unknown_band_is_named_with_how_to_go_on():
    with pytest.raises(
        ValueError, match=r"unknown band 'y' \(2 observations\); known: g, r, i.*drop_unknown_bands=True"
    ):
        band_codes(pd.Series(["g", "y", "y"]), ZTF_BANDS, drop_unknown=False)


@pytest.mark.parametrize("as_type", [pd.Series, pa.array, lambda b: pa.chunked_array([b]), pd.Categorical])
def test_unknown_bands_are_dropped_on_request_and_counted(as_type):
    codes, known, notes = band_codes(as_type(["i", "g", "y", None]), ZTF_BANDS, drop_unknown=True)
    assert codes[known].tolist() == [2, 0] and known.tolist() == [True, True, False, False]
    assert notes == {"dropped: observation in unknown band y": 1, "dropped: observation in unknown band (none)": 1}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([BIG, BIG + 1]), [str(BIG), str(BIG + 1)]),
        (np.array([2**63 + 1, 2**63 + 2], np.uint64), [str(2**63 + 1), str(2**63 + 2)]),
        (np.array([7, 8], ">i8"), ["7", "8"]),
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (["1.0", "2.0"], ["1", "2"]),
        (["001", "1"], ["001", "1"]),
        (pa.array([b"a", b"b"]), ["a", "b"]),
        (pa.array([Decimal("1.0"), Decimal("1234567890123456789.0")]), ["1", "1234567890123456789"]),
        (np.array([0, "0x"], dtype=object), ["0", "0x"]),
        (pa.array([datetime(2020, 1, 1), datetime(2020, 1, 2)]), ["2020-01-01 00:00:00", "2020-01-02 00:00:00"]),
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        ([" a", "a"], [" a", "a"]),
    ],
)
def test_ids_are_kept_exactly(values, text):
    star, ids = identifiers(values)
    assert [ids[k] for k in star] == text and len(ids) == 2
    assert each_name(values, "object_id").tolist() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["7.18103E+14", "7.18103E+14"], r"column oid holds 7.18103E\+14, an id that a spreadsheet rounded.*import"),
        (["7,18103E+14"], "a spreadsheet rounded"),
        (["4295806720123450000", "1295806720123460000"], "digits after the 15th are all 0"),
        (np.array([float(BIG)]), "digits are lost, and stars or classes would merge"),
        (np.array([2.0**25], np.float32), "as a 32-bit float"),
        (np.array([BIG, np.nan], dtype=object).astype(float), "as a 64-bit float"),
        (np.array([1.5e300, None], dtype=object), "digits are lost"),
        ([True, False], "true and false, which name no star"),
        (pa.array([True]), "true and false"),
        ([b"\xff\xfe"], "no UTF-8 text"),
        (pa.array([b"\xff\xfe"]), "no UTF-8 text"),
        (["x" * 100_000], "a name of 100,000 characters"),
        (["a", None], "1 rows have no oid"),
        (["a", "nan", ""], "2 rows have no oid"),
        ([["a"], ["b"]], "must hold one name a row"),
        (pa.array([{"a": 1}]), "must hold one name a row"),
    ],
)
def test_ids_that_would_merge_stars_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        identifiers(values, "oid")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pa.array([1, 0, None]), ["1", "0", None]),
        (np.array([1.0, 0.0, np.nan]), ["1", "0", None]),
        (pd.array([BIG, BIG + 1, None], dtype="Int64"), [str(BIG), str(BIG + 1), None]),
        (pa.array([True, False, None]), ["True", "False", None]),
        (["1.0", "0.0", ""], ["1", "0", None]),
        (["RR", "nan", "RR"], ["RR", None, "RR"]),
        (pa.array([b"RR", None]), ["RR", None]),
        ([2.5, None], ["2.5", None]),
    ],
)
def test_labels_do_not_depend_on_how_they_were_stored(values, text):
    assert labels(values, "label").tolist() == text


def test_other_spellings_of_bands_are_read_where_they_are_not_bands_themselves():
    assert band_codes(["zg", "zr"], ZTF_BANDS, False, {"zg": "g", "zr": "r"})[0].tolist() == [0, 1]
    assert band_codes(["zg", "g"], {"g": 1.0, "zg": 2.0}, False, {"zg": "g"})[0].tolist() == [1, 0]
    with pytest.raises(ValueError, match="and 12 more; known"):
        band_codes([f"b{k}" for k in range(20)], ZTF_BANDS, False)
