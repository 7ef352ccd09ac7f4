"""Zubercal from HATS through LSDB and Dask, from plain parquet, and the published data set. All data are synthetic."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr import catalogs
from astraclr.catalogs import _hats, _published
from astraclr.catalogs._zubercal_tables import in_magnitudes
from astraclr.data.lightcurves import LightCurves

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")  # LSDB and nested-pandas under pandas 3.1

N_STARS = 48
CUT_NOTE = "dropped: info or flag is not 0"


def detections(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Stars and detections with the published columns and types, in no order; star 0 has no good detection."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, N_STARS), np.degrees(np.arcsin(rng.uniform(-0.4, 1, N_STARS)))
    count = rng.integers(4, 40, N_STARS)
    star, n = np.repeat(np.arange(N_STARS), count), count.sum()
    epochs = pd.DataFrame(
        {
            "mjd": rng.uniform(58194, 59951, n),
            "mag": rng.normal(17, 1, n).astype(np.float32),
            "magerr": rng.integers(80, 2000, n).astype(np.uint16),
            "info": rng.choice([0, 0, 0, 1], n).astype(np.int32),
            "flag": rng.choice([0, 0, 0, 2], n).astype(np.int16),
            "band": rng.choice(["g", "r", "i"], n, p=[0.45, 0.45, 0.1]),
        }
    )
    epochs.loc[star == 0, "flag"] = 1
    stars = pd.DataFrame(
        {
            "_RAJ2000": ra,
            "_DEJ2000": dec,
            "Source": 0,
            "Class": rng.choice(["RR", "ECL", "AGN"], N_STARS),
            "objID": 10**17 + rng.permutation(N_STARS),
            "gMeanPSFMag": np.float32(17),
        }
    )
    return stars, epochs.set_index(star)


@pytest.fixture(scope="module")
def hats(tmp_path_factory):
    """(folder of a small HATS catalogue of several partitions, its stars, their detections)."""
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    import astropy.units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.nested import lonlat_to_healpix
    from nested_pandas import NestedFrame

    stars, epochs = detections()
    sky = Longitude(stars["_RAJ2000"].to_numpy() * u.deg), Latitude(stars["_DEJ2000"].to_numpy() * u.deg)
    stars["Source"] = (np.asarray(lonlat_to_healpix(*sky, 12), np.int64) << 35) + np.arange(
        N_STARS
    )  # as Gaia numbers them
    folder = tmp_path_factory.mktemp("synthetic") / "catalogue"
    frame = NestedFrame(stars).join_nested(epochs, "lc")
    lsdb.from_dataframe(
        frame, ra_column="_RAJ2000", dec_column="_DEJ2000", partition_rows=16, margin_threshold=None
    ).write_catalog(folder, catalog_name="synthetic", progress_bar=False)
    return folder, stars, epochs


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed", reason="needs the extra data")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def n_bad(epochs: pd.DataFrame) -> int:
    return int(np.count_nonzero(epochs[["info", "flag"]].any(axis=1)))


def expected(stars: pd.DataFrame, epochs: pd.DataFrame, object_id: str) -> LightCurves:
    """The same stars, cut and scaled in the open."""
    good = epochs[(epochs["info"] == 0) & (epochs["flag"] == 0)]
    table = good.assign(
        object_id=stars[object_id].astype(str).to_numpy()[good.index],
        magerr=good["magerr"] / 1e4,
        label=stars["Class"].to_numpy()[good.index],
    )
    lc = LightCurves.from_table(table)
    return lc[np.argsort(lc.object_id)]


def assert_same_stars(found: LightCurves, wanted: LightCurves) -> None:
    found = found[np.argsort(found.object_id)]
    assert found.object_id.tolist() == wanted.object_id.tolist()
    assert found.label.tolist() == wanted.label.tolist()
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_array_equal(found.mjd, wanted.mjd)
    np.testing.assert_array_equal(found.mag, wanted.mag)
    np.testing.assert_allclose(found.magerr, wanted.magerr, rtol=1e-6)


def test_hats_through_two_dask_workers(hats, client):
    folder, stars, epochs = hats
    lc = catalogs.zubercal(folder, client=client)
    assert_same_stars(lc, expected(stars, epochs, "Source"))
    bad = n_bad(epochs)
    assert lc.notes == {CUT_NOTE: bad, "dropped: star without a usable observation in these bands": 1}


def test_hats_without_a_cluster_gives_the_same(hats, client):
    folder, stars, epochs = hats
    alone, many = catalogs.read(folder), catalogs.zubercal(folder, client=client)
    assert alone.object_id.tolist() == many.object_id.tolist()
    np.testing.assert_array_equal(alone.mag, many.mag)
    assert alone.notes == many.notes


def test_hats_by_position_and_by_id(hats):
    folder, stars, _ = hats
    star = stars.iloc[7]
    near = catalogs.zubercal(folder, near=(star["_RAJ2000"], star["_DEJ2000"], 5.0))
    assert near.object_id.tolist() == [str(star["Source"])]
    wanted = stars["Source"].iloc[[3, 9, 21]].tolist()
    some = catalogs.zubercal(folder, ids=[*wanted, 12345])
    assert sorted(some.object_id) == sorted(map(str, wanted))
    assert some.notes["not found, or dropped by a cut: id"] == 1
    assert catalogs.zubercal(folder, ids=[stars["objID"][5]], object_id="objID").object_id == [str(stars["objID"][5])]


def test_hats_limit_reads_no_more_partitions_than_it_needs(hats, monkeypatch):
    folder, _, _ = hats
    read = []
    monkeypatch.setattr(_hats, "tidy_frame", lambda f, how, _tidy=_hats.tidy_frame: read.append(1) or _tidy(f, how))
    assert len(catalogs.zubercal(folder, limit=3)) == 3
    some = len(read)
    catalogs.zubercal(folder)
    assert some < len(read) - some


def test_hats_cut_by_counts(hats):
    folder, stars, epochs = hats
    lc = catalogs.zubercal(folder, at_least={"g": 5, "r": 5})
    wanted = expected(stars, epochs, "Source")
    cut = wanted.with_counts({"g": 5, "r": 5})
    assert_same_stars(lc, cut)
    assert lc.notes["dropped: star without g >= 5, r >= 5 observations"] == len(wanted) - len(cut)
    with pytest.raises(ValueError, match="no star is left .*g >= 999"):
        catalogs.zubercal(folder, at_least={"g": 999})


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"near": (400.0, 0.0, 5.0)}, r"near must be \(ra 0 to 360 deg.*got \(400"),
        ({"near": (10.0, 0.0, 0.0)}, "radius > 0"),
        ({"near": (10.0, -89.0, 5.0)}, "does not cover this part of the sky"),
        ({"ids": []}, "ids is empty"),
        ({"limit": 0}, "limit must be at least 1, got 0"),
        ({"at_least": {"y": 5}}, "at_least names the band y; the bands are g, r, i"),
        ({"object_id": "gaia"}, "missing column gaia; the table has"),
        ({"bands": {"g": 4746.48}}, "unknown band"),
    ],
)
def test_hats_requests_that_cannot_be_met(hats, how, message):
    with pytest.raises(ValueError, match=message):
        catalogs.zubercal(hats[0], **how)


def flat_files(folder, band_in_name: bool):
    """IPAC's layout: a file a band, one row a detection; the band may be in the file name only."""
    stars, epochs = detections()
    table = epochs.assign(
        objectid=stars["objID"].to_numpy()[epochs.index], Class=stars["Class"].to_numpy()[epochs.index]
    )
    folder.mkdir(exist_ok=True)
    for band, rows in table.groupby("band"):
        rows = rows.drop(columns="band") if band_in_name else rows
        rows.to_parquet(folder / (f"ztf_1310_1400_{band}.parquet"), index=False)
    return stars, epochs


