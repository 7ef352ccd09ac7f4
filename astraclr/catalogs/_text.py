"""Text tables (CSV and its kin) as Arrow tables: strictly, so that no row is shifted, padded or cut."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from astraclr.catalogs._encodings import BLOCK, encoding_of, is_utf8
from astraclr.data.columns import MISSING, call, shown

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
HEAD = 2**16
_COMMENT = ("#", "\\", "%", "//")
"""Lines before the header that begin so are comments."""

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


def dialect(head: bytes, names_of: tuple[str, ...] = ()) -> Dialect:
    """How a text table is written, judged by its first bytes.

    Parameters
    ----------
    names_of : names of its columns, where it is known to have no header

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
    told = re.fullmatch(r"sep=(.)", lines[0].strip(), re.IGNORECASE) if lines else None  # as Excel writes it
    first, header = _header(lines if not told else ["", *lines[1:]])
    separator = max(SEPARATORS, key=lambda s: (told is not None and s == told[1], len(_split(header, s))))
    if len(_split(header, separator)) == 1 and len(header.split()) > 1:
        separator = ""
    cells = _split(header, separator)
    names = [c.strip().strip("#").strip() if k == 0 else c.strip() for k, c in enumerate(cells)]
    row = next((line for line in lines[first + 1 :] if line.strip()), "")
    values = _split(row, separator)
    if names_of and len(names) == len(names_of) and all(_NUMBER.fullmatch(name) for name in names):
        return Dialect(encoding, separator, names_of, first, ".", False)
    numeric = [bool(_NUMBER.fullmatch(name)) for name in names]
    if all(numeric):
        raise ValueError(
            f"no header: {len(names)} columns of numbers ({shown(header)}), perhaps time, magnitude, error; "
            "name its columns in a first line"
        )
    if sum(numeric) > 1:
        raise ValueError(
            f"no header: its first line holds values ({shown(header, 60)}), no names; name its columns in a first "
            "line, for example object_id,mjd,mag,magerr,band"
        )
    if len(values) != len(names) and len(row.split()) == len([n for n in names if n]):
        separator, names = "", [n for n in names if n]  # names separated by commas, values by blanks
        values = row.split()
    while values[len(names) :] == [""] or (row and names[-1] == "" and len(values) < len(names)):
        names = [*names, ""] if len(values) > len(names) else names[:-1]  # a comma at the end of rows, or of the header
    some = [v for line in lines[first + 1 : first + 200] for v in _split(line, separator)]
    # Between blanks, commas may also stand in lists of codes such as 56,61; then other numbers have points.
    commas = separator != "," and any(re.fullmatch(r"[+-]?\d+,\d+", v) for v in some)
    commas &= separator != "" or not any(re.fullmatch(r"[+-]?\d+\.\d*", v) for v in some)
    padded = separator != "" and any(c != c.strip() for c in cells)
    return Dialect(encoding, separator, tuple(names), first + 1, "," if commas else ".", padded)


def refuse_failure(head: bytes) -> None:
    """Raise ValueError where a VOTable holds what an archive says of a query that failed, instead of a table."""
    text = head.decode("utf-8", "replace")
    if failed := re.search(r'QUERY_STATUS"\s+value="ERROR"\s*>\s*([^<]*)', text, re.IGNORECASE):
        raise ValueError(f"holds no table but an error of the archive: {failed[1].strip()[:200]}")


def _refuse_other_text(text: str) -> None:
    start = text.lstrip()[:400].lower()
    if not start:
        raise ValueError("is empty: nothing was written to it, or the download failed")
    if start.startswith("<") and re.search(r"<(!doctype\s+)?html\b", start):
        raise ValueError("is a web page, not a table: the download failed; look at it in a browser for the reason")
    if start.startswith("<"):
        raise ValueError("is XML, but no VOTable; ask the archive for CSV or VOTable")
    if start.startswith(("{", "[")):
        raise ValueError(
            f"is JSON of an unknown kind ({shown(text.strip(), 60)}); make a table of it and save that as CSV or "
            "parquet"
        )


