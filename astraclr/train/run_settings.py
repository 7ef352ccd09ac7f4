"""Settings and stars that a run was begun with, compared before it is resumed."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

from astraclr.config import Preset, Recipe
from astraclr.data.sources import same_stars
from astraclr.model.saved_settings import preset_from_dict, recipe_from_dict
from astraclr.train.state_file import DamagedStateError

_OTHER_RUN = (
    "{} holds a run with another preset, recipe, seed, number of steps or other stars; "
    "choose another folder, or remove it to start anew"
)


def need_same_run(out: Path, found: tuple[Preset, Recipe, int, str], wanted: tuple[Preset, Recipe, int, str]) -> None:
    """Refuse to resume, or to return, a run whose settings or stars differ from the wanted ones.

    Parameters
    ----------
    out : folder of the run
    found, wanted : preset, recipe, seed and fingerprint of the stars, of the run and of the call

    Raises
    ------
    ValueError
        If any differs; it names each with its value then and now.

    Warns
    -----
    UserWarning
        As `same_stars`.

    Examples
    --------
    >>> from astraclr.config import preset, recipe
    >>> settings = preset("tiny"), recipe("corrected"), 0, "40 stars"
    >>> need_same_run(Path("run"), settings, settings)
    """
    both = zip(found[:2], wanted[:2], strict=True)
    pairs = [(f.name, getattr(a, f.name), getattr(b, f.name)) for a, b in both for f in fields(a)]
    odd = [f"{name} {a!r}, now {b!r}" for name, a, b in (*pairs, ("seed", found[2], wanted[2])) if a != b]
    if not same_stars(found[3], wanted[3], out):
        odd.append(f"stars {found[3]!r}, now {wanted[3]!r}")
    if odd:
        raise ValueError(f"{_OTHER_RUN.format(out)} ({'; '.join(odd)})")


def settings_of(path: Path, text: str) -> tuple[Preset, Recipe, int, str]:
    """Preset, recipe, seed and stars of a state; fields that are newer than it get the meaning they had then.

    Raises
    ------
    DamagedStateError
        If `text`, the settings that the state at `path` holds, cannot be read.
    """
    try:
        preset, recipe, seed, data = json.loads(text)
        return preset_from_dict(preset), recipe_from_dict(recipe), int(seed), str(data)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DamagedStateError(f"{path} holds settings that cannot be read: {error}") from error
