"""Presets and recipes as checkpoints and run states hold them, written by this version or an earlier one."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from astraclr.config import Preset, Recipe, View

_BEFORE: dict[type, dict[str, Any]] = {
    Preset: {"replicas": 1},
    View: {"colour_jitter": 0.0, "error_jitter": 0.0, "thinning": 0.0, "lost_band": 0.0},
    Recipe: {
        "shared_window": False,
        "centring": "star",
        "middle_crop": "band",
        "error_input": False,
        "initial_weights": "glorot",
        "negatives": "gathered",
        "frozen_views": False,
        "thaw_embedding": False,
        "inputs": "paper",
        "norm": "post",
        "pooling": "mean",
        "contrast": 1.0,
        "summaries": 0.0,
        "schedule": "warmup",
        "peak_rate": 3e-3,
        "weight_decay": 0.0,
        "global_contrast": 0.0,
        "global_temperature": 0.15,
        "global_inputs": "summaries",
        "folded_input": "none",
    },
}
"""Field -> its default when it was introduced, which is what the code did before the field existed. A file that lacks
the field means this, whatever the preset or recipe of that name is now. A new field gets a line; no line is changed."""


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Read the preset that `config.to_dict` wrote, in this version or an earlier one (see `recipe_from_dict`).

    Examples
    --------
    >>> from astraclr.config import PRESETS, to_dict
    >>> preset_from_dict(to_dict(PRESETS["tiny"])) == PRESETS["tiny"]
    True
    """
    return _read(Preset, {**values, "windows": tuple((band, int(n)) for band, n in values["windows"])})


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Read the recipe that `config.to_dict` wrote, in this version or an earlier one.

    A field that did not exist when the file was written has the default with which it was introduced: the file keeps
    its meaning, even where the recipe of its name has changed since.

    Raises
    ------
    ValueError
        If a field is missing that every version has written, or is unknown, as in a file of a later version.

    Examples
    --------
    >>> from astraclr.config import RECIPES, to_dict
    >>> old = to_dict(RECIPES["recommended"])
    >>> del old["pooling"]  # as in a file that is older than this field
    >>> recipe_from_dict(old).pooling
    'mean'
    """
    return _read(Recipe, {**values, "views": tuple(_read(View, view) for view in values["views"])})


def _read(kind: type, values: dict[str, Any]) -> Any:
    """An object of `kind` from the fields that a file holds."""
    known, before = {f.name for f in fields(kind)}, _BEFORE[kind]
    what = f"{kind.__name__.lower()} {values.get('name')!r}"
    if unknown := sorted(set(values) - known):
        raise ValueError(
            f"{what} has {', '.join(unknown)}, which this version of astraclr does not know: a later one wrote it; "
            "read it with that: pip install --upgrade astraclr"
        )
    if missing := sorted(known - set(values) - set(before)):
        raise ValueError(f"{what} lacks {', '.join(missing)}, which every version has written: the file is incomplete")
    return kind(**{**before, **values})
