"""Fine-tuning: the last layers of an encoder are trained together with a linear head on labelled light curves."""

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

from astraclr.config import Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Prepared, prepare
from astraclr.evaluate.heads import Pooling, new_head
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS, crop_tokens, spread_crops
from astraclr.model.embedding import fuse
from astraclr.model.encoder import Encoder

PAPER_NOISE, PAPER_DROPOUT, PAPER_LAYERS, PAPER_RATE, PAPER_BATCH = 0.02, 0.2, 2, 1e-5, 128
"""White noise (mag) on magnitudes, drop-out of the head, trained layers, learning rate and batch of the paper."""

Layers = int | Literal["all"]
"""How many of the last encoder layers are trained."""

Embedder = Callable[[Tensor], Tensor]
"""From (batch,) star numbers to (n_windows, batch, d_embedding) embeddings of their windows."""


@dataclass
class FineTuned:
    """A fine-tuned classifier.

    Attributes
    ----------
    encoder, head : modules in evaluation mode; the head maps fused windows (for "attention": windows) to class scores
    preset, recipe : of the encoder
    classes : (n_classes,) names
    history : one row per epoch: epoch, loss, accuracy on the validation stars
    windows, pooling : number of windows of a light curve, and how the head joins them; the paper concatenates 3
    """

    encoder: nn.Module
    head: nn.Module
    preset: Preset
    recipe: Recipe
    classes: np.ndarray
    history: pd.DataFrame
    windows: int = len(CROPS)
    pooling: Pooling = "concat"

    def predict(self, lc: LightCurves, batch_size: int = 256) -> np.ndarray:
        """(n_stars,) most probable class names."""
        return self.classes[self.probabilities(lc, batch_size).argmax(1)]

    def probabilities(self, lc: LightCurves, batch_size: int = 256) -> np.ndarray:
        """(n_stars, n_classes) class probabilities."""
        return self.embedded_probabilities(self.embedder(lc), len(lc), batch_size)

    @torch.inference_mode()
    def embedded_probabilities(self, embedded: Embedder, n_stars: int, batch_size: int = 256) -> np.ndarray:
        """(n_stars, n_classes) class probabilities of the stars that an `embedder` embeds."""
        batches = self._rows(n_stars).split(batch_size)
        return np.concatenate([self.scores(embedded(stars)).softmax(1).cpu().numpy() for stars in batches])

    def scores(self, windows: Tensor) -> Tensor:
        """Class scores: (n_windows, batch, d_embedding) to (batch, n_classes)."""
        return self.head(windows if self.pooling == "attention" else fuse(windows, self.pooling))

    def embedder(
        self,
        lc: LightCurves,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
        *,
        once: bool = False,
        batch_size: int = 256,
    ) -> Embedder:
        """Make a function that embeds stars of `lc` by their numbers, with the encoder as it then is.

        Parameters
        ----------
        lc : light curves
        noise, generator : standard deviation of white noise on magnitudes (mag), and what draws it
        once : embed all stars now, for an encoder that is not trained
        batch_size : of that
        """
        data = prepare(lc, self._device)
        if not once:
            return lambda stars: self._windows(data, stars, noise, generator)
        with torch.no_grad():
            every = torch.cat([self._windows(data, stars) for stars in self._rows(len(lc)).split(batch_size)], dim=1)
        return lambda stars: every[:, stars]

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    def _rows(self, n_stars: int) -> Tensor:
        return torch.arange(n_stars, device=self._device)

    def _windows(
        self, data: Prepared, stars: Tensor, noise: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """(n_windows, batch, d_embedding) embeddings of the windows of some stars."""
        parts = []
        for crop in spread_crops(self.windows):
            tokens = crop_tokens(data, stars, self.preset, crop, self.recipe)
            if noise:
                jitter = torch.randn(tokens.mag.shape, generator=generator, device=tokens.mag.device)
                tokens = tokens._replace(mag=tokens.mag + noise * jitter.masked_fill(tokens.mask, 0.0))
            parts.append(self.encoder(tokens))
        return torch.stack(parts)


def finetune(
    checkpoint: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    *,
    layers: Layers = PAPER_LAYERS,
    windows: int = len(CROPS),
    pooling: Pooling = "concat",
    epochs: int = 100,
    learning_rate: float = PAPER_RATE,
    batch_size: int = PAPER_BATCH,
    noise: float = PAPER_NOISE,
    patience: int = 10,
    seed: int = 0,
    progress: bool = True,
) -> FineTuned:
    """Fine-tune the last `layers` encoder layers and a new linear head on labelled stars.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    train, validation : labelled stars to learn from, and to stop by; report scores on a third set
    layers : 0 trains the head alone; the embedding layer stays frozen, unless the checkpoint's recipe says otherwise
    windows, pooling : number of windows of a light curve (`spread_crops`), and how the head joins them
    noise : standard deviation of white noise on training magnitudes (mag)
    patience : stop after so many epochs without a better validation accuracy; the best epoch is kept

    Raises
    ------
    ValueError
        If a label is missing, or `validation` holds a class that `train` lacks; if `layers`, `windows` or `pooling` is
        out of range; if the loss becomes infinite or NaN.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(24, seed=0, classes=["RR", "LPV"])
    >>> tuned = finetune(load_checkpoint("tiny"), stars[:12], stars[12:], epochs=1, progress=False)
    >>> tuned.probabilities(stars).shape
    (24, 2)
    """
    classes = _checked_classes(train, validation)
    if layers != "all" and not 0 <= layers <= (most := checkpoint.preset.n_layers):
        raise ValueError(f'layers {layers} must lie in 0 to {most}, the encoder\'s number, or be "all"')
    spread_crops(windows)
    encoder = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False)
    thawed = thaw(encoder, layers, checkpoint.recipe)
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # the head's weights and drop-out draw from it
        head = new_head(encoder.config.d_embedding, windows, pooling, len(classes), PAPER_DROPOUT).to(encoder.device)
        how = checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame(), windows, pooling
        trainer = Trainer(FineTuned(encoder, head, *how), thawed, train, learning_rate, batch_size, noise, seed)
        best = KeptBest(trainer.model, validation)
        for epoch in tqdm(range(epochs), desc="fine-tuning", unit="epoch", disable=not progress):
            best.add(epoch + 1, trainer.epoch())
            if best.waited >= patience:
                break
    return best.restored()


