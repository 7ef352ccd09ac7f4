"""Files that a careless or hostile hand made: read rightly, or refused by name; no star mixes with another."""

import datetime
import decimal
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr import catalogs

HEADER = "object_id,mjd,mag,magerr,band\n"
ROW = "star{k},{t},18.5,0.05,g\n"


def rows(**other) -> pd.DataFrame:
    star = np.repeat(np.arange(3), 4)
    base = {"object_id": np.array(["a", "b", "c"])[star], "mjd": 58_000.1 + np.arange(12), "mag": 16.0, "magerr": 0.02}
    return pd.DataFrame(base | {"band": "g"} | other)


def read(tmp_path, column: str, values: pa.Array):
    """Stars of a table one column of which holds one of three values a star."""
    table = pa.Table.from_pandas(rows(), preserve_index=False)
    names = [c for c in table.column_names if c != column]
    table = table.select(names).append_column(column, values.take(pa.array(np.repeat(np.arange(3), 4))))
    pq.write_table(table, tmp_path / "t.parquet")
    return catalogs.read(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("NGC 1, star 0,58000,18.5,0.05,g\n", "line 3 has 6 values, the header names 5 columns: 'NGC 1, star 0"),
        ("star0,58000,18,5,0.05,g\n", "line 3 has 6 values"),
        ("0,star0,58000,18.5,0.05,g\n", "line 3 has 6 values"),
        ("star0,58000,18.5,0.05\n", "line 3 has 4 values"),
        ("star0,58000,18.5,0.05,g,extra,more\n", "line 3 has 7 values"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_row_of_another_length_is_refused_by_its_line(tmp_path, line, said, end):
    text = HEADER + ROW.format(k=0, t=58_000) + line + ROW.format(k=1, t=58_000)
    (tmp_path / "t.csv").write_bytes(text.replace("\n", end).encode())
    with pytest.raises(ValueError, match=said):
        catalogs.read(tmp_path / "t.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_separator_at_the_end_of_every_row_shifts_nothing(tmp_path, separator):
    text = HEADER + "".join(ROW.format(k=k % 3, t=58_000 + k) for k in range(9)).replace("\n", ",\n")
    (tmp_path / "t.csv").write_text(text.replace(",", separator))
    lc = catalogs.read(tmp_path / "t.csv")
    assert lc.object_id.tolist() == ["star0", "star1", "star2"] and set(lc.mag) == {18.5}


BIG = 2**60


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        (pa.array([BIG, BIG + 1, BIG + 2]), [str(BIG + k) for k in range(3)]),
        (pa.array([2**64 - 1, 2**64 - 2, 0], pa.uint64()), [str(2**64 - 1), str(2**64 - 2), "0"]),
        (pa.array([b"a", b"b", b"c"]), ["a", "b", "c"]),
        (pa.array([b"aa", b"bb", b"cc"], pa.binary(2)), ["aa", "bb", "cc"]),
        (pa.array([decimal.Decimal(BIG * 16 + k) for k in range(3)]), [str(BIG * 16 + k) for k in range(3)]),
        (pa.array([1.0, 2.0, 2.5]), ["1", "2", "2.5"]),
        (pa.array(["1", "01", "1.0"]), ["1", "01", "1.0"]),
        (pa.array(["a", " a", "a "], pa.large_string()), ["a", " a", "a "]),
        (pa.array(["a", "b", "c"]).dictionary_encode(), ["a", "b", "c"]),
        (pa.array([datetime.date(2020, 1, k) for k in (1, 2, 3)]), ["2020-01-01", "2020-01-02", "2020-01-03"]),
        (pa.array([True, False, True]), "object_id holds true and false, which name no star"),
        (pa.array([2.0**60, 1.0, 2.0]), "as a 64-bit float, exact only up to .*int64 or text"),
        (pa.array([2.0**25, 1.0, 2.0], pa.float32()), "as a 32-bit float, exact only up to"),
        (pa.array([BIG, None, BIG + 1]), "4 rows have no object_id, the first is row 5"),
        (pa.array([1.0, None, 2.0]), "4 rows have no object_id"),
        (pa.array([b"\xff\xfe", b"b", b"c"]), "object_id holds bytes that are no UTF-8 text"),
        (pa.array(["7.18E+14", "7.19E+14", "7.2E+14"]), "a spreadsheet rounded"),
        (pa.array(["a" * 600, "b", "c"]), "a name of 600 characters"),
    ],
)
def test_ids_are_exact_or_refused_by_their_column(tmp_path, ids, wanted):
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted):
            read(tmp_path, "object_id", ids)
        return
    lc = read(tmp_path, "object_id", ids)
    assert lc.object_id.tolist() == wanted and lc.n_obs == 12


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (pa.array([b"RR", b"ECL", None]), ["RR", "ECL", ""]),
        (pa.array([True, None, False]), ["True", "", "False"]),
        (pa.array([BIG, None, BIG + 1]), [str(BIG), "", str(BIG + 1)]),
        (pa.array([1, None, 0]), ["1", "", "0"]),
        (pa.array([1.0, None, 0.0]), ["1", "", "0"]),
        (pa.array([0.1, None, 2.0], pa.float32()), ["0.1", "", "2"]),
        (pa.array([" RR", "RR ", "  "]), ["RR", "RR", ""]),
        (pa.array(["nan", "", "RR"]), ["", "", "RR"]),
        (pa.array(["RR", "ECL", None]).dictionary_encode(), ["RR", "ECL", ""]),
        (pa.array([None, None, None]), ["", "", ""]),
        (pa.array([2.0**60, 1.0, None]), "column label holds .* as a 64-bit float"),
    ],
)
def test_labels_are_the_same_whatever_holds_them(tmp_path, labels, wanted):
    if isinstance(wanted, str):
        with pytest.raises(ValueError, match=wanted):
            read(tmp_path, "label", labels)
        return
    assert read(tmp_path, "label", labels).label.tolist() == wanted


