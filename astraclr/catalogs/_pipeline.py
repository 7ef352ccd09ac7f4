"""From a table of any format to light curves, in four steps: detect, read, clean with counts, build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from astraclr.catalogs._flat import Flat
from astraclr.catalogs._format import Format
from astraclr.catalogs._matching import Column, Match
from astraclr.catalogs._open import Table
from astraclr.config import ZTF_BANDS
from astraclr.data import cleaning, quality
from astraclr.data.columns import is_text, numbers, texts
from astraclr.data.lightcurves import LightCurves
from astraclr.data.names import band_codes, identifiers, labels, names
from astraclr.data.times import JD_OF_MJD, days

_TEXT_ROLES = ("object_id", "oid", "band", "label", "sign")

MOST_APART = 60.0
"""Arcseconds between the rows of one id; stars that move so far are no stars."""

LIMIT = "dropped: limit, not a measurement"


@dataclass(frozen=True)
class Options:
    """What `read` was asked for: the bands, and what to do with other bands and repeated times."""

    bands: Mapping[str, float]
    drop_unknown_bands: bool = False
    drop_repeated: bool = False

    @property
    def one_band(self) -> str:
        """The band, where only one was asked for; else nothing."""
        return next(iter(self.bands)) if len(self.bands) == 1 else ""

    def bands_of(self, fmt: Format) -> Mapping[str, float]:
        """The bands asked for; those of the format where none were."""
        return fmt.bands if fmt.bands and self.bands == ZTF_BANDS else self.bands


@dataclass
class Observations:
    """Cleaned observations of one table; `unit` numbers its stars, or the parts of stars that belong together.

    Attributes
    ----------
    unit, band : (n_obs,) int
    mjd, mag, magerr : (n_obs,) float64
    units : what the table says of each unit: columns name, ra, dec, label, period
    notes : what was dropped or converted
    """

    unit: np.ndarray
    band: np.ndarray
    mjd: np.ndarray
    mag: np.ndarray
    magerr: np.ndarray
    units: pd.DataFrame
    notes: dict[str, int] = field(default_factory=dict)


def read_columns(table: Table, match: Match, extra: Sequence[Column] = ()) -> pa.Table:
    """The columns of a file that a format needs, ids and labels as text."""
    used = [*match.roles.values(), *match.flags.values(), *extra]
    text = [match.roles[r].position for r in _TEXT_ROLES if r in match.roles] + [c.position for c in extra]
    text += [
        match.flags[c].position for rule in match.format.quality if rule.text for c in rule.columns if c in match.flags
    ]
    return table.read(sorted({c.position for c in used}), sorted(set(text)))


def observations(found: pa.Table, match: Match, options: Options, one_band: str = "") -> Observations:
    """Clean one table: flags heeded, times converted, bands numbered; each loss counted once.

    Parameters
    ----------
    found : the columns that `read_columns` read
    one_band : the band of a table without a column for it

    Raises
    ------
    ValueError
        For values that cannot be what their column must hold, an unknown band, a missing id, lists of different length.
    """
    flat = Flat(found, match)
    row, units = _units(flat, match)
    unit = flat.each(row)
    notes: dict[str, int] = {}
    for reason, n in (found.schema.metadata or {}).items():
        if reason.startswith((b"dropped: ", b"not read: ")):  # comments, repeated headers; files of a data set
            notes[reason.decode()] = int(n)
    if flat.length is not None and "object_id" in match.roles and len(row) > len(units):
        notes["joined: row of a star that has several"] = len(row) - len(units)
    mjd, converted = _times(flat, match, unit, units["name"].to_numpy())
    mag, magerr, bad = _magnitudes(flat, match)
    good, lost = quality.keep({**_flagged(flat, match), **bad}, len(unit))
    notes |= lost
    bands = options.bands_of(match.format)
    names = flat["band"] if "band" in match.roles else pa.repeat(one_band, len(unit))
    names = names if good.all() else names.filter(pa.array(good))
    band, known, dropped = band_codes(names, bands, options.drop_unknown_bands, match.format.band_names)
    keep = np.flatnonzero(good)[known]
    if match.format.said:
        notes[match.format.said] = len(keep)
    for name in match.unread:
        notes[f"not read: column {name}, which looks like labels (--label {name} reads it)"] = len(row)
    return Observations(
        unit[keep],
        band[known],
        mjd[keep],
        mag[keep],
        magerr[keep],
        units,
        cleaning.add_notes(notes, converted, dropped),
    )


def _times(flat: Flat, match: Match, unit: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, dict[str, int]]:
    column, zero = match.roles["mjd"].name, match.format.time_zero
    if match.format.short_julian and (np.nan_to_num(short := numbers(flat["mjd"], column)) < 20_000).all():
        notes = {"converted: HJD - 2450000 to MJD (plus 49999.5)": len(unit)}
        return short + (2_450_000 - JD_OF_MJD), notes
    if zero is None:
        return days(flat["mjd"], "hjd" if match.format.short_julian else column, unit, ids)
    return numbers(flat["mjd"], column) + zero, {f"converted: {column} to MJD (plus {zero:g})": len(unit)}


def _magnitudes(flat: Flat, match: Match) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Magnitudes, errors, and which observations have none, by reason."""
    if rule := match.format.photometry:
        return rule(lambda role: _signs(flat[role]) if role == "sign" else numbers(flat[role], match.roles[role].name))
    limit, mag = _limits(flat["mag"]) if match.format.limits else (None, flat["mag"])
    magerr = numbers(flat["magerr"], match.roles["magerr"].name)
    if match.format.scale:
        magerr = match.format.scale(magerr, pa.types.is_integer(flat["magerr"].type))
    return numbers(mag, match.roles["mag"].name), magerr, {LIMIT: limit} if limit is not None else {}


