"""Oddities with an expert in the loop: a forest ranks stars, she says yes or no to those on top, and it ranks again.

Forests and their training are coniferest's: active anomaly detection (AAD, Das et al. 2017, arXiv 1708.09441), which
weights the leaves of an isolation forest, and Pine Forest, which grows trees to spare and keeps those that agree with
the answers. A ranking depends on vectors, answers and seed alone: not on the number of rounds, nor on their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from astraclr.analysis.outliers import disagreement
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.features import features
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS
from astraclr.model.embedding import embed

METHODS = ("pine", "aad")
USES = ("embeddings", "windows", "features")
"""What stars can be ranked by: their embedding, how much their windows disagree, hand-crafted features."""
ODD, ORDINARY, UNKNOWN = 1, -1, 0
"""What an expert said about a star."""
N_TREES, N_SPARE, PRIOR = 100, 400, 1.0
"""Trees of the forest; trees to spare of Pine Forest; weight of AAD's prior, in which all leaves count the same."""


def vectors(lc: LightCurves, checkpoint: Checkpoint, use: tuple[str, ...], progress: bool = False) -> np.ndarray:
    """Vectors of stars by which they can be ranked: those that `use` names, one after the other.

    Parameters
    ----------
    lc, checkpoint : light curves, and what embeds them
    use : some of `USES`
    progress : show bars

    Returns
    -------
    (n_stars, d) float32

    Raises
    ------
    ValueError
        For none, or one that is not in `USES`.
    ImportError
        For "features" without the package light-curve; ``pip install "astraclr[interop]"`` installs it.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> vectors(simulate(4, seed=0), load_checkpoint("tiny"), ("embeddings", "windows")).shape
    (4, 128)
    """
    if not use or any(name not in USES for name in use):
        raise ValueError(f"stars are ranked by some of {', '.join(USES)}, not by {', '.join(use) or 'nothing'}")
    parts: dict[str, np.ndarray] = {}
    if {"embeddings", "windows"} & set(use):
        crops = embed(lc, checkpoint, fusion="concat", progress=progress).reshape(len(lc), len(CROPS), -1)
        parts = {"embeddings": crops.mean(1), "windows": disagreement(crops)}
    if "features" in use:
        parts["features"] = features(lc, progress=progress)[0]
    return np.concatenate([parts[name] for name in use], axis=1).astype(np.float32)


def active_scores(
    x: np.ndarray, answers: np.ndarray | None = None, method: str = "pine", seed: int = 0, n_trees: int = N_TREES
) -> np.ndarray:
    """Scores of stars by a forest that heeds the answers of an expert; a larger score is more likely an oddity to her.

    Parameters
    ----------
    x : (n, d) vectors of the stars, finite, of any scale
    answers : (n,) `ODD`, `ORDINARY` or `UNKNOWN`; by default nothing is known, and the forest is an isolation forest
    method : "pine" or "aad"
    seed, n_trees : of the forest; equal input gives equal scores on a machine

    Returns
    -------
    (n,)

    Raises
    ------
    ValueError
        For fewer than two stars, vectors that are not finite, another number of answers, or another method.
    ImportError
        Without coniferest; ``pip install "astraclr[interop]"`` installs it.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(200, 2))
    >>> x[:5], x[5:10] = [[9.0, 0.0]], [[-9.0, 0.0]]
    >>> answers = np.zeros(200, int)
    >>> answers[0], answers[5] = ODD, ORDINARY  # she wants those on the right, not those on the left
    >>> bool(active_scores(x, answers)[1:5].min() > active_scores(x, answers)[6:10].max())
    True
    """
    if len(x) < 2 or not np.isfinite(x).all():
        strange = int((~np.isfinite(x)).any(1).sum())
        raise ValueError(f"{len(x)} stars, {strange} of them with vectors not finite; give at least 2, all finite")
    if method not in METHODS:
        raise ValueError(f"no method {method!r}; choose {' or '.join(METHODS)}")
    if answers is not None and len(answers) != len(x):
        raise ValueError(
            f"{len(answers)} answers for {len(x)} stars; give one a star, {UNKNOWN} where nothing is known"
        )
    x = np.ascontiguousarray(x, np.float32)
    forest = _forest(method, min(256, len(x)), seed, n_trees).fit(x)
    rows = np.flatnonzero(answers) if answers is not None else np.array([], int)
    if answers is not None and len(rows):
        from coniferest.label import Label

        said = np.where(answers[rows] == ODD, int(Label.ANOMALY), int(Label.REGULAR))
        forest.fit_known(x, x[rows], said)
    return -np.asarray(forest.score_samples(x))


def _forest(method: str, n_subsamples: int, seed: int, n_trees: int) -> Any:
    """A forest of coniferest, not yet grown."""
    try:
        from coniferest.aadforest import AADForest
        from coniferest.pineforest import PineForest
    except ImportError as error:
        remedy = 'a search for oddities needs the coniferest package: pip install "astraclr[interop]"'
        raise ImportError(remedy) from error
    how: dict[str, Any] = {"n_trees": n_trees, "n_subsamples": n_subsamples, "n_jobs": 1, "random_seed": seed}
    return AADForest(prior_influence=PRIOR, **how) if method == "aad" else PineForest(n_spare_trees=N_SPARE, **how)


def ranking(scores: np.ndarray) -> np.ndarray:
    """(n,) rows of stars, the largest score first; of equal ones the first.

    Examples
    --------
    >>> ranking(np.array([0.1, 0.7, 0.7])).tolist()
    [1, 2, 0]
    """
    return np.argsort(-scores, kind="stable")


def next_asked(scores: np.ndarray, answers: np.ndarray, n: int) -> np.ndarray:
    """(at most n,) rows of the stars to ask about next: those of the largest scores without an answer.

    Examples
    --------
    >>> next_asked(np.array([0.1, 0.9, 0.5]), np.array([UNKNOWN, ODD, UNKNOWN]), 1).tolist()
    [2]
    """
    order = ranking(scores)
    return order[np.asarray(answers)[order] == UNKNOWN][:n]
