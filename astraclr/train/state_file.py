"""The file of a run's state: safetensors with a checksum, written whole, and kept in two generations."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from torch import Tensor

from astraclr.files import need_known_version, regular, replacing

STATE, PREVIOUS = "state.safetensors", "state-previous.safetensors"
_FORMAT, _VERSION = "astraclr state", 1


class DamagedStateError(Exception):
    """A state that is cut short or altered, or whose weights are not finite."""


def write_state(folder: Path, tensors: dict[str, Tensor], settings: str, facts: dict[str, Any]) -> None:
    """Write the newest state of a run; the newest so far becomes the previous one.

    Parameters
    ----------
    tensors : weights ("last/...", "best/..."), moments ("adam/...") and history
    settings : of the run, as JSON
    facts : counters, plain JSON

    Raises
    ------
    OSError, ValueError
        If it cannot be written; the states on disk are then as they were.
    """
    from safetensors.torch import save

    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    meta = {"format": f"{_FORMAT} {_VERSION}", "settings": settings, "facts": json.dumps(facts)}
    content = save(tensors, metadata=meta | {"checksum": checksum(tensors, meta)})
    with replacing(folder / STATE) as part:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # renamed before its content is on disk, it could be empty after a power cut
        if (folder / STATE).exists():
            (folder / STATE).replace(folder / PREVIOUS)


def read_state(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a state.

    Returns
    -------
    meta, tensors : "settings" and "facts" as JSON; what `write_state` was given

    Raises
    ------
    DamagedStateError
        If it is not whole, or holds weights that are not finite.
    ValueError
        If a later version wrote it.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(regular(path), framework="pt") as file:
            meta, tensors = file.metadata(), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        kind, _, number = meta.get("format", f"{_FORMAT} 1").rpartition(" ")  # the first states had no format
        version = int(number) if kind == _FORMAT else 0
        whole = version != _VERSION or meta["checksum"] == checksum(tensors, meta)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedStateError(f"{path} is damaged ({error})") from error
    need_known_version(path, version, _VERSION)
    if not whole:
        raise DamagedStateError(f"{path} is damaged (its checksum does not fit)")
    if not all(v.isfinite().all() for k, v in tensors.items() if k.startswith(("last/", "best/", "adam/"))):
        raise DamagedStateError(f"{path} is damaged (its weights are not finite: training had diverged)")
    return meta, tensors


_FACTS = {"done": int, "finished": bool, "seconds": float, "best_loss": float, "best_step": int, "columns": list}


def facts_of(path: Path, meta: dict[str, str]) -> dict[str, Any]:
    """Counters of a state, and the names of the columns of its history.

    Raises
    ------
    DamagedStateError
        If one is missing or of another type, or not counted rightly.
    """
    try:
        facts = json.loads(meta["facts"])
        for name, kind in _FACTS.items():
            if type(facts[name]) is not kind and not (kind is float and type(facts[name]) is int):
                raise ValueError(f"its {name} is {str(facts[name])[:50]!r}")
        if not 0 <= facts["best_step"] <= facts["done"] or not all(isinstance(c, str) for c in facts["columns"]):
            raise ValueError(f"its best step is {facts['best_step']} of {facts['done']}")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedStateError(f"{path} is damaged ({error})") from error
    return facts


def checksum(tensors: dict[str, Tensor], meta: dict[str, str]) -> str:
    """CRC-32 of names and bytes of the tensors, of format (if there is one), settings and facts."""
    crc = zlib.crc32(f"{meta.get('format', '')}{meta['settings']}{meta['facts']}".encode())
    for name in sorted(tensors):
        crc = zlib.crc32(tensors[name].numpy().tobytes(), zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"


def parts_of(tensors: dict[str, Tensor], first: str) -> dict[str, Tensor]:
    """Those whose names begin with `first`, under the rest of their names.

    Examples
    --------
    >>> import torch
    >>> list(parts_of({"last/bias": torch.zeros(1), "best/bias": torch.ones(1)}, "last/"))
    ['bias']
    """
    return {k.removeprefix(first): v for k, v in tensors.items() if k.startswith(first)}
