"""A classifier that ships with a checkpoint: class probabilities, and flags on stars whose prediction is unreliable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate import features as crafted
from astraclr.evaluate.calibration import Temperature
from astraclr.evaluate.probes import fit_logistic, raw_coefficients
from astraclr.files import regular, replacing
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS
from astraclr.model.embedding import Fusion

NOVELTY_QUANTILE = 0.999
"""A star is flagged if it is farther from the centre than this share of the training stars."""
_ARRAYS = ("coefficients", "intercepts", "centre", "precision")


@dataclass(frozen=True)
class Head:
    """Logistic regression on fused embeddings, and the region of its training stars.

    Attributes
    ----------
    classes : names
    coefficients, intercepts : (n_classes, d), (n_classes,), on raw embeddings, or on embeddings and features
    centre, precision : of the Mahalanobis distance of an embedding from those of the training stars
    threshold : squared Mahalanobis distance above which a star is unlike the training stars
    checkpoint : SHA-256 of the weights that made the embeddings
    accuracy : on held-out stars from the same source as the training stars; NaN if unknown
    temperature : of its class scores; `analysis.head_calibration` fits it
    real_sky : what its confidence was worth on labelled real stars: ``survey``, and the numbers of
        `confidence_scores` (`evaluate.calibration`); empty if not measured
    features : names of the hand-crafted features that follow the embedding in its input; none for most heads
    feature_range : (2, n_features) least and largest value of each feature; others count as these
    fusion : of the embeddings that it reads: "mean", or "concat" of a fine-tuned encoder's three crops, whose mean has
        the distance
    """

    classes: tuple[str, ...]
    coefficients: np.ndarray
    intercepts: np.ndarray
    centre: np.ndarray
    precision: np.ndarray
    threshold: float
    checkpoint: str
    accuracy: float = math.nan
    temperature: Temperature = field(default_factory=Temperature)
    real_sky: Mapping[str, Any] = field(default_factory=dict)
    features: tuple[str, ...] = ()
    feature_range: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    fusion: Fusion = "mean"

    def inputs(self, lc: LightCurves, embeddings: np.ndarray) -> np.ndarray:
        """(n, d) float64 inputs of the head: the stars' embeddings of its `fusion`, followed by features it reads.

        Raises
        ------
        ValueError
            If the stars' bands give other features than those that the head was fitted on.
        """
        if not self.features:
            return embeddings.astype(np.float64)
        found, names = crafted.features(lc)
        if tuple(names) != self.features:
            raise ValueError(
                f"this head reads features of other bands than {', '.join(lc.bands)}; use a head without features, "
                "or fit one on stars in these bands"
            )
        return np.concatenate([embeddings, found], axis=1).astype(np.float64)

    def scores(self, x: np.ndarray) -> np.ndarray:
        """(n, n_classes) class scores of (n, d) `inputs`, not yet divided by a temperature."""
        if self.features:
            d = len(self.centre)
            x = np.concatenate([x[:, :d], np.clip(x[:, d:], *self.feature_range)], axis=1)
        return x @ self.coefficients.T + self.intercepts

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """(n, n_classes) class probabilities of (n, d) `inputs`."""
        return self.temperature.probabilities(self.scores(x), self.novelty(x))

    def named(self, p: np.ndarray) -> np.ndarray:
        """(n,) most probable class of (n, n_classes) probabilities; "" where they are not finite."""
        return np.where(np.isfinite(p).all(1), np.array(self.classes)[p.argmax(1)], "")

    def novelty(self, x: np.ndarray) -> np.ndarray:
        """(n,) squared Mahalanobis distances of the embeddings in (n, d) `inputs`, divided by the threshold."""
        d = len(self.centre)
        vectors = x[:, :d] if self.fusion == "mean" else x.reshape(len(x), -1, d).mean(1)
        away = vectors - self.centre
        return np.einsum("nd,de,ne->n", away, self.precision, away) / self.threshold


def fit_head(
    x: np.ndarray, y: np.ndarray, checkpoint: Checkpoint | str, C: float = 1.0, features: Sequence[str] = ()
) -> Head:
    """Fit a head on embeddings, or on embeddings and hand-crafted features.

    Parameters
    ----------
    x : (n, d) embeddings with fusion "mean", followed by the features
    y : (n,) class names
    checkpoint : made the embeddings; or its SHA-256
    C : inverse regularisation
    features : names of the features in the last columns of `x`, see `evaluate.features`

    Examples
    --------
    >>> x, y = np.random.default_rng(0).normal(size=(20, 2)), np.array(["RR", "ECL"] * 10)
    >>> head = fit_head(x, y, checkpoint="0" * 64)
    >>> head.classes, head.probabilities(x).shape
    (('ECL', 'RR'), (20, 2))
    """
    embeddings, rest = x[:, : x.shape[1] - len(features)], x[:, x.shape[1] - len(features) :]
    outer = 1 - NOVELTY_QUANTILE
    inside = np.quantile(rest, [outer, 1 - outer], axis=0) if len(features) else np.zeros((2, 0))
    model = fit_logistic(np.concatenate([embeddings, np.clip(rest, *inside)], axis=1), y, C)
    coefficients, intercepts = raw_coefficients(model)
    return Head(
        tuple(map(str, model.classes_)),
        coefficients,
        intercepts,
        *region_of(embeddings),
        checkpoint if isinstance(checkpoint, str) else checkpoint.sha256,
        features=tuple(features),
        feature_range=inside,
    )


def region_of(embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre, precision and threshold of a `Head` whose training stars have these (n, d) embeddings.

    Examples
    --------
    >>> [np.shape(part) for part in region_of(np.eye(4))]
    [(4,), (4, 4), ()]
    """
    from sklearn.covariance import LedoitWolf

    spread = LedoitWolf().fit(embeddings)
    threshold = float(np.quantile(spread.mahalanobis(embeddings), NOVELTY_QUANTILE))
    return np.asarray(spread.location_), np.asarray(spread.get_precision()), threshold


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

    arrays = {name: np.ascontiguousarray(getattr(head, name), np.float64) for name in (*_ARRAYS, "feature_range")}
    facts = {
        "classes": head.classes,
        "threshold": head.threshold,
        "checkpoint": head.checkpoint,
        "accuracy": None if math.isnan(head.accuracy) else head.accuracy,
        "temperature": [head.temperature.base, head.temperature.growth],
        "real_sky": dict(head.real_sky),
        "features": head.features,
    } | ({} if head.fusion == "mean" else {"fusion": head.fusion})
    with replacing(path) as part:
        part.write_bytes(save(arrays, {"head": json.dumps(facts)}))


