"""A classifier that ships with a checkpoint: class probabilities, and flags on stars whose prediction is unreliable."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from astraclr.data.escaping import read_csv
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.probes import fit_logistic, raw_coefficients
from astraclr.files import regular, replacing
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

MIN_EPOCHS = 20
"""A star with fewer epochs in every band is flagged."""
NOVELTY_QUANTILE = 0.999
"""A star is flagged if it is farther from the centre than this share of the training stars."""


@dataclass(frozen=True)
class Head:
    """Logistic regression on fused embeddings, and the region of its training stars.

    Attributes
    ----------
    classes : names
    coefficients, intercepts : (n_classes, d), (n_classes,), on raw embeddings
    centre, precision : (d,), (d, d), of the Mahalanobis distance from the training stars
    threshold : squared Mahalanobis distance above which a star is unlike the training stars
    checkpoint : SHA-256 of the weights that made the embeddings
    accuracy : on held-out stars from the same source as the training stars; NaN if unknown
    """

    classes: tuple[str, ...]
    coefficients: np.ndarray
    intercepts: np.ndarray
    centre: np.ndarray
    precision: np.ndarray
    threshold: float
    checkpoint: str
    accuracy: float = math.nan

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(n, n_classes) class probabilities of (n, d) embeddings."""
        scores = x @ self.coefficients.T + self.intercepts
        p = np.exp(scores - scores.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)

    def named(self, p: np.ndarray) -> np.ndarray:
        """(n,) most probable class of (n, n_classes) probabilities; "" where they are not finite."""
        return np.where(np.isfinite(p).all(1), np.array(self.classes)[p.argmax(1)], "")

    def novelty(self, x: np.ndarray) -> np.ndarray:
        """(n,) squared Mahalanobis distances of (n, d) embeddings, divided by the threshold."""
        away = x - self.centre
        return np.einsum("nd,de,ne->n", away, self.precision, away) / self.threshold


def fit_head(x: np.ndarray, y: np.ndarray, checkpoint: Checkpoint | str, C: float = 1.0) -> Head:
    """Fit a head on embeddings.

    Parameters
    ----------
    x : (n, d) embeddings with fusion "mean"
    y : (n,) class names
    checkpoint : made the embeddings; or its SHA-256
    C : inverse regularisation

    Examples
    --------
    >>> x, y = np.random.default_rng(0).normal(size=(20, 2)), np.array(["RR", "ECL"] * 10)
    >>> head = fit_head(x, y, checkpoint="0" * 64)
    >>> head.classes, head.probabilities(x).shape
    (('ECL', 'RR'), (20, 2))
    """
    from sklearn.covariance import LedoitWolf

    model = fit_logistic(x, y, C)
    coefficients, intercepts = raw_coefficients(model)
    spread = LedoitWolf().fit(x)
    threshold = float(np.quantile(spread.mahalanobis(x), NOVELTY_QUANTILE))
    location, precision = np.asarray(spread.location_), np.asarray(spread.get_precision())
    return Head(
        tuple(map(str, model.classes_)),
        coefficients,
        intercepts,
        location,
        precision,
        threshold,
        checkpoint if isinstance(checkpoint, str) else checkpoint.sha256,
    )


def save_head(head: Head, path: str | Path) -> None:
    """Write a head as one safetensors file.

    Examples
    --------
    >>> import tempfile
    >>> head = fit_head(np.eye(4), np.array(["RR", "ECL"] * 2), checkpoint="0" * 64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_head(head, f"{folder}/head.safetensors")
    ...     Path(folder, "head.safetensors").exists()
    True
    """
    from safetensors.numpy import save

    arrays = {
        name: np.ascontiguousarray(getattr(head, name), np.float64)
        for name in ("coefficients", "intercepts", "centre", "precision")
    }
    facts = {
        "classes": head.classes,
        "threshold": head.threshold,
        "checkpoint": head.checkpoint,
        "accuracy": None if math.isnan(head.accuracy) else head.accuracy,
    }
    with replacing(path) as part:
        part.write_bytes(save(arrays, {"head": json.dumps(facts)}))


