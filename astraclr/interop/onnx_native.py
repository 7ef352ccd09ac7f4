"""Export any encoder as an ONNX file that takes the encoder's own inputs, and run such files on light curves.

The native contract: ``mag, times, band, mask`` (n, length), any n and length; ``magerr`` (n, length) where the recipe
reads errors or steps; ``cycle`` (n, length, 8) and ``folded`` (n, 61) where it reads a folded window (`data.folding`).
Output ``embedding`` (n, d). Times are float64, since float32 rounds them to seconds to minutes. The observations of a
band lie side by side and in order of time: the graph finds by itself which one follows which. The metadata of a file
name every input with its shape, type, unit and meaning.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from astraclr.config import Preset, Recipe
from astraclr.data.folding import N_CYCLE_INPUTS, N_FOLDED, best_cycle, cycle_inputs, folded
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Tokens, prepare
from astraclr.files import regular
from astraclr.interop.onnx_graph import exported, metadata_of, write_graph
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import CROPS, crop_tokens, spread_crops
from astraclr.model.embedding import Fusion, fuse
from astraclr.model.encoder import Encoder
from astraclr.model.saved_settings import preset_from_dict, recipe_from_dict

CONTRACT = "astraclr native 1"
TOLERANCE = 1e-5
"""Largest difference of a file's embeddings from those of torch, as a share of the largest number or absolute, if that
is below 1; a file that differs by more is not kept."""

_BY_STAR = "magnitude minus the inverse-variance weighted mean over all bands of the whole light curve"
_BY_WINDOW = "magnitude minus the inverse-variance weighted mean of its band in this window"
_SECOND_AXIS = "n,length"
_CHUNK = 64


def native_inputs(recipe: Recipe) -> dict[str, tuple[str, str, str, str]]:
    """Shape, type, unit and meaning of each input of the native contract for a recipe.

    Examples
    --------
    >>> from astraclr.config import RECIPES
    >>> {name: list(native_inputs(r)) for name, r in RECIPES.items() if name in ("paper", "recommended")}
    {'paper': ['mag', 'times', 'band', 'mask'], 'recommended': ['mag', 'times', 'band', 'mask', 'magerr']}
    """
    centred = _BY_STAR if recipe.centring == "star" else _BY_WINDOW
    inputs = {
        "mag": (_SECOND_AXIS, "float32", "mag", f"{centred}; 0 at padding"),
        "times": (_SECOND_AXIS, "float64", "d", "MJD - 58000, ascending within a band; 0 at padding"),
        "band": (_SECOND_AXIS, "float32", "log10 angstrom", "effective wavelength of the band; 0 at padding"),
        "mask": (_SECOND_AXIS, "float32", "", "1 at padding, 0 at an observation; observations of a band side by side"),
    }
    if recipe.reads_errors:
        inputs["magerr"] = (_SECOND_AXIS, "float32", "mag", "photometric error; 0 at padding")
    if recipe.folded_input in ("tokens", "both"):
        meaning = "harmonics of the phase, frequency and power: astraclr.data.folding.cycle_inputs of the window"
        inputs["cycle"] = (f"n,length,{N_CYCLE_INPUTS}", "float32", "", meaning)
    if recipe.folded_input in ("window", "both"):
        meaning = "the window folded at its best period: astraclr.data.folding.folded"
        inputs["folded"] = (f"n,{N_FOLDED}", "float32", "", meaning)
    return inputs


class _Native(nn.Module):
    """The encoder with the inputs of the native contract, in their order."""

    encoder: Encoder

    def __init__(self, encoder: Encoder, recipe: Recipe) -> None:
        super().__init__()
        self.encoder, self.names, self.steps = encoder, list(native_inputs(recipe)), recipe.inputs == "steps"

    def forward(self, mag: Tensor, times: Tensor, band: Tensor, mask: Tensor, *more: Tensor) -> Tensor:
        other = dict(zip(self.names[4:], more, strict=True))
        hidden = mask > 0.5
        follows = None
        if self.steps:
            same = ~hidden[:, 1:] & ~hidden[:, :-1] & (band[:, 1:] == band[:, :-1])
            follows = torch.cat([torch.zeros_like(hidden[:, :1]), same], dim=1)
        tokens = Tokens(mag, times, band, hidden, other.get("magerr"), follows)
        return self.encoder.with_cycle(tokens, other.get("cycle"), other.get("folded"))


def export_native(checkpoint: Checkpoint, path: str | Path, licence: str = "") -> dict[str, str]:
    """Write an encoder of any recipe as an ONNX file of the native contract; keep it only if it agrees with torch.

    A fully masked row stops the runtime with a message that holds `onnx_graph.REFUSAL`. Needs onnx, onnxscript and
    onnxruntime.

    Parameters
    ----------
    checkpoint : of any recipe
    path : file to write, whole or not at all
    licence : of the weights, as an SPDX name, for the metadata of the file

    Returns
    -------
    dict
        The metadata of the file: inputs and outputs (JSON: shape, type, unit, meaning), bands with their wavelengths,
        recipe, preset, windows, centring, checkpoint (SHA-256), licence, and all settings.

    Raises
    ------
    ValueError
        If a weight is not finite, the file cannot be written, or it differs from torch by more than `TOLERANCE`.
    ImportError
        If onnx or onnxscript is not installed.

    Examples
    --------
    >>> from astraclr import load_checkpoint
    >>> export_native(load_checkpoint("laptop"), "model.onnx")["bands"]  # doctest: +SKIP
    'g=4746.48 r=6366.38 i=7829.03'
    """
    recipe, described = checkpoint.recipe, native_inputs(checkpoint.recipe)
    model = _Native(copy.deepcopy(checkpoint.encoder).cpu(), recipe).eval()
    length = 96
    sizes = {"length": length, str(N_CYCLE_INPUTS): N_CYCLE_INPUTS, str(N_FOLDED): N_FOLDED}
    example = tuple(
        torch.zeros(2, *(sizes[axis] for axis in shape.split(",")[1:]), dtype=getattr(torch, kind))
        for shape, kind, _, _ in described.values()
    )
    batch, tokens = torch.export.Dim("batch", min=1, max=65_536), torch.export.Dim("length", min=2, max=65_536)
    axes = [{0: batch, 1: tokens} if "length" in shape else {0: batch} for shape, *_ in described.values()]
    shapes = dict(zip(described, axes, strict=True))
    given: dict[str, Any] = dict(list(shapes.items())[:4])
    if axes[4:]:
        given["more"] = tuple(axes[4:])  # the exporter wants the rest as one argument, and none where nothing is left
    metadata = metadata_of(checkpoint, CONTRACT, described, "embedding", licence)
    write_graph(
        path,
        checkpoint,
        lambda: exported(model, example, given, list(shapes), "embedding"),
        metadata,
        lambda part: _disagreement(part, checkpoint, model.encoder),
    )
    return metadata


def open_native(path: str | Path) -> tuple[Any, Preset, Recipe]:
    """Open an ONNX file of the native contract.

    Returns
    -------
    onnxruntime.InferenceSession, and the preset and recipe of its encoder

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no ONNX file, or not one of this contract.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # an error is raised, it need not be printed too
    try:
        session = ort.InferenceSession(str(regular(path)), options, providers=["CPUExecutionProvider"])
    except FileNotFoundError:
        raise
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise ValueError(f"{path} is not an ONNX file that onnxruntime can run: {error}") from error
    metadata = session.get_modelmeta().custom_metadata_map
    if metadata.get("contract") != CONTRACT:
        raise ValueError(
            f"{path} follows the contract {metadata.get('contract', 'of another tool')!r}, not {CONTRACT!r}; "
            "`astraclr.interop.onnx_runtime` runs files of the exchange contract"
        )
    try:
        settings = json.loads(metadata["settings"])
        return session, preset_from_dict(settings["preset"]), recipe_from_dict(settings["recipe"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds settings that cannot be read ({error}); export it again") from error


def embed_native(
    lc: LightCurves, path: str | Path, *, fusion: Fusion = "mean", windows: int = len(CROPS), progress: bool = False
) -> np.ndarray:
    """Embed light curves with an ONNX file of the native contract, as `model.embedding.embed` does with torch.

    Parameters
    ----------
    lc : light curves
    path : from `export_native`
    fusion, windows, progress : as of `embed`

    Returns
    -------
    (n_stars, d) float32, or (n_stars, windows * d) for "concat"

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_native`; for a star without observations.
    """
    session, preset, recipe = open_native(path)
    data, out = prepare(lc), []
    with tqdm(total=len(lc), desc="embedding", unit="star", disable=not progress) as bar:
        for stars in torch.arange(len(lc)).split(_CHUNK):
            crops = [crop_tokens(data, stars, preset, crop, recipe) for crop in spread_crops(windows)]
            found = [session.run(["embedding"], native_arrays(tokens, recipe))[0] for tokens in crops]
            out.append(fuse(torch.as_tensor(np.stack(found)), fusion).numpy())
            bar.update(len(stars))
    return np.concatenate(out)


def native_arrays(tokens: Tokens, recipe: Recipe) -> dict[str, np.ndarray]:
    """Inputs of the native contract of some windows, by name.

    Examples
    --------
    >>> from astraclr.config import RECIPES, preset
    >>> from astraclr.simulation.simulate import simulate
    >>> recipe = RECIPES["recommended"]
    >>> tokens = crop_tokens(prepare(simulate(2, seed=0)), torch.arange(2), preset("tiny"), "end", recipe, padded=True)
    >>> native_arrays(tokens, recipe)["magerr"].shape
    (2, 96)
    """
    arrays = {"mag": tokens.mag, "times": tokens.times, "band": tokens.band, "mask": tokens.mask.float()}
    if recipe.reads_errors and tokens.magerr is not None:
        arrays["magerr"] = tokens.magerr
    if recipe.folded_input != "none":
        cycle = best_cycle(tokens)
        of = {"cycle": lambda: cycle_inputs(cycle), "folded": lambda: folded(cycle)}
        arrays |= {name: make() for name, make in of.items() if name in native_inputs(recipe)}
    return {name: array.numpy() for name, array in arrays.items()}


def _disagreement(path: Path, checkpoint: Checkpoint, encoder: nn.Module) -> tuple[float, float]:
    """Largest difference between the file and torch on full rows and on a row of one observation; what is allowed."""
    from astraclr.simulation.simulate import simulate

    session, preset, recipe = open_native(path)
    stars = simulate(4, seed=0)
    tokens = crop_tokens(prepare(stars), torch.arange(4), preset, "end", recipe, padded=True)
    first = (~tokens.mask[3]).nonzero()[0, 0]
    tokens.mask[3] = torch.arange(tokens.mask.shape[1]) != first
    apart, largest = 0.0, 1.0
    for some in (tokens, tokens.rows(slice(0, 1))):
        with torch.inference_mode():
            expected = encoder(some).numpy()
        found = session.run(["embedding"], native_arrays(some, recipe))[0]
        if found.shape != expected.shape:
            return float("inf"), TOLERANCE
        apart = max(apart, float(np.abs(found - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    return apart, TOLERANCE * largest
