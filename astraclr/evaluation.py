"""A table of embeddings is probed: stars are split by object, and three readers are compared on the same test stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from astraclr import tidying
from astraclr.probing import PAPER_BOOTSTRAPS, PAPER_C, PAPER_K, Scores, linear_probe, majority, weighted_knn
from astraclr.storage import open_parquet

if TYPE_CHECKING:  # torch would make tables of embeddings wait
    from astraclr.checkpoints import Checkpoint
    from astraclr.lightcurves import LightCurves


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
        tidying.need(file.schema_arrow.names, ("object_id", "label", "embedding"))
        wanted = ("object_id", "label", "embedding", "checkpoint", "fusion")
        table = file.read(columns=[c for c in wanted if c in file.schema_arrow.names])
        values, length = tidying.flatten(table["embedding"], "embedding")
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
    ids, labels = (np.array([v or "" for v in table[c].to_pylist()], dtype=str) for c in ("object_id", "label"))
    return Embeddings(ids, labels, x, **said)


def embedded_with_control(
    curves: Sequence[LightCurves], checkpoint: Checkpoint, progress: bool = False
) -> tuple[list[Embeddings], list[Embeddings]]:
    """Embeddings of several sets of light curves, and those of the same encoder with random weights."""
    from astraclr.checkpoints import random_control
    from astraclr.embedding import embed

    def of(encoder: Checkpoint) -> list[Embeddings]:
        return [
            Embeddings(lc.object_id, lc.label, embed(lc, encoder, progress=progress), encoder.sha256, "mean")
            for lc in curves
        ]

    return of(checkpoint), of(random_control(checkpoint))


def objects_by_class(object_id: np.ndarray, label: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Objects of every class (an object is of the class of its first row), numbered in the order of their names.

    Returns
    -------
    members : one array of numbers a class, ascending; classes in the order of their names
    object_of : (n_rows,) number of each row's object
    first : (n_objects,) first row of each object
    """
    _, first, object_of = np.unique(object_id, return_index=True, return_inverse=True)
    classes = label[first]
    return [np.flatnonzero(classes == name) for name in np.unique(classes)], object_of, first


