"""Our own parquet layout: one row a star, lists in band order, counts per band; quick to load, little memory beside.

The file's schema carries a JSON header with the bands and what cleaning dropped, and a checksum of the columns: what
another tool has changed since is cleaned like any other table. Columns: object_id, label, period, n_epochs (list of one
count a band), and the lists mjd, mag, magerr, each band after the other.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astraclr.data.cleaning import flatten, is_list_type
from astraclr.data.columns import numbers
from astraclr.data.names import each_name
from astraclr.files import need_known_version, regular, replacing

COLUMNS = {"mjd": np.float64, "mag": np.float32, "magerr": np.float32}
"""Columns of an observation and their types: 16 bytes."""

_STARS_PER_GROUP, _STARS_PER_PIECE = 10_000, 2_000
_MOST = 2**31 - 1  # Arrow counts the elements of its lists in 32 bits
_FORMAT, _CHECKSUM = b"astraclr.lightcurves", b"astraclr.checksum"
_VERSION = 1
_PER_STAR = ["object_id", "label", "period", "n_epochs"]


def write(fields: Mapping[str, Any], path: str | Path) -> None:
    """Write light curves, given by the fields of a `LightCurves` (``vars``), whole or not at all."""
    layout = schema(fields)
    layout = layout.with_metadata(layout.metadata | {_CHECKSUM: checksum(fields)})
    with replacing(path) as part, pq.ParquetWriter(part, layout, compression="none", use_dictionary=False) as out:
        n_stars = len(fields["object_id"])
        for first in range(0, n_stars, _STARS_PER_GROUP):
            out.write_table(as_table(fields, slice(first, min(first + _STARS_PER_GROUP, n_stars)), layout))


def as_table(fields: Mapping[str, Any], stars: slice, layout: pa.Schema) -> pa.Table:
    """Consecutive stars as a table in one piece, its numbers without a copy; `layout` is what `schema` gave.

    Raises
    ------
    ValueError
        If the stars have more observations than one piece can count.
    """
    offsets, n_bands = fields["offsets"], len(fields["bands"])
    cuts = offsets[::n_bands]
    rows = slice(cuts[stars.start], cuts[stars.stop])
    if rows.stop - rows.start > _MOST:
        raise ValueError(
            f"{rows.stop - rows.start:,} observations in one piece of {stars.stop - stars.start:,} stars; "
            f"at most {_MOST:,} fit, so write fewer stars a piece"
        )
    starts = pa.array((cuts[stars.start : stars.stop + 1] - cuts[stars.start]).astype(np.int32))
    lists = {c: pa.ListArray.from_arrays(starts, fields[c][rows], type=layout.field(c).type) for c in COLUMNS}
    of_bands = np.diff(offsets[stars.start * n_bands : stars.stop * n_bands + 1])
    counts = pa.FixedSizeListArray.from_arrays(of_bands.astype(np.int32), n_bands)
    columns = {
        "object_id": fields["object_id"][stars],
        "label": fields["label"][stars],
        "period": fields["period"][stars],
        "n_epochs": counts.cast(layout.field("n_epochs").type),
        **lists,
    }
    return pa.table(columns, schema=layout)


def schema(fields: Mapping[str, Any]) -> pa.Schema:
    """Columns of a table of these light curves, with the header that tells bands and notes."""
    columns = [
        ("object_id", pa.string()),
        ("label", pa.string()),
        ("period", pa.float64()),
        ("n_epochs", pa.list_(pa.int32(), len(fields["bands"]))),
    ]
    for name, t in COLUMNS.items():
        columns.append((name, pa.list_(pa.field("item", pa.from_numpy_dtype(t), nullable=False))))
    header = json.dumps({"version": _VERSION, "bands": fields["bands"], "notes": fields["notes"]})
    return pa.schema(columns, metadata={_FORMAT: header.encode()})


def checksum(columns: Mapping[str, Any]) -> bytes:
    """CRC-32 of the columns of light curves, in hexadecimal digits: tells whether another tool has changed them."""
    crc = 0
    for name in (*COLUMNS, "offsets", "period"):
        crc = zlib.crc32(np.ascontiguousarray(columns[name]).data, crc)
    for name in ("object_id", "label"):
        crc = zlib.crc32("\0".join(columns[name].tolist()).encode(), crc)
    return f"{crc:08x}".encode()


def read(path: str | Path) -> tuple[dict[str, Any], bool]:
    """Fields of a LightCurves, read column by column in small pieces, so that memory holds little beside the result.

    Returns
    -------
    fields, and whether they are as `write` wrote them; where not, they must be cleaned

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is truncated, `write` did not write it, a newer version did, or its lists and
        counts do not agree.

    Warns
    -----
    UserWarning
        If the checksum says that another tool has changed the columns.
    """
    file = open_parquet(path, buffer_size=2**20)
    if not is_own(file):
        raise ValueError(f"{path} was not written by LightCurves.save; read it with astraclr.read")
    header = header_of(file.schema_arrow, path)
    try:
        fields = _fields(file, header)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{path} was changed since astraclr saved it, and no longer fits together ({error}); go back to the file "
            "that was saved"
        ) from error
    if not len(fields["object_id"]):
        raise ValueError(f"{path} holds no stars; check the selection that was saved")
    written = file.schema_arrow.metadata.get(_CHECKSUM)
    intact = written == checksum(fields)
    if written is not None and not intact:
        warnings.warn(
            f"{path} was changed by another tool since astraclr saved it: it is cleaned and sorted as any other table. "
            "Whether n_epochs still counts the observations of each band cannot be checked; where you can, go back to "
            "the file that was saved, or make the change again with astraclr and save that",
            stacklevel=3,
        )
    return fields, intact


def _fields(file: pq.ParquetFile, header: Mapping[str, Any]) -> dict[str, Any]:
    bands, notes = _checked(header)
    if missing := [c for c in (*_PER_STAR, *COLUMNS) if c not in file.schema_arrow.names]:
        raise ValueError(f"missing column {', '.join(missing)}")
    stars = file.read(columns=_PER_STAR)
    if missing := [c for c in COLUMNS if not is_list_type(file.schema_arrow.field(c).type)]:
        raise ValueError(f"column {missing[0]} must hold lists")
    counts = _counts(stars["n_epochs"], len(bands))
    if not pa.types.is_float64(file.schema_arrow.field("mjd").type.value_type):
        notes |= {"rounded: time not stored as a 64-bit float": int(counts.sum())}
    return {
        **{name: _flat(file, name, t, counts.sum(axis=1)) for name, t in COLUMNS.items()},
        "offsets": np.concatenate([[0], np.cumsum(counts.ravel(), dtype=np.int64)]),
        "bands": bands,
        "notes": notes,
        "object_id": each_name(stars["object_id"], "object_id"),
        "label": each_name(stars["label"], "label"),
        "period": numbers(stars["period"], "period"),
    }


def _checked(header: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, int]]:
    """Bands and notes of a header."""
    bands = {str(b): float(w) for b, w in header["bands"].items()}
    if not bands or not all(np.isfinite(w) and w > 0 for w in bands.values()):
        raise ValueError(f"its header holds the wavelengths {bands}, which must be positive")
    return bands, {str(reason): int(n) for reason, n in (header.get("notes") or {}).items()}


def _counts(column: pa.ChunkedArray, n_bands: int) -> np.ndarray:
    """(n_stars, n_bands) int64 epochs of every star and band."""
    values, length = flatten(column, "n_epochs")
    if (odd := np.flatnonzero(length != n_bands)).size:
        raise ValueError(f"star {odd[0]} has {length[odd[0]]} counts n_epochs for {n_bands} bands")
    counts = numbers(values, "n_epochs")
    if not (np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts)) & (counts < _MOST)).all():
        raise ValueError("n_epochs must hold whole numbers from 0")
    return counts.astype(np.int64).reshape(-1, n_bands)


def _flat(file: pq.ParquetFile, name: str, kind: type, length: np.ndarray) -> np.ndarray:
    """(n_obs,) values of a column of lists; NaN for null.

    Raises
    ------
    ValueError
        If a star has more or fewer values than its counts say.
    """
    flat, star, done = np.empty(length.sum(), kind), 0, 0
    for piece in file.iter_batches(batch_size=_STARS_PER_PIECE, columns=[name]):
        values, n = flatten(pa.chunked_array([piece[name]]), name)
        if (odd := np.flatnonzero(n != length[star : star + len(n)])).size:
            k = odd[0]
            raise ValueError(
                f"star {star + k} has {n[k]} values of {name}, its counts n_epochs add up to {length[star + k]}"
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is dropped as such
            flat[done : done + n.sum()] = numbers(values, name) if values.null_count else np.asarray(values)
        star, done = star + len(n), done + n.sum()
    return flat


def open_parquet(path: str | Path, buffer_size: int = 0) -> pq.ParquetFile:
    """Open a parquet file, or raise FileNotFoundError or ValueError that say what is wrong with it."""
    if regular(path).is_dir():
        raise ValueError(f"{path} is a folder, not a parquet file")
    try:
        # Buffering ahead would keep whole columns in memory until the file is closed.
        return pq.ParquetFile(path, buffer_size=buffer_size, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        if isinstance(error, PermissionError):
            raise ValueError(f"{path} cannot be read: you may not; change its permissions") from error
        raise ValueError(f"{path} is not a complete parquet file (cut off while it was copied?): {error}") from error


def header_of(layout: pa.Schema, path: str | Path) -> dict[str, Any]:
    """Bands and notes that `schema` put beside the columns of `path`.

    Raises
    ------
    ValueError
        If there is no such header, or a later version of astraclr wrote it.
    """
    text = (layout.metadata or {}).get(_FORMAT)
    if text is None:
        raise ValueError(f"{path} has no header of astraclr; read it with astraclr.read")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged header ({error}); go back to the file that was saved") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} has a damaged header of astraclr; go back to the file that was saved")
    need_known_version(path, header.get("version"), _VERSION)
    return header


def is_own(file: pq.ParquetFile) -> bool:
    """Whether `write` wrote this parquet file."""
    return _FORMAT in (file.schema_arrow.metadata or {})
