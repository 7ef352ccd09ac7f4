"""How the book draws: the same colours, units and orientation everywhere; no mathematics in here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import BAND_COLOURS, CLASSES, COLOURS
from astraclr.data.tokens import MJD_ZERO, Tokens
from astraclr.evaluate.metrics import Scores
from astraclr.train.losses import chance_level, floor_level
from astraclr.tutorial.figure_contents import RECORD, record_in_notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Star = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def use_style() -> None:
    """Set matplotlib's defaults for the book: opaque white faces, so that dark pages do not eat the figures.

    In a build of the book (variable `RECORD` is set) the notebook also keeps what each figure is made of.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ImportError("figures need the package matplotlib: pip install 'astraclr[plot]'") from error

    if os.environ.get(RECORD):
        record_in_notebook()

    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "axes.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.dpi": 110,
            "figure.figsize": (7.2, 3.4),
            "figure.constrained_layout.use": True,
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
        }
    )


def draw_star(ax: Axes, star: Star, period: float | None = None, title: str = "") -> None:
    """Draw one star, magnitudes upside down, against time or (with `period` in days) folded over two turns."""
    for band, (mjd, mag, magerr) in star.items():
        x, y, e = mjd, mag, magerr
        if period:
            phase = (mjd / period) % 1.0
            x, y, e = np.concatenate([phase, phase + 1]), np.tile(mag, 2), np.tile(magerr, 2)
        ax.errorbar(
            x,
            y,
            e,
            fmt=".",
            ms=3.5,
            lw=0.7,
            alpha=0.75,
            color=BAND_COLOURS.get(band, "#555555"),
            label=f"{band} ({len(mjd)})",
        )
    ax.yaxis.set_inverted(True)  # not invert_yaxis, which would turn shared axes back
    ax.set(xlabel=f"phase (period {period:.4g} d)" if period else "MJD (days)", ylabel="magnitude", title=title)
    ax.legend(loc="best", fontsize=8, markerscale=2)


def draw_tokens(ax: Axes, tokens: Tokens, row: int, bands: Mapping[str, float], title: str = "") -> None:
    """Draw what the encoder sees of one star: centred magnitudes of the tokens that are not masked."""
    keep = ~tokens.mask[row].cpu().numpy()
    mag, t, band = (c[row].cpu().numpy()[keep] for c in (tokens.mag, tokens.times, tokens.band))
    for name, wavelength in bands.items():
        at = np.isclose(band, np.log10(wavelength), atol=1e-4)
        if at.any():
            ax.plot(
                t[at] + MJD_ZERO,
                mag[at],
                ".",
                ms=4,
                color=BAND_COLOURS.get(name, "#555555"),
                label=f"{name} ({at.sum()})",
            )
    ax.yaxis.set_inverted(True)  # not invert_yaxis, which would turn shared axes back
    ax.set(xlabel="MJD (days)", ylabel="magnitude - mean", title=title)
    ax.legend(loc="best", fontsize=8, markerscale=2)


def draw_training(ax: Axes, history: pd.DataFrame, n_views: int, batch: int) -> None:
    """Draw training and validation NT-Xent between the chance line ln(VB - 1) and the floor ln(V - 1)."""
    part = "nt_xent" if "nt_xent" in history else "loss"  # of a recipe with a second loss
    ax.plot(history["step"], history[part], lw=0.8, alpha=0.6, color="#1f77b4", label="training batch")
    held = history.dropna(subset="val_loss")
    ax.plot(held["step"], held[f"val_{part}"], "o-", ms=4, color="#d1495b", label="validation")
    chance, floor = chance_level(n_views, batch), floor_level(n_views)
    ax.axhline(chance, ls="--", color="#555555", lw=1, label=f"chance, ln({n_views}·{batch} - 1) = {chance:.2f}")
    ax.axhline(floor, ls=":", color="#555555", lw=1, label=f"floor, ln({n_views} - 1) = {floor:.2f}")
    ax.set(xlabel="optimiser step", ylabel="NT-Xent loss (nats)", ylim=(0, None))
    ax.legend(loc="best", fontsize=8)


