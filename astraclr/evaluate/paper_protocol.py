"""The paper's evaluation, step by step, and what it lacks: a third part that nothing was chosen on, and intervals.

The paper splits its labelled stars 80/20, chooses on the 20 and reports on the same 20; what its code calls the test
set is the whole set. Here its training part gives up an eighth: 70 % train, 10 % test, and the 20 % to validate on are
the paper's own. All is split by object and before any resampling, so a repeated star never crosses.
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
