"""Every entry of the table of formats: what it takes for the time, magnitude, error and band, and what it drops."""

import json

import numpy as np
import pandas as pd
import pytest

from astraclr import catalogs
from astraclr.catalogs._formats import FORMATS
from astraclr.catalogs._photometry import SIGNIFICANCE, alert, forced_ztf, from_flux
from astraclr.config import RUBIN_BANDS

MJD = 58_000.25


def read(tmp_path, table: pd.DataFrame, name="star 7.csv", **how):
    table.to_csv(tmp_path / name, index=False)
    return catalogs.read(tmp_path / name, **how)


def only(lc):
    """(band, mjd, mag, magerr) of the one observation of one star."""
    ((band, columns),) = lc.star(0).items()
    assert lc.n_obs == 1
    return (band, *(float(c[0]) for c in columns))


def test_formats_have_a_source_and_are_recognised_by_columns():
    for one in FORMATS:
        assert one.source and one.signs and one.title, one.name
        assert {"mjd", "band"} <= set(one.roles) and (one.photometry or {"mag", "magerr"} <= set(one.roles)), one.name


def test_fluxes_become_magnitudes_and_what_has_none_is_counted():
    mag, magerr, bad = from_flux(np.array([100.0, -5.0, 1.0, np.nan, 0.0]), np.array([10.0, 1.0, 0.9, 1.0, 1.0]), 25.0)
    assert mag[0] == pytest.approx(20.0) and magerr[0] == pytest.approx(0.108574, rel=1e-5)
    counts = {reason: int(n.sum()) for reason, n in bad.items()}
    assert counts == {"dropped: flux not positive": 2, f"dropped: flux below {SIGNIFICANCE:g} sigma": 1}


def test_an_alert_adds_or_subtracts_its_difference():
    values = {"magpsf": 19.0, "sigmapsf": 0.1, "magnr": 18.0, "sign": 1}
    for sign, flux in ((1, 10**-7.2 + 10**-7.6), (-1, 10**-7.2 - 10**-7.6)):
        mag, magerr, _ = alert(lambda role, sign=sign: np.array([float(values[role] if role != "sign" else sign)]))
        assert mag[0] == pytest.approx(-2.5 * np.log10(flux))
        assert magerr[0] == pytest.approx(0.1 * 10**-7.6 / flux)


def test_forced_photometry_adds_the_reference():
    values = {"flux": -500.0, "fluxerr": 30.0, "zpdiff": 26.0, "refmag": 17.0, "refmagerr": 0.02}
    mag, magerr, _ = forced_ztf(lambda role: np.array([values[role]]))
    reference = 10 ** (0.4 * 9.0)
    assert mag[0] == pytest.approx(26.0 - 2.5 * np.log10(reference - 500))
    assert magerr[0] == pytest.approx(np.hypot(30.0 * 2.5 / np.log(10), reference * 0.02) / (reference - 500))


def test_alerce_takes_apparent_magnitudes_never_those_of_the_difference(tmp_path):
    table = pd.DataFrame(
        {
            "oid": "ZTF18x",
            "mjd": [MJD, MJD + 1],
            "fid": [2, 1],
            "magpsf": 20.0,
            "sigmapsf": 0.3,
            "magpsf_corr": [16.5, 100.0],
            "sigmapsf_corr": 0.2,
            "sigmapsf_corr_ext": [0.05, 100.0],
        }
    )
    lc = read(tmp_path, table)
    assert only(lc)[0] == "r" and only(lc)[1:] == pytest.approx((MJD, 16.5, 0.05), rel=1e-6)
    assert lc.notes == {"dropped: sentinel magnitude or error": 1}
    forced = table.drop(columns=["magpsf_corr", "sigmapsf_corr_ext"])
    forced = forced.assign(mag=21.0, e_mag=0.3, mag_corr=[16.5, 100.0], e_mag_corr_ext=[0.05, 100.0])
    assert only(read(tmp_path, forced))[1:] == pytest.approx((MJD, 16.5, 0.05), rel=1e-6)


