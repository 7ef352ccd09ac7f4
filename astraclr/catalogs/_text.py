"""Text tables (CSV and its kin) as Arrow tables: strictly, so that no row is shifted, padded or cut."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from astraclr.data.columns import MISSING, shown

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEAD = 2**16
_BLOCK = 2**24  # bytes read at once; a row must fit
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Dialect:
    """How a text table is written; see `dialect`."""

    encoding: str
    separator: str
    """One character, or "" for any run of blanks."""
    header: tuple[str, ...]
    skip: int
    """Lines before the first row."""
    decimal: str
    padded: bool
    """Whether blanks around values are no part of them, as around the names of the header."""

    def __str__(self) -> str:
        between = f"values separated by {SEPARATORS.get(self.separator, 'blanks')}"
        commas = ", decimal commas" if self.decimal == "," else ""
        encoding = "" if self.encoding == "utf-8" else f", {self.encoding.upper()}"
        return ("CSV" if self.separator == "," else f"text, {between}") + commas + encoding


def encoding_of(head: bytes) -> str | None:
    """utf-8, utf-16 or latin-1, judged by the first bytes; None if they are no text."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    even, odd = head[0:2000:2].count(0), head[1:2000:2].count(0)
    if even + odd:
        for zeros, rest, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
            if zeros > 0.8 * len(head[:2000]) / 2 and rest < 0.1 * zeros:
                return name
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1" if not re.search(rb"[\x00-\x08\x0e-\x1f]", head) else None
    return "utf-8"


def dialect(head: bytes) -> Dialect:
    """How a text table is written, judged by its first bytes.

    Raises
    ------
    ValueError
        If there is no header, or the bytes are no table.
    """
    encoding = encoding_of(head)
    if encoding is None:
        raise ValueError("is neither parquet nor text; convert it to CSV or parquet first")
    text = codecs.getincrementaldecoder(encoding)("ignore").decode(head).lstrip("\ufeff")
    _refuse_other_text(text)
    lines = text.splitlines()
    first, header = _header(lines)
    separator = max(SEPARATORS, key=lambda s: len(_split(header, s)))
    if len(_split(header, separator)) == 1 and len(header.split()) > 1:
        separator = ""
    cells = _split(header, separator)
    names = [c.strip().strip("#").strip() if k == 0 else c.strip() for k, c in enumerate(cells)]
    row = next((line for line in lines[first + 1 :] if line.strip()), "")
    values = _split(row, separator)
    if all(_NUMBER.fullmatch(name) for name in names):
        raise ValueError(
            f"no header: {len(names)} columns of numbers ({shown(header)}), perhaps time, magnitude, error; "
            "name its columns in a first line"
        )
    if len(values) != len(names) and len(row.split()) == len([n for n in names if n]):
        separator, names = "", [n for n in names if n]  # names separated by commas, values by blanks
        values = row.split()
    while values[len(names) :] == [""] or (row and names[-1] == "" and len(values) < len(names)):
        names = [*names, ""] if len(values) > len(names) else names[:-1]  # a comma at the end of rows, or of the header
    commas = separator not in ("", ",") and any(re.fullmatch(r"[+-]?\d+,\d+", v) for v in values)
    padded = separator != "" and any(c != c.strip() for c in cells)
    return Dialect(encoding, separator, tuple(names), first + 1, "," if commas else ".", padded)


def _refuse_other_text(text: str) -> None:
    start = text.lstrip()[:400].lower()
    if not start:
        raise ValueError("is empty: nothing was written to it, or the download failed")
    if start.startswith(("<!doctype html", "<html")):
        raise ValueError("is a web page, not a table: the download failed; look at it in a browser for the reason")
    if start.startswith("<"):
        raise ValueError("is XML, but no VOTable; ask the archive for CSV or VOTable")
    if start.startswith(("{", "[")):
        raise ValueError("is JSON of an unknown kind; make a table of it and save that as CSV or parquet")


def _header(lines: Sequence[str]) -> tuple[int, str]:
    """Number and text of the line that names the columns: the first, or one of the comments before the first row."""
    comments = [k for k, line in enumerate(lines) if line.startswith(("#", "\\"))]
    first = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith(("#", "\\"))), None)
    if first is None:
        raise ValueError("holds no table: all its lines are comments or blank")
    cells = re.split(r"[,;\t| ]+", lines[first].strip())
    before = [k for k in comments if k < first]
    if before and all(_NUMBER.fullmatch(c) for c in cells[:3]):
        named = lines[before[-1]].lstrip("# ")
        if named and len(re.split(r"[,;\t| ]+", named.strip())) == len(cells):
            return before[-1], named
    return first, lines[first]


def _split(line: str, separator: str) -> list[str]:
    return line.split() if not separator else next(csv.reader([line], delimiter=separator), [])


