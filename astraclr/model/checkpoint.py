"""Trained encoders on disk: weights as safetensors, settings as JSON; nothing is unpickled.

``config.json`` names its weights file, whose name holds the beginning of its SHA-256: while an encoder is being
replaced, a folder holds the old one or the new one, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import torch

from astraclr.config import Preset, Recipe, to_dict
from astraclr.files import existing, need_known_version, replacing, shipped_file
from astraclr.model.config import EncoderConfig
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.model.saved_settings import preset_from_dict, recipe_from_dict

FORMAT, VERSION = "astraclr checkpoint", 1


@dataclass
class Checkpoint:
    """An encoder with the settings that it was trained with.

    Attributes
    ----------
    encoder : in evaluation mode
    preset, recipe, seed : settings of its training
    data : fingerprint of the training stars; "" for random weights
    history : one row a training step: step, loss, learning_rate, and at validations val_loss, alignment, ...
    sha256 : of the weights file; "" before it is saved

    Examples
    --------
    >>> load_checkpoint("tiny").name.startswith("tiny-corrected-0-")
    True
    """

    encoder: Encoder
    preset: Preset
    recipe: Recipe
    seed: int
    data: str = ""
    history: pd.DataFrame = field(default_factory=pd.DataFrame)
    sha256: str = ""

    @property
    def name(self) -> str:
        """Preset, recipe, seed and the beginning of the SHA-256, for tables and logs."""
        return f"{self.preset.name}-{self.recipe.name}-{self.seed}-{self.sha256[:8] or 'unsaved'}"


def random_control(checkpoint: Checkpoint, seed: int | None = None) -> Checkpoint:
    """Return the same encoder with random weights, as a control for a result.

    Parameters
    ----------
    seed : of the weights; by default the checkpoint's, with which its training began

    Examples
    --------
    >>> control = random_control(load_checkpoint("tiny"))
    >>> control.preset.name, control.sha256
    ('tiny', '')
    """
    seed = checkpoint.seed if seed is None else seed
    encoder = (
        new_encoder(checkpoint.preset, checkpoint.recipe, seed).to(next(checkpoint.encoder.parameters()).device).eval()
    )
    return Checkpoint(encoder, checkpoint.preset, checkpoint.recipe, seed)


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path) -> str:
    """Write weights, config and history into `folder`.

    Returns
    -------
    SHA-256 of the weights file, which is also noted in `checkpoint`

    Examples
    --------
    >>> import tempfile
    >>> tiny = load_checkpoint("tiny")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(tiny, folder) == load_checkpoint(folder).sha256
    True
    """
    from safetensors.torch import save

    folder = Path(folder)
    weights = save({k: v.detach().cpu().contiguous() for k, v in checkpoint.encoder.state_dict().items()})
    checkpoint.sha256 = hashlib.sha256(weights).hexdigest()
    file = f"weights-{checkpoint.sha256[:8]}.safetensors"
    config = {
        "format": f"{FORMAT} {VERSION}",
        "weights": file,
        "sha256": checkpoint.sha256,
        "seed": checkpoint.seed,
        "data": checkpoint.data,
        "preset": to_dict(checkpoint.preset),
        "recipe": to_dict(checkpoint.recipe),
    }
    before = _weights_named(folder)
    with replacing(folder / file) as part:
        part.write_bytes(weights)
    with replacing(folder / "history.csv") as part:
        checkpoint.history.to_csv(part, index=False)
    with replacing(folder / "config.json") as part:
        part.write_text(json.dumps(config, indent=1) + "\n")
    if before is not None and before != file:
        (folder / before).unlink(missing_ok=True)
    return checkpoint.sha256


def _weights_named(folder: Path) -> str | None:
    """Name of the weights file of a checkpoint that `folder` holds already."""
    try:
        name = json.loads((folder / "config.json").read_text())["weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if Path(name).name == name else None


def load_checkpoint(where: str | Path, device: torch.device | str = "cpu") -> Checkpoint:
    """Read a checkpoint from its folder, or one that ships with the package by its name.

    Parameters
    ----------
    where : folder, or "laptop" or "tiny"
    device : to put the encoder on

    Raises
    ------
    FileNotFoundError
        If there is no such folder or it holds no checkpoint.
    ValueError
        If the weights do not match their SHA-256 or the shapes in the config, or a later version of astraclr wrote it.

    Examples
    --------
    >>> checkpoint = load_checkpoint("laptop")
    >>> checkpoint.recipe.name, checkpoint.encoder.config.d_embedding
    ('recommended', 128)
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = _shipped(str(where)) or existing(where)
    try:
        config = json.loads(existing(folder / "config.json").read_text())
        version = _version(config["format"])
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_config(folder, error) from error
    need_known_version(folder / "config.json", version, VERSION)
    try:
        preset, recipe = preset_from_dict(config["preset"]), recipe_from_dict(config["recipe"])
        seed, data = int(config["seed"]), str(config["data"])
        weights = existing(folder / config["weights"]).read_bytes()
    except (KeyError, TypeError, ValueError) as error:
        raise _not_a_config(folder, error) from error
    found = hashlib.sha256(weights).hexdigest()
    if found != config["sha256"]:
        raise ValueError(
            f"{folder / config['weights']} has SHA-256 {found[:12]}..., its config expects "
            f"{config['sha256'][:12]}...: copy the checkpoint again"
        )
    try:
        tensors = load(weights)
        shape = EncoderConfig.of(preset, recipe)
        if "summaries.bias" in tensors:  # for the bands of the training stars, which may not be the preset's
            shape = replace(shape, n_summaries=len(tensors["summaries.bias"]))
        if "description.star.0.weight" in tensors:
            shape = replace(shape, n_described=tensors["description.star.0.weight"].shape[1])
        encoder = Encoder(shape)
        encoder.load_state_dict(tensors)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"the weights in {folder} do not fit preset {preset.name} (d_model {preset.d_model}, "
            f"{preset.n_layers} layers) of its config: {_first(error)}"
        ) from error
    history = folder / "history.csv"
    table = pd.read_csv(history) if history.exists() and history.stat().st_size > 1 else pd.DataFrame()
    return Checkpoint(encoder.to(device).eval(), preset, recipe, seed, data, table, found)


def _version(text: str) -> int:
    """Number of the format that `save_checkpoint` writes."""
    kind, _, number = text.rpartition(" ")
    if kind != FORMAT or not number.isdecimal():
        raise ValueError(f"its format is {text!r}, not {f'{FORMAT} {VERSION}'!r}")
    return int(number)


def _not_a_config(folder: Path, error: Exception) -> ValueError:
    """Error for a config.json that is not a checkpoint's."""
    what = error if type(error) is ValueError else repr(error)
    return ValueError(f"{folder / 'config.json'} is not the config of an astraclr checkpoint: {what}")


def _first(error: Exception) -> str:
    """First entry of a message that lists every tensor, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)] if lines else type(error).__name__


def _shipped(name: str) -> Path | None:
    """Folder of a checkpoint that ships with the package; None if there is none of that name."""
    folder = shipped_file(f"checkpoints/{name}")
    return folder if name.isidentifier() and not Path(name).exists() and folder.exists() else None
