"""The logic of benchmarks/gpu.py, on a CPU."""

import importlib
import json

import pytest
import torch

from astraclr.files import repository_file


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(repository_file("benchmarks")))
    return importlib.import_module("gpu")


def test_without_a_device_it_says_what_to_do(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no CUDA device here; --device cpu --quick"):
        gpu.main([])
    with pytest.raises(SystemExit, match="benchmarks/training.py measures one"):
        gpu.main(["--device", "cpu"])


def test_rows_on_a_cpu(gpu, monkeypatch, tmp_path):
    written = []
    write = gpu.write_results
    monkeypatch.setattr(gpu, "write_results", lambda path, table: written.append(path) or write(path, table))
    monkeypatch.setattr(gpu, "QUICK", [*gpu.QUICK, gpu.Way("bf16", "packed", False)])
    gpu.main(["--device", "cpu", "--quick", "--only", "gpu", "--revision", "abc", "--out", str(tmp_path / "gpu.json")])
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["made_with"]["device"] == "cpu" and result["made_with"]["revision"] == "abc"
    rows = result["results"]
    assert len(written) == len(rows) == 6
    full = rows["gpu, full, fp32, padded"]
    assert full["tokens_per_light_curve"] == pytest.approx(36 + 36 + 18, abs=12)  # the third view is half as long
    assert full["per_s"] == pytest.approx(full["batch"] / full["step_ms"] * 1e3)
    rate = result["matrix_tflops"]["bfloat16"] * 1e12
    assert full["utilisation"] == pytest.approx(full["operations_per_light_curve"] * full["per_s"] / rate)
    assert {"views", "matrix products", "attention", "everything else"} <= set(full["parts"]["ms"])
    assert "parts" not in rows["gpu, simulated, fp32, grouped"] and "peak_mb" not in full
    assert rows["gpu, full, bf16, packed"] == {"left_out": "this device or torch has no packed attention"}


def test_a_row_that_fails_or_comes_too_late_loses_no_other(gpu, monkeypatch, tmp_path):
    made = gpu.Step

    def full(size, kind, *rest):
        if kind == "full":
            raise torch.OutOfMemoryError("CUDA out of memory.\nlong advice")
        return made(size, kind, *rest)

    monkeypatch.setattr(gpu, "Step", full)
    words = ["--device", "cpu", "--quick", "--only", "laptop", "--out", str(tmp_path / "gpu.json")]
    gpu.main(words)
    rows = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert rows["laptop, full, fp32, padded"]["failed"] == "OutOfMemoryError: CUDA out of memory."
    assert rows["laptop, simulated, fp32, padded"]["per_s"] > 0
    gpu.main([*words, "--minutes", "-1"])
    late = json.loads((tmp_path / "gpu.json").read_text())["results"]
    assert {row["left_out"] for row in late.values()} == {"-1 minutes had passed"}


def test_every_preset_precision_and_form_is_planned(gpu):
    names = [name for name, *_ in gpu.plan(None, False)]
    assert len(names) == len(set(names))
    for model in ("laptop", "gpu", "paper"):
        for way in ("fp32, padded", "bf16, padded", "bf16, packed", "bf16, packed, compiled"):
            assert f"{model}, full, {way}" in names and f"{model}, simulated, {way}" in names


@pytest.mark.parametrize(
    "name, group",
    [
        ("void pytorch_flash::flash_bwd_dq_dk_dv_loop_seqk_parallel_kernel<cutlass::bfloat16_t>", "attention"),
        ("nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NNT", "matrix products"),
        ("triton_per_fused__to_copy_add_addmm_native_layer_norm_3", "fused by torch.compile"),
        ("void at::native::multi_tensor_apply_kernel<FusedAdamMathFunctor>", "optimiser and clipping"),
        ("void at::native::vectorized_elementwise_kernel<4, CUDAFunctor_add<float>>", "everything else"),
    ],
)
def test_kernels_are_grouped_by_name(gpu, name, group):
    assert gpu.group_of(name) == group


def test_memory_that_grows_with_the_batch_says_what_fits(gpu):
    step = gpu.Step(gpu.preset("tiny"), "full", 4, gpu.Way("fp32", "padded", False), torch.device("cpu"))
    fixed = 4 * sum(p.nbytes for p in step.encoder.parameters())
    assert gpu.fitting(step, fixed + 4 * 10**6, fixed + 10**9) == int((0.9 * (fixed + 10**9) - fixed) / 10**6)
