"""One table of a catalogue, flat or nested, turned into light curves: cut, scaled, sorted; runs in a worker."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa

from astraclr.catalogs._format import Format
from astraclr.catalogs._formats import FORMATS
from astraclr.catalogs._matching import Match, columns, matched
from astraclr.catalogs._pipeline import Observations, Options, built, observations
from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves
from astraclr.data.quality import QUALITY, in_magnitudes

__all__ = ["Layout", "in_magnitudes", "layout_of", "tidy", "tidy_frame"]

_BY_NAME = {f.name: f for f in FORMATS}


@dataclass(frozen=True)
class Layout:
    """How to turn one table into light curves; small and picklable, because it travels to the workers."""

    format: str
    nested: str | None
    object_id: str | None
    label: str | None
    columns: list[str]
    """Columns to read; the fields of a nested column are named with a dot."""
    quality_cut: bool
    bands: dict[str, float]
    drop_unknown_bands: bool
    drop_repeated: bool
    at_least: dict[str, int]
    unread: tuple[str, ...] = ()
    """Columns that look like labels and are not read."""

    @property
    def options(self) -> Options:
        """What observations are kept."""
        return Options(self.bands, self.drop_unknown_bands, self.drop_repeated)

    def match(self, schema: pa.Schema) -> Match:
        """Which column of one table plays which role."""
        chosen = ({"object_id": self.object_id} if self.object_id else {}) | (
            {"label": self.label} if self.label else {}
        )
        return matched(schema, _BY_NAME[self.format], chosen, self.quality_cut)


def layout_of(
    schema: pa.Schema, names: tuple[str | None, str, str], options: dict[str, Any], fmt: Format | None = None
) -> Layout:
    """The layout of tables with these columns.

    Parameters
    ----------
    names : columns of the object id (None: the first there is of `OBJECT_IDS`), the label and the nested detections
    options : the last fields of `Layout`
    fmt : the format; Zubercal's by default

    Raises
    ------
    ValueError
        If a column that is needed is missing.
    """
    object_id, label, _ = names
    fmt = fmt or _BY_NAME["zubercal"]
    there = columns(schema)
    if fmt.name == "zubercal" and options["quality_cut"]:
        need_quality(there)
    chosen = {"object_id": object_id} if object_id else {}
    if label in there:
        chosen["label"] = label
    match = matched(schema, fmt, chosen, options["quality_cut"])
    used = list(dict.fromkeys([*match.roles.values(), *match.flags.values()]))
    holders = {schema.field(c.position).name for c in used if c.field}
    if len(holders) > 1:
        raise ValueError(f"the columns lie in several nested columns ({', '.join(sorted(holders))})")
    where = next(iter(holders), None)
    read = [f"{where}.{c.field}" if c.field else schema.field(c.position).name for c in used]
    object_id = match.roles["object_id"].name if "object_id" in match.roles else None
    label_column = match.roles["label"].name if "label" in match.roles else None
    return Layout(fmt.name, where, object_id, label_column, read, **options, unread=match.unread)


def need_quality(fields: Iterable[str]) -> None:
    """Raise ValueError if a column that the quality cut of Zubercal needs is missing."""
    fields = list(fields)
    if missing := [c for c in QUALITY[1].columns if c not in fields]:
        raise ValueError(
            f"missing column {', '.join(missing)}, which the quality cut needs; the table has {', '.join(fields)}. "
            "To read without the cut, use zubercal(path, quality_cut=False)"
        )


def tidy_frame(frame: Any, layout: Layout) -> tuple[LightCurves | None, dict[str, int]]:
    """`tidy` of one partition of a HATS catalogue, a NestedFrame; runs in a worker."""
    return tidy(as_arrow_table(frame, layout), layout)


def as_arrow_table(frame: Any, layout: Layout) -> pa.Table:
    """One partition of a HATS catalogue, a NestedFrame, as an Arrow table."""
    base = [c for c in layout.columns if "." not in c or c in frame.columns]
    if layout.nested is None:
        return pa.Table.from_pandas(pd.DataFrame(frame[base]), preserve_index=False)
    table = {c: pa.array(frame[c]) for c in base} | {layout.nested: frame[layout.nested].array.struct_array}
    return pa.table(table)


def tidy(table: pa.Table, layout: Layout) -> tuple[LightCurves | None, dict[str, int]]:
    """Light curves of one table, None if nothing of it is usable, and what was dropped."""
    return finished(observed(table, layout), layout)


def observed(table: pa.Table, layout: Layout) -> Observations:
    """Cleaned observations of one table that may hold more columns than are needed."""
    match = layout.match(table.schema)
    used = sorted({c.position for c in (*match.roles.values(), *match.flags.values())})
    found = observations(table.select(used), match, layout.options)
    for name in set(layout.unread) - set(match.unread):  # of these the table holds no column
        found.notes[f"not read: column {name}, which looks like labels (rename it to label)"] = len(table)
    return found


def finished(found: Observations, layout: Layout) -> tuple[LightCurves | None, dict[str, int]]:
    """Light curves of observations, with the cut of counts; None if nothing is usable."""
    notes = found.notes
    if not cleaning.usable(found.mjd, found.mag, found.magerr)[0].any():
        lost = {"dropped: star without a usable observation in these bands": len(found.units)}
        return None, cleaning.add_notes(notes, lost)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # times that are not MJD are told once, by _gather, not once a partition
        bands = layout.options.bands_of(_BY_NAME[layout.format])
        made = built([found], found.units["name"].to_numpy(), layout.options, bands)
    notes = dict(made.notes)
    if layout.at_least:
        enough = made.with_counts(layout.at_least)
        if len(enough) < len(made):
            cut = ", ".join(f"{b} >= {n}" for b, n in layout.at_least.items())
            notes[f"dropped: star without {cut} observations"] = len(made) - len(enough)
        made = enough
    return (replace(made, notes={}) if len(made) else None), notes
