"""The map of stars: UMAP of embeddings, and neighbours measured in the embedding itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def umap_map(embeddings: np.ndarray, seed: int = 42, n_neighbors: int = 15, min_dist: float = 0.5) -> np.ndarray:
    """Two-dimensional UMAP of embeddings, with the paper's settings (cosine metric, PCA initialisation).

    Parameters
    ----------
    embeddings : (n, d), n > n_neighbors
    seed : equal seeds give equal maps

    Returns
    -------
    (n, 2) float32; distances between far groups mean little (McInnes et al. 2018, arXiv 1802.03426)

    Raises
    ------
    ValueError
        For fewer stars than `n_neighbors` needs.
    ImportError
        Without umap-learn, which ``pip install "astraclr[plot]"`` brings.
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
    """The `k` most similar other stars of every star.

    Returns
    -------
    index (n, k) int, similarity (n, k) cosine, most similar first
    """
    if k >= len(embeddings):
        raise ValueError(f"k {k} must be smaller than the number of stars, {len(embeddings)}")
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(embeddings)
    distance, index = search.kneighbors()  # without arguments a star is not its own neighbour
    return index, 1.0 - distance


def neighbour_purity(embeddings: np.ndarray, labels: np.ndarray, k: int = 10) -> dict[str, float]:
    """Share of the `k` nearest neighbours that have the star's own label, mean a class."""
    if len(labels) != len(embeddings):
        raise ValueError(f"{len(embeddings)} embeddings and {len(labels)} labels; give one label a star")
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
    """What a map shows of several embeddings of the same stars, say before and after fine-tuning, as numbers.

    Parameters
    ----------
    embeddings : name -> (n, d)
    labels : (n,) at least two classes
    k : neighbours that purity and trustworthiness look at
    seed : of the UMAP
    maps : name -> (n, 2), where a map is drawn already; `umap_map` draws the others

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
    """
    if wrong := {name: len(x) for name, x in embeddings.items() if len(x) != len(labels)}:
        raise ValueError(f"{len(labels)} labels and {wrong} embeddings; give one label a star")
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
