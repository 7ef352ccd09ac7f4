"""What is drawn at random: exactly where the reference is determined, by distribution where it is not.

A row of the table whose name ends in "standard deviations" or "distance" holds a statistic of our draws, and its limit.
"""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, View, preset
from astraclr.data.tokens import Prepared
from astraclr.train import augmentations, views
from astraclr.train.counter_rng import Draws, StarDraws

PAPER = RECIPES["paper"]
CASES = ["hand", "dense", "sparse", "tiny"]
LIMIT = 5
"""Standard deviations: one in two million draws lies beyond."""


def in_deviations(counts, n, probability):
    """Counts of `n` draws minus their expectation, in standard deviations of the binomial distribution."""
    probability = np.broadcast_to(probability, np.shape(counts))
    return (np.asarray(counts) - n * probability) / np.sqrt(n * probability * (1 - probability))


def kept(times, rate, n=1, seed=0):
    """(n, n_points) what our rank rule leaves of n copies of one light curve."""
    times = torch.as_tensor(times, dtype=torch.float64)
    row = torch.arange(n).repeat_interleave(len(times))
    lots = Draws(seed).of(torch.arange(n))
    return augmentations.kept_after_bin_dropout(times.repeat(n), row, rate, PAPER.bin_rule, lots).view(n, -1)


# Windows


@pytest.mark.parametrize("extra", [1, 2, 3, 5])
def test_window_starts_are_uniform_and_of_each_band_their_own(oracles, parity, extra):
    possible, n = len(oracles("windows")[f"get_window_pivots/extra{extra}"]), 6_000
    lengths, bands = {"g": 12, "r": 14, "i": 4}, {"g": 4746.48, "r": 6366.38, "i": 7829.03}
    counts = [length + extra for length in lengths.values()]
    # The time of an observation is its place in its band, so that a window's first time is its start.
    times = torch.cat([torch.arange(count, dtype=torch.float64) for count in counts])
    star = Prepared(
        torch.zeros(len(times)),
        times,
        torch.ones(len(times)),
        torch.tensor([0, *np.cumsum(counts)]),
        torch.tensor(np.log10([*bands.values()])),
        bands,
    )
    size = replace(preset("tiny"), windows=tuple(lengths.items()))
    same, keys = torch.zeros(n, dtype=torch.long), torch.arange(n)
    tokens = views.make_view(star, same, View("plain"), size, PAPER, Draws(extra).of(keys))
    assert not tokens.mask.any() and tokens.times.shape == (n, 30)
    starts = tokens.times[:, [0, 12, 26]].long().numpy().T
    theirs = np.zeros(3 * possible)
    if possible == 1:
        assert (starts == 0).all()
        return
    ours = np.concatenate([in_deviations(np.bincount(s, minlength=possible), n, 1 / possible) for s in starts])
    parity("windows: starts of each band are uniform, standard deviations", LIMIT, ours, theirs)
    pairs = np.concatenate(
        [np.bincount(possible * starts[a] + starts[b], minlength=possible**2) for a, b in ((0, 1), (0, 2), (1, 2))]
    )
    parity(
        "windows: starts of two bands are independent, standard deviations",
        LIMIT,
        in_deviations(pairs, n, possible**-2),
        np.zeros(3 * possible**2),
    )


# Bin drop-out


@pytest.mark.parametrize("case", CASES)
def test_bin_numbers(oracles, parity, case):
    arrays = oracles("binning")
    times = torch.as_tensor(arrays[f"{case}/in"][:, 0], dtype=torch.float64)
    ours = augmentations.bin_numbers(times, torch.zeros(len(times), dtype=torch.long), 1, PAPER.bin_rule)
    parity("bin drop-out: bin of each point", 0, ours, arrays[f"{case}/bin_index"])


@pytest.mark.parametrize("case", CASES)
def test_ranks_decide_what_the_drawing_of_one_bin_drops(oracles, parity, monkeypatch, case):
    """At rate 0 one bin is drawn all the same: each in turn, by giving it the lowest number of the lot."""
    arrays = oracles("binning")
    rank, bins = arrays[f"{case}/time_index"], np.sort(arrays[f"{case}/uniq_bin_index"])
    ours = []
    for k in range(len(bins)):
        lot = torch.ones(len(bins), dtype=torch.long)
        lot[k] = 0
        monkeypatch.setattr(StarDraws, "bits", lambda *_, lot=lot: lot)
        ours.append(~kept(arrays[f"{case}/in"][:, 0], 0.0)[0])
    parity("bin drop-out: what each bin drops, by rank", 0, torch.stack(ours), rank == bins[:, None])


