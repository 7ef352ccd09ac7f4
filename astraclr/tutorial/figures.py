"""Figures that several chapters share: the same colours, units and orientation everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from astraclr.data.escaping import for_figure
from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS, CLASSES, COLOURS
from astraclr.data.tokens import MJD_ZERO, Tokens
from astraclr.evaluate.metrics import Scores
from astraclr.train.losses import chance_level, floor_level
from astraclr.tutorial.figure_contents import RECORD, record_in_notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Star = Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]


def use_style() -> None:
    """Set matplotlib's defaults for the book: opaque white faces, so that dark pages do not eat the figures.

    In a build of the book (variable `RECORD` is set) the notebook also keeps what each figure is made of.

    Raises
    ------
    ImportError
        If matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib as mpl
    >>> use_style()
    >>> mpl.rcParams["figure.facecolor"]
    'white'
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


def band_handles(bands: Iterable[str]) -> list[Line2D]:
    """Make the handles of a legend of bands: mark, colour and name of each.

    Examples
    --------
    >>> [handle.get_label() for handle in band_handles(["g", "r"])]
    ['g', 'r']
    """
    from matplotlib.lines import Line2D

    return [Line2D([], [], marker=BAND_MARKS[b], ls="", color=BAND_COLOURS[b], label=b) for b in bands]


def draw_star(ax: Axes, star: Star, period: float | None = None, title: str = "") -> None:
    """Draw the magnitudes of one star, brightest up, against time or (with `period`) against phase, twice.

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    star : mapping
        Times (MJD), magnitudes and errors of each band, as `LightCurves.star` gives them.
    period : float, optional
        Days.
    title : str
        Title of the panel.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from astraclr.simulation.simulate import simulate
    >>> ax = Figure().subplots()
    >>> draw_star(ax, simulate(1, seed=1).star(0))
    >>> ax.get_xlabel()
    'MJD (days)'
    """
    for band, (mjd, mag, magerr) in star.items():
        x, y, e = mjd, mag, magerr
        if period:
            phase = (mjd / period) % 1.0
            x, y, e = np.concatenate([phase, phase + 1]), np.tile(mag, 2), np.tile(magerr, 2)
        ax.errorbar(
            x,
            y,
            e,
            fmt=BAND_MARKS.get(band, "."),
            ms=2.5,
            lw=0.7,
            alpha=0.75,
            color=BAND_COLOURS.get(band, "#555555"),
            label=for_figure(f"{band} ({len(mjd)})"),
        )
    ax.yaxis.set_inverted(True)  # not invert_yaxis, which would turn shared axes back
    ax.set(xlabel=f"phase (period {period:.4g} d)" if period else "MJD (days)", ylabel="magnitude", title=title)
    ax.legend(loc="best", fontsize=8, markerscale=2)


def draw_binned(ax: Axes, phase: np.ndarray, mag: np.ndarray, bins: int = 50) -> None:
    """Draw the median magnitude of each bin of phase over two cycles (chapter 1).

    Parameters
    ----------
    phase : ndarray
        (n,) in cycles, 0 to 1.
    mag : ndarray
        (n,) magnitudes.
    bins : int
        Number of bins of one cycle; an empty bin is left out.
    """
    number = (phase * bins).astype(int).clip(0, bins - 1)
    filled = np.unique(number)
    medians = [np.median(mag[number == k]) for k in filled]
    middles = (filled + 0.5) / bins
    ax.plot(
        np.r_[middles, middles + 1], medians * 2, "o-", ms=3, lw=1, color="black", label="median of a bin", zorder=3
    )


def draw_tokens(ax: Axes, tokens: Tokens, row: int, bands: Mapping[str, float], title: str = "") -> None:
    """Draw the inputs of the encoder for one star: centred magnitudes of the tokens that are not masked.

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    tokens : Tokens
        (batch, length) each.
    row : int
        The star's row of `tokens`.
    bands : mapping
        Effective wavelength of each band in angstrom.
    title : str
        Title of the panel.
    """
    keep = ~tokens.mask[row].cpu().numpy()
    mag, t, band = (c[row].cpu().numpy()[keep] for c in (tokens.mag, tokens.times, tokens.band))
    for name, wavelength in bands.items():
        at = np.isclose(band, np.log10(wavelength), atol=1e-4)
        if at.any():
            ax.plot(
                t[at] + MJD_ZERO,
                mag[at],
                BAND_MARKS.get(name, "."),
                ms=3,
                color=BAND_COLOURS.get(name, "#555555"),
                label=for_figure(f"{name} ({at.sum()})"),
            )
    ax.yaxis.set_inverted(True)  # not invert_yaxis, which would turn shared axes back
    ax.set(xlabel="MJD (days)", ylabel="magnitude - mean", title=title)
    ax.legend(loc="best", fontsize=8, markerscale=2)


def draw_training(ax: Axes, history: pd.DataFrame, n_views: int, batch: int) -> None:
    """Draw training and validation NT-Xent between the chance level ln(VB - 1) and the floor ln(V - 1).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    history : DataFrame
        Of a checkpoint.
    n_views, batch : int
        Views V of a star, and stars B in a batch.
    """
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
    """Draw a map of stars coloured by class, in the order of the taxonomy.

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    xy : ndarray
        (n_stars, 2) positions.
    labels : ndarray
        (n_stars,) classes; "" is unlabelled.
    title : str
        Title of the panel.
    legend : bool
        Add a legend to the right.
    """
    order = [c for c in CLASSES if (labels == c).any()] + sorted(set(labels) - set(CLASSES))
    for name in order:
        at = labels == name
        ax.scatter(
            *xy[at].T, s=7, alpha=0.7, lw=0, color=COLOURS.get(name, "#bbbbbb"), label=for_figure(name or "unlabelled")
        )
    ax.set(title=title, xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    ax.grid(False)
    if legend:
        ax.legend(fontsize=7, markerscale=2, loc="center left", bbox_to_anchor=(1.0, 0.5))


def draw_confusion(ax: Axes, scores: Scores, title: str = "") -> None:
    """Draw a confusion matrix of shares; each row (true class) sums to 1."""
    share = scores.confusion / np.maximum(scores.confusion.sum(1, keepdims=True), 1)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    n, names = len(scores.classes), list(map(for_figure, scores.classes))
    ax.set(xticks=range(n), yticks=range(n), xlabel="predicted", ylabel="true", title=title)
    ax.set_xticklabels(names, rotation=90, fontsize=7)
    ax.set_yticklabels(names, fontsize=7)
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
