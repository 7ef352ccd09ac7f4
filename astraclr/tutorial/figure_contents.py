"""Describe a drawn figure by its words and positions, and compare two such descriptions.

The book compares figures between builds by these descriptions, not by pixels, which change with fonts and with the
rounding of the processor. Positions are fractions of an axis, so that one tolerance fits every unit and scale.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MIME = "application/vnd.astraclr.figure+json"
"""Type of a description in the outputs of an executed notebook, beside ``image/png``."""
RECORD = "ASTRACLR_RECORD_FIGURES"
"""Variable of the environment; where it is set, chapters record the descriptions of their figures."""
SAMPLES = 9
"""Number of positions that are kept of each curve or cloud of points."""
TOLERANCE = 0.03
"""Tolerance as a fraction of an axis: far above rounding (1e-6), below a change that a reader would see."""
_NUMBER = re.compile(r"[-\N{MINUS SIGN}+]?\d[\d.,]*(?:e[-+]?\d+)?")


def describe(figure: Figure) -> dict[str, Any]:
    """List the words, axes, curves, points, bars and images of a figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn or not; it is not changed.

    Returns
    -------
    dict
        ``words`` (titles, labels and legends of the whole figure) and ``axes``, a dict for each: its words, scales,
        limits and ``artists``. An artist has its kind, its number of points, and ``at``: `SAMPLES` positions (x, y)
        in thousandths of the axes. Numbers within words are written ``#``, since they are results.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> drawn = Figure()
    >>> _ = drawn.subplots().plot([0, 1], [2, 4], label="rising")
    >>> describe(drawn)["axes"][0]["artists"][0]["kind"]
    'line rising'
    """
    words = [figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()]
    words += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return {"words": _words(words), "axes": [_describe_axes(ax) for ax in figure.axes]}


def _words(texts: Iterable[str]) -> list[str]:
    """Texts that hold a letter, with numbers masked; bare numbers are left out, since their number is a result."""
    return [_masked(text) for text in texts if re.search(r"[^\W\d_]", text)]


def _masked(text: str) -> str:
    """Replace the numbers of a text by ``#``."""
    return _NUMBER.sub("#", text)


def _describe_axes(ax: Axes) -> dict[str, Any]:
    """Words, tick labels, scales, limits and artists of one panel."""
    limits = [*ax.get_xlim(), *ax.get_ylim()]  # reading them also scales the axes to their data
    legend = ax.get_legend()
    words = [ax.get_title(), ax.get_xlabel(), ax.get_ylabel(), *(t.get_text() for t in ax.texts)]
    words += [t.get_text() for t in legend.get_texts()] if legend else []
    ticks = {_masked(t.get_text()) for axis in (ax.xaxis, ax.yaxis) for t in axis.get_ticklabels()}
    return {
        "words": _words(words),
        "ticks": sorted(t for t in ticks if re.search(r"[^\W\d_]{2}", t.replace("mathdefault", ""))),
        "scales": [ax.get_xscale(), ax.get_yscale()],
        "limits": [float(f"{x:.6g}") for x in limits],
        "artists": [
            {"kind": kind, "n": len(at), "at": _sampled(at, ordered)} for kind, at, ordered in _artists(ax) if len(at)
        ],
    }


