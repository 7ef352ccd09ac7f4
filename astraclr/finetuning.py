"""Top layers thaw: a linear head on the concatenated crops, trained with labels together with the last layers."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.checkpoints import Checkpoint
from astraclr.embedding import CROPS, crop_tokens, fuse
from astraclr.lightcurves import LightCurves
from astraclr.preparation import Prepared, prepare
from astraclr.presets import Preset, Recipe

PAPER_NOISE, PAPER_DROPOUT, PAPER_LAYERS, PAPER_RATE, PAPER_BATCH = 0.02, 0.2, 2, 1e-5, 128
"""White noise (mag) on training magnitudes, head drop-out, thawed layers, learning rate and batch of the paper."""


@dataclass
class FineTuned:
    """A fine-tuned classifier.

    Attributes
    ----------
    encoder, head : modules in evaluation mode; head maps (batch, 3 * d_embedding) to class scores
    classes : (n_classes,) names
    history : one row an epoch: epoch, loss, accuracy on the validation stars
    """

    encoder: nn.Module
    head: nn.Module
    preset: Preset
    recipe: Recipe
    classes: np.ndarray
    history: pd.DataFrame

    def predict(self, lc: LightCurves, batch_size: int = 256) -> np.ndarray:
        """(n_stars,) class names."""
        return self.classes[self.probabilities(lc, batch_size).argmax(1)]

    @torch.inference_mode()
    def probabilities(self, lc: LightCurves, batch_size: int = 256) -> np.ndarray:
        """(n_stars, n_classes) class probabilities."""
        device = next(self.encoder.parameters()).device
        data = prepare(lc, device)
        parts = [self._scores(data, stars).softmax(1).cpu().numpy()
                 for stars in torch.arange(len(lc), device=device).split(batch_size)]  # fmt: skip
        return np.concatenate(parts)

    def _scores(self, data: Prepared, stars: Tensor, noise: float = 0.0,
                generator: torch.Generator | None = None) -> Tensor:  # fmt: skip
        crops = []
        for crop in CROPS:
            tokens = crop_tokens(data, stars, self.preset, crop, self.recipe)
            if noise:
                jitter = torch.randn(tokens.mag.shape, generator=generator, device=tokens.mag.device)
                tokens = tokens._replace(mag=tokens.mag + noise * jitter.masked_fill(tokens.mask, 0.0))
            crops.append(self.encoder(tokens))
        return self.head(fuse(torch.stack(crops), "concat"))


def finetune(checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, *, layers: int = PAPER_LAYERS,
             epochs: int = 100, learning_rate: float = PAPER_RATE, batch_size: int = PAPER_BATCH,
             noise: float = PAPER_NOISE, patience: int = 10, seed: int = 0,
             progress: bool = True) -> FineTuned:  # fmt: skip
    """Fine-tune the last `layers` encoder layers and a linear head on labelled stars.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    fit, choose : labelled stars to learn from, and to stop by (best accuracy, `patience` epochs); report on a third set
    layers : 0 trains the head alone; the embedding layer stays frozen, unless the checkpoint's recipe says otherwise

    Raises
    ------
    ValueError
        If a star has no label, `choose` holds a class that `fit` lacks, or `layers` is out of range.
    """
    classes, target = np.unique(fit.label, return_inverse=True)
    if "" in classes or not np.isin(choose.label, classes).all():
        raise ValueError("fine-tuning needs a label on every star, and no class in `choose` that `fit` lacks; "
                         "select with LightCurves.with_labels first")  # fmt: skip
    if not 0 <= layers <= checkpoint.preset.n_layers:
        raise ValueError(f"layers {layers} must lie in 0 to {checkpoint.preset.n_layers}, the encoder's number")
    encoder = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False)
    thawed = nn.ModuleList([*encoder.layers[len(encoder.layers) - layers :], *([encoder.norm] if layers else [])])
    if layers and checkpoint.recipe.thaw_embedding:
        thawed.append(encoder.embedding)
    thawed.requires_grad_(True)
    device = next(encoder.parameters()).device
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        width = len(CROPS) * encoder.config.d_embedding
        head = nn.Sequential(nn.Dropout(PAPER_DROPOUT), nn.Linear(width, len(classes)))
        head.to(device)
        model = FineTuned(encoder, head, checkpoint.preset, checkpoint.recipe, classes, pd.DataFrame())
        trainable = [*head.parameters(), *thawed.parameters()]
        optimiser = torch.optim.Adam(trainable, lr=learning_rate)
        generator = torch.Generator(device).manual_seed(seed)
        data, truth = prepare(fit, device), torch.as_tensor(target, device=device)
        best, best_state, waited, rows = -1.0, None, 0, []
        for epoch in (bar := tqdm(range(epochs), desc="fine-tuning", unit="epoch", disable=not progress)):
            head.train()
            thawed.train()
            order = torch.randperm(len(fit), generator=generator, device=device)
            loss = _epoch(model, data, truth, order.split(batch_size), optimiser, noise, generator)
            head.eval()
            thawed.eval()
            accuracy = float((model.predict(choose) == choose.label).mean())
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


def _epoch(model: FineTuned, data: Prepared, truth: Tensor, batches: tuple[Tensor, ...],
           optimiser: torch.optim.Optimizer, noise: float, generator: torch.Generator) -> float:  # fmt: skip
    losses = []
    for stars in batches:
        loss = F.cross_entropy(model._scores(data, stars, noise, generator), truth[stars])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())
