"""Formulas beside slow loops, choices that never see the test split, and what the same windows mean."""

import importlib
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.tokens import MJD_ZERO, prepare
from astraclr.evaluate import benchmark
from astraclr.evaluate.benchmark import Predictions, Vectors
from astraclr.evaluate.metrics import NATURAL, calibration_error, with_intervals
from astraclr.files import repository_file
from astraclr.model.crops import CROPS, crop_tokens, cropped
from astraclr.simulation.simulate import simulate

SIZES = benchmark.Sizes(24, 96, 48, 60, steps=2, epochs=1, draws=2)


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(benchmark, "with_intervals", partial(with_intervals, resamples=100))


@pytest.fixture(scope="module")
def splits():
    return benchmark.bench_stars(SIZES)


@pytest.fixture(scope="module")
def vectors(splits):
    rng = np.random.default_rng(0)
    codes = [np.unique(lc.label, return_inverse=True)[1] for lc in splits]
    return Vectors(*(rng.normal(size=(len(c), 12)) + 2.5 * np.eye(12)[c] for c in codes))


def test_no_star_is_in_two_splits(splits):
    ids = np.concatenate([lc.object_id for lc in splits])
    assert [len(lc) for lc in splits] == [96, 48, 60] and len(set(ids)) == len(ids)
    assert not set(ids) & set(simulate(24, seed=1_000).object_id)
    full = benchmark.sizes_of("laptop")
    assert (full.unlabelled, full.fit, full.choose, full.test, full.steps) == (40_000, 6_000, 2_000, 4_000, None)
    assert benchmark.sizes_of("gpu").unlabelled == preset("gpu").n_stars


def test_the_test_split_chooses_nothing(splits, vectors):
    shuffled = np.random.default_rng(1).permutation(splits.test.label)
    a = benchmark.assess(vectors, splits, few=(5,), draws=2)
    b = benchmark.assess(vectors, splits._replace(test=replace(splits.test, label=shuffled)), few=(5,), draws=2)
    for name in ("linear_probe", "knn"):
        assert (a[name]["chosen"], a[name]["middle"]) == (b[name]["chosen"], b[name]["middle"])
    assert a["few_labels"]["5"]["C"] == b["few_labels"]["5"]["C"]
    assert a["linear_probe"]["accuracy"] > 0.5 > b["linear_probe"]["accuracy"]
    middle = splits._replace(choose=replace(splits.choose, label=splits.choose.label[::-1].copy()))
    assert benchmark.assess(vectors, middle, few=())["linear_probe"]["middle"] != a["linear_probe"]["middle"]


def test_choices_are_the_best_on_the_middle_split(splits, vectors):
    found = benchmark.assess(vectors, splits, few=())
    by_hand = {}
    for C in benchmark.C_GRID:
        model = benchmark.fit_logistic(vectors.fit, splits.fit.label, C)
        by_hand[C] = float(np.mean([a == b for a, b in zip(model.predict(vectors.choose), splits.choose.label)]))  # noqa: B905
    assert found["linear_probe"]["chosen"] == max(by_hand, key=lambda C: by_hand[C])
    predicted = benchmark.fit_logistic(vectors.fit, splits.fit.label, found["linear_probe"]["chosen"]).predict(
        vectors.test
    )
    right = [a == b for a, b in zip(predicted, splits.test.label, strict=True)]
    assert found["linear_probe"]["accuracy"] == pytest.approx(np.mean(right))
    for name, recall in found["linear_probe"]["recall"].items():
        assert recall == pytest.approx(np.mean([r for r, t in zip(right, splits.test.label, strict=True) if t == name]))


def test_few_labels_learn_from_so_many(splits, vectors, monkeypatch):
    seen = []
    real = benchmark.logistic_classifier
    monkeypatch.setattr(benchmark, "logistic_classifier", lambda x, y, C: seen.append(y) or real(x, y, C))
    found = benchmark.few_labels(vectors, splits, 3, draws=2)
    assert {tuple(np.unique(y, return_counts=True)[1]) for y in seen} == {(3,) * 12}
    assert len(found["C"]) == len(found["draws"]) == 2
    assert found["accuracy"] == pytest.approx(np.mean([d["accuracy"] for d in found["draws"]]))
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]


