"""Columns of any table as numbers: exactly, or refused with the value, its row and a remedy.

A column may be an Arrow or numpy array, a masked array, a pandas Series of any type, or a list.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

MISSING = ("", "nan", "NaN", "NAN", "None", "none", "null", "NULL", "Null", "<NA>", "NA", "N/A", "n/a", "#N/A", "NaT")
"""Text that means "no value", in CSV and wherever else numbers, ids or labels were written as text."""

_NUMERIC = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?[iI][nN][fF]([iI][nN][iI][tT][yY])?$"


def columns_of(table: Any) -> dict[str, Any]:
    """Columns of a table by name: of a pandas frame (its named index too), Arrow, astropy or structured numpy table.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(table, pd.DataFrame):
        names = [str(name) for name in table.columns]
        found = {name: table.iloc[:, k] for k, name in enumerate(names)}
        for level in table.index.names:
            if level is not None and str(level) not in found:
                found[str(level)] = table.index.get_level_values(level)
    elif isinstance(table, pa.Table | pa.RecordBatch):
        names = table.schema.names
        found = {name: table.column(k) for k, name in enumerate(names)}
    elif hasattr(table, "colnames"):  # astropy's Table and QTable
        names = list(table.colnames)
        found = {name: _of_astropy(table[name]) for name in names}
    elif getattr(getattr(table, "dtype", None), "names", None):
        names = list(table.dtype.names)
        found = {name: table[name] for name in names}
    elif isinstance(table, dict):
        names, found = list(table), dict(table)
    else:
        raise TypeError(f"a table must be a pandas DataFrame, pyarrow or astropy Table, got {type(table).__name__}")
    return found | {twice: _Twice() for twice in {n for n in names if names.count(n) > 1}}


class _Twice:
    """Stands for columns of one name: which of them is meant cannot be known."""


def _of_astropy(column: Any) -> Any:
    if hasattr(column, "mjd"):  # a column of times
        return np.asarray(column.mjd)
    if str(getattr(column, "unit", "")) == "mmag":
        column = column / 1000 if isinstance(column, np.ma.MaskedArray) else np.asarray(column) / 1000
    if hasattr(column, "unmasked"):
        return np.ma.MaskedArray(np.asarray(column.unmasked), np.asarray(column.mask))
    return column if isinstance(column, np.ma.MaskedArray) else np.asarray(column)


def shown(value: Any, most: int = 40) -> str:
    """A value as a message shows it: quoted, on one line, cut after `most` characters."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= most else f"{text[:most]}..."


def arrow(values: Any) -> pa.Array:
    """Any column as one Arrow array of native numbers, text, lists or structs; null where masked or missing.

    Raises
    ------
    ValueError
        If its values are of no one kind.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if not isinstance(values, pa.Array):
        values = _from_python(values)
    if isinstance(values.type, pa.BaseExtensionType):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_list_view(values.type) or pa.types.is_large_list_view(values.type):
        values = values.cast(pa.large_list(values.type.value_type))
    if pa.types.is_string_view(values.type) or pa.types.is_binary_view(values.type):
        values = values.cast(pa.large_string() if pa.types.is_string_view(values.type) else pa.large_binary())
    return values


def _from_python(values: Any) -> pa.Array:
    mask = None
    if isinstance(values, np.ma.MaskedArray):
        values, mask = np.asarray(values.data), np.ma.getmaskarray(values)
    if isinstance(values, pd.Series | pd.Index):
        if isinstance(values.dtype, pd.SparseDtype):
            values = values.to_numpy()
        elif isinstance(values.dtype, pd.PeriodDtype):
            raise TypeError("found spans of time (Period); give their starts: table[column].dt.start_time")
    if isinstance(values, pd.Series | pd.Index):
        extended = isinstance(values.dtype, pd.api.extensions.ExtensionDtype)
        values = values.array if extended else values.to_numpy()
    if isinstance(values, np.ndarray):
        if values.dtype.byteorder not in "=|":  # FITS holds big-endian numbers, which Arrow does not take
            values = values.astype(values.dtype.newbyteorder("="))
        if values.ndim > 1:
            values = pd.Series(list(values), dtype=object).to_numpy()
    if mask is not None and values.dtype == object:
        values, mask = np.array([None if gone else v for v, gone in zip(values, mask, strict=True)], dtype=object), None
    made = pa.array(values, mask=mask, from_pandas=True)
    return made.combine_chunks() if isinstance(made, pa.ChunkedArray) else made


def as_arrow(values: Any, column: str, wanted: str) -> pa.Array:
    """`arrow`, with an error that names the column and what it must hold."""
    if isinstance(values, _Twice):
        raise ValueError(f"column {column} is there more than once; rename or remove all but one of them")
    try:
        return arrow(values)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"column {column} must hold {wanted}, found values of several kinds ({error})") from error


