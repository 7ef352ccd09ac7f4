"""Parse the values of --band, --cut, --near and --precision, and refuse what is malformed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from astraclr.config import RUBIN_BANDS

if TYPE_CHECKING:
    from astraclr.model.device import Precision

ANGSTROM_RANGE = (1_000.0, 100_000.0)
"""Wavelengths from ultraviolet to mid-infrared; one outside was probably given in nanometres or micrometres."""


def parse_bands(given: Sequence[str] | None) -> dict[str, float] | None:
    """Turn the values of --band into wavelengths (angstrom) by band, None without any; ``rubin`` gives Rubin's bands.

    Raises
    ------
    ValueError
        For anything but NAME=ANGSTROM, a name given twice, or a wavelength outside `ANGSTROM_RANGE`.

    Examples
    --------
    >>> parse_bands(["g=4746.48", "r=6366.38"])
    {'g': 4746.48, 'r': 6366.38}
    """
    bands: dict[str, float] = {}
    if list(given or ()) == ["rubin"]:
        return dict(RUBIN_BANDS)
    for text in given or ():
        name, _, value = text.partition("=")
        angstrom = _number(value)
        low, high = ANGSTROM_RANGE
        if not name or angstrom is None or not low <= angstrom <= high:
            raise ValueError(
                f"--band {text!r}: write NAME=ANGSTROM with an effective wavelength of {low:,.0f} to "
                f"{high:,.0f} angstrom, such as --band g=4746.48"
            )
        if name in bands:
            raise ValueError(f"--band {name} is given twice")
        bands[name] = angstrom
    return bands or None


def parse_cut(text: str) -> dict[str, int]:
    """Turn the value of --cut into the smallest number of epochs by band.

    Raises
    ------
    ValueError
        For anything but BAND=EPOCHS, separated by commas.

    Examples
    --------
    >>> parse_cut("g=200,r=200")
    {'g': 200, 'r': 200}
    """
    cut: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = (p.strip() for p in part.partition("="))
        if not name or not count.isdecimal():
            raise ValueError(f"--cut {text!r}: write BAND=EPOCHS, separated by commas, such as --cut g=200,r=200")
        cut[name] = int(count)
    return cut


def parse_near(text: str | None) -> tuple[float, float, float] | None:
    """Turn the value of --near into right ascension (degrees), declination (degrees) and radius (arcsec).

    Raises
    ------
    ValueError
        For anything but three numbers in their ranges, separated by commas.

    Examples
    --------
    >>> parse_near("244.19,0.27,60")
    (244.19, 0.27, 60.0)
    """
    if text is None:
        return None
    values = [_number(v) for v in text.split(",")]
    if len(values) != 3 or None in values:
        raise ValueError(f"--near {text!r}: write RA,DEC,RADIUS in degrees, degrees, arcsec, such as 244.19,0.27,60")
    ra, dec, radius = (float(v or 0) for v in values)
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and radius > 0):
        raise ValueError(f"--near {text!r}: RA must be 0 to 360, DEC -90 to 90 degrees, and the radius above 0 arcsec")
    return ra, dec, radius


def _number(text: str) -> float | None:
    """Return the finite number that a text holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def precision(text: str) -> Precision:
    """Return the value of --precision as it is.

    Raises
    ------
    ValueError
        For another word.

    Examples
    --------
    >>> precision("float32")
    'float32'
    """
    if text not in ("auto", "float32", "bfloat16"):
        raise ValueError(f"--precision {text!r}: choose auto, float32 or bfloat16")
    return cast("Precision", text)
