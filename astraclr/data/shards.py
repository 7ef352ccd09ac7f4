"""Light curves that need not fit into memory: shards with a manifest, read in a seeded shuffle.

A shard is an Arrow IPC file of one record batch, uncompressed, in the columns of `data.parquet`: one row a star,
its observations as lists, 16 bytes each (float64 times, so that none is rounded; float32 magnitudes and errors). Where
each star lies in the file is found once, in a memory map, and kept, some 20 bytes a star; then its observations are
read in three places, and nothing else. `astraclr.data.shard_writer` writes shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from astraclr.data.lightcurves import LightCurves
from astraclr.data.parquet import COLUMNS, header_of
from astraclr.data.shard_manifest import MANIFEST, entries, fault, read_manifest
from astraclr.data.sources import shuffled

if TYPE_CHECKING:
    import torch

    from astraclr.data.tokens import Prepared


class Shards:
    """Stars in the shards of a folder, numbered from 0 in the order of the manifest.

    Parameters
    ----------
    folder : what `sharding.write_shards` or `sharding.shards_from_hats` filled
    check_hashes : `verify` them; by default only that each is there and of the right size

    Raises
    ------
    FileNotFoundError
        If there is no manifest.
    ValueError
        If the manifest is damaged, of another version, or of a run that has not ended; or if shards are missing or
        damaged: each is named, with what was expected and what was found.
    """

    def __init__(self, folder: str | Path, check_hashes: bool = False) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if not self.manifest["complete"]:
            raise ValueError(f"{self.folder}: not all written yet; run the command that was writing these shards again")
        self._entries = entries(self.manifest)
        self._refuse(filter(None, (fault(self.folder, e, check_hash=False) for e in self._entries)))
        self.bands: dict[str, float] = self.manifest["bands"]
        self._ends = np.cumsum([e["stars"] for e in self._entries])
        self._places: dict[int, _Places] = {}
        if check_hashes:
            self.verify()

    def verify(self, progress: bool = False) -> None:
        """Read every shard and compare its SHA-256 with the manifest's; `progress` shows a bar.

        Raises
        ------
        ValueError
            If shards are missing or damaged; it names them.
        """
        faults = []
        size = sum(e["bytes"] for e in self._entries)
        with tqdm(total=size, desc="checking shards", unit="B", unit_scale=True, disable=not progress) as bar:
            for entry in self._entries:
                faults.append(fault(self.folder, entry, check_hash=True))
                bar.update(entry["bytes"])
        self._refuse(filter(None, faults))

    def verify_one(self, name: str) -> None:
        """Compare the SHA-256 of the shard of this name, without its suffix, with the manifest's.

        Raises
        ------
        ValueError
            If it is missing or damaged.
        """
        of = [e for e in self._entries if Path(e["file"]).stem == name]
        self._refuse(filter(None, (fault(self.folder, e, check_hash=True) for e in of)))

    def _refuse(self, found: Iterable[str]) -> None:
        """Raise ValueError that names the first of some faults of shards, if there is one."""
        if faults := list(found):
            more = f"; and {len(faults) - 5} more" if len(faults) > 5 else ""
            raise ValueError(
                f"{self.folder}: {len(faults)} of {len(self._entries)} shards are missing or damaged: "
                f"{'; '.join(faults[:5])}{more}. Run the command that wrote them again: it writes only "
                "these anew"
            )

    def __len__(self) -> int:
        return self.manifest["stars"]

    def __repr__(self) -> str:
        return f"Shards({len(self):,} stars, {self.n_obs:,} observations, bands {' '.join(self.bands)})"

    @property
    def n_obs(self) -> int:
        """Number of observations of all stars and bands."""
        return sum(self.manifest["observations"].values())

    @property
    def fingerprint(self) -> str:
        """A line that tells these stars from others, from the hashes in the manifest."""
        digest = hashlib.sha256("".join(e["sha256"] for e in self._entries).encode()).hexdigest()
        return f"{len(self)} stars, {self.n_obs} observations, SHA-256 {digest[:16]}"

    @property
    def counts(self) -> np.ndarray:
        """(n_stars, n_bands) int32 number of observations: 4 bytes a star and band, read anew at each call."""
        return np.concatenate([map_shard(self.folder, e, self.bands).counts for e in self._entries])

    def stars(self, rows: np.ndarray) -> LightCurves:
        """Stars of these numbers, in this order; IndexError for a number that there is not."""
        rows, shard = self._place(rows)
        mjd, mag, magerr, offsets = self._columns(rows, shard)
        names = {c: np.empty(len(rows), object) for c in ("object_id", "label", "period")}
        for s in np.unique(shard):
            here, batch = shard == s, map_shard(self.folder, self._entries[s], self.bands).batch
            for c, values in names.items():
                values[here] = batch[c].take(pa.array(self._within(rows[here], s))).to_pylist()
        object_id, label, period = (names[c].astype(t) for c, t in zip(names, (str, str, np.float64), strict=True))
        return LightCurves(mjd, mag, magerr, offsets, self.bands, object_id, label, period)

    def order(self, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """`shuffled` numbers of stars."""
        return shuffled(rows, seed, epoch)

    def batches(self, seed: int, epoch: int, batch_size: int, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Numbers of stars of every batch of an epoch, drawn from `rows` or all; an incomplete last one is skipped."""
        order = self.order(np.arange(len(self)) if rows is None else np.asarray(rows), seed, epoch)
        for k in range(0, len(order) - batch_size + 1, batch_size):
            yield order[k : k + batch_size]

    def prepared(self, rows: np.ndarray, device: torch.device | str = "cpu") -> Prepared:
        """Stars of these numbers, renumbered from 0, centred as `preparation.prepare` does."""
        from astraclr.data.tokens import prepare

        mjd, mag, magerr, offsets = self._columns(*self._place(rows))
        none, never = np.zeros(len(rows), "U1"), np.full(len(rows), np.nan)
        return prepare(LightCurves(mjd, mag, magerr, offsets, self.bands, none, none, never), device)

    def _place(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.atleast_1d(np.asarray(rows))
        if rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= len(self)):
            odd = f"{rows.min()} to {rows.max()} ({rows.dtype})"
            raise IndexError(f"stars are numbered 0 to {len(self) - 1}, got {odd}")
        return rows.astype(np.int64), np.searchsorted(self._ends, rows, side="right")

    def _within(self, rows: np.ndarray, shard: int) -> np.ndarray:
        return rows - (self._ends[shard] - self._entries[shard]["stars"])

    def _columns(self, rows: np.ndarray, shard: np.ndarray) -> tuple[np.ndarray, ...]:
        """Columns mjd, mag and magerr of some stars, and offsets."""
        counts, first = np.empty((len(rows), len(self.bands)), np.int64), np.empty(len(rows), np.int64)
        order = np.argsort(rows, kind="stable")
        cuts = np.flatnonzero(np.diff(shard[order])) + 1
        groups = [(int(shard[group[0]]), group) for group in np.split(order, cuts) if len(group)]
        for s, group in groups:
            places, within = self._shard(s), self._within(rows[group], s)
            counts[group], first[group] = places.counts[within], places.first[within]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        columns, ends = [np.empty(offsets[-1], t) for t in COLUMNS.values()], offsets[:: len(self.bands)]
        parts = list(zip(first.tolist(), ends[:-1].tolist(), ends[1:].tolist(), strict=True))
        for s, group in groups:
            _fill(columns, self._shard(s), [parts[k] for k in group])
        return *columns, offsets

    def _shard(self, shard: int) -> _Places:
        if shard not in self._places:
            entry = self._entries[shard]
            mapped = map_shard(self.folder, entry, self.bands)
            begins = [c.ctypes.data - mapped.address for c in mapped.columns]
            copies = mapped.first.copy(), mapped.counts.copy()
            self._places[shard] = _Places(str(self.folder / entry["file"]), begins, *copies)
        return self._places[shard]


