"""Graders of chapter 10: right answers pass, and each typical mistake gets the hint that belongs to it."""

import math

import pytest

from astraclr.train.losses import chance_level, floor_level
from astraclr.tutorial.checks import check
from astraclr.tutorial.cost import Assumed
from astraclr.tutorial.experiments import committed_result


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


def test_chance():
    floor, losses = floor_level(3), {1: 5.4, 8: 4.0}
    chance = {gpus: chance_level(3, 624 // gpus) for gpus in losses}
    way = {gpus: (chance[gpus] - loss) / (chance[gpus] - floor) for gpus, loss in losses.items()}
    assert check("ex-ch10-chance", way)
    wrong = {
        "hundredths": {gpus: 100 * w for gpus, w in way.items()},
        "still to go": {gpus: 1 - w for gpus, w in way.items()},
        "is not 0": {gpus: 1 - losses[gpus] / chance[gpus] for gpus in losses},
        "distance in nats": {1: chance[1] - 5.4, 8: 1.4},
        "one rank see": way | {8: (chance[1] - 4) / (chance[1] - floor)},
        "no share for 8": {1: way[1]},
        "one rank compares": way | {8: 0.99},
    }
    for hint, answer in wrong.items():
        said = repr(check("ex-ch10-chance", answer))
        assert hint in said and f"{way[8]:.2f}" not in said


def test_amdahl():
    rows = {r["ranks"]: r["parts"] for r in committed_result("scaling")["results"]["ranks"] if r["preset"] == "paper"}
    work, total, s = sum(rows[1].values()), sum(rows[2].values()), rows[2]["gradient sum"]

    def law(r):
        return work / (work + r * s)

    half, growing = work / s, work / (work + s)
    assert check("ex-ch10-amdahl", law, half, growing)
    assert check("ex-ch10-amdahl", law, round(half), growing)
    waits = s + rows[2]["waiting"]
    for wrong, hint in (
        (lambda r: r * law(r), "number of ranks"),
        (lambda r: growing, "does not depend"),
        (lambda r: total / (total / r + s) / r, "row of one rank"),
        (0.5, "function"),
        (lambda r: work / (work + r * waits), "Waiting"),
        (lambda r: 1 / r, "Write down"),
    ):
        assert hint in repr(check("ex-ch10-amdahl", wrong, half, growing))
    for answer, hint in (
        ((s / work, growing), "below one"),
        ((2 * half, growing), "cross one half"),
        ((half, 1.0), "does not vanish"),
        ((half, 0.5), "keeps the work"),
    ):
        said = repr(check("ex-ch10-amdahl", law, *answer))
        assert hint in said and f"{half:.0f}" not in said and f"{growing:.2f}" not in said


def test_bill():
    gpu, cores, peak = Assumed(3.0, 800), Assumed(0.2, 70), 1e15
    full = committed_result("training")["results"]["paper, full"]["ours"]
    ratio = 3 / 2
    as_dear = gpu.price / (peak / full["operations"]) * full["per_s"] / cores.price
    assert check("ex-ch10-bill", ratio, as_dear, gpu, cores, peak)
    for answer, hint in (
        (2 / 3, "wrong way round"),
        (0.5, "how many hours"),
        (3, "which price"),
        (1 / 6, "a third of"),
        (7.7, "Only two ratios"),
    ):
        said = repr(check("ex-ch10-bill", answer, as_dear, gpu, cores, peak))
        assert hint in said and "1.5" not in said
    energy = gpu.watts / cores.watts * full["per_s"] / (peak / full["operations"])
    for answer, hint in (
        (100 * as_dear, "share of the peak"),
        (8 * as_dear, "cancels"),
        (1 / as_dear, "above 1"),
        (as_dear * cores.price / gpu.price, "as fast"),
        (energy, "energy"),
        (0.77, "both share"),
    ):
        said = repr(check("ex-ch10-bill", ratio, answer, gpu, cores, peak))
        assert hint in said and f"{as_dear:.5f}" not in said
    assert math.isfinite(as_dear)
