"""Any file as a table that can be read by columns: what it is is seen from its first bytes, not from its name."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset

from astraclr.catalogs import _text
from astraclr.catalogs._photometry import UNITS
from astraclr.catalogs._sources import about, is_dataset, parts_of, regular, skipped
from astraclr.data.columns import arrow, columns_of
from astraclr.data.parquet import is_own, open_parquet

_MAGIC: dict[bytes, tuple[str, Callable[[Path], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
    b"PK\x03\x04": ("zip", lambda path: _only_member(path)),
}


OGLE = ("ogle_hjd", "mag", "magerr")
"""What the columns of OGLE's files without a header are called here."""

_NOT_READ = {
    b"ARROW1": "an Arrow IPC (Feather) file",
    b"\x89HDF": "an HDF5 file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"SQLite format": "an SQLite database",
    b"\x93NUMPY": "a NumPy array",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x1f\x9d": "compressed with compress (.Z)",
    b"PK\x05\x06": "an empty zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x80\x04\x95": "a Python pickle, which could run any code",
    b"\x80\x05\x95": "a Python pickle, which could run any code",
}


@dataclass(frozen=True)
class Table:
    """A file that was recognised but not read.

    Attributes
    ----------
    container : what kind of file it is, in words
    schema : names of its columns, and their types; null where a type shows only when the column is read
    read : columns of these positions; those of the second list as text
    own : whether `LightCurves.save` wrote it
    """

    path: Path
    container: str
    schema: pa.Schema
    read: Callable[[Sequence[int], Sequence[int]], pa.Table] = field(repr=False)
    own: bool = False


def open_table(path: str | Path) -> Table:
    """Recognise a file: parquet, text (CSV and its kin, in any usual encoding), FITS, VOTable, IPAC; also compressed.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no table, or it is cut off.
    """
    path = regular(path)
    with about(path):
        if is_dataset(path):
            return _dataset(path)
        if path.is_dir():
            raise ValueError("is a folder, not a file")
        with path.open("rb") as file:
            head = file.read(_text.HEAD)
        if not head:
            raise ValueError("is empty: nothing was written to it, or the download failed")
        if head[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".parq", ".pq"):
            return _parquet(path)
        if other := next((what for magic, what in _NOT_READ.items() if head.startswith(magic)), None):
            raise ValueError(f"is {other}: not read; save the table in it as parquet, or as CSV")
        how, stream = next(((h, s) for magic, (h, s) in _MAGIC.items() if head.startswith(magic)), ("", None))
        if stream is not None:
            with stream(path) as file:
                head = file.read(_text.HEAD)
            if again := next((what for magic, (what, _) in _MAGIC.items() if head.startswith(magic)), None):
                raise ValueError(f"is {again} inside {how}: unpack it once")
            if head[257:262] == b"ustar" or (head and not head.strip(b"\0")):
                raise ValueError("is a tar archive: unpack it and read the folder")
            if head.startswith(b"PAR1"):
                raise ValueError(f"is parquet inside {how}: unpack it first (parquet is compressed inside already)")

        def opened() -> BinaryIO:
            return path.open("rb") if stream is None else stream(path)

        table = _of_astronomy(path, head, opened) or _of_snad(path, head, opened) or _of_text(path, head, opened)
        return Table(path, f"{table.container}, {how}" if how else table.container, table.schema, table.read)


def _only_member(path: Path) -> BinaryIO:
    archive = ZipFile(path)
    names = [n for n in archive.namelist() if not n.startswith("__MACOSX") and not n.endswith("/")]
    if "[Content_Types].xml" in names:
        raise ValueError("is an Excel workbook: save the sheet as CSV, its column of ids as text")
    if len(names) != 1:
        raise ValueError(
            f"is a zip archive of {len(names)} files ({', '.join(names[:5])}): unpack it and read the folder"
        )
    return archive.open(names[0])  # pyright: ignore[reportReturnType]


def _parquet(path: Path) -> Table:
    file = open_parquet(path)
    schema = file.schema_arrow
    return Table(path, "parquet", schema, lambda wanted, _: _by_position(file, schema, wanted), is_own(file))


def _by_position(file: Any, schema: pa.Schema, wanted: Sequence[int]) -> pa.Table:
    """Columns of a parquet file; by name, which is unique among those that are wanted."""
    names = [schema.field(k).name for k in wanted]
    if twice := next((name for name in names if schema.names.count(name) > 1), None):
        raise ValueError(f"column {twice} is there more than once; rename or remove all but one of them")
    return file.read(columns=names).select(names)


def _dataset(path: Path) -> Table:
    """One table in several parquet files; folders such as ``band=g`` are columns."""
    found, others = parts_of(path)
    files = [str(p) for p in found]
    if not files:
        raise ValueError("holds no parquet file")
    schemas = [open_parquet(name).schema_arrow for name in files]
    keys = {part.split("=")[0] for f in files for part in Path(f).relative_to(path).parts[:-1] if "=" in part}
    text = pa_dataset.partitioning(pa.schema([(key, pa.string()) for key in sorted(keys)]), flavor="hive")
    whole = _joined(schemas, files)
    for key in sorted(keys - set(whole.names)):
        whole = whole.append(pa.field(key, pa.string()))  # text, or star 001 would be star 1
    joined = pa_dataset.dataset(files, whole, format="parquet", partitioning=text, partition_base_dir=str(path))
    names = joined.schema.names
    own = b"astraclr.lightcurves" in (joined.schema.metadata or {})
    if own:
        raise ValueError("holds files of LightCurves.save: rename the folder so that it has no suffix")
    notes = {note.encode(): str(n).encode() for note, n in skipped(others, path).items()}

    def read(wanted: Sequence[int], _: Sequence[int]) -> pa.Table:
        table = joined.to_table(columns=[names[k] for k in wanted])
        return table.replace_schema_metadata({**(table.schema.metadata or {}), **notes})

    return Table(path, f"parquet in {len(files)} files", joined.schema, read)


