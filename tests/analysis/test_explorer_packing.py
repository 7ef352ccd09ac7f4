"""Light curves packed into the page of the map come out again; thinning and the legend."""

import base64
from dataclasses import replace

import numpy as np
import pytest

from astraclr.analysis import explorer as module
from astraclr.analysis.explorer import legend
from astraclr.analysis.packed_curves import DAY, MAGNITUDE, POINTS, packed, thinned
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import COLOURS


def unpacked(text: str, counts: np.ndarray) -> list[tuple[np.ndarray, ...]]:
    """Times, magnitudes and errors of each star in units of the page: the page's own steps, in Python."""
    out, begin = [], 0
    for m in counts.sum(1).tolist():
        end = begin + 4 * -(-8 * m // 3)
        raw = base64.b64decode(text[begin:end])
        out.append(tuple(np.frombuffer(raw, kind, m, at * m) for kind, at in (("<u4", 0), ("<u2", 4), ("<u2", 6))))
        begin = end
    assert begin == len(text)
    return out


def test_light_curves_come_out_as_they_went_in(stars):
    first, least = np.floor(module.first_times(stars)), module.brightest(stars)
    for s, (t, mag, err) in enumerate(unpacked(packed(stars), stars.counts)):
        mjd, m, e = (np.concatenate(c) for c in zip(*stars.star(s).values(), strict=True))
        np.testing.assert_allclose(first[s] + t * DAY, mjd, rtol=0, atol=0.51 * DAY)
        np.testing.assert_allclose((least[s] + mag.astype(int)) * MAGNITUDE, m, rtol=0, atol=0.51 * MAGNITUDE)
        np.testing.assert_allclose(err * MAGNITUDE, e, rtol=0, atol=0.51 * MAGNITUDE)


def test_times_of_another_unit_are_refused():
    lc = LightCurves.from_arrays(
        np.zeros(2, int), np.zeros(2, int), np.array([58_000.0, 58_001.0]), np.full(2, 15.0), np.full(2, 0.1)
    )
    assert packed(lc)
    with pytest.raises(ValueError, match="star 0: its times span more than 1,000 years"):
        packed(replace(lc, mjd=np.array([58_000.0, 58_000.0 + 430_000])))


@pytest.mark.parametrize("points", [3, 20, POINTS])
def test_thinning_keeps_every_band_and_no_more_than_asked(stars, points):
    thin = thinned(stars, points)
    assert thin.counts.sum(1).max() <= points and thin.counts.sum(1).min() >= points - 3
    assert ((thin.counts > 0) == (stars.counts > 0)).all() and (thin.counts <= stars.counts).all()
    for s in range(0, len(stars), 10):
        for band, (mjd, *_) in thin.star(s).items():
            there = stars.star(s)[band][0]
            places = np.flatnonzero(np.isin(there, mjd))
            assert places[0] == 0 and len(places) == len(mjd)
            if len(mjd) > 1:  # evenly
                assert np.ptp(np.diff(places)) <= 1


def test_short_light_curves_stay_whole(stars):
    assert thinned(stars, stars.n_obs).mjd.tolist() == stars.mjd.tolist()
    with pytest.raises(ValueError, match="2 points for 3 bands"):
        thinned(stars, 2)


def test_legend_knows_the_taxonomy_and_labels_of_the_reader():
    labels = np.array(["RRAB", "EW", "RR", "dipper", "", "dipper", "AGN"])
    entries, of = legend(labels)
    assert [e["name"] for e in entries] == ["AGN", "RR", "ECL", "dipper", "unlabelled"]
    assert entries[1]["colour"] == COLOURS["RR"]
    assert [entries[k]["name"] for k in of] == ["RR", "ECL", "RR", "dipper", "unlabelled", "dipper", "AGN"]
    entries, of = legend(np.array([f"type {k}" for k in range(30)] + ["type 29"]))
    assert entries[-1]["name"] == "other labels" and entries[of[-1]]["name"] == "type 29" and len(entries) == 11
