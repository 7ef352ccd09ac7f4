"""A fine-tuning from the linear probe that can be killed and resumed: after every pass its state is on disk.

The states are those of a pre-training (`train.state_file`): two generations, each whole or absent. Beside weights and
moments they hold the states of the random generators, so that a resumed run ends with the bytes of an undisturbed one.
"""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_DROPOUT, FineTuned, KeptBest, Trainer, thaw
from astraclr.evaluate.finetune_from_probe import ranked_probes
from astraclr.evaluate.heads import Standardised, probe_head
from astraclr.evaluate.tuning_settings import Tuning, need_same
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed
from astraclr.train.state_file import PREVIOUS, STATE, DamagedStateError, parts_of, read_state, write_state


class TuningRun:
    """What is trained, what is best so far, and how far the run is.

    Parameters
    ----------
    checkpoint : left as it is; a copy is trained
    train, validation : labelled light curves to learn from, and to choose probe and pass by
    settings : of the run
    identity : settings and stars as JSON; a state of another identity is refused
    progress : show bars while the stars are embedded for the probe
    folder : for the state, which a run that was begun there is resumed from; None keeps none

    Raises
    ------
    ValueError
        If the folder holds the state of another run, or only damaged states.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(24, seed=0, classes=["RR", "LPV"])
    >>> run = TuningRun(load_checkpoint("tiny"), stars[:12], stars[12:], Tuning(passes=1), "{}", None)
    >>> run.train(progress=False)
    >>> [row["epoch"] for row in run.best.rows], run.probe.predict(stars).shape
    ([0, 1], (24,))
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        train: LightCurves,
        validation: LightCurves,
        settings: Tuning,
        identity: str,
        folder: Path | None,
        progress: bool = False,
    ) -> None:
        settings.check_layers(checkpoint)
        self.checkpoint, self.settings, self.identity, self.folder = checkpoint, settings, identity, folder
        self.classes = np.unique(train.label)
        self.done, self.random = 0, torch.zeros(0, dtype=torch.uint8)
        found = None if folder is None else _newest(folder, identity)
        if found is None:
            head, self.facts = self._probed(train, validation, progress)
        else:
            head = _empty_head(parts_of(found[1], "probe/"))
            self.facts = found[0]["probe"]
        self.begun = copy.deepcopy(head.state_dict())
        encoder = copy.deepcopy(checkpoint.encoder).eval().requires_grad_(False)
        thawed = thaw(encoder, settings.layers, checkpoint.recipe)
        model = FineTuned(
            encoder, head.to(encoder.device), checkpoint.preset, checkpoint.recipe, self.classes, pd.DataFrame()
        )
        s = settings
        self.trainer = Trainer(model, thawed, train, s.learning_rate, s.batch_size, s.noise, s.seed)
        self.best = KeptBest(model, validation)
        if found is None:
            self.best.add(0, float("nan"), self.facts["validation_accuracy"])
        else:
            self._load(*found)

    @property
    def probe(self) -> FineTuned:
        """The linear probe with which the training began, on the encoder as it was."""
        head = _empty_head(self.begun).to(self.checkpoint.encoder.device)
        c = self.checkpoint
        return FineTuned(c.encoder, head, c.preset, c.recipe, self.classes, pd.DataFrame())

    @property
    def finished(self) -> bool:
        """Whether all passes are made, or too many were of no use."""
        return self.done >= self.settings.passes or self.best.waited >= self.settings.patience

    def train(self, progress: bool = True) -> None:
        """Train until the run is finished; the learning rate falls linearly, pass by pass.

        Raises
        ------
        ValueError
            If the loss becomes infinite or NaN; the last state that was finite stays.
        OSError
            If a state cannot be written.
        """
        device = self.checkpoint.encoder.device
        devices = [device.index or 0] if device.type == "cuda" else []
        bar = tqdm(
            range(self.done, self.settings.passes),
            initial=self.done,
            total=self.settings.passes,
            desc="fine-tuning",
            unit="pass",
            disable=not progress,
        )
        with torch.random.fork_rng(devices):
            if self.random.numel():
                _set_random(device, self.random)
            else:
                torch.manual_seed(self.settings.seed)  # drop-out draws from it
            self.random = _random(device)
            if self.done == 0:
                self.save()
            for epoch in bar:
                if self.finished:
                    break
                rate = self.settings.learning_rate * (1 - epoch / self.settings.passes)
                self.trainer.optimiser.param_groups[0]["lr"] = rate
                self.best.add(epoch + 1, self.trainer.epoch())
                self.done, self.random = epoch + 1, _random(device)
                self.save()
                bar.set_postfix_str(f"validation accuracy {self.best.rows[-1]['accuracy']:.3f}", refresh=False)

    def save(self) -> None:
        """Write the state to resume from."""
        if self.folder is None:
            return
        model, (encoder, head) = self.trainer.model, self.best.state or ({}, {})
        tensors = {f"last/encoder.{k}": v for k, v in model.encoder.state_dict().items()}
        tensors |= {f"last/head.{k}": v for k, v in model.head.state_dict().items()}
        tensors |= {f"best/encoder.{k}": v for k, v in encoder.items()}
        tensors |= {f"best/head.{k}": v for k, v in head.items()}
        tensors |= {f"probe/{k}": v for k, v in self.begun.items()}
        for k, moments in self.trainer.optimiser.state_dict()["state"].items():
            tensors |= {f"adam/{k}/{name}": value for name, value in moments.items()}
        table = pd.DataFrame(self.best.rows)
        tensors |= {f"history/{name}": torch.tensor(table[name].to_numpy(float)) for name in table}
        tensors |= {"random/own": self.trainer.generator.get_state(), "random/dropout": self.random}
        facts = {"done": self.done, "best": self.best.best, "waited": self.best.waited, "probe": self.facts}
        write_state(self.folder, tensors, self.identity, facts)

    def _probed(
        self, train: LightCurves, validation: LightCurves, progress: bool
    ) -> tuple[nn.Sequential, dict[str, Any]]:
        """The head of the best linear probe on the three crops, and what it is."""
        device = str(self.checkpoint.encoder.device)
        crops, held = (
            embed(lc, self.checkpoint, fusion="concat", device=device, progress=progress) for lc in (train, validation)
        )
        probe = ranked_probes(crops, train.label, held, validation.label)[0]
        facts = {"fusion": probe.fusion, "C": probe.C, "validation_accuracy": probe.chosen}
        return probe_head(probe.model, crops, PAPER_DROPOUT), facts

    def _load(self, facts: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Set weights, moments, history, counters and generators as `save` wrote them."""
        model, trainer, best = self.trainer.model, self.trainer, self.best
        device = self.checkpoint.encoder.device
        tensors = {k: v if k.startswith("random/") else v.to(device) for k, v in tensors.items()}
        model.encoder.load_state_dict(parts_of(tensors, "last/encoder."))
        model.head.load_state_dict(parts_of(tensors, "last/head."))
        best.state = parts_of(tensors, "best/encoder."), parts_of(tensors, "best/head.")
        best.best, best.waited = facts["best"], facts["waited"]
        columns = {k: v.tolist() for k, v in parts_of(tensors, "history/").items()}
        table = pd.DataFrame({name: columns[name] for name in ("epoch", "loss", "accuracy")})
        best.rows = [{**row, "epoch": int(row["epoch"])} for row in table.to_dict("records")]
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in parts_of(tensors, "adam/").items():
            k, name = key.split("/")
            moments.setdefault(int(k), {})[name] = value.cpu() if name == "step" else value
        trainer.optimiser.load_state_dict({**trainer.optimiser.state_dict(), "state": moments})
        trainer.generator.set_state(tensors["random/own"])
        self.random, self.done = tensors["random/dropout"], facts["done"]