def draw_map(ax: Axes, xy: np.ndarray, labels: np.ndarray, title: str = "", legend: bool = True) -> None:
    """Draw a map of stars coloured by class, in the order of the taxonomy."""
    order = [c for c in CLASSES if (labels == c).any()] + sorted(set(labels) - set(CLASSES))
    for name in order:
        at = labels == name
        ax.scatter(*xy[at].T, s=7, alpha=0.7, lw=0, color=COLOURS.get(name, "#bbbbbb"), label=name or "unlabelled")
    ax.set(title=title, xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    ax.grid(False)
    if legend:
        ax.legend(fontsize=7, markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_confusion(ax: Axes, scores: Scores, title: str = "") -> None:
    """Draw recall: each row (true class) sums to 1."""
    share = scores.confusion / np.maximum(scores.confusion.sum(1, keepdims=True), 1)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    n = len(scores.classes)
    ax.set(xticks=range(n), yticks=range(n), xlabel="predicted", ylabel="true", title=title)
    ax.set_xticklabels(scores.classes, rotation=90, fontsize=7)
    ax.set_yticklabels(scores.classes, fontsize=7)
    ax.grid(False)
    for i, j in np.argwhere(share >= 0.05):
        ax.text(
            j,
            i,
            f"{share[i, j]:.2f}"[1:] if share[i, j] < 1 else "1",
            ha="center",
            va="center",
            fontsize=6,
            color="white" if share[i, j] > 0.5 else "black",
        )
    ax.figure.colorbar(image, ax=ax, shrink=0.8, label="share of the true class")


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
    """Draw steps as bars of shares; each row has `preset`, `ranks` and `parts` (seconds), as benchmarks/scaling.py."""
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
    """Draw rates, and their floors dotted, against `x` on logarithmic axes; a line for each value of `by`."""
    from matplotlib.ticker import LogLocator, NullLocator

    for k, name in enumerate(dict.fromkeys(row[by] if by else "" for row in rows)):
        chosen, colour = [row for row in rows if not by or row[by] == name], f"C{k}"
        at = [row[x] for row in chosen]
        ax.plot(at, [row[rate] for row in chosen], "o-", ms=4, color=colour, label=name)
        ax.plot(at, [row[f"floor_{rate}"] for row in chosen], ":", lw=1.3, color=colour)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sorted({row[x] for row in rows}), [f"{n:,}" for n in sorted({row[x] for row in rows})], fontsize=7)
    low, high = ax.get_ylim()
    middle = (low * high) ** 0.5  # a decade at least, or a small change would look like a large one
    ax.set_ylim(min(low, middle / 10**0.5), max(high, middle * 10**0.5))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter("{x:g}")
    if by:
        ax.legend(fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0, frameon=False)


def draw_tolerances(ax: Axes, stages: Sequence[str], seen: Sequence[float], allowed: Sequence[float]) -> None:
    """Draw the largest difference seen of each stage (dot) on a bar that ends at the one allowed, logarithmically."""
    y, lowest = np.arange(len(stages)), min(seen) / 3
    ax.barh(y, np.asarray(allowed) - lowest, left=lowest, color="#d6dde6", height=0.8)
    ax.plot(seen, y, "o", ms=4, color="#1f77b4")
    ax.set(xscale="log", xlabel="largest absolute difference", xlim=(lowest, None), ylim=(-0.7, len(y) - 0.3))
    ax.set_yticks(y, stages, fontsize=7)
    ax.grid(axis="y", visible=False)


def draw_gains(ax: Axes, gains: Mapping[str, np.ndarray], between_seeds: float, marked: str) -> None:
    """Draw gains in points, a line a row and a dot a seed, on a grey band of +- `between_seeds`; `marked` rows red."""
    ax.axvspan(-between_seeds, between_seeds, color="#e3e3e3", lw=0)
    ax.axvline(0, color="#555555", lw=1)
    for y, (name, gain) in enumerate(gains.items()):
        ax.plot(gain, np.full(len(gain), y), "o", ms=4, alpha=0.8, color="#d62728" if marked in name else "#1f77b4")
    ax.set_yticks(range(len(gains)), list(gains), fontsize=8)


def draw_gallery(lc: LightCurves, rows: Sequence[int], marked: Sequence[str] = ()) -> None:
    """Draw stars in two lines of panels, their labels above them, red for the `marked` ones."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    fig, axes = plt.subplots(2, -(-len(rows) // 2), figsize=(12, 5), sharex=True)
    for ax, k in zip(axes.flat, rows, strict=False):
        draw_star(ax, lc.star(k))
        ax.set_title(lc.label[k], color="#d1495b" if lc.label[k] in marked else "black", fontsize=9)
        ax.get_legend().remove()
        ax.set(xlabel="", ylabel="")
        ax.xaxis.set_major_locator(MaxNLocator(3))
    fig.supxlabel("MJD (days)")
    fig.supylabel("magnitude")


def draw_periods(ax: Axes, period: np.ndarray, guess: np.ndarray, title: str = "") -> None:
    """Draw predicted against true periods (days) with lines: solid right, dashed half and double, dotted daily."""
    line = np.logspace(-1.6, 2.9, 600)
    for factor, style in ((1, "-"), (0.5, "--"), (2, "--")):
        ax.plot(line, factor * line, style, color="#555555", lw=0.8)
    for cycle in (1, -1):  # one cycle a day too many or too few
        ax.plot(line, 1 / np.abs(1 / line + cycle), ":", color="#555555", lw=0.8)
    ax.plot(period, guess, ".", ms=4, alpha=0.7)
    ax.set(xscale="log", yscale="log", xlim=(0.025, 800), ylim=(0.025, 2000), title=title)
    ax.set(xlabel="true period (days)", ylabel="predicted period (days)")


def draw_runs(ax: Axes, runs: Mapping[str, tuple[Sequence[float], float]], chance: float) -> None:
    """Draw the training losses of runs (lines) and the loss of held-out stars after their last step (dots)."""
    for k, (name, (losses, held)) in enumerate(runs.items(), start=1):
        colour = ("#1f77b4", "#d1495b", "#59a14f")[k % 3 - 1]
        ax.plot(range(1, len(losses) + 1), losses, color=colour, label=f"{name}, training")
        ax.plot(len(losses) * (1 + 0.025 * k), held, "o", color=colour, label=f"{name}, held out")  # side by side
    ax.axhline(chance, ls="--", lw=1, color="#555555", label="chance")
    ax.set(xlabel="optimiser step", ylabel="NT-Xent loss (nats)")
    ax.legend(fontsize=8, loc="lower left")
