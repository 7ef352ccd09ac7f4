"""Light curves built from every layout and back, cleaned, selected, saved and loaded. All data here are synthetic."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import PAPER_CUT, LightCurves, concatenate

COLUMNS = ("mjd", "mag", "magerr", "offsets", "object_id", "label", "period")


def synthetic(n_stars=20, seed=0, most=30) -> LightCurves:
    """Random numbers with the shape of light curves; every star has an observation in g."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, (n_stars, 3))
    counts[:, 0] += 1
    offsets = np.concatenate([[0], np.cumsum(counts)])
    segment = np.repeat(np.arange(3 * n_stars), counts.ravel())
    mjd = rng.uniform(58000, 60000, offsets[-1])
    mjd = mjd[np.lexsort((mjd, segment))]
    mag, magerr = rng.normal(16, 1, len(mjd)), rng.uniform(0.01, 0.2, len(mjd))
    period = np.where(rng.random(n_stars) < 0.5, rng.uniform(0.1, 10, n_stars), np.nan)
    label = rng.choice(["RR", "ECL", ""], n_stars)
    return LightCurves(
        mjd,
        mag.astype(np.float32),
        magerr.astype(np.float32),
        offsets,
        dict(ZTF_BANDS),
        np.array([f"synthetic {k}" for k in range(n_stars)]),
        label,
        period,
    )


def assert_same(a: LightCurves, b: LightCurves) -> None:
    assert a.bands == b.bands
    for column in COLUMNS:
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column), err_msg=column)
        assert getattr(a, column).dtype.kind == getattr(b, column).dtype.kind, column
    for column in ("mjd", "mag", "magerr", "offsets", "period"):
        assert getattr(a, column).dtype == getattr(b, column).dtype, column


def table_of(**columns) -> pd.DataFrame:
    base = {
        "object_id": ["a"] * 3,
        "mjd": [58002.0, 58000.0, 58001.0],
        "mag": [15.0, 15.1, 15.2],
        "magerr": [0.1, 0.1, 0.1],
        "band": ["g", "g", "r"],
    }
    return pd.DataFrame(base | columns)


def test_round_trips():
    pytest.importorskip("nested_pandas", reason="needs the extra data")
    lc = synthetic()
    for back in (
        LightCurves.from_table(lc.to_table()),
        LightCurves.from_rows(lc.to_rows()),
        LightCurves.from_rows(pa.Table.from_pandas(lc.to_rows())),
        LightCurves.from_nested(lc.to_nested()),
    ):
        assert_same(lc, back)
        assert back.notes == {}


def test_round_trip_through_parquet(tmp_path):
    lc = synthetic()
    lc.notes["dropped: value not finite"] = 3
    lc.save(tmp_path / "new folder" / "lc.parquet")
    back = LightCurves.load(tmp_path / "new folder" / "lc.parquet")
    assert_same(lc, back)
    assert back.notes == {"dropped: value not finite": 3}
    assert [p.name for p in (tmp_path / "new folder").iterdir()] == ["lc.parquet"]


def test_round_trip_over_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("astraclr.data.parquet._STARS_PER_GROUP", 7)
    lc = synthetic(n_stars=50)
    lc.save(tmp_path / "lc.parquet")
    assert pq.ParquetFile(tmp_path / "lc.parquet").num_row_groups == 8
    assert_same(lc, LightCurves.load(tmp_path / "lc.parquet"))


def test_rows_through_parquet_keep_types(tmp_path):
    lc = synthetic()
    lc.to_rows().to_parquet(tmp_path / "rows.parquet")
    assert_same(lc, LightCurves.from_rows(pq.read_table(tmp_path / "rows.parquet")))


