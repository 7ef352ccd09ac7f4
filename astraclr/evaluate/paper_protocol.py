"""The paper's evaluation, and what it lacks: a separate test set, and confidence intervals.

The paper splits its labelled stars 80/20, chooses on the 20 and reports on the same 20; what its code calls the test
set is the whole set. Here its training set gives up an eighth: 70 % training, 10 % test, and the 20 % for validation
are the paper's own. Stars are split by object, before any resampling, so that copies of a star stay in one set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import finetune
from astraclr.evaluate.metrics import Scores, metrics, score, with_intervals
from astraclr.evaluate.probes import PAPER_BOOTSTRAPS, PAPER_C, PAPER_K, linear_probe, weighted_knn
from astraclr.evaluate.splits import (
    PAPER_CAP,
    PAPER_LIMIT,
    PAPER_PER_CLASS,
    PAPER_SEED,
    SHARES,
    balanced_resample,
    bright,
    cap_labels,
    split_objects,
)
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import Fusion, embed


def paper_evaluation(
    lc: LightCurves,
    checkpoint: Checkpoint,
    *,
    fusion: Fusion = "mean",
    per_class: int | None = PAPER_PER_CLASS,
    bootstraps: int = PAPER_BOOTSTRAPS,
    tuning: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Scores of linear probe, weighted k-NN and, if asked for, fine-tuning, for an encoder and for random weights.

    Parameters
    ----------
    lc : labelled stars, at least three objects per class; unlabelled ones are left out with a count
    fusion : of the three crops, for probe and k-NN: "mean" (the paper's) or "concat"
    per_class : objects per class in a balanced resample, which the sets share by `SHARES`; None: all stars, once
    bootstraps : resamples of the training set
    tuning : arguments of `finetune`, {} for the paper's; None: no fine-tuning
    seed : of resamples and fine-tuning; the split has the paper's own

    Returns
    -------
    dict
        Plain JSON: settings, ``parts``, ``notes``; under ``encoder`` and ``random_weights`` the scores of
        `probe_scores`, and those of `fine_tuning_scores` as ``fine_tuned``.

    Raises
    ------
    ValueError
        For fewer than two classes, a class of fewer than three objects, or too few bright stars to fine-tune with.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(60, seed=0, classes=["RR", "LPV"])
    >>> found = paper_evaluation(stars, load_checkpoint("tiny"), per_class=None, bootstraps=0)
    >>> found["encoder"]["linear_probe"]["test"]["n"], found["chance"]
    (5, 0.5)
    """
    stars, parts, facts = _evaluation_sets(lc, fusion, per_class, seed)
    settings = {"checkpoint": checkpoint.name, "fusion": fusion, "per_class": per_class, "bootstraps": bootstraps}
    result = settings | facts
    for name, model in (("encoder", checkpoint), ("random_weights", random_control(checkpoint))):
        how = {"seed": seed, **(tuning or {})}
        tuned = {} if tuning is None else {"fine_tuned": fine_tuning_scores(stars, parts, model, how, progress)}
        x = embed(stars, model, fusion=fusion, progress=progress)
        result[name] = probe_scores(x, stars, parts, bootstraps, seed, progress) | tuned
    return result


def _evaluation_sets(
    lc: LightCurves, fusion: Fusion, per_class: int | None, seed: int
) -> tuple[LightCurves, dict[str, np.ndarray], dict[str, Any]]:
    """Stars of the three sets; the rows of each set, and of its bright stars; and facts about them, as plain JSON."""
    if fusion not in ("mean", "concat") or (per_class is not None and per_class < 1):
        raise ValueError(f"fusion {fusion!r}, {per_class} objects per class: choose mean or concat, and at least 1")
    stars = lc[lc.label != ""]
    if len(classes := np.unique(stars.label)) < 2:
        raise ValueError(f"{len(classes)} classes among {len(lc)} stars: an evaluation needs two labelled ones")
    parts = dict(zip(SHARES, split_objects(stars.object_id, stars.label), strict=True))
    if per_class is not None:
        parts = {
            part: rows[balanced_resample(stars.label[rows], max(1, round(per_class * SHARES[part])), seed)]
            for part, rows in parts.items()
        }
    used = np.unique(np.concatenate(list(parts.values())))
    stars, parts = stars[used], {part: np.searchsorted(used, rows) for part, rows in parts.items()}
    is_bright = bright(stars)
    parts |= {f"{part}_bright": rows[is_bright[rows]] for part, rows in parts.items()}
    sizes = {
        part: {"rows": len(rows), "objects": len(np.unique(stars.object_id[rows]))} for part, rows in parts.items()
    }
    facts = {
        "C": PAPER_C,
        "k": min(PAPER_K, len(parts["train"])),
        "seed": seed,
        "split_seed": PAPER_SEED,
        "classes": classes.tolist(),
        "chance": 1 / len(classes),
        "parts": sizes,
        "notes": {"left out: unlabelled star": int((lc.label == "").sum())},
    }
    return stars, parts, facts


