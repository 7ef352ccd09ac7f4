"""C and temperature of a head are chosen on damaged validation stars, and a head may read features too."""

from dataclasses import replace

import numpy as np
import pytest

from astraclr.analysis import head_calibration as hc
from astraclr.analysis.classifier import Head, fit_head, load_head, save_head
from astraclr.analysis.page_model import page_model
from astraclr.analysis.predictions import prediction_table
from astraclr.evaluate.calibration import Temperature
from astraclr.files import shipped_file
from astraclr.model.checkpoint import load_checkpoint
from astraclr.simulation.simulate import simulate


def clouds(n, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.array(["ECL", "LPV", "RR"])[rng.integers(3, size=n)]
    return (y[:, None] == ["ECL", "LPV", "RR"]) * 2.0 + spread * rng.normal(size=(n, 3)), y


def test_confidence_falls_under_damage_and_the_class_stays():
    x, y = clouds(600)
    near, label = clouds(300, seed=1)
    noise = np.random.default_rng(2).normal(size=near.shape)
    sets = {"undamaged": near, "noise": near + 2 * noise, "more noise": near + 4 * noise}
    head, by_C = hc.choose_head(x, y, "0" * 64, sets, label)
    assert set(by_C) == {"0.01", "0.1", "1.0", "10.0"} and head.temperature.growth > 0
    plain = replace(head, temperature=Temperature())
    for far in sets.values():
        np.testing.assert_array_equal(head.probabilities(far).argmax(1), plain.probabilities(far).argmax(1))
    found = hc.left_out(hc.scored(head, sets, label))["more noise"]
    now, before = found["calibration_error"], found["calibration_error_as_fitted"]
    assert now is not None and before is not None and now < before - 0.05
    home, away = (head.probabilities(sets[kind]).max(1).mean() for kind in ("undamaged", "more noise"))
    assert away < home


def test_stars_of_classes_that_the_head_lacks_are_left_out():
    x, y = clouds(60)
    head = fit_head(x, y, "0" * 64)
    scores, novelty, truth = hc.scored(head, {"undamaged": x}, np.where(y == "RR", "AGN", y))["undamaged"]
    assert len(scores) == len(novelty) == len(truth) == (y != "RR").sum() and set(truth) == {0, 1}


def test_a_temperature_and_what_was_measured_survive_the_file(tmp_path):
    checkpoint = load_checkpoint("tiny")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 64)), np.array(["RR", "ECL"] * 40)
    head = replace(fit_head(x, y, checkpoint), temperature=Temperature(1.5, 0.25), real_sky={"survey": "ZTF", "n": 3})
    save_head(head, tmp_path / "head.safetensors")
    loaded = load_head(tmp_path / "head.safetensors", checkpoint)
    assert (loaded.temperature, loaded.real_sky) == (head.temperature, {"survey": "ZTF", "n": 3})
    np.testing.assert_array_equal(loaded.probabilities(x), head.probabilities(x))


def test_real_stars_are_scored_on_labels_that_the_head_knows():
    checkpoint = load_checkpoint("tiny")
    head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), checkpoint)
    lc = simulate(24, seed=8)
    some = replace(lc, label=np.where(np.arange(24) < 12, lc.label, ""))
    assert hc.on_real_stars(some, checkpoint, head)["n"] == 12
    with pytest.raises(ValueError, match="none of 24 stars has a label among AGN"):
        hc.on_real_stars(replace(lc, label=np.full(24, "")), checkpoint, head)


@pytest.fixture(scope="module")
def with_features():
    features = pytest.importorskip("astraclr.evaluate.features")
    from astraclr.model.embedding import embed

    checkpoint, lc = load_checkpoint("tiny"), simulate(48, seed=3)
    found, names = features.features(lc)
    inputs = np.concatenate([embed(lc, checkpoint), found], axis=1)
    return checkpoint, lc, fit_head(inputs, lc.label, checkpoint, 0.1, names), inputs


def test_a_head_may_read_features(with_features, tmp_path):
    checkpoint, lc, head, inputs = with_features
    save_head(head, tmp_path / "head.safetensors")
    loaded: Head = load_head(tmp_path / "head.safetensors", checkpoint)
    table = prediction_table(lc, checkpoint, loaded)
    p = table[[f"p_{c}" for c in head.classes]].to_numpy()
    np.testing.assert_allclose(p, head.probabilities(inputs.astype(float)), atol=1e-4)
    wild = inputs.astype(float)
    wild[:, 64:] = 1e6  # beyond all that it has seen: counts as the largest value that it has seen
    top = np.where(np.arange(inputs.shape[1]) < 64, inputs, np.r_[np.zeros(64), head.feature_range[1]])
    np.testing.assert_allclose(head.scores(wild), head.scores(top))
    np.testing.assert_allclose(head.novelty(wild), head.novelty(inputs), rtol=1e-4)


def test_features_of_other_bands_and_pages_without_features_are_refused(with_features):
    checkpoint, lc, head, _ = with_features
    other = replace(lc, bands={"B": 5200.0, "R": 6900.0, "I": 8000.0})
    with pytest.raises(ValueError, match="features of other bands than B, R, I; use a head without features"):
        prediction_table(other, checkpoint, head)
    with pytest.raises(ValueError, match="computes no hand-crafted features"):
        page_model(checkpoint, head)
