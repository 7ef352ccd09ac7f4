"""Figures of chapters 5 to 7: what they draw, from small inputs."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend

from astraclr.tutorial import embedding_figures
from astraclr.tutorial.bench_table import bench_table
from astraclr.tutorial.experiments import committed_result


@pytest.fixture(autouse=True)
def drawn_and_closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
        plt.close(number)


@pytest.fixture(scope="module")
def maps():
    return {name: np.random.default_rng(k).normal(size=(24, 2)) for k, name in enumerate(("one", "two", "three"))}


def legends(figure) -> list[Legend]:
    return [found for found in figure.findobj(Legend) if isinstance(found, Legend)]


def texts(figure):
    return {text.get_text() for legend in legends(figure) for text in legend.get_texts()}


def test_similarities_have_a_panel_for_each_encoder():
    pairs = {name: {"same star": np.full(9, 0.9), "two stars": np.zeros(9)} for name in ("a", "b")}
    embedding_figures.draw_similarities(pairs)
    axes = plt.gcf().axes
    assert [ax.get_title() for ax in axes] == ["a", "b"] and texts(plt.gcf()) == {"same star", "two stars"}


@pytest.mark.parametrize("n", [2, 3])
def test_maps_share_one_legend(maps, n):
    labels = np.array(["RR", "CV", "LPV"] * 8)
    embedding_figures.draw_maps(dict(list(maps.items())[:n]), labels)
    figure = plt.gcf()
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == list(maps)[:n]
    assert texts(figure) == {"RR", "CV", "LPV"} and len(legends(figure)) == 1
    assert figure.get_figwidth() <= 9


def test_neighbours_stand_beside_their_star(stars):
    index, similarity = np.array([[2, 3], [0, 3], [1, 0], [0, 1]]), np.full((4, 2), 0.5)
    embedding_figures.draw_neighbours(stars[:4], [1, 2], index, similarity)
    axes = plt.gcf().axes
    assert len(axes) == 6 and "(query)" in axes[0].get_title() and "(0.500)" in axes[5].get_title()
    assert all(ax.yaxis_inverted() for ax in axes)


def test_density_is_a_colour(maps):
    figure, ax = plt.subplots()
    embedding_figures.draw_density(ax, maps["one"], np.linspace(0.1, 1, 24))
    assert np.allclose(np.asarray(ax.collections[0].get_array()), np.linspace(0.1, 1, 24)) and len(figure.axes) == 2


def test_the_largest_groups_have_colours(maps):
    embedding_figures.draw_groups(maps, np.repeat([7, 3, 5], [12, 8, 4]), n=2)
    sizes = [len(np.asarray(dots.get_offsets())) for dots in plt.gcf().axes[0].collections]
    assert sizes == [24, 12, 8]


def test_a_circle_marks_the_chosen_c():
    _, ax = plt.subplots()
    right = {"recommended": {"0.1": 0.7, "10.0": 0.6}, "features": {"0.1": 0.5, "10.0": 0.55}}
    embedding_figures.draw_choice(ax, right, {"recommended": 0.1, "features": 10.0}, 0.08)
    circles = [np.asarray(line.get_xydata())[0].tolist() for line in ax.lines if line.get_markersize() == 11]
    assert circles == [[0.1, 0.7], [10.0, 0.55]] and "majority class" in texts(ax.figure)


def test_recall_has_a_line_from_before_to_after():
    _, ax = plt.subplots()
    recall = pd.DataFrame({"random weights": [0.2, 0.4], "recommended": [0.5, 0.3]}, index=["RR", "CV"])
    embedding_figures.draw_recall(ax, recall, "random weights", "recommended")
    assert [t.get_text() for t in ax.get_yticklabels()] == ["RR", "CV"]
    assert [np.asarray(path.vertices)[:, 0].tolist() for path in ax.collections[0].get_paths()] == [
        [0.2, 0.5],
        [0.4, 0.3],
    ]


def test_reliability_leaves_out_bins_of_few_stars():
    _, ax = plt.subplots()
    sure = np.r_[np.full(20, 0.95), np.full(9, 0.15), np.full(10, 0.55)]
    right = np.r_[np.ones(19), 0, np.ones(9), np.zeros(10)].astype(bool)
    embedding_figures.draw_reliability(ax, {"a": (sure, right), "b": (sure, right)}, bins=10)
    np.testing.assert_allclose(np.asarray(ax.lines[1].get_xydata()), [[0.55, 0], [0.95, 0.95]])


def test_few_labels_have_a_band_over_the_draws():
    _, ax = plt.subplots()
    embedding_figures.draw_few_labels(ax, {"features": {1: [0.1, 0.3], 20: [0.5, 0.6]}})
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_ydata(), float), [0.2, 0.55])
    assert len(ax.collections) == 1 and [t.get_text() for t in ax.get_xticklabels()] == ["1", "20"]


def test_rows_of_the_benchmark_have_names_in_words():
    _, ax = plt.subplots()
    embedding_figures.draw_bench(ax, bench_table(committed_result("representation-laptop")))
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names[-1] == "majority class" and not [name for name in names if "@" in name or "_" in name]


def test_finetuning_has_a_panel_for_loss_and_one_for_accuracy():
    run = pd.DataFrame({"epoch": [0, 1, 2], "loss": [2.4, 2.0, 1.5], "accuracy": [0.1, 0.3, 0.4]})
    embedding_figures.draw_finetuning({"a": run, "b": run, "c": run})
    left, right = plt.gcf().axes
    assert "cross entropy" in left.get_ylabel() and "accuracy" in right.get_ylabel() and texts(plt.gcf()) == set("abc")


def test_ways_are_drawn_in_order_of_their_labels():
    _, ax = plt.subplots()
    curve = pd.DataFrame({"way": ["linear probe"] * 2, "per_class": [20, 5], "accuracy": [0.7, 0.5]})
    embedding_figures.draw_ways(ax, curve)
    assert np.asarray(ax.lines[0].get_xydata()).tolist() == [[5, 0.5], [20, 0.7]]
