"""Zubercal, the recalibrated photometry of ZTF: a HATS catalogue through LSDB and Dask, or plain parquet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.catalogs._format import Format
from astraclr.catalogs._hats import Near, hats_partitions, hats_parts, is_hats, opened
from astraclr.catalogs._irsa import star_names
from astraclr.catalogs._matching import matched, recognised
from astraclr.catalogs._open import Table, open_table
from astraclr.catalogs._pipeline import Observations, built
from astraclr.catalogs._sources import about, light_curve_files
from astraclr.catalogs._zubercal_tables import Layout, as_arrow_table, finished, layout_of, observed, tidy
from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves, concatenate

_BAND_IN_NAME = re.compile(r"ztf_\d+_\d+_([gri])")


def zubercal(
    paths: str | Path | Iterable[str | Path],
    *,
    limit: int | None = None,
    near: Near | None = None,
    ids: Sequence[int] | None = None,
    at_least: Mapping[str, int] | None = None,
    object_id: str | None = None,
    label: str = "Class",
    nested: str = "lc",
    quality_cut: bool = True,
    client: Any = None,
    n_workers: int = 1,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> LightCurves:
    """Read Zubercal photometry.

    Parameters
    ----------
    paths : a HATS catalogue (its folder, or an address that LSDB opens), or parquet: a file, several, a folder
        One row a detection (objectid, mjd, mag, magerr, info, flag, band; the band may also be the last part of
        IPAC's file names, ``ztf_1310_1400_g.parquet``), or one row a star with these in a nested column.
    limit : at most so many stars, the first found that pass `at_least`
    near : (ra, dec, radius), degrees, degrees, arcsec; HATS only
    ids : only the stars with these object ids; HATS only
    at_least : fewest observations per band of a star to keep, e.g. `PAPER_CUT`
    object_id : column of the object id; by default the first there is of `OBJECT_IDS`
    label : column of the class; without it the stars are unlabelled
    nested : name of the nested column
    quality_cut : keep only detections with ``info == 0 and flag == 0``
    client : a Dask client to compute with; HATS only
    n_workers : without a client, start a local cluster of so many processes if more than 1 (a script then needs
        ``if __name__ == "__main__":``); HATS only
    bands, drop_unknown_bands, drop_repeated : as in `LightCurves.from_table`

    Returns
    -------
    LightCurves
        magerr in mag, sorted by time; ``notes`` counts what the cuts dropped.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        For a missing column, an unknown band, a selection that only a HATS catalogue allows, or nothing left.
    """
    options = {
        "quality_cut": quality_cut,
        "bands": dict(bands),
        "drop_unknown_bands": drop_unknown_bands,
        "drop_repeated": drop_repeated,
        "at_least": dict(at_least or {}),
    }
    if unknown := [b for b in at_least or () if b not in bands]:
        raise ValueError(f"at_least names the band {', '.join(unknown)}; the bands are {', '.join(bands)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}; None reads all")
    if ids is not None and len(ids) == 0:
        raise ValueError("ids is empty; give at least one object id, or None for all")
    with about(str(paths) if isinstance(paths, str | Path) else "the Zubercal files"):
        if isinstance(paths, str | Path) and is_hats(paths):
            parts = hats_parts(str(paths), (object_id, label, nested), options, near, ids, client, n_workers)
        elif near is not None or ids is not None:
            raise ValueError("near= and ids= need a HATS catalogue; read all and select afterwards")
        else:
            parts = _parquet_parts(light_curve_files(paths), (object_id, label, nested), options)
        found = _gather(parts, limit)
    missing = len({str(int(k)) for k in ids} - set(found.object_id)) if ids is not None else 0
    return replace(found, notes=found.notes | {"not found, or dropped by a cut: id": missing}) if missing else found


def from_hats(path: Path, **how: Any) -> LightCurves:
    """Read all stars of a HATS catalogue in a folder; apply its quality flags, or note that it has none."""
    schema = opened(str(path)).original_schema
    with about(path):
        fmt = recognised(Table(path, "HATS", schema, lambda *_: pa.table({})))
        options = {"quality_cut": True, **how, "bands": dict(how["bands"]), "at_least": {}}
        flags = matched(schema, fmt).flags
        if fmt.name == "irsa":
            return _irsa_from_hats(str(path), options, fmt)
        found = _gather(hats_parts(str(path), (None, "Class", "lc"), options, None, None, None, 1, fmt), None)
    if flags:
        return found
    return replace(found, notes={"read without a quality cut (no info, flag): star": len(found)} | found.notes)


def _irsa_from_hats(path: str, options: dict[str, Any], fmt: Format) -> LightCurves:
    """IRSA's own HATS catalogues: a row an oid, joined into stars by position over all partitions."""
    partitions, layout = hats_partitions(path, (None, "label", ""), options, fmt=fmt)
    from dask.base import compute

    parts = []
    for one in partitions:
        (frame,) = compute(one, scheduler="synchronous")
        parts.append(observed(as_arrow_table(frame, layout), layout))
    units = pd.concat([p.units for p in parts], ignore_index=True)
    units["file"] = units["stem"] = Path(path).name
    units["named"] = layout.object_id is not None
    return built(parts, star_names(units), layout.options)


def _parquet_parts(files: list[Path], names: tuple[str | None, str, str], options: dict[str, Any]) -> Iterator[tuple]:
    """Nested: one part a file. Flat: everything at once, because a star's rows may lie in several files."""
    flat: list[tuple[Layout, Observations]] = []
    for path in files:
        with about(path):
            table = open_table(path)
            band = _BAND_IN_NAME.fullmatch(path.stem)
            schema, constant = table.schema, []
            if band and "band" not in schema.names:
                schema, constant = schema.append(pa.field("band", pa.string())), [len(schema)]
            layout = layout_of(schema, names, options)
            match = layout.match(schema)
            used = sorted({c.position for c in (*match.roles.values(), *match.flags.values())} - set(constant))
            text = [match.roles[r].position for r in ("object_id", "label", "band") if r in match.roles]
            found = table.read(used, [k for k in text if k not in constant])
            if constant and band:
                found = found.append_column("band", pa.repeat(band[1], len(found)))
            if layout.nested:
                yield tidy(found, layout)
            else:
                flat.append((layout, observed(found, layout)))
    if flat:
        if len({(layout.object_id, layout.label) for layout, _ in flat}) > 1:
            raise ValueError("the files differ in their object id or label column; read them one by one")
        yield finished(_joined([found for _, found in flat]), flat[0][0])


def _joined(parts: list[Observations]) -> Observations:
    """Observations of several tables as those of one; units of one name are one."""
    units = pd.concat([p.units for p in parts], ignore_index=True)
    star, ids = pd.factorize(units["name"])
    perstar = {c: cleaning.one_a_star(units[c].to_numpy(), star, ids, c) for c in ("label", "period")}
    first = np.cumsum([0, *(len(p.units) for p in parts)])
    unit = np.concatenate([star[p.unit + k] for p, k in zip(parts, first[:-1], strict=True)])
    columns = [np.concatenate([getattr(p, c) for p in parts]) for c in ("band", "mjd", "mag", "magerr")]
    notes = cleaning.add_notes(*(p.notes for p in parts))
    return Observations(unit, *columns, units=pd.DataFrame({"name": ids, **perstar}), notes=notes)


def _gather(parts: Iterator[tuple], limit: int | None) -> LightCurves:
    """Join the parts, stopping as soon as there are `limit` stars."""
    found: list[LightCurves] = []
    notes: dict[str, int] = {}
    for part, more in parts:
        notes = cleaning.add_notes(notes, more)
        if part is not None:
            found.append(part)
        if limit is not None and sum(map(len, found)) >= limit:
            break
    if not found:
        reasons = "; ".join(f"{k}: {n}" for k, n in notes.items()) or "the catalogue or the selection is empty"
        raise ValueError(f"no star is left ({reasons})")
    joined = concatenate(found)
    if len(np.unique(joined.object_id)) < len(joined):
        raise ValueError("a star lies in several partitions or files; sort the table by object id and write it again")
    if limit is not None and len(joined) > limit:
        joined = joined[:limit]
    cleaning.warn_unless_mjd(joined.mjd)
    return replace(joined, notes=notes)
