"""The benchmark: the same classifiers on any vectors of the same labelled stars, chosen without the test set.

Stars are split by object into three sets. Classifiers are fitted on the training set (`fit`), their settings are chosen
on the validation set (`choose`), and the test set (`test`) is predicted once, at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from astraclr.config import Preset
from astraclr.config import preset as preset_named
from astraclr.data.splits import Splits
from astraclr.evaluate.metrics import NATURAL, calibration_error, natural_weights, score, with_intervals
from astraclr.evaluate.probes import C_GRID, PAPER_C, PAPER_K, Setting, best_setting, fit_logistic, knn_class_scores
from astraclr.evaluate.splits import cap_labels
from astraclr.simulation.simulate import simulate

FEW_LABELS = (1, 5, 20, 100)
"""Labels per class of the experiments with few labels."""

BENCH_SEED = 700_000
"""Seed of the simulated labelled stars, plus the benchmark's own; unlabelled stars have 1,000 plus their seed."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of simulated stars (unlabelled, training, validation, test), and settings that shorten a run.

    The number of pre-training `steps` is the preset's if None; `draws` are those of few labels.
    """

    unlabelled: int
    fit: int
    choose: int
    test: int
    steps: int | None = None
    epochs: int = 200
    draws: int = 5


_CODE_CHECK = Sizes(800, 600, 300, 400, steps=12, epochs=2, draws=2)

_FULL = Sizes(40_000, 6_000, 2_000, 4_000)


def sizes_of(preset: str | Preset) -> Sizes:
    """Sizes of the benchmark for a preset: few stars and steps for "tiny", at least 40,000 unlabelled stars above it.

    Examples
    --------
    >>> sizes_of("tiny").fit, sizes_of("laptop").fit
    (600, 6000)
    """
    chosen = preset_named(preset)
    return _CODE_CHECK if chosen.name == "tiny" else replace(_FULL, unlabelled=max(_FULL.unlabelled, chosen.n_stars))


def bench_stars(sizes: Sizes, seed: int = 0) -> Splits:
    """Simulate the labelled stars of the three sets, none of which is in two sets or in the pre-training set.

    Examples
    --------
    >>> [len(stars) for stars in bench_stars(Sizes(0, fit=12, choose=6, test=6))]
    [12, 6, 6]
    """
    cuts = np.cumsum([sizes.fit, sizes.choose, sizes.test])
    stars = simulate(int(cuts[-1]), seed=BENCH_SEED + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


class Vectors(NamedTuple):
    """(n, d) vectors of the stars of the three sets: training (`fit`), validation (`choose`) and test."""

    fit: np.ndarray
    choose: np.ndarray
    test: np.ndarray


class Predictions(NamedTuple):
    """(n, n_classes) class probabilities or votes, and the (n_classes,) class names in their order."""

    scores: np.ndarray
    classes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """(n,) most probable class names."""
        return self.classes[self.scores.argmax(1)]


Classifier = Callable[[np.ndarray], Predictions]
"""A fitted classifier: from (n, d) vectors to predictions."""


def logistic_classifier(x: np.ndarray, y: np.ndarray, C: float) -> Classifier:
    """Fit a linear probe (see `fit_logistic`) on (n, d) vectors and (n,) class names.

    Examples
    --------
    >>> classify = logistic_classifier(np.array([[0.0], [1.0], [5.0], [6.0]]), np.array(["CV", "CV", "RR", "RR"]), 1.0)
    >>> classify(np.array([[0.5], [5.5]])).labels.tolist()
    ['CV', 'RR']
    """
    model = fit_logistic(x, y, C)
    return lambda vectors: Predictions(model.predict_proba(vectors), model.classes_)


def knn_classifier(x: np.ndarray, y: np.ndarray, standardised: bool, k: int = PAPER_K) -> Classifier:
    """Fit a weighted k-NN classifier (see `knn_class_scores`); its scores are votes.

    Parameters
    ----------
    x, y : (n, d) vectors and (n,) class names
    standardised : whether vectors are first standardised, with the mean and standard deviation of `x`
    k : number of neighbours, at most n

    Examples
    --------
    >>> classify = knn_classifier(np.eye(2)[[0, 0, 1]], np.array(["RR", "RR", "ECL"]), standardised=False, k=1)
    >>> classify(np.eye(2)).labels.tolist()
    ['RR', 'ECL']
    """
    mean, spread = (x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)) if standardised else (0.0, 1.0)
    k = min(k, len(y))
    return lambda vectors: Predictions(*knn_class_scores((x - mean) / spread, y, (vectors - mean) / spread, k))


def best_of(
    classifiers: Mapping[Setting, Classifier], x: np.ndarray, y: np.ndarray
) -> tuple[Setting, dict[str, float]]:
    """Choose the setting whose fitted classifier is best on a validation set, by `best_setting`.

    Returns
    -------
    best : the setting
    accuracies : setting, as text -> accuracy on (n, d) vectors `x` of classes `y`, rounded to four decimals

    Examples
    --------
    >>> x, y = np.array([[0.0], [1.0], [5.0], [6.0]]), np.array(["CV", "CV", "RR", "RR"])
    >>> best_of({C: logistic_classifier(x, y, C) for C in (0.1, 1.0)}, x, y)
    (0.1, {'0.1': 1.0, '1.0': 1.0})
    """
    best, accuracies = best_setting({s: classify(x).labels for s, classify in classifiers.items()}, y)
    return best, {str(setting): round(accuracy, 4) for setting, accuracy in accuracies.items()}


def scores_with_intervals(
    predictions: Predictions,
    label: np.ndarray,
    object_id: np.ndarray,
    probable: bool = True,
    natural: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """All scores of one classifier on one set of stars, with 95 % intervals from resampled objects.

    Parameters
    ----------
    predictions : of n stars
    label, object_id : (n,) true class names, and identifiers
    probable : whether the scores are probabilities; then the calibration error is given too
    natural : whether to give scores at the class frequencies of `NATURAL` too, if all labels are of its 12 classes
    seed : of the resamples

    Returns
    -------
    dict
        Plain JSON, as `with_intervals`, and ``recall`` per class, ``macro_recall``, ``calibration_error``. Under
        ``natural`` the same predictions, counted with `natural_weights`: recall does not change, accuracy and precision
        do. Under ``natural_told`` those of the classifier whose probabilities are multiplied by these frequencies.

    Examples
    --------
    >>> predictions = Predictions(np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]), np.array(["a", "b"]))
    >>> found = scores_with_intervals(predictions, np.array(["a", "b", "b"]), np.array(["1", "2", "3"]))
    >>> found["recall"], found["macro_recall"]
    ({'a': 1.0, 'b': 0.5}, 0.75)
    """
    predicted = predictions.labels
    scores = score(label, predicted)
    known = np.isin(scores.classes, label)
    hits = scores.confusion.diagonal()[known] / scores.confusion.sum(1)[known]
    out = with_intervals(scores, label, object_id, seed)
    del out["micro_f1"]  # every star has one label: it is the accuracy
    out |= {
        "recall": dict(zip(scores.classes[known].tolist(), hits.tolist(), strict=True)),
        "macro_recall": float(hits.mean()),
    }
    if probable:
        out["calibration_error"] = calibration_error(predictions.scores, predicted == label)
    if natural and set(predictions.classes) | set(label) <= set(NATURAL):
        weight = natural_weights(label)
        counted = {"natural": predicted}
        if probable:
            prior = [NATURAL[name] for name in predictions.classes]
            counted["natural_told"] = predictions._replace(scores=predictions.scores * prior).labels
        for name, labels in counted.items():
            weighted = score(label, labels, weight)
            out[name] = _without_classes(with_intervals(weighted, label, object_id, seed, weight=weight))
    return out


def _without_classes(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores without those of single classes."""
    return {name: value for name, value in scores.items() if name not in ("f1", "f1_low", "f1_high", "recall")}


