"""Fine-tuning that begins at the linear probe: its head is the probe's, and only then layers thaw.

A head of random weights sends large, meaningless gradients into layers that were good already. Kumar et al. 2022
(arXiv 2202.10054) fit the head first; with few labels and few passes that decides most of the result.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_DROPOUT, PAPER_NOISE, FineTuned, _epoch, _thawed
from astraclr.evaluate.probes import PAPER_C, fit_logistic
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import CROPS, Fusion, embed

PENALTIES = (0.01, 0.1, 1.0, PAPER_C)
"""C of the linear probe to choose from."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear probe on start, middle and end.

    Attributes
    ----------
    fusion, C : what it reads, and its inverse regularisation
    model : scikit-learn pipeline of StandardScaler and LogisticRegression
    chosen : accuracy on the stars to choose by
    """

    fusion: Fusion
    C: float
    model: object
    chosen: float

    def predict(self, crops: np.ndarray) -> np.ndarray:
        """(n,) class names from (n, 3 d) concatenated crops."""
        return self.model.predict(fused(crops, self.fusion))  # pyright: ignore[reportAttributeAccessIssue]


def fused(crops: np.ndarray, fusion: Fusion) -> np.ndarray:
    """(n, 3 d) concatenated crops, or (n, d), their mean."""
    return crops if fusion == "concat" else crops.reshape(len(crops), len(CROPS), -1).mean(1)


def probes(fit: np.ndarray, fit_y: np.ndarray, choose: np.ndarray, choose_y: np.ndarray) -> list[Probe]:
    """Probes of every fusion and C on (n, 3 d) concatenated crops, the one of best accuracy on `choose` first."""
    tried = []
    for fusion in ("mean", "concat"):
        x, judged = fused(fit, fusion), fused(choose, fusion)
        for C in PENALTIES:
            model = fit_logistic(x, fit_y, C)
            tried.append(Probe(fusion, C, model, float((model.predict(judged) == choose_y).mean())))
    return sorted(tried, key=lambda probe: -probe.chosen)


class Standardised(nn.Module):
    """Each number minus a mean and over a spread that stay as they are; drop-out then removes nothing that is sure."""

    mean: Tensor
    spread: Tensor

    def __init__(self, x: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(x.mean(0)))
        self.register_buffer("spread", torch.as_tensor(x.std(0)).clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, d), of the shape of `x`."""
        return (x - self.mean) / self.spread


def head_of(probe: Probe, crops: np.ndarray) -> nn.Sequential:
    """A head on (batch, 3 d) concatenated crops that says what `probe` says; `crops` are those it was fitted to.

    A probe of the mean is one of the concatenation, with a third of its weights for each crop.
    """
    scaler, logistic = (step for _, step in probe.model.steps)  # pyright: ignore[reportAttributeAccessIssue]
    weight = torch.as_tensor(logistic.coef_ / scaler.scale_)
    bias = torch.as_tensor(logistic.intercept_) - weight @ torch.as_tensor(scaler.mean_).to(weight)
    if probe.fusion == "mean":
        weight = weight.repeat(1, len(CROPS)) / len(CROPS)
    first, last = Standardised(crops), nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        last.bias.copy_(bias + weight @ first.mean.to(weight))
        last.weight.copy_(weight * first.spread)
    return nn.Sequential(first, nn.Dropout(PAPER_DROPOUT), last)


def warm_finetune(
    checkpoint: Checkpoint,
    fit: LightCurves,
    choose: LightCurves,
    *,
    layers: int | Literal["all"],
    epochs: int,
    learning_rate: float,
    batch_size: int,
    noise: float = PAPER_NOISE,
    seed: int = 0,
) -> FineTuned:
    """Fine-tune the last `layers` layers (or "all") and a head that begins as the best of `probes`.

    The learning rate falls in steps to 0. Of the start and every pass, the one of best accuracy on `choose` is kept; in
    `history` epoch 0 is the probe. All is computed where the checkpoint's encoder is.
    """
    device = checkpoint.encoder.device
    classes, target = np.unique(fit.label, return_inverse=True)
    crops, held = (embed(lc, checkpoint, fusion="concat", device=str(device)) for lc in (fit, choose))
    probe = probes(crops, fit.label, held, choose.label)[0]
    encoder, head = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False), head_of(probe, crops).to(device)
    thawed = _thawed(encoder, layers, checkpoint.recipe)
    model = FineTuned(encoder, head, checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame())
    generator = torch.Generator(device).manual_seed(seed)
    seen, judged = model.look(fit, noise, generator), model.look(choose)
    truth = torch.as_tensor(target, device=device)
    optimiser = torch.optim.Adam([*head.parameters(), *thawed.parameters()], lr=learning_rate)
    rows: list[dict[str, float]] = [{"epoch": 0, "loss": float("nan"), "accuracy": probe.chosen}]
    best = copy.deepcopy((encoder.state_dict(), head.state_dict()))
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # drop-out draws from it
        for epoch in range(epochs):
            optimiser.param_groups[0]["lr"] = learning_rate * (1 - epoch / epochs)
            head.train()
            thawed.train()
            order = torch.randperm(len(fit), generator=generator, device=device)
            loss = _epoch(model, seen, truth, order.split(batch_size), optimiser)
            head.eval()
            thawed.eval()
            accuracy = float((model.named(judged, len(choose)) == choose.label).mean())
            if accuracy > max(row["accuracy"] for row in rows):
                best = copy.deepcopy((encoder.state_dict(), head.state_dict()))
            rows.append({"epoch": epoch + 1, "loss": loss, "accuracy": accuracy})
    encoder.load_state_dict(best[0])
    head.load_state_dict(best[1])
    head.eval()
    model.history = pd.DataFrame(rows)
    return model
