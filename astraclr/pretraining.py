"""The loop: views of unlabelled stars, NT-Xent, Adam with warm-up; seeded, resumable, interruptible."""

from __future__ import annotations

import json
import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.checkpoints import Checkpoint, fingerprint, load_checkpoint, save_checkpoint
from astraclr.draws import VALIDATION, Draws
from astraclr.encoder import Encoder, new_encoder
from astraclr.files import replacing
from astraclr.lightcurves import LightCurves
from astraclr.losses import alignment, effective_rank, nt_xent, uniformity
from astraclr.preparation import Prepared, Tokens, prepare
from astraclr.presets import Preset, Recipe, to_dict
from astraclr.presets import preset as preset_named
from astraclr.presets import recipe as recipe_named
from astraclr.views import make_views

BETAS, EPSILON, CLIP_NORM = (0.9, 0.98), 1e-9, 1.0
"""Adam and the global gradient norm of the paper's code."""
TRAIN_SHARE = 0.8
_STATE = "state.safetensors"
_OTHER_RUN = (
    "{} holds a run with another preset, recipe, seed, number of steps or other stars; "
    "choose another folder, or remove it to start anew"
)


def learning_rate(step: int, d_model: int, warmup: int) -> float:
    """``d^-0.5 min(step^-0.5, step warmup^-1.5)`` (Vaswani et al. 2017, equation 3); 0 at step 0."""
    return d_model**-0.5 * min(step**-0.5, step * warmup**-1.5) if step else 0.0


