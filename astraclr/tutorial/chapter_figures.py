"""Figures of single chapters, whose code would distract from the idea there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS
from astraclr.data.tokens import Tokens
from astraclr.train.losses import chance_level
from astraclr.tutorial.figures import draw_star, draw_training

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_gaps(ax: Axes, gaps: np.ndarray, band: np.ndarray, bands: Sequence[str]) -> None:
    """Draw histograms of the times between observations, a line for each band (chapter 1).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    gaps : ndarray
        (n,) days.
    band : ndarray
        (n,) int, index into `bands` of each gap.
    bands : sequence of str
        Names of the bands.
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
    """Draw the inputs of the encoder for one star against phase (chapter 2).

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
        phase = tokens.times[row, at] / period % 1
        ax.plot(phase, tokens.mag[row, at], BAND_MARKS[name], ms=3, color=BAND_COLOURS[name])
    ax.set(xlabel=f"phase, {period:.3f} d", title=title)
    ax.yaxis.set_inverted(True)


def draw_shares_found(ax: Axes, found: Mapping[str, float], n: int) -> None:
    """Draw the share of stars that each cue finds among `n`, beside guessing (chapter 2)."""
    ax.barh(list(found), list(found.values()), color="#457b9d")
    ax.axvline(1 / n, ls=":", color="black", label="guessing")
    ax.set(xlabel=f"share of stars found among {n} by the nearest anchor")
    ax.yaxis.set_inverted(True)
    ax.legend()


def draw_attention(axes: Sequence[Axes], weights: torch.Tensor, windows: Mapping[str, int]) -> None:
    """Draw the attention weights of one star, a panel for each head (chapter 3).

    Parameters
    ----------
    axes : sequence of Axes
        One for each head.
    weights : Tensor
        (heads, query, key).
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
    """Draw the loss of a training and three gauges of its embeddings, beside those of random weights (chapter 4).

    Parameters
    ----------
    history : DataFrame
        Of a checkpoint.
    untrained : mapping
        Gauges of the same encoder with random weights.
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


def draw_tolerances(ax: Axes, stages: Sequence[str], seen: Sequence[float], allowed: Sequence[float]) -> None:
    """Draw the largest difference of each stage (dot) on a bar that ends at its tolerance (chapter 8)."""
    y, lowest = np.arange(len(stages)), min(seen) / 3
    ax.barh(y, np.asarray(allowed) - lowest, left=lowest, color="#d6dde6", height=0.8)
    ax.plot(seen, y, "o", ms=4, color="#1f77b4")
    ax.set(xscale="log", xlabel="largest absolute difference", xlim=(lowest, None), ylim=(-0.7, len(y) - 0.3))
    ax.set_yticks(y, stages, fontsize=7)
    ax.grid(axis="y", visible=False)


def draw_gains(ax: Axes, gains: Mapping[str, np.ndarray], between_seeds: float, marked: str) -> None:
    """Draw gains in points, a dot for each seed, and +- `between_seeds` in grey (chapter 8); `marked` rows in red."""
    ax.axvspan(-between_seeds, between_seeds, color="#e3e3e3", lw=0)
    ax.axvline(0, color="#555555", lw=1)
    for y, (name, gain) in enumerate(gains.items()):
        ax.plot(gain, np.full(len(gain), y), "o", ms=4, alpha=0.8, color="#d62728" if marked in name else "#1f77b4")
    ax.set_yticks(range(len(gains)), list(gains), fontsize=8)


def draw_gallery(lc: LightCurves, rows: Sequence[int], marked: Sequence[str] = ()) -> None:
    """Draw stars in two rows of panels, their labels above them, red for the `marked` classes (chapter 9)."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    fig, axes = plt.subplots(2, -(-len(rows) // 2), figsize=(9, 4.4), sharex=True)
    for ax, k in zip(axes.flat, rows, strict=False):
        draw_star(ax, lc.star(k))
        ax.set_title(lc.label[k], color="#d1495b" if lc.label[k] in marked else "black", fontsize=9)
        ax.get_legend().remove()
        ax.set(xlabel="", ylabel="")
        ax.xaxis.set_major_locator(MaxNLocator(2))
        ax.tick_params(labelsize=8)
    fig.supxlabel("MJD (days)")
    fig.supylabel("magnitude")