def test_fink_takes_valid_rows_and_the_sign_of_the_difference(tmp_path):
    table = pd.DataFrame(
        {
            "i:objectId": "ZTF18x",
            "i:jd": MJD + 2_400_000.5 + np.arange(3),
            "i:fid": 1,
            "i:magpsf": 19.0,
            "i:sigmapsf": 0.1,
            "i:magnr": 18.0,
            "i:isdiffpos": ["t", "f", "t"],
            "d:tag": ["valid", "valid", "upperlim"],
        }
    )
    lc = read(tmp_path, table)
    assert lc.notes["dropped: d:tag is not valid (limit or bad quality)"] == 1
    assert lc.mag[0] < 18 < lc.mag[1] and lc.mjd[0] == pytest.approx(MJD)


def test_zfps_is_read_with_names_between_commas_and_values_between_blanks(tmp_path):
    (tmp_path / "mine.txt").write_text(
        "# ZTF forced photometry\n#\nindex, filter, zpdiff, jd, forcediffimflux, forcediffimfluxunc, "
        "nearestrefmag, nearestrefmagunc, procstatus,\n"
        " 0 ZTF_g 26.0 2458000.75 -500.0 30.0 17.0 0.02 0\n 1 ZTF_g 26.0 2458001.75 -500.0 30.0 17.0 0.02 56,61\n"
    )
    lc = catalogs.read(tmp_path / "mine.txt")
    assert lc.object_id.tolist() == ["mine"] and only(lc)[:2] == ("g", MJD)
    assert lc.notes["dropped: procstatus is not 0"] == 1


def test_atlas_is_named_by_its_file_and_brings_its_bands(tmp_path):
    (tmp_path / "sn.txt").write_text(
        "###MJD m dm uJy duJy F err\n58000.25 16.4 0.02 1000 20 c 0\n58001 -16 0.1 -9 20 o 0\n58002 16 0.1 999 20 o 1\n"
    )
    lc = catalogs.read(tmp_path / "sn.txt")
    assert lc.object_id.tolist() == ["sn"] and only(lc)[1:] == pytest.approx((MJD, 16.4, 0.0217147), rel=1e-5)
    assert lc.notes == {"dropped: err is not 0": 1, "dropped: flux not positive": 1}
    assert catalogs.read(tmp_path / "sn.txt", bands={"c": 5000.0, "o": 6000.0}).bands == {"c": 5000.0, "o": 6000.0}


def test_asassn_drops_limits_with_a_count(tmp_path):
    table = pd.DataFrame(
        {
            "HJD": MJD + 2_400_000.5 + np.arange(2),
            "mag": ["15.680", ">16.261"],
            "mag_err": [0.03, 99.99],
            "flux(mJy)": 3.1,
            "Filter": "V",
        }
    )
    lc = read(tmp_path, table)
    assert only(lc)[1:] == pytest.approx((MJD, 15.68, 0.03), rel=1e-6) and lc.object_id.tolist() == ["star 7"]
    assert lc.notes["dropped: limit, not a measurement"] == 1


def test_gaia_counts_its_rejections_from_its_own_epoch(tmp_path):
    table = pd.DataFrame(
        {
            "source_id": "4295806720123456789",
            "transit_id": [1, 2, 3],
            "band": "BP",
            "time": MJD - 55_197,
            "mag": 16.4,
            "flux": 5000.0,
            "flux_error": 50.0,
            "rejected_by_photometry": [False, True, False],
            "rejected_by_variability": [False, False, True],
        }
    )
    lc = read(tmp_path, table)
    assert only(lc)[1:] == pytest.approx((MJD, 16.4, 0.0108574), rel=1e-5) and lc.object_id[0][-3:] == "789"
    assert lc.notes["dropped: rejected_by_photometry"] == lc.notes["dropped: rejected_by_variability"] == 1


def test_fluxes_of_plasticc_rubin_and_any_zero_point(tmp_path):
    base = pd.DataFrame({"object_id": ["7"], "mjd": [MJD]})
    plasticc = base.assign(passband=5, flux=100.0, flux_err=1.0, detected=1)
    lc = read(tmp_path, plasticc)
    assert lc.bands == RUBIN_BANDS and only(lc)[0] == "y" and only(lc)[2] == pytest.approx(22.5)
    rubin = base.assign(band="z", psfFlux=10_000.0, psfFluxErr=100.0)
    assert only(read(tmp_path, rubin))[2] == pytest.approx(21.4)
    for unit, mag in (("njy", 21.4), ("ujy", 13.9)):
        table = base.assign(band="g", **{f"flux_{unit}": 10_000.0, f"fluxerr_{unit}": 100.0})
        assert only(read(tmp_path, table))[2] == pytest.approx(mag)
    own = base.assign(band="g", flux=100.0, fluxerr=1.0)
    assert only(read(tmp_path, own.assign(zero_point=25.0)))[2] == pytest.approx(20.0)
    with pytest.raises(ValueError, match="missing column zero_point; fluxes need their zero point"):
        read(tmp_path, own)


