"""Switches of a recipe, both ways: those that the tests of views, encoder and parity do not hold already."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from astraclr.checkpoints import Checkpoint
from astraclr.draws import VALIDATION, Draws
from astraclr.embedding import crop_tokens, embed
from astraclr.encoder import Encoder, EncoderConfig, new_encoder
from astraclr.finetuning import finetune
from astraclr.lightcurves import LightCurves
from astraclr.losses import nt_xent, nt_xent_pairs
from astraclr.preparation import prepare
from astraclr.presets import RECIPES, Recipe, View, preset, recipe_from_dict, to_dict
from astraclr.pretraining import BETAS, CLIP_NORM, pretrain, project_views, update
from astraclr.views import make_view, make_views

SIZE = replace(preset("tiny"), batch_size=16, steps=12, evaluate_every=6)
PLAIN = View("plain")


def switched(**fields):
    return replace(RECIPES["corrected"], name="switched", **fields)


def gradients(encoder):
    return [p.grad.clone() for p in encoder.parameters()]


@pytest.fixture(scope="module")
def data(stars):
    return prepare(stars)


@pytest.mark.parametrize("unit", ["mag", "error"])
def test_noise_unit_noise_is_in_magnitudes_or_in_errors(data, unit):
    stars = torch.arange(64)
    quiet, noisy = (make_view(data, stars, View("v", 1.0, s), SIZE, switched(noise_unit=unit, error_input=True),
                              Draws(0)) for s in (0.0, 0.2))  # fmt: skip
    added = (noisy.mag - quiet.mag)[~quiet.mask]
    error = quiet.magerr[~quiet.mask]
    assert (added / (error if unit == "error" else 1.0)).std().item() == pytest.approx(0.2, rel=0.05)
    stated = torch.hypot(error, 0.2 * (error if unit == "error" else torch.ones_like(error)))
    torch.testing.assert_close(noisy.magerr[~quiet.mask], stated)


@pytest.mark.parametrize("dropped", [0.0, 0.3])
def test_shared_window_cuts_all_bands_around_one_time(data, dropped):
    stars = torch.arange(64)
    centre_apart = {}
    for shared in (False, True):
        view = make_view(data, stars, View("short", 0.5, bin_dropout=dropped), SIZE, switched(shared_window=shared),
                         Draws(0))  # fmt: skip
        centres = []
        for band in data.log_wavelength[:2]:
            there = (~view.mask & (view.band == band)).double()
            centres.append((view.times * there).sum(1) / there.sum(1))
        centre_apart[shared] = (centres[0] - centres[1]).abs().nanmedian().item()
    assert centre_apart[True] < 0.3 * centre_apart[False]


def test_shared_window_has_the_lengths_of_an_own_one(data):
    stars = torch.arange(96)
    own, shared = (make_view(data, stars, PLAIN, SIZE, switched(shared_window=s), Draws(0)) for s in (False, True))
    for band in data.log_wavelength:
        counts = [(~v.mask & (v.band == band)).sum(1) for v in (own, shared)]
        assert torch.equal(*counts)


def test_centring_window_loses_the_colour_and_star_keeps_it():
    n, rng = 60, np.random.default_rng(0)
    band = np.repeat([0, 1], n)
    mag = np.where(band == 0, 16.0, 15.0) + rng.normal(0, 0.01, 2 * n)
    star = LightCurves.from_arrays(np.zeros(2 * n, int), band, 58_300 + rng.uniform(0, 900, 2 * n), mag,
                                   np.full(2 * n, 0.01))  # fmt: skip
    data = prepare(star)
    for centring, colour in (("star", 1.0), ("window", 0.0)):
        how = switched(centring=centring)
        for tokens in (crop_tokens(data, torch.tensor([0]), SIZE, "start", how),
                       make_view(data, torch.tensor([0]), PLAIN, SIZE, how, Draws(0))):  # fmt: skip
            g, r = (tokens.mag[tokens.band == b].mean().item() for b in data.log_wavelength[:2])
            assert g - r == pytest.approx(colour, abs=0.02)


def test_middle_crop_epoch_cuts_all_bands_at_the_middle_epoch_of_the_star():
    # 100 early g and 20 late g; 60 late r: by band the middle of g is early, by epochs the cut is at number 90.
    g = np.concatenate([np.arange(100.0), 1_000 + np.arange(20.0)])
    r = 1_000.5 + np.arange(60.0)
    star = LightCurves.from_arrays(np.zeros(180, int), np.repeat([0, 1], [120, 60]), 58_000 + np.concatenate([g, r]),
                                   np.full(180, 15.0), np.full(180, 0.1))  # fmt: skip
    data, one = prepare(star), torch.tensor([0])
    windows = replace(SIZE, windows=(("g", 40), ("r", 48), ("i", 8)))
    for middle, first_g, first_r in (("band", 60 - 20, 1_000.5 + 6), ("epoch", 90 - 20, 1_000.5)):
        tokens = crop_tokens(data, one, windows, "middle", switched(middle_crop=middle))
        starts = [tokens.times[tokens.band == b].min().item() for b in data.log_wavelength[:2]]
        assert starts == [first_g, first_r]


def test_error_input_changes_the_embedding_and_padding_does_not(data):
    stars = torch.arange(8)
    for asked in (False, True):
        how = switched(error_input=asked)
        encoder = new_encoder(SIZE, how, 0).eval()
        tokens = crop_tokens(data, stars, SIZE, "start", how)
        assert (tokens.magerr is not None) == asked
        louder = tokens._replace(magerr=2 * tokens.magerr if asked else None)
        assert torch.equal(encoder(louder), encoder(tokens)) != asked
        if asked:
            filled = tokens._replace(magerr=tokens.magerr.masked_fill(tokens.mask, 1e6))
            assert torch.equal(encoder(filled), encoder(tokens)) and encoder(tokens).isfinite().all()
            with pytest.raises(ValueError, match="this encoder reads errors"):
                encoder(tokens._replace(magerr=None))


def test_initial_weights_glorot_or_torch():
    for kind, limit, bias in (("glorot", (6 / (64 + 128)) ** 0.5, 0.0), ("torch", 64**-0.5, 64**-0.5)):
        ffn = new_encoder(preset("tiny"), switched(initial_weights=kind), 0).layers[0].ffn[0]
        assert ffn.weight.abs().max().item() == pytest.approx(limit, rel=0.01)
        assert ffn.bias.abs().max().item() == pytest.approx(bias, rel=0.1)


@pytest.mark.parametrize("n_replicas", [1, 2, 4])
def test_negatives_replica_equals_separate_devices_with_summed_gradients(data, n_replicas):
    how = switched(negatives="replica", loss_sum=True, dropout=0.0)
    encoder = Encoder(EncoderConfig.of(SIZE, how)).train()
    views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
    expected, losses = None, []
    for rows in torch.arange(16).view(n_replicas, -1):
        encoder.zero_grad()
        pairs = nt_xent_pairs(project_views(encoder, [v.rows(rows) for v in views]))
        (pairs.sum() / 16).backward()  # each device divides the sum of its pair losses by the whole batch
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), CLIP_NORM)
        own, losses = gradients(encoder), [*losses, pairs.mean().item()]
        expected = own if expected is None else [a + b for a, b in zip(expected, own, strict=True)]
    optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
    loss, *_ = update(encoder, optimiser, views, how, 0, 100, replicas=n_replicas)
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-6)
    for ours, theirs in zip(gradients(encoder), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_negatives_gathered_takes_the_whole_batch_whatever_the_replicas(data):
    how = switched(dropout=0.0)
    encoder = Encoder(EncoderConfig.of(SIZE, how)).train()
    views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
    expected = nt_xent(project_views(encoder, views)).item()
    loss, *_ = update(encoder, torch.optim.Adam(encoder.parameters()), views, how, 0, 100, replicas=4)
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_pretraining_and_validation_share_the_batch_among_the_replicas(stars, monkeypatch):
    import astraclr.pretraining

    size, how, batches = replace(SIZE, replicas=4, steps=2, evaluate_every=2), switched(negatives="replica"), []
    heads = astraclr.pretraining.heads
    monkeypatch.setattr(astraclr.pretraining, "heads",
                        lambda e, views: batches.append(len(views[0].mag)) or heads(e, views))  # fmt: skip
    losses = []
    monkeypatch.setattr(astraclr.pretraining, "nt_xent", lambda z, t: losses.append(z.shape[1]) or nt_xent(z, t))
    pretrain(stars, size, how, progress=False)
    assert batches == [4] * 8 and set(losses) == {4}


def test_replicas_of_unequal_size_are_refused(stars):
    for size in (replace(SIZE, replicas=3), replace(SIZE, replicas=16)):
        with pytest.raises(ValueError, match=f"a batch of 16 stars does not make {size.replicas} equal replicas"):
            pretrain(stars, size, switched(negatives="replica"), progress=False)


@pytest.mark.parametrize("switch", [{"centring": "window"}, {"middle_crop": "epoch"}])
def test_embedding_and_fine_tuning_prepare_as_the_recipe_says(stars, switch, monkeypatch):
    import astraclr.embedding
    import astraclr.finetuning

    how, seen = switched(**switch), []

    def spy(data, rows, preset, crop, recipe, **more):
        seen.append(recipe)
        return crop_tokens(data, rows, preset, crop, recipe, **more)

    monkeypatch.setattr(astraclr.embedding, "crop_tokens", spy)
    monkeypatch.setattr(astraclr.finetuning, "crop_tokens", spy)
    checkpoint = Checkpoint(new_encoder(SIZE, how, 0).eval(), SIZE, how, 0)
    other = embed(stars[:12], checkpoint)
    finetune(checkpoint, stars[:24], stars[24:36], epochs=1, progress=False)
    assert len(seen) > 6 and all(recipe is how for recipe in seen)
    usual = embed(stars[:12], replace(checkpoint, recipe=switched()))
    assert np.abs(other - usual).max() > 1e-3


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_views_repeat_the_first_epoch(stars, monkeypatch, frozen):
    import astraclr.pretraining

    seen = []

    def spy(data, batch, *rest):
        views = make_views(data, batch, *rest)
        seen.append((batch.tolist(), views[0].mag, rest[2].epoch))
        return views

    monkeypatch.setattr(astraclr.pretraining, "make_views", spy)
    pretrain(stars, replace(SIZE, evaluate_every=100), switched(frozen_views=frozen), steps=10, progress=False)
    train_steps = seen[:9]  # 76 training stars, 4 batches of 16 an epoch; the last call may validate
    same = [a == b and torch.equal(x, y)
            for (a, x, _), (b, y, _) in zip(train_steps[:4], train_steps[4:8], strict=True)]  # fmt: skip
    assert all(same) if frozen else not any(same)
    assert [epoch for *_, epoch in seen] == ([0] * 10 if frozen else [0] * 4 + [1] * 4 + [2] * 2) + [VALIDATION]


@pytest.mark.parametrize("fixed", [False, True])
def test_fixed_validation_uses_the_same_views_each_time(stars, monkeypatch, fixed):
    import astraclr.pretraining

    seeds = []
    validate = astraclr.pretraining.validate
    monkeypatch.setattr(astraclr.pretraining, "validate", lambda *a: seeds.append(a[5]) or validate(*a))
    pretrain(stars, SIZE, switched(fixed_validation=fixed), progress=False)
    assert len(seeds) == 2 and (len(set(seeds)) == 1) == fixed


@pytest.mark.parametrize("thaw", [False, True])
def test_thaw_embedding_trains_the_embedding_layer_too(stars, thaw):
    how = switched(thaw_embedding=thaw)
    before = new_encoder(SIZE, how, 0).eval()
    tuned = finetune(Checkpoint(before, SIZE, how, 0), stars[:48], stars[48:72], layers=1, epochs=1,
                     learning_rate=1e-3, progress=False)  # fmt: skip
    moved = {name.split(".")[0] for name, value in tuned.encoder.state_dict().items()
             if not torch.equal(value, before.state_dict()[name])}  # fmt: skip
    assert moved == ({"layers", "embedding"} if thaw else {"layers"})


def test_loss_sum_and_keras_adam_change_the_step_and_not_the_reported_loss(data):
    views = make_views(data, torch.arange(16), SIZE, RECIPES["corrected"], Draws(0))
    loss, moved = {}, {}
    for name, how in {"plain": {}, "sum": {"loss_sum": True}, "keras": {"keras_adam": True}}.items():
        encoder = new_encoder(SIZE, switched(dropout=0.0, **how), 0)
        before = [p.detach().clone() for p in encoder.parameters()]
        optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
        loss[name] = update(encoder, optimiser, views, switched(dropout=0.0, **how), 0, 100)[0].item()
        moved[name] = max((a - b).abs().max().item() for a, b in zip(before, encoder.parameters(), strict=True))
    assert loss["plain"] == loss["sum"] == loss["keras"]
    assert moved["keras"] == 0 < moved["plain"]


def test_the_papers_recipe_is_faithful_in_every_row_and_corrected_in_none():
    paper, corrected = RECIPES["paper"], RECIPES["corrected"]
    faithful = {"noise_unit": "mag", "bin_rule": "ranks", "drop_in_place": True, "last_start": False,
                "outlier_sides": "bright", "time_rates": "days", "loss_sum": True, "negatives": "replica",
                "keras_adam": True, "fixed_validation": False, "thaw_embedding": True}  # fmt: skip
    for name, value in faithful.items():
        assert getattr(paper, name) == value != getattr(corrected, name), name
    same = {f.name for f in fields(Recipe)} - set(faithful) - {"name", "views"}
    assert all(getattr(paper, name) == getattr(corrected, name) for name in same)
    assert [(v.fraction, v.noise, v.bin_dropout, v.outlier) for v in paper.views] == [
        (1.0, 0.05, 0.0, False), (0.5, 0.0, 0.0, False), (1.0, 0.10, 0.5, True)]  # fmt: skip
    assert preset("paper").replicas == 8 and preset("paper").batch_size == 8 * 78


@pytest.mark.parametrize("keras", [False, True])
def test_keras_adam_adds_epsilon_outside_the_bias_correction(data, monkeypatch, keras):
    import astraclr.pretraining

    monkeypatch.setattr(astraclr.pretraining, "EPSILON", 1e-3)  # so large that its place shows
    how = switched(dropout=0.0, keras_adam=keras)
    encoder = new_encoder(SIZE, how, 0)
    views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
    optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
    weight = encoder.layers[0].ffn[0].weight
    expected, m, v = weight.detach().double(), 0.0, 0.0
    for t in (1, 2, 3):
        _, rate, _ = update(encoder, optimiser, views, how, t - 1, 100)
        g = weight.grad.double()
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        if keras:
            step = (1 - 0.98**t) ** 0.5 / (1 - 0.9**t) * m / (v**0.5 + 1e-3)
        else:
            step = m / (1 - 0.9**t) / ((v / (1 - 0.98**t)) ** 0.5 + 1e-3)
        expected = expected - rate * step
        torch.testing.assert_close(weight.detach().double(), expected, atol=1e-7, rtol=1e-5)


def test_an_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="negatives is 'gather'; choose gathered or replica"):
        switched(negatives="gather")


def test_a_recipe_saved_before_a_switch_existed_keeps_its_method():
    values = to_dict(RECIPES["paper"])
    del values["negatives"], values["thaw_embedding"]
    assert recipe_from_dict(values) == RECIPES["paper"]
