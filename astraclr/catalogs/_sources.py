"""What the readers share: which files of a folder are read, and which file an error is about."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd
import pyarrow as pa

from astraclr.files import regular

SUFFIXES = (".csv", ".tsv", ".tab", ".tbl", ".parquet", ".parq", ".pq", ".fits", ".fit", ".xml", ".vot")
"""Files of a folder with these suffixes are read, in any case; compressed ones too."""

_PARQUET = (".parquet", ".parq", ".pq")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
_NOT_DATA = ("_metadata", "_common_metadata", "_SUCCESS")
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, BadZipFile)


@contextmanager
def about(path: str | Path) -> Iterator[None]:
    """Let an error raised inside name `path`; errors of libraries about a broken file become ValueErrors too."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: nothing was written to it, or the download failed") from None
    except _DAMAGED as error:
        raise ValueError(f"{path} is damaged or cut off ({error}); copy or download it again") from error
    except (ValueError, pd.errors.ParserError, pa.ArrowException, RecursionError) as error:
        said = str(error)
        between = " " if said.startswith(("is ", "holds ")) else ": "
        raise ValueError(said if str(path) in said else f"{path}{between}{said}") from error
    except OSError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} cannot be read ({error}); is it complete?") from error


def light_curve_files(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    """The files of a folder (see `in_folder`), of a list, or the one file.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If there is no such file in the folder, or the list is empty.
    """
    if not isinstance(paths, str | Path):
        if files := [regular(p) for p in paths]:
            return files
        raise ValueError("no file to read: the list of paths is empty")
    found = regular(paths)
    if not found.is_dir() or is_dataset(found):
        return [found]
    if files := in_folder(found)[0]:
        return files
    raise ValueError(f"nothing to read in the folder {found}: no {', '.join(SUFFIXES)} file")


def is_dataset(path: Path) -> bool:
    """Whether a folder is one table in several parquet files, as Dask and Spark write it.

    Then it has a parquet suffix, or all its folders are named as ``band=g``, a column and its value.
    """
    if not path.is_dir():
        return False
    if path.suffix.lower() in _PARQUET:
        return True
    inner = [p.name for p in path.iterdir() if not p.name.startswith((".", "_"))]
    named = bool(inner) and all("=" in name and (path / name).is_dir() for name in inner)
    return named and bool(parts_of(path)[0])


def parts_of(path: Path) -> tuple[list[Path], list[Path]]:
    """The files of a data set: those that are parquet by suffix or first bytes, and others."""
    files: tuple[list[Path], list[Path]] = [], []
    for one in walk(path, datasets=False):
        files[not (one.suffix.lower() in _PARQUET or _begins(one, b"PAR1"))].append(one)
    return files


def _begins(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


_PERHAPS = (".txt", ".dat", ".json", ".part", ".data", ".lc", ".asc", ".ascii", ".ipac", ".ecsv", ".votable", "")


def perhaps(path: Path) -> bool:
    """Whether a file has a suffix of text that may hold a table, or none: it is read if its format is known."""
    return _suffix(path) in _PERHAPS


def in_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files of a folder and its sub-folders that are read, and those that are not, both sorted.

    A data set in a folder of its own counts as one file. Hidden files and what Dask, Spark and macOS leave are neither.

    Raises
    ------
    ValueError
        If there is nothing to read.
    """
    wanted, others = [], []
    if hats := next((p for p in folder.rglob("hats.properties")), None):
        raise ValueError(f"{folder} holds the HATS catalogue {hats.parent.name}: read {hats.parent} by itself")
    for path in walk(folder):
        (wanted if _suffix(path) in SUFFIXES else others).append(path)
    if not wanted and not any(map(perhaps, others)):
        names = sorted(p.name for p in folder.iterdir())
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        raise ValueError(
            f"nothing to read in the folder {folder}: no {', '.join(SUFFIXES)} file (it holds {listed or 'nothing'})"
        )
    return wanted, others


def skipped(others: list[Path], folder: Path) -> dict[str, int]:
    """A note that names the files of a folder that are not read."""
    if not others:
        return {}
    listed = ", ".join(str(p.relative_to(folder)) for p in others[:5]) + (", ..." if len(others) > 5 else "")
    return {f"not read: file without a known suffix ({listed})": len(others)}


def stem(path: Path) -> str:
    """The name of a file without its suffix, and without that of the compression."""
    return Path(path.stem).stem if path.suffix.lower() in _COMPRESSED else path.stem


def _suffix(path: Path) -> str:
    """The last suffix in lower case, that before ``.gz`` where the file is compressed."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in _COMPRESSED else suffix


def walk(folder: Path, datasets: bool = True) -> Iterator[Path]:
    """Files of a folder and its sub-folders; if `datasets`, a data set is one of them. What tools leave is left out."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in (*_NOT_DATA, "__MACOSX"):
            continue
        if path.is_dir() and not (datasets and is_dataset(path)):
            yield from walk(path, datasets)
        else:
            yield path
