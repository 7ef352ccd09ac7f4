"""Catalogues larger than memory, a partition at a time and each in bounded pieces: of HATS through LSDB, or shards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from astraclr.catalogs._hats import hats_facts, is_hats, opened
from astraclr.catalogs._matching import inside, recognised
from astraclr.catalogs._open import Table
from astraclr.catalogs._sources import about
from astraclr.catalogs._zubercal_tables import Layout, layout_of, tidy
from astraclr.config import ZTF_BANDS
from astraclr.data import shard_manifest
from astraclr.data.cleaning import Notes, is_list_type
from astraclr.data.lightcurves import LightCurves
from astraclr.data.names import identifiers
from astraclr.data.shards import Shards

HEALPIX = "_healpix_29"
"""Column of a HATS catalogue by which a partition is sorted: the HEALPix pixel of order 29."""
PIECE_BYTES, PIECE_STARS = 64 * 2**20, 2_000
"""A piece holds at most so many stars, and so few that their columns take no more bytes than this in memory."""


class Piece(NamedTuple):
    """A bounded part of a partition.

    Attributes
    ----------
    stars : light curves, None if nothing of the piece is usable
    carried : columns of the source that go with them, a row a star in the same order
    notes : what was dropped, or only counted
    rows : number of rows of the source
    """

    stars: LightCurves | None
    carried: pa.Table | None
    notes: Notes
    rows: int


class Part(NamedTuple):
    """A partition: the name of its result without a suffix, and where its rows lie."""

    name: str
    where: Any


@dataclass(frozen=True)
class Catalogue:
    """What there is to read, and how.

    Attributes
    ----------
    facts : what tells this source from another wherever it lies
    n_stars : number of rows
    parts : partitions, in order
    reader : small and picklable, it travels to the workers: ``reader.pieces(part)``
    hats : the catalogue that LSDB opened; None for shards
    """

    facts: dict[str, Any]
    n_stars: int
    parts: list[Part]
    reader: HatsReader | ShardReader
    hats: Any = None


@dataclass(frozen=True)
class ShardReader:
    """Reads the shards of a folder."""

    folder: str

    def pieces(self, part: Part) -> Iterator[Piece]:
        """Stars of one shard, in pieces; ValueError if it has changed since it was written."""
        shards = Shards(self.folder)
        (entry,) = (e for e in shard_manifest.entries(shards.manifest) if Path(e["file"]).stem == part.name)
        if what := shard_manifest.fault(Path(self.folder), entry, check_hash=True):
            raise ValueError(f"{self.folder}: {what}. Run the command that wrote it again: it writes only this anew")
        first, stars = part.where
        shards.verify_one(part.name)
        size = max(1, min(PIECE_STARS, PIECE_BYTES * len(shards) // max(1, 16 * shards.n_obs)))
        for k in range(first, first + stars, size):
            rows = np.arange(k, min(k + size, first + stars))
            yield Piece(shards.stars(rows), None, {}, len(rows))


@dataclass(frozen=True)
class HatsReader:
    """Reads the partitions of a HATS catalogue: of each file a few rows at a time, and only the columns needed."""

    path: str
    layout: Layout
    carried: tuple[str, ...]
    by_star: bool
    """Whether a row is a star, so that a partition can be cut between rows."""
    sky: tuple[str, str]
    """Columns of right ascension and declination, degrees."""

    def pieces(self, part: Part) -> Iterator[Piece]:
        """Stars of one partition, in pieces."""
        columns = list(dict.fromkeys([*self.layout.columns, *self.carried]))
        for path in _files(part.where):
            with about(path), _opened(path) as file:
                if not self.by_star:
                    yield self._piece(file.read(columns=columns))
                    continue
                rows = file.metadata.num_rows
                size = max(1, min(PIECE_STARS, PIECE_BYTES * rows // max(1, _bytes(file, columns))))
                for batch in file.iter_batches(batch_size=size, columns=columns):
                    yield self._piece(pa.Table.from_batches([batch]))

    def _piece(self, table: pa.Table) -> Piece:
        needed = dict.fromkeys(c.split(".")[0] for c in self.layout.columns)
        stars, notes = tidy(table.select(list(needed)), self.layout)
        if stars is None:
            return Piece(None, None, notes, len(table))
        number, ids = identifiers(table[self.layout.object_id], str(self.layout.object_id))
        first = dict(zip(ids.tolist(), np.unique(number, return_index=True)[1].tolist(), strict=True))
        carried = table.select(list(self.carried)).take(pa.array([first[name] for name in stars.object_id.tolist()]))
        if HEALPIX not in self.carried:
            from hats.pixel_math.spatial_index import compute_spatial_index

            ra, dec = (carried[c].to_numpy() for c in self.sky)
            carried = carried.add_column(0, HEALPIX, pa.array(compute_spatial_index(ra, dec)))
        return Piece(stars, carried, notes, len(table))


def catalogue_of(
    path: str | Path,
    *,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> Catalogue:
    """Look at a HATS catalogue (a folder, or an address that LSDB opens) or at a folder of shards; read no stars.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is neither, cannot be opened, its columns are of no known format, or its rows are not stars.
    """
    if is_shards(path):
        return _of_shards(Path(path))
    if not is_hats(path):
        raise ValueError(
            f"{path} is neither a HATS catalogue (it has no hats.properties) nor a folder of shards; write its light "
            "curves as shards with `astraclr shards`, or name one parquet file as the output"
        )
    options = {
        "quality_cut": True,
        "bands": dict(bands),
        "drop_unknown_bands": drop_unknown_bands,
        "drop_repeated": drop_repeated,
        "at_least": {},
    }
    return _of_hats(str(path), options)


def is_shards(path: str | Path) -> bool:
    """Whether a folder holds shards that `astraclr shards` wrote."""
    manifest = Path(path) / shard_manifest.MANIFEST
    return manifest.is_file() and any(Path(path).glob("part-*.arrow"))


def _of_shards(folder: Path) -> Catalogue:
    shards = Shards(folder)
    found = shard_manifest.entries(shards.manifest)
    ends = np.cumsum([e["stars"] for e in found]).tolist()
    places = [(end - e["stars"], e["stars"]) for end, e in zip(ends, found, strict=True)]
    parts = [Part(Path(e["file"]).stem, place) for e, place in zip(found, places, strict=True)]
    return Catalogue({"shards": shards.fingerprint}, len(shards), parts, ShardReader(str(folder.absolute())))


def _of_hats(path: str, options: dict[str, Any]) -> Catalogue:
    catalogue, (facts, _) = opened(path), hats_facts(path)
    schema, info = catalogue.original_schema, catalogue.hc_structure.catalog_info
    with about(path):
        fmt = recognised(Table(Path(path), "HATS", schema, lambda *_: pa.table({})))
        layout = layout_of(schema, (None, "Class", "lc"), options, fmt)
        if fmt.name == "irsa" or layout.object_id is None:
            raise ValueError(
                "has rows that are parts of stars, which are joined by position over all of it: read it whole, "
                "`astraclr embed CATALOGUE --out FILE.parquet`"
            )
    sky = str(info.ra_column), str(info.dec_column)
    carried = [n for n in (HEALPIX, *sky, layout.object_id) if n in schema.names]
    kinds = [schema.field(c.split(".")[0]).type for c in layout.columns]
    by_star = any(inside(kind) or is_list_type(kind) for kind in kinds)
    # Fields of a struct of lists can be read one by one, those of a list of structs cannot.
    fields = [c if pa.types.is_struct(kind) else c.split(".")[0] for c, kind in zip(layout.columns, kinds, strict=True)]
    layout = replace(layout, columns=list(dict.fromkeys(fields)))
    parts = [_part(catalogue, pixel) for pixel in catalogue.get_healpix_pixels()]
    sizes = [Path(str(p.where)).stat().st_size for p in parts if Path(str(p.where)).is_file()]
    facts["bytes"] = hashlib.sha256(" ".join(map(str, sizes)).encode()).hexdigest() if sizes else ""
    reader = HatsReader(path, layout, tuple(dict.fromkeys(carried)), by_star, sky)
    return Catalogue(facts, int(info.total_rows or 0), parts, reader, catalogue)


def _part(catalogue: Any, pixel: Any) -> Part:
    from hats.io import paths

    structure = catalogue.hc_structure
    suffix = structure.catalog_info.npix_suffix
    where = paths.pixel_catalog_file(structure.catalog_base_dir, pixel, npix_suffix=suffix)
    folder = f"dataset/Norder={pixel.order}/Dir={10_000 * (pixel.pixel // 10_000)}"
    return Part(f"{folder}/Npix={pixel.pixel}", where)


def _files(where: Any) -> list[Any]:
    """The parquet files of a partition, usually one."""
    return sorted(where.glob("*.parquet")) if where.is_dir() else [where]


def _opened(path: Any) -> Any:
    from hats.io.file_io.file_io import read_parquet_file

    return read_parquet_file(path)


def _bytes(file: Any, columns: list[str]) -> int:
    """Bytes of some columns of a parquet file before compression."""
    meta = file.metadata
    wanted = tuple(f"{c}." for c in columns)
    return sum(
        group.column(k).total_uncompressed_size
        for group in map(meta.row_group, range(meta.num_row_groups))
        for k in range(group.num_columns)
        if f"{group.column(k).path_in_schema}.".startswith(wanted)
    )
