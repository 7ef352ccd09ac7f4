"""From raw observations to tokens: centring, records, layouts, crops and splits against the reference's."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from astraclr.config import RECIPES, ZTF_BANDS, View, preset
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import split
from astraclr.data.tokens import Prepared, prepare, weighted_mean
from astraclr.model.crops import CROPS, crop_tokens
from astraclr.train import views
from astraclr.train.counter_rng import Draws

ONE = torch.tensor([0])
PAPER = RECIPES["paper"]
WITH_ERRORS = replace(PAPER, error_input=True)
"""The paper's crops, with the errors beside the magnitudes so that they can be compared too."""


def one_band(mag, magerr):
    n = len(mag)
    return LightCurves.from_arrays(np.zeros(n, int), np.zeros(n, int), 58_000.0 + np.arange(n), mag, magerr)


def prepared(table, counts, bands=ZTF_BANDS, mag=None):
    """One star from the reference's columns days, mag, magerr as they are: already centred."""
    days, column, magerr = (torch.tensor(np.ascontiguousarray(table[:, k])) for k in range(3))
    wavelengths = torch.tensor(np.log10(list(bands.values())), dtype=torch.float32)
    offsets = torch.tensor([0, *np.cumsum(counts)])
    return Prepared(column if mag is None else torch.tensor(mag), days.double(), magerr, offsets, wavelengths, bands)


def counts_of(arrays, key):
    """Observations in g, r and i from the last index of each band that is there."""
    ends = dict(zip(arrays[f"{key}/bands"], np.diff(arrays[f"{key}/last_index"], prepend=-1), strict=True))
    return [int(ends.get(band, 0)) for band in ZTF_BANDS]


def windows(lengths):
    return replace(preset("tiny"), windows=tuple(lengths.items()))


def columns(tokens):
    """(rows, length, 4) days in float32, mag, magerr, log wavelength."""
    return torch.stack([tokens.times.float(), tokens.mag, tokens.magerr, tokens.band], dim=-1)


# Centring


@pytest.mark.parametrize("case", ["plain", "single"])
def test_centring(oracles, parity, case):
    arrays = oracles("standardize")
    star = one_band(arrays[f"{case}/mag"], arrays[f"{case}/magerr"])
    # Two units in the last place of 17 mag in float32, as the oracles' README states.
    parity("centring: weighted mean", 4e-6, weighted_mean(star), [arrays[f"{case}/mean"]])
    parity("centring: magnitudes", 4e-6, prepare(star).mag, arrays[f"{case}/out"])


