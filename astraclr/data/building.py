"""Light curves are built from tables: checked, cleaned with counts, sorted, and laid out as flat columns.

Each function returns the fields of a `LightCurves`, by name; its class methods of the same names call them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.data import cleaning, quality
from astraclr.data.columns import as_arrow, columns_of, numbers
from astraclr.data.names import ZTF_NAMES, band_codes, each_name, identifiers, labels
from astraclr.data.parquet import COLUMNS
from astraclr.data.times import days

Fields = dict[str, Any]
"""The fields of a `LightCurves`, by name."""


def from_arrays(
    star: np.ndarray,
    band: np.ndarray,
    values: Sequence[np.ndarray],
    bands: Mapping[str, float],
    per_star: Mapping[str, Any],
    drop_repeated: bool = False,
) -> Fields:
    """Clean, count and sort observations that come in any order.

    Parameters
    ----------
    star, band : (n_obs,) int, row of the star, position of the band in `bands`
    values : times, magnitudes and errors, (n_obs,) each
    per_star : object_id, label and period, (n_stars,) each or None
    drop_repeated : keep only the observation of smallest error where a band repeats a time

    Raises
    ------
    ValueError
        As `LightCurves.from_arrays`.
    """
    object_id, label, period = (per_star.get(name) for name in ("object_id", "label", "period"))
    n_stars = len(object_id) if object_id is not None else int(np.max(star, initial=-1)) + 1
    cleaning.need_one_each(n_stars, label=label, period=period)
    if n_stars == 0 or len(values[0]) == 0:
        raise ValueError("no observations: the table is empty; check the file and the cuts made before")
    key = cleaning.segments(star, band, n_stars, bands)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is dropped as such
        mjd, mag, magerr = (np.asarray(c, t) for c, t in zip(values, COLUMNS.values(), strict=True))
    if {len(c) for c in (mjd, mag, magerr)} != {len(key)}:
        raise ValueError(
            f"{len(key)} stars, {len(mjd)} times, {len(mag)} magnitudes, {len(magerr)} errors: "
            "give one of each an observation"
        )
    keep, notes = cleaning.usable(mjd, mag, magerr)
    if notes:
        key, mjd, mag, magerr = key[keep], mjd[keep], mag[keep], magerr[keep]
    mjd, mag = cleaning.unsigned_zeros(mjd), cleaning.unsigned_zeros(mag)
    cleaning.warn_unless_mjd(mjd)
    (key, mjd, mag, magerr), more = cleaning.in_order(key, mjd, mag, magerr, drop_repeated)
    length = np.bincount(key, minlength=n_stars * len(bands)).reshape(n_stars, len(bands))
    seen = length.any(axis=1)
    if not seen.all():
        more["dropped: star without a usable observation in these bands"] = int((~seen).sum())
    notes |= more
    if not seen.any():
        reasons = "; ".join(f"{k}: {v}" for k, v in notes.items())
        raise ValueError(f"no usable observation of any star in bands {', '.join(bands)} ({reasons})")
    return {
        "mjd": mjd,
        "mag": mag,
        "magerr": magerr,
        "offsets": np.concatenate([[0], np.cumsum(length[seen])]),
        "bands": dict(bands),
        "object_id": each_name(np.arange(n_stars) if object_id is None else object_id, "object_id")[seen],
        "label": (np.full(n_stars, "") if label is None else each_name(label, "label"))[seen],
        "period": (np.full(n_stars, np.nan) if period is None else numbers(period, "period"))[seen],
        "notes": notes,
    }


def from_table(table: Any, bands: Mapping[str, float], drop_unknown_bands: bool, drop_repeated: bool) -> Fields:
    """Build from a tidy table; see `LightCurves.from_table`."""
    columns = columns_of(table)
    cleaning.need(columns, ("object_id", *COLUMNS, "band"))
    star, ids = identifiers(columns["object_id"])
    return _from_columns(columns, (star, star), ids, bands, drop_unknown_bands, drop_repeated)


def from_rows(table: Any, bands: Mapping[str, float], drop_unknown_bands: bool, drop_repeated: bool) -> Fields:
    """Build from one row a star with list columns; see `LightCurves.from_rows`."""
    columns = columns_of(table)
    cleaning.need(columns, ("object_id", *COLUMNS, "band"))
    row, ids = identifiers(columns["object_id"])
    several = len(row) - len(ids)
    flat, lengths = {}, {}
    for column in (*COLUMNS, "band", *quality.flags_in(columns)):
        if column in quality.flags_in(columns) and not _holds_lists(columns[column]):  # one flag a star
            flat[column] = as_arrow(columns[column], column, "flags").take(
                np.repeat(np.arange(len(row)), lengths["mjd"])
            )
            continue
        flat[column], lengths[column] = cleaning.flatten(columns[column], column)
        if (uneven := np.flatnonzero(lengths[column] != lengths["mjd"])).size:
            k = uneven[0]
            raise ValueError(
                f"star {ids[row[k]]}: {lengths[column][k]} values of {column}, {lengths['mjd'][k]} of mjd; "
                "the lists of one star must be of one length"
            )
    star = np.repeat(row, lengths["mjd"])
    built = _from_columns(columns | flat, (star, row), ids, bands, drop_unknown_bands, drop_repeated)
    joined = {"joined: row of a star that has several": several} if several else {}
    return built | {"notes": joined | built["notes"]}


def _holds_lists(column: Any) -> bool:
    return cleaning.is_list_type(as_arrow(column, "flags", "lists").type)


def rows_of_nested(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """One row a star with list columns, from a nested-pandas frame; the object_id is that column, or the index."""
    cleaning.need(frame.columns, [column])
    if type(frame[column].dtype).__name__ != "NestedDtype":
        raise TypeError(
            f"column {column} is not nested but {frame[column].dtype}; columns of lists are read by from_rows"
        )
    lists = frame[column].nest.to_lists()
    cleaning.need(lists.columns, (*COLUMNS, "band"))
    rows = lists[[*COLUMNS, "band", *quality.flags_in(lists.columns)]].reset_index(drop=True)
    rows["object_id"] = np.asarray(frame.get("object_id", frame.index))
    for c in ("label", "period", *quality.flags_in(frame.columns)):
        if c in frame:
            rows[c] = np.asarray(frame[c])
    return rows


def _need_one_length(columns: Mapping[str, Any]) -> None:
    """Raise ValueError unless the columns are of one length."""
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ValueError(f"the columns differ in length ({said}); give one value an observation")


def _from_columns(
    columns: Mapping[str, Any],
    rows: tuple[np.ndarray, np.ndarray],
    ids: np.ndarray,
    bands: Mapping[str, float],
    drop_unknown: bool,
    drop_repeated: bool,
) -> Fields:
    """Build from columns of text or numbers; `rows` are the star of each observation, and of each label and period."""
    star, row = rows
    mjd, notes = days(columns["mjd"], "mjd", star, ids)
    mag, magerr = numbers(columns["mag"], "mag"), quality.errors_of(columns)
    good, lost = quality.keep(quality.flagged(columns), len(mjd))
    band = as_arrow(columns["band"], "band", "names")
    _need_one_length({"object_id": star, "mjd": mjd, "mag": mag, "magerr": magerr, "band": band})
    code, known, dropped = band_codes(
        band if good.all() else band.filter(pa.array(good)), bands, drop_unknown, ZTF_NAMES
    )
    notes |= lost
    if len(mjd) and not known.any():
        raise ValueError(f"no usable observation of any star in bands {', '.join(bands)} ({notes | dropped})")
    per_star = {"object_id": ids}
    if "label" in columns:
        per_star["label"] = cleaning.one_a_star(labels(columns["label"], "label"), row, ids, "label")
    if "period" in columns:
        per_star["period"] = cleaning.one_a_star(numbers(columns["period"], "period"), row, ids, "period")
    kept = np.flatnonzero(good)[known]
    star, code, *values = star[kept], code[known], mjd[kept], mag[kept], magerr[kept]
    built = from_arrays(star, code, values, bands, per_star, drop_repeated)
    return built | {"notes": notes | dropped | built["notes"]}
