import numpy as np
import pytest

from astraclr.analysis.latent_space import island_table, neighbour_purity, neighbours, topology, umap_map


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(1)
    labels = np.repeat(["a", "b"], 60)
    return rng.normal(size=(120, 5)) * 0.1 + np.where(labels == "a", 1, -1)[:, None] * [1, 0, 0, 0, 0], labels


def test_map_separates_clusters_and_repeats(clusters):
    x, labels = clusters
    xy = umap_map(x)
    assert xy.shape == (120, 2) and np.isfinite(xy).all()
    a, b = xy[labels == "a"], xy[labels == "b"]
    spread = max(a.std(0).max(), b.std(0).max())
    assert np.linalg.norm(a.mean(0) - b.mean(0)) > 3 * spread
    np.testing.assert_array_equal(umap_map(x), xy)


def test_neighbours_are_others_and_sorted(clusters):
    x, labels = clusters
    index, similarity = neighbours(x, 5)
    assert (index != np.arange(120)[:, None]).all() and (np.diff(similarity, axis=1) <= 1e-9).all()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(similarity[3], (unit[3] * unit[index[3]]).sum(1), atol=1e-6)
    assert neighbour_purity(x, labels, 5) == {"a": 1.0, "b": 1.0}


def test_too_few_stars(clusters):
    with pytest.raises(ValueError, match="10 stars are too few"):
        umap_map(clusters[0][:10])
    with pytest.raises(ValueError, match="k 120 must be smaller"):
        neighbours(clusters[0], 120)


def test_topology_of_separate_clusters_and_of_shuffled_labels(clusters):
    x, labels = clusters
    mixed = labels[np.random.default_rng(0).permutation(120)]
    found = topology({"apart": x, "twice": 2 * x}, labels)
    assert found["apart"]["silhouette"] > 0.9 and found["apart"]["purity"] == 1
    assert found["apart"]["silhouette"] == pytest.approx(found["twice"]["silhouette"])  # by cosine
    assert topology({"x": x}, mixed)["x"]["silhouette"] < 0.1
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    far, same = 1 - unit @ unit.T, labels[:, None] == labels
    inside, outside = (far * same).sum(1) / 59, (far * ~same).sum(1) / 60
    assert found["apart"]["silhouette"] == pytest.approx(np.mean((outside - inside) / np.maximum(inside, outside)))
    shown, rank = umap_map(x), np.argsort(np.argsort(far, axis=1), axis=1)
    near = np.argsort(np.linalg.norm(shown[:, None] - shown, axis=2), axis=1)[:, 1:11]
    penalty = np.maximum(np.take_along_axis(rank, near, 1) - 10, 0).sum()
    assert found["apart"]["trustworthiness"] == pytest.approx(1 - 2 * penalty / (120 * 10 * (240 - 30 - 1)), abs=1e-3)
    assert topology({"apart": x}, labels, maps={"apart": shown})["apart"] == found["apart"]
    scrambled = topology({"apart": x}, labels, maps={"apart": shown[::-1]})["apart"]
    assert scrambled["trustworthiness"] < 0.9 < found["apart"]["trustworthiness"]


def test_topology_refuses(clusters):
    x, labels = clusters
    with pytest.raises(ValueError, match="119 labels and"):
        topology({"x": x}, labels[1:])
    with pytest.raises(ValueError, match="at least two classes"):
        topology({"x": x}, np.full(120, "a"))


def test_islands_are_groups_with_a_gap_the_largest_first():
    rng = np.random.default_rng(0)
    middle = np.repeat([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]], [30, 50, 3], axis=0)
    labels = np.array(["a"] * 20 + ["b"] * 10 + ["c"] * 50 + ["a"] * 3)
    alike = (labels[:, None] == labels).astype(float)
    table = island_table(middle + 0.1 * rng.normal(size=(83, 2)), labels, alike)
    assert table["stars"].tolist() == [50, 30]  # three stars are no island
    assert table["commonest class"].tolist() == ["c", "a"]
    np.testing.assert_allclose(table["its share"], [1, 2 / 3])
    np.testing.assert_allclose(table["alike"], [1, (20 * 19 + 10 * 9) / (30 * 29)])  # a star with itself is no pair
    with pytest.raises(ValueError, match="82 labels"):
        island_table(middle, labels[1:], alike)
