"""Probes of tables of embeddings: read a table, split its stars by object, and compare three classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astraclr.evaluate.embedding_tables import Embeddings
from astraclr.evaluate.metrics import majority
from astraclr.evaluate.probes import PAPER_BOOTSTRAPS, PAPER_C, PAPER_K, linear_probe, weighted_knn
from astraclr.evaluate.splits import split_by_object

if TYPE_CHECKING:  # importing torch would slow down commands that only read tables
    from astraclr.data.lightcurves import LightCurves
    from astraclr.model.checkpoint import Checkpoint


def train_and_test(
    stars: Embeddings, other: Embeddings | None = None, test_share: float = 0.3, seed: int = 0
) -> tuple[Embeddings, Embeddings, dict[str, int]]:
    """Training and test set of labelled stars that share no object, and notes on what was left out.

    Parameters
    ----------
    stars : split by object if there is no `other`; else the training set, without the objects of `other`
    other : the test set
    test_share, seed : of the split, see `split_by_object`

    Returns
    -------
    train, test : Embeddings
    notes : reason -> number of rows left out

    Raises
    ------
    ValueError
        If too few labelled classes remain, or the two tables hold embeddings of different kinds.

    Examples
    --------
    >>> label = np.array(["RR", "ECL"] * 4 + ["", "CV"])
    >>> stars = Embeddings(np.arange(10).astype(str), label, np.zeros((10, 2), np.float32), "", "mean")
    >>> train, test, notes = train_and_test(stars, test_share=0.25)
    >>> len(train), len(test), sum(notes.values())
    (6, 2, 2)
    """
    if other is None:
        known, notes = labelled(stars)
        train, test = split_by_object(known.object_id, known.label, test_share, seed)
        return known[train], known[test], notes
    known, notes = labelled(stars, rare=1)
    test, more = labelled(other, rare=1, n_classes=1)
    train, shared = unshared(known, test)
    return train, test, notes | {f"{reason}, in the test table": n for reason, n in more.items()} | shared


def labelled(stars: Embeddings, rare: int = 2, n_classes: int = 2) -> tuple[Embeddings, dict[str, int]]:
    """Stars that a probe can use, and how many were left out for which reason.

    Left out are unlabelled stars and classes of fewer than `rare` objects, which a split cannot put into both sets.

    Parameters
    ----------
    stars : embeddings and labels
    rare : smallest number of objects per class
    n_classes : smallest number of classes

    Returns
    -------
    known : Embeddings
    notes : reason -> number of rows left out

    Raises
    ------
    ValueError
        If fewer than `n_classes` classes remain.

    Examples
    --------
    >>> label = np.array(["RR", "RR", "ECL", "ECL", "CV", ""])
    >>> known, notes = labelled(Embeddings(np.arange(6).astype(str), label, np.zeros((6, 2)), "", "mean"))
    >>> len(known), notes["left out: unlabelled star"]
    (4, 1)
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
    """Remove from a training set the objects that the test set holds too.

    Returns
    -------
    train : Embeddings
    notes : reason -> number of rows left out

    Raises
    ------
    ValueError
        If the two come from different checkpoints, or embeddings have different lengths.

    Examples
    --------
    >>> label, x = np.array(["RR", "CV"]), np.zeros((2, 3))
    >>> a, b = (Embeddings(np.array(ids), label, x, "", "mean") for ids in (["1", "2"], ["2", "3"]))
    >>> unshared(a, b)[0].object_id.tolist()
    ['1']
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


def embedded_with_control(
    curves: Sequence[LightCurves], checkpoint: Checkpoint, progress: bool = False
) -> tuple[list[Embeddings], list[Embeddings]]:
    """Embed several sets of light curves with an encoder, and with the same encoder with random weights.

    Returns
    -------
    embedded, control : lists of Embeddings, one for each set of `curves`

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> (embedded,), (control,) = embedded_with_control([simulate(4, seed=0)], load_checkpoint("tiny"))
    >>> embedded.x.shape, control.x.shape
    ((4, 64), (4, 64))
    """
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
    """Scores of the linear probe, weighted k-NN and the majority class on the same test stars.

    Parameters
    ----------
    train, test : labelled stars, see `train_and_test`
    C, bootstraps, seed : of `linear_probe`
    progress : show a bar

    Returns
    -------
    dict
        ``linear_probe``, ``knn``, ``majority`` (each accuracy and macro_f1, the first with 95 % intervals from
        resampled training sets), ``classes`` (name -> f1, train, test), ``n_train``, ``n_test``, and the settings.

    Examples
    --------
    >>> x, label = np.eye(2, dtype=np.float32)[np.arange(8) % 2], np.array(["RR", "ECL"] * 4)
    >>> stars = Embeddings(np.arange(8).astype(str), label, x, "", "mean")
    >>> found = evaluate(stars[:4], stars[4:], bootstraps=0)
    >>> found["linear_probe"]["accuracy"], found["majority"]["accuracy"]
    (1.0, 0.5)
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
