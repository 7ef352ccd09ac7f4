"""Ids, labels and bands of any table as text: no two stars merge, no class is lost, or the value is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.config import RUBIN_BANDS
from astraclr.data.cleaning import Notes, need_bands
from astraclr.data.columns import MISSING, as_arrow, is_text, shown, texts

LONGEST_NAME = 500
"""Characters of an object id or label; every name of a table takes as much memory as its longest."""

ZTF_NAMES = {f"{before}{band}": band for before in ("z", "ztf", "ztf_", "ZTF_", "ztf-", "ZTF-") for band in "gri"}
"""Other spellings of the bands of ZTF."""

_OF_RUBIN = "; those of Rubin are astraclr.config.RUBIN_BANDS (--band rubin)"

_ROUNDED = re.compile(r"\d([.,]\d+)?[eE]\+\d+|\d[.,]\d+[eE]\d+")
_SHOWN_BY_EXCEL = re.compile(r"(?=\d{12,})[1-9](?!0{11})\d{1,5}0{6,}(\.0+)?")


def names(values: Any, column: str, what: str = "object_id") -> tuple[np.ndarray, np.ndarray]:
    """A column of ids or labels as text, exactly: whole numbers without ".0", bytes decoded.

    Parameters
    ----------
    column : its name in the table, for messages
    what : ``object_id``, ``label`` or ``band``: of ids more is refused, because stars would merge

    Returns
    -------
    code : (n_rows,) int, position in `found`, -1 where there is no value
    found : (n_distinct,) object, text in the order of its first row

    Raises
    ------
    ValueError
        For values that cannot be kept exactly (floats above 2**53, numbers that a spreadsheet rounded), truth values
        as ids, names that are too long, lists.
    """
    if isinstance(values, list) or getattr(values, "dtype", None) == np.dtype(object):
        try:
            code, distinct = pd.factorize(pd.Series(values, dtype=object))
        except TypeError as error:
            raise ValueError(f"column {column} must hold one name a row, found lists ({error})") from error
        raw, kinds = list(distinct), set(map(type, distinct))
    else:
        found = as_arrow(values, column, "names")
        if pa.types.is_nested(found.type):
            raise ValueError(f"column {column} must hold one name a row, found {found.type}")
        if is_text(found.type):
            found = texts(found, column)
        if pa.types.is_null(found.type):
            return np.full(len(found), -1), np.array([], dtype=object)
        if pa.types.is_float16(found.type):
            found = found.cast(pa.float32())
        encoded = found.dictionary_encode()
        code = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        raw, kinds = encoded.dictionary.to_pylist(), {type(v) for v in encoded.dictionary[:1].to_pylist()}
        if pa.types.is_floating(found.type):
            _check_exact(np.array(raw, float), column, 53 if pa.types.is_float64(found.type) else 24)
        if pa.types.is_float32(found.type):
            raw = [float(str(np.float32(v))) for v in raw]  # 0.1, as in a column of 64 bits
    if what == "object_id" and kinds & {bool, np.bool_}:
        raise ValueError(f"column {column} holds true and false, which name no star; take another column as object_id")
    text = [_name(v, column) for v in raw]
    if what != "object_id":  # ids that differ in blanks alone stay two
        text = [t.strip() for t in text]
    if what == "object_id":
        _check_ids(text, column)
    if text and all(re.fullmatch(r"-?\d+\.0+", t) for t in text if t not in MISSING):
        text = [t.split(".")[0] if t not in MISSING else t for t in text]
    return _without_missing(code, text)


def _without_missing(code: np.ndarray, text: list[str]) -> tuple[np.ndarray, np.ndarray]:
    again, found = pd.factorize(np.array([None if t in MISSING else t for t in text], dtype=object))
    return np.append(again, -1)[code], np.asarray(found, dtype=object)


def _check_exact(values: np.ndarray, column: str, bits: int) -> None:
    if (odd := np.flatnonzero(np.isfinite(values) & (np.abs(values) > 2**bits))).size:
        raise ValueError(
            f"column {column} holds {values[odd[0]]:.17g} as a {32 if bits == 24 else 64}-bit float, exact only up to "
            f"{2**bits:,}: digits are lost, and stars or classes would merge. Write the column as int64 or text"
        )


def _name(value: Any, column: str) -> str:
    """One id or label as text."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise ValueError(f"column {column} holds bytes that are no UTF-8 text ({shown(value)})") from None
    if isinstance(value, float | np.floating):
        _check_exact(np.array([value], float), column, 53)
        value = int(value) if np.isfinite(value) and float(value).is_integer() else float(value)
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value == value.to_integral_value() else value.normalize()
    if not isinstance(value, str | int | float | np.integer | np.bool_ | Decimal | date | np.datetime64):
        raise ValueError(f"column {column} must hold one name a row, found {shown(value)}")
    text = str(value)
    if len(text) > LONGEST_NAME:
        raise ValueError(
            f"column {column} holds a name of {len(text):,} characters ({shown(text)}), at most {LONGEST_NAME} are "
            "read; is a quote missing, or is it the wrong column?"
        )
    return text