def draw_periods(ax: Axes, period: np.ndarray, guess: np.ndarray, title: str = "") -> None:
    """Draw predicted against true periods in days (chapter 9): equal solid, half and double dashed, daily dotted."""
    line = np.logspace(-1.6, 2.9, 600)
    for factor, style in ((1, "-"), (0.5, "--"), (2, "--")):
        ax.plot(line, factor * line, style, color="#555555", lw=0.8)
    for cycle in (1, -1):  # one cycle a day too many or too few
        ax.plot(line, 1 / np.abs(1 / line + cycle), ":", color="#555555", lw=0.8)
    ax.plot(period, guess, ".", ms=4, alpha=0.7)
    ax.set(xscale="log", yscale="log", xlim=(0.025, 800), ylim=(0.025, 2000), title=title)
    ax.set(xlabel="true period (days)", ylabel="predicted period (days)")


def draw_runs(ax: Axes, runs: Mapping[str, tuple[Sequence[float], float]], chance: float) -> None:
    """Draw training losses of runs (lines), and their last loss on validation stars (dots) (chapter 10)."""
    for k, (name, (losses, held)) in enumerate(runs.items(), start=1):
        colour = ("#1f77b4", "#d1495b", "#59a14f")[k % 3 - 1]
        ax.plot(range(1, len(losses) + 1), losses, color=colour, label=f"{name}, training")
        ax.plot(len(losses) * (1 + 0.025 * k), held, "o", color=colour, label=f"{name}, held out")  # side by side
    ax.axhline(chance, ls="--", lw=1, color="#555555", label="chance")
    ax.set(xlabel="optimiser step", ylabel="NT-Xent loss (nats)")
    ax.legend(fontsize=8, loc="lower left")


_PARTS = {
    "views": "#59a14f",
    "encoder forward": "#4e79a7",
    "loss": "#f28e2b",
    "backward": "#a0cbe8",
    "waiting": "#d3d3d3",
    "gradient sum": "#e15759",
    "optimiser": "#9c755f",
}
"""Colours of the parts of a training step."""


def draw_steps(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the shares of the parts of a training step as bars (chapter 10).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    rows : sequence of mapping
        Each with `preset`, `ranks` and `parts` (seconds), from benchmarks/scaling.py.
    """
    for y, row in enumerate(rows):
        total, left = sum(row["parts"].values()), 0.0
        for part, colour in _PARTS.items():
            share = row["parts"][part] / total
            ax.barh(y, share, left=left, color=colour, label=None if y else part)
            left += share
        ax.text(1.01, y, f"{total:.2g} s", va="center", fontsize=8)
    names = [f"{row['preset']}, {row['ranks']} rank{'s' if row['ranks'] > 1 else ''}" for row in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set(xlabel="share of a step", xlim=(0, 1))
    ax.yaxis.set_inverted(True)
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.45, 1.0), ncols=4, fontsize=8)


def draw_rates(
    ax: Axes, rows: Sequence[Mapping[str, Any]], x: str, by: str | None = None, rate: str = "per_cpu_s"
) -> None:
    """Draw rates (chapter 10), and as dotted lines the rates at which matrix products alone would run.

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    rows : sequence of mapping
        Measurements of benchmarks/scaling.py.
    x : str
        Key of the horizontal axis.
    by : str, optional
        Key with a line for each of its values.
    rate : str
        Key of the rate.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    for k, name in enumerate(dict.fromkeys(row[by] if by else "" for row in rows)):
        chosen, colour = [row for row in rows if not by or row[by] == name], f"C{k}"
        at = [row[x] for row in chosen]
        ax.plot(at, [row[rate] for row in chosen], "o-", ms=4, color=colour, label=name)
        ax.plot(at, [row[f"floor_{rate}"] for row in chosen], ":", lw=1.3, color=colour)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sorted({row[x] for row in rows}), [f"{n:,}" for n in sorted({row[x] for row in rows})], fontsize=7)
    low, high = ax.get_ylim()
    middle = (low * high) ** 0.5  # at least a decade, so that a small change does not look like a large one
    ax.set_ylim(min(low, middle / 10**0.5), max(high, middle * 10**0.5))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")
    if by:
        ax.legend(fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, frameon=False)


def draw_scaling(axes: np.ndarray, results: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draw rates of training against stars, epochs, batch and ranks, a panel for each (chapter 10).

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
