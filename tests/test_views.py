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
    assert all(torch.equal(x, y) for v, w in zip(a, b, strict=True) for x, y in zip(v[:4], w[:4], strict=True))
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