def test_other_bands_round_trip(tmp_path):
    lc = LightCurves.from_table(table_of(band=["u", "R", "u"]), bands={"u": 3551.0, "R": 6900.0})
    assert lc.counts.tolist() == [[2, 1]] and "u R" in repr(lc)
    lc.save(tmp_path / "lc.parquet")
    assert_same(lc, LightCurves.load(tmp_path / "lc.parquet"))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_observations_never_matters(seed):
    lc = synthetic(n_stars=5, seed=3)
    table = lc.to_table()
    twice = pd.concat([table, table.iloc[::4].assign(mag=12.5)])  # repeated times, too
    shuffled = twice.sample(frac=1, random_state=np.random.RandomState(seed))
    ids = {"categories": lc.object_id, "ordered": True}
    straight, mixed = (LightCurves.from_table(t) for t in (twice, shuffled))
    mixed = mixed[np.argsort(pd.Categorical(mixed.object_id, **ids))]
    assert_same(straight, mixed)


def test_unsorted_times_are_sorted_within_their_band():
    star = LightCurves.from_table(table_of()).star(0)
    assert star["g"][0].tolist() == [58000.0, 58002.0]
    np.testing.assert_array_equal(star["g"][1], np.array([15.1, 15.0], np.float32))
    assert list(star) == ["g", "r"]


def test_repeated_times_are_kept_and_counted_or_dropped_on_request():
    table = table_of(mjd=[58000.0, 58000.0, 58000.0], magerr=[0.2, 0.1, 0.3])
    kept = LightCurves.from_table(table)
    assert kept.counts.tolist() == [[2, 1, 0]] and kept.notes == {"kept: repeated time within a band": 1}
    dropped = LightCurves.from_table(table, drop_repeated=True)
    assert dropped.counts.tolist() == [[1, 1, 0]] and dropped.notes == {"dropped: repeated time within a band": 1}
    np.testing.assert_array_equal(dropped.star(0)["g"][1], np.array([15.1], np.float32))


def test_bad_observations_are_dropped_with_counts():
    n = 8
    table = (
        table_of()
        .iloc[[0] * n]
        .assign(
            mjd=np.arange(58000.0, 58000 + n),
            mag=[15.0, np.nan, np.inf, 100.0, 99.999, -999.0, 15.0, 15.0],
            magerr=[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, -0.2],
        )
    )
    lc = LightCurves.from_table(table)
    assert lc.n_obs == 1
    assert lc.notes == {
        "dropped: value not finite": 2,
        "dropped: sentinel magnitude or error": 3,
        "dropped: error not positive": 2,
    }
    assert "dropped: value not finite: 2" in lc.report()


def test_a_star_without_usable_observations_is_dropped_and_counted():
    lc = LightCurves.from_table(table_of(object_id=["a", "a", "b"], mag=[15, 15, np.nan], label=["RR", "RR", "ECL"]))
    assert lc.object_id.tolist() == ["a"] and lc.label.tolist() == ["RR"]
    assert lc.notes["dropped: star without a usable observation in these bands"] == 1


def test_a_star_in_no_known_band_is_dropped_and_counted():
    table = table_of(object_id=["a", "a", "b"], band=["g", "y", "y"])
    with pytest.raises(ValueError, match="unknown band 'y'"):
        LightCurves.from_table(table)
    lc = LightCurves.from_table(table, drop_unknown_bands=True)
    assert lc.object_id.tolist() == ["a"]
    assert lc.notes == {
        "dropped: observation in unknown band y": 2,
        "dropped: star without a usable observation in these bands": 1,
    }


def test_nothing_usable_is_an_error_that_says_why():
    with pytest.raises(ValueError, match=r"no usable observation.*g, r, i.*not finite: 3"):
        LightCurves.from_table(table_of(magerr=[np.nan] * 3))
    with pytest.raises(ValueError, match=r"no usable observation.*unknown band y"):
        LightCurves.from_table(table_of(band=["y"] * 3), drop_unknown_bands=True)


@pytest.mark.parametrize("column", ["object_id", "mjd", "mag", "magerr", "band"])
def test_a_missing_column_is_named(column):
    with pytest.raises(ValueError, match=f"missing column {column}; the table has"):
        LightCurves.from_table(table_of().drop(columns=column))
    with pytest.raises(ValueError, match=f"missing column {column}; the table has"):
        LightCurves.from_rows(synthetic(2).to_rows().drop(columns=column))


