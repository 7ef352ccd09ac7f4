"""Where light curves come from: files of any known layout, ZTF at IRSA, Zubercal, the published data set, MACHO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.catalogs import _zubercal
from astraclr.catalogs._hats import is_hats
from astraclr.catalogs._irsa import irsa
from astraclr.catalogs._macho import MACHO_BANDS, macho_example
from astraclr.catalogs._matching import columns, matched, recognised
from astraclr.catalogs._open import Table, open_table
from astraclr.catalogs._pipeline import Options, built, observations, read_columns
from astraclr.catalogs._published import published
from astraclr.catalogs._sources import about, in_folder, is_dataset, regular, skipped, stem
from astraclr.catalogs._zubercal import zubercal
from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.data.names import identifiers, labels

__all__ = ["MACHO_BANDS", "irsa", "labelled_by", "macho_example", "published", "read", "recognise", "zubercal"]


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
    path = regular(path)
    how: dict[str, Any] = {"bands": bands, "drop_unknown_bands": drop_unknown_bands, "drop_repeated": drop_repeated}
    if is_hats(path):
        return _zubercal.from_hats(path, **how)
    if path.is_dir() and not is_dataset(path):
        return _read_folder(path, how)
    return _read_file(open_table(path), how)


def labelled_by(lc: LightCurves, path: str | Path, column: str) -> LightCurves:
    """The stars that `read` found in a file, with labels from another of its columns.

    Raises
    ------
    ValueError
        If it is no file of rows with an object_id and that column, or a star has several labels.
    """
    path = regular(path)
    if path.is_dir() and not is_dataset(path):
        raise ValueError(f"{path} is a folder: labels of a column are read from one file; join its files first")
    table = open_table(path)
    with about(path):
        cleaning.need(columns(table.schema), [column])
        match = None if table.own else matched(table.schema, recognised(table), {"label": column})
        if match and "object_id" not in match.roles:  # its stars are joined from rows of several ids
            again = irsa(path, label=column, bands=lc.bands, drop_unknown_bands=True)
            found = pd.Series(again.label, again.object_id)
        else:
            name = match.roles["object_id"].name if match else "object_id"
            there = columns(table.schema)
            places = [there[c][0].position for c in (name, column)]
            wanted = sorted(set(places))
            read = table.read(wanted, places)
            star, ids = identifiers(read.column(wanted.index(places[0])), name)
            said = labels(read.column(wanted.index(places[1])), column)
            said = cleaning.one_a_star(said, star, ids, column)
            found = pd.Series(pd.Series(said, dtype=object).fillna("").to_numpy(str), ids.astype(str))
    return replace(lc, label=found.reindex(lc.object_id).fillna("").to_numpy(str))


def layout(path: str | Path) -> str:
    """Name of the format of one file: own, or that of an entry of `FORMATS`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it cannot be read, or its columns are of no known format.
    """
    table = open_table(path)
    with about(table.path):
        return "own" if table.own else recognised(table).name


def recognise(path: str | Path) -> str:
    """Which reader `read` takes for a file or folder, and why, in one line."""
    path = regular(path)
    if is_hats(path):
        return "a HATS catalogue (it has hats.properties), read through LSDB"
    files = in_folder(path)[0] if path.is_dir() and not is_dataset(path) else [path]
    said = [_reason(open_table(f)) for f in files]
    return "; ".join(f"{line} ({n} files)" if len(files) > 1 else line for line, n in Counter(said).items())


def _reason(table: Table) -> str:
    if table.own:
        return "saved by astraclr (parquet with its header)"
    with about(table.path):
        match = matched(table.schema, recognised(table))
    used = ", ".join(dict.fromkeys([c.name for c in (*match.roles.values(), *match.flags.values())]))
    return f"{match.format.title}, {table.container} (columns {used})"


def _read_file(table: Table, how: dict[str, Any]) -> LightCurves:
    if table.own:
        loaded = LightCurves.load(table.path)
        return loaded.cleaned(drop_repeated=True) if how["drop_repeated"] else loaded
    with about(table.path):
        fmt = recognised(table)
        if fmt.name == "irsa":
            return irsa(table.path, **how)
        if fmt.name == "zubercal":
            return zubercal(table.path, **how)
        match, options = matched(table.schema, fmt), Options(**how)
        found = observations(read_columns(table, match), match, options)
        return built([found], found.units["name"].fillna(stem(table.path)).to_numpy(), options, options.bands_of(fmt))


def _read_folder(folder: Path, how: dict[str, Any]) -> LightCurves:
    files, others = in_folder(folder)
    layouts = {layout(f) for f in files}
    if layouts <= {"irsa"} or layouts <= {"zubercal"}:
        found = (irsa if layouts == {"irsa"} else zubercal)(files, **how)
    elif layouts & {"irsa", "zubercal"}:
        raise ValueError(f"{folder} mixes layouts ({', '.join(sorted(layouts))}); read its files one by one")
    else:
        found = concatenate([_read_file(open_table(f), how) for f in files])
        if len(np.unique(found.object_id)) < len(found):
            raise ValueError(f"{folder}: a star lies in several files; join the tables and read the one file")
    return replace(found, notes=cleaning.add_notes(found.notes, skipped(others, folder)))
