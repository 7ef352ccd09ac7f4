"""The paper's evaluation, step by step, and what it lacks: a third part that nothing was chosen on, and intervals.

The paper splits its labelled stars 80/20, chooses on the 20 and reports on the same 20; what its code calls the test
set is the whole set. Here its training part gives up an eighth: 70 % train, 10 % test, and the 20 % to validate on are
the paper's own. All is split by object and before any resampling, so a repeated star never crosses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from astraclr.checkpoints import Checkpoint, random_control
from astraclr.embedding import Fusion, embed
from astraclr.evaluation import metrics, objects_by_class, with_intervals
from astraclr.finetuning import finetune
from astraclr.lightcurves import LightCurves
from astraclr.pretraining import split
from astraclr.probing import PAPER_BOOTSTRAPS, PAPER_C, PAPER_K, Scores, linear_probe, score, weighted_knn

PAPER_SEED, PAPER_PER_CLASS, PAPER_LIMIT, PAPER_CAP = 42, 10_000, 18.0, 4_000
"""Seed of the split, objects a class (about 120,000 in 12), and of fine-tuning: faintest magnitude, labels a class."""
SHARES = {"train": 0.7, "validation": 0.2, "test": 0.1}
"""Of the objects of each class; the paper's are 0.8, 0.2 and none."""


