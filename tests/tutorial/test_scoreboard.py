from typing import Any

import pandas as pd
import pytest

from astraclr.tutorial.results import FILES, NONE, UNKNOWN, others
from astraclr.tutorial.scoreboard import BEST_RANDOM, CLAIMS, CONTROLS, FEATURES, NOTES, OWN_RANDOM, claims
from astraclr.tutorial.targets import verdicts

EMPTY = {name: {} for name in FILES}


def scores(accuracy: float) -> dict:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.01,
        "accuracy_high": accuracy + 0.01,
        "macro_f1": accuracy - 0.005,
        "macro_f1_low": accuracy - 0.02,
        "macro_f1_high": accuracy + 0.02,
    }


def bench_row(*accuracies: float, reader: str = "linear_probe") -> dict:
    """A made-up row of benchmarks/representation.py, one accuracy a seed."""
    seeds = {
        str(k): {
            reader: scores(a),
            "knn": scores(a - 0.05),
            "few_labels": {"20": scores(a - 0.2)},
            "real": {"ztf": {"shifted": {reader: scores(a)}}},
        }
        for k, a in enumerate(accuracies)
    }
    return {"fingerprint": None, "seeds": seeds}


@pytest.fixture
def results() -> dict:
    """Made-up files: the recommended row has three seeds, the paper's two."""
    rows = {
        "recommended": bench_row(0.7, 0.72, 0.74),
        "recommended-random": bench_row(0.6),
        "paper": bench_row(0.3),
        "paper@77": bench_row(0.5, 0.52),
        "paper@77-random": bench_row(0.62),
        "features": bench_row(0.71),
        "majority": bench_row(0.08, reader="majority"),
    }
    ways = [
        {"way": way, "accuracy": a, "macro_f1": a, "n_fit": 12 * n, "seed": seed, "n_test": 900}
        for way, a in (("linear probe", 0.60), ("last 2 layers", 0.66), ("from scratch", 0.4))
        for n in (20, 67)
        for seed in range(2)
    ]
    windows = [
        {"windows": n, "pooling": kind, "accuracy": 0.5 + 0.05 * n, "seed": 0}
        for n in (1, 2, 3)
        for kind in ("mean", "concat")
    ]
    many = [
        {"way": way, "accuracy": a + n / 1e6, "n_fit": n, "above_probe": 0.0, "n_test": 900}
        for way, a in (("linear probe", 0.75), ("last layers", 0.77), ("whole encoder", 0.8), ("from scratch", 0.7))
        for n in (1_000, 10_000)
    ]
    made = {"command": "python parity", "revision": "0"}
    return EMPTY | {
        "representation-laptop": {"rows": rows},
        "representation-laptop-draw1": {"rows": {"laptop": bench_row(0.69), "recommended-random": bench_row(0.59)}},
        "few_labels": {"checkpoint": "laptop-recommended-0-abcdef01", "seeds": {"few": ways, "windows": windows}},
        "many_labels": {"checkpoint": "laptop-recommended-0-abcdef01", "rows": many},
        "parity": {"made_with": made, "results": [{"largest_difference": 1.0, "tolerance": t} for t in (0.5, 2.0)]},
        "differences": {
            "made_with": made,
            "preset": "tiny",
            "steps": 3,
            "seeds": 2,
            "results": {r: {"probe": [0.2, 0.3], "random": [0.1, 0.2]} for r in ("paper", "corrected")},
        },
    }


def row(table: pd.DataFrame, start: str) -> dict[str, Any]:
    (found,) = [r for r in table.to_dict("records") if next(iter(r.values())).startswith(start)]
    return {str(column): value for column, value in found.items()}


def test_without_any_file_every_score_is_not_measured_yet():
    table = claims(EMPTY)
    assert set(table.columns) == {*CLAIMS, *CONTROLS, *FEATURES, *NOTES}
    assert max(map(len, (CLAIMS, CONTROLS, FEATURES, NOTES))) <= 6, "a wider table does not fit the page"
    assert set(table["recommended here"]) <= {UNKNOWN, "does not apply"}
    assert set(table["paper's recipe here"]) == {UNKNOWN}
    assert set(verdicts(EMPTY)["verdict"]) == {UNKNOWN}
    assert NONE not in table["not comparable because"].tolist()


