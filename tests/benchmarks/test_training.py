"""The training benchmark: ratios are of one run, and bfloat16 is measured only where the processor multiplies it."""

import json
import sys

import pytest
import training

ROWS = {"padded": (2.0, 100.0), "ours": (3.0, 60.0)}


@pytest.fixture
def written(tmp_path, monkeypatch):
    """What the benchmark writes, with measurements that are given; as a function of whether bfloat16 is multiplied."""

    def one(*words):
        model, kind, way = words[-3:]
        rate, mb = ROWS[way]
        faster = 2 if kind.endswith(training.HALF) else 1
        return {"per_s": rate * faster, "per_cpu_s": rate, "peak_mb": mb, "operations": 10.0}

    monkeypatch.setattr(training, "in_own_process", one)
    monkeypatch.setattr(training, "matrix_rate", lambda threads, dtype=None: 40.0)

    def run(half):
        monkeypatch.setattr(training, "multiplies_bfloat16", lambda device: half)
        monkeypatch.setattr(sys, "argv", ["training.py", "--threads", "1", "--out", str(tmp_path / "out.json")])
        training.main()
        return json.loads((tmp_path / "out.json").read_text())

    return run


def test_ratios_are_to_the_baseline_the_limit_and_float32_of_the_same_run(written, capsys):
    found = written(half=True)
    row = found["results"]["paper, full"]
    assert (row["ratio"], row["ratio_memory"], row["of_floor"]) == (1.5, 0.6, 0.75)
    assert found["results"]["paper, full, bfloat16"]["of_float32"] == 2
    assert (
        "paper, full, bfloat16: 1.50 times the padded baseline, 150% of the limit, 2.00 times"
        in capsys.readouterr().out
    )


def test_without_the_hardware_nothing_is_measured_in_bfloat16_and_nothing_recorded_elsewhere_is_told(written, capsys):
    found = written(half=False)
    assert list(found["results"]) == [f"{m}, {k}" for m in ("small", "paper") for k in ("full", "simulated")]
    assert found["processor"] and "reference" not in str(found) + capsys.readouterr().out