def split_objects(
    object_id: np.ndarray, label: np.ndarray, seed: int = PAPER_SEED
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to train on, to validate on and to test on: `SHARES` of the objects of each class.

    Objects of a class, in the order of their first rows, are shuffled and cut as in the paper's code; the last eighth
    of its training part is the test part.

    Parameters
    ----------
    object_id, label : (n,) str; rows of one object stay together

    Returns
    -------
    train, validation, test : row numbers, ascending

    Raises
    ------
    ValueError
        If a class has fewer than three objects, one for each part.
    """
    classes, object_of, first = objects_by_class(object_id, label)
    part = np.empty(len(first), np.int8)
    for members in classes:
        if len(members) < 3:
            raise ValueError(
                f"class {label[first[members[0]]]} has {len(members)} objects; training, validation and "
                "test need one each: leave it out with LightCurves.with_labels"
            )
        ordered = members[np.argsort(first[members])]
        train, validation = split(len(ordered), seed=seed)
        cut = len(train) - max(1, len(train) // 8)
        for number, chosen in enumerate((train[:cut], validation, train[cut:])):
            part[ordered[chosen]] = number
    train, validation, test = (np.flatnonzero(part[object_of] == number) for number in range(3))
    return train, validation, test


def balanced_resample(label: np.ndarray, per_class: int = PAPER_PER_CLASS, seed: int = 0) -> np.ndarray:
    """Row numbers, ascending: `per_class` of every class, with replacement where a class has fewer."""
    if per_class < 1:
        raise ValueError(f"{per_class} objects a class: give at least 1")
    rng = np.random.default_rng(seed)
    rows = (np.flatnonzero(label == name) for name in np.unique(label))
    return np.sort(np.concatenate([rng.choice(r, per_class, replace=len(r) < per_class) for r in rows]))


def cap_labels(label: np.ndarray, cap: int = PAPER_CAP, seed: int = 0) -> np.ndarray:
    """Row numbers, ascending: at most `cap` of every class, drawn at random without replacement."""
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(label == name))[:cap] for name in np.unique(label)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


def bright(lc: LightCurves, limit: float = PAPER_LIMIT) -> np.ndarray:
    """(n_stars,) bool: whether the inverse-variance weighted mean magnitude of any band is brighter than `limit`."""
    weight, segment, n = 1.0 / np.square(lc.magerr, dtype=np.float64), lc.segment, lc.counts.size
    with np.errstate(invalid="ignore"):  # an empty band has mean NaN, and is not bright
        mean = np.bincount(segment, weight * lc.mag, n) / np.bincount(segment, weight, n)
    return np.any(mean.reshape(lc.counts.shape) < limit, axis=1)


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
    """Probe, weighted k-NN and, if asked for, fine-tuning, each beside the same encoder with random weights.

    Parameters
    ----------
    lc : labelled stars, at least three objects of each class; unlabelled ones are left out with a count
    fusion : of the three crops, for probe and k-NN: "mean" (the paper's) or "concat"
    per_class : objects of each class in a balanced resample, which the parts share by `SHARES`; None: all stars, once
    bootstraps : resamples of the training part
    tuning : arguments of `finetuning.finetune`, {} for the paper's; None: no fine-tuning
    seed : of resamples and fine-tuning; the split has the paper's own

    Returns
    -------
    dict
        Plain JSON: settings, parts, notes; under ``encoder`` and ``random_weights`` what `probes` returns, and
        `fine_tuning` as ``fine_tuned``.

    Raises
    ------
    ValueError
        For fewer than two classes, a class of fewer than three objects, or too few bright stars to fine-tune with.
    """
    if fusion not in ("mean", "concat") or (per_class is not None and per_class < 1):
        raise ValueError(f"fusion {fusion!r}, {per_class} objects a class: choose mean or concat, and at least 1")
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
    shines = bright(stars)
    parts |= {f"{part}_bright": rows[shines[rows]] for part, rows in parts.items()}
    result = {
        "checkpoint": checkpoint.name,
        "fusion": fusion,
        "per_class": per_class,
        "bootstraps": bootstraps,
        "C": PAPER_C,
        "k": min(PAPER_K, len(parts["train"])),
        "seed": seed,
        "split_seed": PAPER_SEED,
        "classes": classes.tolist(),
        "chance": 1 / len(classes),
        "parts": {
            part: {"rows": len(rows), "objects": len(np.unique(stars.object_id[rows]))} for part, rows in parts.items()
        },
        "notes": {"left out: unlabelled star": int((lc.label == "").sum())},
    }
    for name, model in (("encoder", checkpoint), ("random_weights", random_control(checkpoint))):
        how = {"seed": seed, **(tuning or {})}
        tuned = {} if tuning is None else {"fine_tuned": fine_tuning(stars, parts, model, how, progress)}
        x = embed(stars, model, fusion=fusion, progress=progress)
        result[name] = probes(x, stars, parts, bootstraps, seed, progress) | tuned
    return result


def probes(
    x: np.ndarray,
    stars: LightCurves,
    parts: Mapping[str, np.ndarray],
    bootstraps: int,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Linear probe and weighted k-NN, fitted to the training part.

    Parameters
    ----------
    x : (n_stars, d) embeddings
    parts : name -> rows of `stars`: "train", "validation", "test" and "test_bright", which lies in "test"

    Returns
    -------
    dict
        ``linear_probe`` and ``knn``, each with metrics on "validation" (the probe's with intervals from resampled
        training sets, as the paper's), "test" and, if there is any, "test_bright" (from resampled test objects).
    """
    label, train, test = stars.label, parts["train"], parts["test"]
    shines, out = np.isin(test, parts["test_bright"]), {}

    def read(name: str, rows: np.ndarray, n: int = 0) -> Scores:
        sets = x[train], label[train], x[rows], label[rows]
        if name == "knn":
            return weighted_knn(*sets, k=min(PAPER_K, len(train)))
        return linear_probe(*sets, bootstraps=n, seed=seed, progress=progress)

    for name in ("linear_probe", "knn"):
        found = read(name, test)
        out[name] = {
            "validation": metrics(read(name, parts["validation"], bootstraps)),
            "test": with_intervals(found, label[test], stars.object_id[test], seed),
        }
        if shines.any():
            rows, alone = test[shines], score(label[test[shines]], found.predicted[shines])
            out[name]["test_bright"] = with_intervals(alone, label[rows], stars.object_id[rows], seed)
    return out


def fine_tuning(
    stars: LightCurves,
    parts: Mapping[str, np.ndarray],
    checkpoint: Checkpoint,
    how: Mapping[str, Any],
    progress: bool = False,
) -> dict[str, Any]:
    """Fine-tune on bright training stars, at most `PAPER_CAP` a class, stopping by bright validation stars.

    `parts` names rows of `stars`, `how` holds arguments of `finetuning.finetune`, "seed" among them.

    Returns
    -------
    dict
        ``fit``, ``choose`` : numbers of stars; ``epochs`` run; metrics on "validation_bright", of the classes that were
        learnt, and with intervals on "test_bright", of all: a class without a bright training star cannot be right
    """
    fit = np.unique(parts["train_bright"])
    fit = fit[cap_labels(stars.label[fit], PAPER_CAP, how["seed"])]
    held, test = parts["validation_bright"], parts["test_bright"]
    held = held[np.isin(stars.label[held], stars.label[fit])]
    if (n := len(np.unique(stars.label[fit]))) < 2 or not len(held) or not len(test):
        raise ValueError(
            f"brighter than {PAPER_LIMIT:g} mag are {len(fit)} training stars of {n} classes, {len(held)} "
            f"validation and {len(test)} test stars; fine-tuning needs two classes and a star in each "
            "part: give more stars, or tuning=None"
        )
    tuned = finetune(checkpoint, stars[fit], stars[np.unique(held)], progress=progress, **how)
    out: dict[str, Any] = {"fit": len(fit), "choose": len(np.unique(held)), "epochs": len(tuned.history)}
    for part, rows in (("validation_bright", held), ("test_bright", test)):
        distinct, at = np.unique(rows, return_inverse=True)
        found = score(stars.label[rows], tuned.predict(stars[distinct])[at])
        out[part] = (
            metrics(found)
            if part == "validation_bright"
            else with_intervals(found, stars.label[rows], stars.object_id[rows], how["seed"])
        )
    return out