def test_calibration_by_a_loop():
    rng = np.random.default_rng(3)
    p = rng.dirichlet([0.5] * 4, size=300)
    right, weight = rng.random(300) < 0.5, rng.random(300)
    total = 0.0
    for k in range(15):
        rows = [i for i in range(300) if k / 15 <= p[i].max() < (k + 1) / 15 or (k == 14 and p[i].max() == 1)]
        mass = sum(weight[i] for i in rows)
        if mass:
            accuracy = sum(weight[i] * right[i] for i in rows) / mass
            confidence = sum(weight[i] * p[i].max() for i in rows) / mass
            total += mass / weight.sum() * abs(accuracy - confidence)
    assert calibration_error(p, right, weight) == pytest.approx(total)
    sure = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(sure, np.arange(10) < 7) == pytest.approx(0.3)


def test_natural_frequencies_change_accuracy_and_no_recall():
    label = np.repeat(["ECL", "CV"], [10, 30])
    predicted = np.where(np.arange(40) < 9, "ECL", "CV")
    found = benchmark.scores_with_intervals(
        Predictions((predicted[:, None] == ["CV", "ECL"]) * 0.8 + 0.1, np.array(["CV", "ECL"])),
        label,
        np.arange(40).astype(str),
    )
    share = NATURAL["ECL"] / (NATURAL["ECL"] + NATURAL["CV"])
    assert found["recall"] == {"CV": 1.0, "ECL": 0.9} and found["macro_recall"] == pytest.approx(0.95)
    assert found["accuracy"] == pytest.approx(39 / 40)
    assert found["natural"]["accuracy"] == pytest.approx(0.9 * share + 1.0 * (1 - share))
    assert found["natural_told"]["accuracy"] == pytest.approx(share)  # so rare a class is never believed
    other = benchmark.scores_with_intervals(
        Predictions(np.eye(2)[[0, 1, 1]], np.array(["a", "b"])), np.array(["a", "b", "a"]), np.array(["1", "2", "3"])
    )
    assert "natural" not in other


def test_nearest_neighbours_standardised_do_not_feel_a_scale(splits, vectors):
    y, scale = splits.fit.label, np.geomspace(1e-3, 1e3, 12)
    a, b = (benchmark.knn_classifier(vectors.fit * s, y, True)(vectors.test * s).labels for s in (1.0, scale))
    assert (a == b).all()
    c, d = (benchmark.knn_classifier(vectors.fit * s, y, False)(vectors.test * s).labels for s in (1.0, scale))
    assert (c != d).any()


def test_bad_vectors_are_refused(splits, vectors):
    with pytest.raises(ValueError, match="split choose: 47 vectors of 48 stars"):
        benchmark.assess(vectors._replace(choose=vectors.choose[1:]), splits)
    with pytest.raises(ValueError, match="split test: 60 vectors of 60 stars, 12 numbers not finite"):
        benchmark.assess(vectors._replace(test=np.where(np.arange(60)[:, None] == 3, np.nan, vectors.test)), splits)


@pytest.mark.parametrize("middle", ["band", "epoch"])
def test_the_same_windows_show_what_the_crops_show(stars, middle):
    few, recipe, size = stars[:20], replace(RECIPES["corrected"], middle_crop=middle), preset("tiny")
    data, cut = prepare(few), cropped(few, size, recipe)
    seen = [set() for _ in range(20)]
    for crop in CROPS:
        tokens = crop_tokens(data, torch.arange(20), size, crop, recipe)
        for k in range(20):
            there = ~tokens.mask[k]
            seen[k] |= set(zip(tokens.times[k][there].tolist(), tokens.band[k][there].tolist(), strict=True))
    for k in range(20):
        bands = {b: np.float32(np.log10(w)) for b, w in cut.bands.items()}
        ours = [(t, float(bands[b])) for b, (mjd, _, _) in cut.star(k).items() for t in (mjd - MJD_ZERO).tolist()]
        assert len(ours) == len(set(ours)) and {t for t, _ in ours} == {t for t, _ in seen[k]}
        assert len(ours) == len(seen[k])
    assert cut.n_obs < few.n_obs and cut.object_id.tolist() == few.object_id.tolist()
    short = few[:0:5]
    everything = replace(size, windows=tuple((b, 5_000) for b, _ in size.windows))
    np.testing.assert_array_equal(cropped(short, everything, recipe).mag, short.mag)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(repository_file("benchmarks")))
    module = importlib.import_module("representation")
    monkeypatch.setattr(module.benchmark, "sizes_of", lambda _: SIZES)
    return module


