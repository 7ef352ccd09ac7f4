"""Figures of chapters 5 to 7: what they draw, from small inputs."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from astraclr.tutorial import embedding_figures


@pytest.fixture(autouse=True)
def drawn_and_closed():
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
        plt.close(number)


@pytest.fixture(scope="module")
def maps():
    return {name: np.random.default_rng(k).normal(size=(24, 2)) for k, name in enumerate(("one", "two", "three"))}


def texts(figure):
    return {text.get_text() for legend in figure.findobj(plt.matplotlib.legend.Legend) for text in legend.get_texts()}


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
    assert texts(figure) == {"RR", "CV", "LPV"} and len(figure.findobj(plt.matplotlib.legend.Legend)) == 1
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
    assert np.allclose(ax.collections[0].get_array(), np.linspace(0.1, 1, 24)) and len(figure.axes) == 2


def test_the_largest_groups_have_colours(maps):
    embedding_figures.draw_groups(maps, np.repeat([7, 3, 5], [12, 8, 4]), n=2)
    sizes = [len(dots.get_offsets()) for dots in plt.gcf().axes[0].collections]
    assert sizes == [24, 12, 8]
