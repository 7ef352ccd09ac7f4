"""Tables of predicted classes: probabilities of every star, and flags on those whose prediction is unreliable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from astraclr.analysis.classifier import Head
from astraclr.data.escaping import read_csv
from astraclr.data.lightcurves import LightCurves
from astraclr.files import regular
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed

MIN_EPOCHS = 20
"""A star with fewer epochs in every band is flagged."""


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
    >>> from astraclr.analysis.classifier import load_head
    >>> from astraclr.files import shipped_file
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> tiny = load_checkpoint("tiny")
    >>> head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), tiny)
    >>> prediction_table(simulate(4, seed=0), tiny, head).shape
    (4, 17)
    """
    x = head.inputs(lc, embed(lc, checkpoint, fusion=head.fusion, progress=progress))
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
