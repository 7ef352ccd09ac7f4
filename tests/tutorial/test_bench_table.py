"""The table of the bench, from results written by hand and from those of the benchmark's own code."""

import numpy as np
import pytest

from astraclr.tutorial.bench_table import bench_table


def scores(accuracy: float, **more: object) -> dict[str, object]:
    return {
        "accuracy": accuracy,
        "accuracy_low": accuracy - 0.1,
        "accuracy_high": accuracy + 0.1,
        "macro_f1": accuracy,
        "macro_f1_low": 0.0,
        "macro_f1_high": 1.0,
        "n": 4,
        **more,
    }


MEANS = {"accuracy": {"mean": 0.5, "sd": None}}
RESULT = {
    "rows": {
        "majority": {"over_seeds": {"majority": MEANS, "n": 1}, "seeds": {"0": {"majority": scores(0.1)}}},
        "recommended": {
            "over_seeds": {"linear_probe": MEANS, "few_labels 20": MEANS, "n": 2},
            "seeds": {
                "0": {
                    "width": 8,
                    "linear_probe": scores(0.6, calibration_error=0.1, natural={"accuracy": 0.7}),
                    "few_labels": {"20": scores(0.4)},
                },
                "1": {
                    "width": 8,
                    "linear_probe": scores(0.8, calibration_error=0.3, natural={"accuracy": 0.9}),
                    "few_labels": {"20": scores(0.5)},
                },
            },
        },
    }
}


def test_one_line_for_each_row_and_classifier():
    table = bench_table(RESULT)
    assert list(table.index) == [
        ("majority", "majority"),
        ("recommended", "linear_probe"),
        ("recommended", "few_labels 20"),
    ]
    assert list(table["seeds"]) == [1, 2, 2]


def test_means_spread_and_the_span_of_intervals():
    line = bench_table(RESULT).loc[("recommended", "linear_probe")]
    assert line["accuracy"] == pytest.approx(0.7) and line["accuracy_sd"] == pytest.approx(np.sqrt(0.02))
    assert (line["accuracy_low"], line["accuracy_high"]) == pytest.approx((0.5, 0.9))
    assert line["calibration_error"] == pytest.approx(0.2) and line["natural"] == pytest.approx(0.8)


def test_what_one_seed_or_a_classifier_lacks_is_missing():
    line = bench_table(RESULT).loc[("majority", "majority")]
    assert line["accuracy"] == 0.1 and np.isnan(line[["accuracy_sd", "calibration_error", "natural"]]).all()


@pytest.mark.parametrize("empty", [{}, {"rows": {}}])
def test_no_rows_say_how_to_make_them(empty):
    with pytest.raises(ValueError, match=r"benchmarks/representation\.py"):
        bench_table(empty)
