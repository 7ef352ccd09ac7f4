"""Shards for training from a HATS catalogue, a partition at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astraclr.catalogs._dask import cluster
from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import PAPER_CUT
from astraclr.data.shard_manifest import Book, Part
from astraclr.data.shard_writer import STARS_PER_SHARD, _check_size, _need_unique, write_part


def shards_from_hats(
    catalogue: str | Path,
    folder: str | Path,
    cut: Mapping[str, int] | None = PAPER_CUT,
    workers: int = 2,
    *,
    client: Any = None,
    stars_per_shard: int = STARS_PER_SHARD,
    quality_cut: bool | None = None,
    object_id: str | None = None,
    label: str = "Class",
    nested: str = "lc",
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
) -> dict[str, Any]:
    """Write a HATS catalogue as shards; LSDB reads each partition in a Dask worker, which writes its shards itself.

    The same bytes whatever the number of workers; resumed and repaired by the same call, as `write_shards`.

    Parameters
    ----------
    catalogue : folder of a HATS catalogue, or an address that LSDB opens
    folder : where to write; every worker must see it under this name
    cut : fewest observations per band of a star to keep; None keeps all
    workers : processes of a local Dask cluster (a script then needs ``if __name__ == "__main__":``); 1 starts none
    client : a Dask client to compute with instead, say of a cluster of many machines
    stars_per_shard : at most so many; partitions are not joined, so a small one makes a small shard
    quality_cut : as in `catalogs.zubercal`; None cuts if the catalogue has the columns info and flag
    object_id, label, nested, bands, drop_unknown_bands, drop_repeated : as in `catalogs.zubercal`

    Returns
    -------
    dict
        The manifest; its notes count what was dropped.

    Raises
    ------
    ImportError
        Without the packages of the extra ``data``.
    ValueError
        As `write_shards`, and for what `catalogs.zubercal` refuses.
    """
    _check_size(stars_per_shard)
    if workers < 1:
        raise ValueError(f"workers is {workers}; give at least 1")
    if unknown := [b for b in cut or () if b not in bands]:
        raise ValueError(f"cut names the band {', '.join(unknown)}; the bands are {', '.join(bands)}")
    from astraclr.catalogs._hats import hats_facts, hats_partitions, is_hats

    if not is_hats(catalogue):
        raise ValueError(
            f"{catalogue} is no HATS catalogue (it has no hats.properties); read other files with "
            "astraclr.read, and give the light curves to write_shards"
        )
    facts, fields = hats_facts(str(catalogue))
    quality_cut = {"info", "flag"} <= fields if quality_cut is None else quality_cut
    options = {
        "quality_cut": quality_cut,
        "bands": dict(bands),
        "drop_unknown_bands": drop_unknown_bands,
        "drop_repeated": drop_repeated,
        "at_least": {b: int(n) for b, n in (cut or {}).items()},
    }
    partitions, layout = hats_partitions(str(catalogue), (object_id, label, nested), options)
    from dask.delayed import delayed  # comes with LSDB

    settings = {
        "source": facts,
        "object_id": layout.object_id,
        "label": layout.label,
        "stars_per_shard": stars_per_shard,
        **{k: v for k, v in options.items() if k != "bands"},
    }
    with Book(Path(folder), settings) as book:
        book.in_bands(dict(bands))
        where = str(book.folder.absolute())
        tasks = [
            delayed(write_partition)(frame, layout, part, where, stars_per_shard)
            for part, frame in enumerate(partitions)
            if not book.intact(part)
        ]
        for part in _computed(tasks, workers, client):
            book.add(part)
        _need_unique(book)
        return book.finished(len(partitions))


def write_partition(frame: Any, layout: Any, part: int, folder: str, stars_per_shard: int) -> Part:
    """Shards of one partition, a NestedFrame; runs in a worker, and only these few numbers travel back."""
    from astraclr.catalogs._zubercal_tables import tidy_frame

    lc, notes = tidy_frame(frame, layout)
    return write_part(lc, notes, part, Path(folder), stars_per_shard)


def _computed(tasks: list[Any], workers: int, client: Any) -> Iterator[Part]:
    """Results as they come."""
    if not tasks:
        return
    if client is None and workers == 1:
        for task in tasks:
            yield task.compute(scheduler="synchronous")
    elif client is None:
        with cluster(workers) as own:
            yield from _computed(tasks, workers, own)
    else:
        from distributed import as_completed

        futures = client.compute(tasks)
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            client.cancel(futures)
