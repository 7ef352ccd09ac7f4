import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.tokens import prepare
from astraclr.evaluate.metrics import score
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_views
from astraclr.tutorial import figures


@pytest.fixture
def ax():
    figures.use_style()
    figure, axes = plt.subplots()
    yield axes
    figure.canvas.draw()
    plt.close(figure)


def test_magnitudes_are_upside_down_and_axes_have_units(ax, stars):
    figures.draw_star(ax, stars.star(0))
    assert ax.yaxis_inverted() and "MJD (days)" in ax.get_xlabel() and "magnitude" in ax.get_ylabel()


def test_folding_draws_two_turns(ax, stars):
    figures.draw_star(ax, stars.star(0), period=0.5)
    x = ax.lines[0].get_xdata()
    assert len(x) == 2 * len(stars.star(0)["g"][0]) and 0 <= x.min() and 1 < x.max() < 2


def test_tokens_are_counted_by_band(ax, stars):
    view = make_views(prepare(stars[:2]), torch.arange(2), preset("tiny"), RECIPES["corrected"], Draws(0))[0]
    figures.draw_tokens(ax, view, 0, stars.bands)
    assert sum(len(line.get_xdata()) for line in ax.lines) == int((~view.mask[0]).sum())


def test_training_shows_chance_and_floor(ax):
    history = pd.DataFrame({"step": [1, 2], "loss": [5.0, 4.0], "val_loss": [np.nan, 4.1]})
    figures.draw_training(ax, history, 3, 128)
    labels = " ".join(ax.get_legend_handles_labels()[1])
    assert "5.95" in labels and "0.69" in labels


def test_map_and_confusion(ax):
    labels = np.array(["RR", "", "ECL"])
    figures.draw_map(ax, np.arange(6.0).reshape(3, 2), labels)
    assert ax.get_legend_handles_labels()[1] == ["RR", "ECL", "unlabelled"]
    figures.draw_confusion(ax, score(np.array(["RR", "ECL"]), np.array(["RR", "RR"])))
    assert [t.get_text() for t in ax.texts] == ["1", "1"]


def test_medians_of_bins_are_drawn_over_two_cycles():
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    figures.draw_binned(ax, np.array([0.1, 0.1, 0.1, 0.9, 0.999999]), np.array([1.0, 2.0, 9.0, 4.0, 6.0]), bins=2)
    (line,) = ax.lines
    assert np.allclose(line.get_xdata(), [0.25, 0.75, 1.25, 1.75]) and np.allclose(line.get_ydata(), [2, 5, 2, 5])
