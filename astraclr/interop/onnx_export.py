"""Export an encoder as an ONNX file that astra-infer and light-curve load unchanged.

`astraclr.interop.onnx_runtime` describes the inputs and outputs of the file, and runs it. Recipes with other inputs are
exported by `astraclr.interop.onnx_native`.
"""

from __future__ import annotations

import copy
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from astraclr.config import RECIPES, Preset, Recipe
from astraclr.data.tokens import Tokens
from astraclr.interop.onnx_graph import exported, metadata_of, write_graph
from astraclr.interop.onnx_inputs import LAYOUT, N_TOKENS, model_inputs
from astraclr.interop.onnx_runtime import INPUTS, open_onnx, run_onnx
from astraclr.model.checkpoint import Checkpoint

TOLERANCE = 1e-4
"""Largest difference of an exported file's embeddings from those of torch; a file that differs by more is not kept."""
DROP_IN_WIDTH = 512
"""Length of an embedding that light-curve and astra-infer expect."""


class _Contract(nn.Module):
    """The encoder with the inputs of the exchange contract; phases are computed from float64 times, as in training."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input: Tensor, times: Tensor, band_info: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(Tokens(input[..., 0], times[..., 0].double(), band_info[..., 0], mask > 0.5))


def export_onnx(checkpoint: Checkpoint, path: str | Path, licence: str = "") -> dict[str, str]:
    """Write an encoder as an ONNX file of the exchange contract, run it, and keep it only if it agrees with torch.

    A fully masked row stops the runtime with a message that holds `onnx_graph.REFUSAL`. Needs onnx, onnxscript and
    onnxruntime.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its recipe must not use errors as inputs.
    path : str or Path
        File to write, whole or not at all.
    licence : str
        Of the weights, as an SPDX name, for the metadata of the file.

    Returns
    -------
    dict
        The metadata of the file: checkpoint (SHA-256), preset, recipe, windows trained on, centring, middle_crop, bands
        with their wavelengths, licence, and what each input is.

    Raises
    ------
    ValueError
        If the recipe needs an input that the contract lacks, a weight is not finite, the file cannot be written, or it
        differs from torch by more than `TOLERANCE`.
    ImportError
        If onnx or onnxscript is not installed.

    Examples
    --------
    >>> from astraclr import load_checkpoint
    >>> export_onnx(load_checkpoint("tiny"), "model.onnx")["windows"]  # doctest: +SKIP
    'g=100 r=100 i=30'
    """
    _refuse_other_inputs(checkpoint.recipe)
    model = _Contract(copy.deepcopy(checkpoint.encoder).cpu()).eval()
    # Two rows: from an example of one row the exporter would fix the batch at one.
    example = (*(torch.zeros(2, N_TOKENS, 1) for _ in range(3)), torch.zeros(2, N_TOKENS))
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    metadata = metadata_of(checkpoint, "astraclr exchange 1", _DESCRIBED, "mean", licence)
    write_graph(
        path,
        checkpoint,
        lambda: exported(model, example, dict.fromkeys(INPUTS, batch), list(INPUTS), "mean"),
        metadata,
        lambda part: (_disagreement(part, model), TOLERANCE),
    )
    return metadata


def trained_shorter(preset: Preset) -> bool:
    """Whether an encoder was trained on windows shorter than those of the exchange contract.

    Examples
    --------
    >>> from astraclr.config import PRESETS
    >>> trained_shorter(PRESETS["tiny"]), trained_shorter(PRESETS["paper"])
    (True, False)
    """
    windows = dict(preset.windows)
    return any(windows.get(band, 0) < n for band, n in LAYOUT.items())


def needs_native(recipe: Recipe) -> bool:
    """Whether the encoder of a recipe takes inputs that the exchange contract lacks.

    Examples
    --------
    >>> needs_native(RECIPES["paper"]), needs_native(RECIPES["recommended"])
    (False, True)
    """
    return recipe.reads_errors or recipe.folded_input != "none"


def _refuse_other_inputs(recipe: Recipe) -> None:
    """Raise ValueError for a recipe whose encoder takes other inputs, and name the nearest one that exports."""
    if needs_native(recipe) and not recipe.reads_errors:
        raise ValueError(
            f"recipe {recipe.name!r} reads its window folded (folded_input={recipe.folded_input!r}), an input that the "
            "exchange format lacks; export it with its own inputs: `astraclr export --inputs own`"
        )
    if not recipe.reads_errors:
        return

    def differing(other: Recipe) -> int:
        return sum(getattr(other, f.name) != getattr(recipe, f.name) for f in fields(Recipe) if f.name != "name")

    nearest = min((r for r in RECIPES.values() if not needs_native(r)), key=differing)
    switch = "inputs='steps'" if recipe.inputs == "steps" else "error_input"
    raise ValueError(
        f"recipe {recipe.name!r} takes the error of each observation ({switch}), an input that the "
        f"exchange format lacks; export it with its own inputs (`astraclr export --inputs own`), or take the nearest "
        f"recipe that fits, which is {nearest.name!r}"
    )


_DESCRIBED = {
    "input": (f"n,{N_TOKENS},1", "float32", "mag", "magnitude minus a weighted mean, see centring; 0 at padding"),
    "times": (f"n,{N_TOKENS},1", "float32", "d", "MJD - 58000; 0 at padding"),
    "band_info": (f"n,{N_TOKENS},1", "float32", "log10 angstrom", "effective wavelength of the band; 0 at padding"),
    "mask": (f"n,{N_TOKENS}", "float32", "", "1 at padding, 0 at an observation; 300 g, then 350 r, then 50 i"),
}
"""Input of the exchange contract -> shape, type, unit, meaning."""


def _disagreement(path: Path, model: nn.Module) -> float:
    """Largest difference between the file and torch on a full row, one without i, and one with one observation."""
    from astraclr.simulation.simulate import simulate

    rows = model_inputs(simulate(3, seed=0), ("end",)).rows()
    rows["mask"][1, -LAYOUT["i"] :] = 1
    rows["mask"][2] = np.arange(N_TOKENS) != 0
    with torch.inference_mode():
        expected = model(*(torch.as_tensor(rows[name]) for name in INPUTS)).numpy()
    found = run_onnx(open_onnx(path), rows)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
