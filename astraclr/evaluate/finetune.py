"""Top layers thaw: a linear head on the concatenated crops, trained with labels together with the last layers."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.config import Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Prepared, prepare
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import CROPS, crop_tokens, fuse, spread_crops
from astraclr.model.encoder import Encoder

PAPER_NOISE, PAPER_DROPOUT, PAPER_LAYERS, PAPER_RATE, PAPER_BATCH = 0.02, 0.2, 2, 1e-5, 128
"""White noise (mag) on training magnitudes, head drop-out, thawed layers, learning rate and batch of the paper."""

Pooling = Literal["mean", "concat", "attention"]
"""How a head reads the windows of a light curve."""


class WindowAttention(nn.Module):
    """Weighted mean of windows, the weights learnt from the windows themselves; it begins as the plain mean.

    As Bahdanau et al. 2015 (arXiv 1409.0473) score words, without their hidden layer.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.score = nn.Linear(d, 1, bias=False)  # a bias would cancel in the softmax
        nn.init.zeros_(self.score.weight)

    def forward(self, windows: Tensor) -> Tensor:
        """(n_windows, batch, d) to (batch, d)."""
        return (self.score(windows).softmax(0) * windows).sum(0)


@dataclass
class FineTuned:
    """A fine-tuned classifier.

    Attributes
    ----------
    encoder, head : modules in evaluation mode; head maps fused windows (for "attention": windows) to class scores
    classes : (n_classes,) names
    history : one row an epoch: epoch, loss, accuracy on the validation stars
    windows, pooling : crops of a light curve, and how the head reads them; the paper concatenates 3
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
        """(n_stars,) class names."""
        return self.named(self.look(lc), len(lc), batch_size)

    @torch.inference_mode()
    def named(self, seen: Callable[[Tensor], Tensor], n_stars: int, batch_size: int = 256) -> np.ndarray:
        """(n_stars,) class names of stars that `look` looks at."""
        return self.classes[self._probabilities(seen, n_stars, batch_size).argmax(1)]

    @torch.inference_mode()
    def probabilities(self, lc: LightCurves, batch_size: int = 256) -> np.ndarray:
        """(n_stars, n_classes) class probabilities."""
        return self._probabilities(self.look(lc), len(lc), batch_size)

    def _probabilities(self, seen: Callable[[Tensor], Tensor], n_stars: int, batch_size: int) -> np.ndarray:
        parts = [self.scores(seen(stars)).softmax(1).cpu().numpy() for stars in self._rows(n_stars).split(batch_size)]
        return np.concatenate(parts)

    def scores(self, windows: Tensor) -> Tensor:
        """(n_windows, batch, d_embedding) to (batch, n_classes)."""
        return self.head(windows if self.pooling == "attention" else fuse(windows, self.pooling))

    def look(
        self,
        lc: LightCurves,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
        *,
        once: bool = False,
        batch_size: int = 256,
    ) -> Callable[[Tensor], Tensor]:
        """A function from (batch,) stars of `lc` to (n_windows, batch, d_embedding) embeddings of their windows.

        `once` embeds all stars now, for an encoder that stays as it is.
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
    fit: LightCurves,
    choose: LightCurves,
    *,
    layers: int | Literal["all"] = PAPER_LAYERS,
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
    """Fine-tune the last `layers` encoder layers and a linear head on labelled stars.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    fit, choose : labelled stars to learn from, and to stop by (best accuracy, `patience` epochs); report on a third set
    layers : 0 trains the head alone; the embedding layer stays frozen, unless the checkpoint's recipe says otherwise;
        "all" trains the whole encoder
    windows, pooling : crops of a light curve (`spread_crops`), and how the head reads them

    Raises
    ------
    ValueError
        If a star has no label, `choose` holds a class that `fit` lacks, `layers` or `windows` is out of range,
        `pooling` is unknown, or the loss becomes infinite or NaN.
    """
    classes, target = np.unique(fit.label, return_inverse=True)
    if "" in classes or not np.isin(choose.label, classes).all():
        raise ValueError(
            "fine-tuning needs a label on every star, and no class in `choose` that `fit` lacks; "
            "select with LightCurves.with_labels first"
        )
    most = checkpoint.preset.n_layers
    if layers != "all" and not 0 <= layers <= most:
        raise ValueError(f'layers {layers} must lie in 0 to {most}, the encoder\'s number, or be "all"')
    spread_crops(windows)
    encoder = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False)
    thawed = _thawed(encoder, layers, checkpoint.recipe)
    device = next(encoder.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = _new_head(encoder.config.d_embedding, windows, pooling, len(classes)).to(device)
        model = FineTuned(
            encoder, head, checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame(), windows, pooling
        )
        trainable = [*head.parameters(), *thawed.parameters()]
        optimiser = torch.optim.Adam(trainable, lr=learning_rate)
        generator = torch.Generator(device).manual_seed(seed)
        still = layers == 0 and not noise  # the encoder then says the same in every epoch
        seen, truth = model.look(fit, noise, generator, once=still), torch.as_tensor(target, device=device)
        judged = model.look(choose, once=still)
        best, best_state, waited, rows = -1.0, None, 0, []
        for epoch in (bar := tqdm(range(epochs), desc="fine-tuning", unit="epoch", disable=not progress)):
            head.train()
            thawed.train()
            order = torch.randperm(len(fit), generator=generator, device=device)
            loss = _epoch(model, seen, truth, order.split(batch_size), optimiser)
            head.eval()
            thawed.eval()
            accuracy = float((model.named(judged, len(choose)) == choose.label).mean())
            rows.append({"epoch": epoch + 1, "loss": loss, "accuracy": accuracy})
            bar.set_postfix(loss=f"{loss:.2f}", accuracy=f"{accuracy:.3f}")
            waited += 1
            if accuracy > best:
                best, waited = accuracy, 0
                best_state = copy.deepcopy((encoder.state_dict(), head.state_dict()))
            if waited >= patience:
                break
    if best_state is not None:
        encoder.load_state_dict(best_state[0])
        head.load_state_dict(best_state[1])
    model.history = pd.DataFrame(rows)
    return model


def _thawed(encoder: Encoder, layers: int | Literal["all"], recipe: Recipe) -> nn.Module:
    """The part of a frozen encoder that is to be trained, set free."""
    if layers == "all":
        return encoder.requires_grad_(True)
    thawed = nn.ModuleList([*encoder.layers[len(encoder.layers) - layers :], *([encoder.norm] if layers else [])])
    if layers and recipe.thaw_embedding:
        thawed.append(encoder.embedding)
    return thawed.requires_grad_(True)


def _new_head(d: int, windows: int, pooling: Pooling, n_classes: int) -> nn.Sequential:
    if pooling not in get_args(Pooling):
        raise ValueError(f"no pooling {pooling!r}; choose from {', '.join(get_args(Pooling))}")
    first = [WindowAttention(d)] if pooling == "attention" else []
    width = d * windows if pooling == "concat" else d
    return nn.Sequential(*first, nn.Dropout(PAPER_DROPOUT), nn.Linear(width, n_classes))


def _epoch(
    model: FineTuned,
    seen: Callable[[Tensor], Tensor],
    truth: Tensor,
    batches: tuple[Tensor, ...],
    optimiser: torch.optim.Optimizer,
) -> float:
    losses = []
    for stars in batches:
        loss = F.cross_entropy(model.scores(seen(stars)), truth[stars])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return finite(float(torch.stack(losses).mean()))


def finite(loss: float) -> float:
    """The loss, or ValueError if training has diverged."""
    if not math.isfinite(loss):
        raise ValueError(
            f"fine-tuning has diverged: the loss is {loss}; lower learning_rate, or look for extreme values"
        )
    return loss
