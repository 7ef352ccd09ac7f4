"""Fine-tuning that begins at the linear probe."""

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, Preset
from astraclr.evaluate.few_labels import tuned_checkpoint
from astraclr.evaluate.finetune_from_probe import fused, ranked_probes, warm_finetune
from astraclr.evaluate.heads import probe_head
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


@pytest.mark.parametrize("fusion", ["mean", "concat"])
def test_a_head_says_what_its_probe_says(three, checkpoint, fusion):
    fit, rest = three
    x, y = (embed(lc, checkpoint, fusion="concat") for lc in three)
    probe = next(p for p in ranked_probes(x, fit.label, y, rest.label) if p.fusion == fusion and p.C == 1.0)
    scores = probe_head(probe.model, x, dropout=0.2).eval()(torch.as_tensor(y)).detach().numpy()
    expected = probe.model.decision_function(fused(y, fusion))
    np.testing.assert_allclose(scores, expected, atol=1e-4 * np.abs(expected).max())


def test_what_thaws_begins_at_the_probe_and_keeps_the_best(three, checkpoint):
    fit, rest = three
    how = {"layers": 1, "epochs": 2, "learning_rate": 1e-2, "batch_size": 8}
    tuned, again = (warm_finetune(checkpoint, fit, rest, **how, seed=3) for _ in range(2))
    x, y = (embed(lc, checkpoint, fusion="concat") for lc in three)
    accuracies = tuned.history["accuracy"].tolist()
    assert accuracies[0] == ranked_probes(x, fit.label, y, rest.label)[0].chosen
    assert (tuned.predict(rest) == rest.label).mean() == max(accuracies)
    assert tuned.history.equals(again.history) and tuned.history["epoch"].tolist() == [0, 1, 2]
    still = warm_finetune(checkpoint, fit, rest, **how | {"epochs": 0})
    assert np.array_equal(embed(rest, tuned_checkpoint(still, checkpoint)), embed(rest, checkpoint))


def test_two_classes_have_a_score_each(stars, checkpoint):
    """Scikit-learn keeps one row of coefficients for both."""
    known = stars.with_labels(["RR", "AGN"])
    fit, rest = known[::2], known[1::2]
    tuned = warm_finetune(checkpoint, fit, rest, layers=1, epochs=0, learning_rate=1e-3, batch_size=8)
    x, y = (embed(lc, checkpoint, fusion="concat") for lc in (fit, rest))
    probe = ranked_probes(x, fit.label, y, rest.label)[0]
    np.testing.assert_allclose(tuned.probabilities(rest), probe.model.predict_proba(fused(y, probe.fusion)), atol=1e-4)
