"""The paper's weights, as Keras holds them, become an encoder here."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astraclr.config import PRESETS, RECIPES
from astraclr.files import existing
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder


def load_published(
    source: str | Path | Mapping[str, Any], *, n_heads: int = 8, prefix: str = "", seed: int = 0
) -> Checkpoint:
    """Read the paper's weights as Keras holds them, kernels (in, out), into our encoder; sizes follow from the shapes.

    Parameters
    ----------
    source : .npz or .safetensors file, or arrays by name; names as in tests/oracles/README.md:
        ``embedding.magnitude.weight``, ``layers.0.attention.q.bias``, ``layers.0.norm1.gamma``, ...
        from Keras, ``numpy.savez(file, **{name: variable.numpy() for name, variable in ...})`` with these names
    n_heads : the paper's is 8; shapes do not tell it, and a wrong one gives wrong embeddings
    prefix : what stands before every name, such as "weights/"; names that begin otherwise are left out
    seed : for a projection head that is missing; embeddings do not use it

    Returns
    -------
    Checkpoint of recipe "paper" and a preset "published" with the paper's windows

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If names are missing or unknown, shapes do not fit, values are not finite, or the file is of another kind.

    Warns
    -----
    UserWarning
        If the projection head is missing or is not half as wide as the encoder: a random one takes its place.
    """
    if n_heads < 1:
        raise ValueError(f"n_heads is {n_heads}; give the number of attention heads, 8 in the paper")
    arrays, others = _arrays(source, prefix)
    names = [name for name in arrays if not name.startswith("projection.")]
    if "embedding.magnitude.weight" not in arrays or "layers.0.ffn.0.weight" not in arrays:
        near = [name for name in (*others, *arrays) if name.endswith("embedding.magnitude.weight")]
        hint = f"prefix={near[0].removesuffix('embedding.magnitude.weight')!r}" if near else "other names"
        raise ValueError(
            f"of {len(arrays)} arrays with prefix {prefix!r} none is embedding.magnitude.weight, or "
            f"none layers.0.ffn.0.weight; try {hint}"
        )
    d_model, d_ff = (
        np.atleast_1d(arrays[name]).shape[-1] for name in ("embedding.magnitude.weight", "layers.0.ffn.0.weight")
    )
    layers = {match[1] for name in names if (match := re.match(r"layers\.(\d+)\.", name))}
    preset = replace(
        PRESETS["paper"], name="published", d_model=d_model, n_layers=len(layers), n_heads=n_heads, d_ff=d_ff
    )
    encoder = new_encoder(preset, RECIPES["paper"], seed)
    state = encoder.state_dict()
    if arrays.get("projection.1.bias", np.empty(0)).shape != (d_model // 2,):
        warnings.warn(
            "the weights hold no projection head of the paper's shape; a random one takes its place, which "
            "embeddings do not use, but training further would",
            stacklevel=2,
        )
        arrays = {name: arrays[name] for name in names}
        state = {name: w for name, w in state.items() if not name.startswith("projection.")}
    shapes = {_published_name(name): tuple(w.shape)[::-1] for name, w in state.items()}
    _check_arrays(arrays, shapes)
    encoder.load_state_dict(
        {name: torch.tensor(arrays[_published_name(name)].T.copy()) for name in state}, strict=False
    )
    return Checkpoint(encoder.eval(), preset, RECIPES["paper"], seed, "published weights")


def _arrays(source: str | Path | Mapping[str, Any], prefix: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by name without the prefix, and the names that do not begin with it. Nothing is unpickled."""
    if isinstance(source, Mapping):
        return _chosen(source, list(source), prefix)
    path = existing(source)
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{path} is neither .npz nor .safetensors; write arrays by name with numpy.savez")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            return _chosen(tensors, list(tensors), prefix)
        with np.load(path, allow_pickle=False) as file:
            return _chosen(file, file.files, prefix)
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as {path.suffix} of plain arrays: {error}") from error


def _chosen(arrays: Any, names: list[str], prefix: str) -> tuple[dict[str, np.ndarray], list[str]]:
    wanted = [name for name in names if name.startswith(prefix)]
    return (
        {name.removeprefix(prefix): _array(arrays[name]) for name in wanted},
        [name for name in names if not name.startswith(prefix)],
    )


def _array(values: Any) -> np.ndarray:
    """Numbers as float32, in which what overflows becomes infinite and is refused; anything else as it is."""
    array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if array.dtype.kind in "fiu" else array


def _published_name(ours: str) -> str:
    """What the published weights call a parameter of our encoder."""
    for old, new in (("projection.2", "projection.1"), ("ffn.2", "ffn.1"), ("band.2", "band.1")):
        ours = ours.replace(old, new)
    return re.sub(r"(norm\d)\.weight", r"\1.gamma", re.sub(r"(norm\d)\.bias", r"\1.beta", ours))


def _check_arrays(arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    numeric = {name for name, a in arrays.items() if a.dtype.kind in "fiu"}
    wrong = {
        "missing": [name for name in shapes if name not in arrays],
        "unknown": [name for name in arrays if name not in shapes],
        "of another shape": [
            f"{name} {arrays[name].shape}, not {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ],
        "not numbers": [name for name in arrays if name not in numeric],
        "not finite": [name for name in shapes if name in numeric and not np.isfinite(arrays[name]).all()],
    }
    if any(wrong.values()):
        said = (
            f"{what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}"
            for what, names in wrong.items()
            if names
        )
        raise ValueError(f"these are not the published weights of an encoder: {'; '.join(said)}")
