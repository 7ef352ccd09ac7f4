import numpy as np
import pytest
import torch

from astraclr.lightcurves import LightCurves
from astraclr.preparation import prepare
from astraclr.presets import RECIPES, View, preset
from astraclr.views import (
    OUTLIER_BRIGHT,
    OUTLIER_FAINT,
    kept_after_bin_dropout,
    make_view,
    make_views,
    random_windows,
    with_outlier,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_views_of_a_recipe_have_the_lengths_of_the_preset(stars):
    data, small = prepare(stars[:16]), preset("tiny")
    anchor, canonical, hard = make_views(data, torch.arange(16), small, RECIPES["corrected"], generator())
    counts = torch.as_tensor(stars[:16].counts)
    for view, fraction in ((anchor, 1.0), (canonical, 0.5)):
        window = torch.tensor([int(fraction * n) for _, n in small.windows])
        assert torch.equal((~view.mask).sum(1), torch.minimum(counts, window).sum(1))
    assert ((~hard.mask).sum(1) <= (~anchor.mask).sum(1)).all()


def test_equal_seeds_give_equal_views_and_other_seeds_do_not(stars):
    data = prepare(stars[:8])
    a, b, c = (make_views(data, torch.arange(8), preset("tiny"), RECIPES["corrected"], generator(s)) for s in (1, 1, 2))
    assert all(torch.equal(x, y) for v, w in zip(a, b, strict=True) for x, y in zip(v, w, strict=True))
    assert not torch.equal(a[0].times, c[0].times)


def test_a_view_without_noise_holds_consecutive_observations_of_the_star(stars):
    data = prepare(stars[:1])
    view = make_view(data, torch.tensor([0]), View("plain"), preset("tiny"), RECIPES["corrected"], generator())
    g = stars[:1].star(0)["g"][0] - 58_000
    seen = view.times[0][torch.isclose(view.band[0], data.log_wavelength[0])].numpy()
    start = np.flatnonzero(g == seen[0])[0]
    np.testing.assert_array_equal(seen, g[start : start + len(seen)])


@pytest.mark.parametrize(("last_start", "highest"), [(True, 7), (False, 6)])
def test_window_starts_are_uniform_and_the_paper_misses_the_last(last_start, highest):
    n = 20_000
    count = torch.full((n, 1), 10)
    first = torch.zeros_like(count)
    positions, _ = random_windows(first, count, torch.tensor([3]), last_start, generator())
    start = positions.view(n, 3)[:, 0]
    seen = torch.bincount(start)
    assert len(seen) == highest + 1
    expected = n / (highest + 1)
    assert (seen - expected).abs().max() < 5 * expected**0.5


def test_a_short_band_is_taken_whole():
    positions, segment = random_windows(torch.tensor([[4, 9]]), torch.tensor([[2, 0]]), torch.tensor([5, 5]), True,
                                        generator())  # fmt: skip
    assert positions.tolist() == [4, 5] and segment.tolist() == [0, 0]


@pytest.mark.parametrize("case", ["hand", "dense", "sparse", "tiny"])
@pytest.mark.parametrize("rate", [0.5, 0.3, 0.0])
def test_rank_rule_drops_with_the_reference_probabilities(oracles, case, rate):
    arrays, n = oracles("binning"), 1_000
    times = torch.as_tensor(arrays[f"{case}/in"][:, 0], dtype=torch.float64)
    row = torch.arange(n).repeat_interleave(len(times))
    keep = kept_after_bin_dropout(times.repeat(n), row, rate, "ranks", generator(3)).view(n, -1)
    expected = arrays[f"{case}/drop{rate}/theory_drop_prob_buggy"]
    dropped = 1 - keep.double().mean(0).numpy()
    # Five standard deviations; points of one bin fall together, so far fewer than len(times) are independent.
    assert np.all(np.abs(dropped - expected) <= 5 * np.sqrt(expected * (1 - expected) / n) + 1e-9)


def test_share_rule_drops_that_share_of_the_occupied_bins():
    times = torch.cat([torch.arange(40) * 5.0 + 1, torch.arange(40) * 5.0 + 2]).sort().values
    keep = kept_after_bin_dropout(times, torch.zeros(80, dtype=torch.long), 0.5, "share", generator())
    assert keep.sum() == 40
    bins = keep.view(40, 2)
    assert torch.equal(bins[:, 0], bins[:, 1])  # a bin falls whole


def test_dropped_points_use_up_the_window_only_in_the_paper(stars):
    data, view = prepare(stars[:32]), View("hard", 1.0, 0.0, 0.5)
    lengths = {name: (~make_view(data, torch.arange(32), view, preset("tiny"), recipe, generator()).mask).sum(1)
               for name, recipe in RECIPES.items()}  # fmt: skip
    assert lengths["corrected"].float().mean() > lengths["paper"].float().mean()


def test_nothing_is_left_without_observations():
    times, row = torch.zeros(3, dtype=torch.float64), torch.tensor([0, 1, 2])
    assert kept_after_bin_dropout(times, row, 1.0, "share", generator()).all()


def test_outlier_values_and_sides():
    n = 4_000
    row = torch.arange(n).repeat_interleave(3)
    bright = with_outlier(torch.zeros(3 * n), row, n, "bright", generator())
    assert ((bright != 0).view(n, 3).sum(1) == 1).all()
    values = bright[bright != 0]
    assert values.max() <= OUTLIER_BRIGHT and values.min() >= OUTLIER_BRIGHT - 0.5
    both = with_outlier(torch.zeros(3 * n), row, n, "both", generator())
    faint = both[both > 0]
    assert abs(len(faint) / n - 0.5) < 0.05 and faint.min() >= OUTLIER_FAINT


def test_a_window_that_bin_drop_out_would_empty_is_kept_whole():
    # A dense night of 300 points beside sparse ones: a window of 40 points can lie in one dropped bin.
    night = 58_300 + np.linspace(0, 0.3, 300)
    sparse = 58_200 + 10.0 * np.arange(30)
    mjd = np.tile(np.concatenate([night, sparse]), 12)
    star = np.repeat(np.arange(12), 330)
    crowded = prepare(LightCurves.from_arrays(star, np.zeros_like(star), mjd, np.full(len(mjd), 15.0),
                                              np.full(len(mjd), 0.1)))  # fmt: skip
    for seed in range(5):
        view = make_view(crowded, torch.arange(12), View("hard", 1.0, 0.0, 0.5), preset("tiny"), RECIPES["paper"],
                         generator(seed))  # fmt: skip
        assert ((~view.mask).sum(1) > 0).all()


def test_outliers_are_drawn_where_and_as_the_reference_draws_them(oracles):
    arrays, n = oracles("outlier"), 3_000
    open_places = np.flatnonzero(arrays["mask"] == 0)
    row = torch.arange(n).repeat_interleave(len(open_places))
    drawn = with_outlier(torch.zeros(len(row)), row, n, "bright", generator(1)).view(n, -1)
    ours = np.bincount(drawn.ne(0).nonzero()[:, 1].numpy(), minlength=len(open_places))
    theirs = np.bincount(arrays["drawn_positions"], minlength=50)[open_places]
    assert theirs.sum() == n and set(arrays["drawn_positions"]) <= set(open_places)
    expected = n / len(open_places)
    assert np.abs(ours - expected).max() < 5 * expected**0.5 > np.abs(theirs - expected).max()
    for probability in (0.1, 0.5, 0.9):
        assert np.quantile(drawn[drawn != 0], probability) == pytest.approx(
            np.quantile(arrays["drawn_values"], probability), abs=0.03)  # fmt: skip
