"""Settings of a fine-tuning on one's own labels, and whether a folder holds a run of the same ones."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from astraclr.evaluate.finetune import PAPER_LAYERS, PAPER_NOISE, Layers
from astraclr.evaluate.splits import PAPER_CAP
from astraclr.model.checkpoint import Checkpoint

PASSES, RATE, BATCH, PATIENCE = 20, 3e-4, 32, 5
"""Passes over the training stars at most, learning rate and stars a step: those that few labels chose on validation
stars (`evaluate.few_labels`); the paper's 100, 1e-5 and 128 are made for 42,000 labels. Passes without a better
validation accuracy after which training stops."""


@dataclass(frozen=True)
class Tuning:
    """Settings of a fine-tuning on one's own labels.

    Attributes
    ----------
    layers : the last encoder layers that are trained; 0 keeps the encoder, "all" trains everything
    passes : over the training stars, at most
    labels_per_class : training stars of a class, at most
    learning_rate, batch_size, noise : of Adam; standard deviation of white noise on training magnitudes (mag)
    patience : passes without a better validation accuracy after which training stops
    seed : of the split, the choice of labels, the order of stars, noise and drop-out

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> Tuning(layers=1, passes=3).batch_size
    32
    """

    layers: Layers = PAPER_LAYERS
    passes: int = PASSES
    labels_per_class: int = PAPER_CAP
    learning_rate: float = RATE
    batch_size: int = BATCH
    noise: float = PAPER_NOISE
    patience: int = PATIENCE
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"passes": 1, "labels_per_class": 2, "batch_size": 1, "patience": 1, "noise": 0, "seed": 0}
        for name, low in least.items():
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} is {getattr(self, name)}; give {low} or more")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate is {self.learning_rate}; give a number between 0 and 1, such as {RATE}")

    def check_layers(self, checkpoint: Checkpoint) -> None:
        """Refuse a number of layers that the encoder does not have."""
        most = checkpoint.preset.n_layers
        if self.layers != "all" and not 0 <= self.layers <= most:
            raise ValueError(f'layers {self.layers} must lie in 0 to {most}, the encoder\'s number, or be "all"')


def need_same(folder: Path, found: str, wanted: str) -> None:
    """Refuse a folder that holds a fine-tuning of other settings or stars; name each difference.

    Raises
    ------
    ValueError
        If anything differs.

    Examples
    --------
    >>> need_same(Path("run"), '{"seed": 0}', '{"seed": 0}')
    """
    try:
        before = json.loads(found)
        if not isinstance(before, dict):
            raise ValueError("its settings are no JSON object")
    except ValueError as error:
        raise ValueError(f"{folder} holds another kind of run ({error}); choose another folder") from error
    now = json.loads(wanted)
    before, now = ({k: v[:8] if k == "checkpoint" else v for k, v in d.items()} for d in (before, now))
    if odd := [f"{k} {before.get(k)!r}, now {now.get(k)!r}" for k in {**before, **now} if before.get(k) != now.get(k)]:
        raise ValueError(
            f"{folder} holds a fine-tuning with other settings or stars ({'; '.join(odd)}); choose another folder, or "
            "remove it to start anew"
        )


def identity_of(checkpoint: Checkpoint, stars: str, settings: Tuning) -> str:
    """Settings, encoder and stars of a run as JSON.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> json.loads(identity_of(load_checkpoint("tiny"), "24 stars", Tuning()))["layers"]
    2
    """
    return json.dumps({"checkpoint": checkpoint.sha256, "stars": stars, **asdict(settings)}, sort_keys=True)