class _Places(NamedTuple):
    """Where stars lie in the file of a shard.

    At which byte each column begins, and of every star its `first` observation and its `counts` in each band: copies
    that do not keep the file mapped.
    """

    path: str
    begins: list[int]
    first: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class _Mapped:
    """A shard, as views into the file mapped at `address`: `columns` mjd, mag, magerr; and `first`, `counts` a star."""

    address: int
    batch: pa.RecordBatch
    columns: list[np.ndarray]
    first: np.ndarray
    counts: np.ndarray


def _fill(columns: list[np.ndarray], places: _Places, parts: list[tuple[int, int, int]]) -> None:
    """Read runs of observations (first in the file, where in the columns they start and stop) of one shard."""
    with Path(places.path).open("rb", buffering=0) as file:
        for column, begin in zip([c.data for c in columns], places.begins, strict=True):
            for first, start, stop in parts:
                file.seek(begin + first * column.itemsize)
                if file.readinto(column[start:stop]) != (stop - start) * column.itemsize:
                    raise ValueError(
                        f"{places.path} has become shorter while it was in use; run the command that wrote it again"
                    )


def map_shard(folder: Path, entry: dict[str, Any], bands: dict[str, float]) -> _Mapped:
    """Map a shard into memory; ValueError if it is not what the manifest says, or of a later version."""
    path = folder / entry["file"]
    try:
        with pa.memory_map(str(path)) as source:
            address, batch = source.read_buffer().address, pa.ipc.open_file(source).get_batch(0)
        batch.validate(full=True)
        columns = [batch[c].values.to_numpy(zero_copy_only=True) for c in COLUMNS]
        first = batch["mjd"].offsets.to_numpy(zero_copy_only=True)
        counts = batch["n_epochs"].values.to_numpy(zero_copy_only=True).reshape(-1, len(bands))
        if [c.dtype for c in columns] != list(COLUMNS.values()) or (counts.sum(axis=1) != np.diff(first)).any():
            raise ValueError("its columns are of other types, or its lists do not fit their counts")
    except PermissionError as error:
        raise ValueError(f"{path} cannot be read: you may not; change its permissions") from error
    except (pa.ArrowException, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a shard ({error}); run the command that wrote it again") from error
    own = header_of(batch.schema, path)["bands"]
    if list(own.items()) != list(bands.items()):
        raise ValueError(f"{path} is in the bands {own}, its manifest says {bands}; copy {MANIFEST} again")
    if len(counts) != entry["stars"]:
        raise ValueError(
            f"{path} holds {len(counts)} stars, its manifest says {entry['stars']}; run the command that wrote it again"
        )
    return _Mapped(address, batch, columns, first, counts)
