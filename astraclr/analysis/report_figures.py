"""Figures of a report as inline SVG: text stays text, and lines and letters take the colour of the page around them.

Matplotlib draws them; `svg` then makes them fit for a page: equal input gives equal bytes, identifiers do not repeat
from figure to figure, and ink and grid follow a light or a dark page.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astraclr.data.escaping import for_figure, for_terminal
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import BAND_COLOURS, BAND_MARKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, PAPER = "#010203", "#040506", "#070809"
"""Colours that stand for those of the page."""
_OF_PAGE = {INK: "currentColor", GRID: "var(--line)", PAPER: "var(--bg)"}
_OF_PAGE |= {BAND_COLOURS[band]: f"var(--band-{band})" for band in ("i", "z")}  # too dark for a dark page
_MARKS, _LINES = "osv^D<>pPX*h", ("-", "--", ":", "-.")
_SHOWN = 2_000
"""Observations of a band drawn in the figure of errors, evenly among all."""


def canvas(width: float = 4.1, height: float = 2.7) -> tuple[Figure, Axes]:
    """An empty figure of so many inches (a phone shows 4.1 at nearly full size) in the colours of the page.

    Raises
    ------
    ImportError
        Without matplotlib, which ``pip install "astraclr[plot]"`` installs.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ImportError("figures need the package matplotlib: pip install 'astraclr[plot]'") from error
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
    ax = figure.subplots()
    ax.set_facecolor("none")
    ax.grid(color=GRID, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)
    ax.tick_params(which="both", colors=INK, labelsize=9)
    return figure, ax


def labelled(ax: Axes, x: str, y: str, legend: bool = False, scale: float = 1.5) -> None:
    """Name the axes and, where wanted, show the legend above the panel, its marks so many times as large."""
    ax.set_xlabel(x, color=INK, fontsize=9)
    ax.set_ylabel(y, color=INK, fontsize=9)
    if legend:
        handles, _ = ax.get_legend_handles_labels()
        place: dict[str, Any] = {
            "loc": "lower center",
            "bbox_to_anchor": (0.5, 1.0),
            "ncols": min(4, len(handles) or 1),
        }
        ax.legend(
            labelcolor=INK, fontsize=9, frameon=False, markerscale=scale, handletextpad=0.3, columnspacing=1.0, **place
        )


def svg(figure: Figure, alt: str, number: int) -> str:
    """A figure as inline SVG with a text for those who do not see it.

    Parameters
    ----------
    figure : from `canvas`
    alt : what it shows
    number : of the figure in its page

    Examples
    --------
    >>> figure, ax = canvas()
    >>> text = svg(figure, "Nothing", 1)
    >>> text.startswith('<svg role="img"'), "<title>Nothing</title>" in text, "#010203" in text
    (True, True, False)
    """
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "astraclr", "svg.fonttype": "none"}):
        figure.savefig(
            out, format="svg", dpi=192, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, of_page in _OF_PAGE.items():
        text = text.replace(colour, of_page)
    text = re.sub(r'((?:\bid="|href="#|url\(#))', rf"\1f{number}-", text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px sans-serif", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    body = text[text.index(">") + 1 :]
    named = html.escape(for_terminal(alt))
    return (
        f'<svg role="img" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box[1] if box else ""}" '
        f'aria-label="{named}"><title>{named}</title>{body.strip()}'
    )


def band_style(bands: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, mark and line of each band.

    Examples
    --------
    >>> band_style(["g"])["g"]["marker"]
    'o'
    """
    spare = ("#4c78a8", "#e45756", "#54a24b", "#b279a2", "#9d755d", "#72b7b2")
    return {
        band: {
            "color": BAND_COLOURS.get(band, spare[k % len(spare)]),
            "marker": BAND_MARKS.get(band, _MARKS[k % len(_MARKS)]),
            "ls": _LINES[k % len(_LINES)],
        }
        for k, band in enumerate(bands)
    }


def light_curve(lc: LightCurves, star: int, points: int = 150) -> Figure:
    """Draw one star, magnitudes upside down, at most `points` observations, evenly among its own."""
    from astraclr.analysis.explorer import thinned

    figure, ax = canvas(4.1, 2.2)
    style = band_style(list(lc.bands))
    for band, (mjd, mag, magerr) in thinned(lc[star : star + 1], max(points, len(lc.bands))).star(0).items():
        how = style[band]
        ax.errorbar(
            mjd, mag, magerr, fmt=how["marker"], ms=3.2, color=how["color"], mec=INK, mew=0.3, lw=0, elinewidth=0.6,
            label=for_figure(band),
        )  # fmt: skip
    ax.invert_yaxis()
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.locator_params(axis="x", nbins=4)
    labelled(ax, "MJD (days)", "magnitude", legend=True)
    return figure


def histogram(values: dict[str, np.ndarray], x: str, logarithmic: bool = False) -> Figure:
    """Draw histograms of numbers of each band, as lines of different kinds."""
    figure, ax = canvas()
    together = np.concatenate([v for v in values.values() if len(v)] or [np.array([1.0])])
    low, high = float(together.min()), float(together.max())
    if logarithmic:
        low = max(low, 1e-4)
        edges = np.logspace(np.log10(low), np.log10(max(high, 1.01 * low)), 33)
    else:
        edges = np.linspace(low, max(high, low + 1), 33)
    style = band_style(list(values))
    for band, v in values.items():
        n, _ = np.histogram(v, edges)
        ax.stairs(n, edges, color=style[band]["color"], ls=style[band]["ls"], lw=1.6, label=for_figure(band))
    if logarithmic:
        ax.set_xscale("log")
    labelled(ax, x, "number", legend=True)
    return figure


def errors(lc: LightCurves) -> Figure:
    """Draw stated errors against magnitudes, at most `_SHOWN` observations of each band."""
    figure, ax = canvas()
    style, n_bands = band_style(list(lc.bands)), len(lc.bands)
    band_of = lc.segment % n_bands
    for k, band in enumerate(lc.bands):
        rows = np.flatnonzero(band_of == k)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _SHOWN)).astype(int)]
        how = style[band]
        ax.plot(
            lc.mag[rows], lc.magerr[rows], how["marker"], color=how["color"], ms=1.8, mew=0, alpha=0.5, ls="",
            rasterized=True, label=for_figure(band),
        )  # fmt: skip
    ax.set_yscale("log")
    labelled(ax, "magnitude", "stated error (mag)", legend=True, scale=4)
    return figure


def star_map(xy: np.ndarray, names: np.ndarray, colours: dict[str, str], numbered: np.ndarray) -> Figure:
    """Draw the map of stars: a mark and a colour for each name, and numbers at the oddities, 1 for the strangest."""
    figure, ax = canvas(4.1, 4.3)
    for k, (name, colour) in enumerate(colours.items()):
        rows = names == name
        ax.plot(
            *xy[rows].T, _MARKS[k % len(_MARKS)], color=colour, ms=3.4, mec=INK, mew=0.25, alpha=0.85, ls="",
            rasterized=len(xy) > _SHOWN, label=for_figure(name),
        )  # fmt: skip
    for number, row in enumerate(numbered, start=1):
        box = {"boxstyle": "circle,pad=0.15", "fc": PAPER, "ec": INK, "lw": 0.8}
        ax.text(
            float(xy[row, 0]), float(xy[row, 1]), str(number), color=INK, fontsize=8, ha="center", va="center", bbox=box
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    labelled(ax, "", "", legend=True)
    return figure