def test_rows_are_made_once_and_merged(script, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    out = tmp_path / "r.json"
    script.main(["--rows", "majority,paper", "--out", str(out)])
    first = json.loads(out.read_text())
    assert set(first["rows"]) == {"majority", "paper"}
    training = first["rows"]["paper"]["seeds"]["0"]["training"]
    assert training["steps"] == 2 and training["cpu_seconds"] > 0 and training["kwh_estimate"] > 0
    monkeypatch.setattr(script.benchmark, "assess", None)  # what is there is not made again
    script.main(["--rows", "paper", "--out", str(out)])
    assert json.loads(out.read_text())["rows"] == first["rows"]


def test_several_calls_write_rows_of_one_file(script, tmp_path):
    head, table = {"made_with": {"revision": "abc"}}, script.Table("tiny", SIZES, {})
    calls = [script.Results(tmp_path / "r.json", head) for _ in range(2)]  # both begin without a file
    for call, name in zip(calls, ("paper-random", "majority"), strict=True):
        call.place(name, table, 0).update({"majority": {"accuracy": 0.5, "macro_f1": 0.1}})
        call.write()
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert list(rows) == ["paper-random", "majority"] and rows["majority"]["made_with"] == head["made_with"]


def test_another_batch_sees_as_many_stars(script):
    size = script.with_batch(preset("laptop"), 128)
    assert (size.batch_size, size.steps, size.evaluate_every) == (128, 1_000, 50)
    given, table = script.table_of(["--preset", "laptop", "--batch", "128"])
    assert table.size.batch_size == 128
    assert script.file_of(given).name == "representation-laptop-128.json"
    with pytest.raises(SystemExit):
        script.table_of(["--batch", "1"])


def test_a_row_of_other_settings_goes(script, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    out = tmp_path / "r.json"
    out.write_text(
        json.dumps(
            {
                "rows": {
                    "majority": {"fingerprint": {"settings": "old"}, "seeds": {"0": {"majority": {}}, "9": {"x": 1}}},
                    "other": {"fingerprint": None, "reason": "kept", "seeds": {"0": {"x": 1}}},
                }
            }
        )
    )
    script.main(["--rows", "majority", "--out", str(out)])
    first = json.loads(out.read_text())
    assert set(first["rows"]["majority"]["seeds"]) == {"0"} and first["rows"]["other"]["reason"] == "kept"
    script.main(["--rows", "majority", "--draw", "1", "--out", str(out)])
    other = json.loads(out.read_text())
    assert other["seed_of_labelled_stars"] == first["seed_of_labelled_stars"] + 1
    assert other["rows"]["majority"]["fingerprint"] != first["rows"]["majority"]["fingerprint"]


def test_supervised_learns_in_all_layers(script, splits):
    table = script.Table("tiny", SIZES, {})
    found = table.row("paper-supervised", 0, splits)
    assert found["training"]["epochs"] == 1 and found["training"]["stars_seen"] == 96
    assert {"head", "linear_probe", "knn"} <= set(found) and not found["few_labels"]
    assert table.row("paper@3-supervised", 0, splits)["training"]["epochs"] == 3  # one step an epoch, as 96 stars have


def test_rows_by_name(script):
    table = script.Table("tiny", SIZES, {})
    assert table.chosen("features*,paper-random") == [*script.FEATURES, "paper-random"]
    assert table.chosen("paper-two-views@7") == ["paper-two-views@7"] and table.parts("paper@7")[2].steps == 7
    assert table.settings("paper@7") != table.settings("paper") != table.settings("paper-random")
    assert script.Table("tiny", SIZES, {}, draw=1).settings("features") != table.settings("features")
    assert table.depends("features") == ["method", "readers", "features"] and len(table.depends("paper")) == 2
    assert table.depends("paper-supervised") == ["method", "readers", "fine-tuning"]
    assert len(table.seeds("features", 3)) == 1 and len(table.seeds("paper-random", 3)) == 3
    with pytest.raises(ValueError, match="no recipe 'papper'"):
        table.chosen("papper")
    with pytest.raises(ValueError, match="number of steps"):
        table.chosen("paper@many")


def test_seeds_are_put_together(script):
    found = script.over_seeds(
        {
            str(k): {
                "knn": {"accuracy": a, "macro_f1": 0.1},
                "width": 3,
                "few_labels": {"5": {"accuracy": 2 * a, "macro_f1": 0.2}},
            }
            for k, a in enumerate((0.2, 0.3, 0.4))
        }
    )
    assert found["n"] == 3 and found["knn"]["accuracy"] == {"mean": 0.3, "sd": 0.1}
    assert found["few_labels 5"]["accuracy"] == {"mean": 0.6, "sd": 0.2} and set(found) == {"n", "knn", "few_labels 5"}
    alone = script.over_seeds({"0": {"majority": {"accuracy": 0.1, "macro_f1": 0.0}}})
    assert alone["majority"]["accuracy"] == {"mean": 0.1, "sd": None}
