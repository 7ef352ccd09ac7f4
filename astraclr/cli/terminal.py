"""Behaviour that all commands share: errors as one line, outputs checked before work starts, files written whole."""

from __future__ import annotations

import errno
import importlib.util
import inspect
import os
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from astraclr.parts import WRITTEN

if TYPE_CHECKING:  # pandas would make `astraclr --help` wait
    import pandas as pd


class Terminated(KeyboardInterrupt):
    """SIGTERM: the program is asked to end, as by Ctrl-C."""


class Commands(TyperGroup):
    """The group of commands.

    Bad input gives one line and exit code 2, Ctrl-C one line and exit code 130, SIGTERM one line and exit code 143.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; print each warning once, and errors as one line."""
        printed: set[str] = set()
        WRITTEN.clear()

        def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            line = one_line(message)
            if line not in printed and not issubclass(category, DeprecationWarning | FutureWarning):
                printed.add(line)
                say(f"warning: {line}")

        with warnings.catch_warnings(), _sigterm_stops():
            warnings.showwarning = show
            try:
                with stoppable(_written):
                    return super().invoke(ctx)
            except BrokenPipeError:
                raise
            except (ValueError, OSError, ImportError, EOFError, MemoryError) as error:
                if ctx.params.get("traceback"):
                    raise
                say(f"error: {_with_remedy(error)}")
                raise typer.Exit(2) from None


def say(line: str) -> None:
    """Print a line to stderr, where it does not mix with results; control characters in names become visible."""
    from astraclr.data.escaping import for_terminal

    typer.echo(for_terminal(line), err=True)


def tell(line: str) -> None:
    """Print a line of results to stdout; control characters in names become visible."""
    from astraclr.data.escaping import for_terminal

    typer.echo(for_terminal(line))


def say_notes(notes: Mapping[str, int]) -> None:
    """Print to stderr how often each thing happened, such as observations that were dropped."""
    for reason, n in notes.items():
        say(f"note: {reason}: {n:,}")


def help_text(command: Callable[..., object]) -> str:
    """Return the help of a command, its docstring, in which the lines from "Example" on are not wrapped."""
    return re.sub(r"^(?=Example)", "\b\n", inspect.getdoc(command) or "", flags=re.MULTILINE)


def one_line(message: object) -> str:
    """Join the lines of a message.

    Examples
    --------
    >>> one_line("cannot\\n  read it")
    'cannot read it'
    """
    return " ".join(str(message).split())


_OF_NAMES = {
    errno.EACCES: "you may not read or write it; change its permissions, or choose another",
    errno.EPERM: "you may not change it; choose another",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ELOOP: "its symbolic links lead in a circle; name the file itself",
    errno.EMFILE: "too many files are open; close some programs, or raise the limit (ulimit -n)",
}
"""What an error of the system that names a file means, and what to do."""


def _with_remedy(error: Exception) -> str:
    """Message of an error on one line; a missing package comes with the command that installs it."""
    line = one_line(error) or type(error).__name__
    if isinstance(error, MemoryError):
        return f"out of memory ({line}): give fewer stars at a time"
    if isinstance(error, OSError) and error.errno in _OF_NAMES:
        name = str(error.filename)
        return f"{name if len(name) < 200 else name[:40] + '...'}: {_OF_NAMES[error.errno]}"
    if isinstance(error, FileNotFoundError) and " " not in line:  # some libraries say only the path
        return f"{line} does not exist: is the folder that it belongs to complete?"
    if isinstance(error, EOFError):
        return f"a file ends too early ({line}); is it complete?"
    if isinstance(error, ImportError) and "pip install" not in line:
        line += "; install what is missing with: pip install 'astraclr[all]'"
    return line


def _written() -> str:
    """What a command has written so far, in words."""
    if not WRITTEN:
        return "no output was changed (files appear whole, or not at all)"
    names = [str(path) for path in dict.fromkeys(WRITTEN)]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"written before, and whole: {', '.join(names[:5])}{more}; nothing else was changed"


