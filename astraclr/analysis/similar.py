"""Stars like a given one: nearest neighbours in a saved table of embeddings, exactly or through an index."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astraclr.evaluate.embedding_tables import Embeddings
from astraclr.files import sha256

if TYPE_CHECKING:  # torch is needed only for light curves
    from astraclr.analysis.similar_index import Search
    from astraclr.data.lightcurves import LightCurves
    from astraclr.model.checkpoint import Checkpoint

EXACT_UP_TO = 100_000
"""Rows of a table up to which the command line compares every star with every other and makes no index."""
_AT_ONCE = 256
"""Queries that are compared with the whole table at once; bounds memory to so many rows of similarities."""


def table_checksum(path: str | Path) -> str:
    """SHA-256 of a table of embeddings: of its file, or of the files that the manifest of a folder names.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or the folder is not complete.
    """
    from astraclr.data.table_parts import is_parts, part_files

    if not is_parts(path):
        return sha256(Path(path))
    return hashlib.sha256("".join(map(sha256, part_files(path))).encode()).hexdigest()


def unit(x: np.ndarray) -> np.ndarray:
    """Vectors scaled to length 1, (n, d) float32; a vector of zeros stays.

    Examples
    --------
    >>> unit(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    x = np.ascontiguousarray(x, np.float32)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def exact(table: np.ndarray, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` rows of a table that are most similar to each query, by comparing with all of them.

    Parameters
    ----------
    table, queries : (n, d), (m, d) float32 of length 1, see `unit`
    k : at most n

    Returns
    -------
    index, similarity : (m, k), the most similar first; cosine

    Examples
    --------
    >>> exact(np.eye(3, dtype=np.float32), np.array([[0.8, 0.6, 0]], np.float32), 2)[0].tolist()
    [[0, 1]]
    """
    index, similarity = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for first in range(0, len(queries), _AT_ONCE):
        some = queries[first : first + _AT_ONCE] @ table.T
        best = np.argpartition(-some, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(some, best, axis=1)
        order = np.lexsort((best, -found), axis=1)  # of equal ones the first in the table
        index[first : first + len(some)] = np.take_along_axis(best, order, axis=1)
        similarity[first : first + len(some)] = np.take_along_axis(found, order, axis=1)
    return index, similarity


def rows_of(table: Embeddings, ids: Sequence[str]) -> np.ndarray:
    """(n,) rows of a table with these object ids, the first of each.

    Raises
    ------
    ValueError
        If an id is not in the table.
    """
    order = np.argsort(table.object_id, kind="stable")
    wanted = np.asarray(ids, dtype=str)
    place = np.minimum(np.searchsorted(table.object_id, wanted, sorter=order), len(table) - 1)
    rows = order[place]
    if (odd := wanted[table.object_id[rows] != wanted]).size:
        more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
        raise ValueError(
            f"the table has no star {', '.join(odd[:5])}{more} among its {len(table):,}; its ids look like "
            f"{table.object_id[0]}. If this is a file of light curves, it does not exist"
        )
    return rows


def similar(
    table: Embeddings,
    queries: Embeddings,
    k: int = 10,
    search: Search | None = None,
) -> pd.DataFrame:
    """The stars of a table that are most like each of some others, by the cosine of their embeddings.

    Parameters
    ----------
    table : as `read_embeddings` gives it
    queries : stars to compare with, of the same checkpoint and fusion; a star of the table is not its own neighbour
    k : number of neighbours of each
    search : function of (queries, k) that gives (index, similarity); by default `exact` on the table

    Returns
    -------
    DataFrame
        One row a neighbour: query (object id), rank from 1, object_id, label, similarity (cosine, at most 1).

    Raises
    ------
    ValueError
        If the embeddings are of different kinds, or `k` is not less than the number of stars.

    Examples
    --------
    >>> names = np.array(["a", "b", "c"])
    >>> table = Embeddings(names, np.array(["RR", "RR", "CV"]), np.eye(3, 2, dtype=np.float32) + 0.1, "", "mean")
    >>> similar(table, table[:1], k=1)[["query", "object_id"]].to_numpy().tolist()
    [['a', 'c']]
    """
    _need_same_kind(table, queries)
    if not 1 <= k < len(table):
        raise ValueError(f"k is {k}; give 1 to {len(table) - 1}, less than the number of stars in the table")
    x = unit(queries.x)
    more = min(len(table), k + 1)  # the star itself may be among them
    index, similarity = search(x, more) if search is not None else exact(unit(table.x), x, more)
    # An index may find fewer than it was asked for (-1).
    keep = (table.object_id[index] != queries.object_id[:, None]) & (index >= 0)
    keep &= np.cumsum(keep, axis=1) <= k
    row, place = np.nonzero(keep)
    rank = np.cumsum(keep, axis=1)[row, place]
    found = index[row, place]
    return pd.DataFrame(
        {
            "query": queries.object_id[row],
            "rank": rank,
            "object_id": table.object_id[found],
            "label": table.label[found],
            "similarity": similarity[row, place],
        }
    )


def _need_same_kind(table: Embeddings, queries: Embeddings) -> None:
    if table.checkpoint != queries.checkpoint:
        raise ValueError(
            f"the table was made with checkpoint {table.checkpoint[:8] or 'unknown'}, the stars to compare with "
            f"{queries.checkpoint[:8] or 'unknown'}; embed both with the same (--checkpoint)"
        )
    if (table.fusion or "mean") != (queries.fusion or "mean") or table.x.shape[1] != queries.x.shape[1]:
        raise ValueError(
            f"the table holds {table.fusion or 'unknown'} of {table.x.shape[1]} numbers, the stars to compare with "
            f"{queries.fusion or 'unknown'} of {queries.x.shape[1]}; embed both with the same fusion"
        )


def need_encoder(table: Embeddings, checkpoint: Checkpoint) -> None:
    """Refuse an encoder that did not make a table.

    Raises
    ------
    ValueError
        If so; it names both.
    """
    if table.checkpoint != checkpoint.sha256:
        raise ValueError(
            f"the table was made with checkpoint {table.checkpoint[:8] or 'unknown'}, not {checkpoint.sha256[:8]} "
            f"({checkpoint.name}): name the encoder that made it with --checkpoint, or embed the table again"
        )


def embedded(lc: LightCurves, checkpoint: Checkpoint, table: Embeddings, progress: bool = False) -> Embeddings:
    """Light curves embedded as the stars of a table were.

    Raises
    ------
    ValueError
        If the table was made with another checkpoint, before any work starts.
    """
    from astraclr.model.embedding import embed

    need_encoder(table, checkpoint)
    x = embed(lc, checkpoint, fusion="concat" if table.fusion == "concat" else "mean", progress=progress)
    return Embeddings(lc.object_id, lc.label, x, checkpoint.sha256, table.fusion)
