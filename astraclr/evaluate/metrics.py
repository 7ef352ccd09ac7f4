"""Scores of a classifier: accuracy, F1, calibration, and intervals from resampled objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

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


def calibration_error(
    probabilities: np.ndarray, right: np.ndarray, weight: np.ndarray | None = None, bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error: mean distance between confidence and accuracy over bins of confidence.

    Parameters
    ----------
    probabilities : (n, n_classes), rows add up to 1; the largest is the confidence
    right : (n,) bool
    bins : of equal width between 0 and 1, each weighted with its stars (Guo et al. 2017, arXiv 1706.04599)
    """
    confidence = probabilities.max(1)
    weight = np.ones(len(right)) if weight is None else weight
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    away = np.bincount(place, weight * (right - confidence), bins)
    return float(np.abs(away).sum() / weight.sum())


def natural_weights(label: np.ndarray) -> np.ndarray:
    """(n,) weights, of mean 1, that give every class its share in `NATURAL`; for labels of the 12 classes."""
    names, code, count = np.unique(label, return_inverse=True, return_counts=True)
    weight = np.array([NATURAL[name] for name in names], float) / count
    return (weight / weight[code].mean())[code]


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
    """Accuracy, macro-F1, F1 per class and confusion of predictions, each counted with its `weight` if given."""
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

    classes = np.unique(np.concatenate([truth, predicted]))
    how = {"average": None, "zero_division": 0, "sample_weight": weight}
    f1 = np.asarray(f1_score(truth, predicted, labels=classes, **how))  # pyright: ignore[reportArgumentType]
    seen = np.isin(classes, truth)
    return Scores(
        float(accuracy_score(truth, predicted, sample_weight=weight)),
        float(f1[seen].mean()),
        classes,
        f1,
        np.asarray(predicted),
        confusion_matrix(truth, predicted, labels=classes, sample_weight=weight),
    )


def majority(train_y: np.ndarray, test_y: np.ndarray) -> Scores:
    """Always the most frequent class: the score of knowing nothing about the star."""
    classes, n = np.unique(train_y, return_counts=True)
    return score(test_y, np.full(len(test_y), classes[n.argmax()]))


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
