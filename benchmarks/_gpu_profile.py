"""Measurements on a CUDA device: time when its work is done, power, and time of kernels by group."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch.profiler import ProfilerActivity, profile

GROUPS = {
    "fused by torch.compile": r"^triton_(poi|per|red)",
    "attention": r"flash|fmha|attention|attn",
    "matrix products": r"gemm|nvjet|cutlass|addmm|::mm|bmm|matmul|cublas",
    "optimiser and clipping": r"multi_tensor|adam|foreach",
}
"""Kernels by name, the first that matches; everything else is sums, drop-out, normalisations, casts and copies."""


def synchronised(device: torch.device) -> float:
    """Seconds, once the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def power(device: torch.device) -> Iterator[list[float]]:
    """Watts, sampled five times per second by nvidia-smi; empty where it does not answer."""
    watts: list[float] = []
    sampler = None
    if device.type == "cuda":
        card = getattr(torch.cuda.get_device_properties(device), "uuid", None)
        command = [
            "nvidia-smi",
            "-i",
            f"GPU-{card}" if card else "0",
            "--query-gpu=power.draw",
            "--format=csv,noheader,nounits",
            "-lms",
            "200",
        ]
        with suppress(OSError):
            sampler = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield watts
    finally:
        if sampler is not None:
            sampler.terminate()
            for line in sampler.communicate()[0].splitlines():
                with suppress(ValueError):
                    watts.append(float(line))


def group_of(kernel: str) -> str:
    """The group of a kernel's name."""
    return next((group for group, words in GROUPS.items() if re.search(words, kernel, re.I)), "everything else")


class Times(Counter[str]):
    """ms by kernel, and how many ran."""

    calls: int = 0


def kernels(work: Callable[[], object], device: torch.device) -> Times:
    """ms on the device by kernel; of operations, on a CPU."""
    cuda = device.type == "cuda"
    synchronised(device)
    both = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with profile(activities=both if cuda else both[:1]) as seen:
        work()
        synchronised(device)
    times = Times()
    for e in seen.key_averages():
        if (e.device_type.name == "CUDA") == cuda and not e.is_user_annotation:
            times[e.key] += (e.self_device_time_total if cuda else e.self_cpu_time_total) / 1e3
            times.calls += e.count
    return times
