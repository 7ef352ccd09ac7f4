"""The formats that `astraclr.read` knows, one entry each. To add one, add an entry; the first that fits is taken.

A format says by which columns it is recognised and which columns play which role. Whether a table holds one row an
observation, or lists or a nested column, and in which kind of file, makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from astraclr.catalogs._open import Table

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

BAD_EPOCH = 32768
"""Bit 15 of catflags: the epoch is unusable (ZTF public data release notes, IPAC)."""

LABEL_NAMES = ("label", "class", "type", "vartype", "var_type", "classification", "kind")
"""Names, in lower case, of columns that look like labels: where such a column is not read, that is said."""


@dataclass(frozen=True)
class Format:
    """What a file is called, how it is recognised, and which columns play which role.

    Attributes
    ----------
    name, title : a word for code, and words for people
    signs : columns by which it is recognised: all must be there, of a tuple of names at least one
    roles : role -> columns that may play it, the first that is there is taken; see `NEEDED`
    source : where the names and rules are documented
    band_names : other spellings of bands
    """

    name: str
    title: str
    signs: tuple[str | Names, ...]
    roles: Mapping[str, Names]
    source: str
    band_names: Mapping[str, str] = field(default_factory=lambda: ZTF_NAMES)

    scale: Callable[[np.ndarray, bool], np.ndarray] | None = None
    """Errors in mag from the values of their column and whether these are whole numbers."""

    @property
    def needed(self) -> list[str]:
        """Roles without which nothing can be read; a format with the role oid can do without an object_id."""
        return [role for role in self.roles if role in EPOCH or (role == "object_id" and "oid" not in self.roles)]


_LIKE = {
    "object_id": ("id", "source_id", "objid", "name", "star", "star_id"),
    "mjd": ("time", "t", "date", "obsmjd"),
    "mag": ("magnitude", "psfmag", "magpsf"),
    "magerr": ("errmag", "mag_err", "e_mag", "magnitude_error", "err", "error", "sigma", "sigmapsf", "dm"),
    "band": ("filter", "passband", "fid", "filt", "filtercode"),
}
"""Columns that probably play a role under another name: they are named, not taken."""


@dataclass(frozen=True)
class Quality:
    """Columns of flags that are heeded wherever they are, and which observations they make bad, by reason."""

    columns: Names
    bad: Callable[..., dict[str, np.ndarray]]


def _bad_catflags(catflags: np.ndarray) -> dict[str, np.ndarray]:
    known = (catflags >= 0) & (catflags < 2**31) & (catflags == np.floor(catflags))  # false for NaN
    bad = np.where(known, catflags, 0).astype(np.int64) & BAD_EPOCH != 0
    return {"dropped: catflags & 32768 (bad epoch)": bad, "dropped: catflags missing": ~known}


def _bad_zubercal(info: np.ndarray, flag: np.ndarray) -> dict[str, np.ndarray]:
    missing = ~(np.isfinite(info) & np.isfinite(flag))
    return {
        "dropped: info or flag is not 0": ~missing & ((info != 0) | (flag != 0)),
        "dropped: info or flag missing": missing,
    }


QUALITY = (Quality(("catflags",), _bad_catflags), Quality(("info", "flag"), _bad_zubercal))


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
    Format("tidy", "tidy table", ("object_id",), _TIDY, "README of Astra-CLR"),
    Format("tidy", "tidy table", (("mjd", "band"), ("mag", "magerr")), _TIDY, "README of Astra-CLR"),
)

KNOWN = (
    "object_id, mjd, mag, magerr, band (one row an observation, or lists in one row a star); "
    "IRSA's mjd, mag, magerr, catflags, filtercode; Zubercal's objectid, mjd, mag, magerr, info, flag, band; "
    "a nested column of mjd, mag, magerr, band; a HATS folder; what LightCurves.save wrote"
)


@dataclass(frozen=True)
class Column:
    """Where a column is: `position` of the top-level column in the file, `field` in it where that is nested."""

    name: str
    position: int
    field: str | None = None


@dataclass(frozen=True)
class Match:
    """A format, and the column that plays each of its roles."""

    format: Format
    roles: Mapping[str, Column]
    flags: Mapping[str, Column]
    unread: Names


def columns(schema: pa.Schema) -> dict[str, list[Column]]:
    """Columns by their name without blanks around it; those inside nested columns too."""
    found: dict[str, list[Column]] = {}
    nested: dict[str, list[Column]] = {}
    for k, one in enumerate(schema):
        inner = inside(one.type)
        for f in inner:
            nested.setdefault(f.strip(), []).append(Column(f.strip(), k, f))
        if not inner:
            found.setdefault(one.name.strip(), []).append(Column(one.name.strip(), k))
    return {**nested, **found}


def inside(kind: pa.DataType) -> list[str]:
    """Names of the fields of a struct of lists, or of a list of structs."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    return [f.name for f in kind] if pa.types.is_struct(kind) else []


