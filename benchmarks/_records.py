"""Records of how committed results were made, and why one is stale: benchmarks/made.json, written by the runs."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from _measure import real_data, write_results
from result_tasks import PARTS, Task

from astraclr.config import Preset, Recipe
from astraclr.files import sha256
from astraclr.train import fingerprint as fp
from astraclr.train.fingerprint import Fingerprint, digest_of, fingerprint_of, settings_digest

ROOT = Path(__file__).resolve().parents[1]
TABLE = "benchmarks/made.json"
_WRITING, _COMPUTING = Lock(), Lock()
REGISTRIES = ("PRESETS", "RECIPES")
"""Names in scripts that hold every preset and recipe, whatever the script uses of them."""


def behaviour() -> Fingerprint:
    """What every part of the method and of the scoring does now; once in a process, in about four CPU seconds."""
    with _COMPUTING:  # two threads at once would disturb each other's random numbers
        return _behaviour()


@cache
def _behaviour() -> Fingerprint:
    made = fingerprint_of(PARTS)
    return Fingerprint({"method version": digest_of(fp.METHOD_VERSION)} | made.exact, made.close)


def of_parts(whole: Fingerprint, parts: Iterable[str]) -> Fingerprint:
    """The entries of some parts; with any part goes the version of the method."""
    wanted = {*parts, "method version"} if parts else set()
    return Fingerprint(
        {name: digest for name, digest in whole.exact.items() if name.split(", ")[0] in wanted},
        {name: numbers for name, numbers in whole.close.items() if name.split(", ")[0] in wanted},
    )


def settings_of(task: Task) -> str:
    """Digest of the version, the presets and recipes of a task, and the numbers in capitals of its script."""
    found: list[Preset | Recipe | str | int] = [task.version, *flat(task.settings(), "settings")]
    if task.module:
        script = vars(importlib.import_module(task.module))
        for name in sorted(n for n in script if n.isupper() and n not in REGISTRIES):
            found += flat(script[name], name)
    return settings_digest(*found)


def flat(value: Any, place: str) -> Iterator[Preset | Recipe | str]:
    """Presets, recipes and numbers at any depth, each after its place; words are left out, but for names of places."""
    if isinstance(value, Preset | Recipe):
        yield place
        yield value
    elif isinstance(value, bool | int | float):
        yield f"{place} = {value!r}"
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from flat(one, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from flat(one, f"{place}.{number}")
    elif is_dataclass(value) and not isinstance(value, type):
        yield from flat(vars(value), place)


def digests(patterns: Iterable[str], root: Path = ROOT) -> dict[str, str]:
    """SHA-256 of every file that a pattern matches, and of FILE#ROW the digest of the row; "" where there is none."""
    found = {}
    for pattern in patterns:
        file, _, row = pattern.partition("#")
        if row:
            kept = json.loads((root / file).read_text()).get("rows", {}) if (root / file).exists() else {}
            found[pattern] = hashlib.sha256(json.dumps(kept[row]).encode()).hexdigest() if row in kept else ""
            continue
        place = real_data() if file.startswith("{real}/") else root
        paths = sorted(p for p in place.glob(file.removeprefix("{real}/")) if p.is_file() and p.name[0] != ".")
        found |= {file if place != root else p.relative_to(root).as_posix(): sha256(p) for p in paths}
        found |= {} if paths else {pattern: ""}
    return found


def table(root: Path = ROOT) -> dict[str, Any]:
    """The records: "tasks" by name, and the "fingerprints" that they refer to."""
    path = root / TABLE
    return json.loads(path.read_text()) if path.exists() else {"fingerprints": {}, "tasks": {}}


