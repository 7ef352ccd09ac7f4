"""Runs tasks in their order, several at once, through doit; keeps what they cost also where they are stopped."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _records
from _measure import real_data
from _records import ROOT, cannot, cost, in_words, note, table, why_stale
from result_tasks import Task, makers

from astraclr.files import revision

STATE = "_build/results"
"""Folder of logs, and of what unfinished tasks have cost."""


class Runner:
    """Runs tasks, and keeps how they were made."""

    def __init__(self, tasks: Sequence[Task], root: Path = ROOT) -> None:
        self.tasks, self.root, self.stopping = tasks, root, threading.Event()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.state = root / STATE
        self.state.mkdir(parents=True, exist_ok=True)
        self.code = self.sources()
        self.lock = self.alone()

    def alone(self) -> int | None:
        """A lock that this process and its tasks hold, however it ends; the tasks of an earlier call hold theirs."""
        try:
            import fcntl
        except ImportError:  # Windows
            return None
        lock = os.open(self.state / "lock", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            known = ", ".join(p.read_text() for p in sorted(self.state.glob("*.pid")))
            raise SystemExit(
                f"tasks of an earlier `make results` still run ({known}): wait until they end, or end them; "
                "nothing that they finished is lost"
            ) from None
        return lock

    def sources(self) -> str:
        """Digest of the code: a result must not be recorded as that of code which changed while it was made."""
        files = [p for top in ("astraclr", "benchmarks") for p in sorted((self.root / top).rglob("*.py"))]
        return hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()

    def fresh(self, one: Task) -> bool:
        """Whether a task need not run, now that those before it have run; doit takes the name "task" for its own."""
        return not why_stale(one, table(self.root), self.root)

    def run(self, one: Task) -> bool:
        """Run a task where that is possible; whether it succeeded."""
        if self.stopping.is_set():
            return False
        if missing := cannot(one):
            self.say(f"{one.name}: not made here; it {missing}")
            return False
        try:
            return self.made(one)
        except Exception as error:  # such as a result that is no JSON; doit says nothing of it
            self.say(f"{one.name}: not recorded; {type(error).__name__}: {error}")
            return False

    def made(self, task: Task) -> bool:
        """Run a command and keep how it went; whether its result is there and recorded."""
        before = self.spent(task)
        self.keep(task, before, whole=False)  # until it ends: what a kill takes is not counted
        self.say(f"{task.name}: begun; {cost(task, self.root)[1]} the last time")
        begin = time.perf_counter()
        code, cpu = self.child(task)
        cpu, seconds = cpu + before[0], time.perf_counter() - begin
        self.keep(task, (cpu, before[1]), whole=True)
        log = f"{STATE}/{file_name(task)}.log"
        if code or self.stopping.is_set():
            self.say(f"{task.name}: stopped with exit status {code} after {in_words(cpu)} of CPU time; see {log}")
            return False
        if self.sources() != self.code:
            self.say(f"{task.name}: the code changed while it ran, so it is not recorded; start `make results` again")
            return False
        note(task, cpu, seconds, revision(self.root, "astraclr", "benchmarks/*.py"), before[1], self.root)
        if left := why_stale(task, table(self.root), self.root):
            self.say(f"{task.name}: ended well, and yet {left[0]}; see {log}")
            return False
        (self.state / f"{file_name(task)}.spent").unlink()
        self.say(f"{task.name}: done in {in_words(seconds)}, {in_words(cpu)} of CPU time")
        return True

    def child(self, task: Task) -> tuple[int, float]:
        """Exit status and CPU seconds of the command, with those of its own processes."""
        env = os.environ | {"ASTRACLR_REAL_DATA": str(real_data()), "PYTHONPATH": str(self.root)}
        env.setdefault("ASTRACLR_CACHE", str(self.root / "_build" / "cache"))
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            env.setdefault(name, "1")
        pid_file = self.state / f"{file_name(task)}.pid"
        with (self.state / f"{file_name(task)}.log").open("ab") as log:
            process = subprocess.Popen(
                words(task, self.root), cwd=self.root, env=env, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, pass_fds=() if self.lock is None else (self.lock,),
            )  # fmt: skip
            self.running[task.name] = process
            pid_file.write_text(f"{task.name}: process {process.pid}")
            code, cpu = waited(process)
            del self.running[task.name]
            pid_file.unlink()
        return code, cpu

    def spent(self, task: Task) -> tuple[float, bool]:
        """CPU seconds of earlier calls that did not finish the task, and whether they are complete."""
        file = self.state / f"{file_name(task)}.spent"
        if not file.exists():
            return 0.0, True
        seconds, known = file.read_text().split()
        return float(seconds), known == "complete"

    def keep(self, task: Task, spent: tuple[float, bool], whole: bool) -> None:
        """Keep what unfinished calls have spent so far."""
        known = "complete" if whole and spent[1] else "lost"
        (self.state / f"{file_name(task)}.spent").write_text(f"{spent[0]:.1f} {known}\n")

    def stop(self, *_: object) -> None:
        """End the running tasks, which keep what they have."""
        self.stopping.set()
        for process in list(self.running.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        self.say("Stopping; the same command goes on from here.")

    def say(self, line: str) -> None:
        """A line with the time of day, past whatever captures the output of tasks."""
        print(f"{time.strftime('%H:%M:%S')} {line}\n", end="", file=sys.__stdout__, flush=True)

    def doit_tasks(self) -> Iterator[dict[str, Any]]:
        """The tasks as doit takes them."""
        names = {t.name for t in self.tasks}
        for task in self.tasks:
            yield {
                "name": task.name,
                "actions": [(self.run, [task])],
                "uptodate": [(self.fresh, [task])],
                "task_dep": [f"results:{m}" for m in makers(task, self.tasks) if m in names],
            }

    def all(self, jobs: int) -> bool:
        """Run what is stale, `jobs` at once, then the measurements one at a time; whether all of it succeeded."""
        from doit.cmd_base import ModuleTaskLoader
        from doit.doit_cmd import DoitMain

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.stop)
        _records.behaviour()  # of the code as it is now, before it is asked for by several threads
        fine = True
        for alone, at_once in ((False, jobs), (True, 1)):
            names = [f"results:{t.name}" for t in self.tasks if t.alone == alone]
            with tempfile.TemporaryDirectory() as folder:  # doit's own memory is not used: records decide
                config = {
                    "dep_file": f"{folder}/doit", "backend": "json", "continue": True, "num_process": at_once,
                    "par_type": "thread", "verbosity": 2, "reporter": "zero", "default_tasks": names,
                }  # fmt: skip
                if names and not self.stopping.is_set():
                    loader = ModuleTaskLoader({"DOIT_CONFIG": config, "task_results": self.doit_tasks})
                    fine &= DoitMain(loader).run([]) == 0
        if self.lock is not None:
            os.close(self.lock)
        return fine and not self.stopping.is_set()


def waited(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit status and CPU seconds of a process and of the processes that it waited for."""
    if not hasattr(os, "wait4"):  # Windows: of all children so far
        return process.wait(), 0.0
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


def words(task: Task, root: Path = ROOT) -> list[str]:
    """The command as a list, with patterns of files replaced by the files."""
    found = [sys.executable]
    for word in shlex.split(task.command.replace("{real}", str(real_data()))):
        files = sorted(p.relative_to(root).as_posix() for p in root.glob(word)) if "*" in word else []
        found += files or [word]
    return found


def file_name(task: Task) -> str:
    """Name of a task's log."""
    return task.name.replace("/", "-")
