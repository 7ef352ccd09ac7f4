"""Light curves read in frequency: a sine's period, power, amplitude and phase are found; what is masked is not read."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, preset
from astraclr.data.folding import CELLS_PER_DAY, N_CELLS, N_FOLDED, N_PHASES, folded, folded_stars
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
    (found,) = folded_stars(prepare(sine), torch.arange(1)).double()
    assert len(found) == N_FOLDED
    frequency = 10 ** (found[N_FREQUENCIES].item() - 0.5)
    assert frequency == pytest.approx(FREQUENCY, abs=CELLS_PER_DAY / N_CELLS)
    highest, half, twice = (10 ** (p.item() - 1.5) for p in found[N_FREQUENCIES + 1 : N_FREQUENCIES + 4])
    assert 0.4 < highest < 0.55 and half < 0.1 and twice < 0.1
    centre = 2 * np.pi * (np.arange(N_PHASES) + 0.5) / N_PHASES
    np.testing.assert_allclose(torch.sinh(found[-N_PHASES:]) / 5, AMPLITUDE * np.cos(centre), atol=0.06)


def test_padding_and_company_change_nothing(stars):
    data = prepare(stars)
    alone = torch.cat([folded_stars(data, torch.tensor([k])) for k in range(20)])
    torch.testing.assert_close(folded_stars(data, torch.arange(20)), alone, atol=1e-4, rtol=1e-4)


def test_too_few_observations_give_numbers_all_the_same(sine):
    data = prepare(sine)
    for n in (1, 2):
        tokens = to_tokens(data, torch.zeros(n, dtype=torch.long), torch.arange(n), 1, magerr=data.magerr[:n])
        assert folded(tokens).isfinite().all()


def test_it_is_a_part_of_the_embedding_where_the_recipe_says_so(sine):
    size, data = preset("tiny"), prepare(sine)
    segment, everything = torch.arange(2).repeat_interleave(200), torch.arange(400)
    tokens = to_tokens(data, segment, everything, 1, magerr=data.magerr, steps=True)
    widths = {}
    for read in (False, True):
        encoder = new_encoder(size, replace(RECIPES["recommended"], name="mine", folded_input=read), 0)
        out = encoder(tokens)
        widths[read] = out.shape[1]
        assert out.shape == (1, encoder.config.d_embedding) and out.isfinite().all()
    assert widths[True] == widths[False] + size.d_model
