"""Catalogues of more stars than memory holds, embedded or classified on Dask: a partition at a time, and resumable."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from tqdm import tqdm

from astraclr.analysis.classifier import load_head
from astraclr.analysis.partition_tables import HEAD, Job, do_part
from astraclr.catalogs._dask import as_done, cluster
from astraclr.catalogs.partitions import Catalogue, catalogue_of
from astraclr.config import ZTF_BANDS
from astraclr.data.table_parts import TableParts
from astraclr.files import existing, replacing, sha256, shipped_file
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.device import Precision, uses_bfloat16
from astraclr.model.embedding import Fusion


def embed_catalogue(
    source: str | Path,
    out: str | Path,
    checkpoint: str | Path = "laptop",
    *,
    fusion: Fusion = "mean",
    workers: int = 2,
    client: Any = None,
    threads: int = 1,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
    progress: bool = False,
    precision: Precision = "float32",
) -> dict[str, Any]:
    """Embed a catalogue of any size, a partition at a time, and write a table in parts.

    Each partition is read in pieces of at most 2,000 stars, so a worker needs some 600 MB for its programs and little
    more, whatever the catalogue. Its file appears whole or not at all. After any interruption the same call goes on;
    when all is done, it writes nothing. The files are the same whatever the number of workers.

    Parameters
    ----------
    source : a HATS catalogue (its folder, or an address that LSDB opens), or a folder of shards
    out : folder to write; every worker must see it, and a local source, under this name. Of a HATS catalogue the
        result is one too, with the same partitions, id, ra and dec: LSDB opens it, and joins it with its source
    checkpoint : folder of an encoder, or the name of one that ships; it is copied into ``out/encoder``
    fusion : how crops are joined, see `model.embedding.embed`
    workers : processes of a local Dask cluster (a script then needs ``if __name__ == "__main__":``); 1 starts none
    client : a Dask client to compute with instead
    threads : of torch in each worker
    bands, drop_unknown_bands, drop_repeated : as in `catalogs.read`, for HATS
    progress : show a bar, with stars a second
    precision : as in `model.embedding.embed`

    Returns
    -------
    dict
        The manifest (see `data.table_parts`), and what of this call is not in it: ``peak_mb``, memory of the largest
        worker in MB, and ``written``, the number of rows that this call wrote.

    Raises
    ------
    ImportError
        Without the packages of the extra ``data``.
    FileNotFoundError, ValueError
        If the source or the checkpoint cannot be read, no star is left, or `out` holds the results of another source,
        checkpoint or setting, or other files.
    """
    if fusion not in ("mean", "concat"):
        raise ValueError(f"no fusion {fusion!r}; choose mean or concat")
    if client is None:
        uses_bfloat16(precision, "cpu")  # refused before work starts
    options = {"bands": dict(bands), "drop_unknown_bands": drop_unknown_bands, "drop_repeated": drop_repeated}
    made = (fusion, precision)
    return _run(source, Path(out), str(checkpoint), None, made, options, (workers, client, threads, progress))


def predict_catalogue(
    source: str | Path,
    out: str | Path,
    checkpoint: str | Path = "laptop",
    head: str | Path | None = None,
    *,
    workers: int = 2,
    client: Any = None,
    threads: int = 1,
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
    drop_repeated: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Predict class probabilities for a catalogue of any size, as `prediction_table` does; see `embed_catalogue`.

    Parameters
    ----------
    head : file of a head; by default the one in the folder of the checkpoint
    source, out, checkpoint, workers, client, threads, bands, drop_unknown_bands, drop_repeated, progress : as for
        `embed_catalogue`

    Returns
    -------
    dict
        As `embed_catalogue`.
    """
    options = {"bands": dict(bands), "drop_unknown_bands": drop_unknown_bands, "drop_repeated": drop_repeated}
    head = Path(head) if head is not None else _folder_of(str(checkpoint)) / HEAD
    return _run(
        source, Path(out), str(checkpoint), head, (None, "float32"), options, (workers, client, threads, progress)
    )


