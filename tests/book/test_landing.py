"""The picture of the first page: two neighbours of one class, names that do not overlap, pictures and words."""

import landing
import numpy as np
import pytest

from astraclr.simulation.simulate import simulate


@pytest.fixture(scope="module")
def shown():
    stars = simulate(60, seed=3)
    rows = np.argsort(stars.label, kind="stable")
    x = np.eye(60)[np.argsort(rows)] + 0.5 * np.eye(60)[np.argsort(rows) - 1]
    return landing.prepared(stars, x, np.random.default_rng(0).normal(size=(60, 2)))


def test_the_two_stars_are_neighbours_of_one_class_and_periodic(shown):
    one, other = shown.pair
    assert one != other and shown.stars.label[one] == shown.stars.label[other]
    assert shown.stars.label[one] in landing.FOLDED and np.isfinite(shown.stars.period[[one, other]]).all()


def test_without_such_a_pair_one_line_says_so(shown):
    stars = shown.stars.with_labels(["AGN", "YSO"])
    with pytest.raises(ValueError, match="no star of the classes RR, CEP, ECL"):
        landing.prepared(stars, np.eye(len(stars)) + 1, np.zeros((len(stars), 2)))


def test_names_do_not_overlap_and_leave_points_free():
    labels = np.array(["RR", "CEP", "ECL", "AGN"] * 5)
    free = np.array([[0.0, 0.0]])
    at = np.array(list(landing.places(np.zeros((20, 2)) + 1e-3, labels, (2.0, 0.5), free).values()))
    gaps = np.abs(at[:, None] - at[None])
    overlap = (gaps[..., 0] < 1.99) & (gaps[..., 1] < 0.45) & ~np.eye(4, dtype=bool)
    assert not overlap.any() and (np.abs(at[:, 1]) > 0.4).all()


def test_far_islands_are_drawn_nearer_in_the_same_order():
    xy = np.c_[[0.0, 1.0, 2.0, 3.0, 100.0], np.arange(5.0)]
    near = landing.drawn_together(xy)
    assert (np.diff(near, axis=0) > 0).all() and near[4, 0] < 10 * near[3, 0]


def test_pictures_and_words_are_written(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(landing, "DPI", 50)
    landing.write(shown, "laptop", tmp_path)
    names = {f"landing-{shape}{end}.png" for shape in landing.SIZES for end in ("", ".dark")}
    assert {f.name for f in tmp_path.glob("*.png")} == names
    light, dark = ((tmp_path / f"landing-wide{end}.png").read_bytes() for end in ("", ".dark"))
    assert light != dark
    said = (tmp_path / "landing.txt").read_text()
    assert all(name in said for name in names) and f"{shown.n_same} of them" in said and "cosine similarity" in said
