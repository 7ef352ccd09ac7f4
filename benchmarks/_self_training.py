"""Self-training: a teacher with a few labels names the unlabelled stars, and the encoder learns from what it said.

The teacher reads whole light curves, windows and summaries; the student is the encoder, thawed, which sees one random
and damaged window of a star at a time. As in Xie et al. 2020 (arXiv 1911.04252), with pre-training before it as in Chen
et al. 2020 (arXiv 2006.10029). Without unlabelled stars it is plain fine-tuning on windows that change at every step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
from astraclr.evaluate.finetune import FineTuned, _thawed, finite
from astraclr.evaluate.finetune_from_probe import Standardised
from astraclr.evaluate.probes import fit_logistic
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import CROPS, embed
from astraclr.train.counter_rng import Draws
from astraclr.train.summary_targets import LIMIT
from astraclr.train.views import make_view

WINDOWS = len(CROPS)
"""Windows of a star, whose mean is read wherever a star is judged."""
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 10.0)
"""C of a probe to choose from."""
TEACHER_C, TREES = 0.03, 400
"""Inverse regularisation of the teacher's logistic half, and the trees of its other half."""
BATCH, BESIDE, UNLABELLED = 32, 16, 64
"""Labelled stars in a step, alone and beside so many unlabelled ones."""
WARMUP, CLIP_NORM, DROPOUT = 20, 1.0, 0.1
TRAINING_VIEW = View("light", noise=0.5, colour_jitter=0.05, error_jitter=0.1, thinning=0.3, lost_band=0.1)
"""Milder damage than in pre-training."""


@dataclass(frozen=True, eq=False)
class Readings:
    """What is known of stars without their labels.

    Attributes
    ----------
    windows : (n, d) mean embedding of `WINDOWS` windows
    summaries : (n, n_summaries) of whole light curves (`train.summary_targets`), NaN where there is nothing to say
    """

    windows: np.ndarray
    summaries: np.ndarray

    @classmethod
    def of(cls, lc: LightCurves, checkpoint: Checkpoint) -> Readings:
        """Both for every star of `lc`."""
        return cls(embed(lc, checkpoint, windows=WINDOWS), summaries(prepare(lc), torch.arange(len(lc))).numpy())

    def joined(self, reference: Readings) -> np.ndarray:
        """(n, d + n_summaries), summaries standardised by those of `reference` and 0 where there are none."""
        mean, spread = np.nanmean(reference.summaries, 0), np.nanstd(reference.summaries, 0).clip(1e-3)
        known = np.clip((self.summaries - mean) / spread, -LIMIT, LIMIT)
        return np.hstack([self.windows, np.nan_to_num(known)]).astype(np.float32)


