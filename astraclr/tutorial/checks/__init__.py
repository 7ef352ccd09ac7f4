"""Grading of the exercises, offline: it says what is wrong with an answer, never what the answer is.

``check("ex-ch4-floor", floor)`` grades the answer to the exercise of that label. Graders stand in one module a chapter,
compute what they compare with, and return a hint about the mistake that was made, or None if there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pandas as pd

Grader = Callable[..., str | None]
_GRADERS: dict[str, Grader] = {}


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and a hint where it is not; true in a condition if it is right."""

    label: str
    hint: str | None = None

    def __bool__(self) -> bool:
        return self.hint is None

    def __repr__(self) -> str:
        return f"{self.label}: right." if self else f"{self.label}: not yet. {self.hint}"


def grader(label: str) -> Callable[[Grader], Grader]:
    """Make a function the grader of an exercise; ValueError if it has one."""

    def register(function: Grader) -> Grader:
        if label in _GRADERS:
            raise ValueError(f"exercise {label!r} has two graders")
        _GRADERS[label] = function
        return function

    return register


def graded() -> list[str]:
    """Labels of all exercises that can be checked."""
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name)
    return sorted(_GRADERS)


def check(label: str, *answer: Any, **named: Any) -> Verdict:
    """Grade the answer to an exercise; what an exercise wants to see, and in which order, stands in its text.

    An answer of a wrong kind gets a hint, not an error. With the variable ASTRACLR_STRICT set, as where the solutions
    are run, a wrong answer raises AssertionError.

    Raises
    ------
    ValueError
        If no exercise has this label.
    """
    if label not in graded():
        near = [known for known in graded() if known.split("-")[:2] == label.split("-")[:2]] or graded()
        raise ValueError(f"no exercise {label!r} can be checked; there are {', '.join(near)}")
    try:
        hint = _GRADERS[label](*answer, **named)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        hint = f"The answer could not be read ({type(error).__name__}: {error}). Read again what the exercise asks for."
    verdict = Verdict(label, hint)
    if os.environ.get("ASTRACLR_STRICT") and not verdict:
        raise AssertionError(repr(verdict))
    return verdict


def predicted(guess: Mapping[str, float | None], measured: Mapping[str, float]) -> pd.DataFrame:
    """What was predicted beside what was measured; a guess of None was not made.

    Parameters
    ----------
    guess : by name, written before the code ran
    measured : by the same names

    Raises
    ------
    ValueError
        If a name of the guess was not measured.
    """
    if unknown := set(guess) - set(measured):
        raise ValueError(f"nothing was measured of {', '.join(sorted(unknown))}; the names are {', '.join(measured)}")
    yours = [np.nan if guess.get(name) is None else float(guess[name]) for name in measured]  # type: ignore[arg-type]
    table = pd.DataFrame({"predicted": yours, "measured": [float(v) for v in measured.values()]}, index=list(measured))
    return table.assign(off=table["measured"] - table["predicted"])