def _checked_classes(train: LightCurves, validation: LightCurves) -> np.ndarray:
    """Class names of the training stars, if all stars have labels that a classifier can learn."""
    classes = np.unique(train.label)
    if "" in classes or not np.isin(validation.label, classes).all():
        raise ValueError(
            "fine-tuning needs a label on every star, and no class in the validation set that the training set lacks; "
            "select with LightCurves.with_labels first"
        )
    return classes


class Trainer:
    """Trains a classifier by Adam, an epoch at a time.

    Parameters
    ----------
    model, thawed : the classifier, and the part of its encoder that is trained besides its head
    train : labelled stars
    learning_rate, batch_size : of Adam
    noise : standard deviation of white noise on magnitudes (mag)
    seed : of the noise and the order of the stars
    """

    def __init__(
        self,
        model: FineTuned,
        thawed: nn.Module,
        train: LightCurves,
        learning_rate: float,
        batch_size: int,
        noise: float,
        seed: int,
    ) -> None:
        device = next(model.encoder.parameters()).device
        self.model, self.thawed, self.batch_size = model, thawed, batch_size
        self.generator = torch.Generator(device).manual_seed(seed)
        frozen = not any(True for _ in thawed.parameters())
        self.embedded = model.embedder(train, noise, self.generator, once=frozen and not noise)
        self.target = torch.as_tensor(np.searchsorted(model.classes, train.label), device=device)
        self.optimiser = torch.optim.Adam([*model.head.parameters(), *thawed.parameters()], lr=learning_rate)

    def epoch(self) -> float:
        """Train on all stars once, in a new order, and return the mean loss of the steps."""
        self.model.head.train()
        self.thawed.train()
        order = torch.randperm(len(self.target), generator=self.generator, device=self.target.device)
        losses = []
        for stars in order.split(self.batch_size):
            loss = F.cross_entropy(self.model.scores(self.embedded(stars)), self.target[stars])
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.detach())
        self.model.head.eval()
        self.thawed.eval()
        return finite(float(torch.stack(losses).mean()))


class KeptBest:
    """History of a fine-tuning, and the weights of the epoch with the best validation accuracy, the first of equals."""

    def __init__(self, model: FineTuned, validation: LightCurves) -> None:
        frozen = not any(p.requires_grad for p in model.encoder.parameters())
        self.model, self.label, self.embedded = model, validation.label, model.embedder(validation, once=frozen)
        self.rows: list[dict[str, float]] = []
        self.best, self.waited = -1.0, 0
        self.state: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None

    def add(self, epoch: int, loss: float, accuracy: float | None = None) -> None:
        """Note an epoch; its `accuracy` is measured if it is not given."""
        if accuracy is None:
            probabilities = self.model.embedded_probabilities(self.embedded, len(self.label))
            accuracy = float((self.model.classes[probabilities.argmax(1)] == self.label).mean())
        self.rows.append({"epoch": epoch, "loss": loss, "accuracy": accuracy})
        self.waited += 1
        if accuracy > self.best:
            self.best, self.waited = accuracy, 0
            self.state = copy.deepcopy((self.model.encoder.state_dict(), self.model.head.state_dict()))

    def restored(self) -> FineTuned:
        """The model with the weights of the best epoch, and its history."""
        if self.state is not None:
            self.model.encoder.load_state_dict(self.state[0])
            self.model.head.load_state_dict(self.state[1])
        self.model.head.eval()
        self.model.history = pd.DataFrame(self.rows)
        return self.model


def thaw(encoder: Encoder, layers: Layers, recipe: Recipe) -> nn.Module:
    """Make the last layers of a frozen encoder trainable, and return them as one module."""
    if layers == "all":
        return encoder.requires_grad_(True)
    thawed = nn.ModuleList([*encoder.layers[len(encoder.layers) - layers :], *([encoder.norm] if layers else [])])
    if layers and recipe.thaw_embedding:
        thawed.append(encoder.embedding)
    return thawed.requires_grad_(True)


def finite(loss: float) -> float:
    """Return the loss, or raise ValueError if training has diverged."""
    if not math.isfinite(loss):
        raise ValueError(
            f"fine-tuning has diverged: the loss is {loss}; lower learning_rate, or look for extreme values"
        )
    return loss
