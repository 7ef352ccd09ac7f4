"""Files that are being written: their names, where there can be none, and those of killed processes."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
from collections import deque
from contextlib import suppress
from functools import cache
from glob import escape
from pathlib import Path

WRITTEN: deque[Path] = deque(maxlen=100)
"""The files that this process wrote whole, the last ones at the end: what an interrupted command can truly say."""
_LONGEST = 255
"""Bytes of the longest name that the file systems in use take."""
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
        if not _runs(int(found["process"])):
            with suppress(OSError):  # a part that cannot be removed harms nobody
                part.unlink()


def need_file_name(path: Path) -> None:
    """Refuse a name under which no file can appear, before any work starts.

    Raises
    ------
    ValueError
        If it is that of a pipe or a device, which a file would replace, or too long with what is added to it while the
        file is written.

    Examples
    --------
    >>> need_file_name(Path("/dev/null"))
    Traceback (most recent call last):
    ValueError: cannot write /dev/null: it is a pipe or a device; name a file
    """
    if (longer := len(os.fsencode(part_of(path).name)) - _LONGEST) > 0:
        raise ValueError(
            f"cannot write {path.name[:40]}...: the name is too long by {longer} bytes, with what is added to it while "
            "the file is written; choose a shorter one"
        )
    try:
        mode = path.stat().st_mode
    except OSError:  # it is not there, or its folder cannot be looked into, of which writing will tell
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"cannot write {path}: it is a pipe or a device; name a file")


def _runs(process: int) -> bool:
    """Whether a process of this machine runs; one that has ended, but whose parent has not noticed, does not."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is another user's
        return True
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except (OSError, IndexError):  # not Linux
        return True


@cache
def _here() -> str:
    """Eight digits for this machine and, within it, what numbers its processes: containers may share a name."""
    try:
        numbers = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        numbers = ""
    return hashlib.sha256(f"{platform.node()} {numbers}".encode()).hexdigest()[:8]
