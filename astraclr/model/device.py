"""The device that a process computes on."""

from __future__ import annotations

import os

import torch


def own_device() -> str:
    """The device of this process: a GPU of its own on its machine where there is one."""
    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{os.environ['LOCAL_RANK']}" if "LOCAL_RANK" in os.environ else "cuda"
