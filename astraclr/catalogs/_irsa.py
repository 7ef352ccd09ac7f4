"""ZTF light curves as IRSA serves them: CSV or parquet, one file a light curve or many objects a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.catalogs._sources import about, is_parquet, light_curve_files
from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves
from astraclr.data.parquet import open_parquet

BAD_EPOCH = 32768
"""Bit 15 of catflags: the epoch is unusable (ZTF public data release notes, IPAC)."""

# The web service and the bulk parquet files name the same things differently; bulk times are heliocentric (hmjd),
# at most 8.3 minutes from mjd.
_NAMES = {
    "mjd": ("mjd", "hmjd"),
    "mag": ("mag",),
    "magerr": ("magerr",),
    "catflags": ("catflags",),
    "filtercode": ("filtercode", "filterid"),
    "oid": ("oid", "objectid"),
    "ra": ("ra", "objra"),
    "dec": ("dec", "objdec"),
}
_REQUIRED = ("mjd", "mag", "magerr", "catflags", "filtercode")
_BAND_OF = {"1": "g", "2": "r", "3": "i", "zg": "g", "zr": "r", "zi": "i"}
_STAR_FILE = re.compile(r"(?P<star>.+)-z[gri]\d*")


@dataclass
class _Piece:
    """Observations of one file; `unit` numbers its objects (oids), described row by row in `units`."""

    unit: np.ndarray
    band: np.ndarray
    mjd: np.ndarray
    mag: np.ndarray
    magerr: np.ndarray
    units: pd.DataFrame
    notes: dict[str, int]


def irsa(
    paths: str | Path | Iterable[str | Path],
    *,
    object_id: str | Mapping[Any, str] | None = None,
    radius_arcsec: float = 1.5,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> LightCurves:
    """Read ZTF light curves downloaded from IRSA.

    IRSA gives one object id (oid) per field, readout channel and filter, so one star has several. They are joined
    into one star by, in this order: `object_id`; the file name ``<star>-z<band><n>.csv`` when the file holds one
    oid; the position on the sky; and, where there is no position, not at all.

    Parameters
    ----------
    paths : a file, several files, or a folder
        CSV or parquet with columns mjd, mag, magerr, catflags, filtercode, and oid, ra, dec where known; or the bulk
        parquet files, one row an oid with list columns (objectid, filterid, objra, objdec, hmjd, mag, magerr,
        catflags). ``hmjd`` is taken where there is no ``mjd``.
    object_id : the name of the one star in all the files, or a mapping from oid, file name or file stem to star name
    radius_arcsec : oids closer than this, directly or through others between them, are one star, named by its
        smallest oid
    bands, drop_unknown_bands, drop_repeated : as in `LightCurves.from_table`; ``zg`` is read as ``g``

    Returns
    -------
    LightCurves
        Without epochs whose ``catflags & 32768`` is set; ``notes`` counts them.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        For a missing column, text where numbers belong, an unknown band, an oid missing from the mapping, or files
        without a usable observation. The message names the file.
    """
    files = light_curve_files(paths)
    pieces = []
    for path in files:
        with about(path):
            pieces.append(_piece(path, bands, drop_unknown_bands))
    first = np.cumsum([0, *(len(p.units) for p in pieces)])
    units = pd.concat([p.units for p in pieces], ignore_index=True)
    star, names = pd.factorize(np.array(_star_names(units, object_id, radius_arcsec), dtype=object))
    unit = np.concatenate([p.unit + k for p, k in zip(pieces, first[:-1], strict=True)])
    columns = [np.concatenate([getattr(p, c) for p in pieces]) for c in ("band", "mjd", "mag", "magerr")]
    notes = cleaning.add_notes(*(p.notes for p in pieces))
    with about(str(paths) if isinstance(paths, str | Path) else f"{len(files)} IRSA files"):
        if not len(unit):
            reasons = "; ".join(f"{k}: {n}" for k, n in notes.items()) or "no rows"
            raise ValueError(f"no observation is left ({reasons})")
        built = LightCurves.from_arrays(
            star[unit], *columns, bands=bands, object_id=np.asarray(names), drop_repeated=drop_repeated
        )
    return replace(built, notes=cleaning.add_notes(notes, built.notes))


def _piece(path: Path, bands: Mapping[str, float], drop_unknown: bool) -> _Piece:
    values, unit, units = _columns(path)
    units["file"], units["stem"] = str(path), path.stem
    notes = {} if len(unit) else {"skipped: file without an observation": 1}
    flags = cleaning.numbers(values["catflags"], "catflags")
    good = np.isfinite(flags)
    good[good] = (flags[good].astype(np.int64) & BAD_EPOCH) == 0
    if not good.all():
        notes["dropped: catflags & 32768 (bad epoch)"] = int((~good).sum())
    band, known, more = cleaning.band_codes(_band_names(values["filtercode"])[good], bands, drop_unknown)
    columns = [cleaning.numbers(values[c], c)[good][known] for c in ("mjd", "mag", "magerr")]
    return _Piece(unit[good][known], band[known], *columns, units=units, notes=notes | more)


def _columns(path: Path) -> tuple[dict[str, Any], np.ndarray, pd.DataFrame]:
    """Columns of one file with one value an observation, the unit of each, and a table of units: oid, ra, dec."""
    parquet = is_parquet(path)
    there = open_parquet(path).schema_arrow.names if parquet else list(pd.read_csv(path, nrows=0).columns)
    chosen = {name: found for name, also in _NAMES.items() if (found := next((a for a in also if a in there), None))}
    cleaning.need([*there, *chosen], _REQUIRED)
    if parquet:
        table = open_parquet(path).read(columns=list(chosen.values())).rename_columns({v: k for k, v in chosen.items()})
        if cleaning.is_list_type(table["mag"].type):
            return _exploded(table)
        frame = table.to_pandas()
    else:
        # An oid has 16 digits: text keeps them all even where a value is missing.
        frame = pd.read_csv(path, usecols=list(chosen.values()), dtype={chosen.get("oid", ""): str}, low_memory=False)
        frame = frame.rename(columns={v: k for k, v in chosen.items()})
    unit = pd.factorize(frame["oid"], use_na_sentinel=False)[0] if "oid" in frame else np.zeros(len(frame), int)
    _, first = np.unique(unit, return_index=True)
    return {c: frame[c] for c in _REQUIRED}, unit, _units(frame.iloc[first])


def _exploded(table: pa.Table) -> tuple[dict[str, Any], np.ndarray, pd.DataFrame]:
    """As `_columns`, for one row an oid with list columns."""
    flat, length = {}, {}
    for c in ("mjd", "mag", "magerr", "catflags"):
        flat[c], length[c] = cleaning.flatten(table[c], c)
        if (length[c] != length["mjd"]).any():
            raise ValueError(f"the lists mjd and {c} of one oid differ in length")
    unit = np.repeat(np.arange(len(table)), length["mjd"])
    units = table.select([c for c in ("oid", "ra", "dec") if c in table.column_names]).to_pandas()
    return flat | {"filtercode": table["filtercode"].to_pandas()[unit]}, unit, _units(units)


def _units(frame: pd.DataFrame) -> pd.DataFrame:
    """oid (text, "" when unknown), ra and dec (degrees, NaN when unknown) of each unit."""
    oid = frame["oid"].fillna("").astype(str).to_numpy() if "oid" in frame else np.full(len(frame), "")
    sky = {c: cleaning.numbers(frame[c], c) if c in frame else np.full(len(frame), np.nan) for c in ("ra", "dec")}
    return pd.DataFrame({"oid": oid, **sky})


def _band_names(filtercode: pd.Series) -> pd.Series:
    """ZTF's filter codes (zg) and numbers (1) as band names; what is neither stays as it is."""
    code, found = pd.factorize(filtercode)
    names = [_BAND_OF.get(str(f), str(f)) for f in found]
    return pd.Series(np.array([*names, None], dtype=object)[code])


