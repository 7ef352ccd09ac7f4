"""Random numbers by key: the published generator, the same in any batch, and as good as drawn ones."""

import itertools

import numpy as np
import pytest
import torch

from astraclr.train.counter_rng import VALIDATION, Draws, Purpose, _folded

N = 20_000
ONE = torch.tensor([0])
LIMIT = 5
"""Standard deviations: one in two million draws lies beyond."""


def splitmix64(seed, n):
    """The generator as published, in Python's integers: a state that grows, and a finaliser."""
    out, state, mask = [], seed, 2**64 - 1
    for _ in range(n):
        state = z = (state + 0x9E3779B97F4A7C15) & mask
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        out.append(z ^ (z >> 31))
    return out


def unsigned(bits):
    return [int(b) % 2**64 for b in bits]


def along(axis, purpose=Purpose.NOISE, how="uniform"):
    """(n,) numbers that differ in one part of their key."""
    if axis == "index":
        return getattr(Draws(1).of(ONE), how)(purpose, torch.arange(N))[0]
    if axis == "star":
        return getattr(Draws(1).of(torch.arange(N)), how)(purpose)
    if axis == "epoch":
        each = [Draws(1, epoch).of(ONE) for epoch in range(N // 10)]
    elif axis == "seed":
        each = [Draws(seed).of(ONE) for seed in range(N // 10)]
    else:
        each = [Draws(1).of(ONE, view) for view in range(N // 10)]
    return torch.cat([getattr(lots, how)(purpose) for lots in each])


AXES = ["index", "star", "epoch", "seed", "view"]


def test_the_function_is_splitmix64():
    # The first five of seed 1234567, as they are published with implementations in many languages.
    known = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    assert unsigned(_folded(torch.tensor(1234567), torch.arange(5))) == known == splitmix64(1234567, 5)
    for seed in (0, 1, -1, 2**63 - 1, -(2**63)):
        expected = splitmix64(seed % 2**64, 40)
        assert unsigned(_folded(torch.tensor(seed), torch.arange(40))) == expected
        assert [int(_folded(torch.tensor(seed), k)) % 2**64 for k in range(40)] == expected


def test_a_key_is_folded_part_by_part():
    def fold(key, number):
        return splitmix64((key + number * 0x9E3779B97F4A7C15) % 2**64, 1)[0]

    keys = (0, 0, 0, 0, 0), (7, VALIDATION, 2_100_000, 2, 1349), (2**70 + 3, 9, 1, 1, 5)
    for seed, epoch, star, view, index in keys:
        key = 0
        for part in (seed, epoch, star, view, Purpose.BINS, index):
            key = fold(key, part)
        assert unsigned(Draws(seed, epoch).of(torch.tensor([star]), view).bits(Purpose.BINS, index)) == [key]


def test_shapes_and_rows():
    lots = Draws(0).of(torch.tensor([5, 3, 8]))
    table = lots.uniform(Purpose.WINDOW, torch.arange(4))
    assert table.shape == (3, 4) and table.dtype == torch.float64 and len(lots) == 3
    assert torch.equal(lots.uniform(Purpose.WINDOW, 2), table[:, 2]) and lots.uniform(Purpose.WINDOW).shape == (3,)
    index, row = torch.tensor([3, 0, 1, 3]), torch.tensor([0, 0, 2, 1])
    assert torch.equal(lots.uniform(Purpose.WINDOW, index, row), table[row, index])
    assert lots.normal(Purpose.NOISE, index, row).dtype == torch.float32


def test_a_number_depends_on_its_key_and_on_nothing_else():
    stars = torch.arange(50)
    whole = Draws(3, 2).of(stars, 1).normal(Purpose.NOISE, torch.arange(100))
    mixed = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Draws(3, 2).of(mixed, 1).normal(Purpose.NOISE, torch.arange(100)), whole[mixed])
    for star in range(0, 50, 7):
        for width in (1, 3, 100):
            alone = Draws(3, 2).of(stars[star : star + 1], 1).normal(Purpose.NOISE, torch.arange(width))
            assert torch.equal(alone[0], whole[star, :width])
    keys = list(itertools.product((0, 1), (0, 1, VALIDATION), (0, 1), Purpose))
    assert len(
        {tuple(Draws(seed, epoch).of(stars[:4], view).bits(purpose).tolist()) for seed, epoch, view, purpose in keys}
    ) == len(keys)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the processor")
def test_a_gpu_gives_the_same_numbers():
    ours, theirs = (Draws(3, 2).of(torch.arange(100, device=device), 1) for device in ("cpu", "cuda"))
    for how in ("bits", "uniform", "normal"):
        a, b = (getattr(lots, how)(Purpose.NOISE, torch.arange(500, device=lots.key.device)) for lots in (ours, theirs))
        torch.testing.assert_close(a, b.cpu(), atol=1e-6 if how == "normal" else 0, rtol=0)


@pytest.mark.parametrize("axis", AXES)
def test_numbers_are_uniform_along_every_part_of_the_key(axis):
    from scipy.stats import kstest

    values = along(axis).numpy()
    assert 0 <= values.min() and values.max() < 1
    assert kstest(values, "uniform").pvalue > 1e-4
    scaled = values * 2**53
    assert (scaled == np.floor(scaled)).all()
    assert (scaled % 2).mean() == pytest.approx(0.5, abs=LIMIT * 0.5 / len(scaled) ** 0.5)  # the lowest bit


@pytest.mark.parametrize("axis", AXES)
def test_neighbours_are_independent(axis):
    values = along(axis).numpy()
    for lag in (1, 2, 3):
        r = np.corrcoef(values[:-lag], values[lag:])[0, 1]
        assert abs(r) < LIMIT / len(values) ** 0.5
    # Ten by ten squares of neighbours hold what chance gives them; chi-squared of 99 has variance 198.
    n = len(values) // 2
    cells = np.bincount(
        (10 * values[: 2 * n : 2]).astype(int) * 10 + (10 * values[1 : 2 * n : 2]).astype(int), minlength=100
    )
    assert abs(((cells - n / 100) ** 2 / (n / 100)).sum() - 99) < LIMIT * 198**0.5


def test_purposes_views_epochs_and_seeds_are_independent_of_one_another():
    stars = torch.arange(N)
    lists = [Draws(0).of(stars).uniform(purpose) for purpose in Purpose]
    lists += [Draws(0).of(stars, view).uniform(Purpose.NOISE) for view in (1, 2)]
    lists += [Draws(0, epoch).of(stars).uniform(Purpose.NOISE) for epoch in (1, 2, VALIDATION)]
    lists += [Draws(seed).of(stars).uniform(Purpose.NOISE) for seed in (1, 2)]
    r = np.corrcoef(torch.stack(lists).numpy())
    assert np.abs(r[np.triu_indices(len(r), 1)]).max() < LIMIT / N**0.5


@pytest.mark.parametrize("axis", ["index", "star"])
def test_normals_are_normal_and_neighbours_independent(axis):
    from scipy.stats import kstest

    z = along(axis, how="normal").double().numpy()
    assert np.isfinite(z).all() and kstest(z, "norm").pvalue > 1e-4
    # Moments of a normal distribution: expectation of z^k, and its variance in one draw.
    for power, (expected, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        assert abs((z**power).mean() - expected) < LIMIT * (variance / N) ** 0.5
    assert max(abs(np.corrcoef(z[:-1], z[1:])[0, 1]), abs(np.corrcoef(z[:-1] ** 2, z[1:] ** 2)[0, 1])) < LIMIT / N**0.5


def test_the_extreme_bits_give_finite_normals(monkeypatch):
    from astraclr.train.counter_rng import StarDraws

    lots = Draws(0).of(ONE)
    for bits, expected in ((0, (2 * 32 * np.log(2)) ** 0.5), (-1, 0.0), (0xFFFFFFFF, 6.66)):
        monkeypatch.setattr(StarDraws, "bits", lambda *_, bits=bits: torch.tensor([bits]))
        assert lots.normal(Purpose.NOISE).item() == pytest.approx(expected, abs=0.01)
        assert 0 <= lots.uniform(Purpose.NOISE).item() < 1
