"""Structure of embeddings: UMAP maps, nearest neighbours, and how well classes separate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def umap_map(embeddings: np.ndarray, seed: int = 42, n_neighbors: int = 15, min_dist: float = 0.5) -> np.ndarray:
    """Compute a two-dimensional UMAP of embeddings with the paper's settings (cosine metric, PCA initialisation).

    Parameters
    ----------
    embeddings : (n, d), n > n_neighbors
    seed : of the optimisation
    n_neighbors, min_dist : of UMAP

    Returns
    -------
    (n, 2) float32; distances between far groups mean little (McInnes et al. 2018, arXiv 1802.03426)

    Raises
    ------
    ValueError
        For fewer stars than `n_neighbors` needs.
    ImportError
        Without umap-learn, which ``pip install "astraclr[plot]"`` installs.

    Examples
    --------
    >>> umap_map(np.ones((12, 3)))
    Traceback (most recent call last):
    ValueError: 12 stars are too few for n_neighbors 15; give more stars
    """
    if len(embeddings) <= n_neighbors:
        raise ValueError(f"{len(embeddings)} stars are too few for n_neighbors {n_neighbors}; give more stars")
    import warnings

    try:
        from umap import UMAP
    except ModuleNotFoundError as error:
        raise ImportError("UMAP needs the package umap-learn: pip install 'astraclr[plot]'") from error

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_jobs value")  # a fixed seed means one thread, as wanted
        return UMAP(
            n_neighbors=n_neighbors, min_dist=min_dist, metric="cosine", init="pca", random_state=seed
        ).fit_transform(embeddings)


def neighbours(embeddings: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` most similar other stars of every star.

    Parameters
    ----------
    embeddings : (n, d)
    k : less than n

    Returns
    -------
    index : (n, k) int, the most similar star first
    similarity : (n, k), cosine

    Raises
    ------
    ValueError
        If `k` is not less than n.

    Examples
    --------
    >>> index, similarity = neighbours(np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]), k=1)
    >>> index.ravel().tolist()
    [1, 0, 1]
    """
    if k >= len(embeddings):
        raise ValueError(f"k {k} must be smaller than the number of stars, {len(embeddings)}")
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(embeddings)
    distance, index = search.kneighbors()  # without arguments a star is not its own neighbour
    return index, 1.0 - distance


def neighbour_purity(embeddings: np.ndarray, labels: np.ndarray, k: int = 10) -> dict[str, float]:
    """Mean share of the `k` nearest neighbours that have the star's own label, for each class.

    Parameters
    ----------
    embeddings, labels : (n, d), (n,)
    k : number of neighbours

    Raises
    ------
    ValueError
        If embeddings and labels differ in number, or `k` is not less than n.

    Examples
    --------
    >>> neighbour_purity(np.eye(2)[[0, 0, 1, 1]], np.array(["RR", "RR", "ECL", "ECL"]), k=1)
    {'ECL': 1.0, 'RR': 1.0}
    """
    if len(labels) != len(embeddings):
        raise ValueError(f"{len(embeddings)} embeddings and {len(labels)} labels; give one label per star")
    index, _ = neighbours(embeddings, k)
    same = (labels[index] == labels[:, None]).mean(1)
    return {str(c): float(same[labels == c].mean()) for c in np.unique(labels)}


def topology(
    embeddings: Mapping[str, np.ndarray],
    labels: np.ndarray,
    k: int = 10,
    seed: int = 42,
    maps: Mapping[str, np.ndarray] | None = None,
) -> dict[str, dict[str, float]]:
    """Measure how well classes separate in several embeddings of the same stars, and how faithful their maps are.

    Parameters
    ----------
    embeddings : name -> (n, d)
    labels : (n,) at least two classes
    k : number of neighbours for purity and trustworthiness
    seed : of the UMAP
    maps : name -> (n, 2) maps computed before; `umap_map` computes the others

    Returns
    -------
    dict
        name -> ``silhouette``, -1 to 1, by cosine distance: are classes apart (Rousseeuw 1987, JCAM 20, 53)?
        ``purity``, 0 to 1, `neighbour_purity`, mean over the classes: are the nearest of the same class?
        ``trustworthiness``, 0 to 1: are neighbours on the map neighbours in the embedding (Venna & Kaski 2001, ICANN)?

    Raises
    ------
    ValueError
        If labels and embeddings differ in number, or there is one class only.

    Examples
    --------
    >>> x, labels = np.random.default_rng(0).normal(size=(30, 4)), np.array(["RR", "ECL", "CV"] * 10)
    >>> sorted(topology({"random": x}, labels, k=5, maps={"random": x[:, :2]})["random"])
    ['purity', 'silhouette', 'trustworthiness']
    """
    if wrong := {name: len(x) for name, x in embeddings.items() if len(x) != len(labels)}:
        raise ValueError(f"{len(labels)} labels and {wrong} embeddings; give one label per star")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"all labels are {labels[0]!r}; topology compares at least two classes")
    from sklearn.manifold import trustworthiness
    from sklearn.metrics import silhouette_score

    drawn = dict(maps or {})
    drawn |= {name: umap_map(x, seed) for name, x in embeddings.items() if name not in drawn}
    return {
        name: {
            "silhouette": float(silhouette_score(x, labels, metric="cosine")),
            "purity": float(np.mean(list(neighbour_purity(x, labels, k).values()))),
            "trustworthiness": float(trustworthiness(x, drawn[name], n_neighbors=k, metric="cosine")),
        }
        for name, x in embeddings.items()
    }


def island_table(xy: np.ndarray, labels: np.ndarray, alike: np.ndarray, gap: float = 1.0) -> pd.DataFrame:
    """Tabulate the islands of a map: groups of stars with a gap around them, found by DBSCAN.

    Parameters
    ----------
    xy : (n, 2) positions on the map
    labels : (n,)
    alike : (n, n) a measure of pairs of stars, such as the share of nights on which both were observed
    gap : least distance between two groups, in units of the map

    Returns
    -------
    DataFrame
        A row for each group of at least 5 stars, the largest first: ``stars``, their number; ``commonest class`` and
        ``its share``; ``alike``, the mean of the measure over the pairs of the group.

    Raises
    ------
    ValueError
        If positions, labels and measure are not of the same stars.

    Examples
    --------
    >>> xy, labels = np.repeat([[0.0, 0.0], [9.0, 9.0]], [6, 5], axis=0), np.array(["RR"] * 6 + ["CV"] * 5)
    >>> island_table(xy, labels, np.ones((11, 11)))[["stars", "commonest class"]].values.tolist()
    [[6, 'RR'], [5, 'CV']]
    """
    n = len(xy)
    if len(labels) != n or alike.shape != (n, n):
        raise ValueError(
            f"{n} positions, {len(labels)} labels and a measure of shape {alike.shape}; give the same stars"
        )
    import pandas as pd
    from sklearn.cluster import DBSCAN

    island, rows = DBSCAN(eps=gap, min_samples=5).fit_predict(xy), []
    for one in np.unique(island[island >= 0]):  # -1: a star of no island
        inside = np.flatnonzero(island == one)
        classes, counts = np.unique(labels[inside], return_counts=True)
        pairs = ~np.eye(len(inside), dtype=bool)
        mean = float(alike[np.ix_(inside, inside)][pairs].mean())
        rows.append((len(inside), str(classes[counts.argmax()]), counts.max() / len(inside), mean))
    columns = ["stars", "commonest class", "its share", "alike"]
    return pd.DataFrame(rows, columns=columns).sort_values("stars", ascending=False, kind="stable", ignore_index=True)
