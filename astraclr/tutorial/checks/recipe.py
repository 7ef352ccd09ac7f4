"""Graders of the page about the recipe: losses beside probes, and the effect of single steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from astraclr.tutorial.checks import grader
from astraclr.tutorial.experiments import committed_result

_SECOND_TASK = "+ summaries"
"""First step that is not trained by the contrast alone."""
_PARTS = {"+ steps": "no steps", "+ jitter": "no jitter"}
"""Steps that were also taken away, and the rows without them."""


def _rows(group: str = "") -> dict[str, dict[str, float]]:
    """Scores of the rows of the ablation, all or those of a group, in their order."""
    rows: dict[str, Any] = committed_result("ablation")["rows"]
    return {
        name: {
            "loss": row["final"]["loss"],
            "effective rank": row["final"]["effective_rank"],
            "trained": row["trained"]["linear_probe"],
            "random": row["random"]["linear_probe"],
            "k-NN": row["trained"]["knn"],
        }
        for name, row in rows.items()
        if not group or row["group"] == group
    }


def _agreement(rows: list[dict[str, float]], gauge: str, score: str = "trained", rank: bool = True) -> float:
    """Correlation of a gauge and a score over rows, of their ranks or of their values."""
    x, y = (pd.Series([row[name] for row in rows]) for name in (gauge, score))
    if rank:
        x, y = x.rank(), y.rank()
    return float(np.corrcoef(x, y)[0, 1])


@grader("ex-rec-loss")
def _loss(agreement: Mapping[str, float]) -> str | None:
    """Rank correlation of loss and effective rank with the probe."""
    path = _rows("road")
    alone = list(path.values())[: list(path).index(_SECOND_TASK)]
    for gauge in ("loss", "effective rank"):
        if gauge not in agreement:
            return f"There is no correlation for {gauge!r}."
        given, right = float(agreement[gauge]), _agreement(alone, gauge)
        if abs(given - right) < 0.006:
            continue
        mistakes = {
            "That is of all rows. Losses with the second task are another quantity: leave those rows out.": _agreement(
                list(path.values()), gauge
            ),
            "That is a correlation of the values. Rank them first: how they are spaced should not matter.": _agreement(
                alone, gauge, rank=False
            ),
            "That is with the probe of random weights. Use that of the trained encoder.": _agreement(
                alone, gauge, "random"
            ),
            "That is with k-NN. The probe is asked for.": _agreement(alone, gauge, "k-NN"),
            f"{gauge}: the sign is reversed. It is negative if one falls where the other rises.": -right,
        }
        other = f"{gauge}: the rows of the contrast alone have another correlation of the ranks."
        return next((hint for hint, value in mistakes.items() if abs(given - value) < 0.006), other)
    return None


@grader("ex-rec-order")
def _order(brought: Mapping[str, float], missed: Mapping[str, float]) -> str | None:
    """Points of accuracy that a step adds, and that are lost without it."""
    rows, path = _rows(), list(_rows("road"))
    for step, part in _PARTS.items():
        pairs = {"brought": (brought, step, path[path.index(step) - 1]), "missed": (missed, path[-1], part)}
        for name, (answer, more, less) in pairs.items():
            if step not in answer:
                return f"`{name}` lacks {step!r}."
            given = float(answer[step])
            right, control = (100 * (rows[more][c] - rows[less][c]) for c in ("trained", "random"))
            if abs(given - right) < 0.06:
                continue
            since = 100 * (rows[more]["trained"] - rows[path[0]]["trained"])
            mistakes = {
                "the sign is reversed. What helps is positive, when it is added and when it is missed.": -right,
                "give points of accuracy.": right / 100,
                "that is what random weights gain. Take the trained encoder.": control,
                "that is since the first row. What did this step alone add?": since,
            }
            other = f"compare the row with the one {'before it' if name == 'brought' else 'at the end'}."
            for hint, value in mistakes.items():
                if abs(given - value) < (6e-4 if "points" in hint else 0.06):
                    return f"{step}, {name}: {hint}"
            return f"{step}, {name}: {other}"
    return None
