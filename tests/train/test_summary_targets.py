"""What whole light curves say of themselves, beside slow loops over stars and observations; and that it is learnt."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shard_writer import write_shards
from astraclr.data.shards import Shards
from astraclr.data.sources import InMemory
from astraclr.data.splits import split
from astraclr.data.summaries import LAGS, NEIGHBOURS, QUANTILES, n_summaries, summaries
from astraclr.data.tokens import MJD_ZERO, prepare
from astraclr.model.checkpoint import load_checkpoint, save_checkpoint
from astraclr.simulation.simulate import simulate
from astraclr.train.pretrain import pretrain
from astraclr.train.summary_targets import Summaries, summary_loss

N_BAND = 12 + len(LAGS) - 1
OTHER_BANDS = {"u": 3551.0, "g": 4686.0, "r": 6166.0, "i": 7480.0, "z": 8932.0}
SIZE = replace(preset("tiny"), d_model=32, d_ff=64, n_layers=1, batch_size=32, steps=30, evaluate_every=10)
HOW = RECIPES["recommended"]


@pytest.fixture(scope="module")
def data(stars):
    return prepare(stars)


@pytest.fixture(scope="module")
def found(data):
    return summaries(data, torch.arange(len(data))).numpy()


def bands_of(data, star):
    """(magnitudes, errors, times) of each band of a star, float64."""
    first, count = data.segments(torch.tensor([star]))
    for a, n in zip(first[0].tolist(), count[0].tolist(), strict=True):
        yield tuple(column[a : a + n].double().numpy() for column in (data.mag, data.magerr, data.times))


def test_quantiles_are_numpys(data, found):
    for star in range(12):
        parts = []
        for mag, _, _ in bands_of(data, star):
            q = np.quantile(mag, QUANTILES) if len(mag) >= 5 else np.full(7, np.nan)
            width = q[5] - q[1] + 1e-3
            parts.append([*np.arcsinh(5 * q), np.log10(width), *np.clip((q[[0, 2, 4, 6]] - q[3]) / width, -3, 3)])
        np.testing.assert_allclose(found[star, : 3 * 12], np.ravel(parts), atol=1e-5)


def test_structure_function_is_the_mean_over_pairs(data, found):
    for star in range(4):
        for band, (mag, _, times) in enumerate(bands_of(data, star)):
            pairs = [[] for _ in LAGS[1:]]
            for k in NEIGHBOURS:
                for i in range(len(mag) - k):
                    lag = times[i + k] - times[i]
                    inside = [b for b in range(len(pairs)) if LAGS[b] < max(lag, 1e-9) <= LAGS[b + 1]]
                    for b in inside:
                        pairs[b].append(np.arcsinh(10 * abs(mag[i + k] - mag[i])))
            expected = [np.mean(p) if len(p) >= 3 else np.nan for p in pairs]
            place = 3 * 12 + band * len(pairs)
            np.testing.assert_allclose(found[star, place : place + len(pairs)], np.array(expected), atol=1e-5)


def test_periodogram_is_the_sum_over_observations(data, found):
    edges = np.geomspace(1 / 800, 24, 33)
    for star in range(2):
        parts = []
        for mag, error, times in bands_of(data, star):
            w = 1 / (error**2 + 0.03**2)
            parts.append((w, np.clip(mag - np.average(mag, weights=w), -3, 3) if len(mag) else mag, times))
        w, m, t = (np.concatenate(column) for column in zip(*parts, strict=True))
        cell = np.round((t - t.min()) * 64)
        for k in (0, 1, 5, 20, 31):
            f = np.arange(int(np.ceil(edges[k] * 2048)), int(np.ceil(edges[k + 1] * 2048))) / 2048
            wave = np.exp(-2j * np.pi * f[:, None] * cell / 64)
            power = np.abs(wave @ (w * m)) ** 2 / ((w * m * m).sum() * w.sum())
            assert found[star, -32 + k] == pytest.approx(np.log10(max(power.max(), 1e-4)), abs=1e-3)


@pytest.mark.parametrize("span", [900.0, 6_000.0])
@pytest.mark.parametrize("period", [0.31, 3.7, 120.0])
def test_periodogram_finds_a_period_in_any_span(period, span):
    rng, period = np.random.default_rng(0), 2048 / round(2048 / period)  # at a frequency of the grid
    t = np.sort(rng.uniform(0, span, 400))
    mag = 15 + 0.3 * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.02, 400)
    star = prepare(
        LightCurves.from_arrays(np.zeros(400, int), rng.integers(0, 2, 400), MJD_ZERO + t, mag, np.full(400, 0.02))
    )
    power = summaries(star, torch.tensor([0]))[0, -32:]
    edges = np.geomspace(1 / 800, 24, 33)
    k = np.searchsorted(edges, 1 / period) - 1
    assert power.argmax() == k and power[k] > np.log10(0.4)  # a sine has a half
    assert power.isfinite().all() and (power <= 1e-6).all()


@pytest.mark.parametrize("bands", [{"r": 6366.38}, OTHER_BANDS])
def test_any_number_of_bands_and_what_is_missing_is_nan(bands):
    rng, n = np.random.default_rng(1), 300
    star, band = rng.integers(0, 5, n), rng.integers(0, len(bands), n)
    band[star == 2] = 0
    star, band, t = np.append(star, 9), np.append(band, 0), np.append(rng.uniform(58_000, 59_000, n), 58_500.0)
    data = prepare(LightCurves.from_arrays(star, band, t, rng.normal(15, 0.1, n + 1), np.full(n + 1, 0.1), bands=bands))
    found = summaries(data, torch.arange(6))
    assert found.shape == (6, n_summaries(len(bands))) == (6, len(bands) * N_BAND + 32)
    assert found[5].isnan().all()  # one observation
    assert found[2, :12].isfinite().all() and found[2, 12 : 12 * len(bands)].isnan().all()
    assert found[2, -32:].isfinite().all()


def test_a_star_has_the_same_bytes_whatever_the_batch_and_wherever_it_lies(stars, found, tmp_path):
    write_shards(stars, tmp_path, stars_per_shard=40)
    order = np.random.default_rng(0).permutation(len(stars))
    for source in (InMemory(stars), Shards(tmp_path)):
        for rows in (order, order[:1], order[5:20]):
            parts = summaries(source.prepared(rows), torch.arange(len(rows)))
            assert parts.numpy().tobytes() == found[rows].tobytes()


def test_kept_ones_are_those_made_anew_and_are_standardised(stars, found, monkeypatch):
    train, held = split(len(stars))
    first, second = (Summaries(InMemory(stars), train) for _ in range(2))
    ahead = second.of(held)
    made = []
    monkeypatch.setattr("astraclr.train.summary_targets.summaries", lambda d, s: made.append(len(s)) or summaries(d, s))
    assert torch.equal(first.of(held).nan_to_num(), ahead.nan_to_num())
    assert torch.equal(first.of(held[3:5]).nan_to_num(), ahead[3:5].nan_to_num()) and made == [len(held)]
    z = first.of(train).numpy()
    assert np.abs(np.nanmean(z, 0)).max() < 0.2 and np.abs(z[np.isfinite(z)]).max() <= 5
    raw = found[train].astype(np.float16).astype(float)
    expected = (raw - np.nanmean(raw, 0)) / np.maximum(np.nanstd(raw, 0), 1e-3)
    np.testing.assert_allclose(z, np.clip(expected, -5, 5), atol=1e-4)


def test_summary_loss_counts_what_is_finite():
    truth = torch.tensor([[1.0, torch.nan], [0.0, 2.0]])
    guess = torch.tensor([[[0.0, 9.0], [0.0, 0.0]], [[1.0, 9.0], [0.0, 2.0]]], requires_grad=True)
    loss = summary_loss(guess, truth)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 0 + 4 + 0 + 0 + 0) / 6) and guess.grad is not None
    assert guess.grad.isfinite().all()
    assert summary_loss(guess, torch.full((2, 2), torch.nan)).item() == 0


@pytest.fixture(scope="module")
def learnt():
    return pretrain(simulate(240, seed=5), SIZE, HOW, progress=False)


def test_views_learn_to_tell_the_summaries_of_held_out_stars(learnt):
    lc = simulate(240, seed=5)
    train, held = split(len(lc))
    truth = Summaries(InMemory(lc), train).of(held)
    by_mean = summary_loss(torch.zeros(1, *truth.shape), truth).item()
    assert learnt.history["val_summary_loss"].min() < 0.9 * by_mean


def test_the_loss_is_the_weighted_sum_and_chooses_the_checkpoint(learnt):
    for prefix in ("", "val_"):
        h = learnt.history.dropna()
        total = 0.05 * h[f"{prefix}nt_xent"] + h[f"{prefix}summary_loss"]
        np.testing.assert_allclose(h[f"{prefix}loss"], total, rtol=1e-5)


def test_a_checkpoint_keeps_the_head_for_as_many_bands_as_it_was_trained_on(tmp_path):
    rng, n = np.random.default_rng(1), 2_000
    lc = LightCurves.from_arrays(
        rng.integers(0, 20, n),
        rng.integers(0, 5, n),
        rng.uniform(58_000, 59_000, n),
        rng.normal(15, 0.1, n),
        np.full(n, 0.1),
        bands=OTHER_BANDS,
    )
    run = pretrain(lc, SIZE, HOW, steps=1, progress=False, out=tmp_path)
    loaded = load_checkpoint(tmp_path)
    assert run.encoder.summaries is not None
    assert loaded.encoder.config.n_summaries == n_summaries(5) == run.encoder.summaries.out_features
    save_checkpoint(loaded, tmp_path / "again")
    assert load_checkpoint(tmp_path / "again").sha256 == run.sha256
