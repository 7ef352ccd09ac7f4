"""The loop: views of unlabelled stars, their losses, Adam; seeded, resumable, on one device or many."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.config import Preset, Recipe
from astraclr.config import preset as preset_named
from astraclr.config import recipe as recipe_named
from astraclr.data.lightcurves import LightCurves
from astraclr.data.sources import InMemory, Source
from astraclr.data.splits import split
from astraclr.data.tokens import Prepared, Tokens
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.device import own_device
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.train.counter_rng import VALIDATION, Draws
from astraclr.train.distributed import ALONE, Ranks, joined, shared
from astraclr.train.losses import alignment, effective_rank, nt_xent, uniformity
from astraclr.train.optimizer import BETAS, EPSILON, new_optimiser, rate_of_step
from astraclr.train.run_state import Run, deliver, finished, held_signals
from astraclr.train.summary_targets import Summaries, summary_loss
from astraclr.train.views import make_views

PARTS = ("nt_xent", "summary_loss")
"""Of the loss, where a recipe has summaries; in a history beside "loss", and with "val_" beside "val_loss"."""

CLIP_NORM = 1.0
"""The global gradient norm of the paper's code."""

_DROPOUT_APART = 1_000_000_007
"""Between the seeds of two ranks' drop-out."""


def project_views(encoder: Encoder, views: list[Tokens]) -> Tensor:
    """(views, batch, d_projection); each view runs at its own length."""
    return heads(encoder, views)[0]


def heads(encoder: Encoder, views: list[Tokens]) -> tuple[Tensor, Tensor | None]:
    """(views, batch, d_projection), and where the encoder learns summaries (views, batch, n_summaries) guesses."""
    pooled = [encoder(view) for view in views]
    guesses = None if encoder.summaries is None else torch.stack([encoder.summarise(p) for p in pooled])
    return torch.stack([encoder.project(p) for p in pooled]), guesses


