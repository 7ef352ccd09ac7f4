import numpy as np
import pytest

from astraclr.tutorial.rates import (
    BFLOAT16_TARGET,
    COLUMNS,
    SHARE_OF_LIMIT,
    best_on_gpu,
    measured,
    rates,
    recorded,
)

GPU = {
    "matrix_tflops": {"bfloat16": 500.0},
    "results": {
        "paper, full, bf16, packed, compiled": {
            "per_s": 2_000.0,
            "operations_per_light_curve": 1e11,
            "utilisation": 0.41,
        },
        "paper, full, bf16, padded, compiled": {
            "per_s": 1_000.0,
            "operations_per_light_curve": 1e11,
            "utilisation": 0.2,
        },
        "paper, simulated, bf16, packed": {"failed": "out of memory"},
        "gpu, full, fp32, padded": {"per_s": 7.0, "operations_per_light_curve": 1e10, "utilisation": 0.1},
    },
}


def test_the_committed_results_make_a_table_and_every_training_target_is_in_it():
    found = measured()
    table = rates(found)
    assert list(table.columns) == COLUMNS and table.index.is_unique and np.all(table["ours"].notna())
    for name, r in found["training"]["results"].items():
        row = table.loc[f"training step: {name}, light curves/s"]
        assert row["ours"] == r["ours"]["per_s"] and row["x baseline"] == r["ratio"]
        if "bfloat16" in name:
            plain = found["training"]["results"][name.removesuffix(", bfloat16")]["ours"]["per_s"]
            assert row["target"] == pytest.approx(BFLOAT16_TARGET * plain)
        else:
            assert row["target"] == pytest.approx(SHARE_OF_LIMIT * r["floor_per_s"])
        assert row["met"] == ("met" if row["ours"] >= row["target"] else "missed")
    memory = table.loc["training step: paper, full, MB"]
    assert memory["target"] == pytest.approx(5_660 / 3)
    assert memory["met"] == ("met" if memory["ours"] <= 5_660 / 3 else "missed")


def test_what_other_machines_reached_is_never_set_against_this_run():
    found = measured()
    assert "reference" not in rates(found).columns
    assert "reference" not in str(found["training"])
    table = recorded(found)
    assert set(table["processor"]) == set(found["reference"]["training"])
    beside = table[table["ours, same run"] != ""]
    assert set(beside["processor"]) == {"one thread with AVX-512 and AMX"}
    row = table[table["what"] == "training step: paper, full, float32, 1 thread, light curves/s"]
    assert list(row["reference"]) == ["0.425"] and list(row["ours, same run"]) == ["0.55"]


def test_a_benchmark_that_never_ran_has_no_rows():
    found = measured()
    without = rates({k: v for k, v in found.items() if k != "views"})
    assert len(rates(found)) - len(without) == 2 and not without.index.str.startswith("views").any()
    assert rates({}).empty and recorded({}).empty


def test_of_a_gpu_the_fastest_way_stands_beside_the_same_one_padded():
    table = rates({"gpu": GPU})
    row = table.loc["GPU: paper, full, bf16, packed, compiled, light curves/s"]
    assert (row["ours"], row["x baseline"], row["floor"]) == (2_000, 2, 5_000)
    share = table.loc["GPU: paper, full, bf16, packed, compiled, share of its matrix rate"]
    assert (share["ours"], share["target"], share["met"]) == (0.41, 0.4, "met")
    assert len(table) == 4, "what failed has no row"
    assert table.loc["GPU: gpu, full, fp32, padded, share of its matrix rate", "met"] not in ("met", "missed")


def test_the_fastest_way_is_none_where_all_failed():
    assert best_on_gpu(GPU, "paper, simulated") is None
    best = best_on_gpu(GPU, "paper, full")
    assert best is not None and best["name"] == "paper, full, bf16, packed, compiled"
