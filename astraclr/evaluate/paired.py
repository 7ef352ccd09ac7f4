"""Compare two classifiers on the same test stars, with intervals from resampled objects that both share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def paired_difference(
    truth: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    object_id: np.ndarray,
    seed: int = 0,
    resamples: int = 1_000,
) -> dict[str, float]:
    """How much better one classifier is than another on the same test stars, with paired 95 % intervals.

    Each resample draws objects with replacement and scores both classifiers on them. Easy and hard stars count for
    both alike, so the interval of the difference is narrower than two separate intervals suggest.

    Parameters
    ----------
    truth, ours, theirs : (n,) class names: true, and predicted by the two
    object_id : (n,) identifiers; an object is drawn with all its rows
    seed, resamples : of the drawn objects

    Returns
    -------
    dict
        ``accuracy`` and ``macro_f1`` of ours minus theirs, each with ``_low`` and ``_high``.

    Raises
    ------
    ValueError
        If the four differ in length.

    Examples
    --------
    >>> truth = np.array(["RR", "CV"] * 20)
    >>> found = paired_difference(truth, truth, np.array(["RR"] * 40), np.arange(40))
    >>> found["accuracy"], bool(found["accuracy_low"] > 0)
    (0.5, True)
    """
    if len({len(truth), len(ours), len(theirs), len(object_id)}) > 1:
        raise ValueError(
            f"{len(truth)} true classes, {len(ours)} and {len(theirs)} predictions, {len(object_id)} identifiers: "
            "give one of each for every row"
        )
    names = np.unique(np.concatenate([truth, ours, theirs]))
    n, (t, a, b) = len(names), (np.searchsorted(names, labels) for labels in (truth, ours, theirs))

    def difference(times: np.ndarray) -> np.ndarray:
        one, other = (confusion_scores(np.bincount(t * n + p, times, n * n).reshape(n, n)) for p in (a, b))
        return one[:2] - other[:2]

    draws = np.array([difference(times) for times in drawn_objects(object_id, seed, resamples)])
    out = {}
    for k, metric in enumerate(("accuracy", "macro_f1")):
        low, high = np.percentile(draws[:, k], [2.5, 97.5])
        value = float(difference(np.ones(len(t)))[k])
        out |= {metric: value, f"{metric}_low": float(low), f"{metric}_high": float(high)}
    return out


def drawn_objects(object_id: np.ndarray, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """How often each row counts when objects are drawn with replacement, once for every resample.

    Parameters
    ----------
    object_id : (n,) identifiers; an object is drawn with all its rows
    seed, resamples : of the drawn objects

    Yields
    ------
    (n,) int, 0 or more

    Examples
    --------
    >>> [int(times.sum()) for times in drawn_objects(np.array(["a", "b"]), seed=0, resamples=2)]
    [2, 2]
    """
    _, object_of = np.unique(object_id, return_inverse=True)
    n_objects, rng = int(object_of.max()) + 1, np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(n_objects, size=n_objects), minlength=n_objects)[object_of]


def confusion_scores(confusion: np.ndarray) -> np.ndarray:
    """(2 + n_classes,) accuracy, macro-F1, and F1 of every class; NaN for a class that is never the truth.

    Parameters
    ----------
    confusion : (n_classes, n_classes) counts; rows are the truth

    Examples
    --------
    >>> confusion_scores(np.array([[2, 0], [1, 1]])).round(3).tolist()
    [0.75, 0.733, 0.8, 0.667]
    """
    hits, true, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    f1 = np.where(true > 0, 2 * hits / np.where(true > 0, true + predicted, 1), np.nan)
    return np.array([hits.sum() / true.sum(), np.nanmean(f1), *f1])
