"""A run on disk: its state in two generations, its log, and how it stops. Whatever happens, it can be resumed.

``state.safetensors`` is the newest state, ``state-previous.safetensors`` the one before; each is written beside its
name and renamed, so a process that dies at any moment leaves at least one whole. Each carries a checksum of all it
holds: one that was damaged is found, and the run goes on from the other.
"""

from __future__ import annotations

import json
import math
import os
import signal
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from astraclr.config import Preset, Recipe, to_dict
from astraclr.files import need_known_version, replacing
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from astraclr.model.encoder import Encoder
from astraclr.train.run_log import RunLog
from astraclr.train.run_settings import need_same_run, settings_of

STATE, PREVIOUS, LOG = "state.safetensors", "state-previous.safetensors", "log.jsonl"
_FORMAT, _VERSION = "astraclr state", 1


class Run:
    """What is trained, what is best so far, and what to write so that nothing is lost.

    Parameters
    ----------
    encoder, optimiser : what is trained; changed in place when there is a state to resume from
    data : fingerprint of the stars
    out : folder, or None to write nothing; a run that was begun there is read from it
    writes : whether this process writes (of several that train together only one does)
    save_every : steps between two states

    Raises
    ------
    ValueError
        If `out` holds a run with other settings, or nothing but damaged states.
    """

    def __init__(
        self,
        encoder: Encoder,
        optimiser: torch.optim.Adam,
        preset: Preset,
        recipe: Recipe,
        seed: int,
        data: str,
        out: Path | None,
        *,
        writes: bool = True,
        save_every: int = 0,
        tensorboard: bool = False,
    ) -> None:
        self.encoder, self.optimiser, self.preset, self.recipe = encoder, optimiser, preset, recipe
        self.seed, self.data, self.out = seed, data, out
        self.folder = out if writes else None
        self.save_every = save_every or preset.evaluate_every
        self.history: list[dict[str, float]] = []
        self.done, self.finished, self.seconds = 0, False, 0.0
        self.best_loss, self.best_step = math.inf, 0
        self.best = {k: v.clone() for k, v in encoder.state_dict().items()}
        self.settings = json.dumps([to_dict(preset), to_dict(recipe), seed, data], sort_keys=True)
        self.rate = 0.0
        self._saved, self._fell_back = -1, False
        if out is not None:
            self._resume(out)
        log = None if self.folder is None else self.folder / LOG
        self.log = RunLog(log, tensorboard and self.folder is not None)

    def begin(self) -> None:
        """Prepare the folder before any work, so that one that cannot be written is found now."""
        if self.folder is None:
            return
        if self._fell_back:
            os.replace(self.folder / PREVIOUS, self.folder / STATE)  # the damaged one must not become the previous one
        if self._saved < 0:
            self._write(self.folder)
        for left in self.folder.glob(f".{STATE}.*.part"):  # of a process that was killed while it wrote
            left.unlink(missing_ok=True)
        self.log.begin(self.history)

    def note(self, record: dict[str, float], seconds: float, n_stars: int) -> None:
        """Keep a step's record; at a validation keep the best weights and see whether to stop; save when it is time.

        Raises
        ------
        ValueError
            If a loss is not finite, or the weights to save are not.
        """
        for name in ("loss", "val_loss"):
            if not math.isfinite(value := record.get(name, 0.0)):
                raise self._diverged(f"step {int(record['step'])}: {name} is {value}")
        self.done, self.seconds = int(record["step"]), self.seconds + seconds
        self.history.append(record)
        now = n_stars / seconds
        self.rate = 0.9 * self.rate + 0.1 * now if self.rate else now
        self.log.add(record | {"light_curves_per_s": now, "seconds": self.seconds})
        if "val_loss" in record:
            if record["val_loss"] < self.best_loss:
                self.best_loss, self.best_step = record["val_loss"], self.done
                self.best = {k: v.clone() for k, v in self.encoder.state_dict().items()}
            stale = (self.done - self.best_step) >= self.preset.patience * self.preset.evaluate_every
            self.finished = stale or self.done == self.preset.steps
        if self.finished or self.done % self.save_every == 0:
            self.save()

    def summary(self) -> str:
        """Light curves a second over the last ten steps or so, the last loss and the best validation loss."""
        best = f", best validation {self.best_loss:.2f}" if self.best_step else ""
        return f"{self.rate:,.0f} light curves/s, loss {self.history[-1]['loss']:.2f}{best}"

    def save(self) -> None:
        """Write the state to resume from; where that fails, warn and keep the states that are there.

        Raises
        ------
        ValueError
            If it is not finite: no run could go on from it. Of several ranks each finds out by itself.
        """
        if self._saved == self.done:
            return
        moments = (v for state in self.optimiser.state_dict()["state"].values() for v in state.values())
        if not all(v.isfinite().all() for v in (*self.encoder.state_dict().values(), *moments)):
            raise self._diverged(f"step {self.done}: weights are not finite")
        if self.folder is None:
            return
        try:
            self._write(self.folder)
        except (OSError, ValueError) as error:
            warnings.warn(
                f"the state of step {self.done} could not be written ({error}): until a later one can, a "
                f"resumed run goes on from step {max(self._saved, 0)}; make room in {self.folder}",
                stacklevel=2,
            )

    def _diverged(self, what: str) -> ValueError:
        kept = "no state is kept without out="
        if self.out is not None:
            kept = f"{self.out} keeps the state of step {max(self._saved, 0)}"
        return ValueError(
            f"{what}: training has diverged; {kept}. Look for extreme values in the light curves, or train in another "
            "folder with a lower learning rate (a smaller peak_rate of the recipe, a longer warmup of the preset)"
        )

    def result(self) -> Checkpoint:
        """The encoder of the best validation loss; it replaces the states on disk."""
        with torch.random.fork_rng():
            encoder = Encoder(self.encoder.config)
        encoder.load_state_dict(self.best)
        encoder = encoder.to(next(self.encoder.parameters()).device).eval()
        checkpoint = Checkpoint(encoder, self.preset, self.recipe, self.seed, self.data, pd.DataFrame(self.history))
        if self.folder is not None:
            save_checkpoint(checkpoint, self.folder)
            for name in (PREVIOUS, STATE):  # in this order: a run killed in between finds the finished one
                (self.folder / name).unlink(missing_ok=True)
        return checkpoint

    def _write(self, folder: Path) -> None:
        """Weights, best weights, Adam's moments, history; the newest state so far becomes the previous one."""
        from safetensors.torch import save

        tensors = {f"last/{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for k, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{k}/{name}": value for name, value in state.items()}
        table = pd.DataFrame(self.history)
        tensors |= {f"history/{name}": torch.tensor(table[name].to_numpy(float)) for name in table}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        facts = json.dumps(
            {
                "done": self.done,
                "finished": self.finished,
                "seconds": self.seconds,
                "best_loss": self.best_loss,
                "best_step": self.best_step,
                "columns": list(table),
            }
        )
        meta = {"format": f"{_FORMAT} {_VERSION}", "settings": self.settings, "facts": facts}
        content = save(tensors, metadata=meta | {"checksum": _checksum(tensors, meta)})
        with replacing(folder / STATE) as part:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # renamed before its content is on disk, it could be empty after a power cut
            if (folder / STATE).exists():
                os.replace(folder / STATE, folder / PREVIOUS)
        self._saved = self.done

    def _resume(self, out: Path) -> None:
        """Go on from the newest state that is whole."""
        damaged: list[str] = []
        for path in (out / STATE, out / PREVIOUS):
            if not path.exists():
                continue
            try:
                meta, tensors = _read(path)
            except _Damaged as error:
                damaged.append(str(error))
                continue
            need_same_run(out, settings_of(path, meta["settings"]), (self.preset, self.recipe, self.seed, self.data))
            self._load(json.loads(meta["facts"]), tensors)
            if damaged:
                self._fell_back = True
            if damaged and self.folder is not None:
                warnings.warn(f"{damaged[0]}; going on from {path.name}, of step {self.done}", stacklevel=4)
            return
        if damaged:
            raise ValueError(f"{' and '.join(damaged)}; remove it to start anew")

    def _load(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        def named(first: str) -> dict[str, Tensor]:
            return {k.removeprefix(first): v for k, v in tensors.items() if k.startswith(first)}

        self.done, self.finished, self.seconds = facts["done"], facts["finished"], facts["seconds"]
        self.best_loss, self.best_step, self._saved = facts["best_loss"], facts["best_step"], facts["done"]
        columns = {name: tensors[f"history/{name}"].tolist() for name in facts["columns"]}
        for row in zip(*columns.values(), strict=True):
            record: dict[str, float] = {k: v for k, v in zip(columns, row, strict=True) if not math.isnan(v)}
            record["step"] = int(record["step"])
            self.history.append(record)
        self.encoder.load_state_dict(named("last/"))
        self.best = {k: v.to(self.best[k].device) for k, v in named("best/").items()}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in named("adam/").items():
            k, name = key.split("/")
            state.setdefault(int(k), {})[name] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})


