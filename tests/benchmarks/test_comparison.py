"""The comparison of embeddings: equal epochs, controls, and models that are named."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def comparison(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("comparison")


def test_every_star_keeps_equal_numbers_of_its_own_epochs(comparison, stars):
    few = comparison.with_epochs(stars, 20, seed=3)
    assert (few.counts.sum(1) == 20).all() and few.object_id.tolist() == stars.object_id.tolist()
    assert (few.counts <= stars.counts).all() and np.isin(few.mjd, stars.mjd).all()
    again, more = comparison.with_epochs(stars, 20, seed=3), comparison.with_epochs(stars, 10**6, seed=3)
    np.testing.assert_array_equal(again.mag, few.mag)
    np.testing.assert_array_equal(more.mag, stars.mag)


def test_random_kernels_see_shape_and_not_brightness(comparison, stars):
    from dataclasses import replace

    transform = comparison.RandomKernels(n_kernels=5)
    x = transform(stars[:6])
    assert x.shape == (6, 10) and np.isfinite(x).all()
    np.testing.assert_allclose(transform(replace(stars[:6], mag=stars[:6].mag + np.float32(1))), x, atol=2e-3)


def test_the_table_holds_every_model_in_every_condition(comparison, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "N_EPOCHS", (20, 30))
    (tmp_path / "named_models.py").write_text("def counts(lc):\n    return lc.counts + 0.5\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = ["--checkpoint", "tiny", "--fit", "48", "--choose", "24", "--test", "24", "--out", str(tmp_path / "c.json")]
    skipped = ["--skip", "features", "--skip", "features-period", "--skip", "rocket-like"]
    comparison.main([*words, *skipped, "--model", "counts=named_models:counts"])
    found = json.loads((tmp_path / "c.json").read_text())
    assert list(found["models"]) == ["encoder", "random weights", "counts"]
    conditions = {"20 epochs", "30 epochs", "bright", "faint", "other survey"}
    for row in found["models"].values():
        assert conditions < set(row) and all(row[c]["accuracy_low"] <= row[c]["accuracy"] for c in conditions)
    assert set(found["gain_over_control"]) == {"encoder", "counts"}
    assert found["models"]["counts"]["width"] == 3
    with pytest.raises(ValueError, match="--skip nothing: the models are encoder"):
        comparison.models_of("tiny", [], ["nothing"])
    with pytest.raises(ValueError, match="write NAME=MODULE:ATTRIBUTE"):
        comparison.models_of("tiny", ["encoder=json:loads"], [])
