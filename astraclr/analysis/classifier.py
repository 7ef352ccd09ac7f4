"""A classifier that ships with a checkpoint: class probabilities, and flags on stars whose prediction is unreliable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate import features as crafted
from astraclr.evaluate.calibration import Temperature
from astraclr.evaluate.probes import fit_logistic, raw_coefficients
from astraclr.files import existing, replacing
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

MIN_EPOCHS = 20
"""A star with fewer epochs in every band is flagged."""
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
        `evaluate.calibration.confidence_scores`; empty if not measured
    features : names of the hand-crafted features that follow the embedding in its input; none for most heads
    feature_range : (2, n_features) least and largest value of each feature; others count as these
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

    def inputs(self, lc: LightCurves, embeddings: np.ndarray) -> np.ndarray:
        """(n, d) float64 inputs of the head: the stars' embeddings, followed by their features if it reads any.

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

    def novelty(self, x: np.ndarray) -> np.ndarray:
        """(n,) squared Mahalanobis distances of the embeddings in (n, d) `inputs`, divided by the threshold."""
        away = x[:, : len(self.centre)] - self.centre
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
    from sklearn.covariance import LedoitWolf

    embeddings, rest = x[:, : x.shape[1] - len(features)], x[:, x.shape[1] - len(features) :]
    outer = 1 - NOVELTY_QUANTILE
    inside = np.quantile(rest, [outer, 1 - outer], axis=0) if len(features) else np.zeros((2, 0))
    model = fit_logistic(np.concatenate([embeddings, np.clip(rest, *inside)], axis=1), y, C)
    coefficients, intercepts = raw_coefficients(model)
    spread = LedoitWolf().fit(embeddings)
    threshold = float(np.quantile(spread.mahalanobis(embeddings), NOVELTY_QUANTILE))
    location, precision = np.asarray(spread.location_), np.asarray(spread.get_precision())
    return Head(
        tuple(map(str, model.classes_)),
        coefficients,
        intercepts,
        location,
        precision,
        threshold,
        checkpoint if isinstance(checkpoint, str) else checkpoint.sha256,
        features=tuple(features),
        feature_range=inside,
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

    arrays = {name: np.ascontiguousarray(getattr(head, name), np.float64) for name in (*_ARRAYS, "feature_range")}
    facts = {
        "classes": head.classes,
        "threshold": head.threshold,
        "checkpoint": head.checkpoint,
        "accuracy": None if math.isnan(head.accuracy) else head.accuracy,
        "temperature": [head.temperature.base, head.temperature.growth],
        "real_sky": dict(head.real_sky),
        "features": head.features,
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
        If the file is not a head, or was fitted on embeddings of another checkpoint or another fusion.

    Examples
    --------
    >>> from astraclr.files import shipped_file
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> len(load_head(shipped_file("checkpoints/tiny/head.safetensors"), load_checkpoint("tiny")).classes)
    12
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(existing(path), framework="np") as file:
            facts = json.loads(file.metadata()["head"])
            made_with, classes, threshold = facts["checkpoint"], tuple(facts["classes"]), float(facts["threshold"])
            temperature = Temperature(*map(float, facts.get("temperature", (1.0, 0.0))))
            real_sky, names_of_features = dict(facts.get("real_sky", {})), tuple(facts.get("features", ()))
            names = file.keys()
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a head written by astraclr: {error}") from error
    if made_with != checkpoint.sha256:
        raise ValueError(
            f"{path} was fitted on checkpoint {made_with[:8]}, not {checkpoint.sha256[:8]}; "
            "fit it again with `astraclr probe --save-head`"
        )
    if missing := set(_ARRAYS) - set(arrays):
        raise ValueError(f"{path} is not a head written by astraclr: it lacks {', '.join(sorted(missing))}")
    if (d := arrays["coefficients"].shape[1] - len(names_of_features)) != checkpoint.encoder.config.d_embedding:
        raise ValueError(
            f"{path} reads embeddings of {d} numbers, checkpoint {checkpoint.name} makes "
            f"{checkpoint.encoder.config.d_embedding}; fit it on embeddings with fusion mean"
        )
    accuracy = facts.get("accuracy")
    return Head(
        classes,
        threshold=threshold,
        checkpoint=made_with,
        accuracy=math.nan if accuracy is None else accuracy,
        temperature=temperature,
        real_sky=real_sky,
        features=names_of_features,
        **arrays,
    )


def flags(lc: LightCurves, novelty: np.ndarray) -> list[str]:
    """Reasons why the prediction of each star is unreliable.

    Parameters
    ----------
    lc : light curves
    novelty : (n_stars,) of their embeddings, see `Head.novelty`

    Returns
    -------
    n_stars texts: "few epochs", "unlike training stars", both, or ""

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> flags(simulate(2, seed=0), np.array([0.5, 2.0]))
    ['', 'unlike training stars']
    """
    few, odd = np.all(lc.counts < MIN_EPOCHS, axis=1), np.asarray(novelty > 1)
    return [
        ", ".join(w for w, on in (("few epochs", f), ("unlike training stars", o)) if on)
        for f, o in zip(few.tolist(), odd.tolist(), strict=True)
    ]


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
    x = head.inputs(lc, embed(lc, checkpoint, progress=progress))
    p, novelty = head.probabilities(x), head.novelty(x)
    table = pd.DataFrame(
        {"object_id": lc.object_id, "label": lc.label, "predicted": np.array(head.classes)[p.argmax(1)]}
    )
    probabilities = pd.DataFrame(p.astype(np.float32), columns=[f"p_{c}" for c in head.classes])
    return pd.concat([table, probabilities, pd.DataFrame({"novelty": novelty, "flag": flags(lc, novelty)})], axis=1)
