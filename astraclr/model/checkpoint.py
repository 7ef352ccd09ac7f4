"""Trained encoders on disk: weights as safetensors, settings as JSON; nothing is unpickled.

``config.json`` names its weights file, whose name holds the beginning of its SHA-256: while an encoder is being
replaced, a folder holds the old one or the new one, never a mixture. The weights file also holds the settings, so that
its SHA-256 covers all that decides an embedding; the config must say the same. Files of earlier versions hold weights
alone: their SHA-256 does not tell whether their config was changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from astraclr.config import Preset, Recipe, to_dict
from astraclr.files import existing, need_known_version, own_name, read_json, regular, replacing, shipped_file
from astraclr.model.config import EncoderConfig
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.model.saved_settings import preset_from_dict, recipe_from_dict

FORMAT, VERSION = "astraclr checkpoint", 1
_SETTINGS = ("preset", "recipe")
"""Fields of a config that its weights file holds too: what decides an embedding, besides the weights."""


@dataclass
class Checkpoint:
    """An encoder with the settings that it was trained with.

    Attributes
    ----------
    encoder : in evaluation mode
    preset, recipe, seed : settings of its training
    data : fingerprint of the training stars; "" for random weights
    history : one row a training step: step, loss, learning_rate, and at validations val_loss, alignment, ...
    sha256 : of the weights file, which holds weights and settings; "" before it is saved

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

    Raises
    ------
    ValueError
        If `folder` holds a config.json of something else, or cannot be written to.

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
    before = _weights_named(folder)
    settings = {"preset": to_dict(checkpoint.preset), "recipe": to_dict(checkpoint.recipe)}
    tensors = {k: v.detach().cpu().contiguous() for k, v in checkpoint.encoder.state_dict().items()}
    weights = save(tensors, {"settings": json.dumps(settings, sort_keys=True)})
    checkpoint.sha256 = hashlib.sha256(weights).hexdigest()
    file = f"weights-{checkpoint.sha256[:8]}.safetensors"
    config = {
        "format": f"{FORMAT} {VERSION}",
        "weights": file,
        "sha256": checkpoint.sha256,
        "seed": checkpoint.seed,
        "data": checkpoint.data,
        **settings,
    }
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
    """Name of the weights file of a checkpoint that `folder` holds already; ValueError for a config of another kind."""
    path = folder / "config.json"
    if not path.exists():
        return None
    try:
        config = read_json(path)
        _version(config["format"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"cannot write {path}: there is a file of something else; choose another folder") from error
    name = config.get("weights")
    return name if isinstance(name, str) and re.fullmatch(r"weights-[0-9a-f]{8}\.safetensors", name) else None


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
        If the weights do not match their SHA-256, the settings or the shapes in the config, are not finite, or a later
        version of astraclr wrote it.

    Examples
    --------
    >>> checkpoint = load_checkpoint("laptop")
    >>> checkpoint.recipe.name, checkpoint.encoder.config.d_embedding
    ('recommended', 128)
    """
    folder = _shipped(str(where)) or existing(where)
    path = existing(folder / "config.json")
    try:
        config = read_json(path)
        version = _version(config["format"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_a_config(path, error) from error
    need_known_version(path, version, VERSION)
    try:
        preset, recipe = preset_from_dict(config["preset"]), recipe_from_dict(config["recipe"])
        seed, data, expected = config["seed"], config["data"], config["sha256"]
        if type(seed) is not int or not isinstance(data, str) or not isinstance(expected, str):
            raise ValueError("its seed must be a whole number, data and sha256 text")
        file = folder / own_name(config["weights"], "weights")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _not_a_config(path, error) from error
    weights = regular(file).read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != expected:
        raise ValueError(
            f"{file} has SHA-256 {found[:12]}..., its config expects {expected[:12]}...: copy the checkpoint again"
        )
    encoder = _encoder(file, weights, preset, recipe)
    if odd := _differing(weights, config):
        raise ValueError(
            f"{path} was changed: it says {odd} than the settings that its weights were saved with; copy the "
            "checkpoint again"
        )
    return Checkpoint(encoder.to(device).eval(), preset, recipe, seed, data, _history(folder / "history.csv"), found)


def _encoder(file: Path, weights: bytes, preset: Preset, recipe: Recipe) -> Encoder:
    """The encoder of a preset and a recipe with the weights of a file.

    Raises
    ------
    ValueError
        If they do not fit, or are not finite.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(weights)
        shape = EncoderConfig.of(preset, recipe)
        least = shape.n_layers * shape.d_model * (4 * shape.d_model + 2 * shape.d_ff)
        if least > (there := sum(t.numel() for t in tensors.values())):  # before as much memory is asked for
            raise ValueError(f"its layers have {least:,} weights, the file holds {there:,}: size mismatch")
        if "summaries.bias" in tensors:  # for the bands of the training stars, which may not be the preset's
            shape = replace(shape, n_summaries=len(tensors["summaries.bias"]))
        if "description.star.0.weight" in tensors:
            shape = replace(shape, n_described=tensors["description.star.0.weight"].shape[1])
        encoder = Encoder(shape)
        encoder.load_state_dict(tensors)
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(
            f"the weights in {file} do not fit preset {preset.name} (d_model {preset.d_model}, "
            f"{preset.n_layers} layers) of its config: {_first(error)}"
        ) from error
    if odd := [name for name, w in encoder.state_dict().items() if not w.isfinite().all()]:
        raise ValueError(
            f"the weights in {file} are not finite ({', '.join(odd[:3])}): every embedding would be NaN; take another "
            "checkpoint"
        )
    return encoder


def _differing(weights: bytes, config: dict[str, Any]) -> str:
    """What a config says otherwise than the settings in its weights file; "" for nothing, or where it holds none."""
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])  # safetensors has read it before
    text = header.get("__metadata__", {}).get("settings")
    if text is None:
        return ""
    try:
        saved = json.loads(text)
        saved = {kind: saved[kind] for kind in _SETTINGS}
    except (ValueError, KeyError, TypeError, RecursionError):
        return "other settings"
    for kind in _SETTINGS:
        now, then = config[kind], saved[kind]
        if now != then and isinstance(now, dict) and isinstance(then, dict):
            kind, now, then = next((k, now.get(k), then.get(k)) for k in {**now, **then} if now.get(k) != then.get(k))
        if now != then:
            return f"{kind} {str(now)[:60]}, other"
    return ""