def _flagged(flat: Flat, match: Match) -> dict[str, np.ndarray]:
    """Observations that flags call bad, by reason."""
    found = quality.flagged({c: flat[c] for c in match.flags})
    for rule in match.format.quality:
        if set(rule.columns) <= set(match.flags):
            read = _words if rule.text else lambda values, c: numbers(values, c, truth=True)
            found |= rule.bad(*(read(flat[c], c) for c in rule.columns))
    return found


def _words(values: pa.Array, column: str) -> np.ndarray:
    code, found = names(values, column, "flag")
    return np.append(found, "").astype(object)[code]


def _signs(values: pa.Array) -> np.ndarray:
    """1 where a difference is positive, as ZTF's alerts say it: t, 1 or true; -1 for f, 0, -1, false; else NaN."""
    meant = {"t": 1.0, "1": 1.0, "true": 1.0, "f": -1.0, "0": -1.0, "-1": -1.0, "false": -1.0}
    return np.array([meant.get(word.lower(), np.nan) for word in _words(values, "isdiffpos")])


def _limits(values: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Which magnitudes of a column of text are limits (">16.3"), and the column without these."""
    if not is_text(values.type):
        return np.zeros(len(values), bool), values
    text = texts(values, "mag")
    limit = pc.starts_with(pc.utf8_trim_whitespace(text), ">").fill_null(False)  # pyright: ignore[reportAttributeAccessIssue]
    return np.asarray(limit), pc.if_else(limit, None, text)  # pyright: ignore[reportAttributeAccessIssue]


def _units(flat: Flat, match: Match) -> tuple[np.ndarray, pd.DataFrame]:
    """(n_rows,) number of the unit of each row of the file, and what the rows say of each unit."""
    role = next((r for r in ("object_id", "oid") if r in match.roles), None)
    row, found = np.full(flat.n_rows, -1), np.array([], dtype=object)
    if role is not None:
        column = match.roles[role].name
        row, found = names(flat.row(role), column) if role == "oid" else identifiers(flat.row(role), column)
        if (missing := int((row < 0).sum())) and len(found):
            raise ValueError(f"{missing:,} rows have no {column}; name them or drop them")
    if not len(found):
        row, found = _by_position(flat, match)
    units: dict[str, Any] = {"name": found, "ra": np.nan, "dec": np.nan, "label": None, "period": np.nan}
    sky = {c: numbers(flat.row(c), match.roles[c].name) for c in ("ra", "dec") if c in match.roles}
    units |= {c: pd.Series(x).groupby(row).first().reindex(range(len(found))).to_numpy() for c, x in sky.items()}
    if len(sky) == 2:
        _refuse_far_apart(sky, units, row, found)
    if "label" in match.roles:
        column = match.roles["label"].name
        units["label"] = cleaning.one_a_star(labels(flat.row("label"), column), row, found, column)
    if "period" in match.roles:
        units["period"] = cleaning.one_a_star(numbers(flat.row("period"), "period"), row, found, "period")
    return row, pd.DataFrame(units, index=range(len(found)))


def _refuse_far_apart(
    sky: Mapping[str, np.ndarray], units: Mapping[str, Any], row: np.ndarray, found: np.ndarray
) -> None:
    """Raise ValueError if rows of one id lie at different places: then a tool that rounded ids has merged stars."""
    dec = sky["dec"] - units["dec"][row]
    ra = ((sky["ra"] - units["ra"][row] + 180) % 360 - 180) * np.cos(np.radians(sky["dec"]))
    apart = np.nan_to_num(np.hypot(ra, dec)) * 3600
    if apart.max(initial=0) > MOST_APART:
        k = int(np.argmax(apart))
        raise ValueError(
            f"id {found[row[k]]} is given for places {apart[k]:,.0f} arcsec apart, at most {MOST_APART:.0f} are one "
            "star: were the ids rounded? Make the file again, and import ids as text"
        )


def _by_position(flat: Flat, match: Match) -> tuple[np.ndarray, np.ndarray]:
    """Units of a file without ids: its distinct positions; one, without a name, where there is one position or none."""
    if not {"ra", "dec"} <= set(match.roles):
        return np.zeros(flat.n_rows, int), np.array([None], dtype=object)
    sky = pd.Series(list(zip(*(numbers(flat.row(c), c).tolist() for c in ("ra", "dec")), strict=True)), dtype=object)
    row, found = pd.factorize(sky)
    if len(found) <= 1:
        return np.zeros(flat.n_rows, int), np.array([None], dtype=object)
    return row, np.array([f"{ra:.6f}{dec:+.6f}" for ra, dec in found], dtype=object)


def built(
    parts: Sequence[Observations], names: np.ndarray, options: Options, bands: Mapping[str, float] | None = None
) -> LightCurves:
    """Light curves of observations; units of one name, also of different parts, are one star.

    Parameters
    ----------
    names : (n_units,) name of the star of every unit, of all parts in order
    bands : those of their format, where not those of the options
    """
    star, ids = pd.factorize(np.asarray(names, dtype=object))
    units = pd.concat([p.units for p in parts], ignore_index=True)
    first = np.cumsum([0, *(len(p.units) for p in parts)])
    unit = np.concatenate([p.unit + k for p, k in zip(parts, first[:-1], strict=True)])
    band, *values = (np.concatenate([getattr(p, c) for p in parts]) for c in ("band", "mjd", "mag", "magerr"))
    notes = cleaning.add_notes(*(p.notes for p in parts))
    if not len(unit):
        reasons = "; ".join(f"{k}: {n}" for k, n in notes.items())
        empty = "no observations: the table is empty; check the file and the cuts made before"
        raise ValueError(f"no observation is left ({reasons})" if reasons else empty)
    ids = np.asarray(ids)
    perstar = {c: cleaning.one_a_star(units[c].to_numpy(), star, ids, c) for c in ("label", "period")}
    made = LightCurves.from_arrays(
        star[unit],
        band,
        *values,
        bands=bands or options.bands,
        object_id=ids,
        drop_repeated=options.drop_repeated,
        **perstar,
    )
    return replace(made, notes=cleaning.add_notes(notes, made.notes))
