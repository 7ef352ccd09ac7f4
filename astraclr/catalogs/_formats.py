"""The formats that `astraclr.read` knows, one entry each. To add one, add an entry to `FORMATS`.

The first entry that fits a table is taken. A format says by which columns it is recognised and which columns play
which role. Whether a table holds one row an observation, or lists or a nested column, and in which kind of file, makes
no difference.
"""

from __future__ import annotations

from dataclasses import replace

from astraclr.catalogs._format import Format
from astraclr.catalogs._photometry import alert, fluxes, forced_ztf, gaia
from astraclr.catalogs._quality import bad_atlas, bad_fink, bad_gaia, bad_procstatus
from astraclr.config import RUBIN_BANDS
from astraclr.data.names import ZTF_NAMES
from astraclr.data.quality import Quality, in_magnitudes

OBJECT_IDS = ("object_id", "Source", "objID", "objectid")
"""Columns that may hold the object id, the first that is there is taken (Source is Gaia DR3's, the others PS1's)."""

EPOCH = ("mjd", "mag", "magerr", "band")
"""Roles that every light curve needs."""

ZTF_FILTERS = {"1": "g", "2": "r", "3": "i", **ZTF_NAMES}
"""Numbers and codes of ZTF's filters (ZTF Science Data System explanatory supplement, IPAC)."""


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

SNANA = 27.5
"""Zero point of SNANA's FLUXCAL, which PLAsTiCC uses too (Kessler et al. 2009, PASP 121, 1028)."""

_FLUX_TABLE = Format(
    "fluxes",
    "table of fluxes with their zero point",
    ("flux", ("fluxerr", "flux_err", "flux_error"), ("mjd", "time", "jd"), "band"),
    _FLUXES,
    "README of Astra-CLR",
    photometry=fluxes(None),
)

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
        "output of the ATLAS forced photometry server; bands: Tonry et al. 2018, PASP 130, 064505, with the effective "
        "wavelengths in common use for them",
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
        "ASAS-SN Sky Patrol: Kochanek et al. 2017, PASP 129, 104502 (a magnitude that begins with > is a limit); "
        "wavelength of V: Bessell et al. 1998, A&A 333, 231; of g: that of SDSS, whose filter is like it",
        bands={"V": 5448.0, "g": 4770.0},
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
        "Gaia DR3 data model, epoch photometry (time is BJD - 2455197.5); effective wavelengths of Gaia DR3 in the SVO "
        "Filter Profile Service",
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
        photometry=fluxes(SNANA),
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
    replace(_FLUX_TABLE, signs=(*_FLUX_TABLE.signs, _FLUXES["zero_point"])),
    Format(
        "mmu",
        "Multimodal Universe light curves",
        ("object_id", "band", "time", "flux", "flux_err", ("obj_type", "spec_class")),
        {
            "object_id": ("object_id",),
            "mjd": ("time",),
            "flux": ("flux",),
            "fluxerr": ("flux_err",),
            "band": ("band",),
            "label": ("obj_type", "spec_class"),
        },
        "scripts of the Multimodal Universe, arXiv:2412.02527 (flux is FLUXCAL of SNANA, -99 and 0 pad); zero point "
        "27.5: Kessler et al. 2009, PASP 121, 1028",
        photometry=fluxes(SNANA),
        said="converted: flux to mag (zero point 27.5, as FLUXCAL of SNANA)",
    ),
    _FLUX_TABLE,
    Format(
        "ogle",
        "OGLE light curve",
        ("ogle_hjd", "mag", "magerr"),
        {"mjd": ("ogle_hjd",), "mag": ("mag",), "magerr": ("magerr",), "band": ("band",)},
        "OGLE Collection of Variable Stars: one file a star in the folders phot/I and phot/V, columns HJD or "
        "HJD - 2450000, mag, error; wavelengths: Bessell et al. 1998, A&A 333, 231",
        bands={"I": 7980.0, "V": 5448.0},
        one_star=True,
        short_julian=True,
    ),
    Format(
        "astromer",
        "Astromer light curve",
        ("mjd", "mag", "errmag"),
        {
            "object_id": ("object_id",),
            **{c: (c,) for c in EPOCH},
            "magerr": ("errmag",),
            "label": ("label",),
            "period": ("period",),
        },
        "Astromer: Donoso-Oliva et al. 2023, A&A 670, A54 (one file a star, one band)",
        one_star=True,
    ),
    Format("tidy", "tidy table", ("object_id",), _TIDY, "README of Astra-CLR"),
    Format("tidy", "tidy table", (("mjd", "band"), ("mag", "magerr")), _TIDY, "README of Astra-CLR"),
)
