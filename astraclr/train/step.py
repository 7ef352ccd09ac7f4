"""One optimiser step and one validation: from views to losses, gradients and a change of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor, nn

from astraclr.config import Preset, Recipe
from astraclr.data.tokens import Prepared, Tokens
from astraclr.model.device import matrix_products
from astraclr.model.encoder import Encoder
from astraclr.model.view_heads import Heads, heads, read_by_heads
from astraclr.train.counter_rng import VALIDATION, Draws
from astraclr.train.distributed import ALONE, Ranks
from astraclr.train.losses import alignment, effective_rank, local_to_global, nt_xent, uniformity
from astraclr.train.optimizer import rate_of_step, set_rate
from astraclr.train.summary_targets import summary_loss
from astraclr.train.views import make_views

CLIP_NORM = 1.0
"""The global gradient norm of the paper's code."""
VALIDATION_BATCHES = 4
"""Batches of held-out stars that a validation takes at most."""


@dataclass(frozen=True)
class Training:
    """An encoder, and the settings of its optimiser steps and validations.

    Attributes
    ----------
    encoder : changed in place by `update`
    preset : gives `warmup` and `steps` of the learning rate, `replicas`, and the `batch_size` of a validation
    recipe : gives losses, negatives and schedule
    ranks : which of the processes that train together this one is
    mixed : compute the encoder in bfloat16; losses and weights stay in float32
    """

    encoder: Encoder
    preset: Preset
    recipe: Recipe
    ranks: Ranks = ALONE
    mixed: bool = False

    @property
    def replicas(self) -> int:
        """Equal parts of a batch that have negatives of their own; 1 where they come from the whole batch."""
        return self.preset.replicas if self.recipe.negatives == "replica" else 1


class Term(NamedTuple):
    """One loss of a recipe: its name in a history, a scalar, and its weight.

    `scale` is a factor of the gradient only, not of what is reported (`loss_sum` of a recipe).
    """

    name: str
    loss: Tensor
    weight: float
    scale: float = 1.0


@dataclass(frozen=True)
class Taken:
    """A step that was taken: its losses before the weights changed, and its learning rate."""

    terms: list[Term]
    rate: float

    @property
    def loss(self) -> Tensor:
        """The loss as a history reports it, a scalar."""
        return total(self.terms)

    def record(self) -> dict[str, float]:
        """Numbers for a history: loss, learning_rate, and each term where there are several."""
        parts = {term.name: float(term.loss) for term in self.terms} if len(self.terms) > 1 else {}
        return {"loss": float(self.loss), "learning_rate": self.rate} | parts


def total(terms: list[Term]) -> Tensor:
    """Weighted sum of the losses, a scalar; a loss that is the only one is reported without its weight."""
    return terms[0].loss if len(terms) == 1 else reduce(torch.add, [t.weight * t.loss for t in terms])


def loss_terms(training: Training, found: Heads, truth: Tensor | None = None, ranks: Ranks = ALONE) -> list[Term]:
    """The losses of a recipe: NT-Xent, and where the `truth` about whole light curves is given, those that read it.

    Parameters
    ----------
    truth : (batch, n) of this rank's stars, as `summary_targets.Summaries` has it
    ranks : whose stars are compared with one another
    """
    recipe, described = training.recipe, getattr(training.encoder, "description", None)
    z = ranks.gathered(found.projected.float())
    scale = len(z) * (len(z) - 1) if recipe.loss_sum else 1
    terms = [Term("nt_xent", nt_xent(z, recipe.temperature), recipe.contrast, scale)]
    if truth is None:
        return terms
    known = ranks.gathered(truth[None])[0]
    if found.guesses is not None:
        guesses = ranks.gathered(found.guesses.float())
        error = summary_loss(guesses, known[:, : guesses.shape[-1]])
        terms.append(Term("summary_loss", error, recipe.summaries))
    if found.met is not None and described is not None:
        views = ranks.gathered(found.met.float())
        stars = ranks.gathered(described.of_stars(truth)[None])[0]
        loss = local_to_global(views, stars)
        terms.append(Term("global_nt_xent", loss, recipe.global_contrast))
    return terms