def test_a_row_without_object_id_is_refused():
    with pytest.raises(ValueError, match="1 rows have no object_id"):
        LightCurves.from_table(table_of(object_id=["a", None, "a"]))


def test_magnitudes_as_text_are_refused():
    with pytest.raises(ValueError, match="column mag must hold numbers, found 'faint' in row 2"):
        LightCurves.from_table(table_of(mag=["15.1", "faint", "15.3"]))
    rows = pd.DataFrame(
        {"object_id": ["a"], "mjd": [[58000.0]], "mag": [["faint"]], "magerr": [[0.1]], "band": [["g"]]}
    )
    with pytest.raises(ValueError, match="column mag must hold numbers, found 'faint' in row 1"):
        LightCurves.from_rows(rows)
    numbers = LightCurves.from_table(table_of(mag=["15.1", "15.2", "15.3"]))
    assert_same(numbers, LightCurves.from_table(table_of(mag=[15.1, 15.2, 15.3])))


def test_lists_with_nulls_lose_only_those_observations():
    rows = pa.table(
        {
            "object_id": ["a"],
            "mjd": [[58000.0, 58001.0]],
            "mag": [[None, 15.0]],
            "magerr": [[0.1, 0.1]],
            "band": [["g", "g"]],
        }
    )
    lc = LightCurves.from_rows(rows)
    assert lc.n_obs == 1 and lc.notes == {"dropped: value not finite": 1}


def test_lists_of_unequal_length_are_refused():
    rows = pd.DataFrame(
        {"object_id": ["a"], "mjd": [[58000.0, 58001.0]], "mag": [[15.1]], "magerr": [[0.1, 0.1]], "band": [["g", "g"]]}
    )
    with pytest.raises(ValueError, match="star a: 1 values of mag, 2 of mjd"):
        LightCurves.from_rows(rows)


def test_labels_on_some_rows_of_a_star_are_found_and_two_labels_are_refused():
    assert LightCurves.from_table(table_of(label=[None, "RR", ""])).label.tolist() == ["RR"]
    with pytest.raises(ValueError, match="star a has several values of label: ECL and RR"):
        LightCurves.from_table(table_of(label=["RR", "ECL", "RR"]))


def test_columns_of_unequal_length_are_refused():
    zeros, mjd = np.array([0, 0]), np.array([58_000.0, 58_001.0])
    with pytest.raises(ValueError, match="2 stars, 2 times, 1 magnitudes, 2 errors"):
        LightCurves.from_arrays(zeros, zeros, mjd, np.array([15.0]), np.array([0.1, 0.1]))


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="the table is empty"):
        LightCurves.from_table(table_of().iloc[:0])
    with pytest.raises(ValueError, match="the table is empty"):
        LightCurves.from_rows(synthetic(2).to_rows().iloc[:0])


def test_times_that_are_not_mjd_are_kept_with_a_warning():
    with pytest.warns(UserWarning, match="290.5 to 302.5, not MJD"):
        lc = LightCurves.from_table(table_of(mjd=[290.5, 301.5, 302.5]))
    assert lc.n_obs == 3


def test_julian_dates_become_mjd_with_a_count():
    lc = LightCurves.from_table(table_of(mjd=[2458000.5, 2458001.5, 2458002.5]))
    assert sorted(lc.mjd) == [58000.0, 58001.0, 58002.0]
    assert lc.notes == {"converted: JD to MJD (JD - 2400000.5)": 3}


def test_missing_labels_and_periods():
    lc = LightCurves.from_table(table_of(object_id=list("abc"), label=["RR", None, np.nan], period=[0.5, None, np.nan]))
    assert lc.label.tolist() == ["RR", "", ""]
    np.testing.assert_array_equal(lc.period, [0.5, np.nan, np.nan])