def read(stream: Callable[[], BinaryIO], how: Dialect, wanted: Collection[int], text: Collection[int]) -> pa.Table:
    """Columns of a text table by their number; those in `text` as text, the others as what all their values are.

    Raises
    ------
    ValueError
        For a row with more or fewer values than the header: it names the line.
    """
    names = [str(k) for k in range(len(how.header))]
    types: dict[str, pa.DataType] = {str(k): pa.large_string() for k in text}
    types |= {str(k): pa.string() for k, name in enumerate(how.header) if name == "" and str(k) not in types}
    blank = [str(k) for k, name in enumerate(how.header) if name == ""]
    ragged = _Ragged()
    options = {
        "read_options": pa_csv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=how.skip, encoding=how.encoding, block_size=_BLOCK
        ),
        "parse_options": pa_csv.ParseOptions(
            delimiter=how.separator or "\t", newlines_in_values=True, invalid_row_handler=ragged
        ),
        "convert_options": pa_csv.ConvertOptions(
            include_columns=[str(k) for k in wanted] + [b for b in blank if int(b) not in wanted],
            column_types=types,
            null_values=list(MISSING),
            decimal_point=how.decimal,
        ),
    }
    with stream() as file:
        source = file if how.separator else _squeezed(file, how.encoding)
        try:
            table = pa_csv.read_csv(source, **options)
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return pa.table({name: pa.array([], pa.large_string()) for name in names if int(name) in wanted})
            if "UTF8" in str(error) and how.encoding == "utf-8":
                return read(stream, Dialect("latin-1", *list(vars(how).values())[1:]), wanted, text)
            raise
    ragged.refuse(stream, how)
    for name in blank:
        _refuse_values(table.column(name), int(name))
    table = table.select([str(k) for k in wanted])
    return _without_headers(_trimmed(table) if how.padded else table, how)


class _Ragged:
    """Remembers the first row whose number of values is not that of the header."""

    def __init__(self) -> None:
        self.row: Any = None
        self.n = 0

    def __call__(self, row: Any) -> str:
        self.n += 1
        self.row = self.row or row
        return "skip"

    def refuse(self, stream: Callable[[], BinaryIO], how: Dialect) -> None:
        """Raise ValueError if there was such a row."""
        if self.row is None:
            return
        line = _line(stream, how, self.row.number)
        more = f" (and {self.n - 1:,} more such lines)" if self.n > 1 else ""
        raise ValueError(
            f"line {line} has {self.row.actual_columns} values, the header names {self.row.expected_columns} columns: "
            f"{shown(self.row.text, 60)}{more}. A value with {how.separator or 'blank'!r} in it must stand in quotes; "
            "a row cut short must be completed or taken out"
        )


def _line(stream: Callable[[], BinaryIO], how: Dialect, row: int) -> int:
    """Number of the line of a row; Arrow counts rows without blank lines."""
    with stream() as file, io.TextIOWrapper(file, how.encoding, errors="replace") as lines:
        count = how.skip
        for number, line in enumerate(lines, 1):
            if number > how.skip and line.strip("\r\n"):
                count += 1
                if count == row:
                    return number
    return row


def _refuse_values(column: pa.ChunkedArray, number: int) -> None:
    """A column without a name must hold nothing, or it could belong to another."""
    held = column.filter(pc.invert(pc.is_in(column, value_set=pa.array(MISSING, column.type))))  # pyright: ignore
    if number and len(held) - held.null_count:
        raise ValueError(
            f"column {number + 1} has no name but holds {shown(held.drop_null()[0].as_py())}: name it in the header"
        )


def _trimmed(table: pa.Table) -> pa.Table:
    columns = [pc.utf8_trim_whitespace(c) if pa.types.is_large_string(c.type) else c for c in table.columns]  # pyright: ignore
    return pa.table(dict(zip(table.column_names, columns, strict=True)))


def _without_headers(table: pa.Table, how: Dialect) -> pa.Table:
    """Rows that repeat the header, as where several files were joined, are taken out; the metadata counts them."""
    text = [pa.types.is_string(c.type) or pa.types.is_large_string(c.type) for c in table.columns]
    if not all(text) or not len(table):
        return table
    repeated = None
    for name in table.column_names:
        same = pc.equal(pc.utf8_trim_whitespace(table[name]), how.header[int(name)]).fill_null(False)  # pyright: ignore
        repeated = same if repeated is None else pc.and_(repeated, same)  # pyright: ignore
    n = pc.sum(repeated).as_py()  # pyright: ignore
    if not n:
        return table
    return table.filter(pc.invert(repeated)).replace_schema_metadata({"repeated header line": str(n)})  # pyright: ignore


def _squeezed(file: BinaryIO, encoding: str) -> BinaryIO:
    """A table separated by runs of blanks as one separated by tabs, in UTF-8."""
    text = file.read().decode(encoding)
    return io.BytesIO("\n".join("\t".join(line.split()) for line in text.splitlines()).encode(encoding))
