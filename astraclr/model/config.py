"""The shape of an encoder, worked out from a preset and a recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from astraclr.config import Preset, Recipe
from astraclr.data.folding import N_FOLDED
from astraclr.data.summaries import n_summaries


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder; the defaults are the paper's.

    Attributes
    ----------
    d_model, n_layers, n_heads, d_ff : width, layers, attention heads and feed-forward width
    d_projection, d_band : length of a projection; hidden width of the band's input layer
    n_summaries : numbers of the whole light curve that it learns to predict; 0 for none
    n_described : numbers that describe a whole light curve, which views are contrasted with; 0 for none
    temperature : of that contrast
    dropout, time_rates, error_input, initial_weights, inputs, norm, pooling, folded_input : as in `Recipe`

    Raises
    ------
    ValueError
        If `d_model` is odd, or not a multiple of `n_heads`.

    Examples
    --------
    >>> EncoderConfig().d_embedding, EncoderConfig(pooling="mean_std").d_embedding
    (512, 1024)
    """

    d_model: int = 512
    n_layers: int = 4
    n_heads: int = 8
    d_ff: int = 2048
    d_projection: int = 256
    d_band: int = 32
    dropout: float = 0.1
    time_rates: Literal["days", "log", "none"] = "days"
    error_input: bool = False
    initial_weights: Literal["glorot", "torch"] = "glorot"
    inputs: Literal["paper", "steps"] = "paper"
    norm: Literal["post", "pre"] = "post"
    pooling: Literal["mean", "mean_std"] = "mean"
    n_summaries: int = 0
    n_described: int = 0
    temperature: float = 0.15
    folded_input: Literal["none", "window", "tokens", "both"] = "none"

    def __post_init__(self) -> None:
        if self.d_model % self.n_heads or self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} must be even and a multiple of n_heads {self.n_heads}")

    @property
    def d_embedding(self) -> int:
        """Length of an embedding."""
        return self.d_model * ((2 if self.pooling == "mean_std" else 1) + (self.folded_input in ("window", "both")))

    @classmethod
    def of(cls, preset: Preset, recipe: Recipe, n_bands: int | None = None) -> EncoderConfig:
        """Shape of the encoder of a preset and a recipe.

        Parameters
        ----------
        preset, recipe : sizes; input, layers and heads
        n_bands : of the light curves whose summaries it learns to predict; by default the preset's

        Examples
        --------
        >>> from astraclr.config import preset, recipe
        >>> EncoderConfig.of(preset("tiny"), recipe("recommended")).n_summaries
        92
        """
        bands = len(preset.windows) if n_bands is None else n_bands
        described = n_summaries(bands) + (N_FOLDED if recipe.global_inputs == "folded" else 0)
        return cls(
            preset.d_model,
            preset.n_layers,
            preset.n_heads,
            preset.d_ff,
            preset.d_model // 2,
            dropout=recipe.dropout,
            time_rates=recipe.time_rates,
            error_input=recipe.error_input,
            initial_weights=recipe.initial_weights,
            inputs=recipe.inputs,
            norm=recipe.norm,
            pooling=recipe.pooling,
            n_summaries=n_summaries(bands) if recipe.summaries else 0,
            n_described=described if recipe.global_contrast else 0,
            temperature=recipe.global_temperature,
            folded_input=recipe.folded_input,
        )
