"""Settings: a preset says how large an encoder and its training are, a recipe which method it is.

Recipes and their views stand in `astraclr.recipes`; their names can be imported from here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from astraclr.recipes import RECIPES as RECIPES
from astraclr.recipes import Recipe as Recipe
from astraclr.recipes import View as View
from astraclr.recipes import named
from astraclr.recipes import recipe as recipe

ZTF_BANDS: dict[str, float] = {"g": 4746.48, "r": 6366.38, "i": 7829.03}
"""Effective wavelengths in angstrom (SVO filter profile service)."""

RUBIN_BANDS: dict[str, float] = {
    "u": 3751.20,
    "g": 4740.66,
    "r": 6172.34,
    "i": 7500.97,
    "z": 8678.90,
    "y": 9711.82,
}
"""Effective wavelengths in angstrom of Rubin's LSST bands (SVO filter profile service)."""


@dataclass(frozen=True)
class Preset:
    """Sizes: of the encoder, its windows, the data and the training.

    Attributes
    ----------
    name : of the preset, in names of checkpoints and tables
    d_model, n_layers, n_heads, d_ff : width, layers, attention heads and feed-forward width of the encoder
    windows : (band, number of observations) of the longest view and of each crop of an embedding
    n_stars, n_probe : light curves to train on; labelled ones for each of probe training and probe test
    batch_size, steps, warmup : stars in a step; optimiser steps; steps until the learning rate peaks
    evaluate_every, patience : steps between validations; validations without a better loss before training stops
    replicas : devices that share a batch; it matters where a recipe's `negatives` are "replica"

    Examples
    --------
    >>> PRESETS["tiny"].d_model, dict(PRESETS["tiny"].windows)
    (64, {'g': 40, 'r': 48, 'i': 8})
    """

    name: str
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int
    windows: tuple[tuple[str, int], ...]
    n_stars: int
    n_probe: int
    batch_size: int
    steps: int
    warmup: int = 1000
    evaluate_every: int = 50
    patience: int = 20
    replicas: int = 1

    def window(self, band: str, wavelength: float, bands: Mapping[str, float] | None = None) -> int:
        """Observations taken of a band; a band that the preset does not name takes the window of the nearest it names.

        Parameters
        ----------
        band : name
        wavelength : of `band`, angstrom
        bands : name -> wavelength in angstrom of the preset's bands that are not ZTF's, such as `LightCurves.bands`;
            the preset's bands without a known wavelength are passed over

        Returns
        -------
        int

        Raises
        ------
        ValueError
            If the preset names no window for `band`, and no wavelength of any of its own bands is known.

        Examples
        --------
        >>> PRESETS["tiny"].window("B", 5200.0)
        40
        """
        own, wavelengths = dict(self.windows), {**(bands or {}), **ZTF_BANDS}
        if window := own.get(band):
            return window
        if not (known := [b for b in own if b in wavelengths]):
            raise ValueError(
                f"preset {self.name!r} has no window for band {band!r}, and none of its bands ({', '.join(own)}) has a "
                f"known wavelength to take the nearest: add ({band!r}, NUMBER) to its windows"
            )
        return own[min(known, key=lambda b: abs(wavelengths[b] - wavelength))]


_FULL = (("g", 300), ("r", 350), ("i", 50))

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("tiny", 64, 2, 2, 128, (("g", 40), ("r", 48), ("i", 8)), 4_000, 1_500, 128, 400, 500, 50),
        Preset("laptop", 64, 2, 4, 128, (("g", 100), ("r", 120), ("i", 20)), 40_000, 3_000, 32, 4_000, 500, 200),
        Preset("gpu", 256, 4, 8, 1024, _FULL, 2_100_000, 6_000, 1024, 20_000, 1000, 500),
        Preset("paper", 512, 4, 8, 2048, _FULL, 2_100_000, 60_000, 8 * 78, 250 * 2_692, 1000, 2_692, replicas=8),
    )
}
"""`paper`: 250 epochs of 0.8 x 2.1 M stars in batches of 8 x 78, validated once an epoch (method of the paper)."""


def preset(name: str | Preset) -> Preset:
    """Return the preset of a name; a preset is returned as it is.

    Raises
    ------
    ValueError
        If there is none of that name; it lists the names.

    Examples
    --------
    >>> preset("laptop").batch_size
    32
    """
    return name if isinstance(name, Preset) else named(PRESETS, name, "preset")


def to_dict(settings: Preset | Recipe) -> dict[str, Any]:
    """Settings as plain JSON types; `model.saved_settings` reads them.

    Examples
    --------
    >>> to_dict(PRESETS["tiny"])["d_model"]
    64
    """
    return asdict(settings)