def test_scores_stand_in_their_columns(results):
    probe = row(claims(results), "linear probe, C chosen")
    assert probe["recommended here"] == "0.720 ± 0.020" and probe["seeds"] == "3"
    assert probe["interval"] == "0.690 to 0.750"
    assert probe["paper's recipe here"].startswith("0.510"), "the row of equal cost goes before the longer one"
    assert probe[BEST_RANDOM] == "0.620", "the best random encoder of the table, not our own"
    assert (probe["features"], probe["most frequent class"]) == ("0.710", "0.080")
    assert probe[OWN_RANDOM] == "0.620", "the paper's recipe stands beside its own random weights"
    assert probe["with periods"] == probe["trained with labels"] == UNKNOWN
    rows = results["representation-laptop"]["rows"]
    for name, accuracy in (("recommended@9-supervised", 0.64), ("recommended-supervised", 0.66)):
        rows[name] = bench_row(accuracy)
        rows[name]["seeds"]["0"]["head"] = scores(accuracy - 0.02)
        learnt = row(claims(results), "linear probe, C chosen")["trained with labels"]
        assert learnt == f"{accuracy:.3f} (its own head: {accuracy - 0.02:.3f})"
    assert row(claims(results), "weighted k-NN")["recommended here"].startswith("0.670")
    again = row(claims(results), "linear probe on new stars")
    assert (again["recommended here"], again[BEST_RANDOM], again["seeds"]) == ("0.690", "0.590", "1")
    few = row(claims(results), "linear probe with 20")
    assert few["recommended here"].startswith("0.515") and few["interval"] == "0.480 to 0.560"
    assert row(claims(results), "frozen encoder on real stars, RR,")["recommended here"].startswith("0.720")


def test_cost_is_that_of_one_training(results):
    seeds = results["representation-laptop"]["rows"]["recommended"]["seeds"]
    assert row(claims(results), "weighted k-NN")["cost"] == NONE
    for seed, cpu in zip(seeds.values(), (540.0, 600.0, 660.0), strict=True):
        seed["training"] = {"cpu_seconds": cpu, "kwh_estimate": cpu / 1e5}
    assert row(claims(results), "weighted k-NN")["cost"] == "10 CPU minutes a training, some 6 Wh"


def test_few_labels_and_windows(results):
    tuned = row(claims(results), "last layers fine-tuned")
    assert "804 labels" in tuned["claim"] and tuned["recommended here"].startswith("0.660 ± 0.000 (its probe: 0.600")
    assert tuned["interval"] == "0.629 to 0.691" and tuned["trained with labels"].startswith("0.400")
    many = row(claims(results), "encoder fine-tuned")
    assert "10,000 labels" in many["claim"] and many["trained with labels"] == "0.710"
    assert many["recommended here"] == "0.810 (its last layers alone: 0.780; its probe: 0.760)"
    fused = row(claims(results), "late fusion")
    assert fused["recommended here"] == "mean 0.650; concat 0.650; one window 0.550" and fused["interval"] == NONE


def test_results_of_another_checkpoint_are_not_ours(results):
    for name in ("tiny-recommended-0-abcdef01", "laptop-paper-0-abcdef01"):
        results["few_labels"] = results["few_labels"] | {"checkpoint": name}
        assert row(claims(results), "last layers fine-tuned")["recommended here"] == UNKNOWN
        assert row(claims(results), "late fusion")["recommended here"] == UNKNOWN


def test_targets_are_met_or_missed(results):
    verdict = {r["target"]: (r["found"], r["verdict"]) for _, r in verdicts(results).iterrows()}
    assert verdict["linear probe above random weights"] == ("+10.0 points", "met")
    assert verdict["linear probe above the paper's recipe at equal CPU time"] == ("+21.0 points", "met")
    assert verdict["macro-F1 with 20 labels a class above features without periods"] == ("+1.0 points", "met")
    assert verdict["fine-tuning with few labels above the linear probe"] == ("+6.0 points", "met")
    assert verdict["preset gpu: linear probe above features with periods"] == (UNKNOWN, UNKNOWN)
    results["representation-laptop"]["rows"]["recommended"] = bench_row(0.6)
    assert row(verdicts(results), "linear probe above random")["verdict"] == "missed"


def test_pieces_and_switches(results):
    table = claims(results)
    assert row(table, "parity")["paper's recipe here"] == "1 of 2 stages"
    assert row(table, "the paper's recipe against")["paper's recipe here"] == "0.250 ± 0.071"


def test_every_number_of_others_says_why_it_does_not_compare():
    table = others()
    assert (table != "").all(axis=None) and not table.duplicated().any()