@pytest.mark.parametrize("case", CASES)
def test_rate_one_drops_what_the_reference_drops(oracles, parity, case):
    arrays = oracles("binning")
    mask = arrays[f"{case}/drop1.0/mask"] == 1
    assert 0 < mask.sum() < len(mask), "not everything is dropped"
    left = kept(arrays[f"{case}/in"][:, 0], 1.0)[0].numpy()
    parity("bin drop-out: mask at rate 1", 0, ~left, mask)
    assert ((arrays[f"{case}/in"] * left[:, None]) == arrays[f"{case}/drop1.0/out"]).all()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rate", [0.5, 0.3, 0.0])
def test_probabilities_of_being_dropped(oracles, parity, case, rate):
    arrays, n = oracles("binning"), 2_000
    key = f"{case}/drop{rate}"
    expected, draws = arrays[f"{key}/theory_drop_prob_buggy"], int(arrays[f"{key}/draws"])
    never = expected == 0
    fallen = (~kept(arrays[f"{case}/in"][:, 0], rate, n, seed=3)).sum(0).numpy()
    counts = (fallen, n), (draws * arrays[f"{key}/empirical_drop_prob"], draws)
    ours, theirs = (in_deviations(count[~never], total, expected[~never]) for count, total in counts)
    assert np.abs(theirs).max() < LIMIT, "their draws follow the formula"
    parity(
        f"bin drop-out, rate {rate}: share of draws that drop a point, standard deviations",
        LIMIT,
        ours,
        np.zeros(len(ours)),
    )
    if never.any():
        parity(
            f"bin drop-out, rate {rate}: draws that drop a point of probability 0",
            0,
            fallen[never],
            np.zeros(never.sum()),
        )


# Outliers


@pytest.fixture(scope="module")
def outliers(oracles):
    """(n, n_open) magnitudes after our outlier, all others 0, and the places that the reference leaves open."""
    arrays, n = oracles("outlier"), 3_000
    places = np.flatnonzero(arrays["mask"] == 0)
    row = torch.arange(n).repeat_interleave(len(places))
    drawn = augmentations.with_outlier(torch.zeros(len(row)), row, PAPER.outlier_sides, Draws(1).of(torch.arange(n)))
    return arrays, drawn.view(n, -1), places


def test_where_outliers_fall(outliers, parity):
    arrays, drawn, places = outliers
    assert (drawn.ne(0).sum(1) == 1).all() and set(arrays["drawn_positions"]) == set(places)
    theirs = np.bincount(arrays["drawn_positions"], minlength=50)[places]
    ours = drawn.ne(0).sum(0).numpy()
    assert theirs.sum() == ours.sum() == len(drawn)
    assert np.abs(in_deviations(theirs, len(drawn), 1 / len(places))).max() < LIMIT
    parity(
        "outlier: each open place is as likely, standard deviations",
        LIMIT,
        in_deviations(ours, len(drawn), 1 / len(places)),
        np.zeros(len(places)),
    )


def test_how_bright_outliers_are(outliers, parity):
    from scipy.stats import ks_2samp

    arrays, drawn, _ = outliers
    ours, theirs = drawn[drawn != 0].numpy(), arrays["drawn_values"]
    parity(
        "outlier: brightest and faintest ordinary magnitude",
        5e-6,
        [augmentations.OUTLIER_BRIGHT, augmentations.OUTLIER_FAINT],
        [arrays["saturation"], arrays["limit"]],
    )
    brightest = augmentations.OUTLIER_BRIGHT - augmentations.OUTLIER_REACH
    for values in (ours, theirs):
        assert brightest - 1e-6 <= values.min() and values.max() <= augmentations.OUTLIER_BRIGHT
    # Two samples of 3,000 of one distribution are further apart once in a thousand times.
    parity("outlier: values, Kolmogorov-Smirnov distance", 0.0503, cast(Any, ks_2samp(ours, theirs)).statistic, 0)
