"""Files of other surveys and hands, a few of each kind: no stars merge, nothing is lost or misread unsaid."""

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astraclr import catalogs
from astraclr.catalogs._formats import FORMATS
from astraclr.catalogs._zubercal_tables import layout_of
from astraclr.catalogs._zubercal_tables import tidy as tidied
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves

N = 12
MJD = 58_300.25 + 3.0 * np.arange(N)
TWO = np.repeat(["a", "b"], N // 2)


def tidy(**columns) -> pd.DataFrame:
    """Two stars of six epochs in two bands."""
    table = {"object_id": TWO, "mjd": MJD, "mag": 16.0, "magerr": 0.05, "band": np.tile(["g", "r"], N // 2)}
    return pd.DataFrame(table | columns)


def irsa(**columns) -> pd.DataFrame:
    table = tidy().rename(columns={"object_id": "oid", "band": "filtercode"})
    return table.assign(oid=np.repeat([718103100001111, 718103100001112], N // 2), catflags=0, **columns)


def survey(survey_name: str, /, **columns) -> pd.DataFrame:
    """Twelve epochs as a survey or broker gives them."""
    jd = MJD + 2_400_000.5
    tables = {
        "fink": {"i:objectId": "ZTF", "i:jd": jd, "i:fid": 1, "i:magpsf": 19.0, "i:sigmapsf": 0.1, "i:magnr": 16.0}
        | {"i:isdiffpos": "t"},
        "zfps": {"filter": "ZTF_r", "zpdiff": 26.0, "jd": jd, "forcediffimflux": -100.0, "forcediffimfluxunc": 20.0}
        | {"nearestrefmag": 17.0, "nearestrefmagunc": 0.02, "procstatus": 0},
        "atlas": {"MJD": MJD, "uJy": 1000.0, "duJy": 10.0, "F": "c", "err": 0},
        "gaia": {"source_id": 5853498713190525696, "transit_id": 1, "band": "G", "time": MJD - 55_197, "mag": 15.0}
        | {"flux": 1e4, "flux_error": 10.0, "rejected_by_photometry": False, "rejected_by_variability": False},
        "skypatrol": {"asas_sn_id": np.repeat([7, 8], N // 2), "jd": jd, "flux": 3.0, "flux_err": 0.1, "mag": 15.5}
        | {"mag_err": 0.02, "limit": 17.0, "camera": "be", "quality": ["G"] * 10 + ["B"] * 2, "phot_filter": "g"},
        "asassn": {"HJD": jd, "mag": 15.5, "mag_err": 0.02, "Filter": "V", "flux(mJy)": 3.0},
        "astromer": {"mjd": MJD, "mag": 16.0, "errmag": 0.1, "band": "g"},
        "alerce": {"oid": "ZTF", "mjd": MJD, "fid": 1, "magpsf_corr": 16.0, "sigmapsf_corr_ext": 0.05},
        "rubin": {"diaObjectId": 1, "midpointMjdTai": MJD, "band": "z", "psfFlux": 100.0, "psfFluxErr": 1.0},
    }
    return pd.DataFrame(tables[survey_name], index=range(N)).assign(**columns)


def read(tmp_path, table, suffix="csv", **how):
    path = tmp_path / f"t.{suffix}"
    table.to_parquet(path) if suffix == "parquet" else table.to_csv(path, index=False)
    return catalogs.read(path, **how)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (tidy(object_id="7.18103E14"), "column object_id holds 7.18103E14, an id that a spreadsheet rounded"),
        (tidy(object_id=718103000000000), "718103000000000 whose digits after the 6th are all 0"),
        (tidy(object_id=718103000000000.0), r"718103000000000(\.0)? whose digits after the 6th are all 0"),
        (irsa(ra=np.repeat([210.1, 210.7], 6), dec=30.0).assign(oid=718103100001111), "places 1,871 arcsec apart"),
        (irsa().drop(columns="oid").assign(ztf_id=TWO), "ztf_id may be one: rename it to object_id"),
        (survey("asassn", asas_sn_id=TWO), "asas_sn_id may be one"),
        (survey("atlas", name=TWO), "name may be one"),
        (survey("astromer", TIC=TWO), "TIC may be one"),
    ],
)
def test_ids_that_are_rounded_or_have_another_name_merge_no_stars(tmp_path, table, message):
    for suffix in ("csv", "parquet"):
        with pytest.raises(ValueError, match=message):
            read(tmp_path, table, suffix)


@pytest.mark.parametrize("name", ["zfps", "atlas", "asassn", "astromer"])
def test_a_survey_of_one_star_a_file_may_hold_object_ids(tmp_path, name):
    lc = read(tmp_path, survey(name, object_id=TWO))
    assert lc.object_id.tolist() == ["a", "b"] and lc.n_obs == N


def test_ids_of_twelve_digits_that_end_in_few_zeros_are_kept(tmp_path):
    assert len(read(tmp_path, tidy(object_id=np.repeat([718103000000000, 718103000000001], 6)))) == 2
    assert len(read(tmp_path, tidy(object_id=np.repeat([1000000000000, 1000000000001], 6)))) == 2
    assert read(tmp_path, tidy(object_id=12000000)).object_id.tolist() == ["12000000"]


@pytest.mark.parametrize(
    ("table", "notes"),
    [
        (survey("zfps", procstatus=[0] * 10 + [56, None]), {"procstatus is not 0": 1, "procstatus missing": 1}),
        (survey("atlas", err=[0] * 10 + [1, None]), {"err is not 0": 1, "err missing": 1}),
        (
            survey("gaia", rejected_by_variability=[False] * 10 + [True, None]),
            {"rejected_by_variability": 1, "rejected_by_photometry or rejected_by_variability missing": 1},
        ),
        (survey("fink", **{"i:isdiffpos": ["T", "f"] * 5 + ["F", None]}), {"isdiffpos is neither true nor false": 1}),
        (survey("fink", **{"i:magnr": [16.0] * 11 + [-999.0]}), {"value not finite": 1}),
        (survey("rubin", psfFlux_flag=[False] * 11 + [True]), {"psfFlux_flag is set": 1}),
    ],
)
def test_missing_flags_and_signs_have_counts_of_their_own_in_every_container(tmp_path, table, notes):
    for suffix in ("csv", "parquet"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            lc = read(tmp_path, table, suffix)
        assert {k.removeprefix("dropped: "): n for k, n in lc.notes.items() if k.startswith("dropped")} == notes
        assert lc.n_obs == N - sum(notes.values())


@pytest.mark.parametrize("name", ["zfps", "atlas", "gaia", "fink", "alerce", "rubin", "asassn"])
def test_a_column_label_is_read_in_every_format(tmp_path, name):
    assert set(read(tmp_path, survey(name, label=0)).label) == {"0"}
    assert any("column varClass" in note for note in read(tmp_path, survey(name, varClass="RR")).notes)


def test_labels_of_a_catalogue_that_are_not_read_are_named():
    options = {"quality_cut": True, "bands": ZTF_BANDS, "drop_unknown_bands": False, "drop_repeated": False}
    table = pa.Table.from_pandas(tidy(vartype="RR"), preserve_index=False)
    fmt = next(f for f in FORMATS if f.name == "tidy")
    layout = layout_of(table.schema, (None, "Class", "lc"), options | {"at_least": {}}, fmt)
    lc, notes = tidied(table.select(layout.columns), layout)
    assert lc is not None and len(lc) == 2
    assert notes == {"not read: column vartype, which looks like labels (rename it to label)": N}


def test_fluxes_of_difference_images_are_never_taken(tmp_path):
    whole = survey("rubin", diaSourceId=range(N), scienceFlux=20_000.0, scienceFluxErr=100.0)
    assert read(tmp_path, whole).mag == pytest.approx(31.4 - 2.5 * np.log10(20_000.0), rel=1e-6)
    with pytest.raises(ValueError, match=r"missing column scienceFlux, .*psfFlux of these tables"):
        read(tmp_path, whole.drop(columns=["scienceFlux", "scienceFluxErr"]))


def test_sky_patrol_drops_what_is_not_good(tmp_path):
    lc = read(tmp_path, survey("skypatrol"))
    assert lc.object_id.tolist() == ["7", "8"] and lc.n_obs == 10 and lc.notes["dropped: quality is not G"] == 2
    web = {"jd": "JD", "mag": "Mag", "mag_err": "Mag Error", "phot_filter": "Filter", "quality": "Quality"}
    renamed = survey("skypatrol").drop(columns="asas_sn_id").rename(columns=web | {"camera": "Camera"})
    assert read(tmp_path, renamed).object_id.tolist() == ["t"]


def test_magnitudes_are_taken_where_fluxes_stand_beside_them_and_units_are_zero_points(tmp_path):
    both = read(tmp_path, tidy(flux=1000.0, flux_err=10.0))
    assert set(both.mag) == {16.0}
    fluxes = tidy().drop(columns=["mag", "magerr"])
    for unit, zero in (("mJy", 16.4), ("nJy", 31.4)):
        lc = read(tmp_path, fluxes.assign(**{f"flux_{unit}": 1000.0, f"flux_{unit}_err": 10.0}))
        assert lc.mag == pytest.approx(zero - 7.5)
    with pytest.raises(ValueError, match="fluxes need their zero point"):
        read(tmp_path, fluxes.assign(flux_counts=1000.0, flux_counts_err=1.0))
    astropy = pytest.importorskip("astropy.table", reason="needs the extra data")
    made = astropy.QTable.from_pandas(fluxes.assign(flux=1000.0, flux_err=10.0))
    made["flux"].unit = "nJy"
    made.write(tmp_path / "t.fits")
    assert catalogs.read(tmp_path / "t.fits").mag == pytest.approx(23.9)


@pytest.mark.filterwarnings("ignore:.*W03")  # of the writer; they cannot be sent from one test process to another
def test_names_with_blanks_and_colons_survive_votable_and_ecsv(tmp_path):
    astropy = pytest.importorskip("astropy.table", reason="needs the extra data")
    made = astropy.Table.from_pandas(survey("fink", **{"UT Date": "2018-10-08 01:02"}))
    for name, form in (("t.xml", "votable"), ("t.ecsv", "ascii.ecsv")):
        made.write(tmp_path / name, format=form)
        assert catalogs.read(tmp_path / name).n_obs == N


def test_a_column_filter_is_the_band_and_ztf_bands_have_many_names(tmp_path):
    snad = tidy(object_id="718103100001111").rename(columns={"object_id": "oid", "band": "filter"})
    for names in (["zg", "zr"], ["ztf_g", "ZTF-r"]):
        assert read(tmp_path, snad.assign(filter=names * 6)).counts[0, :2].tolist() == [6, 6]


def test_a_data_set_may_hold_other_files_and_a_folder_text_of_any_suffix(tmp_path):
    (tmp_path / "a" / "stars.parquet").mkdir(parents=True)
    tidy().to_parquet(tmp_path / "a" / "stars.parquet" / "part-0")
    (tmp_path / "a" / "stars.parquet" / "README.txt").write_text("mine")
    lc = catalogs.read(tmp_path / "a")
    assert len(lc) == 2 and lc.notes == {"not read: file without a known suffix (README.txt)": 1}
    (tmp_path / "b" / "stars.csv").mkdir(parents=True)  # as Dask writes CSV
    tidy().to_csv(tmp_path / "b" / "stars.csv" / "0.part", index=False)
    assert len(catalogs.read(tmp_path / "b")) == 2
    (tmp_path / "c" / "band=g").mkdir(parents=True)
    tidy().to_csv(tmp_path / "c" / "band=g" / "0.csv", index=False)
    assert len(catalogs.read(tmp_path / "c")) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<!-- late --><!DOCTYPE html><title>x", "is a web page"),
        ('<?xml version="1.0"?><html xmlns="x">', "is a web page"),
        ("a,58000.5,16.1,0.1,g\n", "no header: its first line holds values"),
        ("ID,MJD [d],Mag (AB),Mag err,Filter\n1,58000.1,15.1,0.1,g\n", r"rename ID to object_id, MJD \[d\] to mjd"),
        ("object_id,MJD-OBS,mag,magerr,band\n1,58000.1,15.1,0.1,g\n", "rename MJD-OBS to mjd"),
        ("object_id,mjd,mag,magerr,band\na,2018-10-08,15,0.1,g\na,58000,15,0.1,g\n", "found '58000' in row 2 among da"),
    ],
)
def test_what_a_file_is_and_lacks_is_said_truly(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=message) as raised:
        catalogs.read(tmp_path / "t.csv")
    assert "\n" not in str(raised.value)


def test_times_less_than_julian_dates_may_be_of_tess(tmp_path):
    with pytest.warns(UserWarning, match="56999.5 if they are TESS's BTJD"):
        read(tmp_path, tidy(mjd=MJD - 57_000))


def test_a_ragged_row_that_is_not_utf_8_makes_no_noise(tmp_path, capfd):
    rows = b"a,58000,15,0.1,g\n" * 5000
    (tmp_path / "t.csv").write_bytes(b"object_id,mjd,mag,magerr,band\n" + rows + b"\xe9,58000,15\n")
    with pytest.raises(ValueError, match="line 5002 has 3 values"):
        catalogs.read(tmp_path / "t.csv")
    assert capfd.readouterr().err == ""


def test_rows_of_arrays_keep_masks_and_foreign_bytes():
    mag = np.ma.masked_where(np.arange(N) == 0, np.full(N, 16.0))
    rows = {"object_id": ["a"], "mjd": [MJD.astype(">f8")], "mag": [mag]}
    rows |= {"magerr": [tuple([0.1] * N)], "band": [["g"] * N]}
    assert LightCurves.from_rows(pd.DataFrame(rows)).notes == {"dropped: value not finite": 1}
    square = {c: np.stack([tidy()[c].to_numpy()] * 2) for c in ("mjd", "mag", "magerr")}
    table = {"object_id": ["a", "b"], **square, "band": [["g"] * N] * 2}
    assert LightCurves.from_rows(table).n_obs == 2 * N


def test_other_kinds_of_pandas_columns_are_read_or_refused_in_one_line():
    assert LightCurves.from_table(tidy(mag=pd.arrays.SparseArray([16.0] * N))).n_obs == N
    with pytest.raises(ValueError, match=r"spans of time \(Period\)"):
        LightCurves.from_table(tidy(mjd=pd.period_range("2018-01-01", periods=N)))
    with pytest.raises(TypeError, match="column mag is not nested but float64"):
        LightCurves.from_nested(tidy(), "mag")


def test_one_star_in_lists_of_structs_needs_no_id(tmp_path):
    rows = survey("atlas").to_dict("records")
    pq.write_table(pa.table({"lc": pa.array([rows])}), tmp_path / "t.parquet")
    assert catalogs.read(tmp_path / "t.parquet").object_id.tolist() == ["t"]
