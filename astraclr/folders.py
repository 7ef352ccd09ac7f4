"""Folders that commands write: one process at a time, and never among files that are not theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from astraclr.files import NO_ROOM, no_room

LOCK = ".astraclr.lock"
"""Name of the file in a folder that a command is writing: the number of its process, and the name of its machine."""


@contextmanager
def locked(folder: str | Path | None) -> Iterator[None]:
    """Let one process at a time write into a folder; what a killed process of this machine left is taken over.

    Parameters
    ----------
    folder : made if there is none; None locks nothing

    Raises
    ------
    ValueError
        If another process writes into the folder (it names process and machine), or it cannot be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with locked(folder):
    ...         print([file.name for file in Path(folder).iterdir()])
    ...     print(list(Path(folder).iterdir()))
    ['.astraclr.lock']
    []
    """
    if folder is None:
        yield
        return
    from filelock import SoftFileLock, Timeout  # an existence lock: it holds on network disks too

    path = Path(folder) / LOCK
    lock = SoftFileLock(str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0.5, poll_interval=0.05)
    except Timeout:
        raise ValueError(f"{folder} is being written by {_holder(path)}") from None
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(path, error) from error
        raise ValueError(f"cannot write {path}: {error.strerror}; choose a folder that you may write to") from error
    try:
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    """The process that holds a lock, in words, and what to do."""
    try:
        pid, host = path.read_text(errors="replace").split()[:2]
    except (OSError, ValueError):
        pid, host = "unknown", "unknown"
    return (
        f"process {pid} on {host}: wait until it ends, or choose another folder; if no such process runs there, "
        f"remove {path}"
    )


def need_no_others(folder: str | Path, ours: Callable[[Path], bool] = lambda _: False) -> None:
    """Refuse a folder that holds files of others, which could be overwritten; hidden files are passed over.

    Parameters
    ----------
    folder : may not exist yet
    ours : tells whether the command that is to write there may have written a file or folder

    Raises
    ------
    ValueError
        If there are others; it names some.

    Examples
    --------
    >>> need_no_others("a folder that does not exist")
    """
    if not Path(folder).is_dir():
        return
    if others := [p.name for p in sorted(Path(folder).iterdir()) if not p.name.startswith(".") and not ours(p)]:
        listed = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
        raise ValueError(
            f"{folder} holds files that this command did not write ({listed}), and could overwrite: choose an empty "
            "or a new folder"
        )