def _history(path: Path) -> pd.DataFrame:
    """The history of a training; empty if there is none."""
    if not path.exists() or regular(path).stat().st_size < 2:
        return pd.DataFrame()
    try:
        return pd.read_csv(path)
    except ValueError as error:
        raise ValueError(f"{path} is no history of a training ({error}); copy the checkpoint again") from error


def _version(text: Any) -> int:
    """Number of the format that `save_checkpoint` writes."""
    kind, _, number = text.rpartition(" ")
    if kind != FORMAT or not number.isdecimal():
        raise ValueError(f"its format is {text!r}, not {f'{FORMAT} {VERSION}'!r}")
    return int(number)


def _not_a_config(path: Path, error: Exception) -> ValueError:
    """Error for a config.json that is not a checkpoint's."""
    what = f"it lacks {error}" if isinstance(error, KeyError) else error
    return ValueError(f"{path} is not the config of an astraclr checkpoint: {what}")


def _first(error: Exception) -> str:
    """First entry of a message that lists every tensor, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[min(1, len(lines) - 1)] if lines else type(error).__name__


def _shipped(name: str) -> Path | None:
    """Folder of a checkpoint that ships with the package; None if there is none of that name."""
    folder = shipped_file(f"checkpoints/{name}")
    return folder if name.isidentifier() and not Path(name).exists() and folder.exists() else None
