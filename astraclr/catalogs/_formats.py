"""The formats that `astraclr.read` knows, one entry each. To add one, add an entry to `FORMATS`.

The first entry that fits a table is taken. A format says by which columns it is recognised and which columns play
which role. Whether a table holds one row an observation, or lists or a nested column, and in which kind of file, makes
no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from astraclr.catalogs._photometry import Photometry, Values, alert, fluxes, forced_ztf, gaia
from astraclr.catalogs._quality import Quality, bad_atlas, bad_fink, bad_gaia, bad_procstatus
from astraclr.config import RUBIN_BANDS

Names = tuple[str, ...]

OBJECT_IDS = ("object_id", "Source", "objID", "objectid")
"""Columns that may hold the object id, the first that is there is taken (Source is Gaia DR3's, the others PS1's)."""

ERROR_UNIT = 1e-4
"""Zubercal stores magerr as whole numbers of 1e-4 mag (readme of the release, IPAC)."""

EPOCH = ("mjd", "mag", "magerr", "band")
"""Roles that every light curve needs."""

ZTF_FILTERS = {"1": "g", "2": "r", "3": "i", "zg": "g", "zr": "r", "zi": "i", "ztfg": "g", "ztfr": "r", "ztfi": "i"}
"""Codes and numbers of ZTF's filters (ZTF Science Data System explanatory supplement, IPAC)."""

ZTF_NAMES = {name: band for name, band in ZTF_FILTERS.items() if not name.isdigit()}


@dataclass(frozen=True)
class Format:
    """What a file is called, how it is recognised, and which columns play which role.

    Attributes
    ----------
    name, title : a word for code, and words for people
    signs : columns by which it is recognised: all must be there, of a tuple of names at least one
    roles : role -> columns that may play it, the first that is there is taken
    source : where the names and rules are documented
    band_names : other spellings of bands
    scale : errors in mag from the values of their column and whether these are whole numbers
    photometry : magnitudes from other roles than mag and magerr
    quality : flags of this format alone, beside those that are always heeded
    time_zero : MJD of the time 0, where times are counted from there
    bands : wavelengths that are taken where the caller names none
    one_star : whether a file without an object_id holds one star, named by the file
    limits : whether a magnitude that begins with > is a limit, which is dropped with a count
    """

    name: str
    title: str
    signs: tuple[str | Names, ...]
    roles: Mapping[str, Names]
    source: str
    band_names: Mapping[str, str] = field(default_factory=lambda: ZTF_NAMES)
    scale: Callable[[np.ndarray, bool], np.ndarray] | None = None
    photometry: Callable[[Values], Photometry] | None = None
    quality: tuple[Quality, ...] = ()
    time_zero: float | None = None
    bands: Mapping[str, float] | None = None
    one_star: bool = False
    limits: bool = False

    @property
    def needed(self) -> list[str]:
        """Roles without which nothing can be read; a format with the role oid can do without an object_id."""
        optional = {"oid", "ra", "dec", "label", "period"}
        if "oid" in self.roles or self.one_star:
            optional.add("object_id")
        return [role for role in self.roles if role not in optional]


def in_magnitudes(magerr: np.ndarray, whole_numbers: bool) -> np.ndarray:
    """Errors in mag from Zubercal's whole numbers of 1e-4 mag, also where these were made floats on the way.

    In units of 1e-4 mag the median error is tens to thousands, in mag it is below 1: no survey confuses the two.
    """
    positive = magerr[magerr > 0]
    scaled = whole_numbers or (len(positive) > 0 and np.median(positive) >= 5)
    return magerr * ERROR_UNIT if scaled else magerr


_TIDY = {
    "object_id": (*OBJECT_IDS, "oid"),
    **{c: (c,) for c in EPOCH},
    "mjd": ("mjd", "hmjd", "jd", "hjd", "bjd"),
    "label": ("label",),
    "period": ("period",),
}


MICROJANSKY, NANOJANSKY = 23.9, 31.4
"""Zero points of AB magnitudes of fluxes in uJy and nJy (Oke & Gunn 1983, ApJ 266, 713: 3631 Jy)."""

