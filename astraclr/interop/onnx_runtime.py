"""ONNX files that follow the exchange contract, made here or elsewhere, run on light curves with onnxruntime.

The contract: inputs ``input, times, band_info`` (n, 700, 1) and ``mask`` (n, 700), float32, mask 1 = padding, laid out
as in `astraclr.interop.onnx_inputs`; output ``mean`` (n, d_model); any n.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from astraclr.data.lightcurves import LightCurves
from astraclr.files import existing
from astraclr.interop.onnx_inputs import N_TOKENS, Centring, Middle, model_inputs
from astraclr.model.embedding import Fusion, fuse

INPUTS = ("input", "times", "band_info", "mask")
_RANDOM = {"RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli", "Multinomial"}
_CHUNK = 64
"""Stars prepared at once."""


def random_nodes(path: str | Path) -> list[str]:
    """Nodes of an ONNX file that draw random numbers, as "type name": drop-out left on, where the list is not empty."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(existing(path)), load_external_data=False)
    except (DecodeError, IsADirectoryError) as error:
        raise ValueError(f"{path} is not an ONNX file: {error}") from error
    nodes = [*_nodes(model.graph.node), *(n for f in model.functions for n in _nodes(f.node))]
    constants = {t.name: t for t in model.graph.initializer}
    constants |= {n.output[0]: n.attribute[0].t for n in nodes if n.op_type == "Constant"}

    def draws(node: Any) -> bool:
        """Drop-out does where it has a third input that is not a constant false."""
        if node.op_type != "Dropout" or not node.input[2:] or not node.input[2]:
            return node.op_type in _RANDOM
        switch = constants.get(node.input[2])
        return switch is None or bool(onnx.numpy_helper.to_array(switch).any())

    return [f"{node.op_type} {node.name}".strip() for node in nodes if draws(node)]


def open_onnx(path: str | Path) -> Any:
    """An onnxruntime session on a file of the contract, on as many threads as torch uses.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no ONNX file, or not one of this contract.

    Warns
    -----
    UserWarning
        If it holds random nodes.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # an error is raised, it need not be printed too
    file = str(existing(path))
    try:
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise ValueError(f"{path} is not an ONNX file that onnxruntime can run: {error}") from error
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    expected = {name: [N_TOKENS] if name == "mask" else [N_TOKENS, 1] for name in INPUTS}
    if set(shapes) != set(expected) or not all(_fits(shapes[name], expected[name]) for name in INPUTS):
        raise ValueError(f"{path} takes {shapes}; the exchange contract is {expected}, so it was made for other tools")
    if "mean" not in outputs:
        raise ValueError(f"{path} gives {', '.join(outputs)}; the exchange contract asks for an output named mean")
    if found := random_nodes(path):
        warnings.warn(
            f"{path} holds {len(found)} random nodes ({found[0]}, ...): drop-out was left on when it was "
            "exported, so no two runs give the same embeddings",
            stacklevel=2,
        )
    return session


def _fits(shape: Sequence[int | str | None], expected: Sequence[int]) -> bool:
    """Whether every length is as expected, or left open."""
    return len(shape) == len(expected) and all(a in (b, None) or isinstance(a, str) for a, b in zip(shape, expected))  # noqa: B905


def run_onnx(session: Any, rows: dict[str, np.ndarray], batch_size: int = 4) -> np.ndarray:
    """(n, d_model) float32 embeddings of n rows (`ModelInputs.rows`).

    Raises
    ------
    ValueError
        If a row is fully masked: files made elsewhere would answer NaN.
    """
    empty = np.all(rows["mask"], axis=1)
    if empty.any():
        raise ValueError(
            f"{int(empty.sum())} of {len(empty)} rows are fully masked (the first is row "
            f"{int(empty.argmax())}): there is nothing to embed; drop those light curves"
        )
    n, fixed = len(empty), session.get_inputs()[0].shape[0]
    step = fixed if isinstance(fixed, int) else batch_size
    parts = []
    for first in range(0, n, step):
        # A file exported for a fixed number of rows gets its last row several times.
        index = np.minimum(np.arange(first, first + step), n - 1)[: None if step == fixed else n - first]
        parts.append(session.run(["mean"], {name: rows[name][index] for name in INPUTS})[0][: n - first])
    return np.concatenate(parts)


def embed_with_onnx(
    lc: LightCurves,
    path: str | Path,
    *,
    strategies: Sequence[str] = ("beginning", "middle", "end"),
    fusion: Fusion = "mean",
    middle: Middle | None = None,
    centring: Centring | None = None,
    seed: int = 0,
    batch_size: int = 4,
    progress: bool = False,
) -> np.ndarray:
    """Embed light curves with any ONNX file of the contract: one exported here, or the published one.

    Parameters
    ----------
    strategies, seed : as in `model_inputs`; the default is the paper's three crops
    fusion : "mean" of the strategies' embeddings, or their "concat"enation
    middle, centring : as in `model_inputs`; by default what the file says, else "band" and "star" as in the paper
    batch_size : rows (a star and a strategy) at once

    Returns
    -------
    (n_stars, d_model) float32, or (n_stars, n_strategies * d_model) for "concat"

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_onnx` and `model_inputs`.
    """
    session = open_onnx(path)
    said = session.get_modelmeta().custom_metadata_map
    how: dict[str, Any] = {
        "middle": middle or said.get("middle_crop", "band"),
        "centring": centring or said.get("centring", "star"),
    }
    rng, out = np.random.default_rng(seed), []
    with tqdm(total=len(lc), desc="embedding", unit="star", disable=not progress) as bar:
        for first in range(0, len(lc), _CHUNK):
            rows = model_inputs(lc[first : first + _CHUNK], strategies, seed=rng, **how).rows()
            crops = torch.as_tensor(run_onnx(session, rows, batch_size)).unflatten(0, (-1, len(strategies)))
            out.append(fuse(crops.transpose(0, 1), fusion).numpy())
            bar.update(len(out[-1]))
    return np.concatenate(out)


def _nodes(nodes: Any) -> Iterator[Any]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