def _star_names(units: pd.DataFrame, object_id: str | Mapping[Any, str] | None, radius_arcsec: float) -> list[str]:
    if isinstance(object_id, str):
        return [object_id] * len(units)
    if object_id is not None:
        lookup = {str(k): v for k, v in object_id.items()}
        keys = [(oid, Path(file).name, stem) for oid, file, stem in units[["oid", "file", "stem"]].to_numpy()]
        named = [next((lookup[k] for k in u if k in lookup), None) for u in keys]
        if None in named:
            u = units.iloc[named.index(None)]
            raise ValueError(
                f"object_id has neither the oid {u.oid or '(none)'} nor its file {Path(u.file).name}; add one of them"
            )
        return [str(n) for n in named]
    oids, stems, files = units["oid"].tolist(), units["stem"].tolist(), units["file"].tolist()
    per_file = Counter(files)
    matches = [_STAR_FILE.fullmatch(s) if per_file[f] == 1 else None for s, f in zip(stems, files, strict=True)]
    names = [m["star"] if m else (oid or stem) for m, oid, stem in zip(matches, oids, stems, strict=True)]
    sky = units[["ra", "dec"]].to_numpy()
    rest = np.flatnonzero(np.array([m is None for m in matches], bool) & np.isfinite(sky).all(axis=1))
    if len(rest):
        group = group_by_position(sky[rest, 0], sky[rest, 1], radius_arcsec)
        oldest = pd.Series([names[k] for k in rest]).groupby(group).transform(_smallest)
        for k, name in zip(rest, oldest, strict=True):
            names[k] = name
    return names


def _smallest(names: Sequence[str]) -> str:
    return min(names, key=lambda n: (not n.isdigit(), len(n), n))  # numbers in numerical order, before text


def group_by_position(ra: np.ndarray, dec: np.ndarray, radius_arcsec: float) -> np.ndarray:
    """(n,) int: positions (degrees) closer than `radius_arcsec`, also through a chain of others, share a number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    lon, lat = np.radians(ra), np.radians(dec)
    xyz = np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    chord = 2 * np.sin(np.radians(radius_arcsec / 3600) / 2)
    pairs = KDTree(xyz).query_pairs(chord, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(ra), len(ra)))
    return connected_components(links, directed=False)[1]