def split_by_object(
    object_id: np.ndarray, label: np.ndarray, test_share: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to test on; each class gives its share, and no object is on both sides.

    Parameters
    ----------
    object_id, label : (n,) str; at least two objects a class
    test_share : of the objects of each class, at least one object on either side

    Returns
    -------
    train, test : row numbers, ascending
    """
    if not 0 < test_share < 1:
        raise ValueError(f"the test share is {test_share}; it must lie between 0 and 1, such as 0.3")
    classes, object_of, first = objects_by_class(object_id, label)
    rng, tested = np.random.default_rng(seed), np.zeros(len(first), bool)
    for members in map(rng.permutation, classes):
        tested[members[: np.clip(round(test_share * len(members)), 1, max(1, len(members) - 1))]] = True
    return np.flatnonzero(~tested[object_of]), np.flatnonzero(tested[object_of])


def labelled(stars: Embeddings, rare: int = 2, n_classes: int = 2) -> tuple[Embeddings, dict[str, int]]:
    """The stars that can be probed with, and how many were left out for which reason.

    Left out are unlabelled stars and classes of fewer than `rare` objects, which cannot be on both sides of a split.

    Raises
    ------
    ValueError
        If fewer than `n_classes` remain.
    """
    known = stars.label != ""
    notes = {"left out: unlabelled star": int((~known).sum())} if not known.all() else {}
    objects = {c: len(np.unique(stars.object_id[stars.label == c])) for c in np.unique(stars.label[known])}
    for name, n in objects.items():
        if n < rare:
            known &= stars.label != name
            notes[f"left out: class {name}, which has fewer than {rare} stars"] = n
    classes = np.unique(stars.label[known])
    if len(classes) < n_classes:
        what = "; ".join(f"{reason}: {n:,}" for reason, n in notes.items()) or "all stars are labelled"
        raise ValueError(
            f"a probe needs at least {n_classes} labelled classes of {rare} or more stars, found "
            f"{len(classes)} among {len(stars):,} stars ({what})"
        )
    return stars[known], notes


def unshared(train: Embeddings, test: Embeddings) -> tuple[Embeddings, dict[str, int]]:
    """`train` without the objects that `test` holds too, and how many rows that were.

    Raises
    ------
    ValueError
        If the two come from different checkpoints or have different lengths.
    """

    def kind(e: Embeddings) -> str:
        return f"checkpoint {e.checkpoint[:8] or 'unknown'}, {e.fusion} of {e.x.shape[1]} numbers"

    if train.checkpoint != test.checkpoint or train.fusion != test.fusion or train.x.shape[1] != test.x.shape[1]:
        raise ValueError(
            f"training and test embeddings are not of one kind ({kind(train)}; {kind(test)}); "
            "embed both with the same checkpoint and fusion"
        )
    shared = np.isin(train.object_id, test.object_id)
    return train[~shared], {"left out of training: star of the test table": int(shared.sum())} if shared.any() else {}


def train_and_test(
    stars: Embeddings, other: Embeddings | None = None, test_share: float = 0.3, seed: int = 0
) -> tuple[Embeddings, Embeddings, dict[str, int]]:
    """Labelled stars to train on and to test on, no object on both sides, and what was left out.

    Parameters
    ----------
    stars : split by object, or, when there is an `other`, all to train on but the objects of `other`
    other : tested on
    test_share, seed : of the split, see `split_by_object`
    """
    if other is None:
        known, notes = labelled(stars)
        train, test = split_by_object(known.object_id, known.label, test_share, seed)
        return known[train], known[test], notes
    known, notes = labelled(stars, rare=1)
    test, more = labelled(other, rare=1, n_classes=1)
    train, shared = unshared(known, test)
    return train, test, notes | {f"{reason}, in the test table": n for reason, n in more.items()} | shared


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


def metrics(scores: Scores) -> dict[str, Any]:
    """Accuracy, macro-F1, micro-F1 and F1 per class; where every star has one label, micro-F1 is the accuracy."""
    f1 = dict(zip(scores.classes.tolist(), scores.f1.tolist(), strict=True))
    return {**scores.summary(), "micro_f1": scores.accuracy, "f1": f1, "n": len(scores.predicted)}


def with_intervals(
    scores: Scores,
    truth: np.ndarray,
    object_id: np.ndarray,
    seed: int = 0,
    resamples: int = 1_000,
    weight: np.ndarray | None = None,
) -> dict[str, Any]:
    """`metrics` and central 95 % intervals: objects are drawn with replacement, each with all its rows.

    `weight` is that of every row, the one that `scores` were counted with.
    """
    names, n, (_, object_of) = scores.classes, len(scores.classes), np.unique(object_id, return_inverse=True)
    cell = np.searchsorted(names, truth) * n + np.searchsorted(names, scores.predicted)
    n_objects, rng, draws = int(object_of.max()) + 1, np.random.default_rng(seed), []
    for _ in range(resamples):
        times = np.bincount(rng.integers(n_objects, size=n_objects), minlength=n_objects)
        drawn = times[object_of] if weight is None else times[object_of] * weight
        confusion = np.bincount(cell, drawn, n * n).reshape(n, n)
        hit, real, said = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
        f1 = np.where(real > 0, 2 * hit / np.where(real > 0, real + said, 1), np.nan)
        draws.append([hit.sum() / real.sum(), np.nanmean(f1), *f1])
    seen = np.isin(names, truth)  # a class that is only predicted has no F1 to vary
    low, high = np.nanpercentile(np.array(draws)[:, [True, True, *seen]], [2.5, 97.5], axis=0).tolist()
    return {
        **metrics(scores),
        "accuracy_low": low[0],
        "accuracy_high": high[0],
        "macro_f1_low": low[1],
        "macro_f1_high": high[1],
        "f1_low": dict(zip(names[seen].tolist(), low[2:], strict=True)),
        "f1_high": dict(zip(names[seen].tolist(), high[2:], strict=True)),
    }
