"""Large tables as parquet files in a folder, one a partition, with a manifest; written by many processes, resumable.

Every file appears whole or not at all, and its header says for which run it was written; so whatever was killed, and
whenever, the same run finds what is done. ``manifest.json`` holds format and version, the
settings of the run, whether it has ended (complete), totals (rows, rows read, notes) and, once it has, the parts in
order (file, rows, bytes, SHA-256, notes). It holds no path and no date: the same run gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from astraclr.data.cleaning import Notes, add_notes
from astraclr.files import existing, need_known_version, read_json, replacing, sha256
from astraclr.folders import need_no_others
from astraclr.parts import file_of_part

MANIFEST, FORMAT, VERSION = "manifest.json", "astraclr.tables", 1
_HEADER = b"astraclr.part"
_MOST_BYTES = 2**30
_REMEDY = "choose another folder, or remove this one to start anew"


def run_key(settings: dict[str, Any]) -> str:
    """A line that tells a run from others: the SHA-256 of its settings.

    Examples
    --------
    >>> run_key({"fusion": "mean"}) == run_key({"fusion": "concat"})
    False
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def write_part(
    pieces: Iterable[tuple[pa.Table | None, Notes, int]], folder: Path, file: str, key: str
) -> dict[str, Any]:
    """Write one part, a piece at a time, as one parquet file, whole or not at all; without rows there is no file.

    Parameters
    ----------
    pieces : rows of the same columns, or None; what was dropped or counted; and how many rows of the source were read
    folder, file : where to write
    key : of the run, see `run_key`

    Returns
    -------
    dict
        Facts of the part: file, rows, read, notes.
    """
    facts: dict[str, Any] = {"file": file, "rows": 0, "read": 0, "notes": {}}
    with replacing(folder / file) as path, ExitStack() as stack:
        writer = None
        for table, notes, read in pieces:
            facts["read"] += read
            facts["notes"] = add_notes(facts["notes"], notes)
            if table is None:
                continue
            writer = writer or stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table)
            facts["rows"] += len(table)
        if writer is not None:
            header = {"run": key, "notes": facts["notes"], "read": facts["read"]}
            writer.add_key_value_metadata({_HEADER: json.dumps(header)})
    if not facts["rows"]:
        (folder / file).unlink()
    return facts


