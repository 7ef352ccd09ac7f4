"""How much of the classes can a simple reader see in frozen embeddings? Linear probe and weighted k-NN."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from astraclr.evaluate.metrics import Scores, score

PAPER_C, PAPER_BOOTSTRAPS, PAPER_K, PAPER_VOTE_TEMPERATURE = 10.0, 50, 20, 0.07
"""Constants of the paper's evaluation."""


def linear_probe(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    *,
    C: float = PAPER_C,
    bootstraps: int = 0,
    seed: int = 0,
    progress: bool = False,
) -> Scores:
    """Standardise, then multinomial logistic regression: the paper's linear probe.

    Parameters
    ----------
    train_x, test_x : (n, d) embeddings; train_y, test_y : (n,) class names
    C : inverse regularisation
    bootstraps : resamples of the training set, for intervals (`PAPER_BOOTSTRAPS`)

    Raises
    ------
    ValueError
        If the training set has fewer than two classes, lengths disagree, or an embedding is not finite.
    """
    _check(train_x, train_y, test_x, test_y)
    whole = score(test_y, fit_logistic(train_x, train_y, C).predict(test_x))
    rng = np.random.default_rng(seed)
    values = []
    for _ in tqdm(range(bootstraps), desc="bootstrap", disable=not progress or not bootstraps):
        rows = rng.integers(len(train_y), size=len(train_y))
        if len(np.unique(train_y[rows])) > 1:
            values.append(score(test_y, fit_logistic(train_x[rows], train_y[rows], C).predict(test_x)))
    resampled = {m: np.array([getattr(s, m) for s in values]) for m in ("accuracy", "macro_f1") if values}
    return Scores(**{**whole.__dict__, "resampled": resampled})


def fit_logistic(x: np.ndarray, y: np.ndarray, C: float = PAPER_C) -> Any:
    """The fitted scikit-learn pipeline StandardScaler, LogisticRegression(lbfgs, max_iter=2000)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000)).fit(x, y)


def knn_class_scores(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    k: int = PAPER_K,
    temperature: float = PAPER_VOTE_TEMPERATURE,
) -> tuple[np.ndarray, np.ndarray]:
    """Votes of the `k` most similar training stars, each ``exp(cosine / temperature)``.

    Returns
    -------
    scores (n_test, n_classes), classes (n_classes,) sorted
    """
    from sklearn.neighbors import NearestNeighbors

    if len(train_x) != len(train_y):
        raise ValueError(f"training set: {len(train_x)} embeddings and {len(train_y)} labels; they must agree")
    if k > len(train_y):
        raise ValueError(f"k {k} is more than the {len(train_y)} training stars; choose a smaller k")
    classes, code = np.unique(train_y, return_inverse=True)
    distance, neighbour = NearestNeighbors(n_neighbors=k, metric="cosine").fit(train_x).kneighbors(test_x)
    votes = np.exp((1.0 - distance) / temperature)
    scores = np.zeros((len(test_x), len(classes)))
    np.add.at(scores, (np.arange(len(test_x))[:, None], code[neighbour]), votes)
    return scores, classes


def weighted_knn(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    k: int = PAPER_K,
    temperature: float = PAPER_VOTE_TEMPERATURE,
) -> Scores:
    """Weighted k-nearest-neighbour classification by cosine similarity (see `knn_class_scores`)."""
    _check(train_x, train_y, test_x, test_y)
    scores, classes = knn_class_scores(train_x, train_y, test_x, k, temperature)
    return score(test_y, classes[scores.argmax(1)])


def _check(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> None:
    for name, x, y in (("training", train_x, train_y), ("test", test_x, test_y)):
        if len(x) != len(y) or len(y) == 0:
            raise ValueError(f"{name} set: {len(x)} embeddings and {len(y)} labels; they must agree and not be empty")
        if not np.isfinite(x).all():
            raise ValueError(f"{name} set: {int((~np.isfinite(x)).any(1).sum())} embeddings are not finite; drop them")
    if len(found := np.unique(train_y)) < 2:
        raise ValueError(f"the training labels hold one class only ({found[0]!r}); a probe needs at least two")
