"""What is computed with an encoder is computed where it is, and the caller's encoder stays there."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from _self_training import self_train
from pretended import THERE, elsewhere

from astraclr.config import RECIPES, Preset
from astraclr.evaluate.few_labels import compare
from astraclr.evaluate.finetune import finetune
from astraclr.evaluate.finetune_from_probe import warm_finetune
from astraclr.evaluate.heads import Standardised
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed, embedding_table
from astraclr.model.encoder import new_encoder
from astraclr.train.pretrain import pretrain

MINI = Preset("mini", 8, 1, 2, 16, (("g", 8), ("r", 8), ("i", 2)), 10, 10, 8, 1)
HOW: dict[str, Any] = {"layers": "all", "epochs": 1, "learning_rate": 1e-3, "batch_size": 8}


@pytest.fixture
def there(monkeypatch):
    with elsewhere(monkeypatch) as device:
        yield device


def checkpoint(device="cpu", recipe="recommended"):
    encoder = new_encoder(MINI, RECIPES[recipe], 0).eval().to(device)
    return Checkpoint(encoder, MINI, RECIPES[recipe], 0)


def three(stars):
    known = stars.with_labels(["RR", "AGN", "LPV"])
    return known[::2], known[1::2]


def places(*modules):
    return {tensor.device for module in modules for tensor in module.state_dict().values()}


def test_the_pretended_device_refuses_what_cuda_refuses(there):
    here, away = torch.ones(3), torch.ones(3, device=there)
    assert away.device == there and here.device.type == "cpu" and (away * 2 + 1).to("cpu").tolist() == [3, 3, 3]
    index = torch.zeros(2, dtype=torch.long, device=there)
    for mixed in (lambda: here + away, lambda: away @ here, lambda: here[index]):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(TypeError, match="numpy"):
        away.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.randn(3, generator=torch.Generator(), device=there)
    assert (away + torch.tensor(1.0)).device == away[torch.tensor([0])].device == there
    layer = torch.nn.Linear(3, 2).to(there)
    layer(away).sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.device == there


@pytest.mark.parametrize("recipe", ["corrected", "recommended"])
def test_embedding_elsewhere_moves_nothing_of_the_caller(stars, there, recipe):
    here, away = checkpoint(recipe=recipe), checkpoint(there, recipe)
    x = embed(stars[:6], here, device="cpu")
    np.testing.assert_allclose(embed(stars[:6], here, device=str(there)), x, atol=1e-5)
    np.testing.assert_allclose(embed(stars[:6], away, device=str(there)), x, atol=1e-5)
    np.testing.assert_allclose(embed(stars[:6], away, device="cpu"), x, atol=1e-5)
    assert len(embedding_table(stars[:6], away)) == 6
    assert places(here.encoder) == {torch.device("cpu")} and places(away.encoder) == {THERE}
    assert places(random_control(away).encoder) == {THERE}


def test_fine_tuning_from_the_probe_is_done_where_the_encoder_is(stars, there):
    fit, rest = three(stars)
    away = checkpoint(there)
    tuned = warm_finetune(away, fit, rest, **HOW)
    assert places(tuned.encoder, tuned.head) == {THERE}
    assert np.isin(tuned.predict(rest), fit.label).all()


def test_fine_tuning_is_done_where_the_encoder_is(stars, there):
    fit, rest = three(stars)
    for layers in (0, 1):
        how: dict[str, Any] = {**HOW, "layers": layers}
        tuned = finetune(checkpoint(there), fit, rest, **how, progress=False)
        assert places(tuned.encoder, tuned.head) == {THERE}


def test_self_training_is_done_where_the_encoder_is(stars, there):
    fit, rest = three(stars)
    away = checkpoint(there)
    d = away.encoder.config.d_embedding
    head = torch.nn.Sequential(Standardised(np.random.default_rng(0).normal(size=(9, d)).astype(np.float32)))
    head.append(torch.nn.Linear(d, 3))
    guesses = np.full((len(rest), 3), 1 / 3, np.float32)
    tuned = self_train(away, fit, head, steps=2, learning_rate=1e-3, unlabelled=rest, guesses=guesses)
    assert places(tuned.encoder, tuned.head) == {THERE}


@pytest.mark.parametrize("begins", ["cpu", THERE])
def test_ways_to_use_few_labels_are_compared_where_there_is_another_device(stars, there, monkeypatch, begins):
    """As on a machine with a GPU, which embeds by default; the encoder begins on either device."""
    monkeypatch.setattr("astraclr.model.embedding.own_device", lambda: str(there))
    fit, rest = three(stars)
    rows = compare(checkpoint(begins), fit, rest, rest, layers=1, epochs=1)
    assert np.isfinite(rows["accuracy"]).all()


def test_grouped_rows_of_an_encoder_elsewhere(stars, there):
    away = checkpoint(there)
    away.encoder.form = "grouped"
    x = embed(stars[:6], checkpoint(), device="cpu")
    np.testing.assert_allclose(embed(stars[:6], away, device=str(there)), x, atol=1e-5)


@pytest.mark.parametrize("recipe", ["paper", "corrected", "recommended"])
def test_pretraining_is_done_on_the_device_that_it_is_told(stars, there, recipe, tmp_path):
    """Views, summaries, losses, validation and the state."""
    size = replace(MINI, batch_size=16, replicas=2, steps=3, evaluate_every=2)
    trained = pretrain(stars, size, recipe, device=str(there), out=tmp_path, progress=False)
    assert places(trained.encoder) == {THERE} and np.isfinite(trained.history["loss"]).all()
