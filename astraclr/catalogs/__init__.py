"""Where light curves come from: files of any known layout, ZTF at IRSA, Zubercal, the published data set, MACHO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.catalogs._irsa import irsa
from astraclr.catalogs._macho import MACHO_BANDS, macho_example
from astraclr.catalogs._published import published
from astraclr.catalogs._sources import about, is_parquet, light_curve_files
from astraclr.catalogs._zubercal import is_hats, zubercal
from astraclr.catalogs._zubercal_tables import OBJECT_IDS
from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.data.parquet import is_own, open_parquet
from astraclr.files import existing

__all__ = ["MACHO_BANDS", "irsa", "labelled_by", "macho_example", "published", "read", "zubercal"]

_EPOCH = ("mjd", "mag", "magerr", "band")
_KNOWN = (
    "object_id, mjd, mag, magerr, band (one row an observation, or lists in one row a star); "
    "IRSA's mjd, mag, magerr, catflags, filtercode; Zubercal's objectid, mjd, mag, magerr, info, flag, band; "
    "a nested column lc of mjd, mag, magerr, band; a HATS folder; what LightCurves.save wrote"
)


def read(
    path: str | Path,
    *,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> LightCurves:
    """Read light curves from a file or folder whose layout is recognised by looking at it.

    Known are what `LightCurves.save` wrote (it brings its own bands); tidy tables and one row a star with lists, CSV or
    parquet; nested parquet; a HATS catalogue; IRSA's and Zubercal's files (see `irsa`, `zubercal`); folders of these.

    Parameters
    ----------
    path : file or folder
    bands : band name -> effective wavelength in angstrom
    drop_unknown_bands : drop, and count, observations in other bands instead of raising
    drop_repeated : where a band repeats a time, keep only the observation of smallest error

    Returns
    -------
    LightCurves
        `LightCurves.report` tells what was dropped or only counted.

    Raises
    ------
    FileNotFoundError
        If there is no such path.
    ValueError
        For an unknown layout (naming the columns found), an empty or truncated file, a folder with nothing to read,
        and all that `LightCurves.from_table` refuses. The message names the file.
    """
    path = existing(path)
    how: dict[str, Any] = {"bands": bands, "drop_unknown_bands": drop_unknown_bands, "drop_repeated": drop_repeated}
    if path.is_dir():
        if is_hats(path):
            if _has_flags(path):
                return zubercal(path, **how)
            found = zubercal(path, quality_cut=False, **how)
            return replace(found, notes={"read without a quality cut (no info, flag): star": len(found)} | found.notes)
        return _read_folder(light_curve_files(path), path, how)
    with about(path):
        return _READERS[layout(path)](path, **how)


def labelled_by(lc: LightCurves, path: str | Path, column: str) -> LightCurves:
    """The stars that `read` found in a file, with labels from another of its columns.

    Raises
    ------
    ValueError
        If it is no file of rows with an object_id and that column, or a star has several labels.
    """
    path = existing(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: labels of a column are read from one file; join its files first")
    with about(path):
        wanted = ["object_id", column]
        if is_parquet(path):
            file = open_parquet(path)
            cleaning.need(file.schema_arrow.names, wanted)
            table = file.read(columns=wanted).to_pandas()
        else:
            cleaning.need(pd.read_csv(path, nrows=0).columns, wanted)
            # Ids as `read` takes them: as numbers they would lose their leading zeros.
            table = pd.read_csv(path, usecols=wanted, dtype={"object_id": str, column: str})
        star, ids = pd.factorize(cleaning.identifiers(table["object_id"]))
        ids = np.asarray(ids).astype(str)
        said = pd.Series(cleaning.one_a_star(table[column], star, ids, column), dtype=object).fillna("").astype(str)
    return replace(lc, label=pd.Series(said.to_numpy(), ids).reindex(lc.object_id).fillna("").to_numpy(str))


def layout(path: str | Path) -> str:
    """Name of the layout of one file: own, irsa, zubercal, nested, rows, tidy.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it cannot be read, or its columns are of no known layout.
    """
    path = existing(path)
    with about(path):
        if is_parquet(path):
            file = open_parquet(path)
            if is_own(file):
                return "own"
            kinds: dict[str, Any] = {f.name: f.type for f in file.schema_arrow}
        else:
            kinds = dict.fromkeys(pd.read_csv(path, nrows=0).columns, pa.null())
        names = set(kinds)
        if "catflags" in names:
            return "irsa"
        if pa.types.is_struct(kinds.get("lc", pa.null())):
            inside = {f.name for f in kinds["lc"]}
            return "zubercal" if {"info", "flag"} <= inside else "nested"
        if {"info", "flag"} <= names and is_parquet(path):
            return "zubercal"
        if "object_id" in names or len(names & set(_EPOCH)) > 1:
            nested = any(cleaning.is_list_type(t) for t in kinds.values())
            return "rows" if nested else "tidy"
        found = ", ".join(sorted(names)) or "(none)"
        raise ValueError(f"unknown layout: found the columns {found}. Known are {_KNOWN}")


def _read_folder(files: list[Path], folder: Path, how: dict[str, Any]) -> LightCurves:
    layouts = {layout(f) for f in files}
    if layouts == {"irsa"}:
        return irsa(folder, **how)
    if layouts == {"zubercal"}:
        return zubercal(folder, **how)
    if layouts & {"irsa", "zubercal"}:
        raise ValueError(f"{folder} mixes layouts ({', '.join(sorted(layouts))}); read its files one by one")
    parts = []
    for file in files:
        with about(file):
            parts.append(_READERS[layout(file)](file, **how))
    joined = concatenate(parts)
    if len(np.unique(joined.object_id)) < len(joined):
        raise ValueError(f"{folder}: a star lies in several files; join the tables and read the one file")
    return joined


def _own(path: Path, **how: Any) -> LightCurves:
    loaded = LightCurves.load(path)
    if not how["drop_repeated"]:
        return loaded
    star, band = np.divmod(loaded.segment, len(loaded.bands))
    built = LightCurves.from_arrays(
        star,
        band,
        loaded.mjd,
        loaded.mag,
        loaded.magerr,
        bands=loaded.bands,
        object_id=loaded.object_id,
        label=loaded.label,
        period=loaded.period,
        drop_repeated=True,
    )
    kept = {reason: n for reason, n in loaded.notes.items() if not reason.startswith("kept: repeated")}
    return replace(built, notes=cleaning.add_notes(kept, built.notes))


def _rows(path: Path, **how: Any) -> LightCurves:
    file = open_parquet(path)
    wanted = ("object_id", *_EPOCH, "label", "period")
    return LightCurves.from_rows(file.read(columns=[c for c in wanted if c in file.schema_arrow.names]), **how)


def _tidy(path: Path, **how: Any) -> LightCurves:
    if is_parquet(path):
        return LightCurves.from_table(open_parquet(path).read().to_pandas(), **how)
    # Names that look like numbers keep their leading zeros.
    table = pd.read_csv(path, dtype={"object_id": str, "band": str, "label": str}, low_memory=False)
    return LightCurves.from_table(table, **how)


def _nested(path: Path, **how: Any) -> LightCurves:
    table = open_parquet(path).read()
    names = table.column_names
    fields = [f.name for f in table.schema.field("lc").type]
    cleaning.need(fields, _EPOCH)
    ids = next((c for c in OBJECT_IDS if c in names), None)
    if ids is None:
        raise ValueError(f"missing column object_id (or {', '.join(OBJECT_IDS[1:])}); the table has {', '.join(names)}")
    columns = {"object_id": table[ids], **{c: table[c] for c in ("label", "period") if c in names}}
    lists = table.select(["lc"]).flatten()
    columns |= {c: lists[f"lc.{c}"] for c in _EPOCH}
    return LightCurves.from_rows(pa.table(columns), **how)


def _has_flags(path: Path) -> bool:
    """Whether the detections of a HATS catalogue carry one of Zubercal's quality columns (`zubercal` wants both)."""
    with about(path):
        files = sorted(path.rglob("_common_metadata")) or sorted(path.rglob("*.parquet"))[:1]
        schemas = [open_parquet(p).schema_arrow for p in files]
    fields = [field for schema in schemas for field in schema]
    fields += [inner for field in fields if pa.types.is_struct(field.type) for inner in field.type]
    return not {"info", "flag"}.isdisjoint(field.name for field in fields)


_READERS = {"own": _own, "irsa": irsa, "zubercal": zubercal, "rows": _rows, "tidy": _tidy, "nested": _nested}