def _artists(ax: Axes) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Kind, positions (n, 2) in fractions of the axes, and whether the order of the positions has a meaning."""
    from matplotlib.collections import PathCollection

    to_axes = ax.transAxes.inverted()

    def name(kind: str, artist: Artist) -> str:
        label = str(artist.get_label())
        return kind if label.startswith("_") else f"{kind} {_masked(label)}"

    def finite(positions: np.ndarray) -> np.ndarray:
        positions = np.ma.filled(np.ma.asarray(positions, float), np.nan).reshape(-1, 2)
        return np.clip(positions[np.isfinite(positions).all(axis=1)], -1, 2)  # what lies far outside is not visible

    with np.errstate(all="ignore"):  # zeros on a logarithmic axis
        for line in ax.lines:
            yield name("line", line), finite(to_axes.transform(line.get_transform().transform(line.get_xydata()))), True
        corners = [p.get_transform().transform_path(p.get_path()).get_extents().corners() for p in ax.patches]
        if corners:
            yield "patches", finite(to_axes.transform(np.concatenate(corners))), True
        for collection in ax.collections:
            if isinstance(collection, PathCollection):
                offsets = np.ma.filled(np.ma.asarray(collection.get_offsets(), float), np.nan)
                kind, display = "points", collection.get_offset_transform().transform(offsets)
            else:
                points = [collection.get_transform().transform(p.vertices) for p in collection.get_paths()]
                kind, display = "shapes", np.concatenate([*points, np.empty((0, 2))])
            yield name(kind, collection), finite(to_axes.transform(display)), False
        for image in ax.images:
            values = image.get_array()
            level = [] if values is None or values.ndim != 2 else np.asarray(image.norm(values), float).reshape(-1)
            yield "image", finite(np.column_stack([level, level])), True


def _sampled(at: np.ndarray, ordered: bool) -> list[list[int]]:
    """The mean and other positions in thousandths: at even steps along a curve, else quantiles of x and of y."""
    steps = np.linspace(0, 1, SAMPLES - 1)
    some = at[np.round(steps * (len(at) - 1)).astype(int)] if ordered else np.quantile(at, steps, axis=0)
    return np.round(1000 * np.vstack([at.mean(axis=0), some])).astype(int).tolist()


def differences(old: dict[str, Any], new: dict[str, Any], data: bool = True) -> list[str]:
    """List how a figure differs from an earlier version, a line for each difference.

    Parameters
    ----------
    old, new : dict
        From `describe`.
    data : bool
        Also compare limits, numbers of points and positions within `TOLERANCE`, not only words and kinds of artists.

    Examples
    --------
    >>> differences({"words": ["Stars"], "axes": []}, {"words": ["A star"], "axes": []})
    ["words: ['Stars'] became ['A star']"]
    """
    lines = [] if old["words"] == new["words"] else [f"words: {old['words']} became {new['words']}"]
    if len(old["axes"]) != len(new["axes"]):
        return [*lines, f"{len(old['axes'])} axes became {len(new['axes'])}"]
    for k, (a, b) in enumerate(zip(old["axes"], new["axes"], strict=True), start=1):
        changed = [part for part in ("words", "ticks", "scales") if a[part] != b[part]]
        lines += [f"axes {k}, {part}: {a[part]} became {b[part]}" for part in changed]
        lines += [f"axes {k}, {line}" for line in _of_artists(a, b, data)]
    return lines


def _of_artists(a: dict[str, Any], b: dict[str, Any], data: bool) -> Iterator[str]:
    """How the artists of two panels differ, and with `data` their limits."""
    kinds = [[artist["kind"] for artist in axes["artists"]] for axes in (a, b)]
    if kinds[0] != kinds[1]:
        yield f"drawn: {kinds[0]} became {kinds[1]}"
        return
    if data and (moved := _limits_moved(a, b)) > TOLERANCE:
        yield f"limits: {a['limits']} became {b['limits']}, {moved:.0%} of the axis"
    for one, other in zip(a["artists"], b["artists"], strict=True):
        if data and abs(one["n"] - other["n"]) > TOLERANCE * one["n"]:
            yield f"{one['kind']}: {one['n']} points became {other['n']}"
        elif data and (moved := np.abs(np.subtract(one["at"], other["at"])).max() / 1000) > TOLERANCE:
            yield f"{one['kind']}: moved by {moved:.0%} of the axis, {TOLERANCE:.0%} allowed"


def _limits_moved(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Largest change of a limit, as a fraction of its axis."""
    moved = []
    for scale, k in zip(a["scales"], (0, 2), strict=True):
        old, new = (np.array(axes["limits"][k : k + 2]) for axes in (a, b))
        if scale == "log":
            old, new = np.log10(old), np.log10(new)
        moved.append(np.abs((new - old) / (old[1] - old[0])).max())
    return float(max(moved))


def record_in_notebook() -> None:
    """Make the running notebook record each figure that it shows, its description and its vector versions.

    Outside a notebook do nothing.
    """
    from IPython.core.formatters import BaseFormatter
    from IPython.core.getipython import get_ipython
    from matplotlib.figure import FigureBase
    from traitlets import ObjectName, Unicode

    from astraclr.tutorial import figure_vectors

    class Contents(BaseFormatter):
        format_type = Unicode(MIME)
        print_method = ObjectName("_repr_astraclr_figure_")
        _return_type = dict

    class Vectors(Contents):
        format_type = Unicode(figure_vectors.MIME)
        print_method = ObjectName("_repr_astraclr_vectors_")

    shell: Any = get_ipython()
    if shell is not None:
        known = shell.display_formatter.formatters
        for kind, maker, drawn in ((MIME, Contents, describe), (figure_vectors.MIME, Vectors, figure_vectors.vectors)):
            formatter = known.setdefault(kind, maker(parent=shell.display_formatter))
            formatter.for_type(FigureBase, drawn)  # the inline backend removes formatters of Figure itself
