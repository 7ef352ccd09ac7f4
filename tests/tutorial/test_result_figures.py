"""Figures of committed results: a dot and an interval for each row, words where nothing was measured."""

import matplotlib.pyplot as plt

from astraclr.tutorial.result_figures import draw_scores
from astraclr.tutorial.results import UNKNOWN


def test_a_row_that_is_missing_says_so():
    score = {"accuracy": 0.7, "accuracy_low": 0.65, "accuracy_high": 0.75}
    result = {"rows": {"features": {"seeds": {"0": {"linear_probe": score}}}}}
    fig, axes = plt.subplots(1, 2)
    draw_scores(axes, result, {"features": "features", "trained with labels": None})
    assert [len(ax.lines) for ax in axes] == [2, 0], "a bar and a dot for the one score"
    assert [[t.get_text() for t in ax.texts] for ax in axes] == [[UNKNOWN], [UNKNOWN, UNKNOWN]]
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["features", "trained with labels"]
    plt.close(fig)
