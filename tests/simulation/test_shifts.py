"""Each damage changes what its name says, keeps labels and stars, and depends on its generator alone."""

import numpy as np
import pytest

from astraclr.simulation.shifts import SHIFTS, SINGLE
from astraclr.simulation.simulate import simulate


@pytest.fixture(scope="module")
def plain():
    return simulate(24, seed=4)


def damaged(plain, name, seed=0):
    return SHIFTS[name](plain, np.random.default_rng(seed))


@pytest.mark.parametrize("name", SHIFTS)
def test_stars_stay_and_the_generator_decides(plain, name):
    one, same, other = (damaged(plain, name, seed) for seed in (0, 0, 1))
    assert one.object_id.tolist() == plain.object_id.tolist() and one.label.tolist() == plain.label.tolist()
    assert one.counts.sum(1).min() > 0 and (one.counts <= plain.counts).all()
    assert one.offsets[-1] == len(one.mjd) == len(one.mag) == len(one.magerr)
    assert one.mag.dtype == one.magerr.dtype == np.float32
    np.testing.assert_array_equal(one.mag, same.mag)
    assert one.n_obs != other.n_obs or not (one.mag == other.mag).all() or not (one.magerr == other.magerr).all()


def test_epochs_and_bands_are_lost_as_said(plain):
    few = damaged(plain, "fewer epochs")
    share = few.counts.sum(1) / plain.counts.sum(1)
    assert share.min() < 0.15 and share.max() > 0.6
    bands = (damaged(plain, "lost bands").counts > 0).sum(1)
    assert set(bands.tolist()) <= {1, 2} and (plain.counts > 0).sum(1).max() == 3
    short = damaged(plain, "shorter time span")
    spans = [np.ptp(np.concatenate([t for t, _, _ in short.star(k).values()])) for k in range(24)]
    assert min(spans) < 300 and np.mean(np.array(spans) < 1_500) > 0.8  # a star without an epoch in it keeps all


def test_noise_errors_zero_points_and_amplitudes(plain):
    noisy, wrong = damaged(plain, "larger errors"), damaged(plain, "wrong errors")
    factor = noisy.magerr / plain.magerr
    assert factor.min() >= 1 and factor.max() <= 10.001
    z = (noisy.mag - plain.mag) / np.sqrt(np.maximum(noisy.magerr**2 - plain.magerr**2, 1e-12))
    assert np.std(z[factor > 1.5]) == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(wrong.mag, plain.mag)
    assert (wrong.magerr / plain.magerr).min() < 0.7 < 1.4 < (wrong.magerr / plain.magerr).max()
    offset = damaged(plain, "zero points").mag - plain.mag
    for k in np.unique(plain.segment)[:9]:
        assert np.ptp(offset[plain.segment == k]) < 1e-5
    other = damaged(plain, "other amplitudes")
    for star in range(6):
        ratios = {
            round(float(np.std(other.star(star)[b][1]) / np.std(plain.star(star)[b][1])), 2) for b in plain.star(star)
        }
        assert len(ratios) <= 2 and 0.49 < min(ratios) <= max(ratios) < 2.01  # one factor a star, rounded


def test_several_joins_all_kinds(plain):
    found = damaged(plain, "several")
    assert found.n_obs < plain.n_obs and len(SINGLE) == 7 and list(SHIFTS)[-1] == "several"
