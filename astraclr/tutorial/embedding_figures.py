"""Figures of chapters 5 to 7: embeddings, their maps, and what classifiers find in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.tutorial.bench_table import row_name
from astraclr.tutorial.figures import band_handles, draw_map, draw_star

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

SIMILARITY_BINS = np.linspace(-1, 1, 61)


def draw_similarities(pairs: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Draw histograms of cosine similarities, a panel for each encoder and a line for each kind of pair (chapter 5).

    Parameters
    ----------
    pairs : mapping
        Encoder, then kind of pair -> (n,) similarities.
    """
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(1, len(pairs), figsize=(9, 2.8), sharey=True, squeeze=False)
    for ax, (name, kinds) in zip(axes[0], pairs.items(), strict=True):
        for (kind, values), colour in zip(kinds.items(), ("#1f77b4", "#ff7f0e"), strict=True):
            ax.hist(values, bins=SIMILARITY_BINS.tolist(), histtype="step", color=colour, label=kind)
        ax.set(title=name, xlabel="cosine similarity", yscale="log")
    axes[0, 0].set_ylabel("pairs of crops")
    axes[0, 0].legend(loc="upper left", fontsize=8)


def draw_maps(maps: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
    """Draw two or three maps of the same stars, coloured by class; the legend has a place of its own (chapter 5).

    Parameters
    ----------
    maps : mapping
        Name -> (n_stars, 2) positions.
    labels : ndarray
        (n_stars,) classes.
    """
    import matplotlib.pyplot as plt

    rows = -(-(len(maps) + 1) // 2) if len(maps) > 2 else 1
    fig, axes = plt.subplots(rows, 2, figsize=(9, 4.1 * rows))
    for ax, (name, xy) in zip(axes.flat, maps.items(), strict=False):
        draw_map(ax, xy, labels, title=name, legend=False)
    handles, names = axes.flat[0].get_legend_handles_labels()
    for ax in axes.flat[len(maps) :]:
        ax.axis("off")
        ax.legend(handles, names, loc="center", ncols=2, markerscale=3)
    if len(maps) == axes.size:
        fig.legend(handles, names, loc="outside lower center", ncols=6, fontsize=8, markerscale=2)


def draw_neighbours(lc: LightCurves, queries: Sequence[int], index: np.ndarray, similarity: np.ndarray) -> None:
    """Draw stars, a row for each, and beside them their nearest neighbours with the similarity (chapter 5).

    Parameters
    ----------
    lc : LightCurves
    queries : sequence of int
        Rows of the stars.
    index, similarity : ndarray
        (n_stars, k), as `analysis.latent_space.neighbours` gives them.
    """
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    shape = len(queries), index.shape[1] + 1
    fig, axes = plt.subplots(*shape, figsize=(9, 2.4 * len(queries)), squeeze=False)
    for row, query in zip(axes, queries, strict=True):
        likest = zip(index[query], similarity[query], strict=True)
        shown = [(query, "query"), *((int(k), f"{s:.3f}") for k, s in likest)]
        for ax, (k, note) in zip(row, shown, strict=True):
            draw_star(ax, lc.star(k))
            ax.set_title(f"{lc.label[k]} ({note})", fontsize=9)
            ax.get_legend().remove()
            ax.set(xlabel="", ylabel="")
            ax.xaxis.set_major_locator(MaxNLocator(3))
    fig.legend(handles=band_handles(lc.bands), ncols=3, loc="outside upper center")
    fig.supxlabel("MJD (days)")
    fig.supylabel("magnitude")


def draw_density(ax: Axes, xy: np.ndarray, distance: np.ndarray) -> None:
    """Draw a map coloured by the distance of each star to its tenth nearest star (chapter 5).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    xy : ndarray
        (n_stars, 2) positions.
    distance : ndarray
        (n_stars,) 1 - cosine similarity, in the embedding.
    """
    dots = ax.scatter(*xy.T, s=7, lw=0, c=distance, norm="log", cmap="viridis")
    ax.figure.colorbar(dots, ax=ax, label="distance to the tenth nearest star (1 - cosine)")
    ax.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
    ax.grid(False)


def draw_groups(maps: Mapping[str, np.ndarray], group: np.ndarray, n: int = 6) -> None:
    """Draw the `n` largest groups of stars in a colour each, all other stars in grey, a panel for each map (chapter 5).

    Parameters
    ----------
    maps : mapping
        Name -> (n_stars, 2) positions.
    group : ndarray
        (n_stars,) number of the group of each star.
    n : int
        Groups to colour.
    """
    import matplotlib.pyplot as plt

    numbers, counts = np.unique(group, return_counts=True)
    largest = numbers[np.argsort(-counts, kind="stable")][:n]
    _, axes = plt.subplots(1, len(maps), figsize=(9, 3.2), squeeze=False)
    for ax, (name, xy) in zip(axes[0], maps.items(), strict=True):
        ax.scatter(*xy.T, s=4, lw=0, color="#cccccc")
        for k, one in enumerate(largest):
            ax.scatter(*xy[group == one].T, s=16, lw=0, color=f"C{k}")
        ax.set(title=name, xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
        ax.grid(False)


VECTOR_COLOURS = {
    "recommended": "#1f77b4",
    "random weights": "#7f7f7f",
    "chapter 4": "#ff7f0e",
    "no times": "#d1495b",
    "features": "#2ca02c",
}
"""Colours of the vectors that chapter 6 compares."""


def draw_choice(
    ax: Axes, right: Mapping[str, Mapping[str, float]], chosen: Mapping[str, object], guessing: float
) -> None:
    """Draw the accuracies of linear probes against C; a circle marks each choice (chapter 6).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    right : mapping
        Name of the vectors, then C as text -> accuracy on the validation set.
    chosen : mapping
        Name of the vectors -> C.
    guessing : float
        Accuracy of always naming the most frequent class.
    """
    for name, accuracies in right.items():
        colour = VECTOR_COLOURS[name]
        ax.semilogx([float(C) for C in accuracies], list(accuracies.values()), "o-", color=colour, label=name)
        ax.semilogx(float(str(chosen[name])), accuracies[str(chosen[name])], "o", ms=11, mfc="none", color=colour)
    ax.axhline(guessing, ls="--", lw=1, color="#555555", label="majority class")
    ax.set(xlabel="C (inverse regularisation)", ylabel="accuracy, validation set", ylim=(0, 0.9))
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))


def draw_recall(ax: Axes, recall: pd.DataFrame, before: str, after: str) -> None:
    """Draw the recall of each class as dots, with a line from the column `before` to `after` (chapter 6).

    Parameters
    ----------
    recall : DataFrame
        A row for each class, a column for each kind of vectors.
    """
    rows = range(len(recall))
    for name, marker in zip(recall, "osvD^", strict=False):
        ax.plot(recall[name], rows, marker, color=VECTOR_COLOURS[str(name)], label=str(name), clip_on=False)
    ax.hlines(rows, recall[before], recall[after], color="#bbbbbb", zorder=0)
    ax.set(xlabel="recall on the test stars", xlim=(0, 1))
    ax.set_yticks(rows, list(recall.index))
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)


