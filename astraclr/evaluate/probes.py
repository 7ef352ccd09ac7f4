"""Simple classifiers on frozen embeddings: linear probe (logistic regression) and weighted k-nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from astraclr.evaluate.metrics import Scores, score

PAPER_C, PAPER_BOOTSTRAPS, PAPER_K, PAPER_VOTE_TEMPERATURE = 10.0, 50, 20, 0.07
"""Constants of the paper's evaluation."""

C_GRID = (0.01, 0.1, 1.0, PAPER_C)
"""Inverse regularisations of the linear probe, of which the validation set chooses one."""

Setting = TypeVar("Setting")


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
    """Scores of the paper's linear probe: standardise, then multinomial logistic regression.

    Parameters
    ----------
    train_x, test_x : (n, d) embeddings; train_y, test_y : (n,) class names
    C : inverse regularisation
    bootstraps, seed : resamples of the training set, for intervals (`PAPER_BOOTSTRAPS`), and their seed
    progress : show a bar

    Raises
    ------
    ValueError
        If the training set has fewer than two classes, lengths disagree, or an embedding is not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["RR", "ECL"])[np.arange(40) % 2]
    >>> x = rng.normal(size=(40, 3)) + 9 * (y == "RR")[:, None]
    >>> linear_probe(x[:20], y[:20], x[20:], y[20:]).accuracy
    1.0
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
    """Fit the linear probe.

    Parameters
    ----------
    x : (n, d) embeddings
    y : (n,) class names
    C : inverse regularisation

    Returns
    -------
    The scikit-learn pipeline of StandardScaler and LogisticRegression(lbfgs, max_iter=2000)

    Examples
    --------
    >>> model = fit_logistic(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array(["CV", "CV", "RR", "RR"]))
    >>> model.predict([[0.5], [5.5]]).tolist()
    ['CV', 'RR']
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000)).fit(x, y)


def raw_coefficients(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients of a linear probe on raw embeddings, its standardisation folded in.

    Parameters
    ----------
    model : `fit_logistic` of (n, d) embeddings

    Returns
    -------
    coefficients, intercepts : (n_classes, d), (n_classes,); their softmax are the probabilities of the probe

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [5.0], [6.0]])
    >>> model = fit_logistic(x, np.array(["CV", "CV", "RR", "RR"]))
    >>> coefficients, intercepts = raw_coefficients(model)
    >>> scores = np.exp(x @ coefficients.T + intercepts)
    >>> bool(np.allclose(scores / scores.sum(1, keepdims=True), model.predict_proba(x)))
    True
    """
    scaler, logistic = (step for _, step in model.steps)
    coefficients = logistic.coef_ / scaler.scale_
    intercepts = logistic.intercept_ - coefficients @ scaler.mean_
    if len(logistic.classes_) == 2:  # scikit-learn keeps one row for two classes
        return np.stack([-coefficients[0], coefficients[0]]) / 2, np.array([-intercepts[0], intercepts[0]]) / 2
    return coefficients, intercepts


def best_setting(predicted: Mapping[Setting, np.ndarray], truth: np.ndarray) -> tuple[Setting, dict[Setting, float]]:
    """Choose the setting whose predictions on the validation set have the best accuracy, the first of equals.

    Parameters
    ----------
    predicted : setting -> (n,) class names predicted with it
    truth : (n,) class names of the validation set

    Returns
    -------
    best : the setting
    accuracies : setting -> accuracy

    Examples
    --------
    >>> truth = np.array(["RR", "ECL", "RR"])
    >>> best_setting({0.1: np.array(["RR", "RR", "RR"]), 1.0: truth}, truth)[0]
    1.0
    """
    accuracies = {setting: float((labels == truth).mean()) for setting, labels in predicted.items()}
    return max(accuracies, key=lambda setting: accuracies[setting]), accuracies


def weighted_knn(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    k: int = PAPER_K,
    temperature: float = PAPER_VOTE_TEMPERATURE,
) -> Scores:
    """Scores of a weighted k-nearest-neighbour classifier by cosine similarity (see `knn_class_scores`).

    Parameters
    ----------
    train_x, test_x : (n, d) embeddings; train_y, test_y : (n,) class names
    k, temperature : number of neighbours, and how fast a vote falls with the distance

    Raises
    ------
    ValueError
        As `linear_probe`, and if `k` exceeds the number of training stars.

    Examples
    --------
    >>> x, y = np.eye(2)[[0, 0, 1, 1]], np.array(["RR", "RR", "ECL", "ECL"])
    >>> weighted_knn(x, y, x, y, k=2).accuracy
    1.0
    """
    _check(train_x, train_y, test_x, test_y)
    scores, classes = knn_class_scores(train_x, train_y, test_x, k, temperature)
    return score(test_y, classes[scores.argmax(1)])


def knn_class_scores(
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    k: int = PAPER_K,
    temperature: float = PAPER_VOTE_TEMPERATURE,
) -> tuple[np.ndarray, np.ndarray]:
    """Class scores of test stars: votes of the `k` most similar training stars, each ``exp(cosine / temperature)``.

    Parameters
    ----------
    train_x, test_x : (n_train, d), (n_test, d) embeddings
    train_y : (n_train,) class names
    k, temperature : number of neighbours, and how fast a vote falls with the distance

    Returns
    -------
    scores : (n_test, n_classes)
    classes : (n_classes,) sorted

    Raises
    ------
    ValueError
        If embeddings and labels differ in number, or `k` exceeds the number of training stars.

    Examples
    --------
    >>> x, y = np.eye(2)[[0, 0, 1]], np.array(["RR", "RR", "ECL"])
    >>> scores, classes = knn_class_scores(x, y, x[:1], k=2, temperature=1.0)
    >>> classes.tolist(), scores.round(2).tolist()
    (['ECL', 'RR'], [[0.0, 5.44]])
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


def _check(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray) -> None:
    """Refuse sets whose lengths disagree, that are empty or not finite, or that hold a single class."""
    for name, x, y in (("training", train_x, train_y), ("test", test_x, test_y)):
        if len(x) != len(y) or len(y) == 0:
            raise ValueError(f"{name} set: {len(x)} embeddings and {len(y)} labels; they must agree and not be empty")
        if not np.isfinite(x).all():
            raise ValueError(f"{name} set: {int((~np.isfinite(x)).any(1).sum())} embeddings are not finite; drop them")
    if len(found := np.unique(train_y)) < 2:
        raise ValueError(f"the training labels hold one class only ({found[0]!r}); a probe needs at least two")
