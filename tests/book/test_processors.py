"""Emulated processors: each setting limits what is used, and trains for itself."""

import os
import subprocess
import sys

import processors
import pytest

CAPABILITY = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"


@pytest.mark.parametrize("setting", processors.SETTINGS)
def test_a_setting_limits_what_torch_uses(setting):
    if setting not in processors.available():
        pytest.skip(f"this processor has no {setting}")
    env = processors.environment(setting)
    done = subprocess.run([sys.executable, "-c", CAPABILITY], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == setting


def test_every_processor_runs_the_first_setting():
    there = processors.available()
    assert there == list(processors.SETTINGS)[: len(there)] and there


def test_settings_check_words_train_apart_and_forget_what_the_reader_has_set(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", "X86_V4")
    found = {name: processors.environment(name) for name in processors.SETTINGS}
    assert {env["CI"] for env in found.values()} == {"1"}
    assert len({env["ASTRACLR_CACHE"] for env in found.values()}) == len(found)
    assert found["avx512"]["OPENBLAS_CORETYPE"] == "SkylakeX" and "NPY_DISABLE_CPU_FEATURES" not in found["avx512"]
    assert os.environ["OPENBLAS_CORETYPE"] == "Prescott"
