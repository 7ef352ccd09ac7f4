"""Scores of a classifier: accuracy, F1, confusion, calibration, and intervals from resampled objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from astraclr.evaluate.paired import confusion_scores, drawn_objects

CALIBRATION_BINS = 15

NATURAL: dict[str, int] = {
    "AGN": 1_035_207,
    "CEP": 16_141,
    "CV": 7_306,
    "DSCT|GDOR|SXPHE": 748_058,
    "ECL": 2_184_356,
    "ELL": 65_300,
    "LPV": 2_325_775,
    "RR": 297_778,
    "RS": 742_263,
    "S": 512_005,
    "SOLAR_LIKE": 1_934_844,
    "YSO": 79_375,
}
"""Sources in each class of Gaia DR3's classification (Rimoldini et al. 2023, A&A 674, A14, table 2). That another
survey finds classes in these proportions is an assumption: selection, depth and completeness differ."""


@dataclass(frozen=True)
class Scores:
    """Predictions on a test set, and how good they are.

    Attributes
    ----------
    accuracy, macro_f1 : on the test set, from the whole training set
    classes : (n_classes,) names, sorted; f1 : (n_classes,) one a class
    predicted : (n_test,) class names
    confusion : (n_classes, n_classes) counts; rows are the truth
    resampled : metric -> (n_bootstraps,) values from resampled training sets
    """

    accuracy: float
    macro_f1: float
    classes: np.ndarray
    f1: np.ndarray
    predicted: np.ndarray
    confusion: np.ndarray
    resampled: dict[str, np.ndarray] = field(default_factory=dict)

    def interval(self, metric: str = "accuracy") -> tuple[float, float]:
        """Central 95 % of the resampled values of "accuracy" or "macro_f1".

        A resample of the training set holds fewer distinct stars, so the interval can lie below the value itself.

        Raises
        ------
        ValueError
            If the training set was not resampled, or not for that metric.
        """
        if metric not in self.resampled:
            there = ", ".join(self.resampled)
            remedy = f"choose from {there}" if there else "probe with linear_probe(..., bootstraps=50)"
            raise ValueError(f"no resampled values of {metric!r} to take an interval of; {remedy}")
        low, high = np.percentile(self.resampled[metric], [2.5, 97.5])
        return float(low), float(high)

    def summary(self) -> dict[str, float]:
        """Accuracy and macro-F1, with intervals where the training set was resampled; for a metrics file."""
        out = {"accuracy": self.accuracy, "macro_f1": self.macro_f1}
        for metric in self.resampled:
            out[f"{metric}_low"], out[f"{metric}_high"] = self.interval(metric)
        return out


def score(truth: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None) -> Scores:
    """Accuracy, macro-F1, F1 per class and confusion of predicted labels.

    Parameters
    ----------
    truth, predicted : (n,) class names
    weight : (n,) weight of each star; equal weights if not given

    Returns
    -------
    Scores
        Macro-F1 is the mean over the classes that `truth` holds.

    Examples
    --------
    >>> scores = score(np.array(["RR", "RR", "ECL", "ECL"]), np.array(["RR", "ECL", "ECL", "ECL"]))
    >>> scores.accuracy, round(scores.macro_f1, 3)
    (0.75, 0.733)
    >>> scores.confusion.tolist()
    [[2, 0], [1, 1]]
    """
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    classes = np.unique(np.concatenate([truth, predicted]))
    how = {"average": None, "zero_division": 0, "sample_weight": weight}
    f1 = np.asarray(f1_score(truth, predicted, labels=classes, **how))  # pyright: ignore[reportArgumentType]
    true_classes = np.isin(classes, truth)
    return Scores(
        float(accuracy_score(truth, predicted, sample_weight=weight)),
        float(f1[true_classes].mean()),
        classes,
        f1,
        np.asarray(predicted),
        confusion_matrix(truth, predicted, labels=classes, sample_weight=weight),
    )


def majority(train_y: np.ndarray, test_y: np.ndarray) -> Scores:
    """Scores of a classifier that always answers with the most frequent class of the training set.

    Parameters
    ----------
    train_y, test_y : (n_train,), (n_test,) class names

    Examples
    --------
    >>> majority(np.array(["RR", "RR", "CV"]), np.array(["RR", "CV", "CV", "CV"])).accuracy
    0.25
    """
    classes, n = np.unique(train_y, return_counts=True)
    return score(test_y, np.full(len(test_y), classes[n.argmax()]))


def metrics(scores: Scores) -> dict[str, Any]:
    """Scores as plain JSON: accuracy, macro-F1, micro-F1, F1 per class and the number of stars.

    Where every star has one label, micro-F1 equals the accuracy.

    Examples
    --------
    >>> metrics(score(np.array(["RR", "CV"]), np.array(["RR", "RR"])))["f1"]
    {'CV': 0.0, 'RR': 0.6666666666666666}
    """
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
    """`metrics` with central 95 % intervals: test objects are drawn with replacement, each with all its rows.

    Parameters
    ----------
    scores : of the predictions, counted with `weight`
    truth, object_id : (n,) class names and identifiers, in the order of ``scores.predicted``
    seed, resamples : of the drawn objects
    weight : (n,) weight of each row, as given to `score`

    Returns
    -------
    dict
        `metrics`, and ``accuracy_low``, ``accuracy_high``, ``macro_f1_low``, ..., ``f1_low``, ``f1_high``.

    Examples
    --------
    >>> truth, predicted = np.array(["RR", "CV"] * 20), np.array(["RR", "CV", "RR", "RR"] * 10)
    >>> found = with_intervals(score(truth, predicted), truth, np.arange(40), resamples=100)
    >>> bool(found["accuracy_low"] < found["accuracy"] == 0.75 < found["accuracy_high"])
    True
    """
    names, n = scores.classes, len(scores.classes)
    cell = np.searchsorted(names, truth) * n + np.searchsorted(names, scores.predicted)  # of the confusion matrix
    draws = []
    for times in drawn_objects(object_id, seed, resamples):
        drawn = times if weight is None else times * weight
        draws.append(confusion_scores(np.bincount(cell, drawn, n * n).reshape(n, n)))
    known = np.isin(names, truth)  # a class that is only predicted has no F1 to vary
    low, high = np.nanpercentile(np.array(draws)[:, [True, True, *known]], [2.5, 97.5], axis=0).tolist()
    return {
        **metrics(scores),
        "accuracy_low": low[0],
        "accuracy_high": high[0],
        "macro_f1_low": low[1],
        "macro_f1_high": high[1],
        "f1_low": dict(zip(names[known].tolist(), low[2:], strict=True)),
        "f1_high": dict(zip(names[known].tolist(), high[2:], strict=True)),
    }


def natural_weights(label: np.ndarray) -> np.ndarray:
    """Weights with which the classes of a sample have their shares in `NATURAL`.

    Parameters
    ----------
    label : (n,) names of the 12 classes

    Returns
    -------
    (n,) weights of mean 1

    Examples
    --------
    >>> natural_weights(np.array(["ECL", "CV"])).round(3).tolist()
    [1.993, 0.007]
    """
    names, code, count = np.unique(label, return_inverse=True, return_counts=True)
    weight = np.array([NATURAL[name] for name in names], float) / count
    return (weight / weight[code].mean())[code]


def calibration_error(
    probabilities: np.ndarray, right: np.ndarray, weight: np.ndarray | None = None, bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error: mean distance between confidence and accuracy over bins of confidence.

    Parameters
    ----------
    probabilities : (n, n_classes), rows add up to 1; the largest is the confidence
    right : (n,) bool, whether the most probable class is the true one
    weight : (n,) weight of each star; equal weights if not given
    bins : of equal width between 0 and 1, each weighted with its stars (Guo et al. 2017, arXiv 1706.04599)

    Examples
    --------
    >>> round(calibration_error(np.tile([0.9, 0.1], (10, 1)), np.arange(10) < 7), 6)
    0.2
    """
    confidence = probabilities.max(1)
    weight = np.ones(len(right)) if weight is None else weight
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    excess = np.bincount(place, weight * (right - confidence), bins)
    return float(np.abs(excess).sum() / weight.sum())
