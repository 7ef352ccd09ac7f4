"""Figures of single chapters, whose code would stand between the reader and the idea; no mathematics in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from astraclr.data.taxonomy import BAND_COLOURS
from astraclr.data.tokens import Tokens
from astraclr.train.losses import chance_level
from astraclr.tutorial.figures import draw_rates, draw_training

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_gaps(ax: Axes, gaps: np.ndarray, band: np.ndarray, bands: Sequence[str]) -> None:
    """Draw histograms of the times between observations, a line a band (chapter 1).

    Parameters
    ----------
    gaps : (n,) days
    band : (n,) index into `bands` of each gap
    """
    for k, name in enumerate(bands):
        logarithm, bins = np.log10(gaps[band == k]), np.linspace(-4, 2.5, 90).tolist()
        ax.hist(logarithm, bins=bins, density=True, histtype="step", color=BAND_COLOURS[name], label=name)
    ticks = range(-4, 3)
    ax.set_xticks(ticks, [f"{10.0**k:g}" for k in ticks])
    ax.set(xlabel="time to the next observation in the same band (days)", ylabel="density per decade")
    ax.legend()


def draw_folded_tokens(
    ax: Axes, tokens: Tokens, row: int, bands: Mapping[str, float], period: float, title: str = ""
) -> None:
    """Draw what the encoder sees of one star against its phase (chapter 2).

    Parameters
    ----------
    row : int
        The star's row of `tokens`.
    bands : mapping
        Effective wavelength of each band in angstrom.
    period : float
        Days.
    """
    for name, wavelength in bands.items():
        at = torch.isclose(tokens.band[row], torch.tensor(wavelength).log10(), atol=1e-4)
        ax.plot(tokens.times[row, at] / period % 1, tokens.mag[row, at], ".", ms=4, color=BAND_COLOURS[name])
    ax.set(xlabel=f"phase, {period:.3f} d", title=title, ylim=(2.0, -1.8))


def draw_shares_found(ax: Axes, found: Mapping[str, float], n: int) -> None:
    """Draw the share of stars that each cue finds among `n`, beside guessing (chapter 2)."""
    ax.barh(list(found), list(found.values()), color="#457b9d")
    ax.axvline(1 / n, ls=":", color="black", label="guessing")
    ax.set(xlabel=f"share of stars found among {n} by the nearest anchor")
    ax.yaxis.set_inverted(True)
    ax.legend()


def draw_attention(axes: Sequence[Axes], weights: torch.Tensor, windows: Mapping[str, int]) -> None:
    """Draw the attention weights of one star (heads, query, key), a panel a head (chapter 3).

    Parameters
    ----------
    windows : mapping
        Name of each band and its number of places.
    """
    edges = np.cumsum([0, *windows.values()])
    middle = (edges[:-1] + edges[1:]) / 2
    image = None
    for k, (ax, head) in enumerate(zip(axes, weights, strict=True), start=1):
        image = ax.imshow(head, cmap="magma", vmin=0, vmax=float(weights.max()) / 2)
        ax.set_xticks(middle, list(windows))
        ax.set_yticks(middle, list(windows))
        ax.set(xlabel="key (observation that is read)", title=f"head {k}")
        ax.vlines(edges[1:-1] - 0.5, *ax.get_ylim(), color="white", lw=0.8)
        ax.hlines(edges[1:-1] - 0.5, *ax.get_xlim(), color="white", lw=0.8)
        ax.grid(False)
    axes[0].set_ylabel("query (observation that reads)")
    if image is not None:
        axes[0].figure.colorbar(image, ax=axes, shrink=0.8, extend="max", label="attention weight")


def draw_training_and_gauges(
    history: pd.DataFrame, untrained: Mapping[str, float], n_views: int, batch: int, width: int
) -> None:
    """Draw the loss of a training and three gauges of its vectors, beside those of random weights (chapter 4).

    Parameters
    ----------
    history : DataFrame
        Of a checkpoint.
    untrained : mapping
        Gauges of the same encoder with random weights (`pretraining.validate`).
    n_views, batch, width : int
        Views a star, stars a batch, and the length of an embedding.
    """
    import matplotlib.pyplot as plt

    titles = {
        "alignment": "alignment (0 is best)",
        "uniformity": "uniformity (lower is better)",
        "effective_rank": f"effective rank (of {width})",
    }
    layout: Any = [["loss"] * 3, list(titles)]
    _, axes = plt.subplot_mosaic(layout, figsize=(8.6, 6.2), height_ratios=[1.5, 1])
    draw_training(axes["loss"], history, n_views, batch)
    held = history.dropna(subset="val_loss")
    for key, title in titles.items():
        axes[key].plot(held["step"], held[key], "o-", ms=3, color="#d1495b", label="in training")
        axes[key].axhline(untrained[key], ls="--", lw=1, color="#555555", label="random weights")
        axes[key].set(xlabel="optimiser step", title=title)
    axes["uniformity"].legend(fontsize=8)


def draw_losses(ax: Axes, runs: Mapping[str, Sequence[float]], n_views: int, batch: int) -> None:
    """Draw the training losses of two runs, step by step, beside chance, ln(VB - 1) (chapter 4)."""
    for (name, losses), colour in zip(runs.items(), ("#1f77b4", "#d1495b"), strict=True):
        ax.plot(range(1, len(losses) + 1), losses, color=colour, label=name)
    chance = f"chance, ln({n_views}·{batch} - 1)"
    ax.axhline(chance_level(n_views, batch), ls="--", lw=1, color="#555555", label=chance)
    ax.set(xlabel="optimiser step", ylabel="NT-Xent loss (nats)")
    ax.legend()


def draw_scaling(axes: np.ndarray, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draw rates of training against the size of four things, a panel each (chapter 10).

    Parameters
    ----------
    axes : (2, 2) array of Axes
    results : mapping
        Of ``benchmarks/results/scaling.json``.
    """
    lines = (
        ("stars", "place", "stars in the set"),
        ("epochs", None, "epochs"),
        ("batch", "preset", "stars in a batch"),
        ("ranks", "preset", "ranks"),
    )
    for ax, (x, by, name) in zip(axes.ravel(), lines, strict=True):
        draw_rates(ax, results[x], x, by, "per_s" if x == "ranks" else "per_cpu_s")
        ax.set(xlabel=name, ylabel="light curves / s" + ("" if x == "ranks" else " of one core"))
