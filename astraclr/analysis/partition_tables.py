"""Tables of the stars of one partition, embeddings or predictions: what LSDB maps and what a worker runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from astraclr.analysis.classifier import load_head
from astraclr.analysis.predictions import prediction_table
from astraclr.catalogs._matching import recognised
from astraclr.catalogs._open import Table
from astraclr.catalogs._zubercal_tables import layout_of, tidy
from astraclr.catalogs.partitions import HatsReader, Part, ShardReader
from astraclr.config import ZTF_BANDS
from astraclr.data.cleaning import Notes
from astraclr.data.lightcurves import LightCurves
from astraclr.data.names import identifiers
from astraclr.data.table_parts import write_part
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.device import Precision
from astraclr.model.embedding import Fusion, embedding_table

if TYPE_CHECKING:
    from astraclr.analysis.classifier import Head

HEAD = "head.safetensors"


@dataclass(frozen=True)
class Job:
    """What workers do with every partition; small and picklable.

    Attributes
    ----------
    out : folder of the results; its ``encoder`` holds the checkpoint and, for predictions, the head
    checkpoint : SHA-256 of its weights
    key : of the run, see `table_parts.run_key`
    fusion : of embeddings; None for predictions
    threads : of torch in a worker
    precision : of embeddings, as in `model.embedding.embed`
    """

    out: str
    checkpoint: str
    key: str
    fusion: Fusion | None
    threads: int = 1
    precision: Precision = "float32"


def do_part(job: Job, reader: HatsReader | ShardReader, part: Part) -> dict[str, Any]:
    """Read, embed and write one partition; runs in a worker, and only a few numbers travel back.

    Returns
    -------
    dict
        As `table_parts.write_part`, and ``peak_mb``, the most memory that the worker has taken so far.

    Raises
    ------
    FileNotFoundError, ValueError
        If the worker does not see the folder of the results, or the partition cannot be read; it is named.
    """
    import torch

    make, before = _maker(job), torch.get_num_threads()

    def pieces() -> Iterator[tuple[pa.Table | None, Notes, int]]:
        for piece in reader.pieces(part):
            table = None if piece.stars is None else _joined(piece.carried, as_arrow(make(piece.stars)))
            yield table, piece.notes, piece.rows

    torch.set_num_threads(job.threads)
    try:
        facts = write_part(pieces(), Path(job.out), f"{part.name}.parquet", job.key)
    finally:
        torch.set_num_threads(before)
    return facts | {"peak_mb": peak_mb()}


def _maker(job: Job) -> Callable[[LightCurves], pd.DataFrame]:
    folder = Path(job.out) / "encoder"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"a worker does not see {folder}: the folder of the results must have the same name on every machine"
        )
    checkpoint, head = _loaded(str(folder), job.checkpoint, job.fusion is None)
    if head is not None:
        return lambda stars: prediction_table(stars, checkpoint, head)
    return lambda stars: fused_table(stars, checkpoint, job.fusion or "mean", precision=job.precision)


@lru_cache(maxsize=1)
def _loaded(folder: str, sha256: str, with_head: bool) -> tuple[Checkpoint, Head | None]:
    """The encoder of a run, once a worker; checked, since a worker may outlive a run."""
    checkpoint = load_checkpoint(folder)
    if checkpoint.sha256 != sha256:
        raise ValueError(f"{folder} holds checkpoint {checkpoint.sha256[:8]}, not {sha256[:8]}; choose another folder")
    return checkpoint, load_head(Path(folder) / HEAD, checkpoint) if with_head else None


def embed_partition(
    frame: Any,
    checkpoint: Checkpoint,
    *,
    fusion: Fusion = "mean",
    carry: Sequence[str] = ("ra", "dec"),
    bands: Mapping[str, float] = ZTF_BANDS,
    drop_unknown_bands: bool = False,
) -> pd.DataFrame:
    """Embed one partition of a catalogue that LSDB has opened: the function for ``catalog.map_partitions``.

    LSDB calls it once with an empty frame, and so knows the columns of the result; ``meta=`` is what that call gives.

    Parameters
    ----------
    frame : NestedFrame; light curves in a nested column, and an object id, by names that `catalogs.read` knows
    checkpoint : from `load_checkpoint`; Dask sends it to the workers
    fusion : as in `model.embedding.embed`
    carry : columns of the frame that the result keeps, where they are there
    bands, drop_unknown_bands : as in `catalogs.read`

    Returns
    -------
    DataFrame
        `carry`, then the columns of `embedding_table` and ``fusion``, in Arrow types; with the index of the frame,
        without stars that have no usable observation.

    Raises
    ------
    ValueError
        If columns are missing, or a band is unknown.

    Examples
    --------
    In a notebook, with ``lsdb`` and a Dask client::

        catalog = lsdb.open_catalog("my_catalogue")
        embedded = catalog.map_partitions(embed_partition, load_checkpoint("laptop"))
        embedded.head()  # one partition is computed; embedded.write_catalog("embeddings") computes all

    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> rows = simulate(2, seed=0).to_rows()
    >>> embed_partition(rows, load_checkpoint("tiny")).shape
    (2, 11)
    """
    source = pa.table({c: getattr(frame[c].array, "struct_array", None) or pa.array(frame[c]) for c in frame.columns})
    options = {"quality_cut": True, "bands": dict(bands), "drop_unknown_bands": drop_unknown_bands}
    fmt = recognised(Table(Path("frame"), "frame", source.schema, lambda *_: source))
    layout = layout_of(source.schema, (None, "Class", "lc"), options | {"drop_repeated": False, "at_least": {}}, fmt)
    if fmt.name == "irsa" or layout.object_id is None:
        raise ValueError("the rows of this frame are parts of stars; it needs an object id and a row a star")
    stars = tidy(source, layout)[0] if len(source) else None
    if stars is None:
        one = np.array([0])
        some = LightCurves.from_arrays(one, one, one + 58_000.0, one + 15.0, one + 0.1, bands=layout.bands)
        made, rows = as_arrow(fused_table(some, checkpoint, fusion)).slice(0, 0), np.array([], dtype=np.int64)
    else:
        number, ids = identifiers(source[layout.object_id], layout.object_id)
        first = dict(zip(ids.tolist(), np.unique(number, return_index=True)[1].tolist(), strict=True))
        made, rows = as_arrow(fused_table(stars, checkpoint, fusion)), np.array([first[k] for k in stars.object_id])
    kept = [c for c in carry if c in source.schema.names]
    table = _joined(source.select(kept).take(pa.array(rows)), made).to_pandas(types_mapper=pd.ArrowDtype)
    table.index = frame.index[rows]
    return table


def fused_table(
    lc: LightCurves,
    checkpoint: Checkpoint,
    fusion: Fusion = "mean",
    progress: bool = False,
    precision: Precision = "float32",
) -> pd.DataFrame:
    """The table of `embedding_table` with the column ``fusion``, as `astraclr embed` writes it.

    Where it was computed in bfloat16, a column ``precision`` says so.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> list(fused_table(simulate(2, seed=0), load_checkpoint("tiny")))[-2:]
    ['fusion', 'embedding']
    """
    table = embedding_table(lc, checkpoint, fusion=fusion, progress=progress, precision=precision)
    table.insert(len(table.columns) - 1, "fusion", fusion)
    if precision == "bfloat16":
        table.insert(len(table.columns) - 1, "precision", precision)
    return table


def as_arrow(table: pd.DataFrame) -> pa.Table:
    """A table of embeddings or predictions in Arrow: text as string, vectors as list<float32>.

    Examples
    --------
    >>> as_arrow(pd.DataFrame({"embedding": [np.ones(2, np.float32)]})).schema.field("embedding").type.value_type
    DataType(float)
    """
    columns = {}
    for name in table.columns:
        values = table[name]
        if name == "embedding":
            vectors = np.stack(values.to_list()) if len(values) else np.empty((0, 0), np.float32)
            ends = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
            columns[name] = pa.ListArray.from_arrays(pa.array(ends), pa.array(vectors.ravel(), pa.float32()))
        elif pd.api.types.is_numeric_dtype(values):
            columns[name] = pa.array(values.to_numpy())
        else:
            columns[name] = pa.array(values.to_list(), pa.string())
    return pa.table(columns)


def _joined(carried: pa.Table | None, table: pa.Table) -> pa.Table:
    """Columns of the source, then ours; an object id of the source keeps its name and its type."""
    if carried is None:
        return table
    twice = [name for name in table.schema.names if name in carried.schema.names]
    if clash := [name for name in twice if name != "object_id"]:
        raise ValueError(f"the source's column {', '.join(clash)} has the name of one of the results; rename it")
    table = table.drop_columns(twice)
    columns = dict(zip(carried.schema.names, carried.columns, strict=True))
    return pa.table(columns | dict(zip(table.schema.names, table.columns, strict=True)))


def peak_mb() -> float:
    """Most memory that this process has taken so far, in MB; 0 where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM"))
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 1024)
