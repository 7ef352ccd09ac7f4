"""Views meet descriptions of whole light curves: the loss beside a slow one, the switch, and that it is learnt."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from astraclr.config import RECIPES, preset, to_dict
from astraclr.data.folding import N_FOLDED
from astraclr.data.sources import InMemory
from astraclr.data.summaries import n_summaries
from astraclr.data.tokens import prepare
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.config import EncoderConfig
from astraclr.model.description import Description
from astraclr.model.encoder import new_encoder
from astraclr.model.saved_settings import recipe_from_dict
from astraclr.simulation.simulate import simulate
from astraclr.train.counter_rng import Draws
from astraclr.train.losses import local_to_global
from astraclr.train.pretrain import pretrain
from astraclr.train.step import Training, update
from astraclr.train.summary_targets import Summaries
from astraclr.train.views import make_views

SIZE = replace(preset("tiny"), d_model=32, d_ff=64, n_layers=1, batch_size=32, steps=40, evaluate_every=20)
HOW = replace(RECIPES["recommended"], name="global", contrast=0.0, summaries=0.0, global_contrast=1.0)


def described(stars, how=HOW):
    return Summaries(InMemory(stars), np.arange(len(stars)), folded=how.global_inputs == "folded").of(np.arange(16))


def one_step(stars, how, truth):
    encoder = new_encoder(SIZE, how, 0)
    views = make_views(prepare(stars), torch.arange(16), SIZE, how, Draws(0))
    training = Training(encoder, replace(SIZE, steps=8, warmup=100), how)
    taken = update(training, torch.optim.Adam(encoder.parameters()), views, 0, truth)
    assert encoder.description is not None
    return encoder, {term.name: term.loss.item() for term in taken.terms}


def slow(views, stars, temperature):
    total, n = 0.0, len(stars)
    for view in views:
        s = [[F.cosine_similarity(v, w, dim=0).item() / temperature for w in stars] for v in view]
        for i in range(n):
            row, column = s[i], [s[j][i] for j in range(n)]
            total += sum(math.log(sum(map(math.exp, line))) - s[i][i] for line in (row, column)) / 2
    return total / (len(views) * n)


def test_the_loss_is_that_of_a_loop_over_pairs_and_its_levels_are_known():
    generator = torch.Generator().manual_seed(0)
    views, stars = torch.randn(2, 6, 5, generator=generator), torch.randn(6, 5, generator=generator)
    scaled = F.normalize(stars, dim=-1) / 0.2
    assert local_to_global(views, scaled).item() == pytest.approx(slow(views, stars, 0.2), rel=1e-5)
    assert local_to_global(torch.ones(3, 8, 4), torch.ones(8, 4)).item() == pytest.approx(math.log(8), rel=1e-6)
    assert local_to_global(torch.eye(8)[None], torch.eye(8) / 0.02).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("inputs, n", [("summaries", n_summaries(3)), ("folded", n_summaries(3) + N_FOLDED)])
def test_what_describes_a_star_is_what_the_recipe_asks_for(stars, inputs, n):
    how = replace(HOW, global_inputs=inputs)
    encoder, loss = one_step(stars, how, described(stars, how))
    assert encoder.config.n_described == n == encoder.state_dict()["description.star.0.weight"].shape[1]
    assert list(loss) == ["nt_xent", "global_nt_xent"] and all(map(math.isfinite, loss.values()))


def test_descriptions_have_the_length_that_the_temperature_says():
    description = Description(EncoderConfig(32, 1, 2, 64, 16, n_described=92, temperature=0.3))
    nothing_known = torch.full((3, 92), torch.nan)
    assert description.of_stars(nothing_known).norm(dim=-1).tolist() == pytest.approx([1 / 0.3] * 3, rel=1e-5)


def test_each_part_weighs_what_the_recipe_says_and_leaves_the_other_weights_alone(stars):
    truth = described(stars)
    for contrast, summaries, weight in ((1.0, 0.0, 1.0), (0.0, 1.0, 0.5), (0.0, 0.0, 2.0)):
        how = replace(HOW, contrast=contrast, summaries=summaries, global_contrast=weight)
        encoder, loss = one_step(stars, how, truth)
        assert list(loss) == ["nt_xent", *(["summary_loss"] if summaries else []), "global_nt_xent"]
        steepest = {name: p.grad.abs().max() for name, p in encoder.named_parameters() if p.grad is not None}
        assert (steepest["projection.0.weight"] > 0) == bool(contrast) and steepest["description.star.0.weight"] > 0
    plain = new_encoder(SIZE, RECIPES["recommended"], 0)
    for name, value in plain.state_dict().items():
        if not name.startswith("summaries"):
            assert torch.equal(value, new_encoder(SIZE, HOW, 0).state_dict()[name])
    with pytest.raises(ValueError, match="needs their truth at every step"):
        one_step(stars, HOW, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"global_contrast": -1.0},
        {"global_contrast": 0.0},
        {"global_temperature": 0.001},
        {"global_inputs": "all"},
        {"folded_input": True},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=f"recipe 'global': .*{next(iter(wrong))}"):
        replace(HOW, **wrong)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    how = replace(HOW, global_inputs="folded", global_temperature=0.3, folded_input="both")
    folder = tmp_path_factory.mktemp("global")
    return pretrain(simulate(240, seed=5), SIZE, how, progress=False, out=folder), folder


def test_views_of_held_out_stars_find_their_descriptions(learnt):
    history = learnt[0].history.dropna()
    assert history.val_global_nt_xent.iloc[-1] < 0.9 * math.log(32)
    np.testing.assert_allclose(history.loss, history.global_nt_xent, rtol=1e-6)


def test_a_checkpoint_keeps_the_networks_and_older_recipes_have_none(learnt):
    run, folder = learnt
    loaded = load_checkpoint(folder)
    assert loaded.encoder.config == run.encoder.config and loaded.recipe == run.recipe
    assert loaded.encoder.description is not None and loaded.encoder.description.temperature == 0.3
    new = {"global_contrast", "global_temperature", "global_inputs", "folded_input"}
    older = {k: v for k, v in to_dict(RECIPES["recommended"]).items() if k not in new}
    assert recipe_from_dict(older) == RECIPES["recommended"] and not RECIPES["recommended"].global_contrast