def project_views(encoder: Encoder, views: list[Tokens]) -> Tensor:
    """Projections of views, (views, batch, d_projection); each view is computed at its own length.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.model.encoder import new_encoder
    >>> from astraclr.simulation.simulate import simulate
    >>> size, method = preset("tiny"), recipe("corrected")
    >>> views = make_views(prepare(simulate(12, seed=0)), torch.arange(8), size, method, Draws(seed=0))
    >>> project_views(new_encoder(size, method, seed=0), views).shape
    torch.Size([3, 8, 32])
    """
    return heads(encoder, views).projected


def update(
    training: Training, optimiser: torch.optim.Adam, views: list[Tokens], done: int, truth: Tensor | None = None
) -> Taken:
    """Take one optimiser step, after `done` earlier ones.

    The batch is cut into R equal replicas (1 where negatives come from the whole batch). With the weighted sum of the
    losses ``L_r`` of replica r, divided by R, the gradient is ``g = sum_r clip(grad L_r)``: each replica clips its own
    to `CLIP_NORM`. Several ranks share the replicas, or the one batch; gradients are then summed over the ranks.

    Parameters
    ----------
    optimiser : of the encoder's weights; its learning rate and epsilon are set here
    views : of this rank's share of the batch
    truth : (batch, n) standardised summaries of the same stars, for an encoder that learns from them

    Returns
    -------
    Taken

    Raises
    ------
    ValueError
        If the encoder learns from summaries and there is no `truth`, or the other way round.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.model.encoder import new_encoder
    >>> from astraclr.simulation.simulate import simulate
    >>> from astraclr.train.optimizer import new_optimiser
    >>> training = Training(new_encoder(preset("tiny"), recipe("corrected"), 0), preset("tiny"), recipe("corrected"))
    >>> optimiser = new_optimiser(training.encoder, training.recipe, "cpu")
    >>> stars = prepare(simulate(12, seed=0))
    >>> views = make_views(stars, torch.arange(8), training.preset, training.recipe, Draws(seed=0))
    >>> taken = update(training, optimiser, views, done=0)
    >>> [term.name for term in taken.terms], bool(taken.loss > 0), round(taken.rate, 7)
    (['nt_xent'], True, 1.12e-05)
    """
    if training.recipe.reads_whole != (truth is not None):
        raise ValueError(
            "an encoder that learns from summaries needs their truth at every step, and only such a one; see "
            "astraclr.train.summary_targets.Summaries"
        )
    recipe, ranks, parameters = training.recipe, training.ranks, list(training.encoder.parameters())
    share, gathered = len(views[0].mag), recipe.negatives == "gathered"
    batch = share * ranks.size
    gradient: list[Tensor] = []
    terms: list[Term] = []
    losses: list[Tensor] = []
    for rows in torch.arange(share, device=views[0].mag.device).chunk(max(1, training.replicas // ranks.size)):
        optimiser.zero_grad(set_to_none=True)  # before the forward pass, whose memory comes on top
        stars, terms = _terms_of_replica(training, views, rows, truth)
        reduce(torch.add, [t.loss * (stars / batch * t.scale * t.weight) for t in terms]).backward()
        own = [p.grad for p in parameters if p.grad is not None]
        if gathered:
            ranks.sum_(own)
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        gradient = [a + b for a, b in zip(gradient, own, strict=True)] if gradient else own
        losses.append(torch.stack([t.loss for t in terms]).detach() * stars / batch)
    mean = torch.stack(losses).sum(0)
    if not gathered:
        ranks.sum_([mean, *gradient])
    for p, g in zip(parameters, gradient, strict=True):
        p.grad = g
    size = training.preset
    rate = rate_of_step(recipe, done, training.encoder.config.d_model, size.warmup, size.steps, batch)
    set_rate(optimiser, recipe, done, rate)
    optimiser.step()
    return Taken([t._replace(loss=loss) for t, loss in zip(terms, mean, strict=True)], rate)


def _terms_of_replica(
    training: Training, views: list[Tokens], rows: Tensor, truth: Tensor | None
) -> tuple[int, list[Term]]:
    """Number of stars whose vectors are compared with one another, and the losses of these stars."""
    recipe, ranks = training.recipe, training.ranks
    with matrix_products(rows.device, training.mixed):
        found = heads(training.encoder, [view.rows(rows) for view in views])
    together = ranks if recipe.negatives == "gathered" else ALONE
    known = None if truth is None else truth[rows]
    return len(rows) * together.size, loss_terms(training, found, known, together)


@torch.no_grad()
def validate(
    training: Training,
    data: Prepared,
    stars: Tensor,
    seed: int,
    keys: Tensor | None = None,
    truth: Tensor | None = None,
) -> dict[str, float]:
    """Loss, alignment, uniformity of the projections and effective rank of the embeddings of held-out stars.

    Means over at most `VALIDATION_BATCHES` batches of the preset's size (or a replica's share of it, where negatives
    stay there), or over all the stars where there are fewer: then the chance level of the loss is lower too. Several
    ranks share the batches.

    Parameters
    ----------
    data, stars : held-out light curves, and (n,) int, their rows in `data`
    seed : of the views
    keys : (n,) int, numbers of the stars in the whole set, where `data` is a part of it; by default `stars`
    truth : (n, n_numbers) about whole light curves; with it the loss is the one that training reduces, without it
        NT-Xent alone

    Returns
    -------
    dict
        ``val_loss, alignment, uniformity, effective_rank``; with `truth` also ``val_nt_xent`` and, as the recipe has
        them, ``val_summary_loss, val_global_nt_xent``.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.data.tokens import prepare
    >>> from astraclr.model.encoder import new_encoder
    >>> from astraclr.simulation.simulate import simulate
    >>> training = Training(new_encoder(preset("tiny"), recipe("corrected"), 0), preset("tiny"), recipe("corrected"))
    >>> list(validate(training, prepare(simulate(12, seed=0)), torch.arange(12), seed=0))
    ['val_loss', 'alignment', 'uniformity', 'effective_rank']
    """
    encoder, preset, ranks = training.encoder, training.preset, training.ranks
    was_training = encoder.training
    encoder.eval()
    keys, draws = stars if keys is None else keys, Draws(seed, VALIDATION)
    size = min(preset.batch_size // training.replicas, len(stars))
    batches = [slice(k, k + size) for k in range(0, min(len(stars) - size + 1, VALIDATION_BATCHES * size), size)]
    names = ["val_loss", "alignment", "uniformity", "effective_rank"]
    if truth is not None:
        more = {"summary_loss": training.recipe.summaries, "global_nt_xent": training.recipe.global_contrast}
        names += ["val_nt_xent", *(f"val_{name}" for name, weight in more.items() if weight)]
    table = torch.zeros(len(batches), len(names), dtype=torch.float64, device=stars.device)
    for k in range(ranks.rank, len(batches), ranks.size):
        part = batches[k]
        views = make_views(data, stars[part], preset, training.recipe, draws, keys[part])
        table[k] = _measured(training, views, None if truth is None else truth[part])
    encoder.train(was_training)
    ranks.sum_([table])  # rows of other ranks are 0 here
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def _measured(training: Training, views: list[Tokens], truth: Tensor | None) -> Tensor:
    """(n_names,) the numbers of `validate` for one batch."""
    encoder = training.encoder
    with matrix_products(views[0].mag.device, training.mixed):
        pooled = torch.stack([encoder(view) for view in views])
        found = read_by_heads(encoder, pooled)
    z, terms = found.projected, loss_terms(training, found, truth)
    gauges = [alignment(z), uniformity(z[0]), effective_rank(pooled[0])]
    parts = [term.loss for term in terms] if len(terms) > 1 else []
    return torch.stack([total(terms), *gauges, *parts])
