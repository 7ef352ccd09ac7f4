"""Graders of the recipe's page: what a loss knows, and who gets the credit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from astraclr.checks import grader
from astraclr.experiments import committed_result

_SECOND_TASK = "+ summaries"
"""First row of the road that is not trained by the contrast alone."""
_PARTS = {"+ steps": "no steps", "+ jitter": "no jitter"}
"""Steps of the road that were also taken away, and the rows without them."""


def _rows() -> pd.DataFrame:
    rows: dict[str, Any] = committed_result("ablation")["rows"]
    return pd.DataFrame({
        name: {"group": row["group"], "loss": row["final"]["loss"], "effective rank": row["final"]["effective_rank"],
               "trained": row["trained"]["linear_probe"], "random": row["random"]["linear_probe"],
               "k-NN": row["trained"]["knn"]}
        for name, row in rows.items()
    }).T.infer_objects()  # fmt: skip


@grader("ex-rec-loss")
def _loss(agreement: Mapping[str, float]) -> str | None:
    table = _rows()
    road = table[table["group"] == "road"].drop(columns="group").astype(float)
    alone = road.iloc[: list(road.index).index(_SECOND_TASK)]
    for gauge in ("loss", "effective rank"):
        if gauge not in agreement:
            return f"There is no correlation for {gauge!r}."
        given = float(agreement[gauge])

        def near(rows: pd.DataFrame, score: str = "trained", rank: bool = True, gauge: str = gauge,
                 given: float = given) -> bool:  # fmt: skip
            both = rows[[gauge, score]].rank() if rank else rows[[gauge, score]]
            return abs(given - both.corr().iloc[0, 1]) < 0.006

        if near(alone):
            continue
        if near(road):
            return "That is of the whole road. Losses with the second task are another quantity: leave these rows out."
        if near(alone, rank=False):
            return "That is a correlation of the values. Rank them first: how they are spaced should not matter."
        if near(alone, "random"):
            return "That is with the probe of random weights. Take the trained encoder."
        if near(alone, "k-NN"):
            return "That is with k-NN. The probe is asked for."
        if near(alone.assign(**{gauge: -alone[gauge]})):
            return f"{gauge}: the sign. Give the correlation as it is, whatever you would call good."
        return f"{gauge}: over the rows of the contrast alone another correlation of the ranks comes out."
    return None


@grader("ex-rec-order")
def _order(brought: Mapping[str, float], missed: Mapping[str, float]) -> str | None:
    table = _rows()
    road = table[table["group"] == "road"]
    for step, part in _PARTS.items():
        for given, what in ((brought, "`brought`"), (missed, "`missed`")):
            if step not in given:
                return f"{what} lacks {step!r}."
        k = list(road.index).index(step)
        for given, name in ((float(brought[step]), "brought"), (float(missed[step]), "missed")):
            if name == "brought":
                gain = 100 * (road[["trained", "random"]].iloc[k] - road[["trained", "random"]].iloc[k - 1])
            else:
                gain = 100 * (road[["trained", "random"]].iloc[-1] - table.loc[part, ["trained", "random"]])
            right, control = (float(value) for value in gain)
            if abs(given - right) < 0.06:
                continue
            if abs(given + right) < 0.06:
                return f"{step}, {name}: the sign. What helps is positive, on the road and when it is missed."
            if abs(given - right / 100) < 6e-4:
                return f"{step}, {name}: in points of accuracy, please."
            if abs(given - control) < 0.06:
                return f"{step}, {name}: that is what random weights gain. Take the trained encoder."
            if name == "brought" and abs(given - 100 * (road["trained"].iloc[k] - road["trained"].iloc[0])) < 0.06:
                return f"{step}: that is since the beginning of the road. What did this step alone add?"
            return f"{step}, {name}: compare the row with the one {'before it' if name == 'brought' else 'at the end'}."
    return None