@pytest.mark.parametrize("band_in_name", [True, False])
def test_flat_parquet_joins_the_bands_of_a_star(tmp_path, band_in_name):
    stars, epochs = flat_files(tmp_path / "F1310", band_in_name)
    wanted = expected(stars, epochs, "objID")
    assert_same_stars(catalogs.zubercal(tmp_path / "F1310"), wanted)
    assert_same_stars(catalogs.zubercal(sorted((tmp_path / "F1310").iterdir())), wanted)
    lc = catalogs.read(tmp_path / "F1310")
    assert_same_stars(lc, wanted)
    assert lc.notes[CUT_NOTE] == n_bad(epochs)
    with pytest.raises(ValueError, match="near= and ids= need a HATS catalogue"):
        catalogs.zubercal(tmp_path / "F1310", ids=[1])


def nested_table(with_flags: bool = True) -> tuple[pa.Table, pd.DataFrame, pd.DataFrame]:
    stars, epochs = detections()
    fields = ["mjd", "mag", "magerr", "band", *(["info", "flag"] if with_flags else [])]
    lists = {c: pa.array([g.to_numpy() for _, g in epochs[c].groupby(level=0)]) for c in fields}
    struct = pa.StructArray.from_arrays(list(lists.values()), list(lists))
    return pa.table({c: stars[c] for c in ("objID", "Class")} | {"lc": struct}), stars, epochs


