"""What scores are made with: fingerprints of embedding, classifiers and metrics, and the keys of kept rows of results.

A row of results is used again where its settings are the same and every fingerprint that it depends on still agrees
(`astraclr.train.fingerprint`). A file of rows holds each fingerprint once, under a name that its rows give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import numpy as np

from astraclr.config import Preset, Recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate import benchmark as bench
from astraclr.evaluate import surveys
from astraclr.evaluate.features import features
from astraclr.evaluate.finetune import PAPER_BATCH, finetune
from astraclr.evaluate.metrics import majority
from astraclr.evaluate.probes import fit_logistic, knn_class_scores, linear_probe, weighted_knn
from astraclr.evaluate.splits import cap_labels
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import cropped
from astraclr.model.embedding import Fusion, embed
from astraclr.model.encoder import new_encoder
from astraclr.train.behaviour import Part
from astraclr.train.fingerprint import Fingerprint, digest_of, fingerprint_of, method_fingerprint, settings_digest
from astraclr.train.fixed_cases import RECIPES, SIZE, stars

Key = dict[str, str]
"""Of a row: "settings", a digest; and for each part that it depends on the name of a fingerprint in the file."""


@cache
def part_fingerprint(part: str) -> Fingerprint:
    """What one part does now: "method", "readers", "features" or "fine-tuning"; computed once in a process."""
    return method_fingerprint() if part == "method" else fingerprint_of(PARTS[part])


def row_key(settings: Sequence[Preset | Recipe | str | int], parts: Sequence[str], known: dict[str, Any]) -> Key:
    """The key of a row that is made now; its fingerprints are added to those `known` in its file."""
    key = {"settings": settings_digest(*settings)}
    for part in parts:
        values = part_fingerprint(part).to_dict()
        key[part] = digest_of(values)
        known[key[part]] = values
    return key


def row_differences(
    key: Key | None, settings: Sequence[Preset | Recipe | str | int], parts: Sequence[str], known: Mapping[str, Any]
) -> list[str]:
    """Why a row that was kept under `key` cannot be used again, a line each; none where it can."""
    if not key:
        return ["it has no fingerprint"]
    lines = []
    if (now := settings_digest(*settings)) != key.get("settings"):
        lines.append(f"settings: {key.get('settings')} before, {now} now")
    for part in parts:
        if (before := known.get(key.get(part, ""))) is None:
            lines.append(f"{part}: no fingerprint before")
        else:
            lines += part_fingerprint(part).differences(Fingerprint.from_dict(before))
    return lines


def fingerprints_of(rows: Iterable[Mapping[str, Any]], known: Mapping[str, Any]) -> dict[str, Any]:
    """Those `known` fingerprints that a row names; others are of rows that are gone."""
    named = {name for row in rows for name in (row.get("fingerprint") or {}).values()}
    return {name: values for name, values in known.items() if name in named}


def _checkpoint(name: str) -> Checkpoint:
    return Checkpoint(new_encoder(SIZE, RECIPES[name], 6).eval(), SIZE, RECIPES[name], 6)


def _labelled(lc: LightCurves) -> LightCurves:
    """The same stars with labels of three classes that do not depend on the simulator."""
    return replace(lc, label=np.array(["RR", "CEP", "LPV"])[np.arange(len(lc)) % 3])


def _embeddings() -> Part:
    lc = stars()
    sizes: dict[str, tuple[int, Fusion]] = {"public": (3, "mean"), "rich": (3, "concat"), "other": (5, "mean")}
    close: dict[str, Any] = {}
    for name, (windows, fusion) in sizes.items():
        vectors = embed(lc, _checkpoint(name), windows=windows, fusion=fusion).astype(float)
        close[name] = np.sqrt(np.square(vectors).mean(1))
    return {"shown": cropped(lc, SIZE, RECIPES["other"]).offsets.tolist()}, close


def _vectors() -> tuple[np.ndarray, np.ndarray]:
    """(96, 5) vectors and labels of four classes that overlap."""
    code = np.arange(96) % 4
    x = np.random.default_rng(11).integers(-9, 10, (96, 5)) / 10 + code[:, None] * [0.5, -0.3, 0.2, 0, 0.1]
    return x, np.array(["RR", "CEP", "LPV", "ECL"])[code]


def _classifiers() -> Part:
    (x, label), fit, test = _vectors(), slice(0, 60), slice(60, 96)
    sets = x[fit], label[fit], x[test], label[test]
    logistic, near = bench.logistic_classifier(*sets[:2], 1.0), bench.knn_classifier(*sets[:2], True, 7)
    found, votes = logistic(x[test]), near(x[test])
    close: dict[str, Any] = {
        "probabilities": found.scores[:9],
        "probabilities by the paper's C": fit_logistic(*sets[:2]).predict_proba(x[test])[:9],
        "votes": votes.scores[:9].max(1),
        "votes by the paper's constants": knn_class_scores(*sets[:3])[0][:9].max(1),
        "paper's probe": _numbers(linear_probe(*sets, bootstraps=5).summary()),
        "paper's k-NN": _numbers(weighted_knn(*sets).summary()),
        "majority": _numbers(majority(label[fit], label[test]).summary()),
    }
    ids = np.array([f"{k // 2}" for k in range(36)])  # two rows an object
    for name, predictions in (("linear probe", found), ("k-NN", votes)):
        close[f"judged, {name}"] = _numbers(bench.scores_with_intervals(predictions, label[test], ids, name != "k-NN"))
    few = [cap_labels(label, 3, seed).tolist() for seed in (0, 1)]
    return {"few labels": few, "settings": [bench.C_GRID, bench.FEW_LABELS, bench.NATURAL]}, close


def _assessment() -> Part:
    """Scores of the whole benchmark on fixed random vectors."""
    lc, (x, _) = _labelled(stars()), _vectors()
    splits, vectors = bench.Splits(lc[:24], lc[24:34], lc[34:]), bench.Vectors(x[:24], x[24:34], x[34:44])
    return {"surveys": [asdict(survey) for survey in surveys.SURVEYS.values()]}, {
        "assessed": _numbers(bench.assess(vectors, splits, few=(5,), draws=2)),
        "folds": _numbers(surveys.out_of_folds(x[:44], lc.label, lc.object_id, folds=3, repeats=1)),
        "shifted times": surveys.at_the_time_of_ztf(lc).mjd[[0, -1]] - 58_000.0,
    }


def _numbers(tree: Any) -> list[float]:
    """All numbers of a tree of dictionaries and lists, in order."""
    if isinstance(tree, dict | list | tuple):
        return [number for value in (tree.values() if isinstance(tree, dict) else tree) for number in _numbers(value)]
    return [] if isinstance(tree, str) else [float(tree)]


def _features() -> Part:
    x, names = features(stars()[30:], periodogram=True)
    return {"names": names}, {"features": np.sqrt(np.square(x.astype(float)).mean(0))}


def _tuning() -> Part:
    lc = _labelled(stars())
    checkpoint = _checkpoint("rich")
    tuned = finetune(checkpoint, lc[:24], lc[24:], layers=2, epochs=2, learning_rate=1e-3, progress=False)
    weights = [np.sqrt(float(p.detach().double().square().mean())) for p in tuned.head.parameters()]
    return {"batch": PAPER_BATCH}, {
        "losses": tuned.history["loss"],
        "head": weights,
        "probabilities": tuned.probabilities(lc[:6]),
    }


PARTS: dict[str, dict[str, Callable[[], Part]]] = {
    "readers": {"embeddings": _embeddings, "classifiers": _classifiers, "assessment": _assessment},
    "features": {"hand-crafted": _features},
    "fine-tuning": {"fine-tuned": _tuning},
}
"""By the names that rows give."""
