from dataclasses import replace

import numpy as np
import pytest
import torch

from astraclr.config import RECIPES, View, preset
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.train.augmentations import (
    OUTLIER_BRIGHT,
    OUTLIER_FAINT,
    _occupied,
    kept_after_bin_dropout,
    with_outlier,
)
from astraclr.train.counter_rng import Draws
from astraclr.train.views import make_view, make_views, random_windows


def lots(n, seed=0):
    return Draws(seed).of(torch.arange(n))


def switched(**fields):
    return replace(RECIPES["corrected"], name="switched", **fields)


HOWS = {
    **RECIPES,
    "shared": switched(shared_window=True),
    "in place": switched(drop_in_place=True, bin_rule="ranks"),
    "window": switched(centring="window", error_input=True),
}


def shown(views):
    """What every star's views show, padding left out: a list, a star each, of bytes."""
    return [
        b"".join(t[k][~view.mask[k]].numpy().tobytes() for view in views for t in view if t is not None)
        for k in range(len(views[0].mag))
    ]


@pytest.fixture(scope="module")
def data(stars):
    return prepare(stars)


def test_views_of_a_recipe_have_the_lengths_of_the_preset(stars):
    data, small = prepare(stars[:16]), preset("tiny")
    anchor, canonical, hard = make_views(data, torch.arange(16), small, RECIPES["corrected"], Draws(0))
    counts = torch.as_tensor(stars[:16].counts)
    for view, fraction in ((anchor, 1.0), (canonical, 0.5)):
        window = torch.tensor([int(fraction * n) for _, n in small.windows])
        assert torch.equal((~view.mask).sum(1), torch.minimum(counts, window).sum(1))
    assert ((~hard.mask).sum(1) <= (~anchor.mask).sum(1)).all()


@pytest.mark.parametrize("how", HOWS)
def test_a_star_has_the_same_views_in_any_batch_order_and_part_of_the_data(stars, data, how):
    n, chosen, draws = 40, HOWS[how], Draws(5, 3)
    everyone = torch.arange(n)
    whole = shown(make_views(data, everyone, preset("tiny"), chosen, draws))
    assert len(set(whole)) == n

    def in_batches(rows, size, data=data, keys=None):
        keys = rows if keys is None else keys
        return [
            star
            for part, names in zip(rows.split(size), keys.split(size), strict=True)
            for star in shown(make_views(data, part, preset("tiny"), chosen, draws, names))
        ]

    assert in_batches(everyone, 1) == in_batches(everyone, 7) == in_batches(everyone, 13) == whole
    assert in_batches(everyone.flip(0), n) == in_batches(everyone.flip(0), 7) == whole[::-1]
    part = torch.arange(11, 29)
    assert in_batches(torch.arange(18), 7, prepare(stars[11:29]), part) == whole[11:29]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="compares a GPU with the processor")
