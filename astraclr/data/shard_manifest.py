"""The manifest of a folder of shards: what there must be, what of it is done, and whether it is as it was written.

``manifest.json`` holds format and version, bands with wavelengths, the settings of the run that wrote it, whether it
has ended (complete), totals (stars, observations per band, bytes, notes), and the parts of the work in order: number,
notes, shards (file, stars, observations per band, bytes, SHA-256). It holds no path and no date: the same stars give
the same bytes.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa

from astraclr.data import cleaning
from astraclr.data.parquet import header_of
from astraclr.files import existing, need_known_version, own_name, read_json, replacing, sha256
from astraclr.folders import locked, need_no_others
from astraclr.parts import file_of_part

MANIFEST, FORMAT, VERSION = "manifest.json", "astraclr.shards", 1
_SECONDS_BETWEEN_SAVES = 5.0
_MOST_BYTES, _MOST = 2**30, 2**53
_SHARD = re.compile(r"part-\d{5,}-\d{3,}\.arrow")

Part = dict[str, Any]


def entries(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The shards of a manifest, in order."""
    return [shard for part in manifest["parts"] for shard in part["shards"]]


def fault(folder: Path, entry: dict[str, Any], check_hash: bool) -> str:
    """What is wrong with a shard, in words; "" if nothing is."""
    path = folder / entry["file"]
    if not path.is_file():
        return f"{entry['file']} is missing ({entry['bytes']:,} bytes)"
    if (size := path.stat().st_size) != entry["bytes"]:
        return f"{entry['file']} has {size:,} bytes, not {entry['bytes']:,}"
    if check_hash and (found := sha256(path)) != entry["sha256"]:
        return f"{entry['file']} has the SHA-256 {found}, not {entry['sha256']}"
    return ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder, checked without looking at the shards.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, or it is damaged, of a later version, or contradicts itself.
    """
    path = existing(existing(folder) / MANIFEST)
    with _readable(path):
        manifest = read_json(path, _MOST_BYTES)
        version = manifest["version"]
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, not {FORMAT!r}")
    need_known_version(path, version, VERSION)  # before what a later version may have laid out otherwise
    with _readable(path):
        if missing := {"bands", "complete", "settings", "parts"} - set(manifest):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        _check_types(manifest)
        if (found := _totals(manifest["parts"])) != {k: manifest[k] for k in found}:
            raise ValueError("its parts do not add up to its totals")
    return manifest


def _check_types(manifest: dict[str, Any]) -> None:
    """Raise ValueError for a field of another type than `Book` writes, or a number that no file could hold."""

    def counts(field: Any, what: str) -> None:
        if not isinstance(field, dict) or not all(map(_is_count, field.values())):
            raise ValueError(f"{what} is {str(field)[:50]!r}, not a count for each name")

    bands, complete = manifest["bands"], manifest["complete"]
    numbers = isinstance(bands, dict) and all(type(w) in (int, float) and 0 < w < math.inf for w in bands.values())
    if type(complete) is not bool or not isinstance(manifest["settings"], dict) or not numbers or complete > len(bands):
        raise ValueError("its bands, complete or settings are not what astraclr writes")
    if not isinstance(manifest["parts"], list):
        raise ValueError("its parts are no list")
    for part in manifest["parts"]:
        if not _is_count(part["part"]) or not isinstance(part["shards"], list):
            raise ValueError(f"part {str(part['part'])[:50]!r} is not what astraclr writes")
        counts(part["notes"], "notes")
        for entry in part["shards"]:
            own_name(entry["file"], "file")
            if not all(_is_count(entry[k]) for k in ("stars", "bytes")) or type(entry["sha256"]) is not str:
                raise ValueError(f"{entry['file']} has no count of stars or bytes, or no SHA-256")
            counts(entry["observations"], "observations")
            if max(entry["stars"], *entry["observations"].values()) > entry["bytes"]:
                raise ValueError(f"{entry['file']} would hold more stars or observations than bytes")
    for names in ([p["part"] for p in manifest["parts"]], [e["file"] for e in entries(manifest)]):
        if len(set(names)) < len(names):
            raise ValueError("a part or a file is there more than once")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Let what goes wrong inside name `path`, and say what to do."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"{path} is not a manifest that can be read ({what}); copy it again, or write the shards into another "
            "folder"
        ) from error


def _totals(parts: list[Part]) -> dict[str, Any]:
    shards = entries({"parts": parts})
    return {
        "stars": sum(e["stars"] for e in shards),
        "observations": cleaning.add_notes(*(e["observations"] for e in shards)),
        "bytes": sum(e["bytes"] for e in shards),
        "notes": cleaning.add_notes(*(p["notes"] for p in parts)),
    }


class Book:
    """Keeps the manifest while shards are written: opens what an earlier run left, notes parts as they are done.

    As a context manager it locks the folder, and saves however the block ends; in between every few seconds, for the
    run that is killed.

    Parameters
    ----------
    settings : what decides the shards, as plain JSON types

    Raises
    ------
    ValueError
        When the block begins: if another process writes into the folder, or it holds shards written with other
        settings, or files of others.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.parts: dict[int, Part] = {}
        self.bands: dict[str, float] = {}
        self._saved, self._news = time.monotonic(), False
        self._lock = ExitStack()

    def __enter__(self) -> Book:
        with ExitStack() as stack:
            stack.enter_context(locked(self.folder))
            self._open()
            self._lock = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            if error is not None and self._news and entries({"parts": self.in_order()}):
                self._save(complete=False)

    def _open(self) -> None:
        """Read what an earlier run left."""
        folder, settings = self.folder, self.settings
        if not (folder / MANIFEST).exists():
            need_no_others(folder, _is_shard)
        else:
            found = read_manifest(folder)
            if found["settings"] != settings:
                odd = [k for k in {**found["settings"], **settings} if found["settings"].get(k) != settings.get(k)]
                raise ValueError(
                    f"{folder} holds shards written with another {', '.join(odd)}: "
                    f"{ {k: found['settings'].get(k) for k in odd} }, now "
                    f"{ {k: settings.get(k) for k in odd} }; {_REMEDY}"
                )
            self.parts, self.bands = {p["part"]: p for p in found["parts"]}, found["bands"]

    def in_bands(self, bands: dict[str, float]) -> None:
        """Fix the bands, or raise ValueError if they were others before."""
        if self.bands and list(self.bands.items()) != list(bands.items()):
            raise ValueError(f"bands differ: {self.folder} has {self.bands}, these stars {bands}; {_REMEDY}")
        self.bands = dict(bands)

    def intact(self, part: int) -> bool:
        """Whether a part is done, and its shards still have their sizes and hashes."""
        return part in self.parts and not any(fault(self.folder, e, True) for e in self.parts[part]["shards"])

    def add(self, part: Part) -> None:
        """Note a part that is done, or raise ValueError if its shards were others before."""
        known = self.parts.setdefault(part["part"], part)
        if known["shards"] != part["shards"]:
            raise ValueError(f"{self.folder} holds shards of other stars (part {part['part']} differs); {_REMEDY}")
        self._news |= known is part
        if self._news and time.monotonic() - self._saved > _SECONDS_BETWEEN_SAVES:
            self._save(complete=False)

    def in_order(self) -> list[Part]:
        """The parts by number, in whatever order they were done."""
        return [self.parts[k] for k in sorted(self.parts)]

    def finished(self, n_parts: int) -> dict[str, Any]:
        """Write the manifest, and return it; ValueError if there is no star, or there were more parts before."""
        if len(self.parts) != n_parts:
            raise ValueError(f"{self.folder} holds {len(self.parts)} parts, these stars make {n_parts}; {_REMEDY}")
        totals = _totals(self.in_order())
        if not totals["stars"]:
            reasons = "; ".join(f"{k}: {n:,}" for k, n in totals["notes"].items()) or "the source is empty"
            raise ValueError(f"no star is left to write ({reasons}); if a cut dropped them, ask for fewer observations")
        for left in self.folder.glob(".*.part"):
            if _SHARD.fullmatch(file := file_of_part(left.name)) or file == MANIFEST:  # of a process that was killed
                left.unlink()
        return self._save(complete=True)

    def _save(self, complete: bool) -> dict[str, Any]:
        parts = self.in_order()
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "complete": complete,
            "bands": self.bands,
            "settings": self.settings,
            **_totals(parts),
            "parts": parts,
        }
        with replacing(self.folder / MANIFEST) as path:
            path.write_text(json.dumps(manifest, indent=1) + "\n")
        self._saved, self._news = time.monotonic(), False
        return manifest


def _is_shard(path: Path) -> bool:
    """Whether a file is a shard of a run that was killed before it wrote a manifest."""
    if not _SHARD.fullmatch(path.name) or not path.is_file():
        return False
    try:
        with pa.OSFile(str(path)) as source:
            return bool(header_of(pa.ipc.open_file(source).schema, path))
    except (pa.ArrowException, OSError, ValueError):
        return False


_REMEDY = "choose another folder, or remove this one to start anew"