def test_nested_parquet_row_group_by_row_group(tmp_path):
    table, stars, epochs = nested_table()
    pq.write_table(table, tmp_path / "nested.parquet", row_group_size=10)
    wanted = expected(stars, epochs, "objID")
    assert_same_stars(catalogs.read(tmp_path / "nested.parquet"), wanted)
    assert len(catalogs.zubercal(tmp_path / "nested.parquet", limit=5)) == 5


def test_the_quality_cut_is_not_skipped_silently(tmp_path):
    table, _, epochs = nested_table(with_flags=False)
    pq.write_table(table, tmp_path / "nested.parquet")
    with pytest.raises(ValueError, match="missing column info, flag, which the quality cut needs.*quality_cut=False"):
        catalogs.zubercal(tmp_path / "nested.parquet")
    assert catalogs.zubercal(tmp_path / "nested.parquet", quality_cut=False).n_obs == len(epochs)


@pytest.mark.parametrize("missing", ["mjd", "magerr", "info"])
def test_a_missing_column_is_named(tmp_path, missing):
    flat_files(tmp_path, band_in_name=False)
    path = tmp_path / "ztf_1310_1400_g.parquet"
    pd.read_parquet(path).drop(columns=missing).to_parquet(path)
    with pytest.raises(ValueError, match=f"ztf_1310_1400_g.parquet: missing column {missing}"):
        catalogs.zubercal(path)


def test_errors_are_scaled_whatever_their_type():
    counts = np.array([0.0, 120.0, 350.0])
    np.testing.assert_allclose(in_magnitudes(counts, True), counts / 1e4)
    np.testing.assert_allclose(in_magnitudes(counts, False), counts / 1e4)
    np.testing.assert_allclose(in_magnitudes(counts / 1e4, False), counts / 1e4)


@pytest.fixture
def near_published(hats, monkeypatch):
    """The published data set played by the synthetic catalogue on disk."""
    monkeypatch.setattr(_published, "_check_reachable", lambda: None)
    monkeypatch.setattr(_published, "ADDRESS", str(hats[0]))
    return hats


def off(*_args, **_kwargs):
    raise OSError("Name or service not known")


def test_published_is_read_once_and_then_from_the_cache(near_published, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path / "cache"))
    first = catalogs.published(4)
    monkeypatch.setattr(_published, "_check_reachable", off)
    again = catalogs.published(4)
    assert first.object_id.tolist() == again.object_id.tolist() and len(again) == 4
    np.testing.assert_array_equal(first.mag, again.mag)
    assert again.notes == first.notes
    assert len(list((tmp_path / "cache").iterdir())) == 1
    with pytest.raises(ConnectionError):
        catalogs.published(5)


def test_published_by_position_and_by_id(near_published, tmp_path):
    _, stars, _ = near_published
    star = stars.iloc[11]
    near = catalogs.published(None, near=(star["_RAJ2000"], star["_DEJ2000"], 3.0), cache=tmp_path)
    by_id = catalogs.published(ids=[star["Source"]], cache=tmp_path)
    assert near.object_id.tolist() == by_id.object_id.tolist() == [str(star["Source"])]
    assert near.label.tolist() == [star["Class"]]
    assert len(list(tmp_path.iterdir())) == 2


def test_published_offline_says_what_was_tried_and_what_to_do(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="needs the extra data")
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", off)
    with pytest.raises(ConnectionError) as error:
        catalogs.published(7, cache=tmp_path / "cache")
    message = str(error.value)
    assert "hf://datasets/snad-space/astra-zubercaldr16_gaiadr3vclassre" in message
    assert str(tmp_path / "cache" / "published-") in message
    assert "network" in message and "macho_example" in message
    assert not (tmp_path / "cache").exists()