@pytest.mark.parametrize("case", ["nan_mag", "nan_err", "nan_both_same_row", "zero_err"])
def test_epochs_without_a_value_are_ours_to_drop(oracles, case):
    """The reference lets a NaN magnitude be 0, a NaN error 1, and an error of 0 spoil the whole light curve."""
    arrays = oracles("standardize")
    mag, magerr = arrays[f"{case}/mag"].astype(np.float64), arrays[f"{case}/magerr"].astype(np.float64)
    value, error = np.nan_to_num(mag, nan=0.0), np.nan_to_num(magerr, nan=1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        theirs = (value / error**2).sum() / (1 / error**2).sum()
    np.testing.assert_allclose(theirs, arrays[f"{case}/mean"], atol=4e-6)
    np.testing.assert_allclose(value - theirs, arrays[f"{case}/out"], atol=4e-6)

    good = np.isfinite(mag) & np.isfinite(magerr) & (magerr > 0)
    star = one_band(mag, magerr)
    reason = "dropped: error not positive" if case == "zero_err" else "dropped: value not finite"
    assert star.notes == {reason: int((~good).sum())} and not good.all()
    mean = np.average(mag[good], weights=magerr[good] ** -2)
    assert weighted_mean(star)[0] == pytest.approx(mean, abs=1e-6)
    assert prepare(star).mag.isfinite().all() and len(prepare(star).mag) == good.sum()
    if case == "nan_mag":
        assert abs(mean - theirs) > 0.05, "what the weight of a NaN does to the reference's mean"


def test_an_empty_light_curve_is_refused(oracles):
    arrays = oracles("standardize")
    assert arrays["empty/mean"] == 0 and arrays["empty/out"].size == 0
    with pytest.raises(ValueError, match="no observations"):
        one_band(arrays["empty/mag"], arrays["empty/magerr"])


# Records


ACCEPTED = ["plain", "no_i", "nan_rows", "shuffled_and_dup", "long_inference"]
MIN_DETECTIONS = {"g": 5, "r": 5}


def record(arrays, case):
    """The star of a case as a reader brings it: a table in any order."""
    table = pd.DataFrame({name: arrays[f"{case}/in/{name}"] for name in ("mjd", "mag", "magerr", "band")})
    return LightCurves.from_table(table.assign(object_id="star"))


@pytest.mark.parametrize("case", ACCEPTED)
def test_records(oracles, parity, case):
    arrays = oracles("records")
    star, key = record(arrays, case), f"{case}/record"
    assert list(arrays[f"{key}/bands"]) == list(star.bands) and len(star.with_counts(MIN_DETECTIONS)) == 1
    dropped = {
        "nan_rows": {"dropped: value not finite": 3},
        "shuffled_and_dup": {"kept: repeated time within a band": 1},
    }
    assert star.notes == dropped.get(case, {})
    parity("records: MJD - 58000", 0, star.mjd - 58_000, arrays[f"{key}/table_f64"][:, 0])
    ours = np.stack([star.mag, star.magerr], axis=1)
    parity("records: magnitudes and errors in float32", 0, ours, arrays[f"{key}/table_f32"][:, 1:3])
    parity("records: last observation of each band", 0, star.offsets[1:] - 1, arrays[f"{key}/last_index"])


def test_a_record_with_too_few_detections_is_rejected(oracles):
    arrays = oracles("records")
    assert bool(arrays["few_g/rejected"])
    assert len(record(arrays, "few_g").with_counts(MIN_DETECTIONS)) == 0


@pytest.mark.parametrize("case", [case for case in ACCEPTED if case != "long_inference"])
def test_records_as_the_encoder_reads_them(oracles, parity, case):
    arrays = oracles("records")
    lengths, data = windows(json.loads(str(arrays["maxlen_json"]))), prepare(record(arrays, case))
    theirs = {name: arrays[f"{case}/augmentation_off/{name}"] for name in ("input", "times", "band_info", "mask")}
    real = theirs["mask"] == 0
    view = views.make_view(data, ONE, View("plain"), lengths, PAPER, Draws(0).of(ONE))
    padded = crop_tokens(data, ONE, lengths, "start", padded=True)
    for how, ours, rows in (("a view", view, real), ("the fixed layout", padded, slice(None))):
        name = f"records, {how}"
        parity(f"{name}: mask", 0, ours.mask[0], theirs["mask"][rows])
        parity(f"{name}: times in float32", 0, ours.times[0].float(), theirs["times"][rows, 0])
        parity(f"{name}: bands", 0, ours.band[0], theirs["band_info"][rows, 0])
        parity(f"{name}: magnitudes", 4e-6, ours.mag[0], theirs["input"][rows, 0])


@pytest.mark.parametrize("case", ACCEPTED)
def test_crops_of_records(oracles, parity, case):
    arrays = oracles("records")
    lengths, data = windows(json.loads(str(arrays["maxlen_json"]))), prepare(record(arrays, case))
    features, mask = (arrays[f"{case}/inference/{name}"] for name in ("features_mjd_mag_err_band", "mask"))
    for k, crop in enumerate(CROPS):
        tokens = crop_tokens(data, ONE, lengths, crop, WITH_ERRORS, padded=True)
        ours = columns(tokens)[0]
        parity("records, start, middle and end: mask", 0, tokens.mask[0], mask[k])
        parity("records, start, middle and end: times, errors, bands", 0, ours[:, [0, 2, 3]], features[k][:, [0, 2, 3]])
        parity("records, start, middle and end: magnitudes", 4e-6, ours[:, 1], features[k][:, 1])


# Crops and windows


def crop_cases(arrays):
    return sorted({key.split("/")[1] for key in arrays if key.startswith("crops/")})


def test_crops_of_every_length(oracles, parity):
    arrays, lengths = oracles("windows"), set()
    for case in crop_cases(arrays):
        n, target = (int(part.lstrip("ntarge")) for part in case.split("_"))
        lengths.add((n, target))
        table, dropped = arrays[f"crops/{case}/in"], arrays[f"crops/{case}/mask_in"]
        theirs, mask = arrays[f"crops/{case}/out_start_mid_end"], arrays[f"crops/{case}/mask_out"]
        for k, crop in enumerate(CROPS):
            how = {"preset": windows({"g": target}), "crop": crop, "recipe": WITH_ERRORS, "padded": True}
            data, flags = (prepared(table, [n], {"g": 4746.48}, mag) for mag in (None, dropped))
            if n == 0:
                assert mask[k].all() and not theirs[k].any()
                with pytest.raises(ValueError, match="1 light curves have no observation"):
                    crop_tokens(data, ONE, **how)
                continue
            tokens = crop_tokens(data, ONE, **how)
            # A dropped point keeps its slot and its flag: the flags are cropped as magnitudes are.
            masked = tokens.mask | (crop_tokens(flags, ONE, **how).mag == 1)
            parity("crops of a band, start, middle and end: mask", 0, masked[0], mask[k])
            parity(
                "crops of a band, start, middle and end: times, magnitudes, errors",
                0,
                columns(tokens)[0, :, :3],
                theirs[k][:, :3],
            )
    assert {(0, 12), (1, 12), (11, 12), (12, 12), (13, 12), (40, 12), (14, 9), (40, 9)} <= lengths


@pytest.mark.parametrize("case", ["long", "short", "mixed", "no_i_in_bands", "no_r_in_bands"])
def test_layout_of_crops(oracles, parity, case):
    arrays, key = oracles("windows"), f"multiview_window/{case}"
    data, lengths = prepared(arrays[f"{key}/in"], counts_of(arrays, key)), json.loads(str(arrays["max_len_json"]))
    for k, crop in enumerate(CROPS):
        tokens = crop_tokens(data, ONE, windows(lengths), crop, WITH_ERRORS, padded=True)
        parity("layout of start, middle and end: mask", 0, tokens.mask[0], arrays[f"{key}/mask_out"][k])
        parity("layout of start, middle and end: all columns", 0, columns(tokens)[0], arrays[f"{key}/out"][k])


@pytest.mark.parametrize("case", ["short", "exact", "empty_i", "no_i_in_bands"])
def test_windows_with_dropped_points(oracles, parity, monkeypatch, case):
    """The reference keeps a dropped point's slot, masked; ours too uses it up, and leaves the point out."""
    arrays, key = oracles("windows"), f"sliding_window/{case}"
    dropped, mask = (arrays[f"{key}/{name}"] == 1 for name in ("mask_in", "mask_out"))
    counts, lengths = counts_of(arrays, key), json.loads(str(arrays["max_len_json"]))
    assert dropped.sum() == 1 and mask[1] and not mask[2], "a dropped point between real ones"
    data = prepared(arrays[f"{key}/in"], counts)
    monkeypatch.setattr(views, "kept_after_bin_dropout", lambda *_: torch.tensor(~dropped))
    view = views.make_view(data, ONE, View("hard", bin_dropout=0.5), windows(lengths), WITH_ERRORS, Draws(0).of(ONE))
    assert (~view.mask).sum() == (~mask).sum() == sum(counts) - 1
    parity("windows with dropped points: what is left", 0, columns(view)[0], arrays[f"{key}/out"][~mask])

    flagged = prepared(arrays[f"{key}/in"], counts, mag=arrays[f"{key}/mask_in"])
    padded, flags = (crop_tokens(d, ONE, windows(lengths), "start", WITH_ERRORS, padded=True) for d in (data, flagged))
    masked = (flags.mask | (flags.mag == 1))[0]
    parity("windows with dropped points: mask of the fixed layout", 0, masked, mask)
    assert torch.equal(columns(padded)[0].masked_fill(masked[:, None], 0.0), torch.tensor(arrays[f"{key}/out"]))


@pytest.mark.parametrize("extra", [1, 2, 3, 5])
def test_the_starts_that_are_ever_drawn(oracles, parity, extra):
    pivots = oracles("windows")[f"get_window_pivots/extra{extra}"]
    count, longest = torch.full((1_000, 1), 7 + extra), torch.tensor([7])
    drawn, lots = {}, Draws(extra).of(torch.arange(1_000))
    for last_start in (False, True):
        positions, _ = views.random_windows(torch.zeros_like(count), count, longest, last_start, lots)
        drawn[last_start] = positions.view(-1, 7)[:, 0].unique().numpy()
    assert not PAPER.last_start and RECIPES["corrected"].last_start
    parity("windows: starts that are ever drawn", 0, drawn[False], pivots)
    assert drawn[True].tolist() == [*pivots, extra]


def test_splits(oracles, parity):
    arrays = oracles("records")
    train, held = split(11)
    parity("split: training stars, in their order", 0, train, arrays["split/train"])
    parity("split: validation stars, in their order", 0, held, arrays["split/val"])
    assert np.concatenate([train, held]).tolist() == arrays["split/test"].tolist(), "their test set is the whole set"
