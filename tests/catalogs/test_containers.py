"""The same rows give the same stars, flags and labels in whatever kind of file they lie; files of no kind are named."""

import gzip
import io
import warnings
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr import catalogs

EPOCH = ["mjd", "mag", "magerr", "band", "catflags"]


def epochs() -> pd.DataFrame:
    """Three stars of eight epochs with ids above 2**53, labels 0 and 1, flags, a missing flag and a missing label."""
    n, rng = 24, np.random.default_rng(5)
    flags = np.zeros(n)
    flags[[3, 9, 17]] = 32768 + 2
    flags[5] = np.nan
    star = np.repeat(np.arange(3), 8)
    return pd.DataFrame(
        {
            "object_id": (4295806720123456789 + star).astype(str),
            "mjd": 58_000 + np.round(rng.uniform(0, 900, n), 4),
            "mag": np.round(rng.normal(16, 1, n), 3),
            "magerr": 0.25,
            "band": np.tile(["zg", "zr"], 12),
            "catflags": flags,
            "label": pd.array([[1, 0, None][s] for s in star], dtype="Int64"),
        }
    )


def as_lists(table: pd.DataFrame) -> pa.Table:
    lists = {c: pa.array([g.to_list() for _, g in table[c].groupby(table["object_id"])]) for c in EPOCH}
    first = table.groupby("object_id").first()
    return pa.table({"object_id": pa.array(first.index), "label": pa.array(first["label"]), **lists})


def nested(table: pd.DataFrame, name: str) -> pa.Table:
    rows = as_lists(table)
    struct = pa.StructArray.from_arrays([rows[c].combine_chunks() for c in EPOCH], EPOCH)
    return pa.table({"object_id": rows["object_id"], "label": rows["label"], name: struct})


def list_of_structs(table: pd.DataFrame) -> pa.Table:
    rows = as_lists(table)
    several = [table.loc[table["object_id"] == k, EPOCH].to_dict("records") for k in rows["object_id"].to_pylist()]
    kind = pa.list_(pa.struct([(c, rows[c].type.value_type) for c in EPOCH]))
    return pa.table({"object_id": rows["object_id"], "label": rows["label"], "lc": pa.array(several, kind)})


def one_row_a_band(table: pd.DataFrame) -> pa.Table:
    groups = list(table.groupby(["object_id", "band"]))
    lists = {c: pa.array([g[c].to_list() for _, g in groups]) for c in EPOCH if c != "band"}
    label = pa.array([None if pd.isna(g["label"].iloc[0]) else int(g["label"].iloc[0]) for _, g in groups])
    keys = {c: [g[c].iloc[0] for _, g in groups] for c in ("object_id", "band")}
    return pa.table({**keys, "label": label, **lists})


def zipped(table: pd.DataFrame, path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("table.csv", table.to_csv(index=False))
        archive.writestr("__MACOSX/._table.csv", "x")


def by_astropy(table: pd.DataFrame, path, form: str) -> None:
    astropy = pytest.importorskip("astropy.table", reason="needs the extra data")
    native = table.assign(label=table["label"].astype(object).where(table["label"].notna(), "").astype(str))
    made = astropy.Table({c: np.asarray(native[c], None if native[c].dtype.kind == "f" else str) for c in native})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.write(path, format=form)


def comma(value) -> str:
    return "" if pd.isna(value) else str(value).replace(".", ",")


def late_commas(table: pd.DataFrame) -> str:
    """Semicolons and decimal commas; the first row holds whole numbers alone."""
    lines = table.map(comma).to_csv(index=False, sep=";").split("\n")
    first = "4295806720123456789;58000;99;9;zg;0.0;1"  # a sentinel, so dropped
    return "\n".join([lines[0], first.replace(".0", ""), *lines[1:]])


def as_views(table: pd.DataFrame) -> pa.Table:
    rows = as_lists(table).combine_chunks()
    for k, name in enumerate(rows.column_names):
        if name in EPOCH:
            one = rows.column(k).chunk(0)
            view = pa.ListViewArray.from_arrays(one.offsets[:-1], one.value_lengths(), one.values)
            rows = rows.set_column(k, name, view)
    return rows


def fixed_lists(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(f.name, pa.list_(f.type.value_type, 8) if f.name in EPOCH else f.type) for f in schema])