def part_facts(folder: Path, file: str, key: str) -> dict[str, Any] | None:
    """Facts of a part that a run has written, without reading it; None if it is not there, not whole, or of another."""
    path = folder / file
    try:
        meta = pq.read_metadata(path)
        header = json.loads((meta.metadata or {})[_HEADER])
        if header["run"] != key:
            return None
        return {"file": file, "rows": meta.num_rows, "read": header["read"], "notes": header["notes"]}
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it is damaged, or a later version wrote it.
    """
    path = existing(existing(folder) / MANIFEST)
    wanted = {"settings": dict, "complete": bool, "parts": list}
    try:
        manifest = read_json(path, _MOST_BYTES)
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']!r}, not {FORMAT!r}")
        version = manifest["version"]
        if odd := [k for k, kind in wanted.items() if not isinstance(manifest.get(k), kind)]:
            raise ValueError(f"its field {odd[0]} is missing or of the wrong kind")
        for part in manifest["parts"]:
            _check_part(part)
        rows = sum(p["rows"] for p in manifest["parts"])
        if manifest["complete"] and manifest.get("rows") != rows:
            raise ValueError(f"its parts have {rows} rows, not {manifest.get('rows')}")
        if odd := [
            p["file"] for p in manifest["parts"] if ".." in Path(p["file"]).parts or Path(p["file"]).is_absolute()
        ]:
            raise ValueError(f"{odd[0]} is no name of a file in this folder")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the manifest of a table in parts ({error}); {_REMEDY}") from error
    need_known_version(path, version, VERSION)
    return manifest


def _check_part(part: Any) -> None:
    """Raise ValueError for an entry that `TableParts.finished` does not write."""
    wanted = {"file": str, "rows": int, "read": int, "notes": dict}
    if isinstance(part, dict) and part.get("rows"):
        wanted |= {"bytes": int, "sha256": str}
    if not isinstance(part, dict) or any(type(part.get(k)) is not kind for k, kind in wanted.items()):
        raise ValueError(f"the entry {str(part)[:100]} is not that of a part")


def is_parts(path: str | Path) -> bool:
    """Whether a path is a folder with the manifest of a table in parts."""
    manifest = Path(path) / MANIFEST
    try:
        if not manifest.is_file():
            return False
        with manifest.open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


def part_files(folder: str | Path) -> list[Path]:
    """The files of a table in parts, in order; each is there, and as it was written.

    Raises
    ------
    FileNotFoundError, ValueError
        If the manifest cannot be read, the run has not ended, or files are missing or have changed.
    """
    folder, manifest = Path(folder), read_manifest(folder)
    if not manifest["complete"]:
        raise ValueError(f"{folder}: not all written yet; run the command that was writing it again")
    files = [folder / p["file"] for p in manifest["parts"] if p["rows"]]
    odd = [p["file"] for p in manifest["parts"] if not _intact(folder, p)]
    if odd:
        raise ValueError(
            f"{folder}: {len(odd)} of {len(files)} files are missing or damaged ({', '.join(odd[:3])}); run the "
            "command that wrote it again: it writes only these anew"
        )
    return files


class TableParts:
    """A table in parts while it is written: refuses what another run left, and knows which parts are done.

    Parameters
    ----------
    folder : where to write
    settings : what decides the result, as plain JSON types
    files : the files of all parts, in order

    Raises
    ------
    ValueError
        If the folder holds the results of another run, or other files.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], files: Sequence[str]) -> None:
        self.folder, self.settings, self.files = folder, settings, list(files)
        self.key = run_key(settings)
        self.done: dict[str, dict[str, Any]] = {}
        self.was_complete = False
        if (folder / MANIFEST).exists():
            found = read_manifest(folder)
            _need_same(folder, found["settings"], json.loads(json.dumps(settings)))
            self.was_complete = found["complete"]
            known = {p["file"]: p for p in found["parts"]}
            self.done = {f: known[f] for f in self.files if f in known and _intact(folder, known[f])}
        else:
            need_no_others(folder)
        if not self.was_complete:
            self.done = {f: facts for f in self.files if (facts := part_facts(folder, f, self.key))}
            self._save([], complete=False)

    @property
    def left(self) -> list[str]:
        """Files of the parts that are not done."""
        return [f for f in self.files if f not in self.done]

    def add(self, facts: dict[str, Any]) -> None:
        """Note a part that is done: file, rows, read, notes."""
        self.done[facts["file"]] = facts

    def finished(self) -> dict[str, Any]:
        """Write the manifest, and return it; ValueError if no row was written."""
        parts = []
        for file in self.files:
            facts, path = self.done[file], self.folder / file
            more = {"bytes": path.stat().st_size, "sha256": sha256(path)} if facts["rows"] else {}
            parts.append({k: facts[k] for k in ("file", "rows", "read", "notes")} | more)
        if not any(p["rows"] for p in parts):
            reasons = "; ".join(f"{k}: {n}" for k, n in add_notes(*(p["notes"] for p in parts)).items())
            raise ValueError(f"no star is left to write ({reasons or 'the source is empty'})")
        ours = {*self.files, MANIFEST}
        for left in self.folder.rglob(".*.part"):  # of processes that were killed
            if str(left.relative_to(self.folder).with_name(file_of_part(left.name) or left.name)) in ours:
                left.unlink(missing_ok=True)
        return self._save(parts, complete=True)

    def _save(self, parts: list[dict[str, Any]], complete: bool) -> dict[str, Any]:
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "complete": complete,
            "settings": self.settings,
            "rows": sum(p["rows"] for p in parts),
            "read": sum(p["read"] for p in parts),
            "notes": add_notes(*(p["notes"] for p in parts)),
            "parts": parts,
        }
        with replacing(self.folder / MANIFEST) as path:
            path.write_text(json.dumps(manifest, indent=1) + "\n")
        return manifest


def _need_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ValueError if the folder holds results of other settings."""
    if found == wanted:
        return
    odd = [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]
    shown = "; ".join(f"{k} {_short(found.get(k))}, now {_short(wanted.get(k))}" for k in odd)
    raise ValueError(f"{folder} holds the results of another run ({shown}); {_REMEDY}")


def _short(value: Any) -> str:
    text = value[:12] if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}..."


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _intact(folder: Path, part: dict[str, Any]) -> bool:
    """Whether the file of a part is as it was written; a part without rows has none."""
    path = folder / part["file"]
    return not part["rows"] or (_size(path) == part["bytes"] and sha256(path) == part["sha256"])
