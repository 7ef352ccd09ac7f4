"""What a command of the build took, told by the system or, as on Windows, seen from outside."""

import sys

import processes
import pytest

CODE = """import time
kept, start = bytearray(80_000_000), time.process_time()
while time.process_time() < start + 0.5:
    pass"""


@pytest.mark.parametrize("watched", [False, True])
def test_time_memory_and_status_are_measured(watched, tmp_path, monkeypatch):
    if watched:
        monkeypatch.delattr(processes.os, "wait4")
        monkeypatch.setattr(processes, "POLL_S", 0.05)
    status, took = processes.measured([sys.executable, "-c", CODE], tmp_path / "log", tmp_path)
    assert status == 0 and took["peak_mb"] > 70 and took["cpu_s"] >= 0.3 and took["wall_s"] >= 0.5
    status, _ = processes.measured([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log", tmp_path)
    assert status == 3 and not processes._RUNNING
