"""Temperature scaling of class scores, with a temperature that grows with the distance from the training stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from astraclr.evaluate.metrics import calibration_error

LEAST_GROWTH, MOST_GROWTH = 1e-4, 1e4
"""Range in which the growth of a temperature is looked for."""


@dataclass(frozen=True)
class Temperature:
    """Class scores are divided by ``base * (1 + growth * novelty)`` before the softmax.

    One temperature for all stars (Guo et al. 2017, arXiv 1706.04599) is `growth` 0. With growth, a star far from the
    training stars gets probabilities nearer to equal. The most probable class stays the same.

    Attributes
    ----------
    base : above 0
    growth : 0 or more, per unit of novelty

    Examples
    --------
    >>> Temperature(2.0).probabilities(np.array([[2.0, 0.0]]), np.zeros(1)).round(3).tolist()
    [[0.731, 0.269]]
    >>> Temperature(1.0, 1.0).of(np.array([0.0, 3.0])).tolist()
    [1.0, 4.0]
    """

    base: float = 1.0
    growth: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.base < np.inf and 0 <= self.growth < np.inf):
            raise ValueError(f"temperature {self.base} with growth {self.growth}: both finite, base > 0, growth >= 0")

    def of(self, novelty: np.ndarray) -> np.ndarray:
        """(n,) temperatures of stars with (n,) distances from the training stars."""
        return self.base * (1 + self.growth * novelty)

    def probabilities(self, scores: np.ndarray, novelty: np.ndarray) -> np.ndarray:
        """(n, n_classes) class probabilities of (n, n_classes) scores of stars with (n,) distances."""
        scaled = scores / self.of(novelty)[:, None]
        p = np.exp(scaled - scaled.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)


FEWEST = 10
"""Stars with a flag, or without one, below which their accuracy is not given."""
_MEASURED = (
    "accuracy",
    "confidence",
    "calibration_error",
    "flagged",
    "accuracy_flagged",
    "accuracy_unflagged",
    "flag_difference",
)

Scored = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Labelled stars: (n, n_classes) class scores, (n,) novelty, (n,) number of the true class."""


def log_loss(temperature: Temperature, stars: Scored) -> float:
    """Mean of minus the log of the probability of the true class.

    Examples
    --------
    >>> round(log_loss(Temperature(), (np.zeros((3, 2)), np.zeros(3), np.array([0, 1, 1]))), 4)
    0.6931
    """
    scores, novelty, truth = stars
    scaled = scores / temperature.of(novelty)[:, None]
    top = scaled.max(1)
    total = np.log(np.exp(scaled - top[:, None]).sum(1)) + top
    return float((total - scaled[np.arange(len(truth)), truth]).mean())


def fit_temperature(sets: Sequence[Scored], grows: bool = True) -> Temperature:
    """Fit a temperature to labelled stars that a head was not fitted on, by their log loss.

    Parameters
    ----------
    sets : groups of stars, such as one for each kind of damage; every group counts the same
    grows : whether the temperature may grow with the distance from the training stars

    Raises
    ------
    ValueError
        If there is no group, or an empty one.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.integers(2, size=400)
    >>> scores = 3.0 * (rng.normal(size=(400, 2)) + np.eye(2)[truth])  # three times too sure
    >>> 2.0 < fit_temperature([(scores, np.zeros(400), truth)], grows=False).base < 6.0
    True
    """
    from scipy.optimize import minimize

    if not sets or any(len(truth) == 0 for _, _, truth in sets):
        raise ValueError(f"{len(sets)} groups of stars, none of them may be empty: give labelled stars to calibrate on")

    def temperature(p: np.ndarray) -> Temperature:
        growth = float(np.exp(p[1]).clip(LEAST_GROWTH, MOST_GROWTH)) if grows else 0.0
        return Temperature(float(np.exp(p[0])), growth)

    def loss(p: np.ndarray) -> float:
        return float(np.mean([log_loss(temperature(p), stars) for stars in sets]))

    start = np.zeros(2 if grows else 1)
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8, "maxiter": 2_000})
    return temperature(found.x)


def confidence_scores(
    probabilities: np.ndarray, right: np.ndarray, flagged: np.ndarray, seed: int = 0, resamples: int = 1_000
) -> dict[str, float | int | None]:
    """What the confidence of predictions, and a flag on them, are worth on labelled stars, with 95 % intervals.

    Parameters
    ----------
    probabilities : (n, n_classes), rows add up to 1; the largest is the confidence
    right, flagged : (n,) bool, whether the most probable class is the true one, and whether the star is flagged
    seed, resamples : of stars drawn with replacement

    Returns
    -------
    dict
        ``n``, ``accuracy``, ``confidence`` (mean), ``calibration_error`` (see `metrics.calibration_error`),
        ``flagged`` (share), ``accuracy_flagged``, ``accuracy_unflagged``, ``flag_difference`` (unflagged minus
        flagged), all but n with ``_low`` and ``_high``; None where there are fewer than `FEWEST` such stars.
        ``calibration_error_of_perfect`` is the mean error that perfect probabilities would have on so few stars.

    Examples
    --------
    >>> p = np.tile([0.7, 0.3], (100, 1))
    >>> found = confidence_scores(p, np.arange(100) < 50, np.arange(100) >= 50)
    >>> round(found["calibration_error"], 3), found["flag_difference"]
    (0.2, 1.0)
    """
    rng, n = np.random.default_rng(seed), len(right)
    confidence, some, others = probabilities.max(1), flagged.sum() >= FEWEST, (~flagged).sum() >= FEWEST

    def measured(rows: np.ndarray) -> np.ndarray:
        hit, odd = right[rows], flagged[rows]
        marked = hit[odd].mean() if some and odd.any() else np.nan
        plain = hit[~odd].mean() if others and not odd.all() else np.nan
        error = calibration_error(probabilities[rows], hit)
        return np.array([hit.mean(), confidence[rows].mean(), error, odd.mean(), marked, plain, plain - marked])

    value = measured(np.arange(n))
    draws = np.array([measured(rng.integers(n, size=n)) for _ in range(resamples)])
    low, high = np.nanpercentile(np.where(np.isfinite(value), draws, 0.0), [2.5, 97.5], axis=0)
    out: dict[str, float | int | None] = {"n": n}
    for k, name in enumerate(_MEASURED):
        known = bool(np.isfinite(value[k]))
        out |= {name + end: float(v[k]) if known else None for end, v in (("", value), ("_low", low), ("_high", high))}
    perfect = [calibration_error(probabilities, rng.random(n) < confidence) for _ in range(resamples)]
    return out | {"calibration_error_of_perfect": float(np.mean(perfect))}
