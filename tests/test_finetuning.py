from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.checkpoints import Checkpoint
from astraclr.encoder import new_encoder
from astraclr.finetuning import finetune
from astraclr.presets import RECIPES, preset


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(new_encoder(preset("tiny"), RECIPES["corrected"], 0).eval(), preset("tiny"),
                      RECIPES["corrected"], 0)  # fmt: skip


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
    assert tuned.history["accuracy"].max() > 0.9
    assert (tuned.predict(known) == known.label).mean() == pytest.approx(tuned.history["accuracy"].max())


def test_equal_seeds_give_equal_weights(stars, checkpoint):
    a, b = (finetune(checkpoint, stars[:32], stars[32:48], epochs=1, seed=2, progress=False) for _ in range(2))
    assert not changed(a.encoder, b.encoder) and not changed(a.head, b.head)


def test_bad_labels_and_layers(stars, checkpoint):
    nameless = replace(stars, label=np.full(len(stars), ""))
    with pytest.raises(ValueError, match="needs a label on every star"):
        finetune(checkpoint, nameless, nameless)
    with pytest.raises(ValueError, match="layers 3 must lie in 0 to 2"):
        finetune(checkpoint, stars, stars, layers=3)
