"""What SIGKILL leaves behind: every command that writes is killed, started again until done, its bytes are compared.

Usage: python benchmarks/kills.py --kills 1000 --out benchmarks/results/kills.json
                                                            (most of an hour; --kills 40 takes some five minutes)

With `--out` the counts are added to those that the file holds: calls with other seeds and commands add up.

Commands are forked from a process that has imported torch and the rest, and so start in a tenth of a second; torchrun
and Dask start Python by themselves, keep their own start, and get fewer of the kills (`Command.weight`).

Each command runs once undisturbed. Then it is killed, with every process that it started, and started again in the same
folder: half of the kills come at a random moment of the whole run, half just after a file that is being written has
appeared. Of Dask, one trial kills all processes, and another one worker alone, whose work another does again: the
command then goes on, and must end well. After each kill no file may be half of itself: a file that is written once
holds what it held before, or what it holds in the end. A command that finishes by itself must have written the bytes of
the undisturbed run (of logs, all but the times); it then begins anew in an empty folder until its share of kills is
used up.

The last step trains on a disk of a few megabytes (a tmpfs; this needs root on Linux, else the size of files is
limited), which other files fill up in the middle: the state before must live, and the run must end with the same bytes
when there is room.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _forked import Forked
from _measure import write_results
from filelock import FileLock
from tqdm import tqdm

from astraclr.catalogs._published import DATASET, cache_path
from astraclr.data.lightcurves import LightCurves
from astraclr.files import provenance
from astraclr.simulation.simulate import simulate
from astraclr.train.state_file import read_state

CLI = (sys.executable, "-m", "astraclr.cli")
TWO_RANKS = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *CLI[1:])
FULL_DISK = "full disk"
TIMES = ("light_curves_per_s", "seconds", "ms", "ms_exact")
"""What a log, and the facts of an index, say of the clock."""
ENOUGH = 20
"""Faults of one command after which it is not killed any more."""
LIMIT = 600
"""Seconds after which a command counts as hanging."""


@dataclass(frozen=True)
class Command:
    """A command that writes, with INPUT and OUT in the places of two folders.

    Parameters
    ----------
    words : of the command
    once : files of OUT that are written once, and hold something else before; other files grow from start to start
    weight : share of the kills, beside that of other commands
    forked : start it by a fork
    worker : kill one of the workers that it starts, instead of all of it
    """

    words: tuple[str, ...]
    once: tuple[str, ...] = ()
    weight: float = 1
    forked: bool = False
    worker: bool = False

    def line(self, given: Path, out: Path) -> list[str]:
        """The command line for two folders."""
        return [word.replace("INPUT", str(given)).replace("OUT", str(out)) for word in self.words]


@dataclass
class Outcome:
    """What kills did to one command."""

    kills: int = 0
    while_writing: int = 0
    """Kills that left a file in the middle of being written."""
    runs: int = 0
    """Runs that finished, after no kill or many."""
    parts_left: int = 0
    """Files with a name of their own that kills left beside the finished ones, and that no later start took away."""
    seconds: float = 0.0
    """Of the undisturbed run."""
    faults: list[str] = field(default_factory=list)


def cli(*words: str, once: tuple[str, ...] = (), weight: float = 1, worker: bool = False) -> Command:
    """A command of the command line; forked, unless it starts Python by itself."""
    return Command((*CLI, *words), once, weight, forked=words[-2:] != TWO_WORKERS, worker=worker)


ALONE, TWO_WORKERS = ("--workers", "1"), ("--workers", "2")
RUN = ("--save-every", "2", "--out", "OUT/run")
MADE = ("--checkpoint", "INPUT/ck")
SLOW, SLOWEST = 0.15, 0.05
"""Weights of commands that start Python, and that compile, export or run a chapter for seconds."""
COMMANDS = {
    "simulate": cli("simulate", "--n", "12", "--out", "OUT/s.parquet", once=("s.parquet",)),
    "pretrain": cli("pretrain", "INPUT/stars.parquet", "--steps", "8", *RUN),
    "pretrain shards": cli("pretrain", "INPUT/shards", "--steps", "4", "--recipe", "recommended", *RUN),
    "two ranks": Command((*TWO_RANKS, "pretrain", "INPUT/stars.parquet", "--steps", "6", *RUN), weight=SLOW),
    "shards": cli("shards", "INPUT/stars.parquet", "--cut", "", "--stars-per-shard", "3", "--out", "OUT/shards"),
    "shards of HATS": cli("shards", "INPUT/hats", "--cut", "", "--stars-per-shard", "3", "--out", "OUT/shards", *ALONE),
    "shards of HATS, two workers": cli(
        "shards", "INPUT/hats", "--cut", "", "--stars-per-shard", "3", "--out", "OUT/shards", *TWO_WORKERS, weight=SLOW
    ),
    "embed": cli("embed", "INPUT/stars.parquet", *MADE, "--out", "OUT/e.parquet", once=("e.parquet",)),
    "embed a catalogue": cli("embed", "INPUT/hats", *MADE, "--out", "OUT/e", *ALONE),
    "embed a catalogue, two workers": cli("embed", "INPUT/hats", *MADE, "--out", "OUT/e", *TWO_WORKERS, weight=SLOW),
    "embed a catalogue, one worker of two": cli(
        "embed", "INPUT/hats", *MADE, "--out", "OUT/e", *TWO_WORKERS, weight=SLOW, worker=True
    ),
    "probe": cli(
        "probe",
        "INPUT/e.parquet",
        *("--bootstraps", "0", "--out", "OUT/m.json", "--save-head", "OUT/h.safetensors"),
        once=("m.json", "h.safetensors"),
    ),
    "predict": cli("predict", "INPUT/stars.parquet", *MADE, "--out", "OUT/p.csv", once=("p.csv",)),
    "predict a catalogue": cli("predict", "INPUT/hats", *MADE, "--out", "OUT/p", *ALONE),
    "similar": cli(
        "similar", "INPUT/e.parquet", "--to", "INPUT/one.parquet", *MADE, "--out", "OUT/n.csv", once=("n.csv",)
    ),
    "similar, by an index": cli(
        "similar", "INPUT/many.parquet", "--to", "1", "--index", "OUT/index", "--out", "OUT/n.csv"
    ),
    "explore": cli(
        "explore", "INPUT/stars.parquet", *MADE, "--out", "OUT/map.html", once=("map.html",), weight=SLOWEST
    ),
    "finetune": cli(
        *("finetune", "INPUT/labelled.parquet", *MADE, "--passes", "6", "--batch-size", "4"),
        *("--learning-rate", "0.001", "--out", "OUT/run"),
    ),
    "discover": cli("discover", "INPUT/stars.parquet", *MADE, "--top", "5", "--out", "OUT/search"),
    "report": cli("report", "INPUT/stars.parquet", *MADE, "--out", "OUT/r.html", once=("r.html",), weight=SLOWEST),
    "publish": cli("publish", "INPUT/ck", "--licence", "MIT", "--dry-run", "--out", "OUT/hub", weight=SLOWEST),
    "export": cli("export", "INPUT/ck", "OUT/m.onnx", once=("m.onnx",), weight=SLOWEST),
    "fetch": cli("fetch", "--limit", "20", "--out", "OUT/f.parquet", once=("f.parquet",)),
    "figure": cli("figure", "fig-offsets", "--out", "OUT/f.png", once=("f.png", "f.json"), weight=SLOWEST),
}


# What is killed


def family(process: int) -> list[int]:
    """A process and all that it has started, and they have, as far as they still run (from /proc)."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents.setdefault(int(words[1]), []).append(int(stat.parent.name))
    found = [process]
    for each in found:
        found += parents.get(each, [])
    return found


