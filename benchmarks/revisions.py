"""Is anything slower than it was? Two revisions, measured side by side in alternation: reading, shards, views, a step.

Usage: python benchmarks/revisions.py OTHER [--rounds 12] [--only views step] [--out FILE]

    git worktree add ../before REVISION
    python benchmarks/revisions.py ../before

OTHER is the folder of another revision's checkout, this clone is the other side; both run with this environment. Each
side is one process, on one thread, that does the same works on the same synthetic stars. In a round every work is done
once by each side, the order swapped from round to round, so that other programs disturb both alike. Printed is the time
of this clone over that of the other: the median over rounds of the ratio of CPU seconds in a round, its quartiles, and
the ratio of the least times. Above 1.05 with its lower quartile above 1 is slower by more than 5 %. Writes
benchmarks/results/revisions.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _measure import processor, significant, write_results

from astraclr.files import provenance, revision

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "revisions.json"
WORKS = ("read", "prepare", "views", "write shards", "read shards", "embed", "step")
TOLERANCE = 1.05
"""Time over that of the other revision, above which this clone is slower."""


class Side:
    """A process that does works when it is asked to, with the code of a checkout."""

    def __init__(self, checkout: Path, file: Path) -> None:
        threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        env = os.environ | dict.fromkeys(threads, "1") | {"PYTHONPATH": str(checkout)}
        command = [sys.executable, str(Path(__file__).with_name("_revision_works.py")), str(file)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=env, cwd=checkout, stdin=pipe, stdout=pipe, text=True)

    def seconds(self, work: str) -> float:
        """CPU seconds of a work."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(work, file=self.process.stdin, flush=True)
        if not (answer := self.process.stdout.readline()):
            raise SystemExit(f"{self.process.args}: ended at {work!r}; what it printed says why")
        return json.loads(answer)


def stars_file(path: Path) -> None:
    """Write 500 synthetic stars of 600 observations in three bands as a tidy table, a row for each observation."""
    rng, n = np.random.default_rng(0), 500 * 600
    table = {
        "object_id": np.repeat(np.arange(500), 600).astype(str),
        "band": np.tile(np.repeat(list("gri"), (250, 280, 70)), 500),
        "mjd": 58_200 + rng.uniform(0, 1_700, n),
        "mag": 15 + rng.normal(0, 0.3, n),
        "magerr": np.full(n, 0.05),
    }
    pd.DataFrame(table).to_parquet(path)


def compared(here: list[float], there: list[float]) -> dict[str, Any]:
    """Ratio of the times of this clone and the other, and whether it is slower."""
    ratios = np.array(here) / np.array(there)
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return {
        "ratio": round(float(median), 3),
        "quartiles": [round(float(low), 3), round(float(high), 3)],
        "ratio_of_least": round(min(here) / min(there), 3),
        "least_cpu_s": significant([min(here), min(there)]),
        "slower": bool(median > TOLERANCE and low > 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="checkout of another revision")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if not (given.other / "astraclr" / "__init__.py").exists():
        raise SystemExit(f"{given.other}: no checkout of the project; make one by `git worktree add FOLDER REVISION`")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stars.parquet"
        stars_file(file)
        sides = [Side(ROOT, file), Side(given.other.resolve(), file)]
        times: dict[str, tuple[list[float], list[float]]] = {work: ([], []) for work in given.only}
        for number in range(given.rounds + 1):
            for work, found in times.items():
                for k in (0, 1) if number % 2 else (1, 0):
                    found[k].append(sides[k].seconds(work))
        for side in sides:
            side.process.communicate()
    rows = {work: compared(here[1:], there[1:]) for work, (here, there) in times.items()}  # the first round warms up
    for work, row in rows.items():
        low, high = row["quartiles"]
        print(f"{work}: {row['ratio']:.3f} ({low:.3f} to {high:.3f}){', SLOWER' if row['slower'] else ''}")
    head = {"benchmark": "revisions", "made_with": provenance(), "processor": processor(), "rounds": given.rounds}
    head["made_with"]["command"] = head["made_with"]["command"].replace(str(given.other), "OTHER")
    other = {"other": revision(given.other.resolve(), "astraclr"), "tolerance": TOLERANCE}
    write_results(given.out, head | other | {"results": rows})


if __name__ == "__main__":
    main()