def split(n: int, share: float = TRAIN_SHARE, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Numbers 0..n-1 shuffled and cut at int(share n), as the paper's code splits objects."""
    order = np.random.RandomState(seed).permutation(n)  # noqa: NPY002 - the paper's generator
    return order[: int(share * n)], order[int(share * n) :]


def project_views(encoder: Encoder, views: list[Tokens]) -> Tensor:
    """(views, batch, d_projection); each view runs at its own length."""
    return torch.stack([encoder.project(encoder(view)) for view in views])


def update(encoder: Encoder, optimiser: torch.optim.Adam, views: list[Tokens], recipe: Recipe, done: int,
           warmup: int, replicas: int = 1) -> tuple[Tensor, float]:  # fmt: skip
    """One optimiser step after `done` earlier ones; returns the mean pair loss before it, and the learning rate.

    A recipe whose negatives stay in a replica gets `replicas` shares of the batch, one after the other: each has its
    own negatives, divides by the whole batch, and clips its own gradient; then the gradients are summed.
    """
    parameters, batch = list(encoder.parameters()), len(views[0].mag)
    losses, summed = [], None
    for rows in torch.arange(batch, device=views[0].mag.device).tensor_split(_replicas(recipe, replicas)):
        loss = nt_xent(project_views(encoder, [view.rows(rows) for view in views]), recipe.temperature)
        optimiser.zero_grad(set_to_none=True)
        (loss * (len(rows) / batch * (len(views) * (len(views) - 1) if recipe.loss_sum else 1))).backward()
        nn.utils.clip_grad_norm_(parameters, CLIP_NORM)
        gradients = [p.grad for p in parameters if p.grad is not None]
        summed = gradients if summed is None else [a + b for a, b in zip(summed, gradients, strict=True)]
        losses.append(loss.detach() * len(rows) / batch)
    for p, gradient in zip(parameters, summed or (), strict=True):
        p.grad = gradient
    rate = learning_rate(done if recipe.keras_adam else done + 1, encoder.config.d_model, warmup)
    for group in optimiser.param_groups:
        group["lr"] = rate
        # Keras adds epsilon before the bias correction: torch's epsilon must grow by its inverse.
        group["eps"] = EPSILON / math.sqrt(1 - BETAS[1] ** (done + 1)) if recipe.keras_adam else EPSILON
    optimiser.step()
    return torch.stack(losses).sum(), rate


def _replicas(recipe: Recipe, replicas: int) -> int:
    return replicas if recipe.negatives == "replica" else 1


@torch.no_grad()
def validate(encoder: Encoder, data: Prepared, stars: Tensor, preset: Preset, recipe: Recipe,
             seed: int) -> dict[str, float]:  # fmt: skip
    """Loss, alignment, uniformity of the projections and effective rank of the embeddings on held-out stars.

    Means over at most 4 batches of the preset's size (a replica's share of it, where negatives stay there), or of all
    the stars where there are fewer: then the chance level is lower too.
    """
    was_training = encoder.training
    encoder.eval()
    size = min(preset.batch_size // _replicas(recipe, preset.replicas), len(stars))
    rows = []
    for first in range(0, min(len(stars) - size + 1, 4 * size), size):
        views = make_views(data, stars[first : first + size], preset, recipe, Draws(seed, VALIDATION))
        pooled = torch.stack([encoder(view) for view in views])
        z = encoder.project(pooled)
        rows.append({"val_loss": float(nt_xent(z, recipe.temperature)), "alignment": float(alignment(z)),
                     "uniformity": float(uniformity(z[0])), "effective_rank": float(effective_rank(pooled[0]))})
    encoder.train(was_training)
    return pd.DataFrame(rows).mean().to_dict()


def pretrain(lc: LightCurves, preset: str | Preset = "tiny", recipe: str | Recipe = "corrected", *, seed: int = 0,
             out: str | Path | None = None, steps: int | None = None, device: str | None = None,
             threads: int = 1, progress: bool = True) -> Checkpoint:  # fmt: skip
    """Train an encoder on light curves, without labels.

    Parameters
    ----------
    lc : at least 10 stars; 80 % train, 20 % validate
    preset, recipe : names or objects (`astraclr.presets`)
    seed : of weights, batches, views and drop-out; on one CPU thread equal seeds give equal bytes
    out : folder for the checkpoint of the best validation loss so far, and for the state to resume from; the same
        call resumes an interrupted run, and returns a finished one at once
    steps : optimiser steps instead of the preset's
    device : "cpu" or "cuda"; the fastest there is by default
    threads : of a CPU run; two are seldom faster at small sizes, and much slower when another program wants a core

    Raises
    ------
    ValueError
        For too few stars, or a folder that holds a run with other settings or cannot be written.
    """
    preset, recipe = preset_named(preset), recipe_named(recipe)
    preset = preset if steps is None else replace(preset, steps=steps)
    if len(lc) < 10 or preset.steps < 1:
        raise ValueError(f"{len(lc)} stars and {preset.steps} steps: pre-training needs at least 10 stars and 1 step")
    replicas, batch = _replicas(recipe, preset.replicas), min(preset.batch_size, int(len(lc) * TRAIN_SHARE))
    if batch % replicas or batch < 2 * replicas:
        raise ValueError(f"a batch of {batch} stars does not make {replicas} equal replicas of two stars or more; "
                         "choose another batch_size, more stars, or a recipe with negatives='gathered'")  # fmt: skip
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if out is not None and (finished := _finished(Path(out), preset, recipe, seed, fingerprint(lc))):
        return finished
    data = prepare(lc, device)
    train, held = (torch.as_tensor(part, device=device) for part in split(len(lc)))
    run = _Run(preset, recipe, seed, device, None if out is None else Path(out), fingerprint(lc))
    per_epoch = max(1, len(train) // preset.batch_size)
    run.save()  # a folder that cannot be written is found before any work
    with _threads(threads), torch.random.fork_rng(), run.saving_when_interrupted() as between_steps:
        bar = tqdm(range(run.done, preset.steps), initial=run.done, total=preset.steps, desc="pre-training",
                   unit="step", disable=not progress)  # fmt: skip
        for step in bar:
            if run.finished:
                break
            drawn = step % per_epoch if recipe.frozen_views else step
            batch = train[_batch(drawn, len(train), preset.batch_size, seed)]
            torch.manual_seed(seed * 1_000_003 + step)
            views = make_views(data, batch, preset, recipe, Draws(seed, drawn // per_epoch))
            loss, rate = update(run.encoder, run.optimiser, views, recipe, step, preset.warmup, preset.replicas)
            record = {"step": step + 1, "loss": float(loss), "learning_rate": rate}
            run.done = step + 1
            if run.done % preset.evaluate_every == 0 or run.done == preset.steps:
                record |= validate(run.encoder, data, held, preset, recipe, 0 if recipe.fixed_validation else step)
                bar.set_postfix(loss=f"{record['loss']:.2f}", validation=f"{record['val_loss']:.2f}")
            run.note(record)
            between_steps()
    return run.result()


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _held_interrupt() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back until the function given is called.

    In the middle of a step some weights are a step ahead of others, and of the count of steps: a run resumed from
    there would not be the run that was never interrupted.
    """
    before, came = signal.getsignal(signal.SIGINT), []

    def between_steps() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield between_steps
        return
    signal.signal(signal.SIGINT, lambda *_: came.append(True))
    try:
        yield between_steps
    finally:
        signal.signal(signal.SIGINT, before)


def _finished(out: Path, preset: Preset, recipe: Recipe, seed: int, data: str) -> Checkpoint | None:
    """The checkpoint of a run that ended here, if it was the same run."""
    if (out / _STATE).exists() or not (out / "config.json").exists():
        return None
    found = load_checkpoint(out)
    if (found.preset, found.recipe, found.seed, found.data) != (preset, recipe, seed, data):
        raise ValueError(_OTHER_RUN.format(out))
    return found


def _batch(step: int, n: int, size: int, seed: int) -> np.ndarray:
    """Stars of a step: every epoch is a new permutation; a last incomplete batch is skipped."""
    size = min(size, n)
    epoch, k = divmod(step, n // size)
    return _epoch_order(seed, epoch, n)[k * size : (k + 1) * size]


@lru_cache(maxsize=1)
def _epoch_order(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(n)


class _Run:
    """State of one run: what is trained, what is best so far, and what to write so that nothing is lost."""

    def __init__(self, preset: Preset, recipe: Recipe, seed: int, device: str, out: Path | None, data: str) -> None:
        self.preset, self.recipe, self.seed, self.data, self.out = preset, recipe, seed, data, out
        self.encoder = new_encoder(preset, recipe, seed).to(device).train()
        self.optimiser = torch.optim.Adam(self.encoder.parameters(), betas=BETAS, eps=EPSILON)
        self.history: list[dict[str, float]] = []
        self.done, self.finished = 0, False
        self.best_loss, self.best_step = math.inf, 0
        self.best = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        self.settings = json.dumps([to_dict(preset), to_dict(recipe), seed, data], sort_keys=True)
        if out is not None and (out / _STATE).exists():
            self._resume(out)

    def note(self, record: dict[str, float]) -> None:
        """Keep a step's record; at a validation keep the best weights, save, and see whether to stop."""
        self.history.append(record)
        if "val_loss" not in record:
            return
        if record["val_loss"] < self.best_loss:
            self.best_loss, self.best_step = record["val_loss"], self.done
            self.best = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        stale = (self.done - self.best_step) >= self.preset.patience * self.preset.evaluate_every
        self.finished = stale or self.done == self.preset.steps
        self.save()

    def result(self) -> Checkpoint:
        """The encoder of the best validation loss."""
        encoder = new_encoder(self.preset, self.recipe, self.seed)
        encoder.load_state_dict(self.best)
        encoder = encoder.to(next(self.encoder.parameters()).device).eval()
        checkpoint = Checkpoint(encoder, self.preset, self.recipe, self.seed, self.data, pd.DataFrame(self.history))
        if self.out is not None:
            save_checkpoint(checkpoint, self.out)
            (self.out / _STATE).unlink(missing_ok=True)
        return checkpoint

    @contextmanager
    def saving_when_interrupted(self) -> Iterator[Callable[[], None]]:
        """On Ctrl-C write the state before passing the interrupt on, which waits until the function given is called."""
        try:
            with _held_interrupt() as between_steps:
                yield between_steps
        except KeyboardInterrupt:
            self.save()
            raise

    def save(self) -> None:
        """Write the state to resume from: weights, best weights, Adam's moments, history."""
        if self.out is None:
            return
        from safetensors.torch import save_file

        tensors = {f"last/{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for k, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{k}/{name}": value for name, value in state.items()}
        facts = {"done": self.done, "finished": self.finished, "best_loss": self.best_loss, "best_step": self.best_step,
                 "history": self.history}  # fmt: skip
        with replacing(self.out / _STATE) as part:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part,
                      metadata={"settings": self.settings, "facts": json.dumps(facts)})  # fmt: skip

    def _resume(self, out: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(out / _STATE, framework="pt") as file:
                meta, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{out / _STATE} is damaged ({error}); remove it to start anew") from error
        if meta["settings"] != self.settings:
            raise ValueError(_OTHER_RUN.format(out))
        facts = json.loads(meta["facts"])
        self.done, self.finished, self.history = facts["done"], facts["finished"], facts["history"]
        self.best_loss, self.best_step = facts["best_loss"], facts["best_step"]
        self.encoder.load_state_dict({k[5:]: v for k, v in tensors.items() if k.startswith("last/")})
        self.best = {k[5:]: v for k, v in tensors.items() if k.startswith("best/")}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("adam/"):
                _, k, name = key.split("/")
                state.setdefault(int(k), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
