"""Self-training: a teacher fitted on a few labels predicts unlabelled stars, and the encoder learns these predictions.

The teacher uses summaries of whole light curves besides their embeddings; the student is the encoder, trained further
on one random, augmented window of a star at a time. As in Xie et al. 2020 (arXiv 1911.04252), with pre-training before
it as in Chen et al. 2020 (arXiv 2006.10029). Without unlabelled stars it is fine-tuning on windows that change at every
step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.config import View
from astraclr.data.lightcurves import LightCurves
from astraclr.data.summaries import summaries
from astraclr.data.tokens import Prepared, prepare
from astraclr.evaluate.finetune import FineTuned, Layers, finite, thaw
from astraclr.evaluate.heads import Standardised, fit_converged
from astraclr.evaluate.probes import best_setting, fit_logistic
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS
from astraclr.model.embedding import embed
from astraclr.train.counter_rng import Draws
from astraclr.train.summary_targets import LIMIT
from astraclr.train.views import make_view

WINDOWS = len(CROPS)
"""Windows of a star; its prediction is that of their mean embedding."""
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
"""Values of C from which the validation set chooses."""
TEACHER_C, TREES = 0.03, 400
"""Inverse regularisation of the teacher's logistic regression, and the number of its trees."""
BATCH, BESIDE, UNLABELLED = 32, 16, 64
"""Labelled stars in a step without unlabelled ones and with them, and unlabelled stars in a step."""
WARMUP, CLIP_NORM, DROPOUT = 20, 1.0, 0.1
TRAINING_VIEW = View("light", noise=0.5, colour_jitter=0.05, error_jitter=0.1, thinning=0.3, lost_band=0.1)
"""Weaker augmentation than in pre-training."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of the teacher: embeddings and summaries of stars.

    Attributes
    ----------
    windows : (n, d) mean embedding of `WINDOWS` windows
    summaries : (n, n_summaries) of whole light curves (`data.summaries`), NaN where undefined
    """

    windows: np.ndarray
    summaries: np.ndarray

    @classmethod
    def of(cls, lc: LightCurves, checkpoint: Checkpoint) -> Inputs:
        """Compute both for every star of `lc`."""
        return cls(embed(lc, checkpoint, windows=WINDOWS), summaries(prepare(lc), torch.arange(len(lc))).numpy())

    def joined(self, reference: Inputs) -> np.ndarray:
        """(n, d + n_summaries): embeddings, and summaries standardised by `reference`, 0 where undefined."""
        mean, spread = np.nanmean(reference.summaries, 0), np.nanstd(reference.summaries, 0).clip(1e-3)
        known = np.clip((self.summaries - mean) / spread, -LIMIT, LIMIT)
        return np.hstack([self.windows, np.nan_to_num(known)]).astype(np.float32)


