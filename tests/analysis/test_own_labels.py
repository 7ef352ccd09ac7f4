"""Fine-tuning on one's own labels: refusals before work, what it writes, and runs that are killed or repeated."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astraclr.analysis import own_labels
from astraclr.analysis.classifier import load_head
from astraclr.analysis.own_labels import checked_labels, parts_of_labels, tune
from astraclr.analysis.page_model import page_model
from astraclr.analysis.predictions import prediction_table
from astraclr.config import RECIPES, Preset
from astraclr.evaluate.tuning_run import TuningRun
from astraclr.evaluate.tuning_settings import Tuning
from astraclr.folders import locked
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.state_file import PREVIOUS, STATE

MINI = Preset("mini", 8, 2, 2, 16, (("g", 8), ("r", 8), ("i", 2)), 10, 10, 8, 1)
SETTINGS = Tuning(layers=1, passes=6, batch_size=8, patience=6, learning_rate=1e-3)
QUICK = replace(SETTINGS, passes=2)


def small():
    """An encoder with random weights, and labelled stars."""
    recipe = RECIPES["recommended"]
    encoder = new_encoder(MINI, recipe, 0).eval()
    return Checkpoint(encoder, MINI, recipe, 0, sha256="0" * 64), simulate(36, seed=3, classes=["RR", "AGN", "LPV"])


@pytest.fixture(scope="module")
def given():
    return small()


@pytest.fixture(scope="module")
def tuned(given, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    return folder, tune(*given, out=folder, settings=QUICK, progress=False)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda y: np.full_like(y, ""), "none of 36 stars has a label in column 'kind': name the column .* --label"),
        (lambda y: np.where(y == "RR", "Unknown", y), "12 stars have the label 'Unknown' .* names no class: empty it"),
        (lambda y: np.where(y == "RR", "nan", y), "12 stars have the label 'nan'"),
        (lambda y: np.full_like(y, "RR"), "all 36 labelled stars are of class 'RR': .*add stars of another class"),
        (
            lambda y: np.where((y == "RR") & (np.cumsum(y == "RR") > 9), "", y),
            "class 'RR' has 9 labelled objects; each class needs at least 10, .*label more, join classes",
        ),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(given, change, line):
    stars = given[1]
    with pytest.raises(ValueError, match=line):
        checked_labels(replace(stars, label=change(stars.label.astype("U9"))), "kind")


def test_an_object_has_one_label(given):
    stars = given[1]
    with pytest.raises(ValueError, match="1 objects have several labels"):
        checked_labels(replace(stars, object_id=np.array([stars.object_id[1], *stars.object_id[1:]])))


def test_settings_out_of_range_are_refused(given, tmp_path):
    for name, value in (("passes", 0), ("labels_per_class", 1), ("learning_rate", float("nan")), ("noise", -1.0)):
        with pytest.raises(ValueError, match=f"{name} is"):
            replace(QUICK, **{name: value})
    with pytest.raises(ValueError, match="layers 3 must lie in 0 to 2"):
        tune(*given, out=tmp_path / "new", settings=replace(QUICK, layers=3))
    assert not (tmp_path / "new").exists()


def test_folders_of_others_are_left_alone(given, tuned, tmp_path):
    with pytest.raises(ValueError, match=r"other settings or stars \(seed 0, now 1\)"):
        tune(*given, out=tuned[0], settings=replace(QUICK, seed=1))
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match="holds files that this command did not write .mine.txt."):
        tune(*given, out=tmp_path, settings=QUICK)
    with locked(tmp_path / "busy"), pytest.raises(ValueError, match="is being written by process"):
        tune(*given, out=tmp_path / "busy", settings=QUICK)


# --- what it writes ---------------------------------------------------------------------------------------------------


def test_the_split_keeps_objects_apart_and_caps_training_labels(given):
    parts = parts_of_labels(given[1], Tuning(labels_per_class=4))
    assert [len(part) for part in parts] == [12, 9, 3]
    ids = [set(part.object_id) for part in parts]
    assert not (ids[0] & ids[1] or ids[0] & ids[2] or ids[1] & ids[2])


def test_the_report_sets_it_beside_the_probe_and_random_weights(tuned):
    folder, metrics = tuned
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert metrics["stars"] == {"train": 24, "validation": 9, "test": 3, "unlabelled": 0}
    for name in ("finetuned", "probe", "random_weights"):
        found = metrics["scores"][name]
        assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    apart = metrics["scores"]["finetuned_minus"]
    assert set(apart) == {"probe", "random_weights"} and "accuracy_low" in apart["probe"]
    assert "majority" in metrics["scores"]


def test_the_head_predicts_as_the_fine_tuned_classifier(given, tuned):
    folder, metrics = tuned
    checkpoint, stars = load_checkpoint(folder), given[1]
    assert checkpoint.sha256 == metrics["checkpoint"] and checkpoint.history["epoch"].tolist() == [0, 1, 2]
    head = load_head(folder / "head.safetensors", checkpoint)
    parts = parts_of_labels(stars, QUICK)
    run = TuningRun(given[0], parts.fit, parts.choose, QUICK, "{}", None)
    run.train(progress=False)
    expected = run.best.restored()
    table = prediction_table(stars, checkpoint, head)
    assert table["predicted"].tolist() == expected.predict(stars).tolist()
    plain = replace(head, temperature=own_labels.Head.__dataclass_fields__["temperature"].default_factory())
    p = prediction_table(stars, checkpoint, plain)[[f"p_{c}" for c in head.classes]].to_numpy()
    np.testing.assert_allclose(p, expected.probabilities(stars), atol=1e-5)
    with pytest.raises(ValueError, match="the page joins crops by their mean"):
        page_model(checkpoint, head)


def test_frozen_layers_stay_and_the_given_encoder_is_left_as_it_is(given, tuned):
    before, after = given[0].encoder.state_dict(), load_checkpoint(tuned[0]).encoder.state_dict()
    assert all(after[k].equal(v) for k, v in before.items() if not k.startswith(("layers.1", "norm")))


# --- killed, repeated, damaged ----------------------------------------------------------------------------------------


def test_a_finished_run_is_returned_at_once(given, tuned, monkeypatch):
    monkeypatch.setattr(own_labels, "TuningRun", lambda *_: pytest.fail("trained again"))
    assert tune(*given, out=tuned[0], settings=QUICK, progress=False) == tuned[1]


def test_a_run_that_stopped_goes_on_also_from_the_previous_state(given, tuned, tmp_path, monkeypatch):
    calls, save = [], TuningRun.save

    def dies(run):
        save(run)
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(TuningRun, "save", dies)
    with pytest.raises(KeyboardInterrupt):
        tune(*given, out=tmp_path, settings=QUICK, progress=False)
    monkeypatch.undo()
    assert (tmp_path / PREVIOUS).exists() and not (tmp_path / "config.json").exists()
    whole = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(whole[:-9])
    with pytest.warns(UserWarning, match="is damaged .*going on from state-previous.safetensors, of pass 0"):
        tune(*given, out=tmp_path, settings=QUICK, progress=False)
    for path in tuned[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in tuned[0].iterdir())


KILLED = """
import os, signal, sys, time
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
from test_own_labels import QUICK, TuningRun, small, tune
torch.set_num_threads(1)
given, folder, save = small(), Path(sys.argv[2]), TuningRun.save
def held(run):
    save(run)
    if run.done == 1:
        (folder.parent / "held").touch()
        time.sleep(600)
child = os.fork()
if child == 0:
    TuningRun.save = held
    tune(*given, out=folder, settings=QUICK, progress=False)
    os._exit(1)
while not (folder.parent / "held").exists():
    assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
    time.sleep(0.01)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
tune(*given, out=folder, settings=QUICK, progress=False)
"""
"""`benchmarks/kills.py --only finetune` kills the command at random moments."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_run_ends_with_the_same_bytes(tuned, tmp_path):
    words = (sys.executable, "-c", KILLED, Path(__file__).parent, tmp_path / "run")
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, wanted = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in (tmp_path / "run", tuned[0]))
    assert found == wanted