def test_labels_of_two_tables_match_although_one_holds_a_null(tmp_path):
    whole = read(tmp_path, "label", pa.array([0, 1, 2])).label
    gap = read(tmp_path, "label", pa.array(pd.array([0, None, 2]).astype(float), from_pandas=True)).label
    assert whole.tolist() == ["0", "1", "2"] and gap.tolist() == ["0", "", "2"]


@pytest.fixture
def own(tmp_path):
    """A function: our own parquet file, with its table changed by another tool."""
    rows(band=["g", "r"] * 6).to_csv(tmp_path / "t.csv", index=False)
    catalogs.read(tmp_path / "t.csv").save(tmp_path / "own.parquet")
    table = pq.read_table(tmp_path / "own.parquet")

    def changed(name: str, change):
        values = [change(k, v) for k, v in enumerate(table[name].to_pylist())]
        kind = table.schema.field(name).type
        kind = kind if name == "n_epochs" or not pa.types.is_list(kind) else pa.list_(kind.value_type)
        new = table.set_column(table.column_names.index(name), pa.field(name, kind), pa.array(values, kind))
        pq.write_table(new.replace_schema_metadata(table.schema.metadata), tmp_path / "changed.parquet")
        return catalogs.read(tmp_path / "changed.parquet")

    return changed


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("mjd", lambda k, v: v[:3], "star 0 has 3 values of mjd, its counts n_epochs add up to 4"),
        ("mag", lambda k, v: v[:-1] if k == 1 else v, "star 1 has 3 values of mag"),
        (
            "n_epochs",
            lambda k, v: [[3, 2, 0], [2, 1, 0], v][k],
            "star 0 has 4 values of mjd, its counts n_epochs add up to 5",
        ),
        ("n_epochs", lambda k, v: [-2, 6, 0], "n_epochs must hold whole numbers from 0"),
        ("object_id", lambda k, v: None if k else v, "2 rows have no object_id"),
        ("mjd", lambda k, v: None if k == 2 else v, "star 2 has 0 values of mjd"),
    ],
)
def test_our_own_file_that_no_longer_fits_together_is_refused(own, name, change, said):
    with pytest.raises(ValueError, match=rf"changed\.parquet was changed since astraclr saved it.*{said}"):
        own(name, change)


@pytest.mark.parametrize(
    ("name", "change", "note", "n_obs"),
    [
        ("mag", lambda k, v: [np.nan, *v[1:]], ("dropped: value not finite", 3), 9),
        ("mag", lambda k, v: [None, *v[1:]], ("dropped: value not finite", 3), 9),
        ("mag", lambda k, v: [99.99, *v[1:]], ("dropped: sentinel magnitude or error", 3), 9),
        ("magerr", lambda k, v: [-0.1, *v[1:]], ("dropped: error not positive", 3), 9),
        ("mjd", lambda k, v: v[::-1], ("sorted: observation earlier than the one before it", 6), 12),
    ],
)
def test_our_own_file_is_cleaned_and_sorted_with_a_count_where_another_tool_changed_it(own, name, change, note, n_obs):
    with pytest.warns(UserWarning, match=r"changed\.parquet was changed by another tool since astraclr saved it"):
        lc = own(name, change)
    assert lc.notes == dict([note]) and lc.n_obs == n_obs and len(lc) == 3
    assert (np.diff(lc.mjd)[np.diff(lc.segment) == 0] > 0).all()


def test_counts_that_another_tool_moved_from_band_to_band_are_warned_of(own):
    with pytest.warns(UserWarning, match="Whether n_epochs still counts the observations of each band"):
        own("n_epochs", lambda k, v: [v[0] - 1, v[1] + 1, v[2]])


def test_our_own_file_that_nobody_changed_is_read_in_silence(own):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own("label", lambda k, v: v).notes == {}


def test_our_own_file_without_its_header_says_what_is_gone(own, tmp_path):
    own("label", lambda k, v: v)
    pd.read_parquet(tmp_path / "changed.parquet").to_parquet(tmp_path / "pandas.parquet")
    with pytest.raises(
        ValueError, match="columns are those of LightCurves.save, but another tool has dropped the header"
    ):
        catalogs.read(tmp_path / "pandas.parquet")
