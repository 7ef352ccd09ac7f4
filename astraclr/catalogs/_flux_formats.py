"""The formats of `_formats.FORMATS` that hold fluxes: of surveys, whose zero point is known, and tables of any flux."""

from __future__ import annotations

from dataclasses import replace

from astraclr.catalogs._format import Format
from astraclr.catalogs._photometry import UNITS, fluxes
from astraclr.catalogs._quality import bad_rubin
from astraclr.config import RUBIN_BANDS
from astraclr.data.quality import Quality

OBJECT_IDS = ("object_id", "Source", "objID", "objectid")
"""Columns that may hold the object id, the first that is there is taken (Source is Gaia DR3's, the others PS1's)."""

SNANA = 27.5
"""Zero point of SNANA's FLUXCAL, which PLAsTiCC uses too (Kessler et al. 2009, PASP 121, 1028)."""

_ERRORS = ("fluxerr", "flux_err", "flux_error")
_FLUX = {
    "object_id": (*OBJECT_IDS, "oid", "source_id"),
    "mjd": ("mjd", "hmjd", "jd", "hjd", "bjd", "time"),
    "flux": ("flux",),
    "fluxerr": _ERRORS,
    "band": ("band", "filter", "filtercode", "passband"),
}
_TABLE = Format(
    "fluxes",
    "table of fluxes with their zero point",
    ("flux", _ERRORS, ("mjd", "time", "jd"), _FLUX["band"]),
    {**_FLUX, "zero_point": ("zero_point", "zeropoint", "zp", "magzp")},
    "README of Astra-CLR",
    photometry=fluxes(None),
)


def _in(unit: str) -> Format:
    """The format of a table whose columns name the unit of their fluxes."""
    flux = f"flux_{unit}"
    errors = (*(f"{error}_{unit}" for error in _ERRORS), f"{flux}_err", f"{flux}_error")
    roles = {**_FLUX, "flux": (flux,), "fluxerr": errors}
    title = f"table of fluxes in {unit}"
    return Format(f"fluxes_{unit.lower()}", title, (flux, errors), roles, _TABLE.source, photometry=fluxes(UNITS[unit]))


_RUBIN = Format(
    "rubin",
    "Rubin forced sources or sources",
    ("psfFlux", "psfFluxErr", "band"),
    {
        "object_id": ("objectId", "diaObjectId", "object_id"),
        "mjd": ("midpointMjdTai", "expMidptMJD", "mjd"),
        "flux": ("psfFlux",),
        "fluxerr": ("psfFluxErr",),
        "band": ("band",),
    },
    "Rubin data products definition document, LSE-163 (fluxes in nJy)",
    photometry=fluxes(UNITS["nJy"]),
    quality=(Quality(("psfFlux_flag",), bad_rubin),),
    bands=RUBIN_BANDS,
)

_RUBIN_DIFFERENCE = replace(
    _RUBIN,
    name="rubin_dia",
    title="Rubin sources of difference images",
    signs=(("diaSourceId", "diaForcedSourceId", "scienceFlux"), "band"),
    roles={**_RUBIN.roles, "flux": ("scienceFlux",), "fluxerr": ("scienceFluxErr",)},
    source="Rubin data products definition document, LSE-163 (psfFlux of DiaSource and DiaForcedSource is that of the "
    "difference image, scienceFlux that of the visit image, in nJy)",
    quality=(),
)

OF_FLUX_SURVEYS = (
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
    _RUBIN_DIFFERENCE,
    _RUBIN,
)
"""Formats of surveys, looked at before a table of magnitudes."""

OF_FLUXES = (
    *map(_in, UNITS),
    replace(_TABLE, signs=(*_TABLE.signs, _TABLE.roles["zero_point"])),
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
            "label": ("label", "obj_type", "spec_class"),
        },
        "scripts of the Multimodal Universe, arXiv:2412.02527 (flux is FLUXCAL of SNANA, -99 and 0 pad); zero point "
        "27.5: Kessler et al. 2009, PASP 121, 1028",
        photometry=fluxes(SNANA),
        said="converted: flux to mag (zero point 27.5, as FLUXCAL of SNANA)",
    ),
    _TABLE,
)
"""Formats of tables that hold fluxes and no magnitudes."""
