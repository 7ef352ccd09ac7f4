"""Splits of labelled stars by object, so that no star is in two sets; and balanced or capped samples of them."""

from __future__ import annotations

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import split
from astraclr.evaluate.features import band_means

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
                f"{str(classes[counts.argmin()])!r}"
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
    return np.any(band_means(lc) < limit, axis=1)  # an empty band has mean NaN, and is not bright
