"""Writing without losing: a file appears whole under its name, or not at all."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    Raises
    ------
    ValueError
        If the folder does not exist and cannot be made, or cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror}; choose a folder that you may write to") from error
    try:
        yield temporary
        os.replace(temporary, path)
    except IsADirectoryError as error:
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it") from error
    finally:
        temporary.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where what was trained or downloaded is kept: ``ASTRACLR_CACHE``, or ``~/.cache/astraclr``."""
    return Path(os.environ.get("ASTRACLR_CACHE") or Path.home() / ".cache" / "astraclr").expanduser()


def existing(path: str | Path) -> Path:
    """Return `path` as a Path, or raise FileNotFoundError that names it in full."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist (looked in {path.absolute().parent})")
    return path


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
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def revision(root: Path, *folders: str) -> str:
    """Git revision of a checkout, with "+" if files of these folders differ from it; "unknown" where git knows none."""

    def git(*words: str) -> str:
        try:
            found = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
        except FileNotFoundError:  # git is not installed
            return ""
        return found.stdout.strip() if found.returncode == 0 else ""

    # Outside a checkout of its own, git would answer for whatever lies around it.
    if not (root / ".git").exists() or not (short := git("rev-parse", "--short", "HEAD")):
        return "unknown"
    return short + ("+" if git("status", "--porcelain", *folders) else "")


def repository_file(path: str) -> Path:
    """A file of the repository that does not travel with the package.

    Raises
    ------
    FileNotFoundError
        Where the package was installed without its repository.
    """
    file = Path(__file__).parents[1] / path
    if not file.exists():
        raise FileNotFoundError(f"{path} is a file of the repository: clone it, and install with `pip install -e .`")
    return file


def provenance() -> dict[str, str]:
    """What a committed result was made with: command, git revision ("+" if files differ from it), versions, machine."""
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
    """A file of the repository's data/ folder, from the clone or from the installed wheel."""
    package = Path(__file__).parent
    return next(
        (p for p in (package / "_data" / name, package.parent / "data" / name) if p.exists()),
        package.parent / "data" / name,
    )