@contextmanager
def stoppable(saved: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C print what is `saved`, and end with exit code 130; on SIGTERM with 143."""
    try:
        yield
    except KeyboardInterrupt as error:
        say(f"stopped: {saved()}")
        raise typer.Exit(128 + (signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)) from None


@contextmanager
def _sigterm_stops() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that half-written files are removed."""

    def stop(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def check_output(path: Path, suffixes: Sequence[str], *inputs: Path | None) -> None:
    """Refuse a file that cannot be written, or that would replace one of the `inputs`, before any work starts.

    Raises
    ------
    ValueError
        If `path` is a folder, ends in none of `suffixes`, is an input, lies in the folder of a checkpoint, a training
        run or shards, or lies where nothing can be written.
    """
    from astraclr.parts import need_file_name

    need_file_name(path)
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it, ending in {suffixes[0]}")
    if path.suffix not in suffixes:
        raise ValueError(f"cannot write {path}: the name must end in {' or '.join(suffixes)}")
    for given in (g for g in inputs if g is not None and g.exists()):
        if path.exists() and path.samefile(given):
            raise ValueError(f"cannot write {path}: it is the input; choose another name")
        if given.is_dir() and _real(given) in _real(path).parents:
            raise ValueError(
                f"cannot write {path}: it would lie among the light curves of {given}; choose another folder"
            )
    if (kind := _kind_of(path.parent)) and path.suffix != ".safetensors":  # but a head lies beside its encoder
        raise ValueError(f"cannot write {path}: the folder holds {kind}, whose files stay alone; choose another folder")
    check_folder(path.parent, path)


def _kind_of(folder: Path) -> str:
    """What of ours a folder holds, in words; "" for nothing."""
    from astraclr.files import read_json

    if any((folder / name).exists() for name in ("state.safetensors", "state-previous.safetensors")):
        return "a training run"
    for name, beginning in (("config.json", "astraclr checkpoint"), ("manifest.json", "astraclr.shards")):
        try:
            if str(read_json(folder / name, 2**30).get("format")).startswith(beginning):
                return "shards" if name == "manifest.json" else "a checkpoint"
        except (OSError, ValueError):
            continue
    return ""


def check_apart(folder: Path, given: Path) -> None:
    """Refuse a folder to write into that is the input, lies in it or holds it.

    Raises
    ------
    ValueError
        If so.
    """
    out, read = _real(folder), _real(given)
    if out == read or read in out.parents:
        raise ValueError(f"cannot write {folder}: it would lie among the files of {given}; choose another folder")
    if out in read.parents and out == read.parent:
        raise ValueError(f"cannot write {folder}: it holds the input {given}; choose another folder")


def _real(path: Path) -> Path:
    """A path without symbolic links; those that lead in a circle stay."""
    return Path(os.path.realpath(path))


def check_folder(folder: Path, wanted: Path | None = None) -> None:
    """Refuse a folder that does not exist and cannot be made, or that cannot be written to.

    Raises
    ------
    ValueError
        If so; it names `wanted`, or else the folder.
    """
    above = [folder, *folder.absolute().parents]
    ancestor = next((p for p in above if p.exists()), Path("/"))
    if broken := [p for p in above[: above.index(ancestor)] if p.is_symlink()]:
        raise ValueError(
            f"cannot write {wanted or folder}: {broken[0]} is a symbolic link that leads nowhere; choose another place"
        )
    if not ancestor.is_dir():
        raise ValueError(f"cannot write {wanted or folder}: {ancestor} is a file, not a folder; choose another place")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write {wanted or folder}: {ancestor} is read-only for you; choose another folder")


def need_extra(extra: str, *modules: str) -> None:
    """Refuse to begin where a module of an optional extra is not installed.

    Raises
    ------
    ImportError
        It names what is missing, and the command that installs it.
    """
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise ImportError(f"this command needs {', '.join(missing)}: pip install 'astraclr[{extra}]'")


def use_threads(n: int) -> None:
    """Let torch compute with `n` threads."""
    import torch

    torch.set_num_threads(n)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write parquet (vectors as list<float32>) or, for a name that ends in .csv, CSV; whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from astraclr.data.escaping import write_csv
    from astraclr.files import replacing

    with replacing(path) as part:
        if path.suffix == ".csv":
            write_csv(table, part)
            return
        columns = pa.Table.from_pandas(table, preserve_index=False)
        if "embedding" in table:
            k = columns.schema.get_field_index("embedding")
            vectors = columns["embedding"].cast(pa.list_(pa.float32()))
            columns = columns.set_column(k, pa.field("embedding", vectors.type), vectors)
        pq.write_table(columns, part)


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write JSON; whole or not at all."""
    import json

    from astraclr.files import replacing

    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n")