Process = subprocess.Popen | Forked


def workers(process: int) -> list[int]:
    """The Dask workers that a process has started: grandchildren, by what their command lines say."""
    found = []
    for each in family(process)[1:]:
        try:
            line = Path(f"/proc/{each}/cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if b"spawn_main" in line:
            found.append(each)
    return found


def kill(process: Process) -> None:
    """Send SIGKILL to a process and all that it started; none of them can write after this."""
    known: set[int] = set()
    while new := [p for p in family(process.pid) if p not in known]:  # stopped, they start no others
        known.update(new)
        for each in new:
            _signal(each, signal.SIGSTOP)
    for each in known:
        _signal(each, signal.SIGKILL)
    process.wait()
    while any(_runs(each) for each in known):
        time.sleep(0.001)


def _signal(process: int, number: int) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parts(folder: Path) -> list[Path]:
    """Files of a folder that are being written."""
    return [file for file in folder.rglob(".*") if file.name.endswith(".part")]


# One command


class Trial:
    """Kills one command again and again, and notes what they did.

    Parameters
    ----------
    command : to kill
    given, work : folder with its inputs; folder for its outputs, and for a log of what it said
    moments : draws the moments
    """

    def __init__(self, command: Command, given: Path, work: Path, moments: random.Random) -> None:
        self.command, self.given, self.work, self.moments = command, given, work, moments
        self.out, self.outcome = work / "out", Outcome()
        began = time.monotonic()
        self._fresh()
        if (status := self.start().wait(LIMIT)) != 0:
            raise RuntimeError(f"undisturbed, the command ended with {status}: {self.end_said()}")
        self.outcome.seconds = time.monotonic() - began
        self.whole = contents(self.out)

    def kill_times(self, kills: int, bar: tqdm) -> Outcome:
        """Kill so often, let the last run end, and compare each finished run with the undisturbed one."""
        self._fresh()
        while self.outcome.kills < kills and len(self.outcome.faults) < ENOUGH:
            before, again = self.outcome.kills, self._killed()
            bar.update(self.outcome.kills - before)
            if not again:
                self.compare()
                self._fresh()
        if (status := self.start().wait(LIMIT)) != 0:
            self.outcome.faults.append(f"after the last kill it ended with {status}: {self.end_said()}")
        self.compare()
        return self.outcome

    def _fresh(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        for name in self.command.once:
            (self.out / name).write_bytes(self._previous(name))

    def _previous(self, name: str) -> bytes:
        """What a file that is written once holds before; that of a head is one, which alone may be replaced."""
        head = self.given / "ck" / "head.safetensors"
        return head.read_bytes() if name.endswith(".safetensors") and head.exists() else b"previous"

    def start(self) -> Process:
        """Start the command in the folder as it is."""
        if self.command.forked:
            words = self.command.line(self.given, self.out)[len(CLI) :]
            return Forked(tuple(words), self.work, self.work / "said.txt")
        with (self.work / "said.txt").open("wb") as said:
            line = self.command.line(self.given, self.out)
            return subprocess.Popen(line, stdout=said, stderr=said, cwd=self.work, start_new_session=True)

    def all_said(self) -> str:
        """What the last start printed."""
        return (self.work / "said.txt").read_text(errors="replace").replace("\r", "\n")

    def end_said(self) -> str:
        """The end of it."""
        return self.all_said().strip()[-300:]

    def _killed(self) -> bool:
        """Start the command and kill it; whether it has to be started again."""
        process, began, before = self.start(), time.monotonic(), set(parts(self.out))
        moment, aimed = self.moments.random() * self.outcome.seconds, self.moments.random() < 0.5
        while process.poll() is None and (aimed or time.monotonic() - began < moment):
            if aimed and set(parts(self.out)) - before:
                time.sleep(self.moments.random() * 0.01)
                break
            if time.monotonic() - began > LIMIT:
                self.outcome.faults.append(f"it hung: {self.end_said()}")
                break
            time.sleep(0.0002 if aimed else 0.002)
        if process.poll() is not None:
            if process.returncode != 0:
                self.outcome.faults.append(f"it ended with {process.returncode}: {self.end_said()}")
            return False
        if self.command.worker:
            return self._worker_killed(process, before)
        kill(process)
        self.outcome.kills += 1
        self.outcome.while_writing += bool(set(parts(self.out)) - before)
        for name in self.command.once:
            found = (self.out / name).read_bytes() if (self.out / name).exists() else b""
            if found not in (self._previous(name), self.whole[name]):
                self.outcome.faults.append(f"kill {self.outcome.kills} left half of {name}")
        return True

    def _worker_killed(self, process: Process, before: set[Path]) -> bool:
        """Kill one worker, after which the command must end well; False, since no start is needed to go on."""
        if found := workers(process.pid):
            _signal(self.moments.choice(found), signal.SIGKILL)
            self.outcome.kills += 1
            self.outcome.while_writing += bool(set(parts(self.out)) - before)
        if (status := process.wait(LIMIT)) != 0:
            self.outcome.faults.append(f"after a worker was killed it ended with {status}: {self.end_said()}")
        return False

    def compare(self) -> None:
        """Compare what a finished run wrote with what the undisturbed one wrote."""
        self.outcome.runs += 1
        self.outcome.parts_left += len(parts(self.out))
        found = contents(self.out)
        for name in sorted({*found, *self.whole}):
            if name not in found or name not in self.whole or found[name] != self.whole[name]:
                where = "is missing" if name not in found else "is left over" if name not in self.whole else "differs"
                self.outcome.faults.append(f"after {self.outcome.kills} kills {name} {where}")


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every finished file of a folder; of logs, without what they say of the clock."""
    found = {}
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".part")):
        content = file.read_bytes()
        if file.suffix == ".jsonl" or file.name == "index.json":
            lines = [{k: v for k, v in line.items() if k not in TIMES} for line in _objects(file)]
            content = json.dumps(lines).encode()
        found[str(file.relative_to(folder))] = content
    return found


def _objects(file: Path) -> list[dict[str, Any]]:
    """The JSON objects of a log, one a line, or the only one of a file."""
    texts = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    return [json.loads(text) for text in texts]


# A disk that fills up


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[bool]:
    """Mount a disk of a few megabytes at `folder`; False where that is not allowed, and `folder` is an ordinary one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def full_disk(given: Path, work: Path) -> dict[str, Any]:
    """Train while the disk fills up, kill the run, and go on when there is room again."""
    trial = Trial(COMMANDS["pretrain"], given, work, random.Random(0))
    faults: list[str] = []
    with small_disk(work / "disk", 64) as mounted:
        trial.out = work / "disk" / "out"
        trial.out.mkdir()
        state, log = trial.out / "run" / "state.safetensors", trial.out / "run" / "log.jsonl"
        process = trial.start() if mounted else _limited(trial, 2**12)
        if mounted:
            _until(lambda: _steps(log) >= 5 or process.poll() is not None)
            with (work / "disk" / "filler").open("wb", buffering=0) as filler:
                _fill(filler)
            full_at = _steps(log)
            _until(lambda: "could not be written" in trial.all_said() or process.poll() is not None)
            kept = state.read_bytes() if state.exists() else b""
            if process.poll() is None:
                kill(process)
            if not kept or not state.exists() or state.read_bytes() != kept:
                faults.append("the state before is gone")
            begun = json.loads(read_state(state)[0]["facts"])["done"]
            (work / "disk" / "filler").unlink()
        else:
            process.wait(LIMIT)
            full_at = begun = 0
        said = trial.all_said()
        if trial.start().wait(LIMIT) != 0:
            faults.append(f"with room again it ended so: {trial.end_said()}")
        trial.compare()
    return {
        "kind": "tmpfs" if mounted else "limit of a file's size",
        "full_after_steps": full_at,
        "state_of_step": begun,
    } | {
        "said": [line for line in said.splitlines() if "warning" in line or "error" in line][:2],
        "faults": faults + trial.outcome.faults,
    }


def _fill(filler: Any) -> None:
    try:
        while filler.write(bytes(2**16)):
            pass
    except OSError:
        pass


def _limited(trial: Trial, most: int) -> subprocess.Popen:
    """Start the command with a limit on the size of files, of which it hears as it would of a full disk."""
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    line = trial.command.line(trial.given, trial.out)
    with (trial.work / "said.txt").open("wb") as said:
        return subprocess.Popen(line, stdout=said, stderr=said, preexec_fn=limit)


def _steps(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _until(true: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not true() and time.monotonic() - began < LIMIT:
        time.sleep(0.002)


# All of them


def make_inputs(folder: Path) -> None:
    """Write what the commands read: stars, shards, a HATS catalogue, a checkpoint with a head, embeddings."""

    def done(*words: str) -> None:
        words = tuple(cli(*words).line(folder, folder)[len(CLI) :])
        if (status := Forked(words, folder, folder / "said.txt").wait(LIMIT)) != 0:
            raise RuntimeError(f"{' '.join(words)} ended with {status}: {(folder / 'said.txt').read_text()[-300:]}")

    done("simulate", "--n", "36", "--seed", "7", "--out", "INPUT/stars.parquet")
    done("shards", "INPUT/stars.parquet", "--cut", "", "--stars-per-shard", "15", "--out", "INPUT/shards")
    done("pretrain", "INPUT/stars.parquet", "--steps", "2", "--out", "INPUT/ck")
    done("embed", "INPUT/stars.parquet", *MADE, "--out", "INPUT/e.parquet")
    done("probe", "INPUT/e.parquet", "--bootstraps", "0", "--save-head", "INPUT/ck")
    subprocess.run([sys.executable, __file__, "--others", str(folder)], check=True)


def write_others(folder: Path) -> None:
    """Write what no command makes of the stars of a folder: one star, labels, embeddings, an answer to `fetch`."""
    stars = LightCurves.load(folder / "stars.parquet")
    stars[:1].save(folder / "one.parquet")
    simulate(36, seed=3, classes=["RR", "AGN", "LPV"]).save(folder / "labelled.parquet")
    request = {"data": DATASET, "limit": 20, "near": None, "ids": None, "at_least": None}
    stars[:20].save(cache_path(request))
    x = np.random.default_rng(0).normal(size=(1_000, 8)).astype(np.float32)
    names = [str(k) for k in range(len(x))]
    table = pd.DataFrame({"object_id": names, "label": "", "embedding": list(x), "checkpoint": "", "fusion": "mean"})
    table.to_parquet(folder / "many.parquet")
    write_hats(folder, stars)


def write_hats(folder: Path, stars: LightCurves) -> None:
    """Write stars as a HATS catalogue of several partitions."""
    from lsdb.loaders.dataframe.from_dataframe import from_dataframe

    frame = stars.to_nested()
    frame["ra"], frame["dec"] = [5.9 * k for k in range(len(frame))], 10.0
    from_dataframe(frame, partition_rows=10, margin_threshold=None).write_catalog(
        folder / "hats", catalog_name="simulated", progress_bar=False
    )


def shares(names: list[str], kills: int) -> dict[str, int]:
    """How many of the kills each command gets, by its weight."""
    ends = np.cumsum([0.0, *(COMMANDS[name].weight for name in names)])
    ends = np.round(kills * ends / max(ends[-1], 1e-9)).astype(int)
    return dict(zip(names, np.diff(ends).tolist(), strict=True))


def measured(names: list[str], kills: int, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Share kills among commands; each command, or the full disk, with what they did."""
    moments = random.Random(seed)
    share = shares([name for name in names if name != FULL_DISK], kills)
    with tempfile.TemporaryDirectory() as temporary, tqdm(total=kills, unit="kill") as bar:
        given = Path(temporary) / "input"
        given.mkdir()
        bar.set_description("inputs")
        os.environ["ASTRACLR_CACHE"] = str(Path(temporary) / "cache")  # inherited by what is started from now on
        make_inputs(given)
        for k, name in enumerate(names):
            bar.set_description(name)
            work = Path(temporary) / f"work-{k}"
            if name == FULL_DISK:
                row = full_disk(given, work)
            else:
                row = vars(Trial(COMMANDS[name], given, work, moments).kill_times(share[name], bar))
            shutil.rmtree(work)
            if row["faults"]:
                bar.write(f"{name}: {row['faults'][0]}")
            yield name, row


def added(found: dict[str, Any], name: str, row: dict[str, Any]) -> dict[str, Any]:
    """Counts of earlier calls, {} if there are none, with those of one more command."""
    made_with = provenance()
    revisions = list(dict.fromkeys([*found.get("revisions", []), made_with["revision"]]))
    commands = dict(found.get("commands", {}))
    full = {FULL_DISK: found[FULL_DISK]} if FULL_DISK in found else {}
    if name == FULL_DISK:
        full = {FULL_DISK: row}
    else:
        before = commands.get(name, {})
        counts = {what: before.get(what, 0) + row[what] for what in ("kills", "while_writing", "runs", "parts_left")}
        seconds = {"seconds": round(row["seconds"], 1), "faults": [*before.get("faults", []), *row["faults"]]}
        commands[name] = counts | seconds
    total = {what: sum(r[what] for r in commands.values()) for what in ("kills", "while_writing", "runs")}
    total["faults"] = sum(len(r["faults"]) for r in [*commands.values(), *full.values()])
    return {"made_with": made_with, "revisions": revisions, "total": total, "commands": commands} | full


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill every command that writes, and compare what it writes then.")
    parser.add_argument("--kills", type=int, default=40, help="of all commands together (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=[*COMMANDS, FULL_DISK], help="these; by default all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="JSON to which the counts are added; by default printed")
    parser.add_argument("--others", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.others is not None:
        write_others(given.others)
        return 0
    if given.kills < 1:
        parser.error(f"--kills {given.kills}: at least one")
    if not Path("/proc/self/stat").exists():
        parser.error("this script finds processes in /proc, which this system does not have; run it on Linux")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    root = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    found: dict[str, Any] = {}
    for name, row in measured(given.only or [*COMMANDS, FULL_DISK], given.kills, given.seed):
        if given.out is None:
            found = added(found, name, row)
            continue
        with FileLock(f"{given.out}.lock"):  # what was measured before is not lost, also by a call beside this one
            found = added(json.loads(given.out.read_text()) if given.out.exists() else {}, name, row)
            write_results(given.out, found)
    if given.out is None:
        print(json.dumps(found, indent=1))
    total = found["total"]
    print(
        f"{total['kills']} kills, {total['while_writing']} of them while a file was being written; "
        f"{total['runs']} runs compared, {total['faults']} faults",
        file=sys.stderr,
    )
    return int(total["faults"] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
