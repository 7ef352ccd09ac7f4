"""A training run: what is trained, what is best so far, and its state on disk, from which it can be resumed.

``state.safetensors`` is the newest state, ``state-previous.safetensors`` the one before (`train.state_file`). A process
that dies at any moment leaves at least one whole; where one is damaged, the run is resumed from the other.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from astraclr.config import Preset, Recipe, to_dict
from astraclr.folders import need_no_others
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from astraclr.model.encoder import Encoder
from astraclr.parts import file_of_part
from astraclr.train.run_log import RunLog
from astraclr.train.run_settings import need_same_run, settings_of
from astraclr.train.state_file import (
    PREVIOUS,
    STATE,
    DamagedStateError,
    facts_of,
    parts_of,
    read_state,
    write_state,
)
from astraclr.train.step import Training

BESIDE = ("fingerprint.json", "cost.json")
"""Files that chapters and benchmarks write beside a run, before its first state (`tutorial.experiments`)."""

LOG = "log.jsonl"
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam keeps of a parameter."""


class Run:
    """What is trained, what is best so far, and how far the run is; written to disk so that it can be resumed.

    Parameters
    ----------
    training, optimiser : encoder and its optimiser; changed in place when there is a state to resume from
    seed : of the run
    data : fingerprint of the stars
    out : folder, or None to write nothing; a run that was begun there is resumed. Of several ranks the first writes
    save_every : steps between two states; by default as many as between validations
    tensorboard : also write scalars for TensorBoard

    Raises
    ------
    ValueError
        If `out` holds a run with other settings, or only damaged states.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> from astraclr.model.encoder import new_encoder
    >>> from astraclr.train.optimizer import new_optimiser
    >>> encoder = new_encoder(preset("tiny"), recipe("corrected"), 0)
    >>> training = Training(encoder, preset("tiny"), recipe("corrected"))
    >>> run = Run(training, new_optimiser(encoder, training.recipe, "cpu"), 0, "", None)
    >>> run.note({"step": 1, "loss": 5.5, "val_loss": 5.4}, seconds=0.5, n_stars=128)
    >>> run.best_step, run.finished, run.summary()
    (1, False, '256 light curves/s, loss 5.50, best validation 5.40')
    """

    def __init__(
        self,
        training: Training,
        optimiser: torch.optim.Adam,
        seed: int,
        data: str,
        out: Path | None,
        *,
        save_every: int | None = None,
        tensorboard: bool = False,
    ) -> None:
        self.training, self.encoder, self.optimiser = training, training.encoder, optimiser
        self.preset, self.recipe = training.preset, training.recipe
        self.seed, self.data, self.out = seed, data, out
        self.folder = out if training.ranks.rank == 0 else None
        self.save_every = save_every or self.preset.evaluate_every
        self.history: list[dict[str, float]] = []
        self.done, self.finished, self.seconds = 0, False, 0.0
        self.best_loss, self.best_step = math.inf, 0
        self.best = {k: v.clone() for k, v in self.encoder.state_dict().items()}
        self.settings = json.dumps([to_dict(self.preset), to_dict(self.recipe), seed, data], sort_keys=True)
        self.rate = 0.0
        self._saved, self._fell_back = -1, False
        if out is not None:
            self._resume(out)
        log = None if self.folder is None else self.folder / LOG
        self.log = RunLog(log, tensorboard and self.folder is not None)

    def begin(self) -> None:
        """Write the first state and the log before any work, so that a folder that cannot be written is found now."""
        if self.folder is None:
            return
        if self._fell_back:
            (self.folder / PREVIOUS).replace(self.folder / STATE)  # else the damaged one would become the previous one
        if self._saved < 0:
            self._write(self.folder)
        for left in self.folder.glob(f".{STATE}.*.part"):  # of a process that was killed while it wrote
            if file_of_part(left.name) == STATE:
                left.unlink(missing_ok=True)
        self.log.begin(self.history)

    def note(self, record: dict[str, float], seconds: float, n_stars: int) -> None:
        """Keep the record of a step; after a validation keep the best weights and decide whether to stop; save if due.

        Parameters
        ----------
        record : step, loss, learning_rate; after a validation also its numbers
        seconds, n_stars : that the step took, and stars of its batch

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
        """Line for a progress bar: light curves a second over about ten steps, last loss, best validation loss."""
        best = f", best validation {self.best_loss:.2f}" if self.best_step else ""
        return f"{self.rate:,.0f} light curves/s, loss {self.history[-1]['loss']:.2f}{best}"

    def save(self) -> None:
        """Write the state to resume from; where that fails, warn and keep the states on disk.

        Raises
        ------
        ValueError
            If a weight or moment is not finite: no run could be resumed from it. Every rank checks its own.
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
        """Return the encoder of the best validation loss; on disk its checkpoint replaces the states."""
        with torch.random.fork_rng():
            encoder = Encoder(self.encoder.config)
        encoder.load_state_dict(self.best)
        encoder = encoder.to(self.encoder.device).eval()
        checkpoint = Checkpoint(encoder, self.preset, self.recipe, self.seed, self.data, pd.DataFrame(self.history))
        if self.folder is not None:
            save_checkpoint(checkpoint, self.folder)
            for name in (PREVIOUS, STATE):  # in this order: killed in between, the run is found finished
                (self.folder / name).unlink(missing_ok=True)
        return checkpoint

    def _write(self, folder: Path) -> None:
        """Write weights, best weights, Adam's moments, history and counters."""
        tensors = {f"last/{k}": v for k, v in self.encoder.state_dict().items()}
        tensors |= {f"best/{k}": v for k, v in self.best.items()}
        for k, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{k}/{name}": value for name, value in state.items()}
        table = pd.DataFrame(self.history)
        tensors |= {f"history/{name}": torch.tensor(table[name].to_numpy(float)) for name in table}
        facts = {
            "done": self.done,
            "finished": self.finished,
            "seconds": self.seconds,
            "best_loss": self.best_loss,
            "best_step": self.best_step,
            "columns": list(table),
        }
        write_state(folder, tensors, self.settings, facts)
        self._saved = self.done

    def _resume(self, out: Path) -> None:
        """Load the newest state that is whole."""
        damaged: list[str] = []
        for path in (out / STATE, out / PREVIOUS):
            if not path.exists():
                continue
            try:
                meta, tensors = read_state(path)
                wanted = self.preset, self.recipe, self.seed, self.data
                need_same_run(out, settings_of(path, meta["settings"]), wanted)
                self._load(path, facts_of(path, meta), tensors)
            except DamagedStateError as error:
                damaged.append(str(error))
                continue
            if damaged:
                self._fell_back = True
            if damaged and self.folder is not None:
                warnings.warn(f"{damaged[0]}; going on from {path.name}, of step {self.done}", stacklevel=4)
            return
        if damaged:
            raise ValueError(f"{' and '.join(damaged)}; choose another folder, or remove it to start anew")

    def _load(self, path: Path, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Set encoder, optimiser, history and counters as `_write` wrote them.

        Raises
        ------
        DamagedStateError
            If they do not fit together, or not this encoder; what was set before is then set anew by another state.
        """
        parameters = list(self.encoder.parameters())
        try:
            columns = {name: tensors[f"history/{name}"].double().tolist() for name in facts["columns"]}
            rows: list[dict[str, float]] = [
                {k: v for k, v in zip(columns, row, strict=True) if not math.isnan(v)}
                for row in zip(*columns.values(), strict=True)
            ]
            if len(rows) != facts["done"] or any(row["step"] != k for k, row in enumerate(rows, 1)):
                raise ValueError(f"its history does not hold the steps 1 to {facts['done']}")
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in parts_of(tensors, "adam/").items():
                k, name = key.split("/")
                if value.numel() > 1 and value.shape != parameters[int(k)].shape:
                    raise ValueError(f"{key} has the shape {tuple(value.shape)}")
                state.setdefault(int(k), {})[name] = value
            if (facts["done"] and not state) or any(set(names) != _MOMENTS for names in state.values()):
                raise ValueError(f"moments of Adam are missing: {', '.join(sorted(_MOMENTS))}")
            best = parts_of(tensors, "best/")
            self.encoder.load_state_dict(best)  # of the same shapes as the last weights, which follow
            self.encoder.load_state_dict(parts_of(tensors, "last/"))
            self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise DamagedStateError(f"{path} is damaged ({' '.join(str(error).split())[:200]})") from error
        self.done, self.finished, self.seconds = facts["done"], facts["finished"], facts["seconds"]
        self.best_loss, self.best_step, self._saved = facts["best_loss"], facts["best_step"], facts["done"]
        self.history = [row | {"step": int(row["step"])} for row in rows]
        self.best = {k: v.to(self.best[k].device) for k, v in best.items()}


def finished(out: Path, preset: Preset, recipe: Recipe, seed: int, data: str) -> Checkpoint | None:
    """Return the checkpoint of a run that ended in a folder; None if it has not ended, or is to begin there.

    Raises
    ------
    ValueError
        If it was a run of other settings or stars, or there is no run and the folder holds files of others.
    """
    if (out / STATE).exists() or (out / PREVIOUS).exists():
        return None
    if not (out / "config.json").exists():
        need_no_others(out, lambda path: path.name in BESIDE)
        return None
    found = load_checkpoint(out)
    need_same_run(out, (found.preset, found.recipe, found.seed, found.data), (preset, recipe, seed, data))
    return found
