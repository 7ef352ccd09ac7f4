"""Recipes: which method is trained, as named sets of switches."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class View:
    """One view of a star: its length, and the augmentations that are applied to it.

    Attributes
    ----------
    name : of the view
    fraction : window lengths, as a fraction of the preset's
    noise : standard deviation of the added noise, in the recipe's `noise_unit`
    bin_dropout : share of the occupied 5-day bins that is dropped
    outlier : whether one observation becomes an outlier
    colour_jitter : mag, standard deviation of one shift for each band
    error_jitter : standard deviation of the logarithm of one factor on all stated errors
    thinning : largest share of observations lost at random; the share is drawn uniformly between 0 and this
    lost_band : probability that the band with the fewest observations is lost, where another is left

    Raises
    ------
    ValueError
        If a share or probability is outside [0, 1], or a jitter is negative or not a number.

    Examples
    --------
    >>> View("short", fraction=0.5).thins, View("hard", bin_dropout=0.5).thins
    (False, True)
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
        """Whether it may hold fewer observations than its windows."""
        return bool(self.bin_dropout or self.thinning or self.lost_band)


@dataclass(frozen=True)
class Recipe:
    """The method: views, losses, encoder input and training; the defaults are those of the recipe `corrected`.

    Each field is an option, or a place where the paper's code differs from what the paper's text suggests.

    Attributes
    ----------
    name : of the recipe
    views : of each star, the longest first
    noise_unit : `View.noise` in magnitudes, or in units of each point's own error
    bin_rule : "share" drops that share of the occupied bins; "ranks" compares ranks of bins with bin numbers, as the
        paper's code does, and so drops fewer points
    drop_in_place : dropped points count towards the window length (a window is cut first, then points are dropped)
    last_start : the last possible window start can be drawn
    shared_window : one stretch of time for all bands of a view, not a window of its own for each band
    outlier_sides : outliers only brighter, or brighter and fainter
    centring : subtract one mean magnitude a star, or one for each band of each window (as `light_curve.embed` does)
    middle_crop : the middle of each band, or of all epochs of the star (as astra-infer cuts)
    time_rates : "days": 1 rad/day and slower (Vaswani et al. 2017); "log": 0.05 to 1,000 days, log-spaced; "none": the
        encoder has no time input (with `inputs` of "steps" it reads time differences)
    error_input : the logarithm of each point's error is an input of the encoder
    inputs : "paper": magnitude and band; "steps": also the error, and the step from the observation before in the same
        band (`inputs.Steps`)
    norm : layers normalise after ("post", as the paper) or before ("pre", with GELU) attention and feed-forward
    pooling : an embedding is the mean over tokens, or their mean and standard deviation (twice as wide)
    initial_weights : Glorot's uniform distribution and zero biases (Keras), or torch's own
    loss_sum : multiply the mean loss of V views by V(V-1), as summing over pairs and dividing by the batch does
    negatives : from the whole batch, or only from the stars of the same replica, whose gradient is then clipped alone
    keras_adam : Adam with epsilon outside the bias correction, and a first learning rate of exactly 0
    frozen_views : batches and views of the first epoch are repeated in every epoch, as a cache after shuffling does
    fixed_validation : the same seeded views at every validation, not fresh ones
    thaw_embedding : partial fine-tuning trains the embedding layer too
    contrast : weight of NT-Xent in the loss
    summaries : weight of the mean squared error in predicting `summaries` of the whole light curve from each view; 0
        for none
    schedule : "warmup": the paper's rate, which falls with the root of the step; "cosine": up to `peak_rate` (of 128
        stars a step; it grows with the root of the batch) and down to 0 at the last step
    weight_decay : of AdamW; 0 is Adam
    temperature : of NT-Xent
    dropout : rate in the encoder
    global_contrast : weight of the contrast between each view and the summaries of its whole light curve
        (`train.losses.local_to_global`); 0 for none
    global_temperature : of that contrast
    global_inputs : what describes a whole light curve: its summaries, or also `data.folding.folded` of it
    folded_input : what the encoder is given of its window folded at its best period: "none"; "window":
        `data.folding.folded` of it is a part of the embedding; "tokens": each token carries its phase; or "both"

    Raises
    ------
    ValueError
        If a choice is unknown, a weight is negative or not finite, or no loss has a weight.

    Examples
    --------
    >>> mine = replace(RECIPES["corrected"], name="mine", time_rates="days")
    >>> mine.negatives, mine.reads_errors
    ('gathered', False)
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
    global_contrast: float = 0.0
    global_temperature: float = 0.15
    global_inputs: Literal["summaries", "folded"] = "summaries"
    folded_input: Literal["none", "window", "tokens", "both"] = "none"

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Recipe).items():
            if get_origin(kind) is Literal and (value := getattr(self, name)) not in get_args(kind):
                raise ValueError(f"recipe {self.name!r}: {name} is {value!r}; choose {' or '.join(get_args(kind))}")
        for name in ("contrast", "summaries", "weight_decay", "peak_rate", "global_contrast"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ValueError(f"recipe {self.name!r}: {name} is {value}; give a number of 0 or more")
        if not self.contrast and not self.reads_whole:
            raise ValueError(
                f"recipe {self.name!r}: contrast, global_contrast and summaries are all 0; give one a weight, or there "
                "is nothing to learn"
            )
        if not 0.01 <= self.global_temperature < math.inf:
            raise ValueError(
                f"recipe {self.name!r}: global_temperature is {self.global_temperature}; give 0.01 or more"
            )

    @property
    def reads_whole(self) -> bool:
        """Whether training asks for the summaries of whole light curves."""
        return bool(self.summaries or self.global_contrast)

    @property
    def reads_errors(self) -> bool:
        """Whether photometric errors are an input of the encoder."""
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
"""`paper`: as its authors ran it, and their variant of two views; `corrected`: the same design without its slips (the
default); `recommended`: another input, a second loss and stronger augmentations, with which training helps most. Any
other mixture: ``dataclasses.replace(recipe("corrected"), name="mine", time_rates="days")``."""


def recipe(name: str | Recipe) -> Recipe:
    """Return the recipe of a name; a recipe is returned as it is.

    Raises
    ------
    ValueError
        If there is none of that name; it lists the names.

    Examples
    --------
    >>> [view.name for view in recipe("paper").views]
    ['anchor', 'canonical', 'hard']
    """
    return name if isinstance(name, Recipe) else named(RECIPES, name, "recipe")


def named(table: dict[str, Any], name: str, what: str) -> Any:
    """Entry of a table; ValueError lists the names that it has."""
    if name not in table:
        raise ValueError(f"no {what} {name!r}; choose one of {', '.join(table)}")
    return table[name]
