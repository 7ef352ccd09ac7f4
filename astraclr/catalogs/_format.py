"""What describes a format: how it is recognised, which columns play which role, which rules hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from astraclr.catalogs._photometry import Photometry, Values
from astraclr.data.names import ZTF_NAMES
from astraclr.data.quality import Quality

Names = tuple[str, ...]


@dataclass(frozen=True)
class Format:
    """What a file is called, how it is recognised, and which columns play which role.

    Attributes
    ----------
    name, title : a word for code, and words for people
    signs : columns by which it is recognised: all must be there, of a tuple of names at least one
    roles : role -> columns that may play it, the first that is there is taken
    source : where the names and rules are documented
    band_names : other spellings of bands
    scale : errors in mag from the values of their column and whether these are whole numbers
    photometry : magnitudes from other roles than mag and magerr
    quality : flags of this format alone, beside those that are always heeded
    time_zero : MJD of the time 0, where times are counted from there
    bands : wavelengths that are taken where the caller names none
    one_star : whether a file without an object_id holds one star, named by the file
    limits : whether a magnitude that begins with > is a limit, which is dropped with a count
    short_julian : whether times below 20,000 are Julian dates - 2450000
    said : what is said of every observation that is read, for example its zero point
    """

    name: str
    title: str
    signs: tuple[str | Names, ...]
    roles: Mapping[str, Names]
    source: str
    band_names: Mapping[str, str] = field(default_factory=lambda: ZTF_NAMES)
    scale: Callable[[np.ndarray, bool], np.ndarray] | None = None
    photometry: Callable[[Values], Photometry] | None = None
    quality: tuple[Quality, ...] = ()
    time_zero: float | None = None
    bands: Mapping[str, float] | None = None
    one_star: bool = False
    limits: bool = False
    short_julian: bool = False
    said: str = ""

    @property
    def needed(self) -> list[str]:
        """Roles without which nothing can be read; a format with the role oid can do without an object_id."""
        optional = {"oid", "ra", "dec", "label", "period"}
        if "oid" in self.roles or self.one_star:
            optional.add("object_id")
        return [role for role in self.roles if role not in optional]
