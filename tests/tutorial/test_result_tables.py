"""Tables of results as pages show them: rows in words, ranges over seeds, what was not measured."""

import pytest

from astraclr.tutorial.result_tables import (
    beside,
    decided,
    gains_table,
    measured_table,
    other_stars_table,
    paired_table,
    row_name,
    survey_scores,
    survey_table,
)
from astraclr.tutorial.results import Found

SPACE = "\u00a0"  # at which no line breaks


def scores(f1: float) -> dict[str, float]:
    return {"macro_f1": f1, "macro_f1_low": f1 - 0.1, "macro_f1_high": f1 + 0.1}


@pytest.mark.parametrize(
    "row, name",
    [
        ("recommended", "recommended"),
        ("recommended@2600-supervised", "recommended, trained with labels"),
        ("paper@3100", "paper's recipe"),
        ("paper@800-random", "paper's recipe, random weights"),
        ("paper-two-views-random", "paper-two-views, random weights"),
        ("features-windows-period", "features of the windows, with periods"),
        ("contrastive-random", "contrastive, random weights"),
        ("majority", "most frequent class"),
    ],
)
def test_rows_are_named_in_words(row, name):
    assert row_name(row) == name


def test_a_mean_stands_with_the_range_of_its_seeds():
    part = {"trained": {"event": {"0.01": {"mean": 0.5, "seeds": [0.4, 0.6, 0.5]}}}}
    table = measured_table(part, {"top 1%": ["event", "0.01"]})
    assert table.loc["trained", "top 1%"] == f"0.50 (0.40{SPACE}to{SPACE}0.60)"


@pytest.mark.parametrize(
    "one, other, said",
    [([0.8, 0.82], [0.5, 0.52], "above"), ([0.5, 0.52], [0.8, 0.82], "below"), ([0.4, 0.8], [0.5, 0.6], "level")],
)
def test_rows_are_compared_within_the_spread_of_seeds(one, other, said):
    part = {"trained": {"r2": {"seeds": one}}, "features": {"r2": {"seeds": other}}}
    assert beside(part, "trained", "features", ["r2"]) == said


def test_real_stars_without_some_scores():
    rows = {
        "recommended": {"seeds": {"0": {"real": {"ztf": {"shifted": {"linear_probe": scores(0.8)}}}}}},
        "majority": {"seeds": {"0": {"real": {"eros": {"shifted": {"majority": scores(0.2)}}}}}},
        "paper@9": {"seeds": {"1": {}}},
    }
    table = survey_table(rows)
    assert table.loc["recommended"].tolist() == [f"0.80 (0.70{SPACE}to{SPACE}0.90)", ""]
    assert (
        table.loc["most frequent class", "EROS"] == f"0.20 (0.10{SPACE}to{SPACE}0.30)"
        and "paper's recipe" not in table.index
    )
    assert survey_scores(rows, "stripe82") == {} and survey_table({}).empty


def test_paired_differences_are_decided_by_their_intervals():
    gain = {"random weights, seed 2": {"linear_probe": scores(0.3)}, "features": {"linear_probe": scores(-0.3)}}
    surveys = {"eros": {"best_random": "random weights, seed 2", "gain": gain}}
    assert (decided(surveys, 1), decided(surveys, -1)) == ("EROS (random weights)", "EROS (features)")
    assert paired_table(surveys).loc["features", "EROS"] == f"-0.300 (-0.400{SPACE}to{SPACE}-0.200)"
    assert decided({}, 1) == "nowhere"


def test_gains_are_level_within_two_errors():
    found = {name: Found(mean, 0.0, 2) for name, mean in (("far", 0.5), ("near", 0.69), ("same", 0.70004))}
    table = gains_table(Found(0.7, 0.0, 2), found, n_test=1_000)
    assert table["it is"].tolist() == ["above", "level", "level"]
    assert table["points"].tolist() == ["+20.0", "+1.0", "+0.0"], "no minus before a zero"


def test_other_stars_stand_beside_the_test_stars():
    def bench(**rows: float) -> dict:
        return {
            "rows": {
                name.replace("_", "-"): {"seeds": {"0": {"linear_probe": {"accuracy": a}}}} for name, a in rows.items()
            }
        }

    results = {
        "representation-laptop": bench(recommended=0.76),
        "representation-laptop-draw1": bench(laptop=0.75, recommended_random=0.65, paper_random=0.66),
    }
    probe = other_stars_table(results).loc["linear probe, accuracy"]
    assert probe.tolist() == ["0.760", "0.750", "0.660", "not measured yet"]
