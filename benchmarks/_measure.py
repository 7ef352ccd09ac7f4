"""What the benchmarks share: files of results, rounding, peak memory, and steps in processes of their own."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astraclr.files import replacing


@contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Read and write files of a folder while no other process does so under this lock; Windows has none."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def write_results(path: Path, table: dict[str, Any]) -> None:
    """Write a table of results as JSON; the file appears whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(table, indent=1) + "\n")


def decimals(value: Any, places: int = 4) -> Any:
    """Round all numbers of a tree to four decimals; those below 0.001, such as energies, keep all digits."""
    if isinstance(value, dict):
        return {str(k): decimals(v, places) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [decimals(v, places) for v in value]
    if isinstance(value, str | bool | int) or value is None or abs(value) < 1e-3:
        return value
    return round(float(value), places)


def significant(value: Any, digits: int = 4) -> Any:
    """Round all numbers of a tree to four significant digits."""
    if isinstance(value, dict):
        return {k: significant(v, digits) for k, v in value.items()}
    if isinstance(value, list):
        return [significant(v, digits) for v in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def peak_mb() -> float:
    """Peak memory of this process so far, MB; on Linux from VmHWM, as ru_maxrss there begins at the parent's peak."""
    try:
        text = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmHWM"))
    except OSError:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used / (2**20 if sys.platform == "darwin" else 1024)


def processor() -> str:
    """Name of this machine's processor, on Linux with the vector and matrix units that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    has = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in found.get("flags", "").split()]
    return ", ".join([found.get("model name", platform.machine()), *has])


def in_own_process(script: str, *words: object) -> Any:
    """Run a script with arguments in a process of its own, and read the JSON that it prints."""
    command = [sys.executable, script, *map(str, words)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def real_data() -> Path:
    """Folder of real light curves, which are not part of the project: ASTRACLR_REAL_DATA, or ../shared/real."""
    given = os.environ.get("ASTRACLR_REAL_DATA")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "real"
