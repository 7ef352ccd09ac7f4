"""Splits of labelled stars by object, so that no star is in two sets, and the samples that the paper draws."""

from __future__ import annotations

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import split
from astraclr.evaluate.embeddings import Embeddings

PAPER_SEED, PAPER_PER_CLASS, PAPER_LIMIT, PAPER_CAP = 42, 10_000, 18.0, 4_000
"""Seed of the split, objects a class (about 120,000 in 12), and of fine-tuning: faintest magnitude, labels a class."""

SHARES = {"train": 0.7, "validation": 0.2, "test": 0.1}
"""Of the objects of each class; the paper's are 0.8, 0.2 and none."""


def split_objects(
    object_id: np.ndarray, label: np.ndarray, seed: int = PAPER_SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train on, to validate on and to test on: `SHARES` of the objects of each class.

    Objects of a class, in the order of their first rows, are shuffled and cut as in the paper's code; the last eighth
    of its training part is the test part.

    Parameters
    ----------
    object_id, label : (n,) str; rows of one object stay together

    Returns
    -------
    train, validation, test : row numbers, ascending

    Raises
    ------
    ValueError
        If a class has fewer than three objects, one for each part.
    """
    classes, object_of, first = objects_by_class(object_id, label)
    part = np.empty(len(first), np.int8)
    for members in classes:
        if len(members) < 3:
            raise ValueError(
                f"class {label[first[members[0]]]} has {len(members)} objects; training, validation and "
                "test need one each: leave it out with LightCurves.with_labels"
            )
        ordered = members[np.argsort(first[members])]
        train, validation = split(len(ordered), seed=seed)
        cut = len(train) - max(1, len(train) // 8)
        for number, chosen in enumerate((train[:cut], validation, train[cut:])):
            part[ordered[chosen]] = number
    train, validation, test = (np.flatnonzero(part[object_of] == number) for number in range(3))
    return train, validation, test


def balanced_resample(label: np.ndarray, per_class: int = PAPER_PER_CLASS, seed: int = 0) -> np.ndarray:
    """Row numbers, ascending: `per_class` of every class, with replacement where a class has fewer."""
    if per_class < 1:
        raise ValueError(f"{per_class} objects a class: give at least 1")
    rng = np.random.default_rng(seed)
    rows = (np.flatnonzero(label == name) for name in np.unique(label))
    return np.sort(np.concatenate([rng.choice(r, per_class, replace=len(r) < per_class) for r in rows]))


def cap_labels(label: np.ndarray, cap: int = PAPER_CAP, seed: int = 0) -> np.ndarray:
    """Row numbers, ascending: at most `cap` of every class, drawn at random without replacement."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(label == name))[:cap] for name in np.unique(label)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


def bright(lc: LightCurves, limit: float = PAPER_LIMIT) -> np.ndarray:
    """(n_stars,) bool: whether the inverse-variance weighted mean magnitude of any band is brighter than `limit`."""
    weight, segment, n = 1.0 / np.square(lc.magerr, dtype=np.float64), lc.segment, lc.counts.size
    with np.errstate(invalid="ignore"):  # an empty band has mean NaN, and is not bright
        mean = np.bincount(segment, weight * lc.mag, n) / np.bincount(segment, weight, n)
    return np.any(mean.reshape(lc.counts.shape) < limit, axis=1)


def objects_by_class(object_id: np.ndarray, label: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Objects of every class (an object is of the class of its first row), numbered in the order of their names.

    Returns
    -------
    members : one array of numbers a class, ascending; classes in the order of their names
    object_of : (n_rows,) number of each row's object
    first : (n_objects,) first row of each object

    Raises
    ------
    ValueError
        If there is not one label for each id.
    """
    if len(object_id) != len(label):
        raise ValueError(f"{len(object_id)} object ids and {len(label)} labels; give one label for each id")
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
