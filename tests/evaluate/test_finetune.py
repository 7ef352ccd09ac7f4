from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.evaluate.finetune import FineTuned, finetune
from astraclr.evaluate.heads import WindowAttention
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(
        new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), preset("tiny"), RECIPES["corrected"], 0
    )


def changed(before, after):
    return {name for name, value in after.state_dict().items() if not torch.equal(value, before.state_dict()[name])}


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_only_the_thawed_layers_move(stars, checkpoint, layers):
    tuned = finetune(checkpoint, stars[:48], stars[48:72], layers=layers, epochs=1, learning_rate=1e-3, progress=False)
    moved = changed(checkpoint.encoder, tuned.encoder)
    assert {name.split(".")[1] for name in moved} == {str(k) for k in range(2 - layers, 2)}
    assert all(name.startswith("layers.") for name in moved)
    assert tuned.predict(stars[72:]).shape == (24,) and np.isin(tuned.predict(stars[72:]), stars.label).all()


def test_labels_can_be_learnt_by_heart(stars, checkpoint):
    known = stars.with_labels(["RR", "AGN"])
    tuned = finetune(checkpoint, known, known, epochs=20, learning_rate=3e-3, noise=0.0, progress=False)
    best = tuned.history["accuracy"].to_numpy().max()
    assert best > 0.9 and (tuned.predict(known) == known.label).mean() == pytest.approx(best)


def test_equal_seeds_give_equal_weights(stars, checkpoint):
    a, b = (finetune(checkpoint, stars[:32], stars[32:48], epochs=1, seed=2, progress=False) for _ in range(2))
    assert not changed(a.encoder, b.encoder) and not changed(a.head, b.head)


def test_bad_labels_and_layers(stars, checkpoint):
    nameless = replace(stars, label=np.full(len(stars), ""))
    with pytest.raises(ValueError, match="needs a label on every star"):
        finetune(checkpoint, nameless, nameless)
    with pytest.raises(ValueError, match="layers 3 must lie in 0 to 2"):
        finetune(checkpoint, stars, stars, layers=3)


def test_all_thaws_the_whole_encoder(stars, checkpoint):
    tuned = finetune(checkpoint, stars[:48], stars[48:72], layers="all", epochs=1, learning_rate=1e-3, progress=False)
    moved = {name.split(".")[0] for name in changed(checkpoint.encoder, tuned.encoder)}
    assert moved == {"embedding", "layers"}  # the projection is for the contrastive loss only


def test_a_frozen_encoder_embeds_once_and_learns_the_same(stars, checkpoint, monkeypatch):
    """Without noise and thawed layers, the windows are those of `embed`, whatever the pooling."""
    how = {"layers": 0, "noise": 0.0, "epochs": 3, "learning_rate": 1e-2, "windows": 2, "progress": False}
    for pooling in ("mean", "concat"):
        tuned = finetune(checkpoint, stars[:48], stars[48:72], pooling=pooling, **how)
        scores = tuned.head(torch.as_tensor(embed(stars[72:], checkpoint, windows=2, fusion=pooling)))
        assert np.array_equal(tuned.predict(stars[72:]), tuned.classes[scores.argmax(1)])
    embedder = FineTuned.embedder
    monkeypatch.setattr(FineTuned, "embedder", lambda self, *a, once=False, **k: embedder(self, *a, once=False, **k))
    every = finetune(checkpoint, stars[:48], stars[48:72], pooling="concat", **how)
    torch.testing.assert_close(every.head.state_dict(), tuned.head.state_dict(), atol=1e-5, rtol=1e-4)


def test_attention_over_windows():
    pool, windows = WindowAttention(4), torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(windows), windows.mean(0))
    with torch.no_grad():
        pool.score.weight.copy_(torch.tensor([[1.0, 0, -2, 0]]))
    for star in range(5):
        e = [np.exp(float(windows[k, star, 0] - 2 * windows[k, star, 2])) for k in range(3)]
        expected = sum(w * windows[k, star] for k, w in enumerate(e)) / sum(e)
        torch.testing.assert_close(pool(windows)[star], expected)


def test_attention_learns(stars, checkpoint):
    known = stars.with_labels(["RR", "AGN"])
    tuned = finetune(
        checkpoint,
        known,
        known,
        layers=0,
        windows=2,
        pooling="attention",
        epochs=20,
        learning_rate=1e-2,
        noise=0.0,
        progress=False,
    )
    assert tuned.head.state_dict()["0.score.weight"].abs().max() > 0
    assert tuned.history["loss"].min() < tuned.history["loss"].iloc[0] - 0.05


def test_bad_windows_and_pooling(stars, checkpoint):
    with pytest.raises(ValueError, match="0 windows"):
        finetune(checkpoint, stars, stars, windows=0)
    with pytest.raises(ValueError, match="no pooling 'max'"):
        finetune(checkpoint, stars, stars, pooling="max")  # pyright: ignore[reportArgumentType]


def test_a_loss_that_is_not_finite_stops_in_one_line(stars, checkpoint, monkeypatch):
    monkeypatch.setattr("torch.nn.functional.cross_entropy", lambda scores, truth: scores.sum() * torch.nan)
    with pytest.raises(ValueError, match="fine-tuning has diverged: the loss is nan; lower learning_rate"):
        finetune(checkpoint, stars[:48], stars[48:72], layers=0, epochs=1, progress=False)
