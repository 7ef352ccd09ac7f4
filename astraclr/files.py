"""Writing without losing: a file appears whole under its name, or not at all."""

from __future__ import annotations

import os
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
