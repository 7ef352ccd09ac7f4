"""The formats that `astraclr.read` knows, one entry each. To add one, add an entry to `FORMATS`.

The first entry that fits a table is taken. A format says by which columns it is recognised and which columns play
which role. Whether a table holds one row an observation, or lists or a nested column, and in which kind of file, makes
no difference.
"""

from __future__ import annotations

from astraclr.catalogs._flux_formats import OBJECT_IDS, OF_FLUX_SURVEYS, OF_FLUXES
from astraclr.catalogs._format import Format
from astraclr.catalogs._photometry import UNITS, alert, fluxes, forced_ztf, gaia
from astraclr.catalogs._quality import bad_atlas, bad_fink, bad_gaia, bad_procstatus, bad_skypatrol
from astraclr.data.names import ZTF_NAMES
from astraclr.data.quality import Quality, in_magnitudes

EPOCH = ("mjd", "mag", "magerr", "band")
"""Roles that every light curve needs."""

ZTF_FILTERS = {"1": "g", "2": "r", "3": "i", **ZTF_NAMES}
"""Numbers and codes of ZTF's filters (ZTF Science Data System explanatory supplement, IPAC)."""


_TIDY = {
    "object_id": (*OBJECT_IDS, "oid", "source_id"),
    "mjd": ("mjd", "hmjd", "jd", "hjd", "bjd", "obsmjd"),
    "mag": ("mag",),
    "magerr": ("magerr", "mag_err", "e_mag"),
    "band": ("band", "filter", "filtercode", "passband"),
}

_WHOLE = Format("tidy", "tidy table", tuple(_TIDY.values()), _TIDY, "README of Astra-CLR")
"""A table of magnitudes is read as such although fluxes stand beside them."""

ASASSN_BANDS = {"V": 5448.0, "g": 4770.0}

_BROKER = {"object_id": ("oid", "object_id"), "mjd": ("mjd",), "band": ("fid",)}

FORMATS = (
    Format(
        "zubercal",
        "Zubercal",
        ("info", "flag", "mjd", "mag", "magerr"),
        {"object_id": OBJECT_IDS, **{c: (c,) for c in EPOCH}, "label": ("label", "Class")},
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
            "band": ("filtercode", "filterid", "band", "filter"),
            "object_id": ("object_id",),
            "oid": ("oid", "objectid"),
            "ra": ("ra", "objra"),
            "dec": ("dec", "objdec"),
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
        photometry=forced_ztf,
        quality=(Quality(("procstatus",), bad_procstatus, text=True),),
        one_star=True,
    ),
    Format(
        "atlas",
        "ATLAS forced photometry",
        ("uJy", "duJy", ("F", "filter")),
        {"mjd": ("MJD",), "band": ("F", "filter"), "flux": ("uJy",), "fluxerr": ("duJy",)},
        "output of the ATLAS forced photometry server; bands: Tonry et al. 2018, PASP 130, 064505, with the effective "
        "wavelengths in common use for them",
        photometry=fluxes(UNITS["uJy"]),
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
        bands=ASASSN_BANDS,
        one_star=True,
        limits=True,
    ),
    Format(
        "skypatrol",
        "ASAS-SN Sky Patrol 2",
        ("jd", "mag", ("mag_err", "Mag Error"), ("phot_filter", "Filter"), "quality", "camera"),
        {
            "object_id": ("asas_sn_id", "object_id"),
            "mjd": ("jd",),
            "mag": ("mag",),
            "magerr": ("mag_err", "Mag Error"),
            "band": ("phot_filter", "Filter"),
        },
        "ASAS-SN Sky Patrol 2: Hart et al. 2023, arXiv:2304.03791 (quality is G for good, B for bad); bands as above",
        bands=ASASSN_BANDS,
        quality=(Quality(("quality",), bad_skypatrol, text=True),),
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
    *OF_FLUX_SURVEYS,
    _WHOLE,
    *OF_FLUXES,
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
        },
        "Astromer: Donoso-Oliva et al. 2023, A&A 670, A54 (one file a star, one band)",
        one_star=True,
    ),
    Format("tidy", "tidy table", ("object_id",), _TIDY, "README of Astra-CLR"),
    Format("tidy", "tidy table", (("mjd", "band"), ("mag", "magerr")), _TIDY, "README of Astra-CLR"),
)
