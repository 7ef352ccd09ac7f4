"""Two knobs and no third: a preset says how big, a recipe says which method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

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
    """How big: the encoder, its windows, the data and the training.

    Attributes
    ----------
    windows : observations per band of the long view and of an embedding's crop
    n_stars : light curves to train on, `n_probe` labelled ones for each of probe training and probe test
    steps, batch_size, warmup : optimiser steps; stars in a step; steps until the learning rate peaks
    evaluate_every, patience : steps between validations; validations without a better loss before training stops
    replicas : devices that share a batch; what that changes is the recipe's `negatives`
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
        """Observations taken of a band; one without a window of its own takes that of the nearest in wavelength.

        Parameters
        ----------
        wavelength : of `band`, angstrom
        bands : name -> wavelength in angstrom of bands of the preset that are not ZTF's, such as
            `LightCurves.bands`; without a wavelength a band is nearest to none

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


@dataclass(frozen=True)
class View:
    """One view of a star, and how it is damaged.

    Attributes
    ----------
    fraction : window lengths, as a fraction of the preset's
    noise : in the recipe's `noise_unit`
    bin_dropout : share of the occupied 5-day bins that is dropped
    outlier : whether one observation becomes an outlier
    colour_jitter : mag, standard deviation of one shift for each band
    error_jitter : standard deviation of the logarithm of one factor on all stated errors
    thinning : largest share of observations lost at random; the share is drawn uniformly between 0 and this
    lost_band : chance that the band with the fewest observations is lost, where another is left
    """

    name: str
    fraction: float = 1.0
    noise: float = 0.0
    bin_dropout: float = 0.0
    outlier: bool = False
    colour_jitter: float = 0.0
    error_jitter: float = 0.0
    thinning: float = 0.0
    lost_band: float = 0.0

    def __post_init__(self) -> None:
        for name, most in (("thinning", 1), ("lost_band", 1), ("colour_jitter", math.inf), ("error_jitter", math.inf)):
            if not 0 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"view {self.name!r}: {name} is {value}; give a number from 0 to {most}")

    @property
    def thins(self) -> bool:
        """Whether it may hold fewer observations than its windows take."""
        return bool(self.bin_dropout or self.thinning or self.lost_band)


@dataclass(frozen=True)
class Recipe:
    """Which method. Each field is one place where public code surprises, or an option; the defaults are `corrected`.

    Attributes
    ----------
    noise_unit : `View.noise` in magnitudes, or in units of each point's own error
    bin_rule : "share" drops that share of the occupied bins; "ranks" compares ranks of bins with bin numbers, as the
        paper's code does, and so drops fewer points
    drop_in_place : dropped points use up window length (they are masked where they stand)
    last_start : the last possible window start can be drawn
    shared_window : one stretch of time for all bands of a view, not a window of its own for each band
    outlier_sides : outliers only brighter, or brighter and fainter
    centring : subtract one mean magnitude a star, or one for each band of each window (as `light_curve.embed` does)
    middle_crop : the middle of each band, or of all epochs of the star (as astra-infer cuts)
    time_rates : "days": 1 rad/day and slower (Vaswani et al. 2017); "log": 0.05 to 1,000 days, log-spaced; "none": the
        encoder is not told the time (with `inputs` of "steps" it is told time differences)
    error_input : the logarithm of each point's error is an input of the encoder
    inputs : "paper": magnitude and band; "steps": also the error, and the step from the observation before in the same
        band (`inputs.Steps`)
    norm : layers normalise after ("post", as the paper) or before ("pre", with GELU) attention and feed-forward
    pooling : an embedding is the mean over tokens, or their mean and standard deviation (twice as wide)
    initial_weights : Glorot's uniform distribution and zero biases (Keras), or torch's own
    loss_sum : multiply the mean loss by V(V-1), as summing pairs and dividing by the batch does
    negatives : from the whole batch, or only from the stars of the same replica, whose gradient is then clipped alone
    keras_adam : Adam with epsilon outside the bias correction, and a first learning rate of exactly 0
    frozen_views : batches and views of the first epoch are repeated for ever, as a cache after shuffling does
    fixed_validation : the same seeded views at every validation, not fresh ones
    thaw_embedding : partial fine-tuning trains the embedding layer too
    contrast : weight of NT-Xent in the loss
    summaries : weight of the mean squared error in predicting `summaries` of the whole light curve from each view; 0
        for none
    schedule : "warmup": the paper's rate, which falls with the root of the step; "cosine": up to `peak_rate` (of 128
        stars a step; it grows with the root of the batch) and down to 0 at the last step
    weight_decay : of AdamW; 0 is Adam
    """

    name: str
    views: tuple[View, ...]
    noise_unit: Literal["mag", "error"] = "error"
    bin_rule: Literal["share", "ranks"] = "share"
    drop_in_place: bool = False
    last_start: bool = True
    shared_window: bool = False
    outlier_sides: Literal["bright", "both"] = "both"
    centring: Literal["star", "window"] = "star"
    middle_crop: Literal["band", "epoch"] = "band"
    time_rates: Literal["days", "log", "none"] = "log"
    error_input: bool = False
    inputs: Literal["paper", "steps"] = "paper"
    norm: Literal["post", "pre"] = "post"
    pooling: Literal["mean", "mean_std"] = "mean"
    initial_weights: Literal["glorot", "torch"] = "glorot"
    loss_sum: bool = False
    negatives: Literal["gathered", "replica"] = "gathered"
    keras_adam: bool = False
    frozen_views: bool = False
    fixed_validation: bool = True
    thaw_embedding: bool = False
    contrast: float = 1.0
    summaries: float = 0.0
    schedule: Literal["warmup", "cosine"] = "warmup"
    peak_rate: float = 3e-3
    weight_decay: float = 0.0
    temperature: float = 0.1
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Recipe).items():
            if get_origin(kind) is Literal and (value := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"recipe {self.name!r}: {name} is {value!r}; choose {' or '.join(get_args(kind))}")
        for name in ("contrast", "summaries", "weight_decay", "peak_rate"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"recipe {self.name!r}: {name} is {value}; give a number of 0 or more")
        if not self.contrast and not self.summaries:
            raise ValueError(
                f"recipe {self.name!r}: contrast and summaries are both 0; give one a weight, or there is "
                "nothing to learn"
            )

    @property
    def reads_errors(self) -> bool:
        """Whether the encoder's tokens hold errors."""
        return self.error_input or self.inputs == "steps"


