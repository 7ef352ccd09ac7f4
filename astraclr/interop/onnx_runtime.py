"""Run ONNX files that follow the exchange contract, made here or elsewhere, on light curves with onnxruntime.

The exchange contract: inputs ``input, times, band_info`` (n, 700, 1) and ``mask`` (n, 700), float32, mask 1 = padding,
laid out as in `astraclr.interop.onnx_inputs`; output ``mean`` (n, d_model); any n.
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
from astraclr.files import regular
from astraclr.interop.onnx_inputs import N_TOKENS, Centring, Middle, model_inputs
from astraclr.model.embedding import Fusion, fuse

INPUTS = ("input", "times", "band_info", "mask")
_RANDOM = {"RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Bernoulli", "Multinomial"}
_CHUNK = 64
"""Number of stars that are prepared together."""


def random_nodes(path: str | Path) -> list[str]:
    """List the nodes of an ONNX file that draw random numbers, as "type name".

    An embedding should draw none: a node in the list is mostly drop-out that was left on when the file was exported.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is no ONNX file.

    Examples
    --------
    >>> random_nodes("model.onnx")  # doctest: +SKIP
    []
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(regular(path)), load_external_data=False)
    except (DecodeError, IsADirectoryError) as error:
        raise ValueError(f"{path} is not an ONNX file: {error}") from error
    nodes = [*_nodes(model.graph.node), *(n for f in model.functions for n in _nodes(f.node))]
    constants = {t.name: t for t in model.graph.initializer}
    constants |= {n.output[0]: n.attribute[0].t for n in nodes if n.op_type == "Constant"}

    def draws(node: Any) -> bool:
        """Whether a node is random; drop-out is if it has a third input that is not a constant false."""
        if node.op_type != "Dropout" or not node.input[2:] or not node.input[2]:
            return node.op_type in _RANDOM
        switch = constants.get(node.input[2])
        return switch is None or bool(onnx.numpy_helper.to_array(switch).any())

    return [f"{node.op_type} {node.name}".strip() for node in nodes if draws(node)]


def open_onnx(path: str | Path) -> Any:
    """Open an ONNX file of the exchange contract with onnxruntime, on as many threads as torch uses.

    Returns
    -------
    onnxruntime.InferenceSession

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is no ONNX file, or not one of this contract.

    Warns
    -----
    UserWarning
        If it holds random nodes.

    Examples
    --------
    >>> open_onnx("model.onnx").get_outputs()[0].name  # doctest: +SKIP
    'mean'
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # an error is raised, it need not be printed too
    file = str(regular(path))
    try:
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise ValueError(f"{path} is not an ONNX file that onnxruntime can run: {error}") from error
    shapes = {i.name: i.shape[1:] for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    expected = {name: [N_TOKENS] if name == "mask" else [N_TOKENS, 1] for name in INPUTS}
    if set(shapes) != set(expected) or not all(_fits(shapes[name], expected[name]) for name in INPUTS):
        raise ValueError(f"{path} takes {shapes}; the exchange contract is {expected}: it was made for other tools")
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
    if len(shape) != len(expected):
        return False
    return all(a in (b, None) or isinstance(a, str) for a, b in zip(shape, expected, strict=True))


def run_onnx(session: Any, rows: dict[str, np.ndarray], batch_size: int = 4) -> np.ndarray:
    """Run a model on rows of inputs.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        From `open_onnx`.
    rows : dict
        n rows, from `ModelInputs.rows`.
    batch_size : int
        Rows that are run together, unless the file fixes their number.

    Returns
    -------
    ndarray
        (n, d_model) float32 embeddings.

    Raises
    ------
    ValueError
        If a row is fully masked: files made elsewhere would give NaN.

    Examples
    --------
    >>> rows = model_inputs(stars, ("end",)).rows()  # doctest: +SKIP
    >>> run_onnx(open_onnx("model.onnx"), rows).shape  # doctest: +SKIP
    (10, 512)
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
    """Embed light curves with an ONNX file of the exchange contract: one exported here, or the published one.

    Parameters
    ----------
    lc : LightCurves
        Stars in bands g, r, i, or some of them.
    path : str or Path
        ONNX file.
    strategies, seed
        As in `model_inputs`; the default is the paper's three crops.
    fusion : str
        "mean" of the embeddings of the strategies, or "concat", one after the other.
    middle, centring : str, optional
        As in `model_inputs`; by default as the metadata of the file, else "band" and "star" as in the paper.
    batch_size : int
        Rows (a star and a strategy) that are run together.
    progress : bool
        Show a bar.

    Returns
    -------
    ndarray
        (n_stars, d_model) float32, or (n_stars, n_strategies * d_model) for "concat".

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_onnx` and `model_inputs`.

    Examples
    --------
    >>> embed_with_onnx(stars, "model.onnx").shape  # doctest: +SKIP
    (10, 512)
    """
    session = open_onnx(path)
    metadata = session.get_modelmeta().custom_metadata_map
    how: dict[str, Any] = {
        "middle": middle or metadata.get("middle_crop", "band"),
        "centring": centring or metadata.get("centring", "star"),
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
    """All nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)
