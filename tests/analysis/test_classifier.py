"""A head gives the probabilities of the model it was fitted as, and says when not to believe them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from astraclr.analysis.classifier import fit_head, load_head, save_head
from astraclr.analysis.predictions import MIN_EPOCHS, prediction_table
from astraclr.config import preset, recipe
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.probes import fit_logistic
from astraclr.model.checkpoint import load_checkpoint, random_control, save_checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An encoder with random weights, saved so that it has a hash."""
    from astraclr.model.checkpoint import Checkpoint

    folder = tmp_path_factory.mktemp("ck")
    random = Checkpoint(new_encoder(preset("tiny"), recipe("corrected"), 0), preset("tiny"), recipe("corrected"), 0)
    save_checkpoint(random, folder)
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def stars():
    return simulate(48, seed=3)


@pytest.fixture(scope="module")
def vectors(stars, checkpoint):
    return embed(stars, checkpoint)


def clouds(classes, n=200, d=64, seed=0):
    rng = np.random.default_rng(seed)
    y = np.array(classes)[rng.integers(len(classes), size=n)]
    centres = {c: rng.normal(size=d) for c in classes}
    return np.array([centres[c] for c in y]) * 5 + rng.normal(size=(n, d)) * np.linspace(0.5, 20, d), y


@pytest.mark.parametrize("classes", [("RR", "ECL"), ("RR", "ECL", "LPV", "CV")])
def test_probabilities_are_those_of_scikit_learn(checkpoint, classes):
    x, y = clouds(classes)
    head = fit_head(x, y, checkpoint, C=0.1)
    model = fit_logistic(x, y, 0.1)
    assert head.classes == tuple(model.classes_) == tuple(sorted(classes))
    np.testing.assert_allclose(head.probabilities(x), model.predict_proba(x), atol=1e-9)


def test_novelty_is_below_one_for_the_training_stars_and_not_far_away(checkpoint):
    x, y = clouds(("RR", "ECL"), n=2_000)
    head = fit_head(x, y, checkpoint)
    assert (head.novelty(x) <= 1).mean() == pytest.approx(0.999, abs=0.001)
    direct = (x[:5] - head.centre) @ head.precision @ (x[:5] - head.centre).T
    np.testing.assert_allclose(head.novelty(x[:5]), np.diag(direct) / head.threshold)
    assert (head.novelty(x[:5] + 1_000) > 1).all()


def test_round_trip(checkpoint, tmp_path):
    x, y = clouds(("RR", "ECL", "LPV"))
    head = fit_head(x, y, checkpoint)
    save_head(head, tmp_path / "head.safetensors")
    loaded = load_head(tmp_path / "head.safetensors", checkpoint)
    assert (loaded.classes, loaded.threshold, loaded.checkpoint) == (head.classes, head.threshold, checkpoint.sha256)
    np.testing.assert_array_equal(loaded.probabilities(x), head.probabilities(x))
    np.testing.assert_array_equal(loaded.novelty(x), head.novelty(x))
    assert np.isnan(loaded.accuracy)
    save_head(replace(head, accuracy=0.25), tmp_path / "head.safetensors")
    assert load_head(tmp_path / "head.safetensors", checkpoint).accuracy == 0.25


def test_a_head_of_another_checkpoint_is_refused(checkpoint, tmp_path):
    save_head(fit_head(*clouds(("RR", "ECL")), "f" * 64), tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=f"fitted on checkpoint ffffffff, not {checkpoint.sha256[:8]}.*--save-head"):
        load_head(tmp_path / "head.safetensors", checkpoint)


def test_a_head_of_longer_embeddings_is_refused(checkpoint, tmp_path):
    save_head(fit_head(*clouds(("RR", "ECL"), d=192), checkpoint), tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match="reads embeddings of 192 numbers.* makes 64"):
        load_head(tmp_path / "head.safetensors", checkpoint)


def test_something_else_is_not_a_head(checkpoint, tmp_path):
    path = tmp_path / "head.safetensors"
    with pytest.raises(FileNotFoundError, match=r"head\.safetensors does not exist"):
        load_head(path, checkpoint)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="is not a head written by astraclr"):
        load_head(path, checkpoint)
    save_file({"centre": np.zeros(3)}, path)
    with pytest.raises(ValueError, match="is not a head written by astraclr"):
        load_head(path, checkpoint)


def test_table(stars, vectors, checkpoint):
    head = fit_head(vectors, stars.label, checkpoint)
    table = prediction_table(stars, checkpoint, head)
    p = table[[f"p_{c}" for c in head.classes]].to_numpy()
    assert list(table.columns[:3]) == ["object_id", "label", "predicted"]
    assert list(table.columns[-2:]) == ["novelty", "flag"]
    assert table["object_id"].tolist() == stars.object_id.tolist()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(p, head.probabilities(vectors.astype(np.float64)), atol=1e-4)
    assert table["predicted"].tolist() == [head.classes[k] for k in p.argmax(1)]
    odd = [("unlike training stars" in flag) for flag in table["flag"]]
    assert odd == [value > 1 for value in table["novelty"]]