def why_stale(task: Task, records: Mapping[str, Any], root: Path = ROOT) -> list[str]:
    """Why a task must run, a line for each reason; none where what it produced would come out the same."""
    produced = digests(task.produces, root)
    if missing := [file for file, digest in produced.items() if not digest]:
        return [f"{missing[0]} is missing"]
    if (record := records["tasks"].get(task.name)) is None:
        return ["no record of how it was made"]
    lines = [f"{file} was changed after it was made" for file in differing(record["produced"], produced)]
    if record["command"] != task.command:
        lines.append(f"command: {record['command']} before")
    if record["settings"] != settings_of(task):
        lines.append("its presets, recipes or the numbers in its script are others")
    before = Fingerprint.from_dict(records["fingerprints"][record["fingerprint"]])
    lines += of_parts(behaviour(), task.parts).differences(of_parts(before, task.parts))
    return lines + [f"{file} is another" for file in differing(record["needs"], digests(task.needs, root))]


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Files that are not as they were; real light curves that are not here cannot be compared."""
    known = {file for file in {**before, **now} if not (file.startswith("{real}/") and not now.get(file))}
    return sorted(file for file in known if before.get(file) != now.get(file))


def note(task: Task, cpu_seconds: float, seconds: float, revision: str, complete: bool, root: Path = ROOT) -> None:
    """Keep how a task was made just now, in one write.

    Its cost is what was measured, or what its result states if that is more: a training that was kept from before, or
    a run that was resumed, has cost more than its last process. `complete` is false if a part was lost by a kill.
    """
    now = behaviour().to_dict()
    stated = stated_seconds(task, root)
    record = {
        "command": task.command,
        "revision": revision,
        "settings": settings_of(task),
        "fingerprint": digest_of(now),
        "needs": digests(task.needs, root),
        "produced": digests(task.produces, root),
        "cpu_seconds": round(max(cpu_seconds, stated)),
        "seconds": round(seconds),
        "complete": complete,
    }
    with _WRITING:
        records = table(root)
        tasks = dict(sorted((records["tasks"] | {task.name: record}).items()))
        used = {one["fingerprint"] for one in tasks.values()}
        known = {name: one for name, one in (records["fingerprints"] | {digest_of(now): now}).items() if name in used}
        about = "Written by `make results`, never by hand: how each committed result was made, and what it cost."
        write_results(root / TABLE, {"about": about, "fingerprints": known, "tasks": tasks})


def stated_seconds(task: Task, root: Path = ROOT) -> float:
    """CPU seconds that the results of a task state, added; 0 where they state none."""
    total = 0.0
    for pattern in task.produces:
        file, _, row = pattern.partition("#")
        for path in root.glob(file):
            if path.suffix == ".json":
                content = json.loads(path.read_text())
                total += _seconds_in(content.get("rows", {}).get(row) if row else content)
    return total


def _seconds_in(tree: Any) -> float:
    """Sum of everything under a key that ends in "cpu_seconds"; what lies below such a key is in it."""
    if isinstance(tree, list):
        return sum(map(_seconds_in, tree))
    if not isinstance(tree, Mapping):
        return 0.0
    own = [v for k, v in tree.items() if str(k).endswith("cpu_seconds")]
    if own:
        return float(sum(sum(v.values()) if isinstance(v, Mapping) else v for v in own))
    return sum(map(_seconds_in, tree.values()))


def cost(task: Task, root: Path = ROOT) -> tuple[float | None, str]:
    """CPU seconds of the last run, None if it was never measured, and these in words."""
    record = table(root)["tasks"].get(task.name)
    seconds = record["cpu_seconds"] if record else stated_seconds(task, root)
    if not seconds:
        return None, "unknown"
    return seconds, f"{'' if record and record['complete'] else 'at least '}{in_words(seconds)}"


def in_words(seconds: float) -> str:
    """CPU time with its unit."""
    if seconds < 3600:
        return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
    return f"{seconds / 3600:.1f} h"


def cannot(task: Task) -> str:
    """Why this machine cannot run a task; empty where it can."""
    if task.requires == "real" and not real_data().is_dir():
        return "needs real light curves: set ASTRACLR_REAL_DATA to a folder that holds them"
    if task.requires == "cuda":
        import torch

        return "" if torch.cuda.is_available() else "needs a CUDA device"
    return ""
