"""Files as other tools, archives and careless hands leave them, where a folder of them is there: see `EXPECTED`."""

import os
import re
import warnings
from pathlib import Path

import pytest

from astraclr import catalogs

ROOT = Path(__file__).resolve().parents[2]

EXPECTED = {
    "irsa_excel_oid.csv": r"column oid holds 7.18103E\+14.*import this column as text",
    "tidy_excel_id.csv": r"column object_id holds 7.18103E\+14",
    "tidy_band_catflags.csv": (4, 216, {"dropped: catflags & 32768 (bad epoch)": 24}),
    "gaia_ids_float64.parquet": "digits are lost.*int64 or text",
    "zubercal_flags.csv": (2, 128, {"dropped: info or flag is not 0": 32}),
    "zubercal_int_errors.csv": (2, 128, {"dropped: info or flag is not 0": 32}),
    "nested_lc_catflags.parquet": (4, 216, {"dropped: catflags & 32768 (bad epoch)": 24}),
    "irsa_catflags_missing.csv": (
        3,
        191,
        {"dropped: catflags & 32768 (bad epoch)": 22, "dropped: catflags missing": 27},
    ),
    "irsa_label.csv": (3, 216, {"dropped: catflags & 32768 (bad epoch)": 24}),
    "folder_upper_suffix": (2, 60, {}),
    "folder_with_dataset": (3, 240, {}),
    "folder_with_dataset/stars.parquet": (3, 240, {}),
    "jd.csv": (3, 240, {"converted: JD to MJD (JD - 2400000.5)": 240}),
    "jd_mixed.csv": (3, 240, {"converted: JD to MJD (JD - 2400000.5)": 80}),
    "mjd_float32.parquet": (3, 240, {"rounded: time stored as a 32-bit float, steps of 0.0039 d": 240}),
    "datetime.parquet": (3, 240, {"converted: date to MJD": 240}),
    "unix_seconds.csv": (3, 240, {"converted: Unix seconds to MJD (seconds / 86400 + 40587)": 240}),
    "rows_id_as_index.parquet": (24, 1200, None),
    "tidy_bigendian.fits": (3, 240, {}),
    "tidy_id_as_index.parquet": (2, 160, {}),
    "spaces_after_commas.csv": (2, 160, {}),
    "irsa_cat_repeated_header.csv": (
        1,
        76,
        {"dropped: repeated header line": 1, "dropped: catflags & 32768 (bad epoch)": 4},
    ),
    "decimal_comma_quoted.csv": "decimal commas.*decimal=','",
    "list_of_struct.parquet": (3, 120, {}),
    "rows_wide.parquet": "missing column.*mjd_g, mag_g, magerr_g",
    "rows_scalar_band.parquet": (3, 240, {"joined: row of a star that has several": 3}),
    "rows_lists_as_text.csv": "lists written as text; save the table as parquet",
    "zubercal_flag_bool.parquet": (3, 240, {}),
    "latin1.csv": (1, 2, {}),
    "irsa_utf16.csv": (1, 76, None),
    "irsa_gz_without_suffix.csv": (1, 76, None),
    "html_error_page.csv": "is a web page, not a table: the download failed",
    "irsa_hats_lightcurve": (4, 216, {"dropped: catflags & 32768 (bad epoch)": 24}),
    "hats_nested_lightcurve": (4, 240, None),
    "nested_lightcurve.parquet": (3, 120, {}),
    "irsa_votable.xml": (1, 76, None),
    "irsa_ipac.tbl": (1, 76, None),
    "irsa.tsv": (1, 76, None),
    "irsa_semicolon.csv": (1, 76, None),
    "band_zg.csv": (3, 240, {}),
    "alerce_detections.csv": (1, 70, {"dropped: sentinel magnitude or error": 10}),
    "alerce_forced.csv": (1, 70, {"dropped: sentinel magnitude or error": 10}),
    "fink.csv": (1, 80, None),
    "zfps.txt": (1, 51, {"dropped: procstatus is not 0": 9, "converted: JD to MJD (JD - 2400000.5)": 60}),
    "atlas.txt": (1, 54, {"dropped: flux not positive": 6}),
    "asassn.csv": (
        1,
        33,
        {"dropped: limit, not a measurement": 7, "converted: HJD to MJD (HJD - 2400000.5)": 40},
    ),
    "gaia_epoch.csv": (
        1,
        78,
        {"dropped: rejected_by_variability": 12, "converted: time to MJD (plus 55197)": 90},
    ),
    "plasticc.csv": (2, 240, {}),
    "mmu.parquet": (
        3,
        114,
        {
            "converted: flux to mag (zero point 27.5, as FLUXCAL of SNANA)": 120,
            "rounded: time stored as a 32-bit float, steps of 0.0039 d": 114,
            "dropped: sentinel time": 6,
        },
    ),
    "snad_api.json": (1, 20, {}),
    "OGLE-XXX-RRLYR-00001.dat": "no header: 3 columns of numbers.*time, magnitude, error; the band is unknown",
    "astromer.csv": r"missing column band; .*--band NAME=ANGSTROM.*\(errmag as magerr\)",
    "passing/arrow_binary.parquet": (3, 240, {}),
    "passing/arrow_decimal.parquet": (3, 240, {}),
    "passing/arrow_f16.parquet": (3, 240, {}),
    "passing/arrow_large_dict.parquet": (3, 240, {}),
    "passing/arrow_strview.parquet": (3, 240, {}),
    "passing/edge.csv": (14, 913, None),
    "passing/folder_mac_junk": (1, 30, {}),
    "passing/gt.csv": "found '>19.5' in row 1: a limit is no measurement",
    "passing/hats_lc": (4, 240, None),
    "passing/irsa.csv.bz2": (1, 76, None),
    "passing/irsa.csv.zip": (1, 76, None),
    "passing/irsa_bom.csv": (1, 76, None),
    "passing/irsa_cr.csv": (1, 76, None),
    "passing/irsa_crlf.csv": (1, 76, None),
    "passing/irsa_index.parquet": (2, 152, None),
    "passing/irsa_ok.csv": (1, 76, None),
    "passing/names.csv": (18, 1440, {}),
    "passing/nanloss.csv": (40, 4800, None),
    "passing/null.csv": (3, 205, {"dropped: value not finite": 35}),
    "passing/rows_largelist.parquet": (3, 240, {}),
    "passing/rows_listdict.parquet": (3, 240, {}),
    "passing/unnamed0.csv": (3, 240, {}),
}
"""What `read` gives of each file: stars, observations, notes (None: any), or the words of its refusal."""


@pytest.fixture(scope="module")
def cases() -> Path:
    """Folder of the files: ASTRACLR_CASES, or ../shared/cases."""
    folder = Path(os.environ.get("ASTRACLR_CASES", ROOT.parent / "shared" / "cases"))
    if not folder.is_dir():
        pytest.skip(f"no files at {folder}: set ASTRACLR_CASES to a folder that holds them")
    return folder


@pytest.mark.parametrize("name", EXPECTED)
def test_case(cases, name):
    if not (cases / name).exists():
        pytest.skip(f"{cases} does not hold {name}")
    if "hats" in name:
        pytest.importorskip("lsdb", reason="needs the extra data")
    wanted = EXPECTED[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(wanted, str):
            with pytest.raises(ValueError, match=wanted) as raised:
                catalogs.read(cases / name)
            message = str(raised.value)
            assert re.match(re.escape(str(cases / name)), message) and "coerce" not in message and len(message) < 600
            return
        lc = catalogs.read(cases / name)
    stars, observations, notes = wanted
    assert (len(lc), lc.n_obs) == (stars, observations)
    assert notes is None or lc.notes == notes
