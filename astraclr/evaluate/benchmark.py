"""The bench: any vectors of the same labelled stars, read by the same probes; no choice is made on the test split.

Three splits by object: readers are fitted on the first, their settings are chosen on the second, and the third is
predicted once, at the end. A function here that scores takes predictions only; none that chooses takes the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from astraclr.config import Preset
from astraclr.config import preset as preset_named
from astraclr.data.splits import Splits
from astraclr.evaluate.metrics import NATURAL, calibration_error, natural_weights, score, with_intervals
from astraclr.evaluate.probes import PAPER_C, PAPER_K, fit_logistic, knn_class_scores
from astraclr.evaluate.splits import cap_labels
from astraclr.simulation.simulate import simulate

C_GRID = (0.01, 0.1, 1.0, 10.0)

FEW_LABELS = (1, 5, 20, 100)
"""Labels a class."""

BENCH_SEED = 700_000
"""Of the simulated labelled stars, plus the seed of the bench; those to pre-train on have 1,000 plus their seed."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of simulated stars, and what keeps a run short where only the wiring is checked (None: the preset's)."""

    unlabelled: int
    fit: int
    choose: int
    test: int
    steps: int | None = None
    epochs: int = 200
    draws: int = 5


_WIRING = Sizes(800, 600, 300, 400, steps=12, epochs=2, draws=2)

_FULL = Sizes(40_000, 6_000, 2_000, 4_000)


def sizes_of(preset: str | Preset) -> Sizes:
    """Few stars and steps at preset tiny, above it the bench's own; never fewer unlabelled stars than the preset's."""
    chosen = preset_named(preset)
    return _WIRING if chosen.name == "tiny" else replace(_FULL, unlabelled=max(_FULL.unlabelled, chosen.n_stars))


def bench_stars(sizes: Sizes, seed: int = 0) -> Splits:
    """Simulated labelled stars in three sets; no star is in two of them, or among those to pre-train on."""
    cuts = np.cumsum([sizes.fit, sizes.choose, sizes.test])
    stars = simulate(int(cuts[-1]), seed=BENCH_SEED + seed)
    return Splits(stars[: cuts[0]], stars[cuts[0] : cuts[1]], stars[cuts[1] :])


class Vectors(NamedTuple):
    """(n, d) vectors of the stars of the three splits."""

    fit: np.ndarray
    choose: np.ndarray
    test: np.ndarray


class Predictions(NamedTuple):
    """(n, n_classes) class probabilities or votes, (n_classes,) names in their order."""

    scores: np.ndarray
    classes: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """(n,) most probable class names."""
        return self.classes[self.scores.argmax(1)]


Reader = Callable[[np.ndarray], Predictions]
"""From (n, d) vectors to predictions."""


def logistic_reader(x: np.ndarray, y: np.ndarray, C: float) -> Reader:
    """The linear probe, fitted."""
    model = fit_logistic(x, y, C)
    return lambda vectors: Predictions(model.predict_proba(vectors), model.classes_)


def knn_reader(x: np.ndarray, y: np.ndarray, standardised: bool, k: int = PAPER_K) -> Reader:
    """Weighted k-NN on vectors as they are, or standardised by those it is fitted to; scores are votes."""
    mean, spread = (x.mean(0), np.where(x.std(0) > 0, x.std(0), 1.0)) if standardised else (0.0, 1.0)
    k = min(k, len(y))
    return lambda vectors: Predictions(*knn_class_scores((x - mean) / spread, y, (vectors - mean) / spread, k))


def best_of(readers: dict[Any, Reader], x: np.ndarray, y: np.ndarray) -> tuple[Any, dict[str, float]]:
    """The setting whose reader is most often right about the middle split, the first of equals; and all accuracies."""
    found = {setting: float((reader(x).labels == y).mean()) for setting, reader in readers.items()}
    return max(found, key=lambda setting: found[setting]), {str(s): round(a, 4) for s, a in found.items()}


