"""Export an encoder as an ONNX file that astra-infer and light-curve load unchanged.

`astraclr.interop.onnx_runtime` describes the inputs and outputs of the file, and runs it.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astraclr.config import RECIPES, Preset, Recipe
from astraclr.data.tokens import Tokens
from astraclr.files import replacing
from astraclr.interop.onnx_inputs import LAYOUT, N_TOKENS, model_inputs
from astraclr.interop.onnx_runtime import INPUTS, open_onnx, run_onnx
from astraclr.model.checkpoint import Checkpoint

TOLERANCE = 1e-4
"""Largest difference of an exported file's embeddings from those of torch; a file that differs by more is not kept."""
DROP_IN_WIDTH = 512
"""Length of an embedding that light-curve and astra-infer expect."""
REFUSAL = "a_row_is_fully_masked__drop_that_light_curve"
"""Name of the node at which a runtime stops at a fully masked row; its error message quotes the name."""


class _Contract(nn.Module):
    """The encoder with the inputs of the exchange contract; phases are computed from float64 times, as in training."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input: Tensor, times: Tensor, band_info: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(Tokens(input[..., 0], times[..., 0].double(), band_info[..., 0], mask > 0.5))


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> dict[str, str]:
    """Write an encoder as an ONNX file of the exchange contract, run it, and keep it only if it agrees with torch.

    A fully masked row stops the runtime with a message that holds `REFUSAL`. Needs onnx, onnxscript, onnxruntime.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its recipe must not use errors as inputs.
    path : str or Path
        File to write, whole or not at all.

    Returns
    -------
    dict
        The metadata of the file: checkpoint (SHA-256), preset, recipe, windows trained on, centring, middle_crop, ...

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
    if bad := [name for name, w in checkpoint.encoder.state_dict().items() if not w.isfinite().all()]:
        raise ValueError(
            f"weights of {checkpoint.name} are not finite ({', '.join(bad[:3])}): every embedding would be NaN"
        )
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise ImportError(f"{error}; exporting needs: pip install 'astraclr[interop]'") from error

    model = _Contract(copy.deepcopy(checkpoint.encoder).cpu()).eval()
    metadata = _metadata(checkpoint)
    with replacing(path) as part:
        graph = _exported(model)
        _strip(graph)
        _refuse_masked_rows(graph)
        onnx.helper.set_model_props(graph, metadata)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, str(part))
        difference = _disagreement(part, model)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"{path} was not written: its embeddings differ from torch's by {difference:.2g}, more than "
                f"{TOLERANCE:.0e}; try another version of torch or onnxruntime"
            )
    return metadata


def _exported(model: nn.Module) -> Any:
    """The ONNX graph (ModelProto) that torch's exporter makes of a module with the inputs of the contract."""
    with _quiet():
        # Two rows: from an example of one row the exporter would fix the batch at one.
        example = (*(torch.zeros(2, N_TOKENS, 1) for _ in range(3)), torch.zeros(2, N_TOKENS))
        batch = {0: torch.export.Dim("batch", min=1, max=4096)}
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            dynamic_shapes=dict.fromkeys(INPUTS, batch),
            input_names=list(INPUTS),
            output_names=["mean"],
            verbose=False,
        )
    assert program is not None
    return program.model_proto


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


def _refuse_other_inputs(recipe: Recipe) -> None:
    """Raise ValueError for a recipe whose encoder takes errors as inputs, and name the nearest one that exports."""
    if not recipe.reads_errors:
        return

    def differing(other: Recipe) -> int:
        return sum(getattr(other, f.name) != getattr(recipe, f.name) for f in fields(Recipe) if f.name != "name")

    nearest = min((r for r in RECIPES.values() if not r.reads_errors), key=differing)
    switch = "inputs='steps'" if recipe.inputs == "steps" else "error_input"
    raise ValueError(
        f"recipe {recipe.name!r} takes the error of each observation ({switch}), an input that the "
        f"exchange format lacks; the nearest recipe that exports is {nearest.name!r}"
    )


def _metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """Text that the file carries about its encoder."""
    from astraclr import __version__

    preset, recipe = checkpoint.preset, checkpoint.recipe
    return {
        "made_by": f"astraclr {__version__}",
        "checkpoint": checkpoint.sha256,
        "preset": preset.name,
        "recipe": recipe.name,
        "windows": " ".join(f"{band}={n}" for band, n in preset.windows),
        "centring": recipe.centring,
        "middle_crop": recipe.middle_crop,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which warns of packages that it does not need."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)


def _strip(proto: Any) -> None:
    """Remove the exporter's stack traces from every node; they hold paths of the machine."""
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.ClearField("doc_string")


def _refuse_masked_rows(proto: Any) -> None:
    """Add nodes that stop the graph at a fully masked row: they reshape one number to 1 + (number of such rows).

    A runtime checks shapes before any device computes, while some devices ignore an index out of range.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    (last,) = (node for node in graph.node if "mean" in node.output)
    last.output[list(last.output).index("mean")] = "mean_unchecked"
    constants = {
        "refusal_axis": np.array([1]),
        "refusal_half": np.float32(0.5),
        "refusal_one": np.array([1]),
        "refusal_zero": np.zeros(1, np.float32),
    }
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    steps: tuple[tuple[str, list[str], str, dict[str, Any]], ...]
    steps = (
        ("ReduceMin", ["mask", "refusal_axis"], "all_masked", {"keepdims": 0}),
        ("Greater", ["all_masked", "refusal_half"], "is_masked", {}),
        ("Cast", ["is_masked"], "masked_rows", {"to": TensorProto.INT64}),
        ("ReduceSum", ["masked_rows"], "n_masked", {"keepdims": 1}),
        ("Add", ["n_masked", "refusal_one"], "refusal_shape", {}),
        ("Reshape", ["refusal_zero", "refusal_shape"], REFUSAL, {}),
        ("Add", ["mean_unchecked", REFUSAL], "mean", {}),
    )
    graph.node.extend(helper.make_node(op, inputs, [out], name=out, **how) for op, inputs, out, how in steps)


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