def few_labels(x: Vectors, stars: Splits, per_class: int, draws: int, seed: int = 0) -> dict[str, Any]:
    """Scores of a linear probe fitted on `per_class` labels per class, its C chosen on the validation set.

    Parameters
    ----------
    x : vectors of `stars`
    per_class : labels per class
    draws, seed : how often labels are drawn; the draws have the seeds `seed`, `seed` + 1, ...

    Returns
    -------
    dict
        As `scores_with_intervals`, without single classes, of the predictions of all draws together: a test star is
        resampled with its predictions of all draws. ``C`` and ``draws`` hold the chosen C and the scores of each draw.

    Examples
    --------
    >>> stars = bench_stars(Sizes(0, fit=48, choose=24, test=24))
    >>> x = Vectors(*(np.random.default_rng(0).normal(size=(len(lc), 2)) for lc in stars))
    >>> len(few_labels(x, stars, per_class=2, draws=2)["draws"])
    2
    """
    settings, parts = [], []
    for draw in range(draws):
        rows = cap_labels(stars.fit.label, per_class, seed=seed + draw)
        classifiers = {C: logistic_classifier(x.fit[rows], stars.fit.label[rows], C) for C in C_GRID}
        settings.append(best_of(classifiers, x.choose, stars.choose.label)[0])
        parts.append(classifiers[settings[-1]](x.test))
    single = [score(stars.test.label, part.labels) for part in parts]
    label, ids = (np.tile(column, draws) for column in (stars.test.label, stars.test.object_id))
    pooled = Predictions(np.concatenate([part.scores for part in parts]), parts[0].classes)
    return _without_classes(scores_with_intervals(pooled, label, ids, seed=seed)) | {
        "C": settings,
        "draws": [{"accuracy": s.accuracy, "macro_f1": s.macro_f1} for s in single],
    }


