"""The optimiser, and its learning rate in each step."""

from __future__ import annotations

import math

import torch

from astraclr.config import Recipe
from astraclr.model.encoder import Encoder

BETAS, EPSILON = (0.9, 0.98), 1e-9
"""Adam of the paper's code."""
RATE_BATCH = 128
"""Stars in a step for which a recipe states its `peak_rate`."""


def learning_rate(step: int, d_model: int, warmup: int) -> float:
    """Learning rate ``d^-0.5 min(step^-0.5, step warmup^-1.5)`` (Vaswani et al. 2017, equation 3); 0 at step 0.

    Examples
    --------
    >>> round(learning_rate(1000, 512, warmup=1000), 6)
    0.001398
    """
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5) if step else 0.0


def rate_of_step(recipe: Recipe, done: int, d_model: int, warmup: int, steps: int, batch: int = RATE_BATCH) -> float:
    """Learning rate of the step after `done` earlier ones, by the `schedule` of a recipe.

    "warmup" is `learning_rate`. "cosine" (Loshchilov & Hutter 2017, arXiv 1608.03983) rises over 5 % of the `steps`, or
    100 where that is more, but over a quarter of them at most. Its peak grows with the root of the `batch` (Malladi et
    al. 2022, arXiv 2205.10287).

    Raises
    ------
    ValueError
        If the schedule is "cosine" and `steps` is below 1.

    Examples
    --------
    >>> from astraclr.config import recipe
    >>> [round(rate_of_step(recipe("recommended"), done, 64, 500, steps=400), 5) for done in (0, 100, 200, 399)]
    [3e-05, 0.00256, 0.0015, 0.0]
    """
    if recipe.schedule == "warmup":
        return learning_rate(done if recipe.keras_adam else done + 1, d_model, warmup)
    if steps < 1:
        raise ValueError(f"the cosine schedule of recipe {recipe.name!r} needs the number of steps, got {steps}")
    rise = max(1, min(steps // 4, max(100, steps // 20)))
    peak = recipe.peak_rate * math.sqrt(batch / RATE_BATCH)
    return peak * min(1.0, (done + 1) / rise) * 0.5 * (1 + math.cos(math.pi * min(1.0, done / steps)))


def new_optimiser(encoder: Encoder, recipe: Recipe, device: str) -> torch.optim.Adam:
    """Make Adam, or AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) for a recipe with weight decay.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.model.encoder import new_encoder
    >>> type(new_optimiser(new_encoder(preset("tiny"), recipe("paper"), 0), recipe("paper"), "cpu")).__name__
    'Adam'
    """
    fused = True if torch.device(device).type == "cuda" else None
    if recipe.weight_decay:
        return torch.optim.AdamW(
            encoder.parameters(), betas=BETAS, eps=EPSILON, weight_decay=recipe.weight_decay, fused=fused
        )
    return torch.optim.Adam(encoder.parameters(), betas=BETAS, eps=EPSILON, fused=fused)


def set_rate(optimiser: torch.optim.Adam, recipe: Recipe, done: int, rate: float) -> None:
    """Set learning rate and epsilon of the step after `done` earlier ones."""
    # Keras adds epsilon before the bias correction: torch's epsilon must grow by its inverse.
    epsilon = EPSILON / math.sqrt(1 - BETAS[1] ** (done + 1)) if recipe.keras_adam else EPSILON
    for group in optimiser.param_groups:
        group["lr"], group["eps"] = rate, epsilon
