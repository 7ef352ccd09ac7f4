"""The device that a process computes on."""

from __future__ import annotations

import os

import torch


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
