"""Load the published weights, as Keras stores them, into our encoder."""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astraclr.config import PRESETS, RECIPES, Preset
from astraclr.files import regular
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder

_SIZES = ("embedding.magnitude.weight", "layers.0.ffn.0.weight")
"""Arrays whose shapes tell `d_model` and `d_ff`."""
_MOST_BYTES = 2**33
"""Bytes of all arrays in a file; the paper's encoder takes some 5e7."""


def load_published(
    source: str | Path | Mapping[str, Any], *, n_heads: int = 8, prefix: str = "", seed: int = 0
) -> Checkpoint:
    """Load the paper's weights, as Keras stores them, into our encoder; its sizes follow from their shapes.

    Parameters
    ----------
    source : str, Path or mapping
        An .npz or .safetensors file, or arrays by name; kernels are (in, out). Names as in tests/oracles/README.md:
        ``embedding.magnitude.weight``, ``layers.0.attention.q.bias``, ``layers.0.norm1.gamma``, ...
        From Keras: ``numpy.savez(file, **{name: variable.numpy() for name, variable in ...})`` with these names.
    n_heads : int
        Number of attention heads, 8 in the paper. Shapes do not tell it, and a wrong one gives wrong embeddings.
    prefix : str
        Beginning of every name, such as "weights/"; arrays whose names begin otherwise are left out.
    seed : int
        For a projection head that is missing; embeddings do not use it.

    Returns
    -------
    Checkpoint
        Of recipe "paper" and a preset "published" with the paper's windows.

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

    Examples
    --------
    >>> load_published({"weight": np.zeros((2, 2))})
    Traceback (most recent call last):
    ValueError: of 1 arrays with prefix '' none is embedding.magnitude.weight; try other names
    """
    if n_heads < 1:
        raise ValueError(f"n_heads is {n_heads}; give the number of attention heads, 8 in the paper")
    arrays, others = _arrays(source, prefix)
    _check_sizes_are_known(arrays, others, prefix)
    preset = _preset_of(arrays, n_heads)
    encoder = new_encoder(preset, RECIPES["paper"], seed)
    state = encoder.state_dict()
    if arrays.get("projection.1.bias", np.empty(0)).shape != (preset.d_model // 2,):
        warnings.warn(
            "the weights hold no projection head of the paper's shape; a random one takes its place, which "
            "embeddings do not use, but training further would",
            stacklevel=2,
        )
        arrays = {name: values for name, values in arrays.items() if not name.startswith("projection.")}
        state = {name: w for name, w in state.items() if not name.startswith("projection.")}
    _check_arrays(arrays, {_published_name(name): tuple(w.shape)[::-1] for name, w in state.items()})
    state = {name: torch.tensor(arrays[_published_name(name)].T.copy()) for name in state}
    encoder.load_state_dict(state, strict=False)
    return Checkpoint(encoder.eval(), preset, RECIPES["paper"], seed, "published weights")


def _check_sizes_are_known(arrays: Mapping[str, np.ndarray], others: Sequence[str], prefix: str) -> None:
    """Raise ValueError if the arrays that tell the sizes are missing, and propose the prefix under which they are."""
    missing = [name for name in _SIZES if name not in arrays]
    if not missing:
        return
    near = [name for name in (*others, *arrays) if name.endswith(missing[0])]
    hint = f"prefix={near[0].removesuffix(missing[0])!r}" if near else "other names"
    raise ValueError(f"of {len(arrays)} arrays with prefix {prefix!r} none is {missing[0]}; try {hint}")


def _preset_of(arrays: Mapping[str, np.ndarray], n_heads: int) -> Preset:
    """The paper's preset with the widths and the number of layers of these arrays."""
    d_model, d_ff = (np.atleast_1d(arrays[name]).shape[-1] for name in _SIZES)
    layers = {match[1] for name in arrays if (match := re.match(r"layers\.(\d+)\.", name))}
    return replace(
        PRESETS["paper"], name="published", d_model=d_model, n_layers=len(layers), n_heads=n_heads, d_ff=d_ff
    )


def _arrays(source: str | Path | Mapping[str, Any], prefix: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays by name without the prefix, and the names that do not begin with it. Nothing is unpickled."""
    if isinstance(source, Mapping):
        return _chosen(source, list(source), prefix)
    path = regular(source)
    if path.suffix not in (".npz", ".safetensors"):
        raise ValueError(f"{path} is neither .npz nor .safetensors; write arrays by name with numpy.savez")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
            return _chosen(tensors, list(tensors), prefix)
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as file:
            return _chosen(file, file.files, prefix)
    except (ValueError, TypeError, EOFError, OSError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read as {path.suffix} of plain arrays: {error}") from error


def _check_sizes(path: Path) -> None:
    """Refuse an archive whose arrays say that they are larger than what it holds, or that unpacks to too much."""
    with zipfile.ZipFile(path) as archive:
        if (total := sum(member.file_size for member in archive.infolist())) > _MOST_BYTES:
            raise ValueError(f"it unpacks to {total:,} bytes, and at most {_MOST_BYTES:,} are read")
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(file)
                size = math.prod(shape) * kind.itemsize
                if not kind.hasobject and size != member.file_size - file.tell():
                    raise ValueError(f"{member.filename} says that it has {size:,} bytes, it has {member.file_size:,}")


def _chosen(arrays: Any, names: list[str], prefix: str) -> tuple[dict[str, np.ndarray], list[str]]:
    """Arrays whose names begin with the prefix, and the other names."""
    wanted = [name for name in names if name.startswith(prefix)]
    return (
        {name.removeprefix(prefix): _array(arrays[name]) for name in wanted},
        [name for name in names if not name.startswith(prefix)],
    )


def _array(values: Any) -> np.ndarray:
    """Numbers as float32, where too large ones become infinite and are refused later; anything else unchanged."""
    array = np.asarray(values.detach().cpu() if isinstance(values, torch.Tensor) else values)
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if array.dtype.kind in "fiu" else array


def _published_name(ours: str) -> str:
    """Name in the published weights of a parameter of our encoder."""
    for old, new in (("projection.2", "projection.1"), ("ffn.2", "ffn.1"), ("band.2", "band.1")):
        ours = ours.replace(old, new)
    return re.sub(r"(norm\d)\.weight", r"\1.gamma", re.sub(r"(norm\d)\.bias", r"\1.beta", ours))


def _check_arrays(arrays: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise ValueError that names the arrays which are missing, unknown, of another shape, or not finite numbers."""
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
        faults = (
            f"{what}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}"
            for what, names in wrong.items()
            if names
        )
        raise ValueError(f"these are not the published weights of an encoder: {'; '.join(faults)}")
