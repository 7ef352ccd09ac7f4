"""Switches of a recipe, both ways: those that the tests of views, encoder and parity do not hold already."""

from dataclasses import fields, replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, Recipe, View, preset, to_dict
from astraclr.data.lightcurves import LightCurves
from astraclr.data.sources import InMemory
from astraclr.data.tokens import prepare
from astraclr.evaluate.finetune import finetune
from astraclr.evaluate.probes import linear_probe
from astraclr.model.attention import over_rows
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control, save_checkpoint
from astraclr.model.config import EncoderConfig
from astraclr.model.crops import CROPS, crop_tokens
from astraclr.model.embedding import embed, embedding_table
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.model.inputs import Steps
from astraclr.model.saved_settings import recipe_from_dict
from astraclr.train.augmentations import in_lost_band, kept_after_thinning
from astraclr.train.counter_rng import VALIDATION, Draws
from astraclr.train.losses import nt_xent, nt_xent_pairs
from astraclr.train.optimizer import BETAS, new_optimiser, rate_of_step
from astraclr.train.pretrain import pretrain
from astraclr.train.step import CLIP_NORM, Training, project_views, update
from astraclr.train.summary_targets import Summaries
from astraclr.train.views import make_view, make_views

SIZE = replace(preset("tiny"), batch_size=16, steps=12, evaluate_every=6)
FAST = replace(SIZE, warmup=100)
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
    quiet, noisy = (
        make_view(data, stars, View("v", 1.0, s), SIZE, switched(noise_unit=unit, error_input=True), Draws(0).of(stars))
        for s in (0.0, 0.2)
    )
    assert quiet.magerr is not None and noisy.magerr is not None
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
        view = make_view(
            data,
            stars,
            View("short", 0.5, bin_dropout=dropped),
            SIZE,
            switched(shared_window=shared),
            Draws(0).of(stars),
        )
        centres = []
        for band in data.log_wavelength[:2]:
            there = (~view.mask & (view.band == band)).double()
            centres.append((view.times * there).sum(1) / there.sum(1))
        centre_apart[shared] = (centres[0] - centres[1]).abs().nanmedian().item()
    assert centre_apart[True] < 0.3 * centre_apart[False]


def test_shared_window_has_the_lengths_of_an_own_one(data):
    stars = torch.arange(96)
    own, shared = (
        make_view(data, stars, PLAIN, SIZE, switched(shared_window=s), Draws(0).of(stars)) for s in (False, True)
    )
    for band in data.log_wavelength:
        counts = [(~v.mask & (v.band == band)).sum(1) for v in (own, shared)]
        assert torch.equal(*counts)


def test_centring_window_loses_the_colour_and_star_keeps_it():
    n, rng = 60, np.random.default_rng(0)
    band = np.repeat([0, 1], n)
    mag = np.where(band == 0, 16.0, 15.0) + rng.normal(0, 0.01, 2 * n)
    star = LightCurves.from_arrays(
        np.zeros(2 * n, int), band, 58_300 + rng.uniform(0, 900, 2 * n), mag, np.full(2 * n, 0.01)
    )
    data, one = prepare(star), torch.tensor([0])
    for centring, colour in (("star", 1.0), ("window", 0.0)):
        how = switched(centring=centring)
        for tokens in (
            crop_tokens(data, one, SIZE, "start", how),
            make_view(data, one, PLAIN, SIZE, how, Draws(0).of(one)),
        ):
            g, r = (tokens.mag[tokens.band == b].mean().item() for b in data.log_wavelength[:2])
            assert g - r == pytest.approx(colour, abs=0.02)


