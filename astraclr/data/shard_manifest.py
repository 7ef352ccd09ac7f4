"""The manifest of a folder of shards: what there must be, what of it is done, and whether it is as it was written.

``manifest.json`` holds format and version, bands with wavelengths, the settings of the run that wrote it, whether it
has ended (complete), totals (stars, observations per band, bytes, notes), and the parts of the work in order: number,
notes, shards (file, stars, observations per band, bytes, SHA-256). It holds no path and no date: the same stars give
the same bytes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from astraclr.data import cleaning
from astraclr.files import existing, need_known_version, replacing, sha256

MANIFEST, FORMAT, VERSION = "manifest.json", "astraclr.shards", 1
_SECONDS_BETWEEN_SAVES = 5.0

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
        manifest = json.loads(path.read_text())
        version = manifest["version"]
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, not {FORMAT!r}")
    need_known_version(path, version, VERSION)  # before what a later version may have laid out otherwise
    with _readable(path):
        if (found := _totals(manifest["parts"])) != {k: manifest[k] for k in found}:
            raise ValueError("its parts do not add up to its totals")
        if odd := [e["file"] for e in entries(manifest) if Path(e["file"]).name != e["file"]]:
            raise ValueError(f"{odd[0]} is no name of a file in this folder")
        if missing := {"bands", "complete", "settings"} - set(manifest):
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return manifest


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Let what goes wrong inside name `path`, and say what to do."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} is not a manifest that can be read ({error}); copy it again, or remove it and write "
            "the shards again"
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

    As a context manager it saves however the block ends; in between every few seconds, for the run that is killed.

    Parameters
    ----------
    settings : what decides the shards, as plain JSON types

    Raises
    ------
    ValueError
        If the folder holds shards written with other settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        self.parts: dict[int, Part] = {}
        self.bands: dict[str, float] = {}
        self._saved, self._news = time.monotonic(), False
        if (folder / MANIFEST).exists():
            found = read_manifest(folder)
            if found["settings"] != settings:
                odd = [k for k in {**found["settings"], **settings} if found["settings"].get(k) != settings.get(k)]
                raise ValueError(
                    f"{folder} holds shards written with another {', '.join(odd)}: "
                    f"{ {k: found['settings'].get(k) for k in odd} }, now "
                    f"{ {k: settings.get(k) for k in odd} }; {_REMEDY}"
                )
            self.parts, self.bands = {p["part"]: p for p in found["parts"]}, found["bands"]

    def __enter__(self) -> Book:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and self._news:
            self._save(complete=False)

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
            reasons = "; ".join(f"{k}: {n}" for k, n in totals["notes"].items()) or "the source is empty"
            raise ValueError(f"no star is left to write ({reasons})")
        for left in self.folder.glob(".*.part"):  # of a run that was killed
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


_REMEDY = "choose another folder, or remove this one to start anew"
