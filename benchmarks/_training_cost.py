"""Time and estimated energy of a training, as the benchmarks and the cards of encoders state them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from astraclr.model.checkpoint import Checkpoint
from astraclr.model.device import own_device
from astraclr.train.run_state import LOG
from astraclr.tutorial.cost import Assumed, cost
from astraclr.tutorial.experiments import COST

WATTS = {"cpu": 30.0, "cuda": 1_000.0}
"""Assumed power of one busy core, and of one GPU under load, each with its share of host and cooling."""


def spending(cpu_seconds: float, seconds: float, seen: float, device: str) -> dict[str, Any]:
    """Time of a training, and its estimated energy: from wall-clock seconds on a GPU, from CPU seconds on a CPU."""
    counted = seconds if device == "cuda" else cpu_seconds
    energy = cost(seen, seen / counted, Assumed(0.0, WATTS[device]))["kwh"]
    return {
        "cpu_seconds": round(cpu_seconds, 1),
        "seconds": round(seconds, 1),
        "stars_seen": int(seen),
        "device": device,
        "kwh_estimate": float(f"{energy:.3g}"),
    }


def cost_of(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """Cost of a training that `tutorial.experiments.trained` keeps in a folder."""
    steps, file = len(checkpoint.history), folder / COST
    seconds = json.loads((folder / LOG).read_text().splitlines()[-1])["seconds"]
    cpu = json.loads(file.read_text())["cpu_seconds"] if file.exists() else seconds
    return spending(cpu, seconds, steps * checkpoint.preset.batch_size, own_device()) | {"steps": steps}
