"""Graders of chapter 10: losses between chance and floor, Amdahl's law, the cost of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from astraclr.train.losses import chance_level, floor_level
from astraclr.tutorial.checks import grader
from astraclr.tutorial.cost import Assumed, what_if
from astraclr.tutorial.experiments import committed_result

_VIEWS, _BATCH, _LOSSES = 3, 624, {1: 5.4, 8: 4.0}
"""Views of the recipe; batch, and losses by the number of GPUs, as in the exercise."""


def _near(a: float, b: float, off: float = 0.01) -> bool:
    """Whether two numbers are equal within a relative difference."""
    return math.isclose(float(a), b, rel_tol=off, abs_tol=1e-6)


@grader("ex-ch10-chance")
def _chance(way: Mapping[int, float]) -> str | None:
    """Part of the way from chance to floor that each loss has gone."""
    if missing := set(_LOSSES) - set(way):
        return f"There is no share for {missing.pop()} GPUs. Give one for each of {sorted(_LOSSES)}."
    floor = floor_level(_VIEWS)
    for gpus, loss in _LOSSES.items():
        given, chance = float(way[gpus]), chance_level(_VIEWS, _BATCH // gpus)
        right = (chance - loss) / (chance - floor)
        if abs(given - right) < 0.006:
            continue
        whole, own = chance_level(_VIEWS, _BATCH), chance_level(_VIEWS, _BATCH * gpus)
        mistakes = {
            "These are hundredths. Give a share, 0 at chance and 1 at the floor.": 100 * right,
            "That is the part that is still to go. Give the part that is done: 0 at chance.": 1 - right,
            "The lowest value is not 0: an anchor has two positives, which compete.": (chance - loss) / chance,
            "Negatives stay inside each rank: how many stars does one rank see?": (whole - loss) / (whole - floor),
            "Each rank has a part of the batch, not several batches.": (own - loss) / (own - floor),
            "That is a distance in nats. Divide it by the distance from chance to floor.": chance - loss,
        }
        for hint, value in mistakes.items():
            if abs(given - value) < 0.006:
                return f"{gpus} GPUs: {hint}"
        return f"{gpus} GPUs: where do its chance level and its floor lie, for the stars that one rank compares?"
    return None


def _parts(ranks: int) -> dict[str, float]:
    """Seconds of the parts of a step at preset paper."""
    rows = committed_result("scaling")["results"]["ranks"]
    return next(row["parts"] for row in rows if row["preset"] == "paper" and row["ranks"] == ranks)


@grader("ex-ch10-amdahl")
def _amdahl(efficiency: Callable[[float], float], half: float, growing: float) -> str | None:
    """Efficiency of R ranks on a fixed batch, where it is one half, and with a growing batch."""
    if not callable(efficiency):
        return "Pass a function of the number of ranks, so that it can be tested."
    work, two = sum(_parts(1).values()), _parts(2)
    given = {r: float(efficiency(r)) for r in (2, 8, 64)}

    def all_are(law: Callable[[int, float, float], float], w: float = work, s: float = two["gradient sum"]) -> bool:
        return all(_near(value, law(r, w, s)) for r, value in given.items())

    def right(r: int, w: float, s: float) -> float:
        return w / (w + r * s)

    if not all_are(right):
        if all_are(lambda r, w, s: w / (w / r + s)):
            return "That is the speed-up of R ranks. Divide it by the number of ranks."
        if all_are(lambda r, w, s: w / (w + s)):
            return "It does not depend on R. For a fixed batch the work of a rank shrinks, and the sum does not."
        if all_are(lambda r, w, s: w / (w / r + s) / r, sum(two.values())):
            return "W is the work of one rank that has the whole batch. Take it from the row of one rank."
        if all_are(right, s=two["gradient sum"] + two["waiting"]):
            return "Waiting is included. S is the sum of the gradients alone."
        return "Write down the time of a step of R ranks, W / R + S, and then how much of R such times is W."
    if not _near(half, work / two["gradient sum"], 0.03):
        if _near(half, two["gradient sum"] / work, 0.03):
            return "The number of ranks is below one. Which of the two times is larger?"
        return f"At {half:g} ranks your own efficiency is {float(efficiency(half)):.2f}. Where does it cross one half?"
    if not _near(growing, work / (work + two["gradient sum"])):
        if _near(growing, 1.0):
            return "With a growing batch the sum does not vanish: each step still needs it once."
        return "If the batch grows with R, each rank keeps the work of one. How long is a step, and which part is work?"
    return None


@grader("ex-ch10-bill")
def _bill(ratio: float, as_dear: float, gpu: Assumed, cores: Assumed, peak: float) -> str | None:
    """Ratio of two bills, and the utilisation at which a GPU costs as much as the cores."""
    ratio, as_dear = float(ratio), float(as_dear)
    price, rate = 1 / 2, 1 / 3  # of the other GPU, in units of the first one's
    if not _near(ratio, price / rate):
        hints = {
            rate / price: "That is the ratio of the bills the wrong way round: cheaper over dearer GPU.",
            price: "Half the price an hour, yes. But for how many hours?",
            1 / rate: "Three times the hours, yes. But at which price?",
            price * rate: "At a third of the rate, does the run take a third of the hours?",
        }
        other = "Money is hours times price, and hours are stars over rate. Only two ratios are needed."
        return next((hint for value, hint in hints.items() if _near(ratio, value)), other)
    full: Any = committed_result("training")["results"]["paper, full"]["ours"]
    right = gpu.price * full["per_s"] / cores.price / what_if(full["operations"], peak, 1.0)
    if _near(as_dear, right):
        return None
    hints = {
        100 * right: "Give a share of the peak, not hundredths of it.",
        8 * right: "Eight GPUs finish sooner and cost no less: their number cancels.",
        right / 8: "Eight GPUs finish sooner and cost no less: their number cancels.",
        right
        * cores.price
        / gpu.price: "At that utilisation they are as fast. The exercise asks when they cost the same.",
        1 / right: "A utilisation above 1? Which of the two bills shrinks as utilisation grows?",
        right * gpu.watts / gpu.price * cores.price / cores.watts: "That compares energy.",
    }
    other = "Money is price over rate, but for what both share. At which rate does a GPU have that of the cores?"
    return next((hint for value, hint in hints.items() if _near(as_dear, value)), other)
