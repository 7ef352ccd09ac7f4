"""An encoder leaves the house as an ONNX file that astra-infer and light-curve load unchanged.

The file's contract is in `astraclr.interop.onnx_runtime`, which runs it.
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
"""An exported file whose embeddings differ from torch's by more is not kept."""
DROP_IN_WIDTH = 512
"""Length of an embedding that light-curve and astra-infer document."""
REFUSAL = "a_row_is_fully_masked__drop_that_light_curve"
"""Name of the node at which a runtime stops, and which its message quotes."""


class _Contract(nn.Module):
    """The encoder behind the contract's inputs; phases are computed from float64 times, as in training."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input: Tensor, times: Tensor, band_info: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(Tokens(input[..., 0], times[..., 0].double(), band_info[..., 0], mask > 0.5))


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> dict[str, str]:
    """Write the encoder as an ONNX file of the contract, run it, and keep it only if it agrees with torch.

    A fully masked row stops the runtime with a message that holds `REFUSAL`. Needs onnx, onnxscript, onnxruntime.

    Returns
    -------
    the file's metadata: checkpoint (SHA-256), preset, recipe, windows trained on, centring, middle_crop, ...

    Raises
    ------
    ValueError
        If the recipe needs an input that the contract lacks, a weight is not finite, the file cannot be written, or it
        disagrees with torch by more than `TOLERANCE`.
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
    notes = _metadata(checkpoint)
    with replacing(path) as part:
        with _quiet():
            # Two rows: from an example of one the exporter would fix the batch at one.
            example = tuple(torch.zeros(2, N_TOKENS, 1) for _ in range(3)) + (torch.zeros(2, N_TOKENS),)
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
        proto = program.model_proto
        _strip(proto)
        _refuse_masked_rows(proto)
        onnx.helper.set_model_props(proto, notes)
        onnx.checker.check_model(proto, full_check=True)
        onnx.save(proto, str(part))
        apart = _disagreement(part, model)
        if not apart <= TOLERANCE:
            raise ValueError(
                f"{path} was not written: its embeddings differ from torch's by {apart:.2g}, more than "
                f"{TOLERANCE:.0e}; try another version of torch or onnxruntime"
            )
    return notes


def trained_shorter(preset: Preset) -> bool:
    """Whether an encoder was trained on windows shorter than the contract's."""
    windows = dict(preset.windows)
    return any(windows.get(band, 0) < n for band, n in LAYOUT.items())


def _refuse_other_inputs(recipe: Recipe) -> None:
    if not recipe.reads_errors:
        return

    def differing(other: Recipe) -> int:
        return sum(getattr(other, f.name) != getattr(recipe, f.name) for f in fields(Recipe) if f.name != "name")

    nearest = min((r for r in RECIPES.values() if not r.reads_errors), key=differing)
    switch = "inputs='steps'" if recipe.inputs == "steps" else "error_input"
    raise ValueError(
        f"recipe {recipe.name!r} feeds the encoder each point's error ({switch}), an input that the "
        f"exchange format lacks; the nearest recipe that exports is {nearest.name!r}"
    )


def _metadata(checkpoint: Checkpoint) -> dict[str, str]:
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
    """The exporter tells of packages that it does not need."""
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
    """Remove what the exporter notes on every node: stack traces, with the paths of the machine it ran on."""
    graph = proto.graph
    for item in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
        item.ClearField("doc_string")


def _refuse_masked_rows(proto: Any) -> None:
    """Let the graph stop at a fully masked row: one number cannot be reshaped to 1 + (number of such rows) numbers.

    A runtime must know the shape before any device computes; an index out of range may pass unseen on some.
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
    """Largest difference between the file and torch: a full row, one without i, a single observation."""
    from astraclr.simulation.simulate import simulate

    rows = model_inputs(simulate(3, seed=0), ("end",)).rows()
    rows["mask"][1, -LAYOUT["i"] :] = 1
    rows["mask"][2] = np.arange(N_TOKENS) != 0
    with torch.inference_mode():
        expected = model(*(torch.as_tensor(rows[name]) for name in INPUTS)).numpy()
    found = run_onnx(open_onnx(path), rows)
    return float(np.abs(found - expected).max()) if found.shape == expected.shape else float("inf")
