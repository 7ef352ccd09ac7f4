"""A table of embeddings is probed: stars are split by object, and three readers are compared on the same test stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astraclr.data import cleaning
from astraclr.data.parquet import open_parquet
from astraclr.evaluate.metrics import majority
from astraclr.evaluate.probes import PAPER_BOOTSTRAPS, PAPER_C, PAPER_K, linear_probe, weighted_knn

if TYPE_CHECKING:  # torch would make tables of embeddings wait
    from astraclr.data.lightcurves import LightCurves
    from astraclr.model.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings and labels of one table, as `astraclr embed` writes it.

    Attributes
    ----------
    object_id, label : (n,) str; a label of "" means unlabelled
    x : (n, d) float32
    checkpoint : SHA-256 of the weights that made them, "" if the table does not say
    fusion : "mean", "concat", or "" if the table does not say
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
    """Read a parquet table with the columns object_id, label, embedding [checkpoint, fusion].

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is truncated or empty, a column is missing, vectors differ in length, or the
        table mixes the embeddings of several checkpoints.
    """
    file = open_parquet(path)
    try:
        cleaning.need(file.schema_arrow.names, ("object_id", "label", "embedding"))
        wanted = ("object_id", "label", "embedding", "checkpoint", "fusion")
        table = file.read(columns=[c for c in wanted if c in file.schema_arrow.names])
        values, length = cleaning.flatten(table["embedding"], "embedding")
    except ValueError as error:
        raise ValueError(f"{path}: {error}; make the table with `astraclr embed`") from error
    if len(length) == 0:
        raise ValueError(f"{path} holds no stars")
    if len(np.unique(length)) > 1 or length[0] == 0:
        raise ValueError(f"{path}: embeddings of {length.min()} to {length.max()} numbers; all must be of one length")
    said = {}
    for column in ("checkpoint", "fusion"):
        found = table[column].unique().to_pylist() if column in table.column_names else [""]
        if len(found) > 1:
            raise ValueError(
                f"{path} mixes embeddings of several kinds ({column} {', '.join(map(str, found))}); they "
                "cannot be compared: embed all stars in the same way"
            )
        said[column] = str(found[0])
    x = np.asarray(values, np.float32).reshape(len(length), length[0])
    ids, labels = (
        np.array(["" if v is None else v for v in table[c].to_pylist()], dtype=str) for c in ("object_id", "label")
    )
    return Embeddings(ids, labels, x, **said)


def embedded_with_control(
    curves: Sequence[LightCurves], checkpoint: Checkpoint, progress: bool = False
) -> tuple[list[Embeddings], list[Embeddings]]:
    """Embeddings of several sets of light curves, and those of the same encoder with random weights."""
    from astraclr.model.checkpoint import random_control
    from astraclr.model.embedding import embed

    def of(encoder: Checkpoint) -> list[Embeddings]:
        return [
            Embeddings(lc.object_id, lc.label, embed(lc, encoder, progress=progress), encoder.sha256, "mean")
            for lc in curves
        ]

    return of(checkpoint), of(random_control(checkpoint))


def evaluate(
    train: Embeddings,
    test: Embeddings,
    *,
    C: float = PAPER_C,
    bootstraps: int = PAPER_BOOTSTRAPS,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Linear probe, weighted k-NN and the majority class on the same test stars.

    Returns
    -------
    dict
        ``linear_probe``, ``knn``, ``majority`` (each accuracy and macro_f1, the first with 95 % intervals from
        resampled training sets), ``classes`` (name -> f1, train, test), ``n_train``, ``n_test``, and the settings.
    """
    sets = train.x, train.label, test.x, test.label
    linear = linear_probe(*sets, C=C, bootstraps=bootstraps, seed=seed, progress=progress)
    k = min(PAPER_K, len(train))
    classes = {
        str(c): {"f1": float(f1), "train": int((train.label == c).sum()), "test": int((test.label == c).sum())}
        for c, f1 in zip(linear.classes, linear.f1, strict=True)
    }
    return {
        "linear_probe": linear.summary(),
        "knn": {**weighted_knn(*sets, k=k).summary(), "k": k},
        "majority": majority(train.label, test.label).summary(),
        "classes": classes,
        "n_train": len(train),
        "n_test": len(test),
        "C": C,
        "bootstraps": bootstraps,
        "seed": seed,
        "checkpoint": train.checkpoint,
        "fusion": train.fusion,
    }
