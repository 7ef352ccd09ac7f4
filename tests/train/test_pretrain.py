import json
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.splits import split
from astraclr.data.tokens import prepare
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.train.counter_rng import Draws
from astraclr.train.losses import nt_xent
from astraclr.train.pretrain import pretrain
from astraclr.train.step import Training, update
from astraclr.train.views import make_views

SMALL = replace(preset("tiny"), batch_size=16, steps=6, evaluate_every=3)


def weights_of(checkpoint):
    return checkpoint.encoder.state_dict()


def same(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_first_update_moves_nothing_in_the_paper_and_something_when_corrected(stars):
    for name, moved in (("paper", False), ("corrected", True)):
        start = new_encoder(SMALL, RECIPES[name], 0).state_dict()
        one = pretrain(stars, SMALL, name, steps=1, progress=False)
        assert same(weights_of(one), start) != moved
        assert (cast(Any, one.history)["learning_rate"].iloc[0] > 0) == moved


def test_equal_seeds_give_equal_weights_and_the_loss_falls(stars):
    longer = replace(SMALL, steps=40, evaluate_every=20, warmup=120)
    a, b, c = (pretrain(stars, longer, seed=s, progress=False) for s in (3, 3, 4))
    assert same(weights_of(a), weights_of(b)) and not same(weights_of(a), weights_of(c))
    loss = a.history["loss"].to_numpy()
    assert loss[-5:].mean() < loss[:5].mean() - 0.2
    assert {"val_loss", "alignment", "uniformity", "effective_rank"} <= set(a.history.columns)


@pytest.mark.parametrize("at", [1, 3, 4])
def test_an_interrupted_run_resumes_to_the_same_weights(stars, tmp_path, monkeypatch, at):
    whole = pretrain(stars, SMALL, out=tmp_path / "whole", progress=False)
    calls = []

    def interrupt(*args, **kwargs):
        calls.append(1)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        return update(*args, **kwargs)

    monkeypatch.setattr("astraclr.train.pretrain.update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pretrain(stars, SMALL, out=tmp_path / "cut", progress=False)
    monkeypatch.undo()
    resumed = pretrain(stars, SMALL, out=tmp_path / "cut", progress=False)
    assert same(weights_of(whole), weights_of(resumed))
    assert resumed.history["step"].tolist() == [1, 2, 3, 4, 5, 6]
    assert same(weights_of(load_checkpoint(tmp_path / "cut")), weights_of(whole))


def test_a_finished_run_is_returned_and_another_not_overwritten(stars, tmp_path, monkeypatch):
    first = pretrain(stars, SMALL, out=tmp_path, progress=False)
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match="holds a run with another preset"):
        pretrain(stars, SMALL, out=tmp_path, seed=1, progress=False)
    with pytest.raises(ValueError, match="or other stars"):
        pretrain(stars[::-1], SMALL, out=tmp_path, progress=False)
    assert (tmp_path / "config.json").read_text() == before
    monkeypatch.setattr("astraclr.train.pretrain.update", None)  # the same call trains nothing
    assert same(weights_of(pretrain(stars, SMALL, out=tmp_path, progress=False)), weights_of(first))
    assert json.loads(before)["preset"]["steps"] == 6


def test_training_stops_when_validation_stops_improving(stars, monkeypatch):
    values = iter([1.0, 2.0, 2.0, 2.0, 2.0])
    monkeypatch.setattr("astraclr.train.pretrain.validate", lambda *_: {"val_loss": next(values)})
    run = pretrain(stars, replace(SMALL, steps=50, evaluate_every=2, patience=2), progress=False)
    assert run.history["step"].iloc[-1] == 6  # best at step 2, two validations without a better one


def test_too_little_to_train_on(stars, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="5 stars and 6 steps"):
        pretrain(stars[:5], SMALL)
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setattr("astraclr.train.pretrain.update", None)  # refused before any work
    with pytest.raises(ValueError, match="cannot write"):
        pretrain(stars, SMALL, out=blocked / "run", progress=False)


def test_split_is_the_papers():
    train, held = split(10)
    assert train.tolist() == np.random.RandomState(42).permutation(10)[:8].tolist()  # noqa: NPY002
    assert sorted([*train, *held]) == list(range(10))


def test_a_damaged_state_is_named(stars, tmp_path):
    (tmp_path / "state.safetensors").write_bytes(b"not a state")
    with pytest.raises(ValueError, match="state.safetensors is damaged.*remove it to start anew"):
        pretrain(stars, SMALL, out=tmp_path, progress=False)


def test_a_cpu_computes_in_float32(stars, monkeypatch):
    monkeypatch.setattr("astraclr.train.pretrain.update", lambda *a: mixed.append(a[0].mixed) or update(*a))
    mixed = []
    pretrain(stars, SMALL, steps=1, progress=False)
    assert mixed == [False]


def test_steps_in_bfloat16_are_told(stars, monkeypatch, tmp_path):
    monkeypatch.setattr("astraclr.model.device.multiplies_bfloat16", lambda _: True)
    rounded = pretrain(stars, SMALL, steps=2, progress=False, precision="bfloat16", out=tmp_path / "run")
    exact = pretrain(stars, SMALL, steps=2, progress=False, precision="float32")
    assert rounded.history["bfloat16"].tolist() == [1, 1] and "bfloat16" not in exact.history
    assert '"bfloat16": 1.0' in (tmp_path / "run" / "log.jsonl").read_text()
    assert 0 < abs(rounded.history["loss"].iloc[-1] - exact.history["loss"].iloc[-1]) < 0.05
    assert all(p.dtype == torch.float32 for p in rounded.encoder.parameters())


def test_emulated_bfloat16_is_refused(stars, monkeypatch):
    monkeypatch.setattr("astraclr.model.device.multiplies_bfloat16", lambda _: False)
    with pytest.raises(ValueError, match="precision bfloat16: the cpu of this machine would emulate it.*float32"):
        pretrain(stars, SMALL, steps=1, progress=False, precision="bfloat16")


def test_in_mixed_precision_only_the_encoder_is_rounded(stars, monkeypatch):
    how = replace(RECIPES["corrected"], dropout=0.0)
    views = make_views(prepare(stars), torch.arange(16), SMALL, how, Draws(0))
    loss, kinds = {}, []

    def spy(z, temperature):
        kinds.append((z.dtype, torch.is_autocast_enabled("cpu")))
        return nt_xent(z, temperature)

    monkeypatch.setattr("astraclr.train.step.nt_xent", spy)
    for mixed in (False, True):
        encoder = new_encoder(SMALL, how, 0)
        optimiser = torch.optim.Adam(encoder.parameters())
        loss[mixed] = update(Training(encoder, SMALL, how, mixed=mixed), optimiser, views, 0).loss.item()
        assert all(p.dtype == cast(torch.Tensor, p.grad).dtype == torch.float32 for p in encoder.parameters())
    assert loss[True] != loss[False] and loss[True] == pytest.approx(loss[False], rel=0.02)
    assert kinds == [(torch.float32, False)] * 2


def test_a_compiled_encoder_trains_and_keeps_the_names_of_its_weights(stars, monkeypatch, tmp_path):
    compile = torch.nn.Module.compile
    asked = []

    def traced(module, **options):
        asked.append(options)
        compile(module, backend="eager", **options)  # translated, and not built for the machine: that takes minutes

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    plain, compiled = (
        pretrain(stars, SMALL, steps=2, progress=False, compile=c, out=tmp_path / f"{c}") for c in (False, True)
    )
    assert asked == [{"dynamic": True}]
    assert list(weights_of(plain)) == list(weights_of(load_checkpoint(tmp_path / "True")))
    assert compiled.history["loss"].tolist() == pytest.approx(plain.history["loss"].tolist(), abs=0.2)
