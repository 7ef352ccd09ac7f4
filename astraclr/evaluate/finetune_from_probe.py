"""Fine-tuning that begins at the linear probe: the head is the probe's, and then the last layers are trained too.

A head of random weights sends large, meaningless gradients into layers that were good already. Kumar et al. 2022
(arXiv 2202.10054) fit the head first; with few labels and few epochs that decides most of the result.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_DROPOUT, PAPER_NOISE, FineTuned, KeptBest, Layers, Trainer, thaw
from astraclr.evaluate.heads import probe_head
from astraclr.evaluate.probes import C_GRID, best_setting, fit_logistic
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS
from astraclr.model.embedding import Fusion, embed


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear probe on the start, middle and end crop of light curves.

    Attributes
    ----------
    fusion : whether it is fitted on the mean or the concatenation of the crops
    C : inverse regularisation
    model : scikit-learn pipeline of StandardScaler and LogisticRegression
    chosen : accuracy on the validation stars
    """

    fusion: Fusion
    C: float
    model: Any
    chosen: float

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """(n,) class names from (n, 3 d) concatenated crops."""
        return self.model.predict(fused(crops, self.fusion))


def fused(crops: np.ndarray, fusion: Fusion) -> np.ndarray:
    """Join crops: from (n, 3 d) concatenated crops to the same, or to their (n, d) mean.

    Examples
    --------
    >>> fused(np.array([[1.0, 2.0, 6.0]]), "mean").tolist()
    [[3.0]]
    """
    return crops if fusion == "concat" else crops.reshape(len(crops), len(CROPS), -1).mean(1)


def ranked_probes(
    train: np.ndarray, train_y: np.ndarray, validation: np.ndarray, validation_y: np.ndarray
) -> list[Probe]:
    """Fit probes of every fusion and every C of `C_GRID`, and sort them by validation accuracy, the best first.

    Parameters
    ----------
    train, validation : (n, 3 d) concatenated crops
    train_y, validation_y : (n,) class names

    Examples
    --------
    >>> x, y = np.eye(3)[[0, 1, 2, 0, 1, 2]], np.array(["RR", "ECL", "CV"] * 2)
    >>> best, *others = ranked_probes(x, y, x, y)
    >>> best.fusion, best.chosen, len(others)
    ('concat', 1.0, 7)
    """
    fusions: tuple[Fusion, ...] = ("mean", "concat")
    settings: list[tuple[Fusion, float]] = [(fusion, C) for fusion in fusions for C in C_GRID]
    models = {(fusion, C): fit_logistic(fused(train, fusion), train_y, C) for fusion, C in settings}
    predicted = {(fusion, C): models[fusion, C].predict(fused(validation, fusion)) for fusion, C in settings}
    _, accuracies = best_setting(predicted, validation_y)
    found = [Probe(fusion, C, models[fusion, C], accuracies[fusion, C]) for fusion, C in settings]
    return sorted(found, key=lambda probe: -probe.chosen)


def warm_finetune(
    checkpoint: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    *,
    layers: Layers,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    noise: float = PAPER_NOISE,
    seed: int = 0,
) -> FineTuned:
    """Fine-tune the last `layers` layers (or "all") and a head that begins as the best of `ranked_probes`.

    The learning rate falls linearly, epoch by epoch. Of the start and all epochs, the one of best accuracy on the
    validation stars is kept; in the history epoch 0 is the probe. All is computed where the checkpoint's encoder is.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    train, validation : labelled stars to learn from, and to choose probe and epoch by; report scores on a third set
    layers, epochs, learning_rate, batch_size, noise, seed : as of `finetune`

    Raises
    ------
    ValueError
        If the loss becomes infinite or NaN.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(24, seed=0, classes=["RR", "LPV"])
    >>> how = {"layers": 1, "epochs": 1, "learning_rate": 1e-4, "batch_size": 12}
    >>> warm_finetune(load_checkpoint("tiny"), stars[:12], stars[12:], **how).history["epoch"].tolist()
    [0, 1]
    """
    crops, held = (
        embed(lc, checkpoint, fusion="concat", device=str(checkpoint.encoder.device)) for lc in (train, validation)
    )
    probe = ranked_probes(crops, train.label, held, validation.label)[0]
    encoder = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False)
    head = probe_head(probe.model, crops, PAPER_DROPOUT).to(encoder.device)
    thawed = thaw(encoder, layers, checkpoint.recipe)
    model = FineTuned(encoder, head, checkpoint.preset, checkpoint.recipe, np.unique(train.label), pd.DataFrame())
    trainer, best = Trainer(model, thawed, train, learning_rate, batch_size, noise, seed), KeptBest(model, validation)
    best.add(0, float("nan"), probe.chosen)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # drop-out draws from it
        for epoch in range(epochs):
            trainer.optimiser.param_groups[0]["lr"] = learning_rate * (1 - epoch / epochs)
            best.add(epoch + 1, trainer.epoch())
    return best.restored()
