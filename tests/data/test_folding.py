"""Light curves read in frequency: a sine's period, power, amplitude and phase are found; what is masked is not read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.folding import (
    N_CYCLE_INPUTS,
    N_FOLDED,
    N_PHASES,
    best_cycle,
    cycle_inputs,
    folded,
    folded_stars,
    whole,
)
from astraclr.data.lightcurves import LightCurves
from astraclr.data.summaries import N_FREQUENCIES
from astraclr.data.tokens import prepare, to_tokens
from astraclr.model.encoder import new_encoder

AMPLITUDE, FREQUENCY = 0.4, 1.7


@pytest.fixture(scope="module")
def sine():
    rng, n = np.random.default_rng(0), 400
    mjd, band = rng.uniform(58_200, 58_900, n), np.repeat([0, 1], n // 2)
    mag = 15 + 0.7 * band + AMPLITUDE * np.cos(2 * np.pi * FREQUENCY * mjd + 0.4) + rng.normal(0, 0.01, n)
    return LightCurves.from_arrays(np.zeros(n, int), band, mjd, mag, np.full(n, 0.01))


def test_period_power_and_shape_of_a_sine(sine):
    data = prepare(sine)
    cycle = best_cycle(whole(data, torch.arange(1)))
    assert cycle.frequency.item() == pytest.approx(FREQUENCY, abs=1 / (12 * 700))
    assert cycle.powers[0].tolist() == pytest.approx([0.5, 0, 0], abs=0.03) and cycle.beside.max() < 0.1
    (found,) = folded_stars(data, torch.arange(1)).double()
    assert len(found) == N_FOLDED and 10 ** (found[N_FREQUENCIES].item() - 0.5) == pytest.approx(FREQUENCY, abs=1e-3)
    centre = 2 * np.pi * (np.arange(N_PHASES) + 0.5) / N_PHASES
    np.testing.assert_allclose(torch.sinh(found[-N_PHASES:]) / 5, AMPLITUDE * np.cos(centre), atol=0.1)


def test_the_phase_of_an_observation_is_its_share_of_the_cycle(sine):
    cycle = best_cycle(whole(prepare(sine), torch.arange(1)))
    numbers = cycle_inputs(cycle)
    assert numbers.shape == (1, 400, N_CYCLE_INPUTS) and numbers.isfinite().all()
    model = AMPLITUDE * numbers[0, :, 0]  # faintest, the largest magnitude, where the cosine is 1
    assert (cycle.m[0] - model).std() < 0.15 * AMPLITUDE


def test_overtones_are_read_relative_to_the_fundamental(sine):
    """A sawtooth's second harmonic has half the amplitude of its first, and a fixed phase."""
    rng, n = np.random.default_rng(1), 600
    mjd = rng.uniform(58_200, 58_600, n)
    mag = (mjd * 0.77 % 1) + rng.normal(0, 0.01, n)
    saw = LightCurves.from_arrays(np.zeros(n, int), np.zeros(n, int), mjd, mag, np.full(n, 0.01))
    (found,) = folded_stars(prepare(saw), torch.arange(1)).double()
    overtones = found[N_FREQUENCIES + 7 : N_FREQUENCIES + 9]
    assert (10**overtones).tolist() == pytest.approx([1 / 2, 1 / 3], abs=0.06)


def test_padding_and_company_change_nothing(stars):
    data = prepare(stars)
    alone = torch.cat([folded_stars(data, torch.tensor([k])) for k in range(20)])
    torch.testing.assert_close(folded_stars(data, torch.arange(20)), alone, atol=1e-4, rtol=1e-4)


def test_too_few_observations_give_numbers_all_the_same(sine):
    data = prepare(sine)
    for n in (1, 2):
        tokens = to_tokens(data, torch.zeros(n, dtype=torch.long), torch.arange(n), 1, magerr=data.magerr[:n])
        assert folded(best_cycle(tokens)).isfinite().all()


def test_an_encoder_reads_its_window_folded_where_the_recipe_says_so(sine):
    size, data = preset("tiny"), prepare(sine)
    segment, everything = torch.arange(2).repeat_interleave(200), torch.arange(400)
    tokens = to_tokens(data, segment, everything, 1, magerr=data.magerr, steps=True)
    shuffled = tokens._replace(times=tokens.times + 0.3 * torch.arange(400).sin())  # another period fits best
    for how, wider in (("none", 0), ("window", 1), ("tokens", 0), ("both", 1)):
        encoder = new_encoder(size, replace(RECIPES["recommended"], name="mine", folded_input=how), 0)
        out = encoder(tokens)
        assert out.shape == (1, encoder.config.d_embedding) == (1, (2 + wider) * size.d_model)
        assert out.isfinite().all() and not torch.equal(out, encoder(shuffled))
        for form in ("padded", "grouped"):
            encoder.form = form
            torch.testing.assert_close(encoder(tokens), out, atol=1e-5, rtol=1e-5)
