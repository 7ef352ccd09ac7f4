"""ZTF light curves as IRSA serves them: CSV or parquet, one file a light curve or many objects a file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.catalogs._formats import FORMATS
from astraclr.catalogs._matching import matched
from astraclr.catalogs._open import open_table
from astraclr.catalogs._pipeline import Observations, Options, built, observations, read_columns
from astraclr.catalogs._sources import about, light_curve_files, stem
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves

IRSA = next(f for f in FORMATS if f.name == "irsa")
_STAR_FILE = re.compile(r"(?P<star>.+)-z[gri]\d*")


def irsa(
    paths: str | Path | Iterable[str | Path],
    *,
    object_id: str | Mapping[Any, str] | None = None,
    radius_arcsec: float = 1.5,
    label: str = "label",
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> LightCurves:
    """Read ZTF light curves downloaded from IRSA.

    IRSA gives one object id (oid) per field, readout channel and filter, so one star has several. They are joined
    into one star by, in this order: `object_id`; a column object_id; the file name ``<star>-z<band><n>.csv`` when
    the file holds one oid; the position on the sky; and, where there is no position, not at all.

    Parameters
    ----------
    paths : a file, several files, or a folder
        CSV or parquet with columns mjd, mag, magerr, catflags, filtercode, and oid, ra, dec where known; or the bulk
        parquet files, one row an oid with list columns (objectid, filterid, objra, objdec, hmjd, mag, magerr,
        catflags). ``hmjd`` is taken where there is no ``mjd``.
    object_id : the name of the one star in all the files, or a mapping from oid, file name or file stem to star name
    radius_arcsec : oids closer than this, directly or through others between them, are one star, named by its
        smallest oid
    label : column of the class; without it the stars are unlabelled
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
    options = Options(bands, drop_unknown_bands, drop_repeated)
    pieces = []
    for path in files:
        with about(path):
            pieces.append(_piece(path, options, label))
    units = pd.concat([p.units for p in pieces], ignore_index=True)
    with about(str(paths) if isinstance(paths, str | Path) else f"{len(files)} IRSA files"):
        return built(pieces, star_names(units, object_id, radius_arcsec), options)


def _piece(path: Path, options: Options, label: str) -> Observations:
    table = open_table(path)
    match = matched(table.schema, IRSA, {"label": label})
    found = observations(read_columns(table, match), match, options)
    found.units["file"], found.units["stem"] = str(path), stem(path)
    found.units["named"] = "object_id" in match.roles
    if not len(found.unit) and not found.notes:
        found.notes["skipped: file without an observation"] = 1
    return found


def star_names(
    units: pd.DataFrame, object_id: str | Mapping[Any, str] | None = None, radius_arcsec: float = 1.5
) -> np.ndarray:
    """(n_units,) name of the star of each unit, an oid of one file; see `irsa`.

    Parameters
    ----------
    units : columns name (the oid), ra, dec, file, stem, and named, whether the name is that of the star
    """
    return np.array(_star_names(units, object_id, radius_arcsec), dtype=object)


def _star_names(units: pd.DataFrame, object_id: str | Mapping[Any, str] | None, radius_arcsec: float) -> list[str]:
    if isinstance(object_id, str):
        return [object_id] * len(units)
    if object_id is not None:
        lookup = {str(k): v for k, v in object_id.items()}
        keys = [(oid, Path(file).name, stem) for oid, file, stem in units[["name", "file", "stem"]].to_numpy()]
        named = [next((lookup[k] for k in u if k in lookup), None) for u in keys]
        if None in named:
            u = units.iloc[named.index(None)]
            raise ValueError(
                f"object_id has neither the oid {u['name'] or '(none)'} nor its file {Path(u.file).name}; add one"
            )
        return [str(n) for n in named]
    oids, stems, files = units["name"].tolist(), units["stem"].tolist(), units["file"].tolist()
    per_file = Counter(files)
    given = units["named"].to_numpy(bool)
    alone = np.array([per_file[f] == 1 for f in files]) & ~given
    matches = [_STAR_FILE.fullmatch(s) if one else None for s, one in zip(stems, alone, strict=True)]
    by_name = Counter(s for s, m in zip(stems, matches, strict=True) if m)
    if twice := next((s for s, n in by_name.items() if n > 1), None):
        both = [f for f, s in zip(files, stems, strict=True) if s == twice]
        raise ValueError(
            f"several files are named {twice} ({', '.join(both[:2])}), and would be one star: read them one by one, or "
            "name their stars with object_id={oid: name}"
        )
    names = [m["star"] if m else (oid or stem) for m, oid, stem in zip(matches, oids, stems, strict=True)]
    sky = units[["ra", "dec"]].to_numpy(float)
    by_place = ~given & np.array([m is None for m in matches], bool)
    rest = np.flatnonzero(by_place & np.isfinite(sky).all(axis=1))
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