def is_head(path: str | Path) -> bool:
    """Whether a file says of itself that it is a head, which `save_head` may replace."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(regular(path), framework="np") as file:
            return "head" in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


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
            temperature = Temperature(*map(float, facts.get("temperature", (1.0, 0.0))))
            real_sky, features = dict(facts.get("real_sky", {})), tuple(facts.get("features", ()))
            fusion = facts.get("fusion", "mean")
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
        accuracy = math.nan if facts.get("accuracy") is None else float(facts["accuracy"])
        if not isinstance(made_with, str) or not all(isinstance(c, str) and c for c in (*classes, *features)):
            raise ValueError("its checkpoint, classes and features must be text")
        if fusion not in get_args(Fusion) or (features and fusion != "mean"):
            raise ValueError(f"it reads embeddings of fusion {str(fusion)[:50]!r}")
        if missing := set(_ARRAYS) - set(arrays):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        head = Head(
            classes,
            threshold=threshold,
            checkpoint=made_with,
            accuracy=accuracy,
            temperature=temperature,
            real_sky=real_sky,
            features=features,
            fusion=fusion,
            **arrays,
        )
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
    if (d := len(head.centre)) != checkpoint.encoder.config.d_embedding:
        raise ValueError(
            f"{path} reads embeddings of {d} numbers, checkpoint {checkpoint.name} makes "
            f"{checkpoint.encoder.config.d_embedding}; fit it on embeddings with fusion mean"
        )
    return head


def _check_shapes(head: Head) -> None:
    """Raise ValueError unless the numbers of a head are finite, and as many as its classes and embeddings ask for."""
    n, d = len(head.classes), head.centre.size
    wide = d * (1 if head.fusion == "mean" else len(CROPS)) + len(head.features)
    wanted = {"coefficients": (n, wide), "intercepts": (n,), "centre": (d,), "precision": (d, d)}
    wanted["feature_range"] = (2, len(head.features))
    for name, shape in wanted.items():
        values = getattr(head, name)
        if values.shape != shape or values.dtype.kind != "f" or not np.isfinite(values).all():
            raise ValueError(f"{name} must be {shape} finite numbers, found {values.shape} {values.dtype}")
    if len(set(head.classes)) < n or n < 2 or not 0 < head.threshold < math.inf:
        raise ValueError(f"it has {n} classes and the threshold {head.threshold}")
