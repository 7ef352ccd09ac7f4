"""The simulator: reproducible, balanced, shaped like ZTF, and as hard as real surveys are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from astraclr.data.lightcurves import PAPER_CUT, LightCurves
from astraclr.data.taxonomy import CLASSES
from astraclr.simulation import realism
from astraclr.simulation.cadence import MJD_END, MJD_START, ztf_fields
from astraclr.simulation.classes import KINDS, PERIODIC
from astraclr.simulation.simulate import _draw_stars, drawn_numbers, simulate, templates

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stars() -> LightCurves:
    return simulate(1_200, seed=3)


@pytest.fixture(scope="module")
def real() -> LightCurves:
    """Well-observed real ZTF stars, where a reader has them."""
    path = Path(os.environ.get("ASTRACLR_REAL_DATA", ROOT.parent / "shared" / "real")) / "ztf.parquet"
    if not path.exists():
        pytest.skip(f"no real photometry at {path}; set ASTRACLR_REAL_DATA to the folder that holds ztf.parquet")
    return realism.within(LightCurves.from_rows(pd.read_parquet(path))).with_counts({"g": 100, "r": 100})


def same(a: LightCurves, b: LightCurves) -> bool:
    columns = ("mjd", "mag", "magerr", "offsets", "object_id", "label", "period")
    return all(getattr(a, c).tobytes() == getattr(b, c).tobytes() for c in columns)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_sky():
    assert same(simulate(50, seed=5), simulate(50, seed=5))
    assert not same(simulate(50, seed=5), simulate(50, seed=6))


def test_a_star_does_not_depend_on_how_many_are_made(stars):
    assert same(simulate(7, seed=3), stars[:7])
    assert same(simulate(1_003, seed=3), stars[:1_003])  # across the end of a chunk


def test_output_is_what_tidying_would_leave(stars):
    segment = np.repeat(np.arange(stars.counts.size), stars.counts.ravel())
    tidy = LightCurves.from_arrays(
        segment // 3,
        segment % 3,
        stars.mjd,
        stars.mag,
        stars.magerr,
        object_id=stars.object_id,
        label=stars.label,
        period=stars.period,
    )
    assert same(tidy, stars) and not tidy.notes
    assert (stars.mjd.dtype, stars.mag.dtype, stars.magerr.dtype) == (np.float64, np.float32, np.float32)
    assert stars.object_id[12] == "sim-3-000012"


def test_classes_are_balanced_and_shuffled():
    clean = simulate(240, seed=1, difficulty=0)
    names, counts = np.unique(clean.label, return_counts=True)
    assert set(names) == set(CLASSES) and set(counts) == {20}
    assert not np.array_equal(clean.label[:12], clean.label[12:24])


def test_a_few_labels_are_wrong(stars):
    _, counts = np.unique(stars.label, return_counts=True)
    assert counts.min() > 75 and counts.max() < 125  # 100 each, 5 % of them moved elsewhere
    clean = simulate(1_200, seed=3, difficulty=0)  # the same draws, so the same true classes
    assert 0.02 < np.mean(clean.label != stars.label) < 0.08


def test_epochs_seasons_and_cut(stars):
    counts = stars.counts
    assert 200 < np.median(counts[:, 0]) < 320 and 220 < np.median(counts[:, 1]) < 420
    assert 0.25 < np.mean(counts[:, 2] == 0) < 0.65 and counts[:, 2].max() < 130
    assert counts.sum(1).min() > 0
    assert 0.65 < len(stars.with_counts(PAPER_CUT)) / len(stars) < 0.95
    assert stars.mjd.min() >= MJD_START and stars.mjd.max() <= MJD_END
    gaps = np.diff(stars.star(0)["r"][0])
    assert (gaps > 60).sum() >= 3 and 1 < np.median(gaps[gaps > 0.5]) < 5


def test_periods_belong_to_periodic_classes_and_fold_the_light_curve():
    clean = simulate(240, seed=1, difficulty=0)
    assert np.array_equal(np.isfinite(clean.period), np.isin(clean.label, PERIODIC))
    rr = clean.with_labels(["RR"])
    assert 0.2 <= rr.period.min() and rr.period.max() <= 0.9
    for k in range(len(rr)):  # folded neighbours are alike, neighbours in time are not
        mjd, mag, _ = rr.star(k)["g"]
        folded = mag[np.argsort(mjd / rr.period[k] % 1)]
        assert np.std(np.diff(folded)) < 0.5 * np.std(np.diff(mag))


def test_errors_grow_with_magnitude_and_describe_the_scatter(stars):
    edges = [14, 16, 17, 18, 19, 20]
    bins = np.digitize(stars.mag, edges)
    medians = [np.median(stars.magerr[bins == k]) for k in range(1, len(edges))]
    assert np.all(np.diff(medians) > 0) and 0.011 < medians[0] < 0.014
    assert stars.mag.min() > 12 and stars.mag.max() < 22 and stars.magerr.min() >= 0.0119


def test_difficulty_shrinks_amplitudes_and_dims_stars():
    spread, faintness = [], []
    for difficulty in (0.0, 1.0, 2.0):
        lc = simulate(60, seed=2, classes=["RR"], difficulty=difficulty)
        spread.append(np.median([np.std(lc.star(k)["g"][1]) for k in range(60)]))
        faintness.append(np.median(lc.mag))
    assert spread[0] > spread[1] > spread[2] and faintness[0] < faintness[1] < faintness[2]


def test_templates_are_normalised():
    rng = np.random.default_rng(0)
    shape = templates(rng, _draw_stars(rng, np.repeat(CLASSES, 10), 1.0))
    assert np.all(np.abs(shape.mean(1)) < 1e-5)
    extent = np.ptp(shape, axis=1)
    assert np.all((np.abs(extent - 1) < 1e-5) | (extent == 0)) and (extent == 0).sum() == 10  # AGN have no period


def test_every_class_has_a_recipe():
    assert {kind.label for kind in KINDS} == set(CLASSES)


def test_fields_are_sorted_and_in_season():
    fields = ztf_fields()
    for k in range(len(fields.offsets) - 1):
        assert np.all(np.diff(fields.mjd[fields.offsets[k] : fields.offsets[k + 1]]) > 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_stars": 0}, "n_stars is 0; it must be at least 1"),
        ({"n_stars": -3}, "n_stars is -3"),
        ({"n_stars": 3, "seed": -1}, "seed is -1"),
        ({"n_stars": 3, "difficulty": 7}, "difficulty is 7"),
        ({"n_stars": 3, "difficulty": float("nan")}, "difficulty is nan"),
        ({"n_stars": 3, "classes": ["RR", "MIRA"]}, r"MIRA.*'AGN'"),
        ({"n_stars": 3, "classes": ["RR", "RR"]}, "each once"),
        ({"n_stars": 3, "classes": []}, "choose some of"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)


# -- beside real ZTF -----------------------------------------------------------------------------------------------


def check_agreement(table: pd.DataFrame) -> None:
    """Medians agree within the factors stated here; what differs is told in the chapter, not hidden."""
    ratio = (table["simulated"] / table["real"]).groupby(table["quantity"]).agg(["min", "max"])
    for quantity, low, high in [
        ("epochs", 0.7, 1.4),
        ("amplitude, 5 to 95 % (mag)", 0.7, 1.4),
        ("error (mag)", 0.7, 1.7),
        ("longest gap (d)", 0.7, 1.3),
        ("upper quartile of gaps (d)", 0.7, 1.4),
    ]:
        assert low < ratio.loc[quantity, "min"] and ratio.loc[quantity, "max"] < high, (quantity, ratio.loc[quantity])


def test_simulated_stars_agree_with_the_shipped_aggregates_of_real_ones(stars):
    table = realism.compare(real=realism.load(ROOT / "data" / "realism_ztf.json"), simulated=realism.statistics(stars))
    assert {"RR", "ECL"} <= set(table["group"]) and len(table) > 15
    check_agreement(table.loc[table["real"] > 0])


@pytest.mark.real
def test_shipped_aggregates_are_those_of_the_real_stars(real):
    shipped = realism.load(ROOT / "data" / "realism_ztf.json")
    pd.testing.assert_frame_equal(realism.statistics(real), shipped, check_dtype=False)


def test_statistics_describe_groups_only(stars, tmp_path):
    table = realism.statistics(stars)
    assert table["stars"].to_numpy().min() >= realism.MIN_STARS
    with pytest.raises(ValueError, match="3 stars and no group of 20"):
        realism.statistics(stars[:3])
    realism.save(table, tmp_path / "table.json", "simulated")
    back = realism.load(tmp_path / "table.json")
    pd.testing.assert_frame_equal(back, table, check_dtype=False)
    assert back.attrs["about"] == "simulated"
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        realism.load(tmp_path / "nowhere.json")
    with pytest.raises(ValueError, match="give tables by name"):
        realism.compare()


def test_the_shipped_sample_is_what_its_card_says():
    shipped, again = LightCurves.load(ROOT / "data" / "sample.parquet"), simulate(360, seed=7)
    assert np.array_equal(shipped.label, again.label) and np.array_equal(shipped.object_id, again.object_id)
    assert abs(shipped.n_obs / again.n_obs - 1) < 1e-3  # other processors round an epoch at the limit differently


def test_numbers_drawn_are_those_of_the_light_curves():
    """Replayed draws: periods to the last bit, numbers in their kind's ranges, and the class a subclass belongs to."""
    lc, p = simulate(1_003, seed=3, difficulty=0), drawn_numbers(1_003, seed=3, difficulty=0)
    known = np.isfinite(lc.period)
    assert known.sum() > 600 and np.array_equal(p["period"][known], lc.period[known])
    kinds = [KINDS[k] for k in p["kind"]]
    assert [kind.label for kind in kinds] == lc.label.tolist()  # no label is wrong at difficulty 0
    clean = drawn_numbers(1_003, seed=3, difficulty=1)
    for name in ("period", "amplitude", "rise"):
        low, high = np.array([getattr(kind, name) for kind in kinds]).T
        assert np.all((clean[name] >= low * (1 - 1e-5)) & (clean[name] <= high * (1 + 1e-5)))
    names = {label: set(p["subclass"][lc.label == label]) for label in ("RR", "ECL", "CEP")}
    assert names == {"RR": {"RRab", "RRc"}, "ECL": {"EA", "EB", "EW"}, "CEP": {"CEP"}}
    assert 0.5 < np.mean(p["subclass"][lc.label == "RR"] == "RRab") < 0.8


def test_subclasses_do_not_depend_on_how_many_and_follow_the_light_curve():
    a, b = (drawn_numbers(n, seed=4, classes=["RR"])["subclass"] for n in (400, 10))
    assert np.array_equal(a[:10], b)
    lc = simulate(400, seed=4, classes=["RR"])
    spread = np.array([np.std(lc.star(k)["g"][1]) for k in range(400)])
    assert np.median(spread[a == "RRab"]) > np.median(spread[a == "RRc"])
    with pytest.raises(ValueError, match="seed is -1"):
        drawn_numbers(3, seed=-1)
