"""A head that ships with a checkpoint: class probabilities, and a warning where they should not be believed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.probes import fit_logistic
from astraclr.files import existing, replacing
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

MIN_EPOCHS = 20
"""A star with fewer epochs than this in every band is flagged."""
NOVELTY_QUANTILE = 0.999
"""A star farther from the training stars than this share of them is flagged."""


@dataclass(frozen=True)
class Head:
    """Logistic regression on fused embeddings, and where its training stars lie.

    Attributes
    ----------
    classes : names; coefficients (n_classes, d), intercepts (n_classes,) on raw embeddings
    centre (d,), precision (d, d), threshold : squared Mahalanobis distance of the training stars
    checkpoint : SHA-256 of the weights that the embeddings came from
    accuracy : share of held-out stars of the training kind that such a head gets right; NaN if nobody measured it
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

    def novelty(self, x: np.ndarray) -> np.ndarray:
        """(n,) squared Mahalanobis distance over its threshold; above 1 is unlike the training stars."""
        away = x - self.centre
        return np.einsum("nd,de,ne->n", away, self.precision, away) / self.threshold


def fit_head(x: np.ndarray, y: np.ndarray, checkpoint: Checkpoint | str, C: float = 1.0) -> Head:
    """Fit a head on (n, d) embeddings (fusion "mean") and (n,) class names; `checkpoint`, or its SHA-256, made them."""
    from sklearn.covariance import LedoitWolf

    model = fit_logistic(x, y, C)
    scaler, logistic = model[0], model[1]
    coefficients = logistic.coef_ / scaler.scale_
    intercepts = logistic.intercept_ - coefficients @ scaler.mean_
    if len(logistic.classes_) == 2:  # scikit-learn keeps one row for two classes
        coefficients = np.stack([-coefficients[0], coefficients[0]]) / 2
        intercepts = np.array([-intercepts[0], intercepts[0]]) / 2
    spread = LedoitWolf().fit(x)
    threshold = float(np.quantile(spread.mahalanobis(x), NOVELTY_QUANTILE))
    location, precision = np.asarray(spread.location_), np.asarray(spread.get_precision())
    return Head(
        tuple(map(str, logistic.classes_)),
        coefficients,
        intercepts,
        location,
        precision,
        threshold,
        checkpoint if isinstance(checkpoint, str) else checkpoint.sha256,
    )


def save_head(head: Head, path: str | Path) -> None:
    """Write a head as one safetensors file."""
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
    """Read a head, and refuse one that was fitted on another checkpoint's embeddings."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(existing(path), framework="np") as file:
            facts = json.loads(file.metadata()["head"])
            made_with, classes, threshold = facts["checkpoint"], tuple(facts["classes"]), float(facts["threshold"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a head written by astraclr: {error}") from error
    if made_with != checkpoint.sha256:
        raise ValueError(
            f"{path} was fitted on checkpoint {made_with[:8]}, not {checkpoint.sha256[:8]}; "
            "fit it again with `astraclr probe --save-head`"
        )
    if missing := {"coefficients", "intercepts", "centre", "precision"} - set(arrays):
        raise ValueError(f"{path} is not a head written by astraclr: it lacks {', '.join(sorted(missing))}")
    if (d := arrays["coefficients"].shape[1]) != checkpoint.encoder.config.d_embedding:
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
        **arrays,
    )


def flags(lc: LightCurves, novelty: np.ndarray) -> list[str]:
    """Why the prediction of each star should not be believed; "" where nothing speaks against it."""
    few, odd = np.all(lc.counts < MIN_EPOCHS, axis=1), np.asarray(novelty > 1)
    return [
        ", ".join(w for w, on in (("few epochs", f), ("unlike training stars", o)) if on)
        for f, o in zip(few.tolist(), odd.tolist(), strict=True)
    ]


def prediction_table(lc: LightCurves, checkpoint: Checkpoint, head: Head, progress: bool = False) -> pd.DataFrame:
    """Class probabilities of every star.

    Columns: object_id, label, predicted, ``p_<class>``, novelty, flag ("", "few epochs", "unlike training stars", or
    both): a flagged prediction is a guess.
    """
    x = embed(lc, checkpoint, progress=progress).astype(np.float64)
    p, novelty = head.probabilities(x), head.novelty(x)
    table = pd.DataFrame(
        {"object_id": lc.object_id, "label": lc.label, "predicted": np.array(head.classes)[p.argmax(1)]}
    )
    probabilities = pd.DataFrame(p.astype(np.float32), columns=[f"p_{c}" for c in head.classes])
    return pd.concat([table, probabilities, pd.DataFrame({"novelty": novelty, "flag": flags(lc, novelty)})], axis=1)
