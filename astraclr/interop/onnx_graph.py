"""Write the graph of an encoder as an ONNX file that says what it is, and keep it only if it agrees with torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from astraclr.config import RUBIN_BANDS, ZTF_BANDS, to_dict
from astraclr.files import replacing
from astraclr.model.checkpoint import Checkpoint

REFUSAL = "a_row_is_fully_masked__drop_that_light_curve"
"""Name of the node at which a runtime stops at a fully masked row; its error message quotes the name."""


def write_graph(
    path: str | Path,
    checkpoint: Checkpoint,
    make: Callable[[], Any],
    metadata: dict[str, str],
    difference: Callable[[Path], tuple[float, float]],
) -> None:
    """Write a graph with its metadata, and keep it only if it agrees with torch.

    Parameters
    ----------
    path : file to write, whole or not at all
    checkpoint : whose weights are looked at before
    make : gives the graph (ModelProto)
    metadata : text that the file carries
    difference : gives the largest difference of a file from torch, and what is allowed

    Raises
    ------
    ValueError, ImportError
        As `export_onnx`.
    """
    if bad := [name for name, w in checkpoint.encoder.state_dict().items() if not w.isfinite().all()]:
        raise ValueError(
            f"weights of {checkpoint.name} are not finite ({', '.join(bad[:3])}): every embedding would be NaN"
        )
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it
    except ImportError as error:
        raise ImportError(f"{error}; exporting needs: pip install 'astraclr[interop]'") from error

    with replacing(path) as part:
        graph = make()
        _strip(graph)
        _refuse_masked_rows(graph)
        onnx.helper.set_model_props(graph, metadata)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, str(part))
        apart, allowed = difference(part)
        if not apart <= allowed:
            raise ValueError(
                f"{path} was not written: its embeddings differ from torch's by {apart:.2g}, more than "
                f"{allowed:.0e}; try another version of torch or onnxruntime"
            )


def exported(
    model: nn.Module, example: tuple[Tensor, ...], shapes: dict[str, Any], names: list[str], output: str
) -> Any:
    """The ONNX graph (ModelProto) that torch's exporter makes of a module.

    Parameters
    ----------
    model : in evaluation mode
    example : inputs
    shapes : argument of the module -> its axes of any length
    names, output : of the inputs and of the output in the file
    """
    with _quiet():
        program = torch.onnx.export(
            model,
            example,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=names,
            output_names=[output],
            custom_translation_table={torch.ops.aten.hypot.default: _hypot},
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _hypot(x: Any, y: Any) -> Any:
    """``torch.hypot`` in ONNX operators, which torch's exporter does not know."""
    from onnxscript import opset18

    op: Any = opset18  # its stubs know no operands of an unknown type
    return op.Sqrt(op.Add(op.Mul(x, x), op.Mul(y, y)))


def metadata_of(
    checkpoint: Checkpoint, contract: str, inputs: dict[str, tuple[str, str, str, str]], output: str, licence: str
) -> dict[str, str]:
    """Text that a file carries about its encoder, inputs and output.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> metadata_of(load_checkpoint("tiny"), "astraclr exchange 1", {}, "mean", "MIT")["bands"]
    'g=4746.48 r=6366.38 i=7829.03'
    """
    from astraclr import __version__

    preset, recipe = checkpoint.preset, checkpoint.recipe
    fields_of = ("shape", "type", "unit", "meaning")
    known = {**RUBIN_BANDS, **ZTF_BANDS}
    described = {output: (f"n,{checkpoint.encoder.config.d_embedding}", "float32", "", "embedding of one window")}
    return {
        "made_by": f"astraclr {__version__}",
        "contract": contract,
        "checkpoint": checkpoint.sha256,
        "preset": preset.name,
        "recipe": recipe.name,
        "windows": " ".join(f"{band}={n}" for band, n in preset.windows),
        "bands": " ".join(f"{band}={known[band]}" for band, _ in preset.windows if band in known),
        "centring": recipe.centring,
        "middle_crop": recipe.middle_crop,
        "licence": licence or "not stated",
        "settings": json.dumps({"preset": to_dict(preset), "recipe": to_dict(recipe)}, sort_keys=True),
        "inputs": json.dumps({name: dict(zip(fields_of, facts, strict=True)) for name, facts in inputs.items()}),
        "outputs": json.dumps({name: dict(zip(fields_of, facts, strict=True)) for name, facts in described.items()}),
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
    name = graph.output[0].name
    (last,) = (node for node in graph.node if name in node.output)
    last.output[list(last.output).index(name)] = "unchecked"
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
        ("Add", ["unchecked", REFUSAL], name, {}),
    )
    graph.node.extend(helper.make_node(op, inputs, [out], name=out, **how) for op, inputs, out, how in steps)
