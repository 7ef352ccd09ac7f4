"""Keep vector versions (SVG and PDF) of the figures that an executed notebook shows.

They are one output beside the picture, packed, and the build of the book takes them out for its archive of figures.
"""

from __future__ import annotations

import base64
import io
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import FigureBase

MIME = "application/vnd.astraclr.vectors+json"
"""Type of the vector versions in the outputs of an executed notebook."""
MANY = 2_000
"""Artists with more points are drawn as pixels inside a vector version, which would be slow to open otherwise."""
DPI = 200
"""Dots per inch of these pixels."""


def vectors(figure: FigureBase) -> dict[str, str]:
    """Draw a figure as SVG and as PDF.

    Parameters
    ----------
    figure : FigureBase
        It looks the same afterwards.

    Returns
    -------
    dict
        ``svg`` and ``pdf``, each compressed by zlib and written in base64.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> drawn = Figure()
    >>> _ = drawn.subplots().plot([0, 1], [2, 4])
    >>> sorted(unpacked(vectors(drawn)))
    ['.pdf', '.svg']
    """
    import matplotlib as mpl

    whole = figure.get_figure(root=True)
    assert whole is not None
    crowded = [a for a in whole.findobj() if not a.get_rasterized() and _points(a) > MANY]
    out = {}
    try:
        for artist in crowded:
            artist.set_rasterized(True)
        with mpl.rc_context({"svg.hashsalt": "astraclr", "pdf.fonttype": 42}):
            for kind, dated in (("svg", {"Date": None}), ("pdf", {"CreationDate": None})):
                drawn = io.BytesIO()
                whole.savefig(drawn, format=kind, dpi=DPI, metadata=dated, bbox_inches="tight")
                out[kind] = base64.b64encode(zlib.compress(drawn.getvalue(), 9)).decode()
    finally:
        for artist in crowded:
            artist.set_rasterized(False)
    return out


def _points(artist: Artist) -> int:
    """Number of points of a curve or of a cloud of points; 0 for other artists."""
    from matplotlib.collections import Collection
    from matplotlib.lines import Line2D

    if isinstance(artist, Line2D):
        return len(np.asarray(artist.get_xydata()))
    if isinstance(artist, Collection):
        return max(
            len(np.asarray(artist.get_offsets())), sum(len(np.asarray(path.vertices)) for path in artist.get_paths())
        )
    return 0


def unpacked(packed: dict[str, str]) -> dict[str, bytes]:
    """Contents of the files that `vectors` packed, by suffix.

    Examples
    --------
    >>> unpacked({"svg": base64.b64encode(zlib.compress(b"<svg/>")).decode()})
    {'.svg': b'<svg/>'}
    """
    return {f".{kind}": zlib.decompress(base64.b64decode(text)) for kind, text in packed.items()}
