"""Periods predicted from embeddings: ridge regression of the logarithm, and shares of right and aliased periods."""

from __future__ import annotations

import numpy as np

TOLERANCE = 0.10
"""Largest relative difference of periods that count as equal."""

_PENALTIES = np.logspace(-3, 5, 17)


def period_regression(
    train_x: np.ndarray, train_period: np.ndarray, test_x: np.ndarray, test_period: np.ndarray
) -> dict[str, float]:
    """Scores of a ridge regression of log10 period on standardised vectors.

    The penalty is chosen by leave-one-out cross-validation on the training stars.

    Parameters
    ----------
    train_x, test_x : (n, d) embeddings or features
    train_period, test_period : (n,) days

    Returns
    -------
    dict
        `period_scores` of the test stars.

    Raises
    ------
    ValueError
        If numbers of stars disagree, or a period is not positive and finite.

    Examples
    --------
    >>> period = 10 ** np.linspace(-1, 1, 40)
    >>> x = np.log10(period)[:, None]
    >>> period_regression(x[::2], period[::2], x[1::2], period[1::2])["right"]
    1.0
    """
    for name, x, period in (("training", train_x, train_period), ("test", test_x, test_period)):
        if len(x) != len(period):
            raise ValueError(f"{name} set: {len(x)} embeddings and {len(period)} periods; they must agree")
        _check(name, period)
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), RidgeCV(alphas=_PENALTIES)).fit(train_x, np.log10(train_period))
    return period_scores(10.0 ** model.predict(test_x), test_period)


def period_scores(predicted: np.ndarray, truth: np.ndarray, tolerance: float = TOLERANCE) -> dict[str, float]:
    """Scores of predicted periods.

    Parameters
    ----------
    predicted, truth : (n,) days
    tolerance : largest relative difference of periods that count as equal

    Returns
    -------
    dict
        ``r2`` of log10 period; and shares of the stars, each counted once, in this order: ``right`` within
        `tolerance`, ``half`` and ``double`` the true period, ``day_alias``, where the frequency is off by one cycle per
        day, ``other``.

    Raises
    ------
    ValueError
        If the lengths differ, a period is not positive and finite, or all true periods are equal.

    Examples
    --------
    >>> found = period_scores(np.array([0.5, 0.5, 7.0]), np.array([0.5, 1.0, 2.0]))
    >>> [round(found[name], 2) for name in ("right", "half", "other")]
    [0.33, 0.33, 0.33]
    """
    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)} predicted and {len(truth)} true periods; they must agree")
    _check("test", truth)
    _check("predicted", predicted)
    log = np.log10(truth)
    spread = np.sum((log - log.mean()) ** 2)
    if spread == 0:
        raise ValueError("all true periods are equal; there is nothing to explain")
    out = {"r2": float(1 - np.sum((np.log10(predicted) - log) ** 2) / spread)}
    free = np.ones(len(truth), bool)
    with np.errstate(divide="ignore"):
        aliases = {
            "right": [truth],
            "half": [truth / 2],
            "double": [truth * 2],
            "day_alias": [1 / np.abs(1 / truth + 1), 1 / np.abs(1 / truth - 1)],
        }
    for name, periods in aliases.items():
        hit = free & np.any([np.isfinite(p) & (np.abs(predicted - p) <= tolerance * p) for p in periods], axis=0)
        out[name] = float(hit.mean())
        free &= ~hit
    return out | {"other": float(free.mean())}


def _check(name: str, period: np.ndarray) -> None:
    """Refuse periods that are not positive and finite."""
    wrong = int((~(np.isfinite(period) & (np.asarray(period) > 0))).sum())
    if len(period) == 0 or wrong:
        raise ValueError(
            f"{name} set: {wrong} of {len(period)} periods are not positive and finite; keep periodic "
            "stars: lc[np.isfinite(lc.period)]"
        )