_BROKER = {"object_id": ("oid", "object_id"), "mjd": ("mjd",), "band": ("fid",)}

_FLUXES = {
    "object_id": OBJECT_IDS,
    "mjd": ("mjd", "hmjd", "jd", "hjd", "bjd", "time"),
    "flux": ("flux",),
    "fluxerr": ("fluxerr", "flux_err", "flux_error"),
    "zero_point": ("zero_point", "zeropoint", "zp", "magzp"),
    "band": ("band",),
    "label": ("label",),
    "period": ("period",),
}

_FLUX = {role: also for role, also in _FLUXES.items() if role != "zero_point"}

FORMATS = (
    Format(
        "zubercal",
        "Zubercal",
        ("info", "flag", "mjd", "mag", "magerr"),
        {"object_id": OBJECT_IDS, **{c: (c,) for c in EPOCH}, "label": ("label", "Class"), "period": ("period",)},
        "readme of the Zubercal release, IPAC (magerr in units of 1e-4 mag; info and flag are 0 for good detections)",
        scale=in_magnitudes,
    ),
    Format(
        "irsa",
        "ZTF light curves of IRSA",
        ("catflags", ("mag", "mjd", "hmjd")),
        {
            "mjd": ("mjd", "hmjd"),
            "mag": ("mag",),
            "magerr": ("magerr",),
            "band": ("filtercode", "filterid", "band"),
            "object_id": ("object_id",),
            "oid": ("oid", "objectid"),
            "ra": ("ra", "objra"),
            "dec": ("dec", "objdec"),
            "label": ("label",),
            "period": ("period",),
        },
        "ZTF public data release notes and light-curve service, IPAC (hmjd is heliocentric, within 8.3 minutes of mjd)",
        ZTF_FILTERS,
    ),
    Format(
        "alerce",
        "ALeRCE detections",
        ("magpsf_corr", "sigmapsf_corr_ext", "fid"),
        {**_BROKER, "mag": ("magpsf_corr",), "magerr": ("sigmapsf_corr_ext",)},
        "ALeRCE: Forster et al. 2021, AJ 161, 242 (magpsf is the magnitude of the difference)",
        ZTF_FILTERS,
    ),
    Format(
        "alerce_forced",
        "ALeRCE forced photometry",
        ("mag_corr", "e_mag_corr_ext", "fid"),
        {**_BROKER, "mag": ("mag_corr",), "magerr": ("e_mag_corr_ext",)},
        "ALeRCE: Forster et al. 2021, AJ 161, 242",
        ZTF_FILTERS,
    ),
    Format(
        "fink",
        "Fink alerts of ZTF",
        ("i:jd", "i:magpsf", "i:magnr"),
        {
            "object_id": ("i:objectId",),
            "mjd": ("i:jd",),
            "band": ("i:fid",),
            "magpsf": ("i:magpsf",),
            "sigmapsf": ("i:sigmapsf",),
            "magnr": ("i:magnr",),
            "sign": ("i:isdiffpos",),
        },
        "schema of ZTF's alerts (ztf-avro-alert) and of Fink's columns",
        ZTF_FILTERS,
        photometry=alert,
        quality=(Quality(("d:tag",), bad_fink, text=True),),
    ),
    Format(
        "zfps",
        "ZTF forced photometry",
        ("forcediffimflux", "forcediffimfluxunc", "zpdiff"),
        {
            "mjd": ("jd",),
            "band": ("filter",),
            "flux": ("forcediffimflux",),
            "fluxerr": ("forcediffimfluxunc",),
            "zpdiff": ("zpdiff",),
            "refmag": ("nearestrefmag",),
            "refmagerr": ("nearestrefmagunc",),
        },
        "Masci et al. 2023, arXiv:2305.16279",
        {"ZTF_g": "g", "ZTF_r": "r", "ZTF_i": "i"},
        photometry=forced_ztf,
        quality=(Quality(("procstatus",), bad_procstatus, text=True),),
        one_star=True,
    ),
    Format(
        "atlas",
        "ATLAS forced photometry",
        ("uJy", "duJy", "F"),
        {"mjd": ("MJD",), "band": ("F",), "flux": ("uJy",), "fluxerr": ("duJy",)},
        "output of the ATLAS forced photometry server; Tonry et al. 2018, PASP 130, 064505 (bands)",
        photometry=fluxes(MICROJANSKY),
        quality=(Quality(("err",), bad_atlas),),
        bands={"c": 5330.0, "o": 6790.0},
        one_star=True,
    ),
    Format(
        "asassn",
        "ASAS-SN light curve",
        ("HJD", "mag_err", "Filter", ("flux(mJy)", "flux")),
        {"mjd": ("HJD",), "mag": ("mag",), "magerr": ("mag_err",), "band": ("Filter",)},
        "ASAS-SN Sky Patrol: Kochanek et al. 2017, PASP 129, 104502 (a magnitude that begins with > is a limit)",
        bands={"V": 5500.0, "g": 4770.0},
        one_star=True,
        limits=True,
    ),
    Format(
        "gaia",
        "Gaia epoch photometry",
        ("source_id", "transit_id", "time", "flux_error", "rejected_by_variability"),
        {
            "object_id": ("source_id",),
            "mjd": ("time",),
            "mag": ("mag",),
            "flux": ("flux",),
            "fluxerr": ("flux_error",),
            "band": ("band",),
        },
        "Gaia DR3 data model, epoch photometry (time is BJD - 2455197.5)",
        photometry=gaia,
        quality=(Quality(("rejected_by_photometry", "rejected_by_variability"), bad_gaia),),
        time_zero=55_197.0,
        bands={"G": 5822.39, "BP": 5035.75, "RP": 7619.96},
    ),
    Format(
        "plasticc",
        "PLAsTiCC",
        ("passband", "flux", "flux_err", ("detected", "detected_bool")),
        {**_FLUX, "band": ("passband",), "fluxerr": ("flux_err",)},
        "PLAsTiCC data note, arXiv:1810.00001 (zero point 27.5, passband 0 to 5 is ugrizy)",
        {str(k): band for k, band in enumerate("ugrizy")},
        photometry=fluxes(27.5),
        bands=RUBIN_BANDS,
    ),
    Format(
        "rubin",
        "Rubin forced sources or sources",
        ("psfFlux", "psfFluxErr", "band"),
        {
            "object_id": ("objectId", "diaObjectId", "object_id"),
            "mjd": ("midpointMjdTai", "expMidptMJD", "mjd"),
            "flux": ("psfFlux",),
            "fluxerr": ("psfFluxErr",),
            "band": ("band",),
            "label": ("label",),
        },
        "Rubin data products definition document, LSE-163 (fluxes in nJy)",
        photometry=fluxes(NANOJANSKY),
        bands=RUBIN_BANDS,
    ),
    Format(
        "fluxes_njy",
        "table of fluxes in nJy",
        (("flux_njy", "flux_nJy"), ("fluxerr_njy", "fluxerr_nJy", "flux_err_njy", "flux_err_nJy")),
        {**_FLUX, "flux": ("flux_njy", "flux_nJy"), "fluxerr": ("fluxerr_njy", "flux_err_njy")},
        "README of Astra-CLR",
        photometry=fluxes(NANOJANSKY),
    ),
    Format(
        "fluxes_ujy",
        "table of fluxes in uJy",
        (("flux_ujy", "flux_uJy"), ("fluxerr_ujy", "flux_err_ujy")),
        {**_FLUX, "flux": ("flux_ujy",), "fluxerr": ("fluxerr_ujy", "flux_err_ujy")},
        "README of Astra-CLR",
        photometry=fluxes(MICROJANSKY),
    ),
    Format(
        "fluxes",
        "table of fluxes with their zero point",
        ("flux", ("fluxerr", "flux_err", "flux_error"), ("mjd", "time", "jd"), "band"),
        _FLUXES,
        "README of Astra-CLR",
        photometry=fluxes(None),
    ),
    Format("tidy", "tidy table", ("object_id",), _TIDY, "README of Astra-CLR"),
    Format("tidy", "tidy table", (("mjd", "band"), ("mag", "magerr")), _TIDY, "README of Astra-CLR"),
)
