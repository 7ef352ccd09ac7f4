"""A trained encoder, its head and its stars written as JavaScript data, so that a page can embed a light curve itself.

The page's own code, ``book/interactive/encoder.js`` and ``folding.js``, computes what `astraclr.embedding.embed` and
`Head` compute, from a file opened without a server or a network. Numbers are base64 of little-endian arrays.
"""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import Any

import numpy as np

from astraclr.analysis.classifier import Head
from astraclr.analysis.packed_curves import thinned
from astraclr.config import ZTF_BANDS, Recipe
from astraclr.data import folding
from astraclr.data.lightcurves import LightCurves
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.config import EncoderConfig

FORMAT = "astraclr page model 2"
KNOWN: dict[str, tuple[Any, ...]] = {
    "time_rates": ("days", "log", "none"),
    "error_input": (True, False),
    "inputs": ("paper", "steps"),
    "norm": ("post", "pre"),
    "pooling": ("mean", "mean_std"),
    "folded_input": ("none", "window", "tokens", "both"),
}
"""Settings of an encoder that the page can compute, and their values."""
KNOWN_CROPS: dict[str, tuple[str, ...]] = {"centring": ("star", "window"), "middle_crop": ("band", "epoch")}
"""Settings of a recipe that decide what the encoder is shown."""
_SIZES = ("d_model", "n_layers", "n_heads", "d_ff", "d_band")
_TRAINING_ONLY = ("d_projection", "dropout", "initial_weights", "n_summaries", "n_described", "temperature")
_OF_TRAINING = frozenset(
    {
        "name",
        "views",
        "noise_unit",
        "bin_rule",
        "drop_in_place",
        "last_start",
        "shared_window",
        "outlier_sides",
        "initial_weights",
        "loss_sum",
        "negatives",
        "keras_adam",
        "frozen_views",
        "fixed_validation",
        "thaw_embedding",
        "contrast",
        "summaries",
        "schedule",
        "peak_rate",
        "weight_decay",
        "temperature",
        "dropout",
        "global_contrast",
        "global_temperature",
        "global_inputs",
    }
)
"""Settings of a recipe that change nothing once an encoder is trained."""
_UNUSED = ("projection.", "summaries.", "description.")
"""Weights that only a loss reads."""


def packed(values: np.ndarray) -> dict[str, Any]:
    """An array as ``{"type": "f4", "shape": [...], "data": base64}``, which the pages' ``unpack`` reads.

    Raises
    ------
    ValueError
        For a type that JavaScript has no array for.

    Examples
    --------
    >>> packed(np.array([1.0], np.float32))
    {'type': 'f4', 'shape': [1], 'data': 'AACAPw=='}
    """
    kind = f"{values.dtype.kind}{values.dtype.itemsize}"
    if kind not in ("f4", "f8", "u1", "u2", "u4", "i2", "i4"):
        raise ValueError(f"an array of {values.dtype} has no counterpart in JavaScript; convert it to float32 first")
    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    return {"type": kind, "shape": list(values.shape), "data": base64.b64encode(data).decode()}


