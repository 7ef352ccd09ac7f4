"""Which format a table has, and which of its columns play which role; nested columns are looked into."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from astraclr.catalogs._format import Format, Names
from astraclr.catalogs._formats import FORMATS
from astraclr.catalogs._open import Table
from astraclr.data.quality import QUALITY

_LABELS = re.compile(
    r"(^|.*[_:. ]|.*[a-z](?=[A-Z]))(?i:(label|class|classification|type|vartype|kind)s?([_. ](name|id))?)"
)
"""Columns that look like labels, such as var_type or Class: where such a column is not read, that is said."""

_LABELS_TOO = ("target", "true_target", "ground_truth")
_NO_LABELS = ("dtype", "filetype", "file_type", "programtype")

_OF_EVERY = {"object_id": ("object_id",), "label": ("label",), "period": ("period",)}
"""Roles that columns of these names play in every format that does not say otherwise."""

_NO_ZERO_POINT = (
    "; fluxes need their zero point: add a column zero_point, the mag of a flux of 1 (23.9 where fluxes are in uJy, "
    "31.4 in nJy, 27.5 in SNANA's unit)"
)

_DIFFERENCE = (
    ", because psfFlux of these tables is that of the difference image; if yours is not, take diaSourceId and "
    "diaForcedSourceId out"
)

_OWN = (
    " (n_epochs: the columns are those of LightCurves.save, but another tool has dropped the header that names the "
    "bands; go back to the file that was saved)"
)

_LIKE = {
    "object_id": "id sourceid objid objectid oid name star starid starname target targetid targetname object "
    "objectname objname source sourcename gaiaid gaia ztfid ztfoid ztfname asassnid asassnname atlasid ticid tic kic "
    "kicid epic epicid ogleid psid lcid uid uuid snid iauname matchid diaobjectid indexlevel0",
    "mjd": "time t date obsmjd mjdobs mjdtai mjdutc midpointmjdtai expmidptmjd bjdtdb hjdutc jdutc jdtdb epoch obstime "
    "obsdate dateobs datetime timestamp unixtime btjd bkjd hmjd timebjd obsjd",
    "mag": "magnitude psfmag magpsf magauto",
    "magerr": "errmag magerr emag magnitudeerror magerror err error sigma sigmapsf dm uncertainty magunc",
    "band": "filter passband fid filt filtercode filterid photfilter bandname filtername",
}
"""Columns that probably play a role under another name, in small letters and digits alone: they are named, not taken.
"""


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
        found.setdefault(one.name.strip(), []).append(Column(one.name.strip(), k))
    holders = {name for name, some in found.items() if any(inside(schema.field(c.position).type) for c in some)}
    return {**nested, **{name: some for name, some in found.items() if not (name in holders and name in nested)}}


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
    found = _listed(sorted(names)) or "(none)"
    raise ValueError(f"unknown layout: found the columns {found}{_hint(_LIKE, names)}. Known are {KNOWN}")


def matched(
    schema: pa.Schema,
    fmt: Format,
    chosen: Mapping[str, str] | None = None,
    quality: bool = True,
    one_band: bool = False,
) -> Match:
    """Which column plays which role.

    Parameters
    ----------
    chosen : role -> name of the column, where the caller wants another than the format's
    quality : whether columns of flags are heeded
    one_band : whether a table without a column band is in one band, which the caller knows

    Raises
    ------
    ValueError
        If a needed column is missing, or one of its name is there twice.
    """
    names = columns(schema)
    wanted = {**_OF_EVERY, **fmt.roles, **{role: (name,) for role, name in (chosen or {}).items()}}
    roles = {role: column for role, also in wanted.items() if (column := _column(names, also))}
    missing = [role for role in fmt.needed if role not in roles and not (role == "band" and one_band)]
    signs = [sign for sign in fmt.signs if isinstance(sign, str) and quality and not _column(names, (sign,))]
    if missing or signs:
        listed = _listed(names)
        what = ", ".join(dict.fromkeys([*(wanted[role][0] for role in missing), *signs]))
        hint = _hint([role for role in missing if role not in (chosen or {})], names)
        if missing == ["band"] and fmt.name not in ("irsa", "zubercal"):  # these have several bands
            hint += _one_band(fmt, roles)
        raise ValueError(f"missing column {what}{hint}; the table has {listed or 'no columns'}")
    _refuse_unused_ids(fmt, roles, names)
    flags: dict[str, Column] = {}
    for rule in (*QUALITY, *fmt.quality) if quality else ():
        found = {name: _column(names, (name,)) for name in rule.columns}
        flags |= {name: column for name, column in found.items() if column and None not in found.values()}
    used = {c.name for c in roles.values()}
    return Match(fmt, roles, flags, tuple(n for n in names if looks_like_labels(n) and n not in used))


def looks_like_labels(name: str) -> bool:
    """Whether a column of this name probably holds classes.

    Examples
    --------
    >>> [looks_like_labels(name) for name in ("Class", "var_type", "v:classification", "class_star", "dtype")]
    [True, True, True, False, False]
    """
    lower = name.lower()
    return lower in _LABELS_TOO or (_LABELS.fullmatch(name) is not None and lower not in _NO_LABELS)


def _plain(name: str) -> str:
    """A name in small letters and digits alone, without what stands in brackets: MJD-OBS [d] as mjdobs."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*[\])]", "", name.lower()))