def draw_reliability(ax: Axes, answers: Mapping[str, tuple[np.ndarray, np.ndarray]], bins: int) -> None:
    """Draw the share of right answers against the stated probability, with the diagonal (chapter 6).

    Parameters
    ----------
    ax : Axes
        Panel to draw into.
    answers : mapping
        Name -> (n,) largest probabilities, (n,) whether the label is right.
    bins : int
        Bins of the probability; one with fewer than ten stars is left out.
    """
    ax.plot([0, 1], [0, 1], "--", lw=1, color="#555555")
    for (name, (sure, right)), colour in zip(answers.items(), ("#1f77b4", "#d1495b"), strict=True):
        place = np.minimum((sure * bins).astype(int), bins - 1)
        n, total, hits = (np.bincount(place, w, bins) for w in (None, sure, right))
        full = n >= 10
        ax.plot(total[full] / n[full], hits[full] / n[full], "o-", color=colour, label=name)
    ax.set(xlabel="probability of the named class", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    ax.legend(loc="upper left", fontsize=8)


def draw_few_labels(ax: Axes, curves: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """Draw the mean accuracy against labels a class, and a band over the draws of labels (chapter 6).

    Parameters
    ----------
    curves : mapping
        Name of the vectors, then labels a class -> accuracies, one for each draw.
    """
    for name, by_n in curves.items():
        each, colour = np.array(list(by_n.values())), VECTOR_COLOURS[name]
        ax.semilogx(list(by_n), each.mean(axis=1), "o-", color=colour, label=name)
        ax.fill_between(list(by_n), each.min(axis=1), each.max(axis=1), color=colour, alpha=0.2)
        ax.set_xticks(list(by_n), [f"{n:,}" for n in by_n])
    ax.minorticks_off()
    ax.set(xlabel="labelled stars a class", ylabel="accuracy, test set", ylim=(0, 0.9))
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)


def draw_bench(ax: Axes, table: pd.DataFrame) -> None:
    """Draw the accuracies of the benchmark with their intervals, a line for each row (chapter 6).

    Parameters
    ----------
    table : DataFrame
        Of `bench_table.bench_table`.
    """
    names = list(dict.fromkeys(table.index.get_level_values("row")))[::-1]
    marks = {"linear_probe": "o", "knn": "s", "few_labels 20": "^", "head": "D", "majority": "x"}
    for classifier, mark in marks.items():
        if classifier not in table.index.get_level_values("classifier"):
            continue
        rows = table.xs(classifier, level="classifier").reindex(names)
        ends = rows["accuracy"] - rows["accuracy_low"], rows["accuracy_high"] - rows["accuracy"]
        label = {"knn": "weighted k-NN", "few_labels 20": "20 labels a class"}.get(classifier, classifier)
        ax.errorbar(rows["accuracy"], range(len(names)), xerr=ends, fmt=mark, ms=4, label=label.replace("_", " "))
    ax.set(xlabel="accuracy, mean over trainings", xlim=(0, 1))
    ax.set_yticks(range(len(names)), [row_name(name) for name in names])
    ax.figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8)


