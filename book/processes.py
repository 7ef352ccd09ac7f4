"""Run a command of the build, measure what it took, and end what still runs, on Linux, macOS and Windows."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from notebooks import ROOT

from astraclr.tutorial.figure_registry import kernel_environment

STOP_S = 10.0
"""How long an interrupted command may take to end."""
POLL_S = 0.2
"""How often memory is read where the system does not tell it afterwards, as on Windows."""
_RUNNING: set[subprocess.Popen] = set()
# In a group of its own: Ctrl-C reaches the build alone, which then ends what it started.
_OWN_GROUP: dict[str, Any] = (
    {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)} if os.name == "nt" else {"process_group": 0}
)


def measured(command: list[str], log: Path, cwd: Path) -> tuple[int, dict]:
    """Run a command; return its exit status and what it took: wall_s, cpu_s, peak_mb (largest process below it)."""
    started = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=kernel_environment(ROOT), **_OWN_GROUP
        )
        _RUNNING.add(process)
        try:
            cpu, peak = _waited(process) if hasattr(os, "wait4") else _watched(process)
        except KeyboardInterrupt:  # only in the main thread, which waits for the pages; chapters are run in others
            process.terminate()
            raise
        finally:
            _RUNNING.discard(process)
    took = {"wall_s": time.perf_counter() - started, "cpu_s": cpu}
    return process.returncode, {k: round(v, 1) for k, v in took.items()} | {"peak_mb": round(peak / 2**20)}


def _waited(process: subprocess.Popen) -> tuple[float, float]:
    """Wait for a process; processor seconds and largest memory in bytes, as the system tells them at the end."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in kilobytes elsewhere
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit


def _watched(process: subprocess.Popen) -> tuple[float, float]:
    """Wait for a process, and look at it and what it started again and again: the same, of what was seen."""
    import psutil

    seconds: dict[int, float] = {}
    peak = 0.0
    while True:
        try:
            first = psutil.Process(process.pid)
            for one in [first, *first.children(recursive=True)]:
                times, memory = one.cpu_times(), one.memory_info()
                seconds[one.pid] = times.user + times.system
                peak = max(peak, getattr(memory, "peak_wset", memory.rss))
        except psutil.Error:  # it ended while it was looked at
            pass
        try:
            process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            continue
        return sum(seconds.values()), peak


def stop_all() -> None:
    """End every process that runs for the build: interrupted, papermill ends its kernel; after a while it is killed."""
    for process in list(_RUNNING):
        process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    deadline = time.monotonic() + STOP_S
    while _RUNNING and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in list(_RUNNING):
        process.terminate()
