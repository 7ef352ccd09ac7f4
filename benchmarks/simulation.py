"""Light curves simulated in one CPU second, as one JSON line: ``python benchmarks/simulation.py``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time

import numpy as np

from astraclr.simulation.simulate import simulate


def main() -> None:
    """Measure after one small run, which makes the fields and warms the caches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="light curves (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    simulate(12, seed=given.seed)
    wall, cpu = time.perf_counter(), time.process_time()
    lc = simulate(given.n, seed=given.seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        json.dumps(
            {
                "benchmark": "simulation",
                "light_curves": len(lc),
                "epochs_per_light_curve": round(lc.n_obs / len(lc), 1),
                "light_curves_per_cpu_second": round(given.n / cpu),
                "epochs_per_cpu_second": round(lc.n_obs / cpu),
                "cpu_seconds": round(cpu, 3),
                "wall_seconds": round(wall, 3),
                "cores": os.cpu_count(),
                "machine": platform.machine(),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