_PAPER = Recipe(
    "paper",
    (View("anchor", 1.0, 0.05), View("canonical", 0.5), View("hard", 1.0, 0.10, 0.5, True)),
    noise_unit="mag",
    bin_rule="ranks",
    drop_in_place=True,
    last_start=False,
    outlier_sides="bright",
    time_rates="days",
    loss_sum=True,
    negatives="replica",
    keras_adam=True,
    fixed_validation=False,
    thaw_embedding=True,
)

_JITTER: dict[str, Any] = {"colour_jitter": 0.15, "error_jitter": 0.3, "thinning": 0.5, "lost_band": 0.3}

_RECOMMENDED = Recipe(
    "recommended",
    (
        View("anchor", 1.0, 1.0, **_JITTER),
        View("canonical", 0.5, **_JITTER),
        View("hard", 1.0, 2.0, 0.5, True, **_JITTER),
    ),
    time_rates="none",
    inputs="steps",
    norm="pre",
    pooling="mean_std",
    initial_weights="torch",
    contrast=0.05,
    summaries=1.0,
    schedule="cosine",
    peak_rate=3e-3,
    weight_decay=1e-4,
    dropout=0.0,
)

_TWO_VIEWS = (View("first", 1.0, 0.06, 0.05, True), View("second", 1.0, 0.05, 0.06, True))

RECIPES: dict[str, Recipe] = {
    "paper": _PAPER,
    "paper-two-views": replace(_PAPER, name="paper-two-views", views=_TWO_VIEWS),
    "corrected": Recipe(
        "corrected", (View("anchor", 1.0, 1.0), View("canonical", 0.5), View("hard", 1.0, 2.0, 0.5, True))
    ),
    "recommended": _RECOMMENDED,
}
"""`paper`: as its authors ran it, and their variant of two views; `corrected`: the same design without the slips (the
default); `recommended`: another input, a second loss and more damage, so that training pays. Any other mixture:
``dataclasses.replace(recipe("corrected"), name="mine", time_rates="days")``."""


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


_BEFORE: dict[type, dict[str, Any]] = {
    Preset: {"replicas": 1},
    View: {"colour_jitter": 0.0, "error_jitter": 0.0, "thinning": 0.0, "lost_band": 0.0},
    Recipe: {
        "shared_window": False,
        "centring": "star",
        "middle_crop": "band",
        "error_input": False,
        "initial_weights": "glorot",
        "negatives": "gathered",
        "frozen_views": False,
        "thaw_embedding": False,
        "inputs": "paper",
        "norm": "post",
        "pooling": "mean",
        "contrast": 1.0,
        "summaries": 0.0,
        "schedule": "warmup",
        "peak_rate": 3e-3,
        "weight_decay": 0.0,
    },
}
"""What the code did before a field existed: the field's default when it was introduced. A file that lacks the field
means this, whatever the preset or recipe of that name is now. A new field gets a line; no line is ever changed."""


def preset_from_dict(values: dict[str, Any]) -> Preset:
    """The preset that `to_dict` wrote, in this version or an earlier one (see `recipe_from_dict`)."""
    return _read(Preset, {**values, "windows": tuple((band, int(n)) for band, n in values["windows"])})


def recipe_from_dict(values: dict[str, Any]) -> Recipe:
    """The recipe that `to_dict` wrote, in this version or an earlier one.

    A field that did not exist when the file was written has the default with which it was introduced: the file keeps
    its meaning, though the recipe of its name may be another today.

    Raises
    ------
    ValueError
        If a field is missing that files have always had, or is unknown, as in a file of a later version.

    Examples
    --------
    >>> old = to_dict(RECIPES["recommended"])
    >>> del old["pooling"]  # as in a file that is older than this switch
    >>> recipe_from_dict(old).pooling
    'mean'
    """
    return _read(Recipe, {**values, "views": tuple(_read(View, view) for view in values["views"])})


def _read(kind: type, values: dict[str, Any]) -> Any:
    """An object of `kind` from the fields that a file holds."""
    known, before = {f.name for f in fields(kind)}, _BEFORE[kind]
    what = f"{kind.__name__.lower()} {values.get('name')!r}"
    if unknown := sorted(set(values) - known):
        raise ValueError(
            f"{what} has {', '.join(unknown)}, which this version of astraclr does not know: a later one wrote it; "
            "read it with that: pip install --upgrade astraclr"
        )
    if missing := sorted(known - set(values) - set(before)):
        raise ValueError(f"{what} lacks {', '.join(missing)}, which every version has written: the file is incomplete")
    return kind(**{**before, **values})