def _run(
    source: str | Path,
    out: Path,
    checkpoint: str,
    head: Path | None,
    made: tuple[Fusion | None, Precision],
    options: dict[str, Any],
    how: tuple[int, Any, int, bool],
) -> dict[str, Any]:
    (fusion, precision), (workers, client, threads, progress) = made, how
    if workers < 1:
        raise ValueError(f"workers is {workers}; give at least 1")
    encoder = load_checkpoint(checkpoint)
    if head is not None:
        load_head(head, encoder)  # refused before work starts
    catalogue = catalogue_of(source, **options)
    settings = {
        "source": catalogue.facts,
        "checkpoint": encoder.sha256,
        **({"head": sha256(head)} if head is not None else {"fusion": fusion}),
        **({} if precision == "float32" else {"precision": precision}),
        **options,
    }
    names = [f"{part.name}.parquet" for part in catalogue.parts]
    table = TableParts(out, settings, names)
    if table.was_complete and not table.left:
        from astraclr.data.table_parts import read_manifest

        return read_manifest(out) | {"peak_mb": 0.0, "written": 0}
    _copy_encoder(_folder_of(checkpoint), head, out / "encoder")
    job = Job(str(out.absolute()), encoder.sha256, table.key, fusion, threads, precision)
    left = set(table.left)
    calls = [(job, catalogue.reader, part) for part, name in zip(catalogue.parts, names, strict=True) if name in left]
    peak, written, before = 0.0, 0, sum(facts["read"] for facts in table.done.values())
    bar = tqdm(total=catalogue.n_stars, initial=before, desc="stars", unit=" stars", disable=not progress, smoothing=0)
    with _client(workers, client, len(calls)) as computing, bar:
        for facts in as_done(computing, do_part, calls):
            peak, written = max(peak, facts.pop("peak_mb")), written + facts["rows"]
            table.add(facts)
            bar.update(facts["read"])
    _remove_left_parts(table, out)
    if catalogue.hats is not None:
        _as_hats(catalogue, table, out)
    return table.finished() | {"peak_mb": peak, "written": written}


@contextmanager
def _client(workers: int, client: Any, n_calls: int) -> Iterator[Any]:
    """The client to compute with, None for this process alone."""
    if client is not None or workers == 1 or n_calls == 0:
        yield client
        return
    with cluster(min(workers, n_calls)) as own:
        yield own


def _folder_of(checkpoint: str) -> Path:
    return Path(checkpoint) if Path(checkpoint).exists() else existing(shipped_file(f"checkpoints/{checkpoint}"))


def _remove_left_parts(table: TableParts, out: Path) -> None:
    """Remove what workers that were killed left of files that others then wrote whole."""
    for name in table.files:
        whole = out / name
        for part in whole.parent.glob(f".{escape(whole.name)}.*.part"):
            part.unlink(missing_ok=True)


def _copy_encoder(source: Path, head: Path | None, folder: Path) -> None:
    """Copy what workers need of a checkpoint beside the results, since they may be on other machines."""
    import json

    weights = json.loads((source / "config.json").read_text())["weights"]
    files = {weights: source / weights, "config.json": source / "config.json"} | ({HEAD: head} if head else {})
    for name, file in files.items():
        if not (folder / name).exists():
            with replacing(folder / name) as part:
                shutil.copyfile(file, part)


def _as_hats(catalogue: Catalogue, table: TableParts, out: Path) -> None:
    """Write what makes a HATS catalogue of the files: metadata, list of partitions, and last its properties."""
    from hats.catalog.partition_info import PartitionInfo
    from hats.io.parquet_metadata import write_parquet_metadata

    pixels = catalogue.hats.get_healpix_pixels()
    rows = [table.done[name]["rows"] for name in table.files]
    if not any(rows):
        return
    kept = [pixel for pixel, n in zip(pixels, rows, strict=True) if n]
    write_parquet_metadata(out)
    with replacing(out / "partition_info.csv") as part:
        PartitionInfo(kept).write_to_file(part)
    source = catalogue.hats.hc_structure.catalog_info
    what = "predictions" if "head" in table.settings else "embeddings"
    properties = {
        "catalog_name": f"{source.catalog_name}_{what}",
        "total_rows": sum(rows),
        "default_columns": None,
        "hats_max_rows": max(rows),
        "hats_order": max(pixel.order for pixel in kept),
        "npix_suffix": ".parquet",
        "skymap_order": None,
        "skymap_alt_orders": None,
        "moc_sky_fraction": None,
        "hats_estsize": None,
    }
    kinds = {k: v for k, v in properties.items() if k in type(source).model_fields}
    source.copy_and_update(**kinds).to_properties_file(out)
