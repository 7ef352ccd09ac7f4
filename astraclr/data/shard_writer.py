"""Writing shards (`astraclr.data.shards`): from light curves that come in pieces, or from a HATS catalogue with Dask.

The work is cut into parts: a run of stars, or a partition of the catalogue. The manifest names the parts that are done.
When the same call is made again, a run that was killed goes on, and shards that were lost or damaged are written anew.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from pandas.util import hash_array

from astraclr.data import cleaning, parquet
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.data.shard_manifest import Book, Part, entries
from astraclr.data.shards import map_shard
from astraclr.files import replacing

STARS_PER_SHARD = 10_000
"""160 MB at 1,000 observations a star."""


def write_shards(
    source: LightCurves | Iterable[LightCurves],
    folder: str | Path,
    stars_per_shard: int = STARS_PER_SHARD,
    cut: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Write light curves as shards, whatever the pieces they come in; a piece and two shards are in memory at most.

    `cut` keeps stars with at least so many observations per band, e.g. `PAPER_CUT`, and counts the others.
    The same call again verifies every shard and writes only what is missing or damaged. One run a folder at a time:
    a second one is refused.

    Returns
    -------
    dict
        The manifest, also in the folder: totals, notes, parts.

    Raises
    ------
    ValueError
        If there are no stars, bands differ, object ids repeat, another process writes into the folder, or it holds
        shards of other stars or settings, or files of others.
    """
    _check_size(stars_per_shard)
    pieces = [source] if isinstance(source, LightCurves) else source
    at_least, part = {b: int(n) for b, n in (cut or {}).items()}, -1
    settings = {"source": "light curves", "stars_per_shard": stars_per_shard, "at_least": at_least}
    with Book(Path(folder), settings) as book:
        chosen = (_chosen(piece, at_least) for piece in pieces)
        for part, (lc, notes) in enumerate(_regrouped(chosen, stars_per_shard)):
            if lc is not None:
                book.in_bands(lc.bands)
            if (known := book.parts.get(part)) is not None:
                book.add(write_part(lc, notes, part, None, stars_per_shard))
            if known is None or not book.intact(part):
                book.add(write_part(lc, notes, part, book.folder, stars_per_shard))
        _need_unique(book)
        return book.finished(part + 1)


def write_part(
    lc: LightCurves | None, notes: cleaning.Notes, part: int, folder: Path | None, stars_per_shard: int
) -> Part:
    """Write the shards of one part, each whole or not at all; without a folder only say what would be written."""
    shards = []
    for k, first in enumerate(range(0, 0 if lc is None else len(lc), stars_per_shard)):
        assert lc is not None
        some, name = lc, f"part-{part:05d}-{k:03d}.arrow"
        if len(lc) > stars_per_shard:
            some = lc[first : first + stars_per_shard]
        if folder is None:
            sink = _write(some, None)
        else:
            with replacing(folder / name) as path, path.open("wb") as file:
                sink = _write(some, file)
        seen = dict(zip(some.bands, some.counts.sum(axis=0).tolist(), strict=True))
        shards.append(
            {
                "file": name,
                "stars": len(some),
                "observations": seen,
                "bytes": sink.size,
                "sha256": sink.sha256.hexdigest(),
            }
        )
    return {"part": part, "notes": notes, "shards": shards}


def _write(lc: LightCurves, file: BinaryIO | None) -> _Hashing:
    sink, layout = _Hashing(file), parquet.schema(vars(lc))
    with pa.PythonFile(sink, mode="w") as out, pa.ipc.new_file(out, layout) as writer:
        writer.write_table(parquet.as_table(vars(lc), slice(0, len(lc)), layout))
    return sink


class _Hashing(io.RawIOBase):
    """Takes the SHA-256 of what it passes on to a file, if there is one."""

    def __init__(self, file: BinaryIO | None) -> None:
        self.file, self.size, self.sha256 = file, 0, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return len(data) if self.file is None else self.file.write(data)


def _chosen(lc: LightCurves, at_least: dict[str, int]) -> LightCurves:
    kept = lc.with_counts(at_least) if at_least else lc
    if len(kept) == len(lc):
        return lc
    reason = f"dropped: star without {', '.join(f'{b} >= {n}' for b, n in at_least.items())} observations"
    return replace(kept, notes=cleaning.add_notes(lc.notes, {reason: len(lc) - len(kept)}))


def _regrouped(pieces: Iterable[LightCurves], size: int) -> Iterator[tuple[LightCurves | None, cleaning.Notes]]:
    """The same stars in runs of `size`, the last one shorter; notes go with the run that follows them, or alone."""
    waiting: list[LightCurves] = []
    notes: cleaning.Notes = {}
    wanted = size
    for piece in pieces:
        notes, first = cleaning.add_notes(notes, piece.notes), 0
        while first < len(piece):
            waiting.append(piece[first : first + wanted])
            first, wanted = first + len(waiting[-1]), wanted - len(waiting[-1])
            if not wanted:
                joined, waiting = concatenate(waiting), []  # what was joined is let go before it is written
                yield joined, notes
                notes, wanted = {}, size
    if waiting or notes:
        yield concatenate(waiting) if waiting else None, notes


def _need_unique(book: Book) -> None:
    """Raise ValueError if an object id occurs twice; 8 bytes a star."""
    shards = entries({"parts": book.in_order()})
    names = (map_shard(book.folder, e, book.bands).batch["object_id"].to_numpy(zero_copy_only=False) for e in shards)
    keys = [hash_array(column) for column in names]  # pyright: ignore[reportCallIssue] - pandas loads it lazily
    if keys and (again := (everything := np.concatenate(keys)).size - np.unique(everything).size):
        raise ValueError(
            f"{again:,} object ids of the stars in {book.folder} are there more than once: every star "
            "must lie in one piece or partition, and only there; join its rows before"
        )


def _check_size(stars_per_shard: int) -> None:
    if stars_per_shard < 1:
        raise ValueError(f"stars_per_shard is {stars_per_shard}; give at least 1")
