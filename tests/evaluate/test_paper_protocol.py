"""The paper's evaluation: parts that share no object, cuts by hand, and the numbers that the probes give."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from astraclr.config import RECIPES, Preset
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import split
from astraclr.evaluate import finetune as finetuning
from astraclr.evaluate import paper_protocol, probes
from astraclr.evaluate.metrics import score
from astraclr.evaluate.paper_protocol import paper_evaluation
from astraclr.evaluate.probes import linear_probe, weighted_knn
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
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate

MINI = Preset("mini", 16, 2, 2, 32, (("g", 12), ("r", 15), ("i", 4)), 0, 0, 8, 1)
CLASSES = ("AGN", "LPV", "RR", "RS")
HOW = {"per_class": None, "bootstraps": 2, "tuning": {"epochs": 2, "learning_rate": 1e-2}}


@pytest.fixture(scope="module")
def lc():
    """170 simulated stars, some 70 % of them bright, and 34 of them a second time."""
    found = simulate(170, seed=3, classes=CLASSES)
    return found[np.concatenate([np.arange(170), np.arange(0, 170, 5)])]


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(new_encoder(MINI, RECIPES["corrected"], 5).eval(), MINI, RECIPES["corrected"], 0)


@pytest.fixture(scope="module")
def result(lc, checkpoint):
    return paper_evaluation(lc, checkpoint, **HOW)


def numbers(tree):
    if isinstance(tree, dict):
        return [n for value in tree.values() for n in numbers(value)]
    return [tree] if isinstance(tree, float) else []


def test_the_validation_part_is_the_papers_and_the_test_part_comes_from_its_training_part():
    ids = np.array([f"star {k}" for k in range(240)])[::-1]
    label = np.where(np.arange(240) % 3, "RR", "ECL")
    train, validation, test = split_objects(ids, label)
    for name, n in (("RR", 160), ("ECL", 80)):
        of_class = np.flatnonzero(label == name)
        first, second = split(n)
        assert set(of_class[second]) == set(validation) & set(of_class)
        assert set(of_class[first]) == (set(train) | set(test)) & set(of_class)
        assert len(set(test) & set(of_class)) == n // 10
    assert sorted([*train, *validation, *test]) == list(range(240))


def test_a_repeated_object_never_crosses():
    star = np.random.default_rng(0).integers(90, size=900)
    label = np.array(CLASSES)[star % 3]
    parts = split_objects(star.astype(str), label)
    assert sorted(np.concatenate(parts)) == list(range(900))
    assert [len(set(star[p])) for p in parts] == [63, 18, 9]
    assert not any(set(star[a]) & set(star[b]) for a, b in ((parts[0], parts[1]), (parts[0], parts[2]), parts[1:]))
    assert all(set(label[p]) == set(CLASSES[:3]) for p in parts)


def test_three_objects_of_a_class_are_the_fewest():
    ids, label = np.array(list("aaabbbccc")), np.array(["RR"] * 9)
    assert [len(part) for part in split_objects(ids, label)] == [3, 3, 3]
    with pytest.raises(ValueError, match=r"class RR has 2 objects.*leave it out with LightCurves\.with_labels"):
        split_objects(ids[:6], label[:6])


def test_a_balanced_resample_repeats_only_where_it_must():
    label = np.repeat(["RR", "CV"], [500, 7])
    rows = balanced_resample(label, 100, seed=1)
    assert [(label[rows] == name).sum() for name in ("RR", "CV")] == [100, 100]
    assert len(np.unique(rows[label[rows] == "RR"])) == 100 and len(np.unique(rows[label[rows] == "CV"])) == 7
    assert rows.tolist() == balanced_resample(label, 100, seed=1).tolist() != balanced_resample(label, 100).tolist()
    with pytest.raises(ValueError, match="0 objects per class"):
        balanced_resample(label, 0)


def test_caps_leave_small_classes_whole():
    label = np.repeat(["RR", "CV", "ECL"], [500, 7, 40])
    rows = cap_labels(label, 40)
    assert [(label[rows] == name).sum() for name in ("RR", "CV", "ECL")] == [40, 7, 40]
    assert len(np.unique(rows)) == 87 and rows.tolist() != cap_labels(label, 40, seed=1).tolist()
    assert len(cap_labels(label[:0])) == 0


def test_one_bright_band_is_enough_and_weights_count():
    def points_of(**bands):
        return [(band, mag, error) for band, points in bands.items() for mag, error in points]

    stars = [
        points_of(g=[(17.0, 0.1), (17.5, 0.1)]),
        points_of(g=[(19.0, 0.1)], i=[(17.9, 0.1)]),  # in one band only
        points_of(g=[(19.0, 0.1)], r=[(18.5, 0.1)]),
        points_of(g=[(17.0, 0.3), (18.2, 0.1)]),  # weights 1 and 9: 18.08, where the plain mean is 17.6
        points_of(r=[(18.0, 0.1)]),
    ]
    rows = [(k, "gri".index(band), mag, error) for k, points in enumerate(stars) for band, mag, error in points]
    star, band, mag, error = (np.array(c) for c in zip(*rows, strict=True))
    lc = LightCurves.from_arrays(star, band, 58_000.0 + np.arange(len(rows)), mag, error)
    assert bright(lc).tolist() == [True, True, False, False, False]
    assert bright(lc, 18.1).tolist() == [True, True, False, True, True]


def test_numbers_are_plain_and_between_0_and_1(result, lc):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for model in ("encoder", "random_weights"):
        found = numbers(result[model])
        assert len(found) > 100 and 0 <= min(found) and max(found) <= 1
        assert set(result[model]) == {"linear_probe", "knn", "fine_tuned"}
        for kind in result[model].values():
            assert kind["test_bright"]["accuracy_low"] <= kind["test_bright"]["accuracy"]
            assert kind["test_bright"]["accuracy"] <= kind["test_bright"]["accuracy_high"]
    assert result["encoder"] != result["random_weights"] and result["chance"] == 0.25
    assert sum(result["parts"][part]["rows"] for part in SHARES) == len(lc) == 204
    assert sum(result["parts"][part]["objects"] for part in SHARES) == 170
    assert result["parts"]["test_bright"]["rows"] == result["encoder"]["fine_tuned"]["test_bright"]["n"]


def test_the_numbers_are_those_of_the_probes(result, lc, checkpoint):
    train, validation, test = split_objects(lc.object_id, lc.label)
    for name, model in (("encoder", checkpoint), ("random_weights", random_control(checkpoint))):
        x = embed(lc, model)
        for part, rows, n in (("validation", validation, 2), ("test", test, 0)):
            sets = x[train], lc.label[train], x[rows], lc.label[rows]
            linear, near = linear_probe(*sets, bootstraps=n), weighted_knn(*sets, k=20)
            shown = result[name]["linear_probe"][part]
            assert shown["accuracy"] == linear.accuracy and shown["macro_f1"] == linear.macro_f1
            assert shown["f1"] == dict(zip(linear.classes, linear.f1, strict=True))
            assert shown["micro_f1"] == pytest.approx(f1_score(lc.label[rows], linear.predicted, average="micro"))
            assert result[name]["knn"][part]["accuracy"] == near.accuracy
            if n:
                assert [shown["accuracy_low"], shown["accuracy_high"]] == list(linear.interval())
        keep = bright(lc)[test]
        only = score(lc.label[test][keep], linear.predicted[keep])
        assert result[name]["linear_probe"]["test_bright"]["macro_f1"] == only.macro_f1


def test_the_test_part_takes_no_part_in_fitting_or_choosing(result, lc, checkpoint, monkeypatch):
    test = split_objects(lc.object_id, lc.label)[2]
    mag = lc.mag.copy()
    mag[np.isin(lc.segment // len(lc.bands), test)] *= -0.7  # another light curve, and another brightness
    seen = []

    def spy(model, fit, choose, **how):
        seen.extend([*fit.object_id, *choose.object_id])
        assert bright(fit).all() and bright(choose).all()
        return finetune(model, fit, choose, **how)

    finetune = paper_protocol.finetune
    monkeypatch.setattr(paper_protocol, "finetune", spy)
    other = paper_evaluation(replace(lc, mag=mag), checkpoint, **HOW)
    assert seen and not set(seen) & set(lc.object_id[test])
    for model in ("encoder", "random_weights"):
        for kind in ("linear_probe", "knn", "fine_tuned"):
            for part, found in other[model][kind].items():
                assert part.startswith("test") or found == result[model][kind][part], (kind, part)
        assert other[model]["linear_probe"]["test"] != result[model]["linear_probe"]["test"]


def test_resampling_is_balanced_and_stays_inside_a_part(lc, checkpoint):
    found = paper_evaluation(lc, checkpoint, per_class=100, bootstraps=0, fusion="concat")
    parts = split_objects(lc.object_id, lc.label)
    for name, rows, n in zip(SHARES, parts, (280, 80, 40), strict=True):
        assert found["parts"][name]["rows"] == n
        assert found["parts"][name]["objects"] <= len(np.unique(lc.object_id[rows]))
    held = found["encoder"]["linear_probe"]["validation"]
    assert held["n"] == 80 and "accuracy_low" not in held
    assert "fine_tuned" not in found["encoder"]


def test_too_little_is_refused(lc, checkpoint):
    with pytest.raises(ValueError, match="1 classes among"):
        paper_evaluation(lc.with_labels(["RR", ""]), checkpoint)
    with pytest.raises(ValueError, match="class RS has 1 objects"):
        paper_evaluation(lc[np.append(np.flatnonzero(lc.label != "RS"), np.argmax(lc.label == "RS"))], checkpoint)
    faint = replace(lc, mag=lc.mag + 9)
    with pytest.raises(ValueError, match="brighter than 18 mag are 0 training stars of 0 classes"):
        paper_evaluation(faint, checkpoint, **HOW)


def test_unlabelled_stars_are_left_out_with_a_count(lc, checkpoint):
    label = lc.label.copy()
    label[170:] = ""
    found = paper_evaluation(replace(lc, label=label), checkpoint, per_class=20, bootstraps=0)
    assert found["notes"] == {"left out: unlabelled star": 34}


def test_the_constants_are_the_papers():
    assert (PAPER_SEED, PAPER_PER_CLASS, PAPER_LIMIT, PAPER_CAP) == (
        42,
        10_000,
        18.0,
        4_000,
    )
    assert (probes.PAPER_C, probes.PAPER_BOOTSTRAPS, probes.PAPER_K, probes.PAPER_VOTE_TEMPERATURE) == (
        10.0,
        50,
        20,
        0.07,
    )
    assert (
        finetuning.PAPER_NOISE,
        finetuning.PAPER_DROPOUT,
        finetuning.PAPER_LAYERS,
        finetuning.PAPER_RATE,
        finetuning.PAPER_BATCH,
    ) == (0.02, 0.2, 2, 1e-5, 128)


def test_fine_tuning_takes_no_more_labels_than_the_cap(lc, checkpoint, monkeypatch):
    monkeypatch.setattr(paper_protocol, "PAPER_CAP", 2)
    tuned = paper_protocol.paper_evaluation(lc, checkpoint, per_class=None, bootstraps=0, tuning={"epochs": 1})
    assert 0 < tuned["encoder"]["fine_tuned"]["fit"] <= 2 * len(tuned["classes"])


def test_a_bad_setting_is_refused_before_any_work(lc, checkpoint):
    wrong: list[dict[str, Any]] = [{"fusion": "sum"}, {"per_class": 0}]
    for how in wrong:
        with pytest.raises(ValueError, match="choose mean or concat, and at least 1"):
            paper_protocol.paper_evaluation(lc, checkpoint, **how)
