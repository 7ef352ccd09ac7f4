"""Self-training: a teacher of whole light curves, probes of guesses, and what a thawed encoder begins as."""

import importlib
import json
import sys

import numpy as np
import pytest
import torch
from _self_training import DROPOUT, PENALTIES, Inputs, best_probe, self_train, soft_probe, teacher

from astraclr.config import RECIPES, Preset
from astraclr.evaluate.few_labels import tuned_checkpoint
from astraclr.evaluate.heads import probe_head
from astraclr.evaluate.probes import fit_logistic
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder

MINI = Preset("mini", 8, 2, 2, 16, (("g", 8), ("r", 8), ("i", 2)), 10, 10, 8, 1)


@pytest.fixture(scope="module")
def checkpoint():
    recipe = RECIPES["recommended"]
    return Checkpoint(new_encoder(MINI, recipe, 0).eval(), MINI, recipe, 0)


@pytest.fixture(scope="module")
def three(stars):
    known = stars.with_labels(["RR", "AGN", "LPV"])
    return known[::2], known[1::2]


@pytest.fixture(scope="module")
def inputs(three, checkpoint):
    return [Inputs.of(lc, checkpoint) for lc in three]


def test_inputs_are_windows_and_standardised_summaries(three, inputs, checkpoint):
    fit, rest = inputs
    assert np.array_equal(rest.windows, embed(three[1], checkpoint))
    joined = rest.joined(rest)
    told = joined[:, rest.windows.shape[1] :]
    assert joined.shape[1] == rest.windows.shape[1] + rest.summaries.shape[1] and np.isfinite(joined).all()
    assert np.abs(told.mean(0)).max() < 0.5 and np.abs(told).max() <= 5
    unknown = Inputs(fit.windows, np.full_like(fit.summaries, np.nan))
    assert not unknown.joined(rest)[:, rest.windows.shape[1] :].any()


def test_a_teacher_gives_probabilities_of_sorted_classes(three, inputs):
    fit, rest = inputs
    probabilities = teacher(fit, three[0].label, rest)
    assert probabilities(rest).shape == (len(three[1]), 3)
    np.testing.assert_allclose(probabilities(rest).sum(1), 1, atol=1e-5)
    assert (np.unique(three[0].label)[probabilities(fit).argmax(1)] == three[0].label).all()


def test_a_probe_of_certain_guesses_is_the_probe_of_labels(three, inputs):
    x, y = inputs[0].windows, three[0].label
    classes, code = np.unique(y, return_inverse=True)
    head = soft_probe(x, np.eye(len(classes), dtype=np.float32)[code], C=0.1)
    found = head(torch.as_tensor(inputs[1].windows)).softmax(1).detach().numpy()
    np.testing.assert_allclose(found, fit_logistic(x, y, 0.1).predict_proba(inputs[1].windows), atol=0.01)


def test_a_head_says_what_its_probe_probabilities(three, inputs):
    (x, y), (z, w) = ((r.windows, lc.label) for r, lc in zip(inputs, three, strict=True))
    probe, C, chosen = best_probe(x, y, z, w)
    assert chosen == (probe.predict(z) == w).mean() and C in PENALTIES
    scores = probe_head(probe, x, DROPOUT).eval()(torch.as_tensor(z)).detach().numpy()
    expected = probe.decision_function(z)
    np.testing.assert_allclose(scores, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("taught", [False, True])
def test_what_thaws_begins_at_the_probe_and_learns(three, inputs, checkpoint, taught):
    fit, rest = three
    probe = best_probe(inputs[0].windows, fit.label, inputs[1].windows, rest.label)[0]
    how = {"unlabelled": rest, "guesses": np.full((len(rest), 3), 1 / 3, np.float32)} if taught else {}
    before, after, again = (
        self_train(
            checkpoint,
            fit,
            probe_head(probe, inputs[0].windows, DROPOUT),
            steps=steps,
            learning_rate=1e-3,
            seed=2,
            **how,
        )
        for steps in (0, 4, 4)
    )
    assert np.array_equal(before.predict(rest), probe.predict(inputs[1].windows))
    assert np.array_equal(embed(rest, tuned_checkpoint(before, checkpoint)), inputs[1].windows)
    assert after.history.equals(again.history) and after.history["loss"].between(0, 10).all()
    assert not np.array_equal(embed(rest, tuned_checkpoint(after, checkpoint)), inputs[1].windows)
    assert np.array_equal(embed(rest, checkpoint), inputs[1].windows)  # the given encoder is left as it was


def test_every_unlabelled_star_needs_a_guess(three, inputs, checkpoint):
    fit, rest = three
    head = probe_head(fit_logistic(inputs[0].windows, fit.label, 1.0), inputs[0].windows, DROPOUT)
    with pytest.raises(ValueError, match="0 guesses for"):
        self_train(checkpoint, fit, head, steps=1, learning_rate=1e-3, unlabelled=rest)


@pytest.mark.slow
def test_the_benchmark_of_self_training_runs(root, tmp_path, monkeypatch, checkpoint):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    script = importlib.import_module("self_training")
    monkeypatch.setattr(script, "load_checkpoint", lambda where: checkpoint)
    runs, out = tmp_path / "runs.jsonl", tmp_path / "out.json"
    runs.write_text('{"tried": 1}\n{"tried": 2}\n')
    for words in (["--explored", str(runs), "--seeds", "1"], ["--seeds", "2"]):
        monkeypatch.setattr(sys, "argv", ["self_training.py", "--quick", "--out", str(out), *words])
        script.main()
    found = json.loads(out.read_text())
    assert [run["tried"] for run in found["explored"]] == [1, 2]  # a later run keeps what was tried before it
    ways = {row["way"]: row["accuracy"] for row in found["rows"] if row["seed"] == 1}
    assert len(found["rows"]) == 2 * len(ways) and set(found["gains"]) == set(ways) - {"linear probe"}
    for way, gain in found["gains"].items():
        assert gain["draws"][1] == round(100 * (ways[way] - ways["linear probe"]), 2)


@pytest.mark.slow
def test_the_benchmark_of_many_labels_runs_and_keeps_its_rows(root, tmp_path, monkeypatch, checkpoint):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    script, out = importlib.import_module("many_labels"), tmp_path / "out.json"
    monkeypatch.setattr(script, "load_checkpoint", lambda where: checkpoint)
    monkeypatch.setattr(script, "RATES", {"last layers": (1e-3,)})
    for words in (["--seeds", "1", "--explore"], ["--seeds", "2", "--explore"]):
        monkeypatch.setattr(sys, "argv", ["many_labels.py", "--quick", "--out", str(out), *words])
        script.main()
    content = json.loads(out.read_text())
    found = content["rows"]
    assert [(one["way"], one["rate"]) for one in content["explored"]] == [("last layers", 1e-3)]  # tried once
    assert [(row["seed"], row["way"]) for row in found] == [(seed, way) for seed in (0, 1) for way in script.WAYS]
    for row in found:
        probe = next(r for r in found if r["seed"] == row["seed"] and r["way"] == "linear probe")
        assert row["above_probe"] == pytest.approx(100 * (row["accuracy"] - probe["accuracy"]))
