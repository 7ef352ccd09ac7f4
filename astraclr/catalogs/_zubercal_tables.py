"""One table of Zubercal detections, flat or nested, turned into light curves: cut, scaled, sorted."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.data import cleaning
from astraclr.data.lightcurves import LightCurves

OBJECT_IDS = ("object_id", "Source", "objID", "objectid")
"""Columns that may hold the object id, the first that is there is taken (Source is Gaia DR3's, the others PS1's)."""

ERROR_UNIT = 1e-4
"""Zubercal stores magerr as whole numbers of 1e-4 mag (readme of the release, IPAC)."""

EPOCH = ("mjd", "mag", "magerr", "band")
QUALITY = ("info", "flag")
_CUT_NOTE = "dropped: info or flag is not 0"


@dataclass(frozen=True)
class Layout:
    """How to turn one table into light curves; small and picklable, because it travels to the workers."""

    nested: str | None
    object_id: str
    label: str | None
    quality_cut: bool
    bands: dict[str, float]
    drop_unknown_bands: bool
    drop_repeated: bool
    at_least: dict[str, int]

    @property
    def columns(self) -> list[str]:
        """Columns to read; the fields of a nested column are named with a dot."""
        prefix = f"{self.nested}." if self.nested else ""
        epochs = [prefix + c for c in (*EPOCH, *(QUALITY if self.quality_cut else ()))]
        return [self.object_id, *([self.label] if self.label else []), *epochs]


def layout_of(
    columns: Iterable[str], object_id: str | None, label: str, nested: str, options: dict[str, Any]
) -> Layout:
    """The layout of a table with these columns; ValueError if none of them can be the object id."""
    columns = list(columns)
    found = object_id or next((c for c in OBJECT_IDS if c in columns), OBJECT_IDS[-1])
    cleaning.need(columns, [found])
    return Layout(nested if nested in columns else None, found, label if label in columns else None, **options)


def need_epochs(fields: Iterable[str], layout: Layout) -> None:
    """Raise ValueError if a column of the detections is missing."""
    fields = list(fields)
    cleaning.need(fields, EPOCH)
    if layout.quality_cut and (missing := [c for c in QUALITY if c not in fields]):
        raise ValueError(
            f"missing column {', '.join(missing)}, which the quality cut needs; the table has {', '.join(fields)}. "
            "To read without the cut, use zubercal(path, quality_cut=False)"
        )


def tidy_frame(frame: Any, layout: Layout) -> tuple[LightCurves | None, dict[str, int]]:
    """`tidy` of one partition of a HATS catalogue, a NestedFrame; runs in a worker."""
    base = [layout.object_id, *([layout.label] if layout.label else [])]
    if layout.nested is None:
        return tidy(pa.Table.from_pandas(pd.DataFrame(frame[layout.columns]), preserve_index=False), layout)
    table = {c: pa.array(frame[c]) for c in base} | {layout.nested: frame[layout.nested].array.struct_array}
    return tidy(pa.table(table), layout)


def tidy(table: pa.Table, layout: Layout) -> tuple[LightCurves | None, dict[str, int]]:
    """Light curves of one table, None if nothing of it is usable, and what was dropped."""
    star, epochs, ids, labels = (_unnest if layout.nested else _group)(table, layout)
    good = np.ones(len(star), bool)
    if layout.quality_cut:
        good = np.logical_and(*(cleaning.numbers(epochs[c], c) == 0 for c in QUALITY))
    notes = {_CUT_NOTE: int((~good).sum())} if not good.all() else {}
    names = epochs["band"].dictionary_encode().to_pandas()
    code, known, more = cleaning.band_codes(names[good], layout.bands, layout.drop_unknown_bands)
    notes |= more
    mjd, mag, magerr = (cleaning.numbers(epochs[c], c)[good][known] for c in ("mjd", "mag", "magerr"))
    magerr = in_magnitudes(magerr, pa.types.is_integer(epochs["magerr"].type))
    if not cleaning.usable(mjd, mag, magerr)[0].any():
        return None, cleaning.add_notes(notes, {"dropped: star without a usable observation in these bands": len(ids)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # times that are not MJD are told once, by _gather, not once a partition
        built = LightCurves.from_arrays(
            star[good][known],
            code[known],
            mjd,
            mag,
            magerr,
            bands=layout.bands,
            object_id=ids,
            label=labels,
            drop_repeated=layout.drop_repeated,
        )
    notes = cleaning.add_notes(notes, built.notes)
    if layout.at_least:
        enough = built.with_counts(layout.at_least)
        if len(enough) < len(built):
            cut = ", ".join(f"{b} >= {n}" for b, n in layout.at_least.items())
            notes[f"dropped: star without {cut} observations"] = len(built) - len(enough)
        built = enough
    return (replace(built, notes={}) if len(built) else None), notes


def in_magnitudes(magerr: np.ndarray, whole_numbers: bool) -> np.ndarray:
    """Errors in mag from Zubercal's whole numbers of 1e-4 mag, also where these were made floats on the way.

    In units of 1e-4 mag the median error is tens to thousands, in mag it is below 1: no survey confuses the two.
    """
    positive = magerr[magerr > 0]
    scaled = whole_numbers or (len(positive) > 0 and np.median(positive) >= 5)
    return magerr * ERROR_UNIT if scaled else magerr


def _unnest(table: pa.Table, layout: Layout) -> tuple:
    """(n_obs,) star, columns of epochs, (n_stars,) ids and labels of one row a star."""
    lists = table.select([layout.nested]).flatten()
    wanted = [*EPOCH, *(QUALITY if layout.quality_cut else ())]
    pairs = {c: cleaning.flatten(lists[f"{layout.nested}.{c}"], c) for c in wanted}
    length = pairs["mjd"][1]
    if odd := [c for c in wanted if (pairs[c][1] != length).any()]:
        raise ValueError(f"the lists mjd and {odd[0]} of one star differ in length")
    epochs = {c: values for c, (values, _) in pairs.items()}
    labels = table[layout.label].to_pandas().to_numpy() if layout.label else None
    ids = cleaning.identifiers(table[layout.object_id])
    return np.repeat(np.arange(len(ids)), length), epochs, ids, labels


def _group(table: pa.Table, layout: Layout) -> tuple:
    """As `_unnest`, for one row a detection."""
    star, ids = pd.factorize(cleaning.identifiers(table[layout.object_id]))
    labels = None
    if layout.label:
        labels = cleaning.one_a_star(table[layout.label].to_pandas(), star, ids, layout.label)
    return star, {c: table[c] for c in (*EPOCH, *(QUALITY if layout.quality_cut else ()))}, ids, labels