@pytest.mark.parametrize(
    "index",
    [3, -1, slice(2, 9, 3), [5, 5, 0], np.array([True, False] * 10), np.array([7]), []],
    ids=["number", "last", "slice", "repeated", "mask", "array", "none"],
)
def test_selection_agrees_with_picking_stars_one_by_one(index):
    lc = synthetic()
    picked = lc[index]
    stars = np.atleast_1d(np.arange(len(lc))[index])
    assert picked.object_id.tolist() == lc.object_id[stars].tolist()
    assert picked.label.tolist() == lc.label[stars].tolist()
    np.testing.assert_array_equal(picked.counts, lc.counts[stars])
    for k, star in enumerate(stars):
        for band, columns in lc.star(star).items():
            for a, b in zip(columns, picked.star(k)[band], strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_star_that_is_not_there_is_an_index_error():
    with pytest.raises(IndexError):
        synthetic(3).star(3)
    with pytest.raises(IndexError):
        synthetic(3)[3]


def test_selection_by_counts_and_labels():
    lc = synthetic(most=400)
    cut = lc.with_counts(PAPER_CUT)
    expected = (lc.counts[:, 0] >= 200) & (lc.counts[:, 1] >= 200)
    assert 0 < len(cut) < len(lc)
    assert cut.object_id.tolist() == lc.object_id[expected].tolist()
    assert set(lc.with_labels(["RR", "ECL"]).label) == {"RR", "ECL"}
    assert len(lc.with_labels(["AGN"])) == 0
    with pytest.raises(ValueError, match="no band y here; the bands are g, r, i"):
        lc.with_counts({"y": 1})


def test_concatenate_joins_and_adds_notes():
    a, b = synthetic(5, seed=1), synthetic(4, seed=2)
    a.notes["dropped: x"], b.notes["dropped: x"], b.notes["kept: y"] = 1, 2, 3
    both = concatenate([a, b])
    assert_same(both[:5], a)
    assert_same(both[5:], b)
    assert both.notes == {"dropped: x": 3, "kept: y": 3}
    with pytest.raises(ValueError, match="bands differ"):
        concatenate([a, LightCurves.from_table(table_of(), bands={"g": 1.0, "r": 2.0})])
    with pytest.raises(ValueError, match="at least one"):
        concatenate([])


def test_load_refuses_what_it_cannot_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet does not exist \(looked in "):
        LightCurves.load(tmp_path / "none.parquet")
    path = tmp_path / "lc.parquet"
    synthetic().save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a complete parquet file"):
        LightCurves.load(path)
    table_of().to_parquet(tmp_path / "tidy.parquet")
    with pytest.raises(ValueError, match="not written by LightCurves.save; read it with"):
        LightCurves.load(tmp_path / "tidy.parquet")


def test_an_interrupted_save_loses_nothing(tmp_path, monkeypatch):
    path = tmp_path / "lc.parquet"
    lc = synthetic()
    lc.save(path)

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.ParquetWriter, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthetic(3).save(path)
    monkeypatch.undo()
    assert_same(LightCurves.load(path), lc)
    assert [p.name for p in tmp_path.iterdir()] == ["lc.parquet"]


def test_save_says_where_it_cannot_write(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write .*choose a folder"):
        synthetic(2).save(tmp_path / "file" / "lc.parquet")


def test_loading_takes_less_than_one_and_a_half_times_the_raw_size(tmp_path):
    counts = np.full(20_000 * 3, 50)
    n = counts.sum()
    rng = np.random.default_rng(0)
    mag = rng.random(n, dtype=np.float32)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    lc = LightCurves(
        np.sort(rng.uniform(58000, 60000, n)),
        mag,
        mag,
        offsets,
        dict(ZTF_BANDS),
        np.arange(20_000).astype(str),
        np.full(20_000, ""),
        np.full(20_000, np.nan),
    )
    lc.save(tmp_path / "lc.parquet")
    raw = n * 16
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    tracemalloc.start()
    loaded = LightCurves.load(tmp_path / "lc.parquet")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # numpy's peak and what Arrow still holds; benchmarks/loading.py measures the whole process.
    assert loaded.n_obs == n
    assert peak < 1.5 * raw
    assert pool.bytes_allocated() - before < 0.2 * raw


def test_rows_of_one_star_are_joined_with_a_count():
    rows = pd.DataFrame(
        {
            "object_id": ["a", "b", "a"],
            "label": ["RR", "", "RR"],
            "mjd": [[58_000.0, 58_001.0], [58_000.0], [58_002.0]],
            "mag": [[15.0, 15.1], [16.0], [14.0]],
            "magerr": [[0.1, 0.1], [0.1], [0.1]],
            "band": [["g", "g"], ["g"], ["r"]],
        }
    )
    lc = LightCurves.from_rows(rows)
    assert lc.object_id.tolist() == ["a", "b"] and lc.counts.tolist() == [[2, 1, 0], [1, 0, 0]]
    assert lc.label.tolist() == ["RR", ""] and lc.notes == {"joined: row of a star that has several": 1}


@pytest.mark.parametrize("build", [pd.DataFrame, pa.table])
def test_a_missing_id_is_refused_not_rounded(build):
    columns = {
        "object_id": pd.array([1234567890123456789, None], dtype="Int64"),
        "mjd": [[58_000.0], [58_000.0]],
        "mag": [[15.0], [15.0]],
        "magerr": [[0.1], [0.1]],
        "band": [["g"], ["g"]],
    }
    with pytest.raises(ValueError, match="1 rows have no object_id"):
        LightCurves.from_rows(build(columns))


def test_lists_of_fixed_size_and_numbered_bands():
    rows = pa.table(
        {
            "object_id": ["a"],
            **{
                c: pa.array([v], pa.list_(pa.float64(), 2))
                for c, v in {"mjd": [58_000.0, 58_001.0], "mag": [15.0, 15.1], "magerr": [0.1, 0.1]}.items()
            },
            "band": pa.array([[1, 1]]),
        }
    )
    assert LightCurves.from_rows(rows, bands={"1": 4746.0}).counts.tolist() == [[2]]


def test_a_file_without_stars_is_named(stars, tmp_path):
    stars[np.zeros(len(stars), bool)].save(tmp_path / "none.parquet")
    with pytest.raises(ValueError, match="none.parquet holds no stars"):
        LightCurves.load(tmp_path / "none.parquet")


def test_segment_numbers_every_observation(stars):
    assert (np.bincount(stars.segment, minlength=stars.counts.size) == stars.counts.ravel()).all()
    assert (np.diff(stars.segment) >= 0).all()


def test_a_file_of_a_later_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("astraclr.data.parquet._VERSION", 99)
    synthetic().save(tmp_path / "s.parquet")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"s.parquet has format version 99; this version of astraclr reads 1\."):
        LightCurves.load(tmp_path / "s.parquet")


def test_a_later_version_can_still_read_this_one(tmp_path, monkeypatch):
    synthetic().save(tmp_path / "s.parquet")
    monkeypatch.setattr("astraclr.data.parquet._VERSION", 2)
    assert_same(LightCurves.load(tmp_path / "s.parquet"), synthetic())


@pytest.mark.parametrize("column", ["label", "period"])
@pytest.mark.parametrize("n", [0, 2, 4])
def test_a_column_of_stars_of_the_wrong_length_is_refused(column, n):
    star, ones = np.array([0, 1, 2]), np.ones(3)
    wrong: dict[str, Any] = {column: np.ones(n)}
    with pytest.raises(ValueError, match=f"{n} values of {column}, 3 stars: give one for each star"):
        LightCurves.from_arrays(star, 0 * star, 58000 * ones, 15 * ones, 0.1 * ones, **wrong)


def test_no_stars_are_written_out_as_no_rows():
    none, some = synthetic()[:0], synthetic()
    assert len(none.to_rows()) == len(none.to_table()) == len(none.to_nested()) == 0
    assert list(none.to_rows()) == list(some.to_rows())
    assert_same(concatenate([none, some]), some)