@pytest.mark.parametrize("how", ["corrected", "paper"])
def test_a_star_has_the_same_views_on_a_gpu(stars, data, how):
    everyone = torch.arange(len(stars))
    ours = make_views(data, everyone, preset("tiny"), RECIPES[how], Draws(5, 3))
    theirs = make_views(prepare(stars, "cuda"), everyone.cuda(), preset("tiny"), RECIPES[how], Draws(5, 3))
    for a, b in zip(ours, theirs, strict=True):
        b = b.to("cpu")
        assert torch.equal(a.times, b.times) and torch.equal(a.band, b.band) and torch.equal(a.mask, b.mask)
        torch.testing.assert_close(a.mag, b.mag, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("how", HOWS)
def test_views_differ_between_seeds_epochs_stars_and_views(data, how):
    same = replace(HOWS[how], views=2 * HOWS[how].views[-1:])
    twice = make_views(data, torch.arange(8), preset("tiny"), same, Draws(1))
    first, second = ([view] for view in twice)
    others = [make_views(data, torch.arange(8), preset("tiny"), same, draws)[:1] for draws in (Draws(2), Draws(1, 1))]
    keyed = make_views(data, torch.arange(8), preset("tiny"), same, Draws(1), torch.arange(8) + 8)[:1]
    for other in (second, keyed, *others):
        assert all(a != b for a, b in zip(shown(first), shown(other), strict=True))


def test_the_noise_of_a_point_does_not_change_with_the_window_around_it(data):
    def noise(size):
        """{(star, time, band): noise}"""
        found, stars = {}, torch.arange(32)
        quiet, loud = (
            make_view(data, stars, View("v", 1.0, s), preset(size), switched(noise_unit="mag"), Draws(4).of(stars))
            for s in (0.0, 1.0)
        )
        for star, keep in enumerate(~quiet.mask):
            key = zip(quiet.times[star][keep].tolist(), quiet.band[star][keep].tolist(), strict=True)
            added = (loud.mag - quiet.mag)[star][keep].tolist()
            found |= {(star, *where): value for where, value in zip(key, added, strict=True)}
        return found

    few, many = noise("tiny"), noise("laptop")
    both = few.keys() & many.keys()
    assert len(both) > 500 and len(many) > 2 * len(few)
    assert [few[k] for k in both] == pytest.approx([many[k] for k in both], abs=1e-5)
    assert np.std(list(many.values())) == pytest.approx(1.0, abs=0.05)


def test_a_view_without_noise_holds_consecutive_observations_of_the_star(stars):
    data = prepare(stars[:1])
    one = torch.tensor([0])
    view = make_view(data, one, View("plain"), preset("tiny"), RECIPES["corrected"], Draws(0).of(one))
    g = stars[:1].star(0)["g"][0] - 58_000
    seen = view.times[0][torch.isclose(view.band[0], data.log_wavelength[0])].numpy()
    start = np.flatnonzero(g == seen[0])[0]
    np.testing.assert_array_equal(seen, g[start : start + len(seen)])


@pytest.mark.parametrize(("last_start", "highest"), [(True, 7), (False, 6)])
def test_window_starts_are_uniform_and_the_paper_misses_the_last(last_start, highest):
    n = 20_000
    count = torch.full((n, 1), 10)
    first = torch.zeros_like(count)
    positions, _ = random_windows(first, count, torch.tensor([3]), last_start, lots(n))
    start = positions.view(n, 3)[:, 0]
    seen = torch.bincount(start)
    assert len(seen) == highest + 1
    expected = n / (highest + 1)
    assert (seen - expected).abs().max() < 5 * expected**0.5


def test_a_short_band_is_taken_whole():
    first, count, longest = torch.tensor([[4, 9]]), torch.tensor([[2, 0]]), torch.tensor([5, 5])
    positions, segment = random_windows(first, count, longest, True, lots(1))
    assert positions.tolist() == [4, 5] and segment.tolist() == [0, 0]


def test_share_rule_drops_that_share_of_the_occupied_bins():
    times = torch.cat([torch.arange(40) * 5.0 + 1, torch.arange(40) * 5.0 + 2]).sort().values
    keep = kept_after_bin_dropout(times, torch.zeros(80, dtype=torch.long), 0.5, "share", lots(1))
    assert keep.sum() == 40
    bins = keep.view(40, 2)
    assert torch.equal(bins[:, 0], bins[:, 1])  # a bin falls whole


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 1.0])
def test_every_light_curve_loses_its_own_share_and_every_bin_is_as_likely(rate):
    n_bins, n = [3, 10, 1, 7], 1_000
    times = torch.cat([5.0 * torch.arange(k) + 1 for k in n_bins] * n)
    row = torch.arange(4 * n).repeat_interleave(torch.tensor(n_bins * n))
    kept = kept_after_bin_dropout(times, row, rate, "share", lots(4 * n)).view(n, -1).split(n_bins, dim=1)
    for size, left in zip(n_bins, kept, strict=True):
        expected = round(rate * size)
        expected = 0 if expected == size else expected  # what would lose everything keeps everything
        assert ((~left).sum(1) == expected).all()
        p = expected / size
        assert ((~left).sum(0) - n * p).abs().max() <= 5 * (n * p * (1 - p)) ** 0.5


