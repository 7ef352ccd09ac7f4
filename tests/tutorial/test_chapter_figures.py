"""Figures of single chapters: what they draw, from small inputs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.tokens import prepare
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views
from astraclr.tutorial import chapter_figures


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    figure.canvas.draw()
    plt.close(figure)


def test_gaps_have_a_histogram_for_each_band(ax):
    chapter_figures.draw_gaps(ax, np.array([0.1, 1.0, 10.0]), np.array([0, 1, 1]), ["g", "r"])
    assert ax.get_legend_handles_labels()[1] == ["g", "r"] and "days" in ax.get_xlabel()


def test_folded_tokens_are_those_of_the_view_with_magnitudes_upside_down(ax, stars):
    view = make_views(prepare(stars[:2]), torch.arange(2), preset("tiny"), RECIPES["corrected"], Draws(0))[0]
    chapter_figures.draw_folded_tokens(ax, view, 0, stars.bands, period=0.5)
    assert sum(len(line.get_xdata()) for line in ax.lines) == int((~view.mask[0]).sum())
    assert ax.yaxis_inverted() and all(0 <= x < 1 for line in ax.lines for x in line.get_xdata())


def test_shares_stand_beside_guessing(ax):
    chapter_figures.draw_shares_found(ax, {"colour": 0.3, "time": 0.1}, 128)
    assert [bar.get_width() for bar in ax.patches] == [0.3, 0.1] and ax.lines[0].get_xdata()[0] == 1 / 128


def test_attention_has_a_panel_a_head():
    figure, axes = plt.subplots(1, 2)
    chapter_figures.draw_attention(axes, torch.rand(2, 5, 5), {"g": 2, "r": 3})
    assert [t.get_text() for t in axes[0].get_xticklabels()] == ["g", "r"]
    assert all(ax.images[0].get_array().shape == (5, 5) for ax in axes) and len(figure.axes) == 3
    plt.close(figure)


def test_gauges_stand_beside_those_of_random_weights():
    gauges = {"alignment": 0.5, "uniformity": -1.0, "effective_rank": 9.0}
    history = pd.DataFrame(
        {"step": [1, 2], "loss": [5.0, 4.0], "val_loss": [np.nan, 4.1]} | {k: [v] * 2 for k, v in gauges.items()}
    )
    chapter_figures.draw_training_and_gauges(history, gauges, n_views=3, batch=128, width=16)
    figure = plt.gcf()
    assert [ax.get_title() for ax in figure.axes][3] == "effective rank (of 16)"
    assert [np.asarray(ax.lines[1].get_ydata())[0] for ax in figure.axes[1:]] == list(gauges.values())
    plt.close(figure)


def test_losses_of_two_runs_stand_beside_chance(ax):
    chapter_figures.draw_losses(ax, {"ours": [5.0, 4.0], "hers": [5.0, 5.0]}, n_views=3, batch=32)
    assert ax.get_legend_handles_labels()[1] == ["ours", "hers", "chance, ln(3·32 - 1)"]
    assert ax.lines[2].get_ydata()[0] == pytest.approx(np.log(95))


def test_rates_have_a_panel_for_each_of_four_sizes():
    row = {
        "place": "memory",
        "preset": "tiny",
        "per_cpu_s": 1.0,
        "floor_per_cpu_s": 2.0,
        "per_s": 3.0,
        "floor_per_s": 4.0,
    }
    results = {x: [row | {x: n} for n in (8, 16)] for x in ("stars", "epochs", "batch", "ranks")}
    figure, axes = plt.subplots(2, 2)
    chapter_figures.draw_scaling(axes, results)
    assert [ax.get_xlabel() for ax in axes.ravel()] == ["stars in the set", "epochs", "stars in a batch", "ranks"]
    assert list(axes[1, 1].lines[0].get_ydata()) == [3, 3]
    plt.close(figure)


def test_the_bars_of_a_step_fill_the_whole_step(ax):
    parts = {
        "views": 1.0,
        "encoder forward": 3.0,
        "loss": 0.0,
        "backward": 4.0,
        "waiting": 1.0,
        "gradient sum": 0.5,
        "optimiser": 0.5,
    }
    rows = [{"preset": "tiny", "ranks": n, "parts": parts} for n in (1, 2)]
    chapter_figures.draw_steps(ax, rows)
    ends = [bar.get_x() + bar.get_width() for bar in ax.patches]
    assert len(ends) == 14 and np.isclose(max(ends), 1)
    assert ax.patches[1].get_width() == pytest.approx(0.3)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["tiny, 1 rank", "tiny, 2 ranks"]


def test_rates_are_drawn_with_their_floors_a_line_for_each_group(ax):
    rows = [
        {"batch": n, "preset": name, "per_cpu_s": n * 1.0, "floor_per_cpu_s": n * 2.0}
        for name in ("tiny", "laptop")
        for n in (8, 16)
    ]
    chapter_figures.draw_rates(ax, rows, "batch", "preset")
    assert [line.get_label() for line in ax.lines[::2]] == ["tiny", "laptop"]
    assert [list(line.get_ydata()) for line in ax.lines] == [[8, 16], [16, 32]] * 2
    assert ax.get_xscale() == ax.get_yscale() == "log"
