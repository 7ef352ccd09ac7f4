"""What the readers share: which files, which of them is at fault, and how notes add up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from astraclr.files import existing

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".parq", ".pq")


@contextmanager
def about(path: str | Path) -> Iterator[None]:
    """Let a ValueError raised inside name `path`; pandas' errors about broken CSV become ValueErrors too."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: nothing was written to it, or the download failed") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is neither parquet nor text; convert it to CSV or parquet first") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def is_parquet(path: Path) -> bool:
    """Whether the file says it is parquet, whatever its name.

    Raises
    ------
    ValueError
        If the file is empty.
    """
    with existing(path).open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise ValueError(f"{path} is empty: nothing was written to it, or the download failed")
    return magic == b"PAR1" or path.suffix in (".parquet", ".parq", ".pq")


def light_curve_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files of a folder (CSV and parquet, sub-folders too, sorted), of a list, or the one file.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If there is no such file in the folder, or the list is empty.
    """
    if not isinstance(paths, str | Path):
        if files := [existing(p) for p in paths]:
            return files
        raise ValueError("no file to read: the list of paths is empty")
    folder = existing(paths)
    if not folder.is_dir():
        return [folder]
    files = sorted(p for p in folder.rglob("*") if p.name.endswith(SUFFIXES) and not p.name.startswith((".", "_")))
    if not files:
        names = sorted(p.name for p in folder.iterdir())
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(
            f"nothing to read in the folder {folder}: no {', '.join(SUFFIXES)} file (it holds {listed or 'nothing'})"
        )
    return files
