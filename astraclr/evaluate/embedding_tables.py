"""Tables of embeddings that `astraclr embed` wrote, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from astraclr.data import cleaning
from astraclr.data.names import each_name
from astraclr.data.names import names as names_of
from astraclr.data.parquet import open_parquet
from astraclr.data.table_parts import is_parts, part_files


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings and labels of one table, as `astraclr embed` writes it.

    Attributes
    ----------
    object_id, label : (n,) str; a label of "" means unlabelled
    x : (n, d) float32 embeddings
    checkpoint : SHA-256 of the weights that made them, "" if unknown
    fusion : "mean" or "concat", "" if unknown
    """

    object_id: np.ndarray
    label: np.ndarray
    x: np.ndarray
    checkpoint: str
    fusion: str

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Any) -> Embeddings:
        return Embeddings(self.object_id[rows], self.label[rows], self.x[rows], self.checkpoint, self.fusion)


def read_embeddings(path: str | Path) -> Embeddings:
    """Read a table with the columns object_id, label, embedding, and optionally checkpoint and fusion.

    Parameters
    ----------
    path : parquet file, or the folder of a table in parts (`data.table_parts`), as `astraclr embed` writes them

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is truncated or empty, a column is missing or there twice, vectors differ in
        length or hold what is no finite number, or the table mixes the embeddings of several checkpoints.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> table = pd.DataFrame({"object_id": ["1"], "label": ["RR"], "embedding": [[0.5, 1.0]]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table.to_parquet(f"{folder}/embeddings.parquet")
    ...     read_embeddings(f"{folder}/embeddings.parquet").x.shape
    (1, 2)
    """
    wanted = ("object_id", "label", "embedding", "checkpoint", "fusion")
    try:
        pieces = []
        for file in map(open_parquet, part_files(path) if is_parts(path) else [path]):
            names = file.schema_arrow.names
            cleaning.need(names, wanted[:3])
            if twice := next((c for c in wanted if names.count(c) > 1), None):
                raise ValueError(f"column {twice} is there more than once; remove all but one of them")
            pieces.append(file.read(columns=[c for c in wanted if c in names]))
        table = pa.concat_tables(pieces)
        if len(table) == 0:
            raise ValueError("it holds no stars")
        ids, labels = (each_name(table[c], c) for c in ("object_id", "label"))
        x = cleaning.vectors(table["embedding"], "embedding", ids)
        kinds = {c: names_of(table[c], c, "label") for c in wanted[3:] if c in table.column_names}
    except (ValueError, OSError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError):
            raise
        named = "" if str(error).startswith(str(path)) else f"{path}: "
        raise ValueError(f"{named}{error}; make the table with `astraclr embed`") from error
    origin = {}
    for column in ("checkpoint", "fusion"):
        code, distinct = kinds.get(column, (np.zeros(1, int), [""]))
        found = [*distinct, *([None] if (code < 0).any() else [])]
        if len(found) > 1:
            raise ValueError(
                f"{path} mixes embeddings of several kinds ({column} {', '.join(map(str, found))}); they "
                "cannot be compared: embed all stars in the same way"
            )
        origin[column] = str(found[0] or "")
    return Embeddings(ids, labels, x, **origin)