def test_middle_crop_epoch_cuts_all_bands_at_the_middle_epoch_of_the_star():
    # 100 early g and 20 late g; 60 late r: by band the middle of g is early, by epochs the cut is at number 90.
    g = np.concatenate([np.arange(100.0), 1_000 + np.arange(20.0)])
    r = 1_000.5 + np.arange(60.0)
    star = LightCurves.from_arrays(
        np.zeros(180, int),
        np.repeat([0, 1], [120, 60]),
        58_000 + np.concatenate([g, r]),
        np.full(180, 15.0),
        np.full(180, 0.1),
    )
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
        louder = tokens._replace(magerr=None if tokens.magerr is None else 2 * tokens.magerr)
        assert torch.equal(encoder(louder), encoder(tokens)) != asked
        if tokens.magerr is not None:
            filled = tokens._replace(magerr=tokens.magerr.masked_fill(tokens.mask, 1e6))
            assert torch.equal(encoder(filled), encoder(tokens)) and encoder(tokens).isfinite().all()
            with pytest.raises(ValueError, match="this encoder reads errors"):
                encoder(tokens._replace(magerr=None))


def test_initial_weights_glorot_or_torch():
    for kind, limit, bias in (("glorot", (6 / (64 + 128)) ** 0.5, 0.0), ("torch", 64**-0.5, 64**-0.5)):
        encoder = new_encoder(preset("tiny"), switched(initial_weights=kind), 0)
        weight, bias_there = (encoder.get_parameter(f"layers.0.ffn.0.{name}") for name in ("weight", "bias"))
        assert weight.abs().max().item() == pytest.approx(limit, rel=0.01)
        assert bias_there.abs().max().item() == pytest.approx(bias, rel=0.1)


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
    taken = update(Training(encoder, replace(FAST, replicas=n_replicas), how), optimiser, views, 0)
    assert taken.loss.item() == pytest.approx(np.mean(losses), abs=1e-6)
    assert expected is not None
    for ours, theirs in zip(gradients(encoder), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_negatives_gathered_takes_the_whole_batch_whatever_the_replicas(data):
    how = switched(dropout=0.0)
    encoder = Encoder(EncoderConfig.of(SIZE, how)).train()
    views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
    expected = nt_xent(project_views(encoder, views)).item()
    training = Training(encoder, replace(FAST, replicas=4), how)
    taken = update(training, torch.optim.Adam(encoder.parameters()), views, 0)
    assert taken.loss.item() == pytest.approx(expected, abs=1e-6)


def test_pretraining_and_validation_share_the_batch_among_the_replicas(stars, monkeypatch):
    import astraclr.train.step

    size, how, batches = replace(SIZE, replicas=4, steps=2, evaluate_every=2), switched(negatives="replica"), []
    heads = astraclr.train.step.heads
    monkeypatch.setattr(
        astraclr.train.step, "heads", lambda e, views: batches.append(len(views[0].mag)) or heads(e, views)
    )
    losses = []
    monkeypatch.setattr(astraclr.train.step, "nt_xent", lambda z, t: losses.append(z.shape[1]) or nt_xent(z, t))
    pretrain(stars, size, how, progress=False)
    assert batches == [4] * 8 and set(losses) == {4}


def test_replicas_of_unequal_size_are_refused(stars):
    for size in (replace(SIZE, replicas=3), replace(SIZE, replicas=16)):
        with pytest.raises(ValueError, match=f"a batch of 16 stars does not make {size.replicas} equal replicas"):
            pretrain(stars, size, switched(negatives="replica"), progress=False)


@pytest.mark.parametrize("switch", [{"centring": "window"}, {"middle_crop": "epoch"}])
def test_embedding_and_fine_tuning_prepare_as_the_recipe_says(stars, switch, monkeypatch):
    import astraclr.evaluate.finetune
    import astraclr.model.embedding

    how, seen = switched(**switch), []

    def spy(data, rows, preset, crop, recipe, **more):
        seen.append(recipe)
        return crop_tokens(data, rows, preset, crop, recipe, **more)

    monkeypatch.setattr(astraclr.model.embedding, "crop_tokens", spy)
    monkeypatch.setattr(astraclr.evaluate.finetune, "crop_tokens", spy)
    checkpoint = Checkpoint(new_encoder(SIZE, how, 0).eval(), SIZE, how, 0)
    other = embed(stars[:12], checkpoint)
    finetune(checkpoint, stars[:24], stars[24:36], epochs=1, progress=False)
    assert len(seen) > 6 and all(recipe is how for recipe in seen)
    usual = embed(stars[:12], replace(checkpoint, recipe=switched()))
    assert np.abs(other - usual).max() > 1e-3


@pytest.mark.parametrize("frozen", [False, True])
def test_frozen_views_repeat_the_first_epoch(stars, monkeypatch, frozen):
    import astraclr.train.pretrain
    import astraclr.train.step

    seen = []

    def spy(data, batch, *rest):
        views = make_views(data, batch, *rest)
        seen.append((batch.tolist(), views[0].mag, rest[2].epoch))
        return views

    for module in (astraclr.train.pretrain, astraclr.train.step):
        monkeypatch.setattr(module, "make_views", spy)
    pretrain(stars, replace(SIZE, evaluate_every=100), switched(frozen_views=frozen), steps=10, progress=False)
    train_steps = seen[:9]  # 76 training stars, 4 batches of 16 an epoch; the last call may validate
    same = [
        a == b and torch.equal(x, y) for (a, x, _), (b, y, _) in zip(train_steps[:4], train_steps[4:8], strict=True)
    ]
    assert all(same) if frozen else not any(same)
    assert [epoch for *_, epoch in seen] == ([0] * 10 if frozen else [0] * 4 + [1] * 4 + [2] * 2) + [VALIDATION]


@pytest.mark.parametrize("fixed", [False, True])
def test_fixed_validation_uses_the_same_views_each_time(stars, monkeypatch, fixed):
    import astraclr.train.pretrain

    seeds = []
    validate = astraclr.train.pretrain.validate
    monkeypatch.setattr(astraclr.train.pretrain, "validate", lambda *a: seeds.append(a[3]) or validate(*a))
    pretrain(stars, SIZE, switched(fixed_validation=fixed), progress=False)
    assert len(seeds) == 2 and (len(set(seeds)) == 1) == fixed


@pytest.mark.parametrize("thaw", [False, True])
def test_thaw_embedding_trains_the_embedding_layer_too(stars, thaw):
    how = switched(thaw_embedding=thaw)
    before = new_encoder(SIZE, how, 0).eval()
    tuned = finetune(
        Checkpoint(before, SIZE, how, 0),
        stars[:48],
        stars[48:72],
        layers=1,
        epochs=1,
        learning_rate=1e-3,
        progress=False,
    )
    moved = {
        name.split(".")[0]
        for name, value in tuned.encoder.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert moved == ({"layers", "embedding"} if thaw else {"layers"})


def test_loss_sum_and_keras_adam_change_the_step_and_not_the_reported_loss(data):
    views = make_views(data, torch.arange(16), SIZE, RECIPES["corrected"], Draws(0))
    loss, moved = {}, {}
    for name, how in {"plain": {}, "sum": {"loss_sum": True}, "keras": {"keras_adam": True}}.items():
        encoder = new_encoder(SIZE, switched(dropout=0.0, **how), 0)
        before = [p.detach().clone() for p in encoder.parameters()]
        optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
        training = Training(encoder, FAST, switched(dropout=0.0, **how))
        loss[name] = update(training, optimiser, views, 0).loss.item()
        moved[name] = max((a - b).abs().max().item() for a, b in zip(before, encoder.parameters(), strict=True))
    assert loss["plain"] == loss["sum"] == loss["keras"]
    assert moved["keras"] == 0 < moved["plain"]


def test_the_papers_recipe_is_faithful_in_every_row_and_corrected_in_none():
    paper, corrected = RECIPES["paper"], RECIPES["corrected"]
    faithful = {
        "noise_unit": "mag",
        "bin_rule": "ranks",
        "drop_in_place": True,
        "last_start": False,
        "outlier_sides": "bright",
        "time_rates": "days",
        "loss_sum": True,
        "negatives": "replica",
        "keras_adam": True,
        "fixed_validation": False,
        "thaw_embedding": True,
    }
    for name, value in faithful.items():
        assert getattr(paper, name) == value != getattr(corrected, name), name
    same = {f.name for f in fields(Recipe)} - set(faithful) - {"name", "views"}
    assert all(getattr(paper, name) == getattr(corrected, name) for name in same)
    assert [(v.fraction, v.noise, v.bin_dropout, v.outlier) for v in paper.views] == [
        (1.0, 0.05, 0.0, False),
        (0.5, 0.0, 0.0, False),
        (1.0, 0.10, 0.5, True),
    ]
    assert preset("paper").replicas == 8 and preset("paper").batch_size == 8 * 78


@pytest.mark.parametrize("keras", [False, True])
def test_keras_adam_adds_epsilon_outside_the_bias_correction(data, monkeypatch, keras):
    import astraclr.train.optimizer

    monkeypatch.setattr(astraclr.train.optimizer, "EPSILON", 1e-3)  # so large that its place shows
    how = switched(dropout=0.0, keras_adam=keras)
    encoder = new_encoder(SIZE, how, 0)
    views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
    optimiser = torch.optim.Adam(encoder.parameters(), betas=BETAS)
    weight = encoder.get_parameter("layers.0.ffn.0.weight")
    expected, m, v = weight.detach().double(), 0.0, 0.0
    for t in (1, 2, 3):
        rate = update(Training(encoder, FAST, how), optimiser, views, t - 1).rate
        assert weight.grad is not None
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


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_saved_before_a_switch_existed_keeps_its_method(name):
    """Then there was one set of negatives, a frozen embedding layer, a plain mean; whatever the recipe is today."""
    values = to_dict(RECIPES[name])
    for switch in ("negatives", "thaw_embedding", "pooling"):
        del values[switch]
    before = replace(RECIPES[name], negatives="gathered", thaw_embedding=False, pooling="mean")
    assert recipe_from_dict(values) == before


# --- switches of the recommended recipe ------------------------------------------------------------------------------


def test_corrected_and_paper_begin_and_learn_as_they_always_did(stars):
    """Numbers of the release before these switches: equal to rounding, at the start and after three steps."""
    losses = {
        "paper": [4.3504, 4.0433, 4.0380],
        "paper-two-views": [3.7426, 3.3723, 3.1948],
        "corrected": [3.8034, 3.6126, 3.8277],
    }
    for name, expected in losses.items():
        weights = new_encoder(SIZE, RECIPES[name], 4).state_dict()
        all_of_them = torch.cat([weights[k].double().flatten() for k in sorted(weights)])
        mixed = all_of_them @ torch.arange(len(all_of_them)).double().cos()  # another order or value changes it
        assert [float(all_of_them.norm()), float(mixed)] == pytest.approx([35.4633, 17.5674], abs=1e-3)
        history = pretrain(stars, SIZE, name, seed=4, steps=3, progress=False).history
        assert history["loss"].tolist() == pytest.approx(expected, abs=1e-3)


def noisy_and_not(data, view, recipe=None, n=64, seed=0):
    """A plain view of the first stars, and the same with a switch of `View`."""
    recipe = recipe or switched(error_input=True)
    stars = torch.arange(n)
    return [make_view(data, stars, v, SIZE, recipe, Draws(seed).of(stars)) for v in (PLAIN, view)]


def test_colour_jitter_shifts_every_band_of_a_view_by_one_draw(data):
    plain, shifted = noisy_and_not(data, View("v", colour_jitter=0.15))
    added, seen = shifted.mag - plain.mag, []
    for star, keep in enumerate(~plain.mask):
        for band in data.log_wavelength:
            there = keep & (plain.band[star] == band)
            if there.any():
                assert added[star][there].std(unbiased=False) < 1e-5
                seen.append(added[star][there].mean().item())
    assert len(set(np.round(seen, 6))) > 0.95 * len(seen) > 100
    assert np.std(seen) == pytest.approx(0.15, rel=0.15) and abs(np.mean(seen)) < 0.05


def test_error_jitter_scales_all_errors_of_a_view_by_one_factor(data):
    plain, scaled = noisy_and_not(data, View("v", error_jitter=0.3))
    assert torch.equal(plain.mag, scaled.mag)
    assert plain.magerr is not None and scaled.magerr is not None
    factor = [(scaled.magerr[k] / plain.magerr[k])[~plain.mask[k]] for k in range(64)]
    assert all((f.max() / f.min()).item() == pytest.approx(1, abs=1e-5) for f in factor)
    assert np.std([np.log(f[0].item()) for f in factor]) == pytest.approx(0.3, rel=0.3)


def test_thinning_loses_a_share_between_none_and_the_most():
    n, length = 2_000, 100
    row, place = torch.arange(n).repeat_interleave(length), torch.arange(length).repeat(n)
    lots = Draws(0).of(torch.arange(n))
    lost = 1 - kept_after_thinning(place, row, 0.5, lots).view(n, length).float().mean(1)
    assert lost.mean().item() == pytest.approx(0.25, abs=0.01) and lost.max() < 0.7
    shares = [((lost >= a) & (lost < a + 0.1)).float().mean().item() for a in (0.05, 0.15, 0.25, 0.35)]
    assert shares == pytest.approx([0.2] * 4, abs=0.05)  # uniform
    assert kept_after_thinning(place, row, 0.0, lots).all()
    alone = Draws(0).of(torch.arange(50))
    assert kept_after_thinning(torch.zeros(50).long(), torch.arange(50), 1.0, alone).all()  # nobody is left with none


def test_thinning_takes_out_of_the_window_and_keeps_the_order(data):
    plain, thin = noisy_and_not(data, View("v", thinning=0.9))
    for star in range(64):
        whole = list(
            zip(
                plain.band[star][~plain.mask[star]].tolist(), plain.times[star][~plain.mask[star]].tolist(), strict=True
            )
        )
        left = list(
            zip(thin.band[star][~thin.mask[star]].tolist(), thin.times[star][~thin.mask[star]].tolist(), strict=True)
        )
        assert left == [x for x in whole if x in set(left)] and 0 < len(left) <= len(whole)
    assert (~thin.mask).sum() < 0.8 * (~plain.mask).sum()


def test_lost_band_is_the_sparsest_where_another_is_left():
    counts = torch.tensor([[5, 3, 4], [2, 0, 0], [0, 7, 9], [4, 4, 6]] * 500)
    segment = torch.arange(counts.numel()).repeat_interleave(counts.ravel())
    for chance in (0.0, 0.3, 1.0):
        lost = in_lost_band(segment, 3, chance, Draws(0).of(torch.arange(2_000)))
        left = torch.bincount(segment[~lost], minlength=counts.numel()).view(500, 4, 3)
        went = left != counts.view(500, 4, 3)
        for star, band in ((0, 1), (2, 1), (3, 0)):
            gone = went[:, star, band]
            assert gone.float().mean().item() == pytest.approx(chance, abs=0.08) and (left[gone, star, band] == 0).all()
            went[:, star, band] = False
        assert not went.any()


def test_new_damage_gives_a_star_the_same_view_in_any_batch(data):
    every = View("v", 1.0, 1.0, 0.5, True, 0.15, 0.3, 0.5, 0.3)
    how = replace(RECIPES["recommended"], views=(every, every))
    whole = make_views(data, torch.arange(30), SIZE, how, Draws(2, 1))
    for rows in torch.arange(30).flip(0).split(7):
        for ours, all_of_them in zip(make_views(data, rows, SIZE, how, Draws(2, 1)), whole, strict=True):
            for k, row in enumerate(rows.tolist()):
                for name in ("mag", "times", "band", "mask", "magerr", "follows"):
                    a, b = getattr(ours, name), getattr(all_of_them, name)
                    assert torch.equal(a[k][~ours.mask[k]], b[row][~all_of_them.mask[row]])


@pytest.mark.parametrize(
    "wrong", [{"thinning": 1.5}, {"lost_band": -0.1}, {"colour_jitter": -1.0}, {"error_jitter": float("nan")}]
)
def test_damage_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=f"view 'v': {next(iter(wrong))} is .*; give a number"):
        View("v", **wrong)


def slow_steps(data, windows):
    """Rows of eight numbers, one an observation, by the formulas of `Steps`."""
    rows = []
    for band, wavelength in enumerate(data.log_wavelength.tolist()):
        before = None
        for t, m, e in windows[band]:
            row = [np.arcsinh(5 * m), np.arcsinh(m / e) / 2, np.log10(e) + 1.5, 10 * (wavelength - 3.75), 0, 0, 0, 0]
            if before is not None:
                dt, dm, de = t - before[0], m - before[1], np.hypot(e, before[2])
                row[4:] = np.log10(dt + 1e-3) + 0.5, np.arcsinh(5 * dm), np.arcsinh(dm / de) / 2, 1
            rows.append(row)
            before = t, m, e
    return np.array(rows)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("crop", CROPS)
def test_steps_are_what_a_loop_over_the_observations_of_each_band_gives(data, crop, padded):
    tokens = crop_tokens(data, torch.arange(12), SIZE, crop, switched(inputs="steps"), padded=padded)
    assert tokens.magerr is not None
    found = Steps.numbers(tokens)
    assert found.isfinite().all()
    for star in range(12):
        keep = ~tokens.mask[star]
        columns = [c[star][keep].double() for c in (tokens.times, tokens.mag, tokens.magerr)]
        band = tokens.band[star][keep]
        windows = [torch.stack([c[band == b] for c in columns], dim=1).tolist() for b in data.log_wavelength]
        np.testing.assert_allclose(found[star][keep].numpy(), slow_steps(data, windows), atol=1e-4)


@pytest.mark.parametrize("inputs", ["paper", "steps"])
def test_inputs_decide_what_the_encoder_reads(data, inputs):
    how = switched(inputs=inputs, time_rates="none")
    encoder, tokens = new_encoder(SIZE, how, 0).eval(), crop_tokens(data, torch.arange(8), SIZE, "start", how)
    expected, steps = encoder(tokens), inputs == "steps"
    assert (tokens.follows is not None) == (tokens.magerr is not None) == steps
    # Nothing but time differences is read of the times, and of them nothing by the paper's input without a clock.
    torch.testing.assert_close(encoder(tokens._replace(times=tokens.times + 64)), expected, atol=1e-5, rtol=0)
    slower = encoder(tokens._replace(times=3 * tokens.times))
    assert ((slower - expected).abs().max() > 1e-3) == steps
    if steps:
        assert tokens.magerr is not None and tokens.follows is not None
        filled = tokens._replace(
            magerr=tokens.magerr.masked_fill(tokens.mask, 1e6),
            times=tokens.times.masked_fill(tokens.mask, -1e6),
            follows=tokens.follows | tokens.mask,
        )
        assert torch.equal(encoder(filled), expected)
        for lacking in ({"magerr": None}, {"follows": None}):
            with pytest.raises(ValueError, match="this encoder reads errors and steps"):
                encoder(tokens._replace(**lacking))


@pytest.mark.parametrize("rates", ["days", "log", "none"])
def test_time_rates_none_is_no_clock(data, rates):
    how = switched(time_rates=rates)
    encoder, tokens = new_encoder(SIZE, how, 0).eval(), crop_tokens(data, torch.arange(8), SIZE, "start", how)
    moved = encoder(tokens._replace(times=tokens.times + 3.3)) - encoder(tokens)
    assert (moved.abs().max() == 0) == (rates == "none")


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_norm_before_or_after(data, norm):
    encoder = new_encoder(SIZE, switched(norm=norm), 0).eval()
    layer = cast(Any, encoder.layers[0])
    x = torch.randn(2, 5, 64, generator=torch.Generator().manual_seed(0))

    def attended(y):
        weights = layer.attention.weights(y, torch.zeros(2, 5, dtype=torch.bool))
        return layer.attention.out((weights @ layer.attention.heads(y)[2]).transpose(1, 2).flatten(-2))

    def fed(y):
        hidden = layer.ffn[0](y)
        hidden = torch.nn.functional.gelu(hidden) if norm == "pre" else hidden.relu()
        return layer.ffn[2](hidden)

    if norm == "pre":
        expected = x + attended(layer.norm1(x))
        expected = expected + fed(layer.norm2(expected))
    else:
        expected = layer.norm1(x + attended(x))
        expected = layer.norm2(expected + fed(expected))
    torch.testing.assert_close(layer(x, over_rows(None)), expected, atol=1e-5, rtol=0)
    tokens = crop_tokens(data, torch.arange(8), SIZE, "start")
    size = encoder.tokens_out(tokens)[~tokens.mask].square().mean(-1)  # normalised either way, at the end
    assert size.min() > 0.8 and size.max() < 1.2


@pytest.mark.parametrize("pooling", ["mean", "mean_std"])
def test_pooling_and_everything_that_asks_for_the_width(stars, data, pooling, tmp_path):
    how, width = switched(pooling=pooling), 64 if pooling == "mean" else 128
    checkpoint = Checkpoint(new_encoder(SIZE, how, 0).eval(), SIZE, how, 0)
    encoder, tokens = checkpoint.encoder, crop_tokens(data, torch.arange(6), SIZE, "start", how)
    assert encoder.config.d_embedding == width
    with torch.no_grad():
        found, out = encoder(tokens), encoder.tokens_out(tokens)
    for star, keep in enumerate(~tokens.mask):
        own = out[star][keep]
        expected = [own.mean(0), (own.var(0, unbiased=False) + 1e-4).sqrt()][: width // 64]
        torch.testing.assert_close(found[star], torch.cat(expected), atol=1e-5, rtol=1e-5)
    x = embed(stars[:24], checkpoint)
    assert x.shape == (24, width) and embed(stars[:3], checkpoint, fusion="concat").shape == (3, 3 * width)
    assert len(embedding_table(stars[:3], checkpoint)["embedding"][0]) == width
    assert linear_probe(x, stars[:24].label, x, stars[:24].label).accuracy > 0
    tuned = finetune(checkpoint, stars[:24], stars[24:48], epochs=1, progress=False)
    assert cast(Any, tuned.head)[1].in_features == 3 * width and len(tuned.predict(stars[:4])) == 4
    save_checkpoint(checkpoint, tmp_path)
    assert np.array_equal(embed(stars[:24], load_checkpoint(tmp_path)), x)
    assert np.array_equal(embed(stars[:24], random_control(checkpoint)), x)


def test_cosine_rises_to_its_peak_and_falls_to_nothing():
    how = switched(schedule="cosine", peak_rate=2e-3)
    rates = [rate_of_step(how, done, 64, 500, 4_000) for done in range(4_000)]
    assert rates[0] == pytest.approx(2e-3 / 200) and np.argmax(rates) in (198, 199)  # 5 % of the steps
    assert max(rates) == pytest.approx(2e-3, rel=0.01)
    assert rates[2_000] == pytest.approx(1e-3) and rates[-1] < 1e-8
    assert np.argmax([rate_of_step(how, done, 64, 500, 800) for done in range(800)]) in range(90, 100)
    assert np.argmax([rate_of_step(how, done, 64, 500, 12) for done in range(12)]) == 2  # a quarter
    assert rate_of_step(how, 2_000, 64, 500, 4_000, batch=32) == pytest.approx(0.5e-3)  # the root of a quarter
    for steps in (0, 10):  # the other one knows of no end
        assert rate_of_step(switched(), 9, 64, 500, steps) == pytest.approx(64**-0.5 * 10 * 500**-1.5)
    with pytest.raises(ValueError, match="cosine schedule of recipe 'switched' needs the number of steps"):
        rate_of_step(how, 0, 64, 500, 0)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_weight_decay_shrinks_weights_beside_adam(data, decay):
    views, found = make_views(data, torch.arange(16), SIZE, RECIPES["corrected"], Draws(0)), {}
    for value in (0.0, decay):
        how = switched(dropout=0.0, weight_decay=value)
        encoder = new_encoder(SIZE, how, 0)
        weight = encoder.get_parameter("layers.0.ffn.0.weight")
        before = weight.detach().clone()
        rate = update(Training(encoder, FAST, how), new_optimiser(encoder, how, "cpu"), views, 0).rate
        found[value] = weight.detach()
    torch.testing.assert_close(found[decay], found[0.0] - rate * decay * before, atol=1e-6, rtol=0)


def test_contrast_and_summaries_weigh_the_parts_of_the_loss(stars, data):
    truth, found, ratio = Summaries(InMemory(stars), np.arange(96)).of(np.arange(16)), {}, {}
    for contrast, weight in ((1.0, 0.0), (1.0, 1.0), (0.5, 2.0), (0.0, 1.0)):
        how = switched(dropout=0.0, contrast=contrast, summaries=weight)
        encoder = new_encoder(SIZE, how, 0)
        views = make_views(data, torch.arange(16), SIZE, how, Draws(0))
        assert (encoder.summaries is not None) == bool(weight)
        optimiser = torch.optim.Adam(encoder.parameters())
        taken = update(Training(encoder, FAST, how), optimiser, views, 0, truth if weight else None)
        found[contrast, weight] = [term.loss.item() for term in taken.terms]
        projection, head = cast(Any, encoder.projection[0]), cast(Any, encoder.summaries)
        assert (projection.weight.grad.abs().max() > 0) == bool(contrast)
        if weight:  # the gradient is clipped as a whole, which leaves ratios
            norms = [part.weight.grad.norm().item() for part in (projection, head)]
            ratio[contrast, weight] = norms[0] / norms[1]
    # The other weights are the same with and without the head.
    assert found[1.0, 0.0][0] == found[1.0, 1.0][0] == found[0.5, 2.0][0] == found[0.0, 1.0][0]
    assert found[1.0, 1.0][1] == found[0.5, 2.0][1] > 0
    assert ratio[0.5, 2.0] == pytest.approx(ratio[1.0, 1.0] / 4, rel=1e-4) and ratio[0.0, 1.0] == 0
    with pytest.raises(ValueError, match="needs their truth at every step"):
        update(Training(encoder, FAST, how), torch.optim.Adam(encoder.parameters()), views, 0)


@pytest.mark.parametrize(
    "wrong", [{"contrast": -1.0}, {"summaries": float("inf")}, {"weight_decay": -0.1}, {"contrast": 0.0}]
)
def test_weights_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="recipe 'switched': .*(give a number of 0 or more|nothing to learn)"):
        switched(**wrong)


def test_the_recommended_recipe_switches_everything_on():
    how, default = RECIPES["recommended"], RECIPES["corrected"]
    on = {"inputs": "steps", "time_rates": "none", "norm": "pre", "pooling": "mean_std", "schedule": "cosine"}
    assert all(getattr(how, name) == value != getattr(default, name) for name, value in on.items())
    assert how.summaries > 0 and how.contrast > 0 and how.weight_decay > 0
    assert all(v.colour_jitter and v.error_jitter and v.thinning and v.lost_band for v in how.views)
