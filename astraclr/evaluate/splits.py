"""Splits of labelled stars by object, so that no star is in two sets; and balanced or capped samples of them."""

from __future__ import annotations

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import split
from astraclr.evaluate.embeddings import Embeddings

PAPER_SEED, PAPER_PER_CLASS, PAPER_LIMIT, PAPER_CAP = 42, 10_000, 18.0, 4_000
"""The paper's seed of the split and objects per class (about 120,000 in 12); for fine-tuning, its magnitude limit and
largest number of labels per class."""

SHARES = {"train": 0.7, "validation": 0.2, "test": 0.1}
"""Shares of the objects of each class; the paper has 0.8 and 0.2, and no test set."""


def objects_by_class(object_id: np.ndarray, label: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Group rows by object, and objects by class.

    Objects are numbered in the order of their names; an object has the class of its first row.

    Parameters
    ----------
    object_id, label : (n_rows,) str

    Returns
    -------
    members : one array of object numbers per class, ascending; classes in the order of their names
    object_of : (n_rows,) number of each row's object
    first : (n_objects,) first row of each object

    Raises
    ------
    ValueError
        If the numbers of ids and labels differ.

    Examples
    --------
    >>> members, object_of, first = objects_by_class(np.array(["b", "a", "b"]), np.array(["RR", "CV", "RR"]))
    >>> [m.tolist() for m in members], object_of.tolist(), first.tolist()
    ([[0], [1]], [1, 0, 1], [1, 0])
    """
    if len(object_id) != len(label):
        raise ValueError(f"{len(object_id)} object ids and {len(label)} labels; give one label for each id")
    _, first, object_of = np.unique(object_id, return_index=True, return_inverse=True)
    classes = label[first]
    return [np.flatnonzero(classes == name) for name in np.unique(classes)], object_of, first


def split_by_object(
    object_id: np.ndarray, label: np.ndarray, test_share: float = 0.3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows into a training and a test set, class by class, so that no object is in both.

    Parameters
    ----------
    object_id, label : (n,) str; at least two objects per class
    test_share : share of the objects of each class; each set gets at least one object
    seed : of the random choice

    Returns
    -------
    train, test : row numbers, ascending

    Raises
    ------
    ValueError
        If `test_share` does not lie between 0 and 1, or the numbers of ids and labels differ.

    Examples
    --------
    >>> ids, label = np.arange(10).astype(str), np.repeat(["RR", "ECL"], 5)
    >>> train, test = split_by_object(ids, label, test_share=0.4)
    >>> len(train), len(test)
    (6, 4)
    """
    if not 0 < test_share < 1:
        raise ValueError(f"the test share is {test_share}; it must lie between 0 and 1, such as 0.3")
    classes, object_of, first = objects_by_class(object_id, label)
    rng, in_test = np.random.default_rng(seed), np.zeros(len(first), bool)
    for members in map(rng.permutation, classes):
        in_test[members[: np.clip(round(test_share * len(members)), 1, max(1, len(members) - 1))]] = True
    return np.flatnonzero(~in_test[object_of]), np.flatnonzero(in_test[object_of])


def split_objects(
    object_id: np.ndarray, label: np.ndarray, seed: int = PAPER_SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split rows into a training, a validation and a test set, with `SHARES` of the objects of each class.

    Objects of a class, in the order of their first rows, are shuffled and cut as in the paper's code. The last eighth
    of its training set becomes the test set.

    Parameters
    ----------
    object_id, label : (n,) str; rows of one object stay together
    seed : of the shuffles

    Returns
    -------
    train, validation, test : row numbers, ascending

    Raises
    ------
    ValueError
        If a class has fewer than three objects, one for each set.

    Examples
    --------
    >>> ids, label = np.arange(20).astype(str), np.repeat(["RR", "ECL"], 10)
    >>> [len(rows) for rows in split_objects(ids, label)]
    [14, 4, 2]
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


def cap_labels(label: np.ndarray, cap: int = PAPER_CAP, seed: int = 0, *, exact: bool = False) -> np.ndarray:
    """Draw at most `cap` rows of every class, without replacement.

    With the same seed, a smaller `cap` draws some of the same rows.

    Parameters
    ----------
    label : (n,) class names
    cap, seed : number of rows, and seed of the draw
    exact : refuse a class that has fewer than `cap` rows

    Returns
    -------
    Row numbers, ascending

    Raises
    ------
    ValueError
        If `exact`, and `cap` is below 1 or a class has fewer rows.

    Examples
    --------
    >>> label = np.array(["RR"] * 5 + ["CV"] * 2)
    >>> np.unique(label[cap_labels(label, 3)], return_counts=True)[1].tolist()
    [2, 3]
    """
    if exact:
        classes, counts = np.unique(label, return_counts=True)
        if not 1 <= cap <= counts.min():
            raise ValueError(
                f"{cap} stars per class; choose 1 to {counts.min()}, as many as there are of "
                f"{classes[counts.argmin()]!r}"
            )
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(label == name))[:cap] for name in np.unique(label)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


def balanced_resample(label: np.ndarray, per_class: int = PAPER_PER_CLASS, seed: int = 0) -> np.ndarray:
    """Draw `per_class` rows of every class, with replacement where a class has fewer.

    Parameters
    ----------
    label : (n,) class names
    per_class, seed : number of rows, and seed of the draw

    Returns
    -------
    (n_classes * per_class,) row numbers, ascending

    Raises
    ------
    ValueError
        If `per_class` is below 1.

    Examples
    --------
    >>> label = np.array(["RR"] * 5 + ["CV"] * 2)
    >>> np.unique(label[balanced_resample(label, 4)], return_counts=True)[1].tolist()
    [4, 4]
    """
    if per_class < 1:
        raise ValueError(f"{per_class} objects per class: give at least 1")
    rng = np.random.default_rng(seed)
    rows = (np.flatnonzero(label == name) for name in np.unique(label))
    return np.sort(np.concatenate([rng.choice(r, per_class, replace=len(r) < per_class) for r in rows]))


def bright(lc: LightCurves, limit: float = PAPER_LIMIT) -> np.ndarray:
    """Whether the inverse-variance weighted mean magnitude of a star is brighter than `limit` in any band.

    Parameters
    ----------
    lc : light curves
    limit : magnitude

    Returns
    -------
    (n_stars,) bool

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> bool(bright(simulate(12, seed=1), limit=30.0).all())
    True
    """
    weight, segment, n = 1.0 / np.square(lc.magerr, dtype=np.float64), lc.segment, lc.counts.size
    with np.errstate(invalid="ignore"):  # an empty band has mean NaN, and is not bright
        mean = np.bincount(segment, weight * lc.mag, n) / np.bincount(segment, weight, n)
    return np.any(mean.reshape(lc.counts.shape) < limit, axis=1)
