"""A run stopped, killed, out of disk or damaged, and resumed: the weights are those of a run that never was."""

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors.torch
import torch

import astraclr.train.run_state
from astraclr.config import RECIPES, preset
from astraclr.data.sources import fingerprint
from astraclr.folders import locked
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.train import state_file
from astraclr.train.optimizer import new_optimiser
from astraclr.train.pretrain import pretrain
from astraclr.train.run_state import BESIDE, Run
from astraclr.train.step import Taken, Training, update

SMALL = replace(preset("tiny"), batch_size=16, steps=6, evaluate_every=3)
FILES = ["config.json", "history.csv", "log.jsonl"]


@pytest.fixture(scope="module")
def whole(stars, tmp_path_factory):
    return pretrain(stars, SMALL, out=tmp_path_factory.mktemp("whole"), progress=False)


def train(stars, out, **options):
    return pretrain(stars, SMALL, out=out, progress=False, save_every=1, **options)


def steps_logged(out):
    return [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]


def ends_like(whole, stars, out, **options):
    """The same call ends with the weights, history, log and files of a run that was never stopped."""
    end = train(stars, out, **options)
    assert end.sha256 == whole.sha256 == load_checkpoint(out).sha256
    assert end.history.equals(whole.history)
    assert steps_logged(out) == list(range(1, 7))
    assert sorted(p.name for p in out.iterdir()) == [*FILES, f"weights-{whole.sha256[:8]}.safetensors"]


def stop_after(monkeypatch, steps, how):
    """Do `how` inside the last of so many steps, after its weights have moved."""
    calls = []

    def struck(*args):
        found = update(*args)
        calls.append(1)
        if len(calls) == steps:
            how()
        return found

    monkeypatch.setattr("astraclr.train.pretrain.update", struck)