def recognised(table: Table) -> Format:
    """The format of a table.

    Raises
    ------
    ValueError
        For columns of no known format.
    """
    names = columns(table.schema)
    for one in FORMATS:
        if all(_column(names, (sign,) if isinstance(sign, str) else sign) for sign in one.signs):
            return one
    found = ", ".join(sorted(names)) or "(none)"
    found = found if len(found) < 300 else found[:300] + " ..."
    raise ValueError(f"unknown layout: found the columns {found}. Known are {KNOWN}")


def matched(schema: pa.Schema, fmt: Format, chosen: Mapping[str, str] | None = None, quality: bool = True) -> Match:
    """Which column plays which role.

    Parameters
    ----------
    chosen : role -> name of the column, where the caller wants another than the format's
    quality : whether columns of flags are heeded

    Raises
    ------
    ValueError
        If a needed column is missing, or one of its name is there twice.
    """
    names = columns(schema)
    wanted = {**fmt.roles, **{role: (name,) for role, name in (chosen or {}).items()}}
    roles = {role: column for role, also in wanted.items() if (column := _column(names, also))}
    missing = [role for role in fmt.needed if role not in roles]
    signs = [sign for sign in fmt.signs if isinstance(sign, str) and quality and not _column(names, (sign,))]
    if missing or signs:
        listed = ", ".join(names)
        what = ", ".join(dict.fromkeys([*(wanted[role][0] for role in missing), *signs]))
        hint = _hint([role for role in missing if role not in (chosen or {})], names)
        raise ValueError(f"missing column {what}{hint}; the table has {listed or 'no columns'}")
    flags: dict[str, Column] = {}
    for rule in QUALITY if quality else ():
        found = {name: _column(names, (name,)) for name in rule.columns}
        flags |= {name: column for name, column in found.items() if column and None not in found.values()}
    used = {c.name for c in roles.values()}
    unread = tuple(n for n in names if n.lower() in LABEL_NAMES and n not in used and "label" not in roles)
    return Match(fmt, roles, flags, unread)


def _column(names: Mapping[str, list[Column]], also: Iterable[str]) -> Column | None:
    """The first of these columns that is there; in other letters if it is there once."""
    lower: dict[str, list[Column]] = {}
    for name, some in names.items():
        lower.setdefault(name.lower(), []).extend(some)
    for name in also:
        some = names.get(name) or lower.get(name.lower(), [])
        if len(some) > 1:
            raise ValueError(f"column {name} is there {len(some)} times; rename or remove all but one of them")
        if some:
            return some[0]
    return None


def _hint(missing: Iterable[str], names: Mapping[str, list[Column]]) -> str:
    lower = {name.lower(): name for name in names}
    like = {role: lower[n] for role in missing for n in _LIKE.get(role, ()) if n in lower}
    return (
        f" (rename {', '.join(f'{name} to {role}' for role, name in like.items())}, if that is what it holds)"
        if like
        else ""
    )