def teacher(fit: Readings, label: np.ndarray, unlabelled: Readings, seed: int = 0) -> Callable[[Readings], np.ndarray]:
    """From readings to (n, n_classes) probabilities, classes sorted: the mean of a logistic regression and of trees.

    The trees are extremely randomised (Geurts, Ernst & Wehenkel 2006). `unlabelled` only sets the scale of summaries.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    x = fit.joined(unlabelled)
    trees = ExtraTreesClassifier(TREES, min_samples_leaf=2, max_features=0.2, random_state=seed)  # pyright: ignore[reportArgumentType]
    trees.fit(x, label)
    line = fit_logistic(x, label, TEACHER_C)

    def says(readings: Readings) -> np.ndarray:
        x = readings.joined(unlabelled)
        return ((line.predict_proba(x) + trees.predict_proba(x)) / 2).astype(np.float32)

    return says


def best_probe(x: np.ndarray, y: np.ndarray, choose: np.ndarray, choose_y: np.ndarray) -> tuple[object, float, float]:
    """Logistic regression of the C of `PENALTIES` with best accuracy on `choose`; that C; and that accuracy."""
    tried = [(fit_logistic(x, y, C), C) for C in PENALTIES]
    found = [float((model.predict(choose) == choose_y).mean()) for model, _ in tried]
    best = int(np.argmax(found))
    return *tried[best], found[best]


def soft_probe(x: np.ndarray, target: np.ndarray, C: float) -> nn.Sequential:
    """A linear probe on (n, d) vectors, fitted to (n, n_classes) probabilities in place of labels.

    Cross entropy summed over the stars, squared weights over 2 C, as `fit_logistic` has it.
    """
    linear = nn.Linear(x.shape[1], target.shape[1])
    head = nn.Sequential(Standardised(x), linear)
    for weights in head.parameters():
        nn.init.zeros_(weights)
    seen, wanted, weight = torch.as_tensor(x), torch.as_tensor(target), linear.weight
    optimiser = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(head(seen), wanted, reduction="sum") + weight.square().sum() / (2 * C)
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] - it takes a tensor for a number
    return head.eval()


def mean_head(model: object, x: np.ndarray) -> nn.Sequential:
    """A head on (batch, d) that says what a fitted `fit_logistic` of `x` says, with drop-out for training."""
    scaler, logistic = (step for _, step in model.steps)  # pyright: ignore[reportAttributeAccessIssue]
    first, last = Standardised(x), nn.Linear(*logistic.coef_.shape[::-1])
    with torch.no_grad():
        weight = torch.as_tensor(logistic.coef_ / scaler.scale_)
        shift = first.mean.to(weight) - torch.as_tensor(scaler.mean_).to(weight)
        last.weight.copy_(weight * first.spread)
        last.bias.copy_(torch.as_tensor(logistic.intercept_) + weight @ shift)
    return nn.Sequential(first, nn.Dropout(DROPOUT), last)


class _Set:
    """Stars and the (n, n_classes) probabilities wanted of them, dealt in batches; every pass is shuffled anew."""

    def __init__(self, data: Prepared, wanted: Tensor, size: int, rng: np.random.Generator) -> None:
        self.data, self.wanted, self.size, self.rng = data, wanted, min(size, len(data)), rng
        self.left, self.passes = np.empty(0, int), 0

    def loss(self, model: FineTuned, seed: int) -> Tensor:
        """Mean cross entropy of the next batch, each star in a window of this pass."""
        if len(self.left) < self.size:
            self.left, self.passes = self.rng.permutation(len(self.data)), self.passes + 1
        stars = torch.as_tensor(self.left[: self.size], device=self.wanted.device)
        self.left = self.left[self.size :]
        draws = Draws(seed, self.passes).of(stars)
        tokens = make_view(self.data, stars, TRAINING_VIEW, model.preset, model.recipe, draws)
        return F.cross_entropy(model.head(model.encoder(tokens)), self.wanted[stars])


def self_train(
    checkpoint: Checkpoint,
    fit: LightCurves,
    head: nn.Sequential,
    *,
    steps: int,
    learning_rate: float,
    unlabelled: LightCurves | None = None,
    guesses: np.ndarray | None = None,
    layers: int | Literal["all"] = "all",
    seed: int = 0,
    progress: bool = False,
) -> FineTuned:
    """Fine-tune an encoder and a head on labelled stars, and on unlabelled ones with a teacher's guesses.

    Every pass over either set draws other windows (`TRAINING_VIEW`). The rate rises for `WARMUP` steps and falls like a
    cosine to 0; the last step is kept, so nothing here is chosen on other stars.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    head : of (batch, d) mean embeddings, such as `mean_head`; it is trained, where the checkpoint's encoder is
    guesses : (n_unlabelled, n_classes) probabilities, classes sorted
    progress : show a bar

    Raises
    ------
    ValueError
        If there are unlabelled stars without guesses, or not a guess for each; if the loss becomes infinite or NaN.
    """
    if (0 if guesses is None else len(guesses)) != (0 if unlabelled is None else len(unlabelled)):
        raise ValueError(
            f"{0 if guesses is None else len(guesses)} guesses for "
            f"{0 if unlabelled is None else len(unlabelled)} unlabelled stars; give one for each"
        )
    classes, target = np.unique(fit.label, return_inverse=True)
    encoder, device = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False), checkpoint.encoder.device
    head.to(device)
    trained = [*_thawed(encoder, layers, checkpoint.recipe).parameters(), *head.parameters()]
    model = FineTuned(encoder, head, checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame(), WINDOWS, "mean")
    rng, optimiser = np.random.default_rng(seed), torch.optim.Adam(trained, lr=learning_rate)
    truth = F.one_hot(torch.as_tensor(target, device=device), len(classes)).float()
    sets = [_Set(prepare(fit, device), truth, BATCH if unlabelled is None else BESIDE, rng)]
    if unlabelled is not None and guesses is not None:
        sets.append(_Set(prepare(unlabelled, device), torch.as_tensor(guesses, device=device), UNLABELLED, rng))
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