def numbers(values: Any, column: str, truth: bool = False) -> np.ndarray:
    """A column as float64; NaN where there is no value. Text is read if all of it is numbers.

    Parameters
    ----------
    column : its name, for messages
    truth : whether true and false may stand for 1 and 0, as in flags; else they are refused

    Raises
    ------
    ValueError
        For a value that is no number: it is named with its row and what to do.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and not isinstance(values, np.ma.MaskedArray):
        return np.asarray(values, np.float64)
    if isinstance(values, list | tuple | pd.Series) or (isinstance(values, np.ndarray) and values.dtype == object):
        values = _objects(values, column)
    found = as_arrow(values, column, "numbers")
    kind = found.type
    if pa.types.is_boolean(kind) and truth:
        found = found.cast(pa.int8())
    elif is_text(kind):
        found = _parsed(found, column, truth)
    elif not any(test(kind) for test in _NUMERIC):
        what = "true and false" if pa.types.is_boolean(kind) else str(kind)
        raise ValueError(f"column {column} must hold numbers, found {what}; is it the right column?")
    if pa.types.is_float16(found.type):
        found = found.cast(pa.float32())
    exact = found.cast(pa.float64(), safe=False)
    return exact.to_numpy(zero_copy_only=False) if not exact.null_count else exact.fill_null(np.nan).to_numpy()


def _objects(values: Any, column: str) -> Any:
    """Python objects of several kinds: truth values among numbers are refused, numbers among text become text."""
    series = pd.Series(values) if not isinstance(values, pd.Series) else values
    if series.dtype != object:
        return series
    kinds = set(map(type, series))
    others = (v for v in series if not isinstance(v, bool | np.bool_))
    if kinds & {bool, np.bool_} and any(np.ndim(v) or not pd.isna(v) for v in others):
        raise ValueError(f"column {column} must hold numbers, found true or false among them; is it the right column?")
    if kinds & {str, bytes} and kinds - {str, bytes, type(None)}:
        return pd.Series([v if isinstance(v, str | bytes) or pd.isna(v) else repr(v) for v in series], dtype=object)
    if Decimal in kinds:
        return pd.Series([np.nan if v is None else float(v) for v in series])
    return series


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow column of this type holds text or bytes."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(test(kind) for test in tests) or pa.types.is_fixed_size_binary(kind)


def texts(values: pa.Array, column: str) -> pa.Array:
    """Text, or bytes that are UTF-8, as large_string; ValueError if they are not."""
    try:
        return values.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid as error:
        raise ValueError(f"column {column} holds bytes that are no UTF-8 text; write it as text") from error


def _parsed(values: pa.Array, column: str, truth: bool) -> pa.Array:
    """Numbers of a column of text."""
    text = call("utf8_trim_whitespace", texts(values, column))
    missing = call("is_in", text, value_set=pa.array(MISSING, text.type))
    text = call("if_else", missing, pa.scalar(None, text.type), text)
    if truth:
        lower = call("utf8_lower", text)
        for word, number in (("true", "1"), ("false", "0")):
            text = call("if_else", call("equal", lower, word), number, text)
    good = call("match_substring_regex", text, pattern=_NUMBER).fill_null(True).to_numpy(zero_copy_only=False)
    if good.all():
        return text.cast(pa.float64())
    row = int(np.flatnonzero(~good)[0])
    raise ValueError(_no_number(text[row].as_py(), row, column))


def _no_number(value: str, row: int, column: str) -> str:
    where = f"{shown(value)} in row {row + 1}"
    if re.fullmatch(r"[+-]?\d+,\d+([eE][+-]?\d+)?", value):
        return (
            f"column {column} must hold numbers, found {where}: decimal commas; write them as points, or read "
            "the table with pandas.read_csv(path, decimal=',') and give it to LightCurves.from_table"
        )
    if re.fullmatch(r"[+-]?\d{1,3}([,. '\u00a0\u202f]\d{3})+([.,]\d+)?", value):
        return f"column {column} must hold numbers, found {where}: a separator of thousands; write it without"
    if re.fullmatch(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?", value):
        return (
            f"column {column} must hold numbers, found {where}: a date; write all times as MJD, or all as dates of "
            "ISO 8601 (2018-10-08T01:02:03)"
        )
    if value[0] in "[({" or "," in value:
        return f"column {column} must hold numbers, found {where}: lists written as text; save the table as parquet"
    if value[0] in "<>":
        return (
            f"column {column} must hold numbers, found {where}: a limit is no measurement; leave such rows out: "
            f"table[~table['{column}'].str.contains('[<>]')]"
        )
    return f"column {column} must hold numbers, found {where}; correct that value, or leave its row out"


def call(function: str, *args: Any, **options: Any) -> Any:
    """A compute function of Arrow by name, because pyarrow makes them when it is imported, unseen by a type checker."""
    return getattr(pc, function)(*args, **options)