def judged(
    found: Predictions,
    label: np.ndarray,
    object_id: np.ndarray,
    probable: bool = True,
    natural: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """All numbers of one reader on one set of stars, with 95 % intervals from resampled objects.

    Where `natural` and the labels are of the 12 classes, the same predictions are counted with `natural_weights` under
    ``natural``: recall per class and its mean do not change, accuracy and precision do. ``natural_told`` is of the
    reader that knows those shares and multiplies its probabilities with them.

    Parameters
    ----------
    probable : whether the scores are probabilities, so that calibration means something
    """
    said = found.labels
    scores = score(label, said)
    known = np.isin(scores.classes, label)
    hits = scores.confusion.diagonal()[known] / scores.confusion.sum(1)[known]
    out = with_intervals(scores, label, object_id, seed)
    del out["micro_f1"]  # every star has one label: it is the accuracy
    out |= {
        "recall": dict(zip(scores.classes[known].tolist(), hits.tolist(), strict=True)),
        "macro_recall": float(hits.mean()),
    }
    if probable:
        out["calibration_error"] = calibration_error(found.scores, said == label)
    if natural and set(found.classes) | set(label) <= set(NATURAL):
        weight = natural_weights(label)
        counted = {"natural": said}
        if probable:
            counted["natural_told"] = found._replace(scores=found.scores * [NATURAL[c] for c in found.classes]).labels
        for name, labels in counted.items():
            weighted = score(label, labels, weight)
            out[name] = brief(with_intervals(weighted, label, object_id, seed, weight=weight))
    return out


def brief(found: dict[str, Any]) -> dict[str, Any]:
    """What `judged` says, without the numbers of single classes."""
    return {name: value for name, value in found.items() if name not in ("f1", "f1_low", "f1_high", "recall")}


def few_labels(x: Vectors, stars: Splits, per_class: int, draws: int, seed: int = 0) -> dict[str, Any]:
    """A linear probe that learns from `per_class` labels of each class, its C chosen on the middle split.

    All draws are pooled: an interval is of test stars drawn with replacement, each with its predictions of all draws.
    ``draws`` tells the accuracy and macro-F1 of each.
    """
    settings, parts = [], []
    for draw in range(draws):
        rows = cap_labels(stars.fit.label, per_class, seed=seed + draw)
        readers = {C: logistic_reader(x.fit[rows], stars.fit.label[rows], C) for C in C_GRID}
        settings.append(best_of(readers, x.choose, stars.choose.label)[0])
        parts.append(readers[settings[-1]](x.test))
    single = [score(stars.test.label, part.labels) for part in parts]
    label, ids = (np.tile(column, draws) for column in (stars.test.label, stars.test.object_id))
    pooled = Predictions(np.concatenate([part.scores for part in parts]), parts[0].classes)
    return brief(judged(pooled, label, ids, seed=seed)) | {
        "C": settings,
        "draws": [{"accuracy": s.accuracy, "macro_f1": s.macro_f1} for s in single],
    }


def assess(x: Vectors, stars: Splits, few: Sequence[int] = FEW_LABELS, draws: int = 5, seed: int = 0) -> dict[str, Any]:
    """Every reader of the bench on one set of vectors.

    Parameters
    ----------
    x : vectors of `stars`, of any kind: embeddings, hand-crafted features
    few : labels a class; those that the first split does not hold for every class are left out
    draws : of few labels, each with the seed `seed` plus its number

    Returns
    -------
    dict
        Plain JSON: ``linear_probe`` (C chosen) and ``linear_probe_C10`` (the paper's), ``knn``, ``few_labels`` by
        labels a class, each as `judged` and with what was ``chosen`` by which accuracies on the middle split.

    Raises
    ------
    ValueError
        If vectors and stars do not match in number, or a vector is not finite.
    """
    for part, vectors, lc in zip(Splits._fields, x, stars, strict=True):
        if len(vectors) != len(lc) or not np.isfinite(vectors).all():
            raise ValueError(
                f"split {part}: {len(vectors)} vectors of {len(lc)} stars, "
                f"{int((~np.isfinite(vectors)).sum())} numbers not finite; give one finite vector a star"
            )
    fit_y, out = stars.fit.label, {"width": x.fit.shape[1]}
    linear = {C: logistic_reader(x.fit, fit_y, C) for C in C_GRID}
    near = {kind: knn_reader(x.fit, fit_y, kind == "standardised") for kind in ("as is", "standardised")}
    for name, readers in (("linear_probe", linear), ("knn", near)):
        chosen, middle = best_of(readers, x.choose, stars.choose.label)
        found = judged(readers[chosen](x.test), stars.test.label, stars.test.object_id, name != "knn", seed=seed)
        out[name] = {"chosen": chosen, "middle": middle} | found
    paper = judged(linear[PAPER_C](x.test), stars.test.label, stars.test.object_id, seed=seed)
    out["linear_probe_C10"] = brief(paper)
    least = np.unique(fit_y, return_counts=True)[1].min()
    out["few_labels"] = {str(n): few_labels(x, stars, n, draws, seed) for n in few if n <= least}
    return out