def draw_finetuning(histories: Mapping[str, pd.DataFrame]) -> None:
    """Draw loss and accuracy of fine-tunings against passes over the labels (chapter 7).

    Parameters
    ----------
    histories : mapping
        Name of the run -> columns ``epoch``, ``loss`` (training set) and ``accuracy`` (validation set).
    """
    import matplotlib.pyplot as plt

    _, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for (name, run), (colour, style) in zip(histories.items(), _RUNS, strict=True):
        for ax, column in ((left, "loss"), (right, "accuracy")):
            ax.plot(run["epoch"], run[column], style, marker="o", color=colour, label=name)
    left.axhline(np.log(12), ls=":", color="#808080", lw=1)
    left.set(ylabel="cross entropy, training set (nats)", ylim=(0, None))
    right.set(ylabel="accuracy, validation set", ylim=(0, 1))
    last = max(int(np.max(run["epoch"].to_numpy())) for run in histories.values())
    for ax in (left, right):
        ax.set(xlabel="pass over the labels", xticks=range(last + 1), xlim=(-0.2, last + 0.2))
    right.legend(fontsize=8, loc="upper left")


_RUNS = ("#1f77b4", "-"), ("#1f77b4", "--"), ("#7f7f7f", "-")
_WAYS = {
    "linear probe": {"color": "#1f77b4", "lw": 6, "alpha": 0.35, "ms": 9},  # others lie upon it
    "linear probe, C = 10": {"color": "#1f77b4", "ls": ":"},
    "last layers": {"color": "#d62728", "ls": "--"},
    "head only": {"color": "#9467bd"},
    "whole encoder": {"color": "#ff7f0e", "ls": "-."},
    "from scratch": {"color": "#7f7f7f", "lw": 6, "alpha": 0.35, "ms": 9},
    "linear probe, random weights": {"color": "#7f7f7f", "ls": ":"},
}


def draw_ways(ax: Axes, curve: pd.DataFrame) -> None:
    """Draw the accuracy of each way to use labels, columns ``way, per_class, accuracy``, against labels (chapter 7)."""
    for way, look in _WAYS.items():
        rows = curve.query("way == @way").sort_values(by="per_class")
        ax.plot(rows["per_class"], rows["accuracy"], marker="o", label=way, **look)
    ticks = sorted(curve["per_class"].unique())
    ax.set(xscale="log", xlabel="labels a class", ylabel="accuracy", ylim=(0, 0.85))
    ax.set_xticks(ticks, labels=[f"{n:.0f}" for n in ticks])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
