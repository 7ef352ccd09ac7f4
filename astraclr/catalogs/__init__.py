"""Where light curves come from: files of any known layout, ZTF at IRSA, Zubercal, the published data set, MACHO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.catalogs import _zubercal
from astraclr.catalogs._format import Format
from astraclr.catalogs._hats import is_hats
from astraclr.catalogs._irsa import irsa
from astraclr.catalogs._macho import MACHO_BANDS, macho_example
from astraclr.catalogs._matching import columns, matched, recognised
from astraclr.catalogs._open import Table, open_table
from astraclr.catalogs._pipeline import Observations, Options, built, observations, read_columns
from astraclr.catalogs._published import published
from astraclr.catalogs._sources import about, in_folder, is_dataset, perhaps, regular, skipped, stem
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

    Known are what `LightCurves.save` wrote (it brings its own bands); the formats of `catalogs/_formats.py`, whether
    their rows are observations, lists or nested columns, as CSV and its kin, parquet, FITS, VOTable or IPAC table; a
    HATS catalogue; folders of these. IRSA's and Zubercal's files have functions of their own (`irsa`, `zubercal`).

    Parameters
    ----------
    path : file or folder
    bands : band name -> effective wavelength in angstrom; one alone is that of a table without a column for bands
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
        match = None if table.own else matched(table.schema, recognised(table), {"label": column}, one_band=True)
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
    notes = {reason: n for reason, n in lc.notes.items() if not reason.startswith(f"not read: column {column},")}
    return replace(lc, label=found.reindex(lc.object_id).fillna("").to_numpy(str), notes=notes)


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
    files = _files(path)[0] if path.is_dir() and not is_dataset(path) else [path]
    said = [_reason(open_table(f)) for f in files]
    return "; ".join(f"{line} ({n} files)" if len(files) > 1 else line for line, n in Counter(said).items())


def _reason(table: Table) -> str:
    if table.own:
        return "saved by astraclr (parquet with its header)"
    with about(table.path):
        match = matched(table.schema, recognised(table), one_band=True)
    used = ", ".join(dict.fromkeys([c.name for c in (*match.roles.values(), *match.flags.values())]))
    return f"{match.format.title}, {table.container} (columns {used})"


def _read_file(table: Table, how: dict[str, Any]) -> LightCurves:
    if table.own:
        loaded = LightCurves.load(table.path)
        return loaded.cleaned(drop_repeated=True) if how["drop_repeated"] else loaded
    with about(table.path):
        fmt = recognised(table)
        if fmt.name in ("irsa", "zubercal"):
            return (irsa if fmt.name == "irsa" else zubercal)(table.path, **how)
        options = Options(**how)
        found = _observed(table, fmt, options)
        return built([found], found.units["name"].to_numpy(), options, options.bands_of(fmt))


def _observed(table: Table, fmt: Format, options: Options) -> Observations:
    """Observations of a file, its one star named by the file where it has no ids."""
    band = one_band(table.path, fmt, options)
    match = matched(table.schema, fmt, one_band=bool(band))
    found = observations(read_columns(table, match), match, options, band)
    found.units["name"] = found.units["name"].fillna(stem(table.path))
    return found


def one_band(path: Path, fmt: Format, options: Options) -> str:
    """The band of a file without a column for it: the only one that was asked for; of OGLE, the name of its folder."""
    if fmt.name != "ogle" or options.one_band:
        return options.one_band
    if path.absolute().parent.name in options.bands_of(fmt):
        return path.absolute().parent.name
    raise ValueError(
        "no header: 3 columns of numbers, in OGLE's files time, magnitude, error; the band is unknown: put the file "
        f"into a folder {' or '.join(fmt.bands or ())}, as OGLE does, or name it: --band I=7980, bands={{'I': 7980.0}}"
    )


def _read_folder(folder: Path, how: dict[str, Any]) -> LightCurves:
    files, others = _files(folder)
    layouts = {layout(f) for f in files}
    if layouts <= {"irsa"} or layouts <= {"zubercal"}:
        found = (irsa if layouts == {"irsa"} else zubercal)(files, **how)
    elif layouts & {"irsa", "zubercal"}:
        raise ValueError(f"{folder} mixes layouts ({', '.join(sorted(layouts))}); read its files one by one")
    else:
        found = _joined(files, how, folder)
    return replace(found, notes=cleaning.add_notes(found.notes, skipped(others, folder)))


def _joined(files: Sequence[Path], how: dict[str, Any], folder: Path) -> LightCurves:
    """Light curves of files of any format but IRSA's and Zubercal's; those of a header alone are skipped."""
    options, parts, empty = Options(**how), [], 0
    by_star: list[Observations] = []  # of OGLE, which has one file a star and band
    bands: Mapping[str, float] = options.bands
    for table in map(open_table, files):
        if table.own:
            parts.append(_read_file(table, how))
            continue
        with about(table.path):
            fmt = recognised(table)
            found = _observed(table, fmt, options)
            if not len(found.unit) and not found.notes:
                empty += 1
            elif fmt.name == "ogle":
                by_star.append(found)
                bands = options.bands_of(fmt)
            else:
                parts.append(built([found], found.units["name"].to_numpy(), options, options.bands_of(fmt)))
    if by_star:
        with about(folder):
            parts.append(built(by_star, pd.concat([p.units for p in by_star])["name"].to_numpy(), options, bands))
    if not parts:
        raise ValueError(f"{folder}: no observations: all {empty} tables are empty; check the cuts made before")
    found = concatenate(parts)
    if len(np.unique(found.object_id)) < len(found):
        raise ValueError(f"{folder}: a star lies in several files; join the tables and read the one file")
    return replace(found, notes=found.notes | ({"skipped: file without an observation": empty} if empty else {}))


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of a folder that are read, and those that are not; other text is read if its format is known."""
    files, others = in_folder(folder)
    known = [path for path in others if perhaps(path) and _is_known(path)]
    if not files and not known:
        raise ValueError(f"nothing to read in the folder {folder}: its files hold no table of a known format")
    return sorted([*files, *known]), [path for path in others if path not in known]


def _is_known(path: Path) -> bool:
    try:
        layout(path)
    except ValueError:
        return False
    return True