def _check_ids(text: list[str], column: str) -> None:
    """Refuse ids that a spreadsheet rounded: 7.18103E+14, or whole numbers with 0 after the 6th or 15th digit."""
    remedy = "make the file again, and import this column as text"
    if odd := next((t for t in text if _ROUNDED.fullmatch(t)), None):
        raise ValueError(f"column {column} holds {odd}, an id that a spreadsheet rounded: stars would merge; {remedy}")
    long = [t for t in text if t.isdigit() and len(t) > 15]
    fifteen = sum(len(t) - 15 for t in long) >= 4 and not any(t[15:].strip("0") for t in long)
    given = [t for t in text if t not in MISSING]
    six = bool(given) and all(map(_SHOWN_BY_EXCEL.fullmatch, given))
    if fifteen or six:
        place = "15th" if fifteen else "6th"
        raise ValueError(
            f"column {column} holds ids such as {(long or given)[0]} whose digits after the {place} "
            f"are all 0: a spreadsheet rounded them, and stars would merge; {remedy}"
        )


def identifiers(values: Any, column: str = "object_id") -> tuple[np.ndarray, np.ndarray]:
    """(n_rows,) number of the star of every row, and (n_stars,) object ids as text.

    Raises
    ------
    ValueError
        As `names`, and if an id is missing.
    """
    star, ids = names(values, column)
    if missing := int((star < 0).sum()):
        raise ValueError(
            f"{missing:,} rows have no {column}, the first is row {int(np.argmax(star < 0)) + 1}; name them or drop "
            f"them (nothing, {', '.join(MISSING[1:3])} and their like are no names)"
        )
    return star, ids


def labels(values: Any, column: str) -> np.ndarray:
    """(n_rows,) labels as text, None where there is none."""
    code, found = names(values, column, "label")
    return np.array([*found, None], dtype=object)[code]


def each_name(values: Any, column: str) -> np.ndarray:
    """(n,) str: every id or label as text, "" for a label that is missing."""
    code, found = names(values, column, column) if column == "label" else identifiers(values, column)
    return np.append(found.astype(str), "")[code].astype(str)


def band_codes(
    values: Any, known: Mapping[str, float], drop_unknown: bool, also: Mapping[str, str] | None = None
) -> tuple[np.ndarray, np.ndarray, Notes]:
    """Position of every band name in `known`.

    Parameters
    ----------
    values : (n_obs,) names
    known : band name -> wavelength
    also : other spellings -> band name, used where a name is not itself in `known`

    Returns
    -------
    codes : (n_obs,) int, -1 where unknown
    known : (n_obs,) bool
    notes : how many observations of which unknown bands are dropped

    Raises
    ------
    ValueError
        If a name has no wavelength in `known` and `drop_unknown` is false.
    """
    need_bands(known)
    index, found = names(values, "band", "band")
    spelt = {**(also or {})}
    named = [str(b) if b in known else spelt.get(str(b), str(b)) for b in found]
    position = np.array([list(known).index(b) if b in known else -1 for b in named] + [-1])
    codes = position[index]
    unknown: Notes = {}
    for k, band in enumerate(named):
        if band not in known:
            unknown[str(found[k])[:40]] = int((index == k).sum())
    if (index == -1).any():
        unknown["(none)"] = int((index == -1).sum())
    if unknown and not drop_unknown:
        listed = ", ".join(f"{b!r} ({n} observations)" for b, n in list(unknown.items())[:8])
        more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
        raise ValueError(
            f"unknown band {listed}{more}; known: {', '.join(known)}. Give its effective wavelength in angstrom in "
            "`bands`, or drop it with drop_unknown_bands=True (on the command line --band NAME=ANGSTROM, "
            f"--drop-unknown-bands){_OF_RUBIN if set(unknown) <= set(RUBIN_BANDS) else ''}"
        )
    return codes, codes >= 0, {f"dropped: observation in unknown band {b}": n for b, n in unknown.items()}