def load_head(path: str | Path, checkpoint: Checkpoint) -> Head:
    """Read a head that belongs to a checkpoint.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not a head, holds numbers that are not finite, or was fitted on embeddings of another checkpoint
        or another fusion.

    Examples
    --------
    >>> from astraclr.files import shipped_file
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> len(load_head(shipped_file("checkpoints/tiny/head.safetensors"), load_checkpoint("tiny")).classes)
    12
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(regular(path), framework="np") as file:
            facts = json.loads(file.metadata()["head"])
            made_with, classes, threshold = facts["checkpoint"], tuple(facts["classes"]), float(facts["threshold"])
            arrays = {name: file.get_tensor(name) for name in ("coefficients", "intercepts", "centre", "precision")}
        accuracy = math.nan if facts.get("accuracy") is None else float(facts["accuracy"])
        if not isinstance(made_with, str) or not all(isinstance(c, str) and c for c in classes):
            raise ValueError("its checkpoint and classes must be text")
        head = Head(classes, threshold=threshold, checkpoint=made_with, accuracy=accuracy, **arrays)
        _check_shapes(head)
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, OSError, RecursionError) as error:
        if isinstance(error, FileNotFoundError) or "is a pipe" in str(error):
            raise
        raise ValueError(f"{path} is not a head written by astraclr: {error}") from error
    if made_with != checkpoint.sha256:
        raise ValueError(
            f"{path} was fitted on checkpoint {made_with[:8]}, not {checkpoint.sha256[:8]}; "
            "fit it again with `astraclr probe --save-head`"
        )
    if (d := head.coefficients.shape[1]) != checkpoint.encoder.config.d_embedding:
        raise ValueError(
            f"{path} reads embeddings of {d} numbers, checkpoint {checkpoint.name} makes "
            f"{checkpoint.encoder.config.d_embedding}; fit it on embeddings with fusion mean"
        )
    return head


def _check_shapes(head: Head) -> None:
    """Raise ValueError unless the numbers of a head are finite, and as many as its classes and embeddings ask for."""
    n, d = len(head.classes), head.centre.size
    wanted = {"coefficients": (n, d), "intercepts": (n,), "centre": (d,), "precision": (d, d)}
    for name, shape in wanted.items():
        values = getattr(head, name)
        if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"{name} must be {shape} finite numbers, found {values.shape} {values.dtype}")
    if len(set(head.classes)) < n or n < 2 or not 0 < head.threshold < math.inf:
        raise ValueError(f"it has {n} classes and the threshold {head.threshold}")


def flags(lc: LightCurves, novelty: np.ndarray, p: np.ndarray | None = None) -> list[str]:
    """Reasons why the prediction of each star is unreliable.

    Parameters
    ----------
    lc : light curves
    novelty : (n_stars,) of their embeddings, see `Head.novelty`; not a number counts as unlike
    p : (n_stars, n_classes) probabilities, to flag those that are not finite

    Returns
    -------
    n_stars texts: some of "few epochs", "unlike training stars", "no finite probability", or ""

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> flags(simulate(2, seed=0), np.array([0.5, 2.0]))
    ['', 'unlike training stars']
    """
    reasons = {
        "few epochs": np.all(lc.counts < MIN_EPOCHS, axis=1),
        "unlike training stars": ~np.asarray(novelty <= 1),
        "no finite probability": np.zeros(len(lc), bool) if p is None else ~np.isfinite(p).all(1),
    }
    rows = zip(*(on.tolist() for on in reasons.values()), strict=True)
    return [", ".join(word for word, on in zip(reasons, row, strict=True) if on) for row in rows]


def prediction_table(lc: LightCurves, checkpoint: Checkpoint, head: Head, progress: bool = False) -> pd.DataFrame:
    """Predict the class probabilities of every star.

    Parameters
    ----------
    lc : light curves
    checkpoint : embeds them
    head : fitted on embeddings of `checkpoint`
    progress : show a bar

    Returns
    -------
    DataFrame
        One row per star: object_id, label, predicted, ``p_<class>``, novelty, flag (see `flags`). A flagged prediction
        is unreliable.

    Examples
    --------
    >>> from astraclr.files import shipped_file
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> tiny = load_checkpoint("tiny")
    >>> head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), tiny)
    >>> prediction_table(simulate(4, seed=0), tiny, head).shape
    (4, 17)
    """
    x = embed(lc, checkpoint, progress=progress).astype(np.float64)
    p, novelty = head.probabilities(x), head.novelty(x)
    table = pd.DataFrame({"object_id": lc.object_id, "label": lc.label, "predicted": head.named(p)})
    probabilities = pd.DataFrame(p.astype(np.float32), columns=[f"p_{c}" for c in head.classes])
    return pd.concat([table, probabilities, pd.DataFrame({"novelty": novelty, "flag": flags(lc, novelty, p)})], axis=1)


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read a table of `prediction_table` that ``astraclr predict`` wrote as CSV or parquet: the same text and numbers.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no predictions.

    Examples
    --------
    >>> import tempfile
    >>> from astraclr.data.escaping import write_csv
    >>> made = pd.DataFrame({"object_id": ["=7"], "label": [""], "predicted": ["RR"], "p_RR": [0.9], "flag": [""]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(made, Path(folder) / "classes.csv")
    ...     read_predictions(Path(folder) / "classes.csv").equals(made)
    True
    """
    path, text = regular(path), ("object_id", "label", "predicted", "flag")
    table = pd.read_parquet(path) if path.suffix == ".parquet" else read_csv(path, text)
    if missing := [name for name in text if name not in table]:
        raise ValueError(f"{path} is no table that `astraclr predict` wrote: it lacks {', '.join(missing)}")
    return table
