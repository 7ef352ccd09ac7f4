"""The device that a process computes on, and the precision of its matrix products."""

from __future__ import annotations

import os
import platform
from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
"""Of an encoder's matrix products; "auto": bfloat16 on a GPU that multiplies it in hardware, else float32."""


def own_device() -> str:
    """Name of the fastest device of this process: "cpu", "cuda", or with ``torchrun`` a GPU for each process.

    Examples
    --------
    >>> torch.device(own_device()).type in ("cpu", "cuda")
    True
    """
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"


def multiplies_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies bfloat16 matrices in hardware: a GPU, a CPU with AMX or AVX-512, or an Arm CPU.

    Elsewhere bfloat16 is emulated, up to a hundred times slower than float32.

    Examples
    --------
    >>> multiplies_bfloat16("cpu") in (True, False)
    True
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.device(device).type != "cpu":
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return torch.ops.mkldnn._is_mkldnn_bf16_supported()
    capable = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capable.get("amx_bf16") or capable.get("avx512_bf16"))


def uses_bfloat16(precision: Precision, device: torch.device | str) -> bool:
    """Whether an encoder computes in bfloat16 on a device.

    Raises
    ------
    ValueError
        For another precision, or for bfloat16 on a device that would emulate it.

    Examples
    --------
    >>> uses_bfloat16("auto", "cpu")
    False
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"precision {precision!r}: choose auto, float32 or bfloat16")
    if precision == "auto":
        return torch.device(device).type == "cuda" and multiplies_bfloat16(device)
    if precision == "bfloat16" and not multiplies_bfloat16(device):
        raise ValueError(
            f"precision bfloat16: the {torch.device(device).type} of this machine would emulate it, up to a hundred "
            "times slower than float32; choose float32"
        )
    return precision == "bfloat16"


def matrix_products(device: torch.device | str, bfloat16: bool) -> AbstractContextManager:
    """A block in which matrix products are in bfloat16, or as they are. Weights, losses and sums stay in float32.

    Examples
    --------
    >>> with matrix_products("cpu", bfloat16=False):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bfloat16)
