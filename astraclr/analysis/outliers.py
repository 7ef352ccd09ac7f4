"""Outliers among stars: an isolation forest on embeddings, and how many planted events it ranks first.

Events of kinds that no encoder was trained on are planted among ordinary stars. An isolation forest (Liu et al. 2008,
ICDM; the implementation is coniferest's) ranks all stars without labels; the share of events in its first few per cent
measures whether the embedding sets them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def disagreement(windows: np.ndarray) -> np.ndarray:
    """Largest distance, in each dimension, of a star's windows from their mean.

    A short event lies in one window of a star; the mean of all windows dilutes it.

    Parameters
    ----------
    windows : (n, n_windows, d) embeddings of each window of each star, at least two windows

    Returns
    -------
    (n, d)

    Raises
    ------
    ValueError
        If the shape is another.

    Examples
    --------
    >>> disagreement(np.array([[[0.0], [0.0], [3.0]]])).tolist()
    [[2.0]]
    """
    if windows.ndim != 3 or windows.shape[1] < 2:
        raise ValueError(f"windows of shape {windows.shape}; give (stars, windows, dimensions), at least two windows")
    return np.abs(windows - windows.mean(1, keepdims=True)).max(1)


def outlier_scores(x: np.ndarray, seed: int = 0, n_trees: int = 300) -> np.ndarray:
    """Outlier scores of stars by coniferest's isolation forest; a larger score is more unusual.

    Parameters
    ----------
    x : (n, d) embeddings or features, finite, of any scale
    seed, n_trees : of the forest

    Returns
    -------
    (n,)

    Raises
    ------
    ValueError
        For fewer than two stars, or vectors that are not finite.
    ImportError
        Without coniferest; ``pip install "astraclr[interop]"`` installs it.

    Examples
    --------
    >>> x = np.vstack([np.random.default_rng(0).normal(size=(50, 2)), [[20.0, 20.0]]])
    >>> int(outlier_scores(x).argmax())
    50
    """
    if len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"{len(x)} stars, {int((~np.isfinite(x)).any(1).sum())} of them not finite; give at least 2, all finite"
        )
    try:
        from coniferest.isoforest import IsolationForest
    except ImportError as error:
        remedy = 'outlier scores need the coniferest package: pip install "astraclr[interop]"'
        raise ImportError(remedy) from error
    x = np.ascontiguousarray(x, np.float64)
    forest: Any = IsolationForest(n_trees=n_trees, n_subsamples=min(256, len(x)), n_jobs=1, random_seed=seed)
    return -np.asarray(forest.fit(x).score_samples(x))


def purity_at_top(
    scores: np.ndarray, strange: np.ndarray, share: float, bootstraps: int = 200, seed: int = 0
) -> dict[str, float]:
    """Share of planted events among the stars of the largest scores.

    Parameters
    ----------
    scores : (n,); strange : (n,) bool, the planted ones
    share : 0 to 1, share of the stars that count as the top, at least one star
    bootstraps, seed : resamples of the ranked stars, and their seed; the scores stay the same

    Returns
    -------
    dict
        ``purity``, its central 95 % ``low`` and ``high``, ``chance`` (share of the planted), ``best`` that any ranking
        can reach, ``n_top``

    Raises
    ------
    ValueError
        If the lengths differ, none or all stars are planted, or `share` is out of range.

    Examples
    --------
    >>> found = purity_at_top(np.arange(10.0), np.arange(10) >= 8, share=0.2)
    >>> found["purity"], found["chance"], found["n_top"]
    (1.0, 0.2, 2)
    """
    if len(scores) != len(strange) or not np.any(strange) or np.all(strange):
        raise ValueError(
            f"{len(scores)} scores, {len(strange)} stars, {int(np.sum(strange))} planted: give one score "
            "per star, and planted stars among others"
        )
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1, such as 0.01")
    n_top = max(1, round(share * len(scores)))

    def purity(rows: np.ndarray) -> float:
        return float(strange[rows[np.argsort(-scores[rows], kind="stable")[:n_top]]].mean())

    rng = np.random.default_rng(seed)
    again = [purity(rng.integers(len(scores), size=len(scores))) for _ in range(bootstraps)]
    low, high = np.percentile(again, [2.5, 97.5]) if again else (np.nan, np.nan)
    best = min(1.0, float(np.sum(strange)) / n_top)
    return {
        "purity": purity(np.arange(len(scores))),
        "low": float(low),
        "high": float(high),
        "chance": float(np.mean(strange)),
        "best": best,
        "n_top": n_top,
    }
