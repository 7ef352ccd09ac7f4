"""Figures of committed results, drawn from the tables of `astraclr.tutorial.results`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from astraclr.tutorial.results import UNKNOWN, score_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_scores(axes: Sequence[Axes], result: Mapping[str, Any], rows: Mapping[str, str | None]) -> None:
    """Draw accuracies of the linear probe and of k-NN with their intervals, a line for each row (scoreboard).

    Parameters
    ----------
    axes : two Axes
        For the linear probe and for k-NN.
    result : mapping
        A result of benchmarks/representation.py.
    rows : mapping
        Name of a line -> row of the result; a row that is missing gets a line that says so.
    """
    for ax, (place, title) in zip(axes, {"linear_probe": "linear probe", "knn": "weighted k-NN"}.items(), strict=True):
        for y, (name, row) in enumerate(rows.items()):
            found = score_of(result, row, place)
            if found is None:
                ax.text(0.02, y, UNKNOWN, va="center", fontsize=9, color="#555555")
                continue
            colour = "#c44e52" if "random" in name else "#555555" if "features" in name else "#1f5fa8"
            ax.plot([found.low, found.high], [y, y], color=colour, lw=2)
            ax.plot(found.mean, y, "o", color=colour, mfc="white" if "random" in name else colour)
        ax.set(xlim=(0, 0.95), ylim=(len(rows) - 0.5, -0.5), xlabel="accuracy, test stars", title=title)
        ax.set_yticks(range(len(rows)), list(rows))
        ax.label_outer()
