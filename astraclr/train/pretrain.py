"""Pre-training: steps and validations until a run ends; seeded, resumable, on one device or several."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from astraclr.config import Preset, Recipe
from astraclr.config import preset as preset_named
from astraclr.config import recipe as recipe_named
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shards import Shards
from astraclr.data.sources import InMemory, Source
from astraclr.data.splits import split
from astraclr.data.tokens import Tokens
from astraclr.folders import locked
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.device import Precision, own_device, uses_bfloat16
from astraclr.model.encoder import new_encoder
from astraclr.train.counter_rng import Draws
from astraclr.train.distributed import joined, shared
from astraclr.train.optimizer import new_optimiser
from astraclr.train.run_state import Run, finished
from astraclr.train.signals import deliver, held_signals
from astraclr.train.step import VALIDATION_BATCHES, Training, update, validate
from astraclr.train.summary_targets import Summaries
from astraclr.train.views import make_views

_DROPOUT_APART = 1_000_000_007
"""Between the seeds of two ranks' drop-out."""


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
    precision: Precision = "auto",
) -> Checkpoint:
    """Train an encoder on light curves, without labels.

    Started by ``torchrun``, each process takes an equal share of every batch, and the first one writes: the steps are
    those of one process to rounding, except that each process draws the drop-out of its own share.

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
    threads : of a CPU run; two are seldom faster at small sizes. Threads that wait sleep, so that another program gets
        the core, if astraclr is imported before torch or OMP_WAIT_POLICY=PASSIVE is set; else they spin, and a busy
        machine slows the run down much more than its share
    progress : show a progress bar
    save_every : steps between two states on disk, by default as many as between validations; a state is also written
        on Ctrl-C and SIGTERM, at the end of the step
    tensorboard : also write scalars into the folder ``tensorboard`` of `out`
    compile : let torch.compile translate the encoder: a minute or more at the start, then faster steps on a GPU; it
        rounds, and draws drop-out, in its own way
    precision : of matrix products in the encoder: "float32", "bfloat16" (about twice as fast for large encoders on a
        CPU with AMX), or "auto": bfloat16 on a GPU that multiplies it in hardware. Losses and weights stay in float32.
        Steps in bfloat16 have a 1 in the column ``bfloat16`` of history and log

    Returns
    -------
    Checkpoint
        The encoder of the best validation loss, with the history of the run.

    Raises
    ------
    ValueError
        For too few stars, a batch that ranks cannot share, bfloat16 where it would be emulated, or a folder that holds
        a run with other settings or stars, only damaged states, or files of others, that another process writes, or
        that cannot be written. For damaged shards: they are read once and compared with their hashes. If a loss or the
        weights become infinite or NaN: the last state that was finite stays in the folder.
    OSError
        For a disk that is full from the start; later, states that cannot be written are skipped with a warning.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> checkpoint = pretrain(simulate(20, seed=0), "tiny", steps=2, progress=False)
    >>> checkpoint.history["step"].tolist(), checkpoint.name
    ([1, 2], 'tiny-corrected-0-unsaved')
    """
    preset, recipe = preset_named(preset), recipe_named(recipe)
    preset = preset if steps is None else replace(preset, steps=steps)
    _check(len(lc), preset, save_every, tensorboard and out is None)
    device = device or own_device()
    mixed = uses_bfloat16(precision, device)
    source = InMemory(lc, device) if isinstance(lc, LightCurves) else lc
    folder = None if out is None else Path(out)
    with joined(device) as ranks, locked(folder if ranks.rank == 0 else None):
        preset = shared(preset, recipe, min(preset.batch_size, len(split(len(source))[0])), ranks)
        before = None if folder is None else finished(folder, preset, recipe, seed, source.fingerprint)
        encoder = new_encoder(preset, recipe, seed, len(source.bands)).to(device).train()
        training = Training(encoder, preset, recipe, ranks, mixed)
        optimiser = new_optimiser(encoder, recipe, device)
        run = Run(training, optimiser, seed, source.fingerprint, folder, save_every=save_every, tensorboard=tensorboard)
        ranks.check_agreement(f"{run.settings} {run.done} {before is None}", device)
        if before is not None:
            return before
        if isinstance(source, Shards) and ranks.rank == 0:
            source.verify(progress)
        run.begin()
        if compile:
            encoder.compile(dynamic=True)  # in place, so that names of weights stay; lengths differ from batch to batch
        with _threads(threads), torch.random.fork_rng(_cuda_devices(device)):
            _train(run, _Stars(run, source, device), progress and ranks.rank == 0)
        checkpoint = run.result()
        ranks.largest(0, device)  # when the ranks leave, the checkpoint is on disk for all of them
    return checkpoint