def probe_scores(
    x: np.ndarray,
    stars: LightCurves,
    parts: Mapping[str, np.ndarray],
    bootstraps: int,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Scores of linear probe and weighted k-NN, fitted to the training set.

    Parameters
    ----------
    x : (n_stars, d) embeddings
    parts : name -> rows of `stars`: "train", "validation", "test" and "test_bright", which lies in "test"
    bootstraps : resamples of the training set

    Returns
    -------
    dict
        ``linear_probe`` and ``knn``, each with metrics on "validation" (the probe's with intervals from resampled
        training sets, as the paper's), "test" and, if there is any, "test_bright" (from resampled test objects).

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> stars, rows = simulate(24, seed=0, classes=["RR", "LPV"]), np.arange(24)
    >>> parts = {"train": rows[:12], "validation": rows[12:18], "test": rows[18:], "test_bright": rows[18:20]}
    >>> list(probe_scores(np.eye(24), stars, parts, bootstraps=0)["knn"])
    ['validation', 'test', 'test_bright']
    """
    label, train, test = stars.label, parts["train"], parts["test"]
    is_bright, out = np.isin(test, parts["test_bright"]), {}

    def scores(name: str, rows: np.ndarray, n: int = 0) -> Scores:
        sets = x[train], label[train], x[rows], label[rows]
        if name == "knn":
            return weighted_knn(*sets, k=min(PAPER_K, len(train)))
        return linear_probe(*sets, bootstraps=n, seed=seed, progress=progress)

    for name in ("linear_probe", "knn"):
        found = scores(name, test)
        out[name] = {
            "validation": metrics(scores(name, parts["validation"], bootstraps)),
            "test": with_intervals(found, label[test], stars.object_id[test], seed),
        }
        if is_bright.any():
            rows, alone = test[is_bright], score(label[test[is_bright]], found.predicted[is_bright])
            out[name]["test_bright"] = with_intervals(alone, label[rows], stars.object_id[rows], seed)
    return out


def fine_tuning_scores(
    stars: LightCurves,
    parts: Mapping[str, np.ndarray],
    checkpoint: Checkpoint,
    how: Mapping[str, Any],
    progress: bool = False,
) -> dict[str, Any]:
    """Scores of fine-tuning on bright stars, at most `PAPER_CAP` training stars per class.

    Parameters
    ----------
    parts : name -> rows of `stars`: "train_bright", "validation_bright" and "test_bright"
    how : arguments of `finetune`, "seed" among them

    Returns
    -------
    dict
        ``fit``, ``choose``, ``epochs`` : numbers of training and validation stars, and of epochs; metrics on
        "validation_bright", of the classes that were learnt; and with intervals on "test_bright", of all classes: one
        without a bright training star is never predicted

    Raises
    ------
    ValueError
        If there are too few bright stars.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars, rows = simulate(24, seed=0, classes=["RR", "LPV"]), np.arange(24)
    >>> parts = {"train_bright": rows[:12], "validation_bright": rows[12:18], "test_bright": rows[18:]}
    >>> fine_tuning_scores(stars, parts, load_checkpoint("tiny"), {"seed": 0, "epochs": 1})["fit"]
    12
    """
    train = np.unique(parts["train_bright"])
    train = train[cap_labels(stars.label[train], PAPER_CAP, how["seed"])]
    held, test = parts["validation_bright"], parts["test_bright"]
    held = held[np.isin(stars.label[held], stars.label[train])]
    if (n := len(np.unique(stars.label[train]))) < 2 or not len(held) or not len(test):
        raise ValueError(
            f"brighter than {PAPER_LIMIT:g} mag are {len(train)} training stars of {n} classes, {len(held)} "
            f"validation and {len(test)} test stars; fine-tuning needs two classes and a star in each "
            "set: give more stars, or tuning=None"
        )
    tuned = finetune(checkpoint, stars[train], stars[np.unique(held)], progress=progress, **how)
    out: dict[str, Any] = {"fit": len(train), "choose": len(np.unique(held)), "epochs": len(tuned.history)}
    for part, rows in (("validation_bright", held), ("test_bright", test)):
        distinct, at = np.unique(rows, return_inverse=True)
        found = score(stars.label[rows], tuned.predict(stars[distinct])[at])
        out[part] = (
            metrics(found)
            if part == "validation_bright"
            else with_intervals(found, stars.label[rows], stars.object_id[rows], how["seed"])
        )
    return out