def _newest(folder: Path, identity: str) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """The newest whole state of a folder; None if there is none."""
    damaged: list[str] = []
    for path in (folder / STATE, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            meta, tensors = read_state(path)
            need_same(folder, meta["settings"], identity)
            facts = json.loads(meta["facts"])
            if "probe" not in facts:
                raise ValueError(f"{folder} holds a run of `astraclr pretrain`; choose another folder")
        except DamagedStateError as error:
            damaged.append(str(error))
            continue
        if damaged:
            warnings.warn(f"{damaged[0]}; going on from {path.name}, of pass {facts['done']}", stacklevel=4)
            path.replace(folder / STATE)  # else the damaged one would become the previous one
        return facts, tensors
    if damaged:
        raise ValueError(f"{' and '.join(damaged)}; choose another folder, or remove it to start anew")
    return None


def _empty_head(state: dict[str, Tensor]) -> nn.Sequential:
    """A head of the kind that `probe_head` makes, with these weights."""
    n_classes, width = state["2.weight"].shape
    first = Standardised(np.zeros((1, width), np.float32))
    head = nn.Sequential(first, nn.Dropout(PAPER_DROPOUT), nn.Linear(width, n_classes))
    head = head.to(state["2.weight"].dtype)
    head.load_state_dict(state)
    return head.eval()


def _random(device: torch.device) -> Tensor:
    """State of the generator that drop-out draws from."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random(device: torch.device, state: Tensor) -> None:
    """Set the generator that drop-out draws from."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