def page_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The settings of a checkpoint that the page's encoder needs.

    Raises
    ------
    ValueError
        For a setting, or a value of one, that the page cannot compute.
    """
    shape = checkpoint.encoder.config
    strange = {f.name for f in fields(EncoderConfig)} - {*KNOWN, *_SIZES, *_TRAINING_ONLY}
    strange |= {f.name for f in fields(Recipe)} - {*KNOWN, *KNOWN_CROPS, *_OF_TRAINING}
    if strange:
        raise ValueError(
            f"{checkpoint.name}: the page's encoder does not know {', '.join(sorted(strange))}; teach it in "
            "book/interactive/encoder.js, then name it in astraclr/analysis/page_model.py"
        )
    config = {name: getattr(shape, name) for name in (*_SIZES, *KNOWN)}
    config |= {name: getattr(checkpoint.recipe, name) for name in KNOWN_CROPS}
    for name, values in (KNOWN | KNOWN_CROPS).items():
        if config[name] not in values:
            raise ValueError(
                f"{checkpoint.name}: the page's encoder knows {name} of {', '.join(map(str, values))}, not "
                f"{config[name]}; teach it in book/interactive/encoder.js"
            )
    return config


def folding_settings() -> dict[str, Any]:
    """Settings of `astraclr.data.folding` that the page needs: the grid, bins of frequency and phase, and limits.

    Examples
    --------
    >>> settings = folding_settings()
    >>> settings["n_cells"], len(settings["cuts"]), settings["n_phases"]
    (65536, 33, 16)
    """
    names = ("CELLS_PER_DAY", "N_CELLS", "N_PEAKS", "N_BETWEEN", "N_HARMONICS", "N_PHASES")
    limits = ("LEAST_ERROR", "MOST_APART", "LEAST_POWER")
    values = {name.lower(): getattr(folding, name) for name in (*names, *limits)}
    return values | {"cuts": folding.frequency_cuts()}


def page_model(checkpoint: Checkpoint, head: Head | None = None) -> dict[str, Any]:
    """Everything with which a page turns a light curve into an embedding, class probabilities and a flag.

    Parameters
    ----------
    checkpoint : of any recipe that the page knows, see `page_config`
    head : fitted on embeddings of this checkpoint

    Returns
    -------
    dict
        To be written as JSON: ``config``, ``windows``, ``wavelengths`` in angstrom, ``weights`` by name, ``rates`` in
        rad/day where the encoder is told the time, ``folding`` where it reads its window folded, ``head``, and on how
        many stars it was trained ("" for random weights).

    Raises
    ------
    ValueError
        For a setting that the page's encoder does not know, or a head of another checkpoint.
    """
    config = page_config(checkpoint)
    if head is not None and head.checkpoint != checkpoint.sha256:
        raise ValueError(f"the head was fitted on {head.checkpoint[:8]}, not on {checkpoint.sha256[:8]}: fit it again")
    if head is not None and head.features:
        raise ValueError("the page computes no hand-crafted features; give a head on embeddings alone")
    if head is not None and head.fusion != "mean":
        raise ValueError("the page joins crops by their mean; give a head on embeddings with fusion mean")
    if foreign := [band for band, _ in checkpoint.preset.windows if band not in ZTF_BANDS]:
        raise ValueError(
            f"{checkpoint.name} has windows for {', '.join(foreign)}; the page reads {', '.join(ZTF_BANDS)}"
        )
    state = checkpoint.encoder.state_dict()
    model: dict[str, Any] = {
        "format": FORMAT,
        "name": checkpoint.name,
        "recipe": checkpoint.recipe.name,
        "sha256": checkpoint.sha256,
        "trained_on": checkpoint.data.split(",")[0],
        "config": config,
        "windows": [list(w) for w in checkpoint.preset.windows],
        "wavelengths": dict(ZTF_BANDS),
        "weights": {k: packed(v.cpu().numpy()) for k, v in state.items() if not k.startswith(_UNUSED)},
    }
    if config["folded_input"] != "none":
        model["folding"] = folding_settings()
    if config["time_rates"] != "none":
        model["rates"] = packed(checkpoint.encoder.embedding.rates.cpu().numpy())
    if head is not None:
        arrays = ("coefficients", "intercepts", "centre", "precision")
        model["head"] = {
            "classes": list(head.classes),
            "threshold": head.threshold,
            "accuracy": None if np.isnan(head.accuracy) else head.accuracy,
            "temperature": [head.temperature.base, head.temperature.growth],
            "real_sky": dict(head.real_sky),
            **{name: packed(getattr(head, name)) for name in arrays},
        }
    return model


def page_stars(
    lc: LightCurves, embeddings: np.ndarray | None = None, xy: np.ndarray | None = None, points: int = 60
) -> dict[str, Any]:
    """Light curves for a page, with their embeddings and places on a map where these are given.

    Parameters
    ----------
    lc : the stars
    embeddings : (n, d); directions are kept, to 16 bits a number, which is enough for cosine similarities
    xy : (n, 2) places on a map
    points : of every light curve at most so many observations, evenly among its own

    Returns
    -------
    dict
        To be written as JSON: ``ids``, ``labels``, ``bands``, ``period`` in days (0 where there is none), ``observed``
        (n,) how many observations there were, ``counts`` (n, n_bands) kept, ``start`` (n,) days, and of all
        observations ``mjd`` in 1e-4 days from the start, ``mag`` and ``magerr`` in 1e-3 mag.
    """
    short = thinned(lc, points)
    star = np.repeat(np.arange(len(lc)), short.counts.sum(1))
    start = np.floor(np.minimum.reduceat(short.mjd, short.offsets[:: len(lc.bands)][:-1]))
    out: dict[str, Any] = {
        "ids": lc.object_id.tolist(),
        "labels": lc.label.tolist(),
        "bands": list(lc.bands),
        "period": packed(np.nan_to_num(lc.period)),
        "observed": packed(lc.counts.sum(1).astype("u4")),
        "counts": packed(short.counts.astype("u2")),
        "start": packed(start),
        "mjd": packed(np.round((short.mjd - start[star]) * 1e4).astype("u4")),
        "mag": packed(np.round(short.mag.astype(float) * 1e3).clip(-32_768, 32_767).astype("i2")),
        "magerr": packed(np.round(short.magerr.astype(float) * 1e3).clip(0, 65_535).astype("u2")),
    }
    if embeddings is not None:
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        out["embeddings"] = packed(np.round(unit * 32_767).astype("i2"))
    if xy is not None:
        out["xy"] = packed(xy.astype("f4"))
    return out


def script(name: str, values: Any) -> str:
    r"""A JavaScript file that puts `values` at ``ASTRACLR.name``; a page reads it with a script element, also offline.

    Examples
    --------
    >>> script("answer", [42])
    '(globalThis.ASTRACLR ??= {}).answer = [42];\n'
    """
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name for a property; use letters, digits and underscores")
    text = json.dumps(values, separators=(",", ":"), ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return f"(globalThis.ASTRACLR ??= {{}}).{name} = {text};\n"
