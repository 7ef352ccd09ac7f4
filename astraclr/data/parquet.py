"""Our own parquet layout: one row a star, lists in band order, counts per band; quick to load, little memory beside.

The file's schema carries a JSON header with the bands and what tidying dropped. Columns: object_id, label, period,
n_epochs (list of one count a band), and the lists mjd, mag, magerr, each band after the other.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astraclr.files import existing, need_known_version, replacing

if TYPE_CHECKING:
    from astraclr.data.lightcurves import LightCurves

COLUMNS = {"mjd": np.float64, "mag": np.float32, "magerr": np.float32}
"""Columns of an observation and their types: 16 bytes."""

_STARS_PER_GROUP, _STARS_PER_PIECE = 10_000, 2_000
_MOST = 2**31 - 1  # Arrow counts the elements of its lists in 32 bits
_FORMAT, _VERSION = b"astraclr.lightcurves", 1


def write(lc: LightCurves, path: str | Path) -> None:
    """Write light curves, whole or not at all."""
    layout = schema(lc)
    with replacing(path) as part, pq.ParquetWriter(part, layout, compression="none", use_dictionary=False) as out:
        for first in range(0, len(lc), _STARS_PER_GROUP):
            out.write_table(as_table(lc, slice(first, min(first + _STARS_PER_GROUP, len(lc))), layout))


def as_table(lc: LightCurves, stars: slice, layout: pa.Schema) -> pa.Table:
    """Consecutive stars as a table in one piece, its numbers without a copy; `layout` is what `schema` gave.

    Raises
    ------
    ValueError
        If the stars have more observations than one piece can count.
    """
    cuts = lc.offsets[:: len(lc.bands)]
    rows = slice(cuts[stars.start], cuts[stars.stop])
    if rows.stop - rows.start > _MOST:
        raise ValueError(
            f"{rows.stop - rows.start:,} observations in one piece of {stars.stop - stars.start:,} stars; "
            f"at most {_MOST:,} fit, so write fewer stars a piece"
        )
    starts = pa.array((cuts[stars.start : stars.stop + 1] - cuts[stars.start]).astype(np.int32))
    lists = {c: pa.ListArray.from_arrays(starts, getattr(lc, c)[rows], type=layout.field(c).type) for c in COLUMNS}
    counts = pa.FixedSizeListArray.from_arrays(lc.counts[stars].astype(np.int32).ravel(), len(lc.bands))
    columns = {
        "object_id": lc.object_id[stars],
        "label": lc.label[stars],
        "period": lc.period[stars],
        "n_epochs": counts.cast(layout.field("n_epochs").type),
        **lists,
    }
    return pa.table(columns, schema=layout)


def schema(lc: LightCurves) -> pa.Schema:
    """Columns of a table of these light curves, with the header that tells bands and notes."""
    fields = [
        ("object_id", pa.string()),
        ("label", pa.string()),
        ("period", pa.float64()),
        ("n_epochs", pa.list_(pa.int32(), len(lc.bands))),
    ]
    for name, t in COLUMNS.items():
        fields.append((name, pa.list_(pa.field("item", pa.from_numpy_dtype(t), nullable=False))))
    header = json.dumps({"version": _VERSION, "bands": lc.bands, "notes": lc.notes})
    return pa.schema(fields, metadata={_FORMAT: header.encode()})


def read(path: str | Path) -> dict[str, Any]:
    """Fields of a LightCurves, read column by column in small pieces, so that memory holds little beside the result.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is truncated, `write` did not write it, or that of a later version did.
    """
    file = open_parquet(path, buffer_size=2**20)
    if not is_own(file):
        raise ValueError(f"{path} was not written by LightCurves.save; read it with astraclr.read")
    header = header_of(file.schema_arrow, path)
    stars = file.read(columns=["object_id", "label", "period", "n_epochs"])
    if not len(stars):
        raise ValueError(f"{path} holds no stars; check the selection that was saved")
    counts = stars["n_epochs"].combine_chunks().flatten().to_numpy()
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    columns = {name: np.empty(offsets[-1], t) for name, t in COLUMNS.items()}
    for name, column in columns.items():
        done = 0
        for piece in file.iter_batches(batch_size=_STARS_PER_PIECE, columns=[name]):
            values = piece[name].flatten().to_numpy()
            column[done : done + len(values)] = values
            done += len(values)
    return {
        **columns,
        "offsets": offsets,
        "bands": header["bands"],
        "notes": header["notes"],
        "object_id": np.asarray(stars["object_id"]).astype(str),
        "label": np.asarray(stars["label"]).astype(str),
        "period": stars["period"].to_numpy(),
    }


def open_parquet(path: str | Path, buffer_size: int = 0) -> pq.ParquetFile:
    """Open a parquet file, or raise FileNotFoundError or ValueError that say what is wrong with it."""
    try:
        # Buffering ahead would keep whole columns in memory until the file is closed.
        return pq.ParquetFile(existing(path), buffer_size=buffer_size, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
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
    header = json.loads(text)
    need_known_version(path, header.get("version"), _VERSION)
    return header


def is_own(file: pq.ParquetFile) -> bool:
    """Whether `write` wrote this parquet file."""
    return _FORMAT in (file.schema_arrow.metadata or {})