WRITERS = {
    "t.csv": lambda t, path: t.to_csv(path, index=False),
    "t.CSV": lambda t, path: t.to_csv(path, index=False, lineterminator="\r\n"),
    "t.tsv": lambda t, path: t.to_csv(path, index=False, sep="\t"),
    "bars.csv": lambda t, path: t.to_csv(path, index=False, sep="|"),
    "semicolons.csv": lambda t, path: t.map(comma).to_csv(path, index=False, sep=";"),
    "utf16.csv": lambda t, path: path.write_text(t.to_csv(index=False), encoding="utf-16"),
    "bom.csv": lambda t, path: path.write_text(t.to_csv(index=False), encoding="utf-8-sig"),
    "blanks.csv": lambda t, path: path.write_text(t.to_csv(index=False).replace(",", ", ")),
    "trailing.csv": lambda t, path: path.write_text(t.to_csv(index=False).replace("\n", ",\n")),
    "trailing_rows.csv": lambda t, path: path.write_text(
        t.to_csv(index=False).replace("\n", ",\n").replace("label,\n", "label\n")
    ),
    "commented.csv": lambda t, path: path.write_text("# made by hand\n\n" + t.to_csv(index=False)),
    "cr.csv": lambda t, path: path.write_bytes(t.to_csv(index=False).replace("\n", "\r").encode()),
    "index.csv": lambda t, path: t.to_csv(path),
    "twice.csv": lambda t, path: path.write_text(t[:9].to_csv(index=False) + t[9:].to_csv(index=False)),
    "t.csv.gz": lambda t, path: t.to_csv(path, index=False),
    "t.csv.bz2": lambda t, path: t.to_csv(path, index=False),
    "t.csv.xz": lambda t, path: t.to_csv(path, index=False),
    "gzip_without_suffix.csv": lambda t, path: t.to_csv(path, index=False, compression="gzip"),
    "t.csv.zip": zipped,
    "t.parquet": lambda t, path: t.to_parquet(path, index=False),
    "index.parquet": lambda t, path: t.set_index("object_id").to_parquet(path),
    "text.parquet": lambda t, path: t.astype(object).astype(str).replace({"<NA>": ""}).to_parquet(path, index=False),
    "rows.parquet": lambda t, path: pq.write_table(as_lists(t), path),
    "bands.parquet": lambda t, path: pq.write_table(one_row_a_band(t), path),
    "nested.parquet": lambda t, path: pq.write_table(nested(t, "photometry"), path),
    "structs.parquet": lambda t, path: pq.write_table(list_of_structs(t), path),
    "t.fits": lambda t, path: by_astropy(t, path, "fits"),
    "t.xml": lambda t, path: by_astropy(t, path, "votable"),
    "t.tbl": lambda t, path: by_astropy(t, path, "ascii.ipac"),
    "t.ecsv": lambda t, path: by_astropy(t, path, "ascii.ecsv"),
}