def _joined(schemas: Sequence[pa.Schema], files: Sequence[str]) -> pa.Schema:
    """All columns of the parts of a data set; a column that a part lacks is null there.

    Raises
    ------
    ValueError
        If a column has types that do not go together.
    """
    try:
        return pa.unify_schemas(list(schemas), promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        for schema, file in zip(schemas, files, strict=True):
            for one in schema:
                first = schemas[0].field(one.name).type if one.name in schemas[0].names else one.type
                if one.type != first:
                    raise ValueError(
                        f"holds column {one.name} as {first} in {Path(files[0]).name}, as {one.type} in "
                        f"{Path(file).name}; write its files with one type"
                    ) from None
        raise


def _of_text(path: Path, head: bytes, stream: Callable[[], BinaryIO]) -> Table:
    ogle = path.name.upper().startswith("OGLE") and "." in path.name  # OGLE-LMC-CEP-0001.dat
    how = _text.dialect(head, OGLE if ogle else ())
    schema = pa.schema([(name, pa.null()) for name in how.header])

    def read(wanted: Sequence[int], text: Sequence[int]) -> pa.Table:
        table = _text.read(stream, how, wanted, text)
        return table.rename_columns([how.header[k] for k in wanted]).replace_schema_metadata(table.schema.metadata)

    return Table(path, str(how), schema, read)


def _of_astronomy(path: Path, head: bytes, stream: Callable[[], BinaryIO]) -> Table | None:
    """FITS, VOTable and IPAC tables through astropy; None for anything else."""
    start = head.lstrip()
    if head.startswith(b"SIMPLE  ="):
        kind, form = "FITS", "fits"
    elif start.startswith(b"<") and b"<VOTABLE" in head.upper():
        kind, form = "VOTable", "votable"
        _text.refuse_failure(head)
    elif (start.startswith(b"|") and _is_ipac(head)) or (start.startswith(b"\\") and b"\n|" in head):
        kind, form = "IPAC table", "ascii.ipac"
    elif start.startswith(b"# %ECSV"):
        kind, form = "ECSV table", "ascii.ecsv"
    else:
        return None
    try:
        from astropy.table import Table as AstropyTable
    except ImportError as error:
        raise ImportError(f"{path} is a {kind}, which needs astropy: pip install 'astraclr[data]'") from error
    try:
        with stream() as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers and units, which are not used
            source = file.read().decode() if form.startswith("ascii") else file
            named = {"use_names_over_ids": True} if form == "votable" else {}  # ids hold no blank and no colon
            found = AstropyTable.read(source, format=form, **named)
    except Exception as error:  # each format has errors of its own
        raise ValueError(
            f"is a {kind} that cannot be read ({type(error).__name__}: {error}); is it complete?"
        ) from error
    table = pa.table({name: arrow(column) for name, column in columns_of(found).items()})
    table = _with_zero_point(table, str(found["flux"].unit) if "flux" in found.colnames else "")
    return Table(path, kind, table.schema, lambda wanted, _: table.select(list(wanted)))


def _with_zero_point(table: pa.Table, unit: str) -> pa.Table:
    """A table whose column flux has a unit of flux density, with the column zero_point that belongs to it."""
    if unit not in UNITS or {"zero_point", "zeropoint", "zp"} & set(table.column_names):
        return table
    return table.append_column("zero_point", pa.array(np.full(len(table), UNITS[unit])))


def _of_snad(path: Path, head: bytes, stream: Callable[[], BinaryIO]) -> Table | None:
    """JSON of SNAD's ZTF viewer: oid -> its light curve lc, a list of epochs, and meta with its filter; else None."""
    if not head.lstrip().startswith(b"{") or b'"lc"' not in head:
        return None
    with stream() as file:
        found = json.load(file)
    if not all(isinstance(one, dict) and isinstance(one.get("lc"), list) for one in found.values()):
        return None
    epochs = pa.array([one["lc"] for one in found.values()])
    band = pa.array([(one.get("meta") or {}).get("filter") for one in found.values()])
    table = pa.table({"oid": pa.array(found), "band": band, "lc": epochs})
    return Table(path, "JSON of the SNAD viewer", table.schema, lambda wanted, _: table.select(list(wanted)))


def _is_ipac(head: bytes) -> bool:
    """Whether the second line also begins with a bar and names types, as IPAC's does."""
    lines = head.decode("utf-8", "replace").splitlines()
    types = {"int", "long", "float", "double", "real", "char", "date", "i", "l", "f", "d", "r", "c"}
    return (
        len(lines) > 1
        and lines[1].startswith("|")
        and {t.strip() for t in lines[1].strip().strip("|").split("|")} <= types
    )