def _check(n_stars: int, preset: Preset, save_every: int | None, no_place: bool) -> None:
    """Refuse arguments of `pretrain` that cannot work."""
    if n_stars < 10 or preset.steps < 1:
        raise ValueError(f"{n_stars} stars and {preset.steps} steps: pre-training needs at least 10 stars and 1 step")
    if save_every is not None and save_every < 1:
        raise ValueError(f"save_every {save_every}: a state is written after 1 step or more")
    if no_place:
        raise ValueError("tensorboard=True writes into the run's folder: name one with out=")


def _train(run: Run, stars: _Stars, progress: bool) -> None:
    """Take steps until the run is finished, or until a signal asks one of the ranks to stop."""
    training, preset, ranks, stop = run.training, run.training.preset, run.training.ranks, 0
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
            if stop or ranks.largest(run.finished, stars.device):
                break
            began = time.perf_counter()
            torch.manual_seed(run.seed * 1_000_003 + step + ranks.rank * _DROPOUT_APART)
            views, truth = stars.of_step(step)
            record = {"step": step + 1, **update(training, run.optimiser, views, step, truth).record()}
            record |= {"bfloat16": 1.0} if training.mixed else {}
            seconds = time.perf_counter() - began
            if (step + 1) % preset.evaluate_every == 0 or step + 1 == preset.steps:
                seed = 0 if training.recipe.fixed_validation else step
                record |= validate(training, stars.held, stars.rows, seed, stars.keys, stars.held_truth)
            run.note(record, seconds, stars.batches.size)
            bar.set_postfix_str(run.summary(), refresh=False)
            # Ranks stop after the same step: one that went on would wait for the others for ever.
            stop = ranks.largest(signalled(), stars.device)
        if stop:
            run.save()
            ranks.largest(0, stars.device)  # no rank leaves before the state is on disk
    if stop := stop or signalled():  # one may have come during the last writes
        deliver(stop)


class _Stars:
    """Training stars, as views of each step, and validation stars of a run; with the truth of summaries.

    Attributes
    ----------
    held, rows, keys : validation stars, their rows in `held` and their numbers in the whole set
    held_truth : their summaries, where the recipe learns from them
    """

    def __init__(self, run: Run, source: Source, device: str) -> None:
        train, held = split(len(source))
        training, size = run.training, run.training.preset.batch_size
        held = held[: VALIDATION_BATCHES * size]
        self.training, self.source, self.device, self.seed = training, source, device, run.seed
        self.batches = _Batches(source, train, size, run.seed)
        self.held, self.rows = source.prepared(held, device), torch.arange(len(held), device=device)
        self.keys = torch.as_tensor(held).to(device)
        recipe = training.recipe
        folded = bool(recipe.global_contrast) and recipe.global_inputs == "folded"
        self.summaries = Summaries(source, train, device, folded) if recipe.reads_whole else None
        self.held_truth = None if self.summaries is None else self.summaries.of(held)

    def of_step(self, step: int) -> tuple[list[Tokens], Tensor | None]:
        """Views of this rank's stars in a step, and their summaries."""
        training = self.training
        drawn = step % self.batches.per_epoch if training.recipe.frozen_views else step
        rows = self.batches[drawn][training.ranks.share(self.batches.size)]
        draws = Draws(self.seed, drawn // self.batches.per_epoch)
        views = views_of(self.source, rows, training, draws, self.device)
        return views, None if self.summaries is None else self.summaries.of(rows)


def views_of(
    source: Source, rows: np.ndarray, training: Training, draws: Draws, device: torch.device | str = "cpu"
) -> list[Tokens]:
    """Views of the stars of a source with these numbers; a star's random numbers are its own, whatever the batch."""
    data, keys = source.prepared(rows, device), torch.as_tensor(rows, device=device)
    return make_views(data, torch.arange(len(rows), device=device), training.preset, training.recipe, draws, keys)


def _cuda_devices(device: str) -> list[int]:
    """Devices whose random state a run changes, beside the CPU's."""
    chosen = torch.device(device)
    return [chosen.index or 0] if chosen.type == "cuda" else []


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch compute with `n` threads for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Batches:
    """Numbers of the training stars of each step: every epoch has a new order; a last incomplete batch is skipped."""

    def __init__(self, source: Source, rows: np.ndarray, size: int, seed: int) -> None:
        self.source, self.rows, self.size, self.seed = source, rows, min(size, len(rows)), seed
        self.per_epoch = len(rows) // self.size
        self.epoch, self.order = -1, rows

    def __getitem__(self, step: int) -> np.ndarray:
        epoch, k = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, self.source.order(self.rows, self.seed, epoch)
        return self.order[k * self.size : (k + 1) * self.size]