def _header(lines: Sequence[str]) -> tuple[int, str]:
    """Number and text of the line that names the columns: the first, or one of the comments before the first row."""
    first = next((k for k, line in enumerate(lines) if line.strip() and not line.startswith(_COMMENT)), None)
    if first is None:
        raise ValueError("holds no table: all its lines are comments or blank")
    cells = re.split(r"[,;\t| ]+", lines[first].strip())
    before = [k for k in range(first) if lines[k].startswith(_COMMENT)]
    if before and any(_NUMBER.fullmatch(c) for c in cells):  # no header, so a comment must name the columns
        named = lines[before[-1]].lstrip("#%/ ")
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
    if how.encoding == "utf-8" and not is_utf8(stream):
        how = replace(how, encoding="latin-1")
    names = [str(k) for k in range(len(how.header))]
    types: dict[str, pa.DataType] = {str(k): pa.large_string() for k in text}
    types |= {str(k): pa.string() for k, name in enumerate(how.header) if name == "" and str(k) not in types}
    blank = [str(k) for k, name in enumerate(how.header) if name == ""]
    ragged = _Ragged()
    options = {
        "read_options": pa_csv.ReadOptions(
            use_threads=False, column_names=names, skip_rows=how.skip, encoding=how.encoding, block_size=BLOCK
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
            if "Empty CSV" in str(error) or "Could not skip initial" in str(error):  # a header alone
                return pa.table({name: pa.array([], pa.large_string()) for name in names if int(name) in wanted})
            raise
    ragged.refuse(stream, how)
    table = _with_note(table, "dropped: comment after the header", ragged.comments)
    for name in blank:
        _refuse_values(table.column(name), int(name))
    table = table.select([str(k) for k in wanted])
    return _without_comments(_without_headers(_trimmed(table) if how.padded else table, how), how)


class _Ragged:
    """Remembers the first row whose number of values is not that of the header."""

    def __init__(self) -> None:
        self.row: Any = None
        self.n = self.comments = 0

    def __call__(self, row: Any) -> str:
        if str(row.text).startswith(_COMMENT) or str(row.text).strip() == "\x1a":  # the end of a file of DOS
            self.comments += not str(row.text).startswith("\x1a")
            return "skip"
        self.n += 1
        self.row = self.row or row
        return "skip"

    def refuse(self, stream: Callable[[], BinaryIO], how: Dialect) -> None:
        """Raise ValueError if there was such a row."""
        if self.row is None:
            return
        line = _line(stream, how, self.row.number)
        remedy = f"A value with {how.separator!r} in it must stand in quotes"
        if not how.separator:
            remedy = "Values are separated by blanks, so none may hold one: separate them by commas instead"
        more = f" (and {self.n - 1:,} more such lines)" if self.n > 1 else ""
        raise ValueError(
            f"line {line} has {self.row.actual_columns} values, the header names {self.row.expected_columns} columns: "
            f"{shown(self.row.text, 60)}{more}. {remedy}; a row cut short must be completed or taken out"
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
        words = call("utf8_lower", call("utf8_trim_whitespace", table[name]))
        same = call("equal", words, how.header[int(name)].lower()).fill_null(False)
        repeated = same if repeated is None else call("and_", repeated, same)
    return _filtered(table, repeated, "dropped: repeated header line")


def _without_comments(table: pa.Table, how: Dialect) -> pa.Table:
    """Rows whose first value begins with #, among others that do not, are comments: taken out and counted."""
    if "0" not in table.column_names or not pa.types.is_large_string(table["0"].type) or not how.separator:
        return table
    commented = call("starts_with", table["0"], "#").fill_null(False)
    return table if call("all", commented).as_py() else _filtered(table, commented, "dropped: row commented out with #")


def _filtered(table: pa.Table, gone: Any, note: str) -> pa.Table:
    n = call("sum", gone).as_py() or 0
    return _with_note(table.filter(call("invert", gone)), note, n) if n else table


def _with_note(table: pa.Table, note: str, n: int) -> pa.Table:
    """The table with one note more in its metadata, where `n` is not 0."""
    notes = dict(table.schema.metadata or {}) | ({note.encode(): str(n).encode()} if n else {})
    return table.replace_schema_metadata(notes or None)


def _squeezed(file: BinaryIO, encoding: str) -> BinaryIO:
    """A table separated by runs of blanks as one separated by tabs, in UTF-8."""
    text = file.read().decode(encoding)
    return io.BytesIO("\n".join("\t".join(line.split()) for line in text.splitlines()).encode(encoding))