def stopped(stars, out, monkeypatch, steps):
    """A run that SIGTERM ended after so many steps."""
    stop_after(monkeypatch, steps, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as end:
        train(stars, out)
    assert end.value.code == 128 + signal.SIGTERM
    monkeypatch.undo()


DRIVER = """
import json, os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
import torch, torch._dynamo, safetensors.torch  # once, not in every child
from astraclr.config import preset
from astraclr.train.pretrain import pretrain
from astraclr.simulation.simulate import simulate

torch.set_num_threads(1)
size = replace(preset("tiny"), d_model=16, d_ff=32, n_layers=1, batch_size=8, steps=40, evaluate_every=7)
stars, out, moments, seen = simulate(24, seed=3), Path(sys.argv[1]), random.Random(5), []

def started():
    child = os.fork()  # before this process has trained, so that the child may
    if child == 0:
        pretrain(stars, size, seed=1, out=out / "killed", progress=False, save_every=2)
        os._exit(0)
    return child

def lines():
    log = out / "killed" / "log.jsonl"
    return log.read_bytes().count(b"\\n") if log.exists() else 0

while len(seen) < 5 and lines() < 30:
    child, goal = started(), lines() + moments.randint(1, 9)
    while lines() < goal and not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.0005)
    time.sleep(moments.random() * 0.02)  # a step and a write of the state take about as long
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    seen.append(lines())
    assert not (out / "killed" / "config.json").exists()
os.waitpid(started(), 0)
pretrain(stars, size, seed=1, out=out / "whole", progress=False)
print(json.dumps(seen))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    driver = subprocess.run(
        [sys.executable, "-c", DRIVER, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert driver.returncode == 0, driver.stderr
    killed_at = json.loads(driver.stdout)
    assert len(killed_at) >= 3 and all(0 < step < 40 for step in killed_at)
    a, b = (load_checkpoint(tmp_path / name) for name in ("killed", "whole"))
    assert a.sha256 == b.sha256 and a.history.equals(b.history)
    assert steps_logged(tmp_path / "killed") == list(range(1, 41))
    for name in ("config.json", "history.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("renames", range(1, 7))
def test_a_run_cut_at_any_rename_is_resumed(stars, tmp_path, monkeypatch, whole, renames):
    """The moments that matter most: before a new state has its name, and when the old one has lost it."""
    done, rename = [], os.replace

    def cut(*args):
        done.append(args)
        if len(done) == renames:
            raise SystemError("as if killed")
        rename(*args)

    taken = []
    monkeypatch.setattr("astraclr.train.pretrain.update", lambda *args: taken.append(1) or update(*args))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with pytest.raises(SystemError):
            train(stars, tmp_path / "run")
    ends_like(whole, stars, tmp_path / "run")
    assert len(taken) <= 6 + 1 + 1  # the step that was not saved, and the one before it that had lost its name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_keeps_it(stars, tmp_path, monkeypatch, whole, number):
    stop_after(monkeypatch, 2, lambda: signal.raise_signal(number))
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
            pretrain(stars, SMALL, out=tmp_path, progress=False, save_every=100)
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGTERM) == before[1]
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert steps_logged(tmp_path) == [1, 2]
    stop_after(monkeypatch, 1, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit):
        train(stars, tmp_path)
    monkeypatch.undo()
    assert steps_logged(tmp_path) == [1, 2, 3]  # one more, not again from the start
    ends_like(whole, stars, tmp_path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1000])


def emptied(path):
    path.write_bytes(b"")


def one_bit_turned(path):
    content = bytearray(path.read_bytes())
    content[-5000] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, emptied, one_bit_turned])
def test_a_damaged_state_falls_back_to_the_previous_and_says_so(stars, tmp_path, monkeypatch, whole, damage):
    stopped(stars, tmp_path, monkeypatch, 4)
    damage(tmp_path / "state.safetensors")
    with pytest.warns(UserWarning, match="state.safetensors is damaged.*going on from state-previous.*of step 3"):
        ends_like(whole, stars, tmp_path)


def test_the_previous_state_outlives_a_second_accident(stars, tmp_path, monkeypatch, whole):
    """Having gone on from it, the next state must not push it out in favour of the damaged one."""
    stopped(stars, tmp_path, monkeypatch, 4)
    cut_short(tmp_path / "state.safetensors")
    with pytest.warns(UserWarning, match="going on from"):
        stopped(stars, tmp_path, monkeypatch, 1)
    cut_short(tmp_path / "state.safetensors")
    with pytest.warns(UserWarning, match="of step 3"):
        ends_like(whole, stars, tmp_path)


def test_two_damaged_states_are_both_named(stars, tmp_path, monkeypatch):
    stopped(stars, tmp_path, monkeypatch, 2)
    for name in ("state.safetensors", "state-previous.safetensors"):
        cut_short(tmp_path / name)
    with pytest.raises(ValueError, match=r"state.safetensors is damaged.*previous.safetensors is damaged.*start anew"):
        train(stars, tmp_path)


def test_a_full_disk_costs_an_interval_and_not_the_run(stars, tmp_path, monkeypatch, whole):
    """No room at steps 3 and 4; killed in step 5, the run goes on from step 2."""
    write, full = os.fsync, iter([False, False, False, True, True, True])

    def no_room(*args):
        if next(full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(*args)

    monkeypatch.setattr(os, "fsync", no_room)
    stop_after(monkeypatch, 5, killed)
    with pytest.warns(UserWarning) as said, pytest.raises(SystemError):
        train(stars, tmp_path)
    monkeypatch.undo()
    for step, warning in zip((3, 4), said, strict=True):
        said_of = f"cannot write {tmp_path / 'state.safetensors'}: the disk is full"
        assert f"the state of step {step} could not be written ({said_of}" in str(warning.message)
        assert "a resumed run goes on from step 2" in str(warning.message)
    assert not list(tmp_path.glob(".*.part"))
    begun = state_file.read_state(tmp_path / "state.safetensors")[0]
    assert json.loads(begun["facts"])["done"] == 2
    ends_like(whole, stars, tmp_path)


def test_a_disk_that_is_full_from_the_start_is_said_before_any_work(stars, tmp_path, monkeypatch):
    def no_room(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    monkeypatch.setattr("astraclr.train.pretrain.update", None)
    with pytest.raises(OSError, match="state.safetensors: the disk is full; make room there"):
        train(stars, tmp_path)


def test_a_part_left_by_a_killed_process_is_removed(stars, tmp_path, monkeypatch, whole):
    stopped(stars, tmp_path, monkeypatch, 2)
    (tmp_path / ".state.safetensors.12345.part").write_bytes(b"half")
    ends_like(whole, stars, tmp_path)


def test_a_state_holds_adam_and_the_best_weights(stars, tmp_path, monkeypatch):
    """What a resumed run would lack only later, and silently."""
    stopped(stars, tmp_path, monkeypatch, 4)
    _, tensors = state_file.read_state(tmp_path / "state.safetensors")
    assert {k.split("/")[0] for k in tensors} == {"last", "best", "adam", "history"}
    assert all(step == 4 for k, step in tensors.items() if k.endswith("/step") and k.startswith("adam"))
    assert not torch.equal(tensors["last/layers.0.ffn.0.weight"], tensors["best/layers.0.ffn.0.weight"])


def test_how_often_a_state_is_written(stars, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(astraclr.train.run_state.Run, "_write", lambda run, _: written.append(run.done))
    with pytest.raises(ValueError, match="save_every 0"):
        pretrain(stars, SMALL, out=tmp_path, save_every=0)
    pretrain(stars, SMALL, out=tmp_path / "a", progress=False)
    pretrain(stars, SMALL, out=tmp_path / "b", progress=False, save_every=4)
    assert written == [0, 3, 6, 0, 4, 6]


@pytest.mark.parametrize("step", [2, 4])
def test_the_recommended_recipe_resumes_with_equal_bytes(stars, tmp_path, monkeypatch, step):
    """Stopped before and after its first validation: summaries made anew, AdamW and the cosine schedule go on."""
    how, size = RECIPES["recommended"], replace(SMALL, steps=10)  # more steps than batches in an epoch
    whole = pretrain(stars, size, how, out=tmp_path / "whole", progress=False)
    stop_after(monkeypatch, step, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit):
        pretrain(stars, size, how, out=tmp_path / "run", progress=False, save_every=1)
    monkeypatch.undo()
    end = pretrain(stars, size, how, out=tmp_path / "run", progress=False, save_every=1)
    assert end.sha256 == whole.sha256 and end.history.equals(whole.history)
    assert {"nt_xent", "summary_loss", "val_nt_xent", "val_summary_loss"} < set(end.history)
    assert steps_logged(tmp_path / "run") == list(range(1, 11))


def moved(stars):
    """The same magnitudes at other times and with other errors."""
    return replace(stars, mjd=stars.mjd + 3000, magerr=stars.magerr * 5)


def of_an_earlier_version(path):
    """Write a state or a config as the first versions did: magnitudes alone in the fingerprint, fewer switches."""
    if path.suffix == ".json":
        config = json.loads(path.read_text())
        config["data"] = config["data"].split(", SHA-256")[0]
        path.write_text(json.dumps(config))
        return
    meta, tensors = state_file.read_state(path)
    preset_, recipe_, seed, data = json.loads(meta["settings"])
    del preset_["replicas"], recipe_["pooling"], recipe_["negatives"]
    settings = json.dumps([preset_, recipe_, seed, data.split(", SHA-256")[0]], sort_keys=True)
    meta = {"settings": settings, "facts": meta["facts"]}
    safetensors.torch.save_file(tensors, path, meta | {"checksum": state_file.checksum(tensors, meta)})


@pytest.mark.filterwarnings("error")
def test_other_times_and_errors_are_other_stars(stars, tmp_path, monkeypatch):
    stopped(stars, tmp_path, monkeypatch, 2)
    with pytest.raises(ValueError, match=r"or other stars; .* \(stars '96 stars, .*', now '96 stars, "):
        train(moved(stars), tmp_path)
    train(stars, tmp_path)
    with pytest.raises(ValueError, match="or other stars"):
        train(moved(stars), tmp_path)


def test_what_differs_is_named(stars, tmp_path, monkeypatch):
    stopped(stars, tmp_path, monkeypatch, 1)
    other = replace(RECIPES["corrected"], pooling="mean_std")
    with pytest.raises(ValueError, match=r"anew \(steps 6, now 7; pooling 'mean', now 'mean_std'; seed 0, now 1\)"):
        pretrain(stars, SMALL, other, steps=7, seed=1, out=tmp_path, progress=False)


def test_a_run_of_an_earlier_version_goes_on_and_says_what_was_compared(stars, tmp_path, monkeypatch, whole):
    """A state, and then the finished run."""
    stopped(stars, tmp_path, monkeypatch, 4)
    for name in ("state.safetensors", "state-previous.safetensors"):
        of_an_earlier_version(tmp_path / name)
    with pytest.warns(UserWarning, match="times, errors, bands and ids could not be compared"):
        ends_like(whole, stars, tmp_path)
    of_an_earlier_version(tmp_path / "config.json")
    with pytest.warns(UserWarning, match="times, errors, bands and ids could not be compared"):
        assert train(stars, tmp_path).sha256 == whole.sha256
    with pytest.raises(ValueError, match="or other stars"):
        train(replace(stars, mag=stars.mag + 1), tmp_path)


def test_a_state_of_a_later_version_is_refused(stars, tmp_path, monkeypatch):
    monkeypatch.setattr(state_file, "_VERSION", 2)
    stopped(stars, tmp_path, monkeypatch, 1)
    with pytest.raises(ValueError, match=r"state.safetensors has format version 2; this version of astraclr reads 1\."):
        train(stars, tmp_path)


def spoilt_from(monkeypatch, step, loss_too):
    """Weights become NaN in this step and later ones, and its loss where so asked."""
    calls = []

    def spoilt(training, *args):
        taken = update(training, *args)
        calls.append(1)
        if len(calls) < step:
            return taken
        with torch.no_grad():
            next(training.encoder.parameters()).fill_(torch.nan)
        terms = [term._replace(loss=term.loss * torch.nan) for term in taken.terms]
        return Taken(terms, taken.rate) if loss_too else taken

    monkeypatch.setattr("astraclr.train.pretrain.update", spoilt)


@pytest.mark.parametrize("save_every", [1, 2, 100])
@pytest.mark.parametrize(
    ("step", "loss_too", "said"),
    [
        (3, True, "step 3: loss is nan"),
        (2, False, "step [23]: (weights are not finite|loss is nan|val_loss is nan)"),
        (3, False, "step 3: val_loss is nan"),
    ],
)
def test_a_run_that_diverges_stops_in_one_line_and_is_resumed(
    stars, tmp_path, monkeypatch, whole, save_every, step, loss_too, said
):
    spoilt_from(monkeypatch, step, loss_too)
    with pytest.raises(ValueError, match=f"{said}: training has diverged; .* keeps the state of step ") as error:
        pretrain(stars, SMALL, out=tmp_path, progress=False, save_every=save_every)
    assert "\n" not in str(error.value)
    monkeypatch.undo()
    for path in tmp_path.glob("state*"):
        assert all(v.isfinite().all() for k, v in state_file.read_state(path)[1].items() if not k.startswith("history"))
    ends_like(whole, stars, tmp_path)


def test_a_signal_does_not_save_weights_that_are_not_finite(stars, tmp_path, monkeypatch, whole):
    def spoilt(training, *args):
        found = update(training, *args)
        with torch.no_grad():
            next(training.encoder.parameters()).fill_(torch.inf)
        signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr("astraclr.train.pretrain.update", spoilt)
    with pytest.raises(ValueError, match="step 1: weights are not finite: training has diverged; .* of step 0"):
        pretrain(stars, SMALL, out=tmp_path, progress=False, save_every=100)
    monkeypatch.undo()
    ends_like(whole, stars, tmp_path)


def test_a_state_that_an_earlier_version_saved_after_divergence_is_left_for_the_previous(
    stars, tmp_path, monkeypatch, whole
):
    stopped(stars, tmp_path, monkeypatch, 4)
    path = tmp_path / "state.safetensors"
    meta, tensors = state_file.read_state(path)
    tensors = {k: v * torch.nan if k.startswith("last/") else v for k, v in tensors.items()}
    safetensors.torch.save_file(tensors, path, meta | {"checksum": state_file.checksum(tensors, meta)})
    with pytest.warns(UserWarning, match="not finite: training had diverged.; going on from state-previous"):
        ends_like(whole, stars, tmp_path)


@pytest.mark.parametrize("name", ["log.jsonl", "history.csv", "stars.parquet"])
def test_files_of_others_are_not_overwritten(stars, tmp_path, name):
    (tmp_path / name).write_text("theirs")
    with pytest.raises(ValueError, match=f"did not write .{name}., and could overwrite: choose an empty or a new"):
        train(stars, tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "theirs")]


def test_a_second_run_into_a_folder_is_refused(stars, tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match=f"is being written by process {os.getpid()} on"):
        train(stars, tmp_path)


def altered(path, change):
    """Write a state again, changed, with a checksum that fits."""
    meta, tensors = state_file.read_state(path)
    facts = json.loads(meta["facts"])
    change(facts, tensors, meta)
    meta = {k: v for k, v in meta.items() if k != "checksum"} | {"facts": json.dumps(facts)}
    content = safetensors.torch.save(tensors, meta | {"checksum": state_file.checksum(tensors, meta)})
    path.write_bytes(content)


CHANGES = {
    "a counter is missing": lambda facts, tensors, meta: facts.pop("best_step"),
    "a counter is text": lambda facts, tensors, meta: facts.update(done="4"),
    "a counter is too large": lambda facts, tensors, meta: facts.update(done=10**9),
    "history is missing": lambda facts, tensors, meta: tensors.pop("history/loss"),
    "history is shorter": lambda facts, tensors, meta: tensors.update({"history/step": tensors["history/step"][:1]}),
    "weights are missing": lambda facts, tensors, meta: tensors.pop(min(k for k in tensors if k.startswith("last/"))),
    "best weights are missing": lambda facts, tensors, meta: tensors.pop(
        min(k for k in tensors if k.startswith("best/"))
    ),
    "a moment is missing": lambda facts, tensors, meta: tensors.pop("adam/0/exp_avg"),
    "a moment has another shape": lambda facts, tensors, meta: tensors.update({"adam/0/exp_avg": torch.zeros(3)}),
    "a moment is nobody's": lambda facts, tensors, meta: tensors.update({"adam/999/exp_avg": torch.zeros(3)}),
    "a moment is infinite": lambda facts, tensors, meta: tensors["adam/0/exp_avg"].fill_(float("inf")),
    "settings are of another type": lambda facts, tensors, meta: meta.update(settings="[1, 2, 3, 4]"),
    "settings are nested too deeply": lambda facts, tensors, meta: meta.update(settings="[" * 100_000),
}


def test_where_the_newest_state_does_not_fit_together_the_previous_one_is_used(stars, whole, tmp_path, monkeypatch):
    stop_after(monkeypatch, 4, killed)
    with pytest.raises(SystemError):
        train(stars, tmp_path / "run")
    monkeypatch.undo()
    kept = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir()}
    for k, (what, change) in enumerate(CHANGES.items()):
        folder = tmp_path / f"{k}"
        folder.mkdir()
        for name, content in kept.items():
            (folder / name).write_bytes(content)
        altered(folder / "state.safetensors", change)
        run = Run(*beginning(stars), 0, fingerprint(stars), None)
        run.folder = folder
        with pytest.warns(UserWarning, match="state.safetensors .*; going on from state-previous.*, of step 2"):
            run._resume(folder)
        assert run.done == 2 and len(run.history) == 2, what
    with pytest.warns(UserWarning, match="state.safetensors is damaged"):
        ends_like(whole, stars, tmp_path / "1")


def killed():
    raise SystemError("as if killed")


def beginning(stars):
    """Training and optimiser of a run that begins."""
    encoder = new_encoder(SMALL, RECIPES["corrected"], 0, len(stars.bands))
    return Training(encoder, SMALL, RECIPES["corrected"]), new_optimiser(encoder, RECIPES["corrected"], "cpu")


def test_what_chapters_write_beside_a_run_is_no_file_of_others(stars, tmp_path):
    for name in BESIDE:
        (tmp_path / name).write_text("{}")
    pretrain(stars, SMALL, "corrected", out=tmp_path, steps=1, progress=False)
    assert (tmp_path / "config.json").exists()
