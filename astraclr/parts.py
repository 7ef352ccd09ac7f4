"""Files that are being written: how they are named, and which of them a killed process left."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from functools import cache
from glob import escape
from pathlib import Path

_PART = re.compile(r"\.(?P<file>.+?)(?:\.(?P<here>[0-9a-f]{8}))?\.(?P<process>\d+)\.part")


def part_of(path: Path) -> Path:
    """Where a file is written before it appears: beside it, hidden, named after the machine and the process.

    Examples
    --------
    >>> file_of_part(part_of(Path("out", "stars.parquet")).name)
    'stars.parquet'
    """
    return path.with_name(f".{path.name}.{_here()}.{os.getpid()}.part")


def file_of_part(name: str) -> str:
    """The file of which a process wrote a part, from the part's name; "" for a name of another kind.

    Examples
    --------
    >>> file_of_part(".stars.parquet.0a1b2c3d.4711.part"), file_of_part(".theirs.part")
    ('stars.parquet', '')
    """
    found = _PART.fullmatch(name)
    return found["file"] if found else ""


def remove_dead_parts(path: Path) -> None:
    """Remove the parts of a file whose process ran on this machine, and does not any more.

    Examples
    --------
    >>> remove_dead_parts(Path("nowhere", "stars.parquet"))
    """
    if os.name != "posix":  # elsewhere asking for a process could end it
        return
    for part in path.parent.glob(f".{escape(path.name)}.{_here()}.*.part"):
        found = _PART.fullmatch(part.name)
        if found is None or found["file"] != path.name:
            continue
        try:
            os.kill(int(found["process"]), 0)
        except (ProcessLookupError, OverflowError):
            part.unlink(missing_ok=True)
        except OSError:  # it runs, for another user; or the part cannot be removed, which harms nobody
            continue


@cache
def _here() -> str:
    """Eight digits for this machine and, within it, what numbers its processes: containers may share a name."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]
