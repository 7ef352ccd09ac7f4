"""Presets and recipes as checkpoints and run states hold them, written by this version or an earlier one."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any, get_type_hints

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


_LEAST = {"d_model": 1, "n_layers": 1, "n_heads": 1, "d_ff": 1, "steps": 1, "batch_size": 1, "evaluate_every": 1}
_MOST, _LONGEST_WINDOW, _LONGEST_TEXT = 2**53, 1_000_000, 200
"""Largest number, window in observations and text in characters of a setting in a file."""


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """Read the preset that `config.to_dict` wrote, in this version or an earlier one (see `recipe_from_dict`).

    Raises
    ------
    ValueError
        As `recipe_from_dict`.

    Examples
    --------
    >>> from astraclr.config import PRESETS, to_dict
    >>> preset_from_dict(to_dict(PRESETS["tiny"])) == PRESETS["tiny"]
    True
    """
    windows = _of(list | tuple, _of(dict, values, "preset")["windows"], "windows")
    for window in windows:
        if (
            not isinstance(window, list | tuple)
            or [type(v) for v in window] != [str, int]
            or not 0 <= window[1] <= _LONGEST_WINDOW
        ):
            raise ValueError(f"window {_brief(window)} is not a band and 0 to {_LONGEST_WINDOW:,} observations")
    return _read(Preset, {**values, "windows": tuple(map(tuple, windows))})


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """Read the recipe that `config.to_dict` wrote, in this version or an earlier one.

    A field that did not exist when the file was written has the default with which it was introduced: the file keeps
    its meaning, even where the recipe of its name has changed since.

    Raises
    ------
    ValueError
        If a field is missing that every version has written, is unknown, as in a file of a later version, or is of
        another type or size than any version has written.

    Examples
    --------
    >>> from astraclr.config import RECIPES, to_dict
    >>> old = to_dict(RECIPES["recommended"])
    >>> del old["pooling"]  # as in a file that is older than this field
    >>> recipe_from_dict(old).pooling
    'mean'
    """
    views = _of(list | tuple, _of(dict, values, "recipe")["views"], "views")
    return _read(Recipe, {**values, "views": tuple(_read(View, _of(dict, view, "view")) for view in views)})


def _read(kind: type, values: dict[str, Any]) -> Any:
    """An object of `kind` from the fields that a file holds."""
    known, before = {f.name for f in fields(kind)}, _BEFORE[kind]
    what = f"{kind.__name__.lower()} {_brief(values.get('name'))}"
    if unknown := sorted(set(values) - known):
        raise ValueError(
            f"{what} has {', '.join(unknown)}, which this version of astraclr does not know: a later one wrote it; "
            "read it with that: pip install --upgrade astraclr"
        )
    if missing := sorted(known - set(values) - set(before)):
        raise ValueError(f"{what} lacks {', '.join(missing)}, which every version has written: the file is incomplete")
    for name, wanted in get_type_hints(kind).items():
        _check(f"{name} of {what}", values.get(name, before.get(name)), wanted, _LEAST.get(name, 0))
    return kind(**{**before, **values})


def _check(what: str, value: Any, wanted: Any, least: int) -> None:
    """Refuse a value of another type, or a number or text that no setting has."""
    if wanted is int and (type(value) is not int or not least <= value <= _MOST):
        raise ValueError(f"{what} is {_brief(value)}, not a whole number from {least}")
    if wanted is float and (type(value) not in (int, float) or not math.isfinite(value)):
        raise ValueError(f"{what} is {_brief(value)}, not a number")
    if wanted is bool and type(value) is not bool:
        raise ValueError(f"{what} is {_brief(value)}, not true or false")
    if wanted in (int, float, bool) or isinstance(value, tuple):
        return
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise ValueError(f"{what} is {_brief(value)}, not a text of up to {_LONGEST_TEXT} characters")


def _of(kind: Any, value: Any, what: str) -> Any:
    """The value, if it is of the kind that a file must hold there."""
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {_brief(value)}, not a {'JSON object' if kind is dict else 'list'}")
    return value


def _brief(value: Any) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