def _one_band(fmt: Format, roles: Mapping[str, Column]) -> str:
    """What to do about a table without a column band, and as what its other columns are read."""
    taken = ", ".join(f"{column.name} as {role}" for role, column in roles.items() if column.name.lower() != role)
    return (
        "; if all is in one band, name that band alone: --band NAME=ANGSTROM, or bands={name: angstrom}. Read as "
        + (f"{fmt.title} ({taken})" if taken else fmt.title)
    )


def _refuse_unused_ids(fmt: Format, roles: Mapping[str, Column], names: Mapping[str, list[Column]]) -> None:
    """Raise ValueError where a file would be one star although a column of it looks like ids."""
    like = [n for n in names if _plain(n) in _LIKE["object_id"].split() and not n.startswith("__")]  # __: rows
    if like and not {"object_id", "oid"} & set(roles):
        raise ValueError(
            f"no column of object ids is known, but {like[0]} may be one: rename it to object_id, or remove it if the "
            "file holds one star"
        )


def _listed(names: Iterable[str], most: int = 300) -> str:
    """Names of columns between commas, cut after `most` characters."""
    text = ", ".join(names)
    return text if len(text) <= most else f"{text[:most]} ..."


def _column(names: Mapping[str, list[Column]], also: Iterable[str]) -> Column | None:
    """The first of these columns that is there; in other letters if it is there once."""
    lower: dict[str, list[Column]] = {}
    for name, some in names.items():
        lower.setdefault(name.lower(), []).extend(some)
    for name in also:
        some = names.get(name) or lower.get(name.lower(), [])
        if len(some) > 1:
            inner = any(c.field for c in some)
            where = " (in nested columns, or beside one)" if inner else ""
            raise ValueError(f"column {name} is there {len(some)} times{where}; rename or remove all but one of them")
        if some:
            return some[0]
    return None


def _hint(missing: Iterable[str], names: Mapping[str, list[Column]]) -> str:
    plain = {_plain(name): name for name in reversed(list(names))}
    like = {role: plain[n] for role in missing for n in (role, *_LIKE.get(role, "").split()) if n in plain}
    renames = ", ".join(f"{name} to {role}" for role, name in like.items())
    fluxes = "zero_point" in missing or ("mag" in missing and any("flux" in name for name in plain))
    return (
        (f" (rename {renames}, if that is what it holds)" if renames else "")
        + (_NO_ZERO_POINT if fluxes else "")
        + (_DIFFERENCE if "flux" in missing and "psfflux" in plain else "")
        + (_OWN if "n_epochs" in names and "band" in missing else "")
    )
