"""Files: written whole or not at all, read within limits, found in the clone or the package, and identified."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from astraclr.parts import WRITTEN, need_file_name, part_of, remove_dead_parts


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Replace a file as a whole: the block writes to a temporary path, which is renamed to `path` when it ends.

    Where the block raises, the temporary file is removed and the old file stays as it was. Temporary files of `path`
    that killed processes of this machine left are removed first.

    Raises
    ------
    ValueError
        If the folder does not exist and cannot be made, or cannot be written to, or `path` is a folder, a pipe or a
        device, or too long a name.
    OSError
        If the disk is full or a quota is reached while the block writes; it names `path` and says what to do.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "new" / "table.csv") as part:
    ...         _ = part.write_text("a,b")
    ...     [file.name for file in (Path(folder) / "new").iterdir()]
    ['table.csv']
    """
    path = Path(path)
    need_file_name(path)
    temporary = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_dead_parts(path)
        temporary.touch()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(path, error) from error
        raise ValueError(f"cannot write {path}: {error.strerror}; choose a folder that you may write to") from error
    try:
        yield temporary
        temporary.replace(path)
        WRITTEN.append(path)
    except IsADirectoryError as error:
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it") from error
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


NO_ROOM = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of the disk is used up",
    errno.EFBIG: "the disk takes no file of this size",
}
"""Errors of a disk that takes no more, in words."""


def no_room(path: str | Path, error: OSError) -> OSError:
    """The error of a full disk with the file that was being written and a remedy.

    Examples
    --------
    >>> str(no_room("stars.parquet", OSError(errno.ENOSPC, "No space left on device")))
    'cannot write stars.parquet: the disk is full; make room there, or choose another disk'
    """
    found = OSError(f"cannot write {path}: {NO_ROOM[error.errno or 0]}; make room there, or choose another disk")
    found.errno = error.errno
    return found


def cache_folder() -> Path:
    """Folder for trained encoders and downloads: ``ASTRACLR_CACHE``, or ``~/.cache/astraclr``."""
    return Path(os.environ.get("ASTRACLR_CACHE") or Path.home() / ".cache" / "astraclr").expanduser()


def existing(path: str | Path) -> Path:
    """Return `path` as a Path.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder; it says where it was looked for.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist (looked in {path.absolute().parent})")
    return path


def regular(path: str | Path) -> Path:
    """The path of a file or folder.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is a pipe or a device: reading could wait for ever, and layouts are recognised by looking twice.
    """
    path = existing(path)
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise ValueError(f"{path} is a pipe or a device, not a file: write its content into a file and read that")
    return path


def read_json(path: str | Path, most: int = 2**20) -> dict[str, Any]:
    """Read a JSON object from a file of at most `most` bytes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no regular file, larger, no JSON object, or nested too deeply; it does not name the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "config.json").write_text('{"seed": 1}')
    ...     read_json(Path(folder, "config.json"))
    {'seed': 1}
    """
    path = regular(path)
    if path.is_dir():
        raise ValueError("it is a folder")
    if (size := path.stat().st_size) > most:
        raise ValueError(f"it has {size:,} bytes, and at most {most:,} are read")
    try:
        found = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}, not a JSON object")
    return found


def own_name(name: object, what: str) -> str:
    """The name of a file in the folder of the file that mentions it.

    Raises
    ------
    ValueError
        If it is no text, or a path that leads elsewhere.

    Examples
    --------
    >>> own_name("../../etc/passwd", "weights")
    Traceback (most recent call last):
    ValueError: weights '../../etc/passwd' is no name of a file in this folder
    """
    named = isinstance(name, str) and name not in ("", "..") and Path(name).name == name and "\\" not in name
    if not isinstance(name, str) or not named or not name.isprintable():
        raise ValueError(f"{what} {str(name)[:100]!r} is no name of a file in this folder")
    return name


def need_known_version(path: str | Path, found: object, known: int) -> None:
    """Refuse a file that a later version of astraclr wrote, whose fields may mean something else.

    Raises
    ------
    ValueError
        If `found`, the number of the file's format, is not 1 to `known`.

    Examples
    --------
    >>> need_known_version("stars.parquet", 1, 1)
    """
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= known:
        upto = "1" if known == 1 else f"1 to {known}"
        raise ValueError(
            f"{path} has format version {found}; this version of astraclr reads {upto}. "
            "Read it with the version that wrote it, or a later one: pip install --upgrade astraclr"
        )


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Examples
    --------
    >>> sha256(Path(__file__)) == sha256(Path(__file__)), len(sha256(Path(__file__)))
    (True, 64)
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def revision(root: Path, *folders: str) -> str:
    """Git revision of a checkout, with "+" if files of `folders` differ from it; "unknown" outside a checkout."""

    def git(*words: str) -> str:
        try:
            found = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:  # git is not installed
            return ""
        return found.stdout.strip() if found.returncode == 0 else ""

    # In a folder that is no checkout, git would answer for a checkout that contains it.
    if not (root / ".git").exists() or not (short := git("rev-parse", "--short", "HEAD")):
        return "unknown"
    return short + ("+" if git("status", "--porcelain", *folders) else "")


def repository_file(path: str) -> Path:
    """Path of a file of the repository that is not part of the installed package.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its repository.
    """
    file = Path(__file__).parents[1] / path
    if not file.exists():
        raise FileNotFoundError(f"{path} is a file of the repository: clone it, and install with `pip install -e .`")
    return file


def provenance() -> dict[str, str]:
    """Record of how a result was made: command, git revision ("+" if files differ from it), versions, processor.

    Examples
    --------
    >>> sorted(provenance())
    ['command', 'numpy', 'processor', 'python', 'revision', 'torch']
    """
    import numpy as np
    import torch

    root = Path(__file__).parents[1]
    command = " ".join(["python", os.path.relpath(sys.argv[0], root), *sys.argv[1:]])
    return {
        "command": command,
        "revision": revision(root, "astraclr"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
    }


def shipped_file(name: str) -> Path:
    """Path of a file of the repository's data/ folder, in the clone or in the installed package.

    Examples
    --------
    >>> shipped_file("sample.parquet").exists()
    True
    """
    package = Path(__file__).parent
    return next(
        (p for p in (package / "_data" / name, package.parent / "data" / name) if p.exists()),
        package.parent / "data" / name,
    )
