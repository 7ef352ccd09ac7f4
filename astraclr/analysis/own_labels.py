"""Fine-tune an encoder on one's own labels: split, train, and report it beside its probe and their control.

The paper's partial fine-tuning (late fusion of three crops, the last layers), begun at the linear probe. Labels are
split by object into training, validation and test stars; the test stars are embedded once, after training has ended.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from astraclr.analysis.classifier import Head, region_of, save_head
from astraclr.data.lightcurves import LightCurves
from astraclr.data.sources import fingerprint
from astraclr.data.splits import Splits
from astraclr.evaluate.benchmark import Predictions, scores_with_intervals
from astraclr.evaluate.calibration import fit_temperature
from astraclr.evaluate.finetune import FineTuned
from astraclr.evaluate.finetune_from_probe import fused, ranked_probes
from astraclr.evaluate.metrics import majority
from astraclr.evaluate.paired import paired_difference
from astraclr.evaluate.splits import cap_labels, split_objects
from astraclr.evaluate.tuning_run import TuningRun
from astraclr.evaluate.tuning_settings import Tuning, identity_of, need_same
from astraclr.files import read_json, replacing
from astraclr.folders import locked, need_no_others
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control, save_checkpoint
from astraclr.model.embedding import embed
from astraclr.train.state_file import PREVIOUS, STATE

LEAST = 10
"""Labelled objects that every class must have: some to learn from, some to stop by, some to test on."""

METRICS, HEAD = "metrics.json", "head.safetensors"
"""Names of files in the folder of a fine-tuned encoder."""

NO_CLASS = ("nan", "none", "null", "unknown", "unclassified", "?", "-", "n/a", "na")
"""Labels, in any case, that name no class."""


def checked_labels(lc: LightCurves, column: str = "label") -> tuple[LightCurves, int]:
    """Labelled stars, and how many have no label; refused if a classifier cannot be trained and tested on them.

    Parameters
    ----------
    lc : light curves with labels
    column : that held the labels, for messages

    Raises
    ------
    ValueError
        If no star has a label, a label names no class, there is one class only, an object has two labels, or a class
        has fewer than `LEAST` objects.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> known, without = checked_labels(simulate(24, seed=0, classes=["RR", "LPV"]))
    >>> len(known), without
    (24, 0)
    """
    known = lc[lc.label != ""]
    if not len(known):
        raise ValueError(
            f"none of {len(lc):,} stars has a label in column {column!r}: name the column that holds them with --label"
        )
    if unknown := sorted({str(name) for name in known.label if name.strip().lower() in NO_CLASS}):
        n = int(np.isin(known.label, unknown).sum())
        raise ValueError(
            f"{n:,} stars have the label {unknown[0]!r} in column {column!r}, which names no class: empty it in a copy "
            "of the file, and these stars are left out"
        )
    pairs = pd.DataFrame({"id": known.object_id, "label": known.label}).drop_duplicates()
    if len(twice := pairs[pairs["id"].duplicated()]):
        first = str(next(iter(twice["id"])))[:50]
        raise ValueError(f"{len(twice):,} objects have several labels (the first is {first!r}): give one each")
    classes, counts = np.unique(pairs["label"].to_numpy(str), return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"all {len(known):,} labelled stars are of class {str(classes[0])!r}: a classifier needs two classes or "
            "more; add stars of another class"
        )
    if few := [f"{name!r} has {n}" for name, n in zip(classes.tolist(), counts, strict=True) if n < LEAST]:
        raise ValueError(
            f"class {', '.join(few[:5])} labelled objects; each class needs at least {LEAST}, to learn from, to stop "
            f"by and to test on: label more, join classes, or empty these labels in a copy of the file"
        )
    return known, len(lc) - len(known)


def parts_of_labels(known: LightCurves, settings: Tuning) -> Splits:
    """Training, validation and test stars (70, 20 and 10 % of the objects of each class), training stars capped.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(40, seed=0, classes=["RR", "LPV"])
    >>> [len(part) for part in parts_of_labels(stars, Tuning(labels_per_class=5))]
    [10, 9, 3]
    """
    train, validation, test = split_objects(known.object_id, known.label, settings.seed)
    kept = train[cap_labels(known.label[train], settings.labels_per_class, settings.seed)]
    return Splits(known[kept], known[validation], known[test])


def tune(
    checkpoint: Checkpoint,
    lc: LightCurves,
    out: str | Path,
    settings: Tuning | None = None,
    *,
    column: str = "label",
    progress: bool = True,
) -> dict[str, Any]:
    """Fine-tune a copy of an encoder on labelled stars, and write it with its head and its scores.

    The same call resumes a run that was killed, with the bytes of an undisturbed one, and returns the scores of a
    finished one at once.

    Parameters
    ----------
    checkpoint : to begin from; left as it is
    lc : light curves with labels; stars without are left out and counted
    out : folder for the checkpoint, ``head.safetensors``, ``metrics.json`` and the state to resume from
    settings : by default `Tuning()`
    column : that held the labels, for messages
    progress : show bars

    Returns
    -------
    dict
        What ``metrics.json`` holds: settings, numbers of stars, the probe that it began with, and scores on the same
        test stars, with 95 % intervals: ``finetuned``, ``probe``, ``random_weights`` (a probe of the encoder with
        random weights), ``majority``; ``finetuned_minus`` the last three, paired.

    Raises
    ------
    ValueError
        As `checked_labels`; for a folder of another run or of others' files, or that another process writes; if
        training diverges.

    Examples
    --------
    >>> import tempfile
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(24, seed=0, classes=["RR", "LPV"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = tune(load_checkpoint("tiny"), stars, folder, Tuning(passes=1), progress=False)
    ...     load_checkpoint(folder).sha256 == found["checkpoint"], found["stars"]
    (True, {'train': 17, 'validation': 5, 'test': 2, 'unlabelled': 0})
    """
    settings, folder = settings or Tuning(), Path(out)
    settings.check_layers(checkpoint)
    known, without = checked_labels(lc, column)
    labels = hashlib.sha256("\0".join(known.label.tolist()).encode()).hexdigest()[:16]
    identity = identity_of(checkpoint, f"{fingerprint(known)}, labels {labels}", settings)
    with locked(folder):
        if (found := finished(folder, identity)) is not None:
            return found
        parts = parts_of_labels(known, settings)
        run = TuningRun(checkpoint, parts.fit, parts.choose, settings, identity, folder, progress)
        run.train(progress)
        probe, tuned = run.probe, run.best.restored()
        learnt = replace(checkpoint, encoder=tuned.encoder, history=tuned.history, sha256="")
        sha256 = save_checkpoint(learnt, folder)
        scores = _scores(checkpoint, tuned, probe, parts)
        save_head(tuned_head(tuned, learnt, parts, scores["finetuned"]["accuracy"]), folder / HEAD)
        metrics = {
            "format": "astraclr finetune 1",
            "checkpoint": sha256,
            "begun_from": checkpoint.sha256,
            "identity": json.loads(identity),
            "settings": asdict(settings),
            "stars": {
                **{name: len(part) for name, part in zip(("train", "validation", "test"), parts, strict=True)},
                "unlabelled": without,
            },
            "classes": {
                str(name): [int((part.label == name).sum()) for part in parts] for name in np.unique(known.label)
            },
            "probe_chosen": run.facts,
            "best_pass": int(tuned.history["accuracy"].argmax()),
            "passes": run.done,
            "scores": scores,
        }
        with replacing(folder / METRICS) as part:
            part.write_text(json.dumps(metrics, indent=1) + "\n")
        for name in (PREVIOUS, STATE):  # in this order: killed in between, the run is found finished
            (folder / name).unlink(missing_ok=True)
    return metrics


def need_free(folder: Path) -> None:
    """Refuse a folder that holds no fine-tuning, and files of others.

    Raises
    ------
    ValueError
        If so; it names some.
    """
    if not any((folder / name).exists() for name in (STATE, PREVIOUS, METRICS)):
        need_no_others(folder)


def finished(folder: Path, identity: str) -> dict[str, Any] | None:
    """The metrics of a fine-tuning that ended in a folder; None if it has not ended, or is to begin there.

    Raises
    ------
    ValueError
        If it was one of other settings or stars, or there is none and the folder holds files of others.
    """
    if (folder / STATE).exists() or (folder / PREVIOUS).exists():
        return None
    if not (folder / METRICS).exists():
        need_free(folder)
        return None
    metrics = read_json(folder / METRICS)
    if not isinstance(metrics, dict) or "identity" not in metrics:
        raise ValueError(f"{folder / METRICS} is not of `astraclr finetune`; choose another folder")
    need_same(folder, json.dumps(metrics["identity"]), identity)
    if load_checkpoint(folder).sha256 != metrics["checkpoint"]:
        raise ValueError(f"{folder} holds another checkpoint than its {METRICS} says; choose another folder")
    return metrics


def tuned_head(tuned: FineTuned, checkpoint: Checkpoint, parts: Splits, accuracy: float) -> Head:
    """The classifier of a fine-tuned encoder as a head for `astraclr predict`, its confidence set on validation stars.

    Parameters
    ----------
    tuned : from a probe, with the crops one after the other
    checkpoint : the tuned encoder as it was saved
    parts : labelled stars
    accuracy : on the test stars
    """
    first, _, last = cast("Any", tuned.head)
    mean, spread = (getattr(first, name).double().cpu().numpy() for name in ("mean", "spread"))
    weight, bias = (p.detach().double().cpu().numpy() for p in (last.weight, last.bias))
    coefficients = weight / spread
    device = str(checkpoint.encoder.device)
    region = region_of(embed(parts.fit, checkpoint, device=device))
    head = Head(
        tuple(map(str, tuned.classes)),
        coefficients,
        bias - coefficients @ mean,
        *region,
        checkpoint.sha256,
        accuracy,
        fusion="concat",
    )
    x = head.inputs(parts.choose, embed(parts.choose, checkpoint, fusion="concat", device=device))
    truth = np.searchsorted(tuned.classes, parts.choose.label)
    return replace(head, temperature=fit_temperature([(head.scores(x), head.novelty(x), truth)], grows=False))


def _scores(checkpoint: Checkpoint, tuned: FineTuned, probe: FineTuned, parts: Splits) -> dict[str, Any]:
    """Scores of the tuned encoder, its probe and the controls on the test stars, and paired differences."""
    test, device = parts.test, str(checkpoint.encoder.device)
    control = random_control(checkpoint)
    crops = [embed(part, control, fusion="concat", device=device) for part in parts]
    best = ranked_probes(crops[0], parts.fit.label, crops[1], parts.choose.label)[0]
    random = Predictions(best.model.predict_proba(fused(crops[2], best.fusion)), best.model.classes_)
    found = {
        "finetuned": Predictions(tuned.probabilities(test), tuned.classes),
        "probe": Predictions(probe.probabilities(test), probe.classes),
        "random_weights": random,
    }
    out: dict[str, Any] = {
        name: scores_with_intervals(p, test.label, test.object_id, natural=False) for name, p in found.items()
    }
    always = majority(parts.fit.label, test.label)
    out["majority"] = {"accuracy": always.accuracy, "macro_f1": always.macro_f1}
    ours = found["finetuned"].labels
    out["finetuned_minus"] = {
        name: paired_difference(test.label, ours, found[name].labels, test.object_id)
        for name in ("probe", "random_weights")
    }
    return out