def test_too_few_epochs_in_every_band_are_flagged(stars, vectors, checkpoint):
    def cut(star, n_g, n_r):
        rows = [
            (b, t, m, e)
            for b, n in (("g", n_g), ("r", n_r))
            for t, m, e in zip(*stars.star(star)[b], strict=True)
            if t < stars.star(star)[b][0][n]
        ]
        band, mjd, mag, magerr = zip(*rows, strict=True)
        return LightCurves.from_arrays(
            np.zeros(len(mjd), int),
            np.array(["gri".index(b) for b in band]),
            np.array(mjd),
            np.array(mag),
            np.array(magerr),
            object_id=["cut"],
        )

    head = fit_head(vectors, stars.label, checkpoint)
    few = prediction_table(cut(0, MIN_EPOCHS - 1, MIN_EPOCHS - 1), checkpoint, head)["flag"].iloc[0]
    enough = prediction_table(cut(0, MIN_EPOCHS - 1, MIN_EPOCHS), checkpoint, head)["flag"].iloc[0]
    assert "few epochs" in few and "few epochs" not in enough


def test_stars_unlike_any_are_flagged(stars, vectors, checkpoint):
    head = fit_head(vectors, stars.label, checkpoint)
    odd = LightCurves(
        stars.mjd,
        stars.mag + 60 * np.sin(stars.mjd).astype(np.float32),
        stars.magerr,
        stars.offsets,
        stars.bands,
        stars.object_id,
        stars.label,
        stars.period,
    )
    flags = prediction_table(odd, checkpoint, head)["flag"]
    assert flags.tolist().count("unlike training stars") > 0.9 * len(flags)


def test_an_unsaved_encoder_has_no_head_on_disk(checkpoint, tmp_path):
    save_head(fit_head(*clouds(("RR", "ECL")), checkpoint), tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match="fitted on checkpoint"):
        load_head(tmp_path / "head.safetensors", random_control(checkpoint))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"coefficients": np.full((2, 64), np.nan)}, "coefficients must be .* finite numbers"),
        ({"precision": np.full((64, 64), np.inf)}, "precision must be .* finite numbers"),
        ({"intercepts": np.zeros(3)}, r"intercepts must be \(2,\)"),
        ({"centre": np.zeros(63)}, "must be"),
        ({"threshold": float("nan")}, "threshold nan"),
        ({"classes": ("RR", "RR")}, "2 classes"),
        ({"classes": ("RR", 7)}, "must be text"),
        ({"checkpoint": 7}, "must be text"),
        ({"accuracy": "high"}, "not a head"),
    ],
)
def test_a_head_of_other_shapes_types_or_numbers_is_refused(checkpoint, tmp_path, monkeypatch, change, said):
    monkeypatch.setattr("astraclr.analysis.classifier.math.isnan", lambda _: False)  # saves what is no number
    head = replace(fit_head(*clouds(("RR", "ECL")), checkpoint), **{"accuracy": 0.5} | change)
    save_head(head, tmp_path / "head.safetensors")
    with pytest.raises(ValueError, match=rf"head.safetensors is not a head written by astraclr: .*{said}|{said}"):
        load_head(tmp_path / "head.safetensors", checkpoint)


def test_probabilities_that_are_not_finite_are_flagged_and_name_no_class(stars, vectors, checkpoint):
    head = fit_head(vectors, stars.label, checkpoint)
    with np.errstate(all="ignore"):
        table = prediction_table(stars, checkpoint, replace(head, coefficients=head.coefficients * 1e308))
    odd = ~np.isfinite(table[[f"p_{c}" for c in head.classes]].to_numpy()).all(1)
    assert odd.any() and [("no finite probability" in flag) for flag in table["flag"]] == odd.tolist()
    named = table["predicted"].to_numpy() != ""
    assert not named[odd].any() and named[~odd].all()


def test_a_distance_that_is_not_a_number_is_flagged(stars, vectors, checkpoint):
    head = replace(fit_head(vectors, stars.label, checkpoint), threshold=float("nan"))
    assert all("unlike training stars" in flag for flag in prediction_table(stars, checkpoint, head)["flag"])


def test_embeddings_that_are_not_finite_are_refused(stars, checkpoint):
    large = random_control(checkpoint)
    with torch.no_grad():
        for weights in large.encoder.parameters():
            weights.mul_(1e30)
    with pytest.raises(ValueError, match=r"of 48 embeddings are not finite \(stars .*take another checkpoint"):
        embed(stars, large)
