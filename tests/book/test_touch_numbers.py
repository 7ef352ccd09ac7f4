"""The numbers on the pages that one can touch are those of the package; computed by node from the pages' own files."""

import math

import numpy as np
import pytest
import torch
from javascript import as_stars, needs_node, node

from astraclr.model.inputs import angular_rates
from astraclr.train.losses import nt_xent, nt_xent_pairs

pytestmark = needs_node


def of(root, name: str) -> str:
    """A line that loads a file of the pages."""
    return f"const M = require({str(root / 'book/interactive' / name)!r});\n"


@pytest.mark.parametrize(("views", "stars", "temperature"), [(2, 4, 0.5), (3, 3, 0.1), (2, 2, 2.0)])
def test_loss_and_gradient_of_vectors_on_a_circle(root, tmp_path, views, stars, temperature):
    angles = torch.tensor(np.random.default_rng(1).uniform(0, 6, views * stars), requires_grad=True)
    z = torch.stack([angles.cos(), angles.sin()], -1).view(views, stars, 2)
    loss = nt_xent(z, temperature)
    loss.backward()
    code = "print([M.loss(given.a, given.v, given.b, given.t), M.gradient(given.a, given.v, given.b, given.t), " + (
        "M.loss(M.step(given.a, given.v, given.b, given.t, 0.05), given.v, given.b, given.t)]);"
    )
    given = {"a": angles.tolist(), "v": views, "b": stars, "t": temperature}
    found, gradient, later = node(root, tmp_path, of(root, "ntxent.js") + code, **given)
    assert found["loss"] == pytest.approx(loss.item(), abs=1e-5)
    anchors = nt_xent_pairs(z, temperature).mean(1).flatten()  # view by view, star by star
    np.testing.assert_allclose(found["pairs"], anchors.detach(), atol=1e-5)
    assert angles.grad is not None
    np.testing.assert_allclose(gradient, angles.grad, atol=1e-5)
    assert later["loss"] < found["loss"]


def test_chance_and_floor_of_the_circle(root, tmp_path):
    code = "print([M.loss(Array(8).fill(1), 2, 4, 0.5).loss, M.loss([0, 3.14159265, 0, 3.14159265], 2, 2, 0.02).loss]);"
    equal, apart = node(root, tmp_path, of(root, "ntxent.js") + code)
    assert equal == pytest.approx(math.log(7), abs=1e-9) and apart == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", ["days", "log"])
def test_clocks_have_the_rates_of_the_encoder(root, tmp_path, kind):
    code = "const r = M.rates(64, given.kind); print([r, M.similarity(0, r), M.similarity(0.25, r)]);"
    rates, same, apart = node(root, tmp_path, of(root, "clock.js") + code, kind=kind)
    expected = angular_rates(64, kind).numpy()
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    assert same == 1 and apart == pytest.approx(np.cos(0.25 * expected).mean())


def test_calibration_is_that_of_the_package(root, tmp_path):
    rng = np.random.default_rng(0)
    scores, truth = 3 * rng.standard_normal((400, 5)), rng.integers(0, 5, 400)
    scores[np.arange(400), truth] += 2
    code = "const b = M.best(given.s, given.t), at = (T) => M.at(given.s, given.t, T);"
    code += "print([at(1), b, at(b), at(1.1 * b)]);"
    one, best, at_best, beside = node(
        root, tmp_path, of(root, "reliability.js") + code, s=scores.tolist(), t=truth.tolist()
    )
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    right = p.argmax(1) == truth
    place = np.minimum(9, (p.max(1) * 10).astype(int))
    gaps = [(place == k).mean() * abs(right[place == k].mean() - p.max(1)[place == k].mean()) for k in set(place)]
    assert one["error"] == pytest.approx(sum(gaps)) and one["accuracy"] == pytest.approx(right.mean())
    assert one["loss"] == pytest.approx(-np.log(p[np.arange(400), truth]).mean())
    assert at_best["loss"] < min(one["loss"], beside["loss"]) and at_best["accuracy"] == one["accuracy"] and best > 1


def test_damages_do_what_their_names_say(root, tmp_path, stars):
    code = of(root, "damage.js") + f"const T = require({str(root / 'book/interactive/touch.js')!r});\n"
    code += "print(given.tries.map((d) => M.view(given.star, { ...M.NONE, ...d }, [60, 60, 10], T.random(5)).bands));"
    star = as_stars(stars[:1])[0]
    tries = [{}, {"fraction": 0.5}, {"bins": 0.5}, {"thinning": 0.5}, {"colour": 0.2}, {"noise": 2}, {"outlier": True}]
    tries += [{"lostBand": True}, {"errors": 0.3}, {"thinning": 1}]
    plain, half, bins, thin, colour, noise, outlier, lost, errors, nothing = node(
        root, tmp_path, code, star=star, tries=tries
    )
    count = [[len(b["mjd"]) for b in view] for view in (plain, half, bins, thin, lost)]
    whole = [min(n, len(b["mjd"])) for n, b in zip((60, 60, 10), star["bands"], strict=True)]
    assert count[0] == whole and count[1] == [
        min(n, len(b["mjd"])) for n, b in zip((30, 30, 5), star["bands"], strict=True)
    ]
    assert sum(count[3]) < sum(count[0]) and 0 in count[4] and sum(count[4]) > 0
    first = star["bands"][0]
    start = first["mjd"].index(plain[0]["mjd"][0])
    assert plain[0]["mag"] == first["mag"][start : start + count[0][0]]  # undamaged: a stretch of the star itself
    shift = np.subtract(colour[0]["mag"], plain[0]["mag"])
    assert np.ptp(shift) < 1e-9 and abs(shift[0]) > 0
    np.testing.assert_allclose(noise[0]["magerr"], np.sqrt(5) * np.array(plain[0]["magerr"]))
    changed = sum(np.sum(np.array(a["mag"]) != b["mag"]) for a, b in zip(outlier, plain, strict=True))
    assert changed == 1 and np.ptp(np.divide(errors[0]["magerr"], plain[0]["magerr"])) < 1e-9
    assert sum(len(b["mjd"]) for b in nothing) == sum(len(b["mjd"]) for b in star["bands"])  # never an empty view
    days = {int((t - min(min(b["mjd"], default=9e9) for b in star["bands"])) // 5) for b in bins for t in b["mjd"]}
    everywhere = {
        int((t - min(min(b["mjd"], default=9e9) for b in star["bands"])) // 5) for b in star["bands"] for t in b["mjd"]
    }
    assert len(days) <= len(everywhere) / 2 + 1


def test_packed_stars_come_out_whole(root, tmp_path, stars):
    from astraclr.analysis.page_model import page_stars

    code = f"const T = require({str(root / 'book/interactive/touch.js')!r});\n"
    code += "const t = T.starsFrom(given.packed, E.unpack), w = { g: 1, r: 2, i: 3 };"
    code += "print(given.rows.map((s) => T.starOf(t, s, w)));"
    found = node(root, tmp_path, code, packed=page_stars(stars, points=5_000), rows=[0, 7])
    for star, s in zip(found, (0, 7), strict=True):
        assert (star["id"], star["label"]) == (stars.object_id[s], stars.label[s])
        for band in star["bands"]:
            mjd, mag, magerr = stars.star(s).get(band["name"], [np.array([])] * 3)
            np.testing.assert_allclose(band["mjd"], mjd, rtol=0, atol=6e-5)
            np.testing.assert_allclose(band["mag"], mag, rtol=0, atol=6e-4)
            np.testing.assert_allclose(band["magerr"], magerr, rtol=0, atol=6e-4)