def teacher(train: Inputs, label: np.ndarray, unlabelled: Inputs, seed: int = 0) -> Callable[[Inputs], np.ndarray]:
    """Fit the teacher: from inputs to (n, n_classes) probabilities, classes sorted.

    They are the mean of a logistic regression and of extremely randomised trees (Geurts, Ernst & Wehenkel 2006).
    `unlabelled` only sets the scale of summaries.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    x = train.joined(unlabelled)
    trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, max_features=0.2, random_state=seed)  # pyright: ignore[reportArgumentType]
    trees.fit(x, label)
    line = fit_logistic(x, label, TEACHER_C)

    def probabilities(inputs: Inputs) -> np.ndarray:
        x = inputs.joined(unlabelled)
        return ((line.predict_proba(x) + trees.predict_proba(x)) / 2).astype(np.float32)

    return probabilities


def best_probe(x: np.ndarray, y: np.ndarray, held_x: np.ndarray, held_y: np.ndarray) -> tuple[Any, float, float]:
    """Logistic regression with the C of `PENALTIES` that is best on validation stars; that C; and that accuracy."""
    models = {C: fit_logistic(x, y, C) for C in PENALTIES}
    best, accuracies = best_setting({C: model.predict(held_x) for C, model in models.items()}, held_y)
    return models[best], best, accuracies[best]


def soft_probe(x: np.ndarray, target: np.ndarray, C: float) -> nn.Sequential:
    """Fit a linear probe on (n, d) vectors to (n, n_classes) probabilities in place of labels."""
    head, inputs = nn.Sequential(Standardised(x), nn.Linear(x.shape[1], target.shape[1])), torch.as_tensor(x)
    fit_converged(lambda: head(inputs), torch.as_tensor(target), list(head.parameters()), C, max_iter=100)
    return head.eval()


class _Batches:
    """Batches of stars with their (n, n_classes) target probabilities, shuffled anew in every epoch."""

    def __init__(self, data: Prepared, target: Tensor, size: int, rng: np.random.Generator) -> None:
        self.data, self.target, self.size, self.rng = data, target, min(size, len(data)), rng
        self.left, self.epochs = np.empty(0, int), 0

    def loss(self, model: FineTuned, seed: int) -> Tensor:
        """Mean cross entropy of the next batch, each star in a random window of this epoch."""
        if len(self.left) < self.size:
            self.left, self.epochs = self.rng.permutation(len(self.data)), self.epochs + 1
        stars = torch.as_tensor(self.left[: self.size], device=self.target.device)
        self.left = self.left[self.size :]
        draws = Draws(seed, self.epochs).of(stars)
        tokens = make_view(self.data, stars, TRAINING_VIEW, model.preset, model.recipe, draws)
        return F.cross_entropy(model.head(model.encoder(tokens)), self.target[stars])


def self_train(
    checkpoint: Checkpoint,
    train: LightCurves,
    head: nn.Sequential,
    *,
    steps: int,
    learning_rate: float,
    unlabelled: LightCurves | None = None,
    guesses: np.ndarray | None = None,
    layers: Layers = "all",
    seed: int = 0,
    progress: bool = False,
) -> FineTuned:
    """Fine-tune an encoder and a head on labelled stars, and on unlabelled ones with a teacher's probabilities.

    Every epoch over either set draws other windows (`TRAINING_VIEW`). The rate rises for `WARMUP` steps and falls like
    a cosine to 0; the last step is kept, so no validation set is used.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    head : from (batch, d) mean embeddings to class scores, such as `probe_head`; it is trained, on the encoder's device
    guesses : (n_unlabelled, n_classes) probabilities, classes sorted

    Raises
    ------
    ValueError
        If `unlabelled` and `guesses` differ in number; if the loss becomes infinite or NaN.
    """
    n_guesses, n_unlabelled = (0 if some is None else len(some) for some in (guesses, unlabelled))
    if n_guesses != n_unlabelled:
        raise ValueError(f"{n_guesses} guesses for {n_unlabelled} unlabelled stars; give one for each")
    classes, code = np.unique(train.label, return_inverse=True)
    encoder, device = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False), checkpoint.encoder.device
    head.to(device)
    trained = [*thaw(encoder, layers, checkpoint.recipe).parameters(), *head.parameters()]
    model = FineTuned(encoder, head, checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame(), WINDOWS, "mean")
    rng, optimiser = np.random.default_rng(seed), torch.optim.Adam(trained, lr=learning_rate)
    truth = F.one_hot(torch.as_tensor(code, device=device), len(classes)).float()
    sets = [_Batches(prepare(train, device), truth, BATCH if unlabelled is None else BESIDE, rng)]
    if unlabelled is not None and guesses is not None:
        sets.append(_Batches(prepare(unlabelled, device), torch.as_tensor(guesses, device=device), UNLABELLED, rng))
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # drop-out draws from it
        head.train()
        for step in tqdm(range(steps), desc="fine-tuning", unit="step", disable=not progress):
            rate = min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
            optimiser.param_groups[0]["lr"] = learning_rate * rate
            loss = torch.stack([some.loss(model, len(sets) * seed + k) for k, some in enumerate(sets)]).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(trained, CLIP_NORM)
            optimiser.step()
            losses.append(finite(float(loss.detach())))
    head.eval()
    model.history = pd.DataFrame({"step": np.arange(1, steps + 1), "loss": losses})
    return model