WRITERS |= {
    "sep.csv": lambda t, path: path.write_text("sep=;\n" + t.map(comma).to_csv(index=False, sep=";")),
    "hash_header.csv": lambda t, path: path.write_text("#" + t.to_csv(index=False)),
    "percent.csv": lambda t, path: path.write_text("% by hand\n// twice\n" + t.to_csv(index=False)),
    "utf32.csv": lambda t, path: path.write_text(t.to_csv(index=False), encoding="utf-32"),
    "comments.csv": lambda t, path: path.write_text(t.to_csv(index=False).replace("\n", "\n# note\n", 3) + "# end\n"),
    "dos.csv": lambda t, path: path.write_bytes(t.to_csv(index=False).encode() + b"\x1a"),
    "late.csv": lambda t, path: path.write_text(late_commas(t)),
    "TWICE.csv": lambda t, path: path.write_text(
        t[:9].to_csv(index=False) + ",".join(t).upper() + "\n" + t[9:].to_csv(index=False, header=False)
    ),
    "views.parquet": lambda t, path: pq.write_table(as_views(t), path),
    "fixed.parquet": lambda t, path: pq.write_table(as_lists(t).cast(fixed_lists(as_lists(t).schema)), path),
    "groups.parquet": lambda t, path: pq.write_table(pa.Table.from_pandas(t), path, row_group_size=3),
    "meta.parquet": lambda t, path: pq.write_table(
        pa.Table.from_pandas(t).replace_schema_metadata({b"pandas": b"{"}), path
    ),
    "levels.parquet": lambda t, path: t.assign(k=range(24)).set_index(["object_id", "k"]).to_parquet(path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_rows_give_the_same_stars(tmp_path, name):
    WRITERS[name](epochs(), tmp_path / name)
    lc = catalogs.read(tmp_path / name)
    assert lc.object_id.tolist() == [str(4295806720123456789 + k) for k in range(3)]
    assert lc.label.tolist() == ["1", "0", ""]
    kept = epochs()[epochs()["catflags"] == 0]
    counts = kept.groupby(["object_id", "band"]).size().unstack().to_numpy()
    np.testing.assert_array_equal(lc.counts[:, :2], counts)
    np.testing.assert_array_equal(np.sort(lc.mjd), np.sort(kept["mjd"]))
    np.testing.assert_array_equal(np.sort(lc.mag), np.sort(np.asarray(kept["mag"], np.float32)))
    assert lc.notes["dropped: catflags & 32768 (bad epoch)"] == 3 and lc.notes["dropped: catflags missing"] == 1
    assert catalogs.recognise(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"object_id,mjd,mag,magerr,band\na,58000,15,0.1,g\n\na,58001,15,0.1\n", "line 4 has 4 values, the header"),
        (b"object_id,mjd,mag,magerr,band\na,b,58000,15,0.1,g\n", r"line 2 has 6 values.*must stand in quotes"),
        (b"object_id,mjd,mag,magerr,band\na,58000,15,0.1,g\n" + b"a,1\n" * 3, r"line 3 .*and 2 more such lines"),
        (b"object_id,mjd,mag,mag,magerr,band\na,58000,15,16,0.1,g\n", "column mag is there 2 times"),
        (b"object_id,mjd,mag,magerr,band\na,58000,TRUE,0.1,g\na,58001,,0.1,g\n", "found true and false"),
        (b"a,58000,15,0.1,g\na,58001,15,0.1,g\n", "no header: its first line holds values"),
        (b"1,58000,15,0.1\n1,58001,15,0.1\n", "no header: 4 columns of numbers .*name its columns"),
        (b"<!DOCTYPE html><html><body>busy</body></html>", "is a web page, not a table: the download failed"),
        (b"<?xml version='1.0'?><a/>", "is XML, but no VOTable"),
        (b"<?xml version='1.0'?><VOTABLE><a", "is a VOTable that cannot be read"),
        (b'{"lc": [1, 2]}', "is JSON"),
        (b"SIMPLE  =                    T" + b" " * 50, "is a FITS that cannot be read"),
        (b"# nothing\n# at all\n", "holds no table"),
        (b"\x00\x01\x02\x03" * 100, "is neither parquet nor text"),
        (b"\x1f\x8b\x08\x00broken", "is damaged or cut off"),
        (b"PK\x03\x04broken", "is damaged or cut off"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "is an HDF5 file: not read; save the table"),
        (gzip.compress(b"PAR1" + bytes(99), mtime=0), "is parquet inside gzip: unpack it"),
        (gzip.compress(gzip.compress(b"a,b", mtime=0), mtime=0), "is gzip inside gzip: unpack it once"),
        (gzip.compress(b"a.csv" + bytes(252) + b"ustar" + bytes(99), mtime=0), "is a tar archive: unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(9), "is compressed with Zstandard"),
        (b"\x80\x04\x95" + bytes(99), "is a Python pickle, which could run any code: not read"),
        (b"%PDF-1.4\n1 0 obj\n", "is a PDF document"),
        (b'<VOTABLE><INFO name="QUERY_STATUS" value="ERROR">No such thing</INFO></VOTABLE>', "archive: No such thing"),
        (b"object_id mjd mag magerr band\na 58000 15 0.1 g\nb c 58000 15 0.1 g\n", "line 3 .* separated by blanks"),
        (b'object_id,mjd,mag,magerr,band\na,"58,000.5",15,0.1,g\n', "a separator of thousands; write it without"),
        (b"object_id,mjd,mag,magerr,band\na,8.10.2018,15,0.1,g\n", r"'8.10.2018' in row 1: a date; write all"),
        (b"object_id,mjd,mag,magerr,band\na,58000,15,0.1,g\n,58001,15,0.1,g\n", "no object_id, the first is row 2"),
        (b"object_id,mjd,mag,magerr,band", "no observations: the table is empty"),
        (b"id,mjd,mag,magerr,catflags,filtercode\n1,58000,15,0.1,0,zg\n", "but id may be one: rename it to object_id"),
        (b"object_id,mjd,mag,magerr,band,\xe9\na,2018-99-99,15,0.1,g,x\n", "column mjd must hold"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path, content, message):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        catalogs.read(path)
    assert str(raised.value).startswith(str(path)) and "coerce" not in str(raised.value)


def test_latin_1_is_read(tmp_path):
    text = "object_id,mjd,mag,magerr,band,label\nétoile,58000,15,0.1,g,é\n"
    (tmp_path / "t.csv").write_text(text, encoding="latin-1")
    lc = catalogs.read(tmp_path / "t.csv")
    assert lc.object_id.tolist() == ["étoile"] and lc.label.tolist() == ["é"]
    (tmp_path / "t.csv").write_text(
        "object_id,mjd,mag,magerr,band,label\n" + "a,58000,15,0.1,g,x\n" * 9000 + text[36:], "latin-1"
    )
    assert len(catalogs.read(tmp_path / "t.csv")) == 2


def test_quoted_commas_and_lines_are_part_of_a_value(tmp_path):
    (tmp_path / "t.csv").write_text(
        'object_id,mjd,mag,magerr,band\n"NGC 1, star ""0""",58000,15,0.1,g\n"b\nc",1e4,15,0.1,g\n'
    )
    with pytest.warns(UserWarning, match="not MJD"):
        assert catalogs.read(tmp_path / "t.csv").object_id.tolist() == ['NGC 1, star "0"', "b\nc"]


def test_a_data_set_in_a_folder_is_one_table(tmp_path):
    table = epochs()
    for part in range(2):  # the rows of a star lie in both parts
        folder = tmp_path / "a" / "stars.parquet" / f"half={part}"
        folder.mkdir(parents=True)
        table.iloc[part::2].to_parquet(folder / "part.0.parquet", index=False)
    (tmp_path / "a" / "stars.parquet" / "_SUCCESS").touch()
    for path in (tmp_path / "a", tmp_path / "a" / "stars.parquet"):
        lc = catalogs.read(path)
        assert len(lc) == 3 and lc.n_obs == 20


def test_the_parts_of_a_data_set_need_not_have_the_same_columns(tmp_path):
    table = epochs().drop(columns="catflags")
    folder = tmp_path / "stars.parquet"
    folder.mkdir()
    table[:8].drop(columns="label").to_parquet(folder / "a.parquet", index=False)
    table[8:].assign(catflags=[0] * 8 + [32768] * 8).to_parquet(folder / "b.parquet", index=False)
    lc = catalogs.read(folder)
    assert len(lc) == 1 and lc.label.tolist() == ["0"]
    assert lc.notes["dropped: catflags & 32768 (bad epoch)"] == 8 and lc.notes["dropped: catflags missing"] == 8
    table[:8].assign(mag="x").to_parquet(folder / "a.parquet", index=False)
    with pytest.raises(ValueError, match=r"holds column mag as large_string in a\.parquet, as double in b\.parquet"):
        catalogs.read(folder)


def test_folders_named_as_columns_are_one_table_and_keep_zeros_of_ids(tmp_path):
    table = epochs().assign(object_id=np.repeat(["01", "1", "001"], 8), catflags=0)
    table.to_parquet(tmp_path / "stars", partition_cols=["object_id", "band"])
    lc = catalogs.read(tmp_path / "stars")
    assert sorted(lc.object_id) == ["001", "01", "1"] and lc.n_obs == 24


def test_files_of_a_header_alone_are_skipped_and_counted(tmp_path):
    epochs()[:8].to_csv(tmp_path / "a.csv", index=False)
    table = epochs().drop(columns="catflags")
    for name, part in (("a", table[:8]), ("b", table[:0]), ("c", table[8:])):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    lc = catalogs.read(tmp_path)
    assert len(lc) == 3 and lc.notes == {"skipped: file without an observation": 1}


def test_text_of_any_suffix_is_read_where_its_format_is_known(tmp_path):
    epochs()[:8].drop(columns="catflags").to_csv(tmp_path / "a.txt", index=False)
    (tmp_path / "notes.txt").write_text("nothing to see")
    lc = catalogs.read(tmp_path)
    assert len(lc) == 1 and lc.notes == {"not read: file without a known suffix (notes.txt)": 1}


def test_a_catalogue_inside_a_folder_is_named(tmp_path):
    (tmp_path / "stars").mkdir()
    (tmp_path / "stars" / "hats.properties").touch()
    epochs().to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match="holds the HATS catalogue stars: read .* by itself"):
        catalogs.read(tmp_path)


def test_rows_commented_out_are_no_stars(tmp_path):
    rows = "object_id,mjd,mag,magerr,band\na,58000,15,0.1,g\n#a,58001,15,0.1,g\na,58002,15,0.1,g\n"
    (tmp_path / "t.csv").write_text(rows)
    lc = catalogs.read(tmp_path / "t.csv")
    assert lc.object_id.tolist() == ["a"] and lc.notes == {"dropped: row commented out with #": 1}
    (tmp_path / "t.csv").write_text(rows.replace("\na", "\n#b"))
    assert catalogs.read(tmp_path / "t.csv").object_id.tolist() == ["#b", "#a"]


def test_labels_of_a_wrong_type_are_refused_and_others_named(tmp_path):
    table = pa.Table.from_pandas(epochs().drop(columns="label"), preserve_index=False)
    for column, message in (
        (pa.array([{"a": 1}] * 24), "column label must hold one name a row"),
        (pa.array([["RR"]] * 24), "column mjd holds one value a row, but label holds lists"),
    ):
        pq.write_table(table.append_column("label", column), tmp_path / "t.parquet")
        with pytest.raises(ValueError, match=message):
            catalogs.read(tmp_path / "t.parquet")
    epochs().assign(Class="RR").to_parquet(tmp_path / "t.parquet")
    assert any(reason.startswith("not read: column Class") for reason in catalogs.read(tmp_path / "t.parquet").notes)


def test_files_of_a_folder_that_are_not_read_are_named(tmp_path):
    epochs().to_csv(tmp_path / "A.CSV", index=False)
    for name in ("readme.txt", "_plot.png", ".DS_Store"):
        (tmp_path / name).touch()
    notes = catalogs.read(tmp_path).notes
    assert notes["not read: file without a known suffix (_plot.png, readme.txt)"] == 2


def test_zubercal_flags_do_not_depend_on_the_kind_of_file(tmp_path):
    table = pd.DataFrame(
        {
            "object_id": np.repeat(["7", "8"], 4),
            "mjd": 58_000.5 + np.arange(8),
            "mag": 16.0,
            "magerr": np.arange(8) * 10 + 100,
            "info": [0, 0, 64, 0, 0, 0, 0, 0],
            "flag": [0, 0, 0, 1, 0, 0, 0, 0],
            "band": "g",
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    table.assign(flag=table["flag"].astype(bool)).to_parquet(tmp_path / "bool.parquet")
    table.astype({"magerr": float}).to_csv(tmp_path / "float.csv", index=False)
    for name in ("t.csv", "t.parquet", "bool.parquet", "float.csv"):
        lc = catalogs.read(tmp_path / name)
        assert lc.counts[:, 0].tolist() == [2, 4] and lc.notes == {"dropped: info or flag is not 0": 2}
        np.testing.assert_allclose(lc.magerr, np.array([0.01, 0.011, 0.014, 0.015, 0.016, 0.017]), rtol=1e-6)


def test_labels_beside_the_columns_of_irsa_are_read_or_named(tmp_path):
    table = (
        epochs().rename(columns={"object_id": "oid", "band": "filtercode"}).assign(ra=[1.0] * 8 + [2.0] * 16, dec=5.0)
    )
    table["label"] = np.repeat(["RR", "ECL", "ECL"], 8)
    table.to_csv(tmp_path / "t.csv", index=False)
    lc = catalogs.read(tmp_path / "t.csv")  # the last two oids lie at one place
    assert lc.label.tolist() == ["RR", "ECL"] and len(lc) == 2
    renamed = table.rename(columns={"label": "type"})
    renamed.to_csv(tmp_path / "t.csv", index=False)
    lc = catalogs.read(tmp_path / "t.csv")
    assert any("not read: column type" in reason for reason in lc.notes) and set(lc.label) == {""}
    labelled = catalogs.labelled_by(lc, tmp_path / "t.csv", "type")
    assert labelled.label.tolist() == ["RR", "ECL"] and not any("column type" in note for note in labelled.notes)


def test_one_missing_oid_is_refused_and_changes_no_other(tmp_path):
    table = epochs().rename(columns={"object_id": "oid", "band": "filtercode"})
    oid = [int(k) for k in table["oid"]]
    for column, n in ((pa.array(oid), 3), (pa.array([*oid[:-1], None]), 0)):
        found = pa.Table.from_pandas(table.drop(columns="oid"), preserve_index=False).append_column("oid", column)
        pq.write_table(found, tmp_path / "t.parquet")
        if n:
            assert len(catalogs.read(tmp_path / "t.parquet")) == n
        else:
            with pytest.raises(ValueError, match="1 rows have no oid"):
                catalogs.read(tmp_path / "t.parquet")


def test_lists_of_different_length_are_refused_with_their_row(tmp_path):
    rows = as_lists(epochs()).to_pandas()
    rows.at[1, "mag"] = rows.at[1, "mag"][:-1]
    rows.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="row 2: 7 values of mag, 8 of"):
        catalogs.read(tmp_path / "t.parquet")


def test_a_large_table_reads_in_bounded_blocks(tmp_path):
    out = io.StringIO()
    big = pd.concat([epochs()] * 2000, ignore_index=True).assign(mjd=lambda t: 40_000.5 + np.arange(len(t)) / 10)
    big.to_csv(out, index=False)
    (tmp_path / "t.csv").write_text(out.getvalue())
    assert catalogs.read(tmp_path / "t.csv").n_obs == 20 * 2000


def test_rows_without_ids_are_told_apart_by_their_position(tmp_path):
    table = epochs().rename(columns={"band": "filtercode"}).drop(columns=["object_id", "label"])
    table.to_csv(tmp_path / "one.csv", index=False)
    assert catalogs.read(tmp_path / "one.csv").object_id.tolist() == ["one"]
    table.assign(ra=[1.0] * 8 + [2.0] * 16, dec=5.0).to_csv(tmp_path / "two.csv", index=False)
    assert catalogs.read(tmp_path / "two.csv").object_id.tolist() == ["1.000000+5.000000", "2.000000+5.000000"]


def test_a_workbook_and_an_archive_of_many_files_are_named(tmp_path):
    for name, message in (("[Content_Types].xml", "is an Excel workbook: save"), ("b.csv", "zip archive of 2 files")):
        with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
            archive.writestr("a.csv", "x")
            archive.writestr(name, "x")
        with pytest.raises(ValueError, match=message):
            catalogs.read(tmp_path / "t.zip")


@pytest.mark.parametrize("bands", [["g", "r"], {"g": "4746"}, {1: 4746.0}, "gri", None])
def test_bands_of_a_wrong_type_are_a_clear_error(tmp_path, bands):
    epochs().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TypeError, match="bands must map names to wavelengths"):
        catalogs.read(tmp_path / "t.csv", bands=bands)