def test_occupied_bins_are_found_by_a_table_or_where_it_would_not_fit_in_memory_by_sorting():
    cell = torch.tensor([7, 3, 3, 900, 0, 7])
    for n_cells in (901, 10**15):
        occupied, bin_of = _occupied(cell, n_cells)
        assert occupied.tolist() == [0, 3, 7, 900] and bin_of.tolist() == [2, 1, 1, 3, 0, 2]


@pytest.mark.parametrize("rule", ["share", "ranks"])
def test_a_star_beside_one_of_a_million_days_loses_what_it_loses_alone(rule):
    rng = np.random.default_rng(0)
    times = torch.tensor(np.concatenate([rng.uniform(0, 2_000, 300), rng.uniform(0, 1e6, 30), rng.uniform(0, 90, 60)]))
    row = torch.arange(3).repeat_interleave(torch.tensor([300, 30, 60]))
    together = kept_after_bin_dropout(times, row, 0.5, rule, lots(3))
    for k in range(3):
        alone = kept_after_bin_dropout(times[row == k], 0 * row[row == k], 0.5, rule, Draws(0).of(torch.tensor([k])))
        assert torch.equal(together[row == k], alone)
        assert 0 < alone.sum() < len(alone) or (k, rule) == (1, "ranks")  # ranks are lower than numbers so far apart


def test_dropped_points_use_up_the_window_only_in_the_paper(stars):
    data, view = prepare(stars[:32]), View("hard", 1.0, 0.0, 0.5)
    lengths = {
        name: (~make_view(data, torch.arange(32), view, preset("tiny"), recipe, lots(32)).mask).sum(1)
        for name, recipe in RECIPES.items()
    }
    assert lengths["corrected"].float().mean() > lengths["paper"].float().mean()


def test_nothing_is_left_without_observations():
    times, row = torch.zeros(3, dtype=torch.float64), torch.tensor([0, 1, 2])
    assert kept_after_bin_dropout(times, row, 1.0, "share", lots(3)).all()


def test_outlier_values_and_sides():
    n = 4_000
    row = torch.arange(n).repeat_interleave(3)
    bright = with_outlier(torch.zeros(3 * n), row, "bright", lots(n))
    assert ((bright != 0).view(n, 3).sum(1) == 1).all()
    values = bright[bright != 0]
    assert values.max() <= OUTLIER_BRIGHT and values.min() >= OUTLIER_BRIGHT - 0.5
    both = with_outlier(torch.zeros(3 * n), row, "both", lots(n))
    faint = both[both > 0]
    assert abs(len(faint) / n - 0.5) < 0.05 and faint.min() >= OUTLIER_FAINT
    reach = torch.where(both > 0, both - OUTLIER_FAINT, OUTLIER_BRIGHT - both)
    far = (both != 0) & (reach > 0.25)
    for side in (both > 0, both < 0):  # the side says nothing of the reach
        assert reach[side].mean().item() == pytest.approx(0.25, abs=5 * 0.5 / 12**0.5 / side.sum().item() ** 0.5)
    for kind in (both > 0, both < 0, far):  # nor do they of the place
        p = kind.float().mean()
        assert (kind.view(n, 3).float().mean(0) - p).abs().max() < 5 * (p * (1 - p) / n) ** 0.5


def test_a_window_that_bin_drop_out_would_empty_is_kept_whole():
    # A dense night of 300 points beside sparse ones: a window of 40 points can lie in one dropped bin.
    night = 58_300 + np.linspace(0, 0.3, 300)
    sparse = 58_200 + 10.0 * np.arange(30)
    mjd = np.tile(np.concatenate([night, sparse]), 12)
    star = np.repeat(np.arange(12), 330)
    crowded = prepare(
        LightCurves.from_arrays(star, np.zeros_like(star), mjd, np.full(len(mjd), 15.0), np.full(len(mjd), 0.1))
    )
    for seed in range(5):
        view = make_view(
            crowded, torch.arange(12), View("hard", 1.0, 0.0, 0.5), preset("tiny"), RECIPES["paper"], lots(12, seed)
        )
        assert ((~view.mask).sum(1) > 0).all()
