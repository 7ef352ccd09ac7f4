"""What the commands of the guides take: seconds, CPU seconds and peak memory, on simulated and on real stars, as JSON.

Usage: python benchmarks/tools.py [--stars 2000 --many 20000] [--real FOLDER] [--only WORD ...] [--out FILE]

Each command runs once, on one thread, in a process of its own, as a user types it; its imports count. `report`,
`discover` and `finetune` read simulated stars and, with --real, the file of each survey there; `export` writes every
contract of the shipped encoders and of the fine-tuned one, and `publish` a folder of that. For `finetune` labels of
fewer than ten real stars are emptied, as its own message asks. `discover` also ranks many stars. On a busy machine only
CPU seconds mean much. Some ten minutes; writes benchmarks/results/tools.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from _measure import significant, write_results

from astraclr.analysis.own_labels import LEAST
from astraclr.evaluate.surveys import SURVEYS
from astraclr.files import provenance, read_json
from astraclr.simulation.simulate import simulate

RESULTS = Path(__file__).parent / "results" / "tools.json"
SIMULATED, MANY = "simulated", "many"
SEED = 31
LIMIT = 3_600
"""Seconds that a command may take."""


class Run(NamedTuple):
    """One command of a guide: its stars, how many, and its words."""

    stars: str
    n: int
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """As a user types it."""
        return " ".join(("astraclr", *self.words))


def made_stars(name: str, n: int, folder: Path) -> int:
    """Write simulated stars as a file."""
    simulate(n, seed=SEED).save(folder / f"{name}.parquet")
    return n


def real_stars(survey: str, real: Path, folder: Path) -> int:
    """Copy the file of a survey, for `finetune` without labels that too few stars have; its number of stars."""
    table, column = pd.read_parquet(real / SURVEYS[survey].file), SURVEYS[survey].column
    table.to_parquet(folder / f"{survey}.parquet")
    labels = table[column].tolist()
    kept = [label if labels.count(label) >= LEAST else None for label in labels]
    table.assign(**{column: kept}).to_parquet(folder / f"{survey}_labelled.parquet")
    return len(table)


def of_stars(name: str, n: int, label: str = "label", bands: tuple[str, ...] = ()) -> Iterator[Run]:
    """The commands that read light curves, for one file."""
    labelled = name if name == SIMULATED else f"{name}_labelled"
    kind = "simulated" if name in (SIMULATED, MANY) else name
    if name != MANY:
        yield Run(kind, n, ("report", f"{name}.parquet", *bands, "--out", f"{name}.html"))
    yield Run(kind, n, ("discover", f"{name}.parquet", *bands, "--out", f"search_{name}"))
    if name != MANY:
        column = () if label == "label" else ("--label", label)
        yield Run(kind, n, ("finetune", f"{labelled}.parquet", *column, *bands, "--out", f"tuned_{name}"))


def of_encoders(tuned: str) -> Iterator[Run]:
    """The commands that read an encoder: every contract of the shipped ones and of a fine-tuned one."""
    for name, contract in (("tiny", "exchange"), ("tiny", "own"), ("laptop", "own"), (tuned, "own")):
        yield Run("", 0, ("export", name, f"{name}_{contract}.onnx", "--inputs", contract))
    yield Run("", 0, ("publish", tuned, "--out", "hub", "--licence", "MIT", "--dry-run"))


def all_runs(stars: int, many: int, real: Path | None, folder: Path) -> Iterator[Run]:
    """Every command; the input of each is written before it comes."""
    yield from of_stars(SIMULATED, made_stars(SIMULATED, stars, folder))
    yield from of_encoders(f"tuned_{SIMULATED}")
    if real is not None:
        for name, survey in SURVEYS.items():
            own = name != "ztf"
            bands = tuple(w for b, at in survey.bands.items() for w in ("--band", f"{b}={at:g}")) if own else ()
            yield from of_stars(name, real_stars(name, real, folder), survey.column, bands)
    yield from of_stars(MANY, made_stars(MANY, many, folder))


STEP = """
import json, resource, sys
from _measure import peak_mb
from astraclr.cli import main
out = sys.argv.pop(1)
try:
    main()
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    row = {"cpu_seconds": sum(u.ru_utime + u.ru_stime for u in used), "peak_mb": peak_mb()}
    open(out, "w").write(json.dumps(row))
"""
"""Runs one command with nothing else imported, and writes what it took."""


def measured(run: Run, folder: Path) -> dict[str, Any]:
    """One row: the command, its stars, and what it took.

    Raises
    ------
    RuntimeError
        If the command fails, with the end of what it said.
    """
    out = folder / "took.json"
    began = time.perf_counter()
    command, here = [sys.executable, "-c", STEP, str(out), *run.words], Path(__file__).resolve().parent
    paths = os.pathsep.join(filter(None, [str(here.parent), str(here), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "PYTHONPATH": paths}
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{run.command} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    took = significant(read_json(out) | {"seconds": seconds}, 3)
    return {"command": run.command, "stars": run.stars, "n": run.n} | took


def processor() -> str:
    """Name of the processor, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def result_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the file holds."""
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
    return {"benchmark": "tools", "made_with": provenance(), "machine": machine, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=2_000, help="simulated stars (default %(default)s)")
    parser.add_argument("--many", type=int, default=20_000, help="stars that discover ranks too (default %(default)s)")
    parser.add_argument("--real", type=Path, metavar="FOLDER", help="holds the files of SURVEYS")
    parser.add_argument("--out", type=Path, default=RESULTS, help="JSON file to write (default %(default)s)")
    given = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder, rows = Path(temporary), []
        for run in all_runs(given.stars, given.many, given.real, folder):
            rows.append(measured(run, folder))
            print(json.dumps(rows[-1]), flush=True)
            write_results(given.out, result_of(rows))  # a stop leaves the rows so far


if __name__ == "__main__":
    main()