def test_published_asks_before_reading_millions_and_for_a_cache_it_can_write(tmp_path):
    with pytest.raises(ValueError, match="2.1 million stars; give a limit, near="):
        catalogs.published(None, cache=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot write the cache"):
        catalogs.published(3, cache=tmp_path / "file")


def test_read_never_skips_the_quality_cut_of_a_hats_folder(hats, tmp_path):
    import shutil

    folder, stars, epochs = hats
    bare = tmp_path / "catalogue"
    shutil.copytree(folder, bare)
    for metadata in bare.rglob("_common_metadata"):
        metadata.unlink()
    assert catalogs.read(bare).notes[CUT_NOTE] == n_bad(epochs)


def test_read_says_when_a_hats_folder_has_no_flags(tmp_path):
    lsdb = pytest.importorskip("lsdb", reason="needs the extra data")
    from nested_pandas import NestedFrame

    stars, epochs = detections()
    plain = epochs.drop(columns=["info", "flag"]).assign(magerr=0.05)
    frame = NestedFrame(stars.assign(Source=np.arange(N_STARS))).join_nested(plain, "lc")
    lsdb.from_dataframe(frame, ra_column="_RAJ2000", dec_column="_DEJ2000", margin_threshold=None).write_catalog(
        tmp_path / "c", catalog_name="synthetic", progress_bar=False
    )
    lc = catalogs.read(tmp_path / "c")
    assert lc.n_obs == len(plain) and lc.notes["read without a quality cut (no info, flag): star"] == len(lc)


def conflicting(folder, labels):
    """Detections of star 0, one row each, whose rows say `labels`; returns the file."""
    flat_files(folder, band_in_name=False)
    path = folder / "ztf_1310_1400_g.parquet"
    table = pd.read_parquet(path)
    table = table[table["objectid"] == table["objectid"].iloc[0]].head(len(labels))
    table.assign(Class=labels, info=0, flag=0).to_parquet(path, index=False)
    return path


def test_a_star_with_several_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"star \d+ has several values of Class: \w+ and \w+"):
        catalogs.zubercal(conflicting(tmp_path, ["RR", "ECL"]))


def test_rows_that_leave_the_label_empty_are_no_objection(tmp_path):
    assert catalogs.zubercal(conflicting(tmp_path, [None, "RR"])).label.tolist() == ["RR"]


def test_a_local_catalogue_never_leads_elsewhere(hats, tmp_path):
    import shutil

    folder = shutil.copytree(hats[0], tmp_path / "c")
    (folder / "collection.properties").write_text("obs_collection=x\nhats_primary_table_url=hf://datasets/x/y\n")
    with pytest.raises(ValueError, match=r"points to another place \(hats_primary_table_url=hf://"):
        catalogs.read(folder)


@pytest.mark.parametrize("damage", ["properties", "cut", "lost", "unlisted", "replaced"])
def test_a_damaged_catalogue_is_one_line(hats, tmp_path, damage):
    import shutil

    folder = shutil.copytree(hats[0], tmp_path / "c")
    partition = next(folder.rglob("Npix=*.parquet"))
    if damage == "properties":
        (folder / "hats.properties").write_text("broken")
    elif damage == "unlisted":
        listed = next(folder.rglob("partition_info.csv"))
        listed.write_text("\n".join(listed.read_text().splitlines()[:-1]) + "\n")
    elif damage == "replaced":  # by another one, of other stars
        others = [
            p
            for p in folder.rglob("Npix=*.parquet")
            if pq.read_metadata(p).num_rows != pq.read_metadata(partition).num_rows
        ]
        shutil.copy(others[0], partition)
    elif damage == "cut":
        partition.write_bytes(partition.read_bytes()[:200])
    else:
        partition.unlink()
    with pytest.raises((ValueError, OSError), match=str(folder)):
        catalogs.read(folder)


@pytest.mark.parametrize(
    "text",
    [
        "hats_primary_table_url=hf://datasets/somebody/stars",
        "  hats_primary_table_url : https://example.org/stars",
        "hats_primary_table_url=hf\\u003a//datasets/stars",
        "hats_primary_table_url=hf\\://datasets/stars",
        "hats_primary_table_url=hf\\\n  ://datasets/stars",
        "hats_primary_table_url=simplecache::hf:/stars",
        "hats_primary_table_url=stars\nall_margins=s3://margins",
    ],
)
@pytest.mark.parametrize("name", ["collection.properties", "stars/hats.properties"])
def test_a_local_catalogue_that_points_to_an_address_is_refused_before_it_is_opened(tmp_path, monkeypatch, text, name):
    monkeypatch.setattr(_hats, "_lsdb", lambda: pytest.fail("opened"))
    (tmp_path / "stars").mkdir()
    (tmp_path / name).write_text(f"# https://a.comment\nhats_creator=https://example.org\n{text}\n")
    with pytest.raises(ValueError, match="points to another place .*open that address, or copy it here"):
        _hats.opened(str(tmp_path))
    (tmp_path / name).write_text("hats_primary_table_url=stars\nhats_creator=https://example.org\n")
    assert _hats._elsewhere(tmp_path) == ""
