"""Two knobs and no third: a preset says how big, a recipe says which method."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from astraclr.lightcurves import ZTF_BANDS


@dataclass(frozen=True)
class Preset:
    """How big: the encoder, its windows, the data and the training.

    Attributes
    ----------
    windows : observations per band of the long view and of an embedding's crop
    n_stars : light curves to train on, `n_probe` labelled ones for each of probe training and probe test
    steps, batch_size, warmup : optimiser steps; stars in a step; steps until the learning rate peaks
    evaluate_every, patience : steps between validations; validations without a better loss before training stops
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

    def window(self, band: str, wavelength: float) -> int:
        """Observations taken of a band; one without a window of its own takes that of the nearest in wavelength."""
        known = dict(self.windows)
        return known.get(band) or known[min(known, key=lambda b: abs(ZTF_BANDS[b] - wavelength))]


_FULL = (("g", 300), ("r", 350), ("i", 50))
PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset("tiny", 64, 2, 2, 128, (("g", 40), ("r", 48), ("i", 8)), 4_000, 1_500, 128, 400, 500, 50),
        Preset("laptop", 128, 3, 4, 256, (("g", 100), ("r", 120), ("i", 20)), 20_000, 3_000, 128, 450, 500, 50),
        Preset("gpu", 256, 4, 8, 1024, _FULL, 2_100_000, 6_000, 1024, 20_000, 1000, 500),
        Preset("paper", 512, 4, 8, 2048, _FULL, 2_100_000, 60_000, 8 * 78, 250 * 2_692, 1000, 2_692),
    )
}  # fmt: skip
"""`paper`: 250 epochs of 0.8 x 2.1 M stars in batches of 8 x 78, validated once an epoch (method of the paper)."""


@dataclass(frozen=True)
class View:
    """One view of a star: window as a fraction of the preset's, noise, dropped share of 5-day bins, outlier or not."""

    name: str
    fraction: float = 1.0
    noise: float = 0.0
    bin_dropout: float = 0.0
    outlier: bool = False


@dataclass(frozen=True)
class Recipe:
    """Which method. Every field is one place where the paper's code surprises, and can be switched.

    Attributes
    ----------
    noise_unit : `View.noise` in magnitudes, or in units of each point's own error
    bin_rule : "share" drops that share of the occupied bins; "ranks" compares ranks of bins with bin numbers, as the
        paper's code does, and so drops fewer points
    drop_in_place : dropped points use up window length (they are masked where they stand)
    last_start : the last possible window start can be drawn
    outlier_sides : outliers only brighter, or brighter and fainter
    time_rates : "days": 1 rad/day and slower (Vaswani et al. 2017); "log": 0.05 to 1,000 days, log-spaced
    loss_sum : multiply the mean loss by V(V-1), as summing pairs and dividing by the batch does
    keras_adam : Adam with epsilon outside the bias correction, and a first learning rate of exactly 0
    fixed_validation : the same seeded views at every validation, not fresh ones
    """

    name: str
    views: tuple[View, ...]
    noise_unit: Literal["mag", "error"] = "error"
    bin_rule: Literal["share", "ranks"] = "share"
    drop_in_place: bool = False
    last_start: bool = True
    outlier_sides: Literal["bright", "both"] = "both"
    time_rates: Literal["days", "log"] = "log"
    loss_sum: bool = False
    keras_adam: bool = False
    fixed_validation: bool = True
    temperature: float = 0.1
    dropout: float = 0.1


RECIPES: dict[str, Recipe] = {
    "paper": Recipe(
        "paper",
        (View("anchor", 1.0, 0.05), View("canonical", 0.5), View("hard", 1.0, 0.10, 0.5, True)),
        "mag", "ranks", True, False, "bright", "days", True, True, False,
    ),
    "corrected": Recipe(
        "corrected",
        (View("anchor", 1.0, 1.0), View("canonical", 0.5), View("hard", 1.0, 2.0, 0.5, True)),
    ),
}  # fmt: skip
"""`paper`: as its authors ran it; `corrected`: the same design without the slips (the default)."""


def preset(name: str | Preset) -> Preset:
    """The preset of that name; ValueError lists the names."""
    return name if isinstance(name, Preset) else _named(PRESETS, name, "preset")


def recipe(name: str | Recipe) -> Recipe:
    """The recipe of that name; ValueError lists the names."""
    return name if isinstance(name, Recipe) else _named(RECIPES, name, "recipe")


def _named(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(f"no {what} {name!r}; choose one of {', '.join(table)}")
    return table[name]


def to_dict(settings: Preset | Recipe) -> dict[str, Any]:
    """Settings as plain JSON types."""
    return asdict(settings)


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """The preset that `to_dict` wrote."""
    return Preset(**{**values, "windows": tuple((band, int(n)) for band, n in values["windows"])})


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe that `to_dict` wrote."""
    return Recipe(**{**values, "views": tuple(View(**v) for v in values["views"])})