class _Damaged(Exception):
    """A state that is not whole."""


def _checksum(tensors: dict[str, Tensor], meta: dict[str, str]) -> str:
    """CRC-32 of everything a state holds: names and bytes of the tensors, format (if it says), settings and facts."""
    crc = zlib.crc32(f"{meta.get('format', '')}{meta['settings']}{meta['facts']}".encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].numpy().tobytes(), zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a state holds; _Damaged if it is not whole, or of no use; ValueError if a later version wrote it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            meta, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        kind, _, number = meta.get("format", f"{_FORMAT} 1").rpartition(" ")  # the first states did not say
        version = int(number) if kind == _FORMAT else 0
        whole = version != _VERSION or meta["checksum"] == _checksum(tensors, meta)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _Damaged(f"{path} is damaged ({error})") from error
    need_known_version(path, version, _VERSION)
    if not whole:
        raise _Damaged(f"{path} is damaged (its checksum does not fit)")
    if not all(v.isfinite().all() for k, v in tensors.items() if k.startswith(("last/", "best/"))):
        raise _Damaged(f"{path} is damaged (its weights are not finite: training had diverged)")
    return meta, tensors


def finished(out: Path, preset: Preset, recipe: Recipe, seed: int, data: str) -> Checkpoint | None:
    """The checkpoint of a run that ended in this folder, if it was the same run."""
    if (out / STATE).exists() or (out / PREVIOUS).exists() or not (out / "config.json").exists():
        return None
    found = load_checkpoint(out)
    need_same_run(out, (found.preset, found.recipe, found.seed, found.data), (preset, recipe, seed, data))
    return found


@contextmanager
def held_signals() -> Iterator[Callable[[], int]]:
    """Hold Ctrl-C and SIGTERM back while the block runs; gives a function that tells which one came, 0 for none.

    In the middle of a step some weights are a step ahead of others, and of the count of steps: a run resumed from
    there would not be the run that was never interrupted.
    """
    came: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    held = [s for s, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        held = []
    for s in held:
        signal.signal(s, lambda number, _: came.append(number))
    try:
        yield lambda: came[0] if came else 0
    finally:
        for s in held:
            signal.signal(s, before[s])


def deliver(number: int) -> None:
    """Do now what a signal that was held back asked for; end with code 128 + number where nobody handles it."""
    if callable(signal.getsignal(number)):
        signal.raise_signal(number)
    raise SystemExit(128 + number)
