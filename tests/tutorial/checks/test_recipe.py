"""Graders of the recipe's page: right answers pass, and each typical mistake gets the hint that belongs to it."""

from typing import Any

import pandas as pd
import pytest

from astraclr.tutorial.checks import check
from astraclr.tutorial.experiments import committed_result


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


@pytest.fixture(scope="module")
def table():
    rows = committed_result("ablation")["rows"]
    return pd.DataFrame(
        {
            name: {
                "group": row["group"],
                "trained": row["trained"]["linear_probe"],
                "random": row["random"]["linear_probe"],
                "loss": row["final"]["loss"],
                "effective rank": row["final"]["effective_rank"],
            }
            for name, row in rows.items()
        }
    ).T


def test_loss(table):
    road = table[table["group"] == "road"].drop(columns="group").astype(float)
    alone = road.iloc[: list(road.index).index("+ summaries")]

    def agreement(rows: pd.DataFrame, score: str = "trained", rank: bool = True) -> dict[str, float]:
        found: Any = (rows.rank() if rank else rows).corr()[score]
        return {gauge: float(found[gauge]) for gauge in ("loss", "effective rank")}

    right = agreement(alone)
    assert check("ex-rec-loss", right)
    wrong = {
        "of all rows": agreement(road),
        "Rank them first": agreement(alone, rank=False),
        "random weights": agreement(alone, "random"),
        "the sign": {g: -v for g, v in right.items()},
        "no correlation for 'effective rank'": {"loss": right["loss"]},
        "another correlation": {"loss": 0.123, "effective rank": 0.5},
    }
    for hint, answer in wrong.items():
        said = repr(check("ex-rec-loss", answer))
        assert hint in said and f"{right['loss']:.2f}" not in said


def test_order(table):
    road = table[table["group"] == "road"]
    parts = {"+ steps": "no steps", "+ jitter": "no jitter"}

    def credits(column: str = "trained", scale: float = 100) -> tuple[dict[str, float], dict[str, float]]:
        brought = (scale * road[column].astype(float).diff())[list(parts)].to_dict()
        return brought, {step: scale * (road[column].iloc[-1] - table[column][part]) for step, part in parts.items()}

    brought, missed = credits()
    assert check("ex-rec-order", brought, missed)
    assert check("ex-rec-order", {k: round(v, 1) for k, v in brought.items()}, missed)
    for answer, hint in (
        ((brought, {k: -v for k, v in missed.items()}), "the sign"),
        (credits("random"), "random"),
        (credits(scale=1), "give points"),
        (({"+ steps": 1.0}, missed), "one before it"),
        ((brought, {}), "lacks '+ steps'"),
        ((brought | {"+ jitter": 33.3}, missed), "before it"),
    ):
        assert hint in repr(check("ex-rec-order", *answer))