def assess(x: Vectors, stars: Splits, few: Sequence[int] = FEW_LABELS, draws: int = 5, seed: int = 0) -> dict[str, Any]:
    """Scores of every classifier of the benchmark on one kind of vectors.

    Parameters
    ----------
    x : vectors of `stars`, such as embeddings or hand-crafted features
    stars : labelled stars of the three sets
    few : numbers of labels per class; those that the training set does not hold for every class are left out
    draws, seed : how often few labels are drawn; the draws have the seeds `seed`, `seed` + 1, ...

    Returns
    -------
    dict
        Plain JSON: ``linear_probe`` (C chosen), ``linear_probe_C10`` (the paper's C), ``knn``, and ``few_labels`` by
        number of labels per class, each as `scores_with_intervals`. ``chosen`` is the chosen setting, ``middle`` the
        accuracy of every setting on the validation set, ``width`` the number d of dimensions.

    Raises
    ------
    ValueError
        If vectors and stars do not match in number, or a vector is not finite.

    Examples
    --------
    >>> stars = bench_stars(Sizes(0, fit=24, choose=12, test=12))
    >>> x = Vectors(*(np.random.default_rng(0).normal(size=(len(lc), 2)) for lc in stars))
    >>> list(assess(x, stars, few=()))
    ['width', 'linear_probe', 'knn', 'linear_probe_C10', 'few_labels']
    """
    for part, vectors, lc in zip(Splits._fields, x, stars, strict=True):
        if len(vectors) != len(lc) or not np.isfinite(vectors).all():
            raise ValueError(
                f"split {part}: {len(vectors)} vectors of {len(lc)} stars, "
                f"{int((~np.isfinite(vectors)).sum())} numbers not finite; give one finite vector per star"
            )
    fit_y, out = stars.fit.label, {"width": x.fit.shape[1]}
    linear = {C: logistic_classifier(x.fit, fit_y, C) for C in C_GRID}
    near = {kind: knn_classifier(x.fit, fit_y, kind == "standardised") for kind in ("as is", "standardised")}

    def scores(classify: Classifier, probable: bool = True) -> dict[str, Any]:
        return scores_with_intervals(classify(x.test), stars.test.label, stars.test.object_id, probable, seed=seed)

    chosen, accuracies = best_of(linear, x.choose, stars.choose.label)
    out["linear_probe"] = {"chosen": chosen, "middle": accuracies} | scores(linear[chosen])
    kind, accuracies = best_of(near, x.choose, stars.choose.label)
    out["knn"] = {"chosen": kind, "middle": accuracies} | scores(near[kind], probable=False)
    out["linear_probe_C10"] = _without_classes(scores(linear[PAPER_C]))
    fewest = np.unique(fit_y, return_counts=True)[1].min()
    out["few_labels"] = {str(n): few_labels(x, stars, n, draws, seed) for n in few if n <= fewest}
    return out
