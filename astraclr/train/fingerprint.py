"""The fingerprint of the method: numbers that it computes; kept results are reused while these stay the same.

A digest of source text goes stale with every docstring, and misses what stands in another file. Here the method is run
instead, for about two seconds, on fixed stars that include extreme ones. A fingerprint has two parts. The exact one
holds integers and text (splits, batch order, random bits, which observations a view shows) as digests that must be
equal. The close one holds what rounds differently from one processor to the next (losses, validation measures, norms):
numbers that must agree within `CLOSE`. Nothing here reads source files, so that code may be renamed, moved, explained
and rewritten.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from astraclr.config import Preset, Recipe, to_dict
from astraclr.files import replacing
from astraclr.train.behaviour import PARTS, Part

METHOD_VERSION = 1
"""Raise it by one when a change alters what is learnt or how it is scored, and no fingerprint can see it: in what only
several processes or a GPU do, or in a case that `fixed_cases.stars` do not meet. What was kept is then made anew."""
CLOSE = 5e-5
"""Relative. Instruction sets of processors, emulated, differ by less than a tenth of it."""
FINGERPRINT = "fingerprint.json"
"""In the folder of a run: what the method did when it was begun."""
NEUTRAL: dict[str, Any] = {
    "global_contrast": 0.0,
    "global_temperature": 0.15,
    "global_inputs": "summaries",
    "folded_input": "none",
}
"""Switches of presets, recipes and views that were added later, each with the position in which all stays as it was.
There they are left out of `settings_digest`, so that a new switch leaves what was kept before as it is."""
ADDED = ("described",)
"""Parts of `behaviour.PARTS` that were added later, for switches that were in their `NEUTRAL` position before: a
fingerprint without them is of something that does not depend on them."""


@dataclass(frozen=True)
class Fingerprint:
    """What some code does.

    Attributes
    ----------
    exact : name -> digest of integers and text
    close : name -> numbers, compared within `CLOSE`
    """

    exact: dict[str, str]
    close: dict[str, tuple[float, ...]]

    @property
    def digest(self) -> str:
        """Eight characters that change with the exact part alone, for names of folders."""
        return digest_of(self.exact)

    def differences(self, before: Fingerprint) -> list[str]:
        """One line for each entry that differs from one made `before`; none where kept results can be used."""
        later = [part for part in ADDED if not any(_is_of(part, name) for name in before.exact | before.close)]

        def counts(name: str) -> bool:
            return not any(_is_of(part, name) for part in later)

        names = [n for n in (self.exact | before.exact) if counts(n) and self.exact.get(n) != before.exact.get(n)]
        lines = [f"{name}: {before.exact.get(name)} before, {self.exact.get(name)} now" for name in names]
        for name in filter(counts, self.close | before.close):
            old, new = before.close.get(name, ()), self.close.get(name, ())
            if len(old) != len(new):
                lines.append(f"{name}: {len(old)} numbers before, {len(new)} now")
            elif away := [k for k, pair in enumerate(zip(old, new, strict=True)) if not _are_close(*pair)]:
                k = max(away, key=lambda k: apart(old[k], new[k]))
                lines.append(f"{name}, number {k + 1} of {len(new)}: {old[k]:.8g} before, {new[k]:.8g} now")
        return lines

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Plain JSON, the numbers of an entry with nine digits on one line."""
        return {"exact": self.exact, "close": {k: " ".join(f"{v:.9g}" for v in c) for k, c in self.close.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, str]]) -> Fingerprint:
        """What `to_dict` wrote."""
        return cls(dict(values["exact"]), {k: tuple(float(v) for v in c.split()) for k, c in values["close"].items()})


def _is_of(part: str, entry: str) -> bool:
    return entry.startswith(f"{part}, ")


def apart(a: float, b: float) -> float:
    """Relative difference of two numbers; infinite where one is not finite and they are not equal."""
    if a == b:
        return 0.0
    largest = max(abs(a), abs(b))
    return abs(a - b) / largest if np.isfinite(largest) else np.inf


def _are_close(a: float, b: float) -> bool:
    return apart(a, b) <= CLOSE


def digest_of(*values: Any) -> str:
    """Eight characters that change with plain JSON values; equal for equal numbers on every machine."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


def save_fingerprint(fingerprint: Fingerprint, folder: str | Path) -> None:
    """Write it beside a run; the folder is made where there is none."""
    with replacing(Path(folder) / FINGERPRINT) as part:
        part.write_text(json.dumps(fingerprint.to_dict(), indent=1) + "\n")


def load_fingerprint(folder: str | Path) -> Fingerprint:
    """Read what `save_fingerprint` wrote; one that is missing or damaged is empty, and agrees with no other."""
    try:
        return Fingerprint.from_dict(json.loads((Path(folder) / FINGERPRINT).read_text()))
    except (OSError, KeyError, TypeError, ValueError, AttributeError):
        return Fingerprint({}, {})


def settings_digest(*settings: Preset | Recipe | str | int) -> str:
    """Eight characters that change with the settings of a run or a row; see `NEUTRAL`."""

    def canonical(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: canonical(v) for k, v in value.items() if k not in NEUTRAL or v != NEUTRAL[k]}
        return [canonical(v) for v in value] if isinstance(value, list | tuple) else value

    return digest_of([canonical(to_dict(s)) if isinstance(s, Preset | Recipe) else s for s in settings])


@cache
def method_fingerprint() -> Fingerprint:
    """What simulation, views, losses and training do now; computed once in a process, in about three seconds."""
    made = fingerprint_of(PARTS)
    return Fingerprint({"method version": digest_of(METHOD_VERSION)} | made.exact, made.close)


def fingerprint_of(parts: Mapping[str, Callable[[], Part]]) -> Fingerprint:
    """Run some parts, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {name: part() for name, part in parts.items()}
    finally:
        torch.set_num_threads(threads)
    exact = {f"{name}, {entry}": digest_of(v) for name, (values, _) in found.items() for entry, v in values.items()}
    close = {f"{name}, {entry}": v for name, (_, numbers) in found.items() for entry, v in numbers.items()}
    return Fingerprint(exact, {name: tuple(np.ravel(values).astype(float).tolist()) for name, values in close.items()})