def test_ogle_takes_the_band_from_its_folder_and_joins_the_bands_of_a_star(tmp_path):
    rows = {"I": "2458000.75 16.0 0.02\n", "V": "8001.75 17.5 0.03\n"}
    for band, text in rows.items():
        (tmp_path / "phot" / band).mkdir(parents=True)
        (tmp_path / "phot" / band / "OGLE-LMC-CEP-0001.dat").write_text(text)
    lc = catalogs.read(tmp_path / "phot")
    assert lc.object_id.tolist() == ["OGLE-LMC-CEP-0001"] and lc.bands == {"I": 7980.0, "V": 5448.0}
    assert lc.mjd.tolist() == [MJD, MJD + 1] and lc.mag.tolist() == [16.0, 17.5]
    assert "converted: HJD - 2450000 to MJD (plus 49999.5)" in lc.notes
    (tmp_path / "OGLE-LMC-CEP-0001.dat").write_text(rows["I"])
    with pytest.raises(ValueError, match="no header: 3 columns .* the band is unknown: put the file into"):
        catalogs.read(tmp_path / "OGLE-LMC-CEP-0001.dat")
    assert only(catalogs.read(tmp_path / "OGLE-LMC-CEP-0001.dat", bands={"W": 7000.0}))[:2] == ("W", MJD)


def test_a_table_without_bands_is_read_where_the_caller_names_its_one_band(tmp_path):
    table = pd.DataFrame({"mjd": [MJD], "mag": [16.0], "errmag": [0.02]})
    with pytest.raises(ValueError, match=r"missing column band; .*Read as Astromer light curve \(errmag as magerr\)"):
        read(tmp_path, table)
    lc = read(tmp_path, table, bands={"R": 6900.0})
    assert only(lc)[0] == "R" and lc.object_id.tolist() == ["star 7"]
    assert only(lc)[1:] == pytest.approx((MJD, 16.0, 0.02), rel=1e-6)
    tidy = table.rename(columns={"errmag": "magerr"}).assign(object_id="a")
    assert only(read(tmp_path, tidy, bands={"R": 6900.0}))[0] == "R"


def test_multimodal_universe_says_its_zero_point_and_drops_its_padding(tmp_path):
    lists = {"band": [["g", "g", "r"]], "time": [[MJD, MJD + 1, -99.0]], "flux": [[100.0, -4.0, 0.0]]}
    rows = pd.DataFrame({"object_id": ["a"], "obj_type": ["Ia"], **lists, "flux_err": [[1.0, 1.0, 0.0]]})
    rows.to_parquet(tmp_path / "t.parquet")
    lc = catalogs.read(tmp_path / "t.parquet")
    assert only(lc)[:3] == ("g", MJD, 22.5) and lc.label.tolist() == ["Ia"]
    assert lc.notes == {
        "dropped: flux not positive": 2,
        "converted: flux to mag (zero point 27.5, as FLUXCAL of SNANA)": 1,
    }
    rows.assign(zero_point=[[25.0, 25.0, 25.0]]).to_parquet(tmp_path / "t.parquet")
    assert only(catalogs.read(tmp_path / "t.parquet"))[2] == 20.0


def test_snad_json(tmp_path):
    epochs = [{"mjd": MJD, "mag": 16.0, "magerr": 0.02}]
    (tmp_path / "s.json").write_text(json.dumps({"718103100001111": {"lc": epochs, "meta": {"filter": "zr"}}}))
    lc = catalogs.read(tmp_path / "s.json")
    assert lc.object_id.tolist() == ["718103100001111"] and only(lc)[:2] == ("r", MJD)
    (tmp_path / "s.json").write_text('{"a": ' * 10_000)
    with pytest.raises(ValueError, match=r"s\.json.* is JSON"):
        catalogs.read(tmp_path / "s.json")
