"""Check answers to exercises: a hint names the mistake, never the right answer.

``check("ex-ch4-floor", floor)`` checks the answer to the exercise of that label. Each chapter has a module of graders,
which compute the right answer and return a hint about the mistake, or None if there is none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np
import pandas as pd

Grader = Callable[..., str | None]
_GRADERS: dict[str, Grader] = {}


@dataclass(frozen=True)
class Verdict:
    """The result of a check: the hint is None if the answer is right, and then the verdict is true in a condition.

    Examples
    --------
    >>> bool(Verdict("ex-ch4-floor")), bool(Verdict("ex-ch4-floor", "Look at the sign."))
    (True, False)
    """

    label: str
    hint: str | None = None

    def __bool__(self) -> bool:
        return self.hint is None

    def __repr__(self) -> str:
        return f"{self.label}: right." if self else f"{self.label}: not yet. {self.hint}"


def grader(label: str) -> Callable[[Grader], Grader]:
    """Register a function as the grader of an exercise.

    Parameters
    ----------
    label : str
        Of the exercise, such as "ex-ch4-floor".

    Raises
    ------
    ValueError
        If the exercise has a grader.

    Examples
    --------
    >>> @grader("ex-demo-double")  # doctest: +SKIP
    ... def _double(answer: float) -> str | None:
    ...     return None if answer == 2 else "Is that twice one?"
    """

    def register(function: Grader) -> Grader:
        if label in _GRADERS:
            raise ValueError(f"exercise {label!r} has two graders")
        _GRADERS[label] = function
        return function

    return register


def graded() -> list[str]:
    """List the labels of all exercises that can be checked.

    Examples
    --------
    >>> "ex-ch4-floor" in graded()
    True
    """
    for module in iter_modules(__path__, f"{__name__}."):
        import_module(module.name)
    return sorted(_GRADERS)


def check(label: str, *answer: Any, **named: Any) -> Verdict:
    """Check the answer to an exercise.

    Parameters
    ----------
    label : str
        Of the exercise, such as "ex-ch4-floor".
    *answer, **named
        The answer; the text of the exercise tells its parts and their order.

    Returns
    -------
    Verdict
        An answer of a wrong type gets a hint, not an error.

    Raises
    ------
    ValueError
        If no exercise has this label.
    AssertionError
        For a wrong answer where the variable ASTRACLR_STRICT is set, as in a build that runs the solutions.

    Examples
    --------
    >>> check("ex-ch1-ghosts", [0.6, 0.6, 0.6])
    ex-ch1-ghosts: not yet. Three different periods are wanted, and you gave 1.
    """
    if label not in graded():
        near = get_close_matches(label, graded(), n=5, cutoff=0.5)
        remedy = f"did you mean {' or '.join(near)}?" if near else f"the exercises are {', '.join(graded())}"
        raise ValueError(f"no exercise {label!r} can be checked; {remedy}")
    try:
        hint = _GRADERS[label](*answer, **named)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        hint = f"The answer could not be read ({type(error).__name__}: {error}). What does the exercise ask for?"
    verdict = Verdict(label, hint)
    if os.environ.get("ASTRACLR_STRICT") and not verdict:
        raise AssertionError(repr(verdict))
    return verdict


def predicted(guess: Mapping[str, float | None], measured: Mapping[str, float]) -> pd.DataFrame:
    """Tabulate predictions beside measured values.

    Parameters
    ----------
    guess : mapping
        Predictions by name, written before the code ran; None where you made none.
    measured : mapping
        Measured values by the same names.

    Returns
    -------
    DataFrame
        Columns ``predicted``, ``measured`` and ``off``, the difference. A notebook shows three digits, and
        nothing where no prediction was made.

    Raises
    ------
    ValueError
        If a name of the guess was not measured.

    Examples
    --------
    >>> float(predicted({"accuracy": 0.5}, {"accuracy": 0.75})["off"].iloc[0])
    0.25
    """
    if unknown := set(guess) - set(measured):
        raise ValueError(f"nothing was measured of {', '.join(sorted(unknown))}; the names are {', '.join(measured)}")
    yours = [np.nan if guess.get(name) is None else float(guess[name]) for name in measured]  # type: ignore[arg-type]
    table = _Shown({"predicted": yours, "measured": [float(v) for v in measured.values()]}, index=list(measured))
    table["off"] = table["measured"] - table["predicted"]
    return table


class _Shown(pd.DataFrame):
    """A table that a notebook shows with three digits and without NaN."""

    def _repr_html_(self) -> str:
        return self.map(short).style.to_html(table_uuid="predicted")

    def __repr__(self) -> str:
        return self.map(short).to_string()


def short(value: float) -> str:
    """Write a number with three digits, as pages show it; nothing for NaN, and no minus before a zero.

    Examples
    --------
    >>> short(0.123456), short(-0.00001), short(12345.6), short(float("nan"))
    ('0.123', '0', '12,346', '')
    """
    if np.isnan(value):
        return ""
    if abs(value) < 5e-4:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}"