def update(
    encoder: Encoder,
    optimiser: torch.optim.Adam,
    views: list[Tokens],
    recipe: Recipe,
    done: int,
    warmup: int,
    replicas: int = 1,
    ranks: Ranks = ALONE,
    mixed: bool = False,
    steps: int = 0,
    truth: Tensor | None = None,
) -> tuple[Tensor, float]:
    """One optimiser step after `done` earlier ones; returns the mean pair loss before it, and the learning rate.

    A recipe whose negatives stay in a replica gets `replicas` equal shares of the batch, one after the other: each has
    its own negatives, divides by the whole batch, and clips its own gradient; then the gradients are summed.

    Of several `ranks` each brings the views of its share of the batch, and takes its share of the replicas. Where
    `mixed`, the encoder computes in bfloat16. A recipe with summaries is given their `truth`, (batch, n_summaries);
    both losses are then returned, (2,), as in `PARTS`. `steps` is the length of the run, for a schedule with an end.
    """
    if (encoder.summaries is None) != (truth is None):
        raise ValueError(
            "an encoder that learns summaries needs their truth at every step, and only such a one; see "
            "astraclr.train.summary_targets.Summaries"
        )
    parameters, gathered = list(encoder.parameters()), recipe.negatives == "gathered"
    share, device = len(views[0].mag), views[0].mag.device
    batch, losses, summed = share * ranks.size, [], []
    for rows in torch.arange(share, device=device).chunk(max(1, _replicas(recipe, replicas) // ranks.size)):
        optimiser.zero_grad(set_to_none=True)  # before the forward pass, whose memory comes on top
        with torch.autocast(device.type, torch.bfloat16, enabled=mixed):
            z, guesses = heads(encoder, [view.rows(rows) for view in views])
        z = ranks.gathered(z.float()) if gathered else z
        loss, part = nt_xent(z, recipe.temperature), z.shape[1] / batch
        summed_pairs = len(views) * (len(views) - 1) if recipe.loss_sum else 1
        total, found = loss * (part * summed_pairs * recipe.contrast), [loss]
        if guesses is not None and truth is not None:
            guesses, known = guesses.float(), truth[rows]
            if gathered:
                guesses, known = ranks.gathered(guesses), ranks.gathered(known[None])[0]
            found.append(summary_loss(guesses, known))
            total = total + found[1] * (part * recipe.summaries)
        total.backward()
        gradients = [p.grad for p in parameters if p.grad is not None]
        if gathered:
            ranks.sum_(gradients)
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        summed = [a + b for a, b in zip(summed, gradients, strict=True)] if summed else gradients
        losses.append(torch.stack(found).detach() * z.shape[1] / batch)
    loss = torch.stack(losses).sum(0)
    if not gathered:
        ranks.sum_([loss, *summed])
    for p, gradient in zip(parameters, summed, strict=True):
        p.grad = gradient
    rate = rate_of_step(recipe, done, encoder.config.d_model, warmup, steps, batch)
    for group in optimiser.param_groups:
        group["lr"] = rate
        # Keras adds epsilon before the bias correction: torch's epsilon must grow by its inverse.
        group["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** (done + 1)) if recipe.keras_adam else EPSILON
    optimiser.step()
    return loss if len(loss) == len(PARTS) else loss[0], rate


def _weighted(recipe: Recipe, parts: Tensor) -> Tensor:
    """The loss of a recipe with summaries from its `PARTS`."""
    return recipe.contrast * parts[0] + recipe.summaries * parts[1]


def _replicas(recipe: Recipe, replicas: int) -> int:
    return replicas if recipe.negatives == "replica" else 1


@torch.no_grad()
def validate(
    encoder: Encoder,
    data: Prepared,
    stars: Tensor,
    preset: Preset,
    recipe: Recipe,
    seed: int,
    mixed: bool = False,
    keys: Tensor | None = None,
    ranks: Ranks = ALONE,
    truth: Tensor | None = None,
) -> dict[str, float]:
    """Loss, alignment, uniformity of the projections and effective rank of the embeddings on held-out stars.

    With the `truth` of their summaries the loss is the one that training reduces, and its parts follow; without, it is
    NT-Xent. `keys` are the numbers of `stars` in the whole set, where `data` is a part of it. Means over at most 4
    batches of the preset's size (a replica's share of it, where negatives stay there), or of all the stars where there
    are fewer: then the chance level is lower too. Of several `ranks`, each takes some of the batches.
    """
    was_training = encoder.training
    encoder.eval()
    size = min(preset.batch_size // _replicas(recipe, preset.replicas), len(stars))
    keys, draws = stars if keys is None else keys, Draws(seed, VALIDATION)
    batches = [slice(first, first + size) for first in range(0, min(len(stars) - size + 1, 4 * size), size)]
    names = ["val_loss", "alignment", "uniformity", "effective_rank"]
    names += [] if truth is None else [f"val_{part}" for part in PARTS]
    table = torch.zeros(len(batches), len(names), dtype=torch.float64, device=stars.device)
    for k in range(ranks.rank, len(batches), ranks.size):
        part = batches[k]
        views = make_views(data, stars[part], preset, recipe, draws, keys[part])
        with torch.autocast(data.mag.device.type, torch.bfloat16, enabled=mixed):
            pooled = torch.stack([encoder(view) for view in views])
            z, guesses = encoder.project(pooled), None if truth is None else encoder.summarise(pooled)
        loss, gauges = nt_xent(z, recipe.temperature), [alignment(z), uniformity(z[0]), effective_rank(pooled[0])]
        if guesses is not None and truth is not None:
            parts = torch.stack([loss, summary_loss(guesses.float(), truth[part])])
            loss, gauges = _weighted(recipe, parts), [*gauges, *parts]
        table[k] = torch.stack([loss, *gauges])
    encoder.train(was_training)
    ranks.sum_([table])  # what another rank computed is 0 here
    return dict(zip(names, table.mean(0).tolist(), strict=True))


def pretrain(
    lc: LightCurves | Source,
    preset: str | Preset = "tiny",
    recipe: str | Recipe = "corrected",
    *,
    seed: int = 0,
    out: str | Path | None = None,
    steps: int | None = None,
    device: str | None = None,
    threads: int = 1,
    progress: bool = True,
    save_every: int | None = None,
    tensorboard: bool = False,
    compile: bool = False,
) -> Checkpoint:
    """Train an encoder on light curves, without labels.

    On a GPU that computes in bfloat16 the encoder does, its loss and weights stay in float32. Started by ``torchrun``,
    each process takes an equal share of every batch, and the first one writes: the steps are those of one process to
    rounding, except that each draws the drop-out of its own share.

    Parameters
    ----------
    lc : at least 10 stars, in memory or in `shards.Shards`; 80 % train, 20 % validate
    preset, recipe : names or objects (`astraclr.config`)
    seed : of weights, batches, views and drop-out; on one CPU thread equal seeds give equal bytes
    out : folder for the checkpoint of the best validation loss so far, for ``log.jsonl`` with a line a step, and for
        the state to resume from; the same call resumes a run that was interrupted or killed, and returns a finished
        one at once
    steps : optimiser steps instead of the preset's
    device : "cpu" or "cuda"; the fastest there is by default
    threads : of a CPU run; two are seldom faster at small sizes, and much slower when another program wants a core
    save_every : steps between two states on disk, by default as many as between validations; a state is also written
        on Ctrl-C and SIGTERM, at the end of the step
    tensorboard : also write scalars into the folder ``tensorboard`` of `out`
    compile : let torch.compile translate the encoder: a minute or more at the start, then faster steps on a GPU; it
        rounds, and draws drop-out, in its own way

    Raises
    ------
    ValueError
        For too few stars, a batch that ranks cannot share, or a folder that holds a run with other settings or stars,
        only damaged states, or cannot be written. If a loss or the weights become infinite or NaN: the last state that
        was finite stays in the folder.
    OSError
        For a disk that is full from the start; later, states that cannot be written are skipped with a warning.
    """
    preset, recipe = preset_named(preset), recipe_named(recipe)
    preset = preset if steps is None else replace(preset, steps=steps)
    if len(lc) < 10 or preset.steps < 1:
        raise ValueError(f"{len(lc)} stars and {preset.steps} steps: pre-training needs at least 10 stars and 1 step")
    if save_every is not None and save_every < 1:
        raise ValueError(f"save_every {save_every}: a state is written after 1 step or more")
    if tensorboard and out is None:
        raise ValueError("tensorboard=True writes into the run's folder: name one with out=")
    device = device or own_device()
    source = InMemory(lc, device) if isinstance(lc, LightCurves) else lc
    train, held = split(len(source))
    folder = None if out is None else Path(out)
    with joined(device) as ranks:
        preset = shared(preset, recipe, min(preset.batch_size, len(train)), ranks)
        before = None if folder is None else finished(folder, preset, recipe, seed, source.fingerprint)
        encoder = new_encoder(preset, recipe, seed, len(source.bands)).to(device).train()
        optimiser = new_optimiser(encoder, recipe, device)
        run = Run(
            encoder,
            optimiser,
            preset,
            recipe,
            seed,
            source.fingerprint,
            folder,
            writes=ranks.rank == 0,
            save_every=save_every or preset.evaluate_every,
            tensorboard=tensorboard,
        )
        ranks.check_agreement(f"{run.settings} {run.done} {before is None}", device)
        if before is not None:
            return before
        run.begin()
        if compile:
            encoder.compile(dynamic=True)  # in place, so that names of weights stay; lengths differ from batch to batch
        with _threads(threads), torch.random.fork_rng(_cuda_devices(device)):
            _train(run, source, train, held, device, ranks, progress and ranks.rank == 0)
        checkpoint = run.result()
        ranks.largest(0, device)  # as they leave, all find it on disk
    return checkpoint


def _train(
    run: Run, source: Source, train: np.ndarray, held: np.ndarray, device: str, ranks: Ranks, progress: bool
) -> None:
    """Steps until the run is finished, or until a signal asks one of the ranks to stop."""
    preset, recipe, seed = run.preset, run.recipe, run.seed
    mixed, batches, stop = mixed_precision_pays(device), _Batches(source, train, preset.batch_size, seed), 0
    held = held[: 4 * preset.batch_size]  # no more are looked at
    few, few_rows, keys = source.prepared(held, device), torch.arange(len(held), device=device), torch.as_tensor(held)
    summaries = Summaries(source, train, device) if recipe.summaries else None
    few_truth = None if summaries is None else summaries.of(held)
    bar = tqdm(
        range(run.done, preset.steps),
        initial=run.done,
        total=preset.steps,
        desc="pre-training",
        unit="step",
        disable=not progress,
    )
    with held_signals() as signalled, closing(run.log):
        for step in bar:
            if stop or ranks.largest(run.finished, device):
                break
            began = time.perf_counter()
            drawn = step % batches.per_epoch if recipe.frozen_views else step
            torch.manual_seed(seed * 1_000_003 + step + ranks.rank * _DROPOUT_APART)
            rows = batches[drawn][ranks.share(batches.size)]
            views = _views_of_step(source, rows, preset, recipe, Draws(seed, drawn // batches.per_epoch), device)
            truth = None if summaries is None else summaries.of(rows)
            loss, rate = update(
                run.encoder,
                run.optimiser,
                views,
                recipe,
                step,
                preset.warmup,
                preset.replicas,
                ranks,
                mixed,
                preset.steps,
                truth,
            )
            total = loss if truth is None else _weighted(recipe, loss)
            record = {"step": step + 1, "loss": float(total), "learning_rate": rate}
            if truth is not None:
                record |= dict(zip(PARTS, loss.tolist(), strict=True))
            seconds = time.perf_counter() - began
            if (step + 1) % preset.evaluate_every == 0 or step + 1 == preset.steps:
                seed_now = 0 if recipe.fixed_validation else step
                record |= validate(
                    run.encoder, few, few_rows, preset, recipe, seed_now, mixed, keys.to(device), ranks, few_truth
                )
            run.note(record, seconds, batches.size)
            bar.set_postfix_str(run.summary(), refresh=False)
            # Ranks stop after the same step: one that went on would wait for the others for ever.
            stop = ranks.largest(signalled(), device)
        if stop:
            run.save()
            ranks.largest(0, device)  # nobody leaves before it is on disk
    if stop := stop or signalled():  # one may have come during the last writes
        deliver(stop)


def _views_of_step(
    source: Source, rows: np.ndarray, preset: Preset, recipe: Recipe, draws: Draws, device: str
) -> list[Tokens]:
    """Views of this rank's stars; a star's random numbers are its own, whatever the ranks."""
    data, keys = source.prepared(rows, device), torch.as_tensor(rows, device=device)
    return make_views(data, torch.arange(len(rows), device=device), preset, recipe, draws, keys)


def mixed_precision_pays(device: torch.device | str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; CPUs without it are a hundred times slower so."""
    return torch.device(device).type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _cuda_devices(device: str) -> list[int]:
    """Devices whose random state a run changes, beside the CPU's."""
    chosen = torch.device(device)
    return [chosen.index or 0] if chosen.type == "cuda" else []


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Batches:
    """Numbers of the stars of a step: every epoch is a new order; a last incomplete batch is skipped."""

    def __init__(self, source: Source, rows: np.ndarray, size: int, seed: int) -> None:
        self.source, self.rows, self.size, self.seed = source, rows, min(size, len(rows)), seed
        self.per_epoch = len(rows) // self.size
        self.epoch, self.order = -1, rows

    def __getitem__(self, step: int) -> np.ndarray:
        epoch, k = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.source.order(self.rows, self.seed, epoch)
        return self.order[k * self.size : (k + 1) * self.size]
