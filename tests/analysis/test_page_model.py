"""The shipped encoders in plain JavaScript: the same embeddings, classes and flags as Python gives, under node."""

import base64
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from javascript import as_stars, needs_node, node

from astraclr import catalogs
from astraclr.analysis import page_model as room
from astraclr.analysis.classifier import load_head
from astraclr.analysis.predictions import prediction_table
from astraclr.config import preset, recipe
from astraclr.data import folding
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import prepare
from astraclr.files import shipped_file
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.config import EncoderConfig
from astraclr.model.embedding import embed
from astraclr.model.encoder import Encoder, new_encoder
from astraclr.simulation.simulate import simulate

FOLDER = shipped_file("checkpoints")
SHIPPED = sorted(f.parent.name for f in FOLDER.glob("*/head.safetensors"))


@cache
def sample() -> LightCurves:
    return LightCurves.load(shipped_file("sample.parquet"))


EMBED = """
const model = E.load(given.model);
print(given.stars.map((star) => {
  const x = E.embed(star, model);
  return { x: Array.from(x), ...(model.head ? E.predict(x, star, model) : {}) };
}));
"""


@needs_node
@pytest.mark.parametrize("name", SHIPPED)
def test_all_sample_stars_as_in_python(root, tmp_path, name):
    checkpoint = load_checkpoint(name)
    head = load_head(FOLDER / name / "head.safetensors", checkpoint)
    found = node(root, tmp_path, EMBED, model=room.page_model(checkpoint, head), stars=as_stars(sample()))
    expected, table = embed(sample(), checkpoint), prediction_table(sample(), checkpoint, head)
    np.testing.assert_allclose([f["x"] for f in found], expected, rtol=0, atol=1e-5)
    assert [f["predicted"] for f in found] == table["predicted"].tolist()
    assert [", ".join(f["flags"]) for f in found] == table["flag"].tolist()
    p = table[[f"p_{c}" for c in head.classes]].to_numpy()
    np.testing.assert_allclose([f["probabilities"] for f in found], p, rtol=0, atol=1e-5)
    np.testing.assert_allclose([f["novelty"] for f in found], table["novelty"], rtol=1e-4)


SWITCHES = {
    "paper": {},
    "errors": {"error_input": True, "time_rates": "days"},
    "window": {"centring": "window", "middle_crop": "epoch", "time_rates": "log"},
    "pre": {"norm": "pre", "pooling": "mean_std", "inputs": "steps", "time_rates": "log", "error_input": True},
    "folded": {"folded_input": "window", "centring": "window"},
}


@needs_node
@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_of_a_recipe_is_computed(root, tmp_path, stars, name):
    """Untrained encoders of each kind; some stars lose a band, some are short."""
    size, method = preset("tiny"), replace(recipe("paper"), **SWITCHES[name])
    checkpoint = Checkpoint(Encoder(EncoderConfig.of(size, method)).eval(), size, method, 0, sha256="0" * 64)
    some = stars[:8]
    found = node(root, tmp_path, EMBED, model=room.page_model(checkpoint), stars=as_stars(some))
    np.testing.assert_allclose([f["x"] for f in found], embed(some, checkpoint), rtol=0, atol=1e-5)


def test_settings_that_the_page_does_not_know_are_refused(monkeypatch):
    checkpoint = load_checkpoint("tiny")
    with monkeypatch.context() as patch:
        patch.setitem(room.KNOWN_CROPS, "centring", ("window",))
        with pytest.raises(ValueError, match="knows centring of window, not star; teach it in"):
            room.page_model(checkpoint)
    with monkeypatch.context() as patch:
        patch.setattr(room, "_SIZES", ("d_model", "n_layers", "n_heads", "d_ff"))
        with pytest.raises(ValueError, match="does not know d_band; teach it in book/interactive/encoder.js"):
            room.page_model(checkpoint)
    monkeypatch.setattr(room, "_OF_TRAINING", room._OF_TRAINING - {"dropout"})
    with pytest.raises(ValueError, match="does not know dropout"):
        room.page_model(checkpoint)


def test_a_head_of_another_encoder_is_refused():
    tiny = load_checkpoint("tiny")
    head = replace(load_head(FOLDER / "tiny" / "head.safetensors", tiny), checkpoint="f" * 64)
    with pytest.raises(ValueError, match="the head was fitted on ffffffff, not on"):
        room.page_model(tiny, head)


@needs_node
def test_the_page_refuses_what_it_does_not_know(root, tmp_path):
    model = room.page_model(load_checkpoint("tiny"))
    del model["weights"]["layers.0.norm1.bias"]
    tried = [
        model | {"format": "2"},
        model | {"config": model["config"] | {"rotary": 1}},
        model | {"config": model["config"] | {"norm": "rms"}},
        model,
        model | {"config": model["config"] | {"folded_input": "both"}},
        model | {"config": model["config"] | {"folded_input": "both"}, "folding": room.folding_settings() | {"x": 1}},
    ]
    code = "print(given.models.map((m) => { try { E.load(m); return ''; } catch (e) { return e.message; } }));"
    said = node(root, tmp_path, code, models=tried)
    parts = ("format 2", "does not know: rotary", "norm rms", "lacks weights", "lacks settings", "does not know: x")
    for message, part in zip(said, parts, strict=True):
        assert part in message


def test_numbers_come_out_as_they_went_in():
    for values in (np.arange(6, dtype="f4").reshape(2, 3), np.array([-3, 7], "i2"), np.array([1.5])):
        out = room.packed(values)
        kind = {"f4": "<f4", "f8": "<f8", "i2": "<i2"}[out["type"]]
        again = np.frombuffer(base64.b64decode(out["data"]), kind).reshape(out["shape"])
        np.testing.assert_array_equal(again, values)
    with pytest.raises(ValueError, match="int64 has no counterpart"):
        room.packed(np.arange(3))
    with pytest.raises(ValueError, match="'a b' is no name"):
        room.script("a b", 1)


# --- windows folded at their best period ------------------------------------------------------------------------------


@cache
def simulated() -> LightCurves:
    return simulate(64, seed=17)


def apart(root, tmp_path, some: LightCurves, how: str) -> np.ndarray:
    """Largest difference of each star's embedding from torch's, for a small random encoder with windows of `laptop`."""
    size = replace(preset("laptop"), d_model=16, n_layers=1, n_heads=2, d_ff=32)
    method = replace(recipe("recommended"), name="mine", folded_input=how)
    checkpoint = Checkpoint(new_encoder(size, method, 5).eval(), size, method, 5, sha256="0" * 64)
    found = node(root, tmp_path, EMBED, model=room.page_model(checkpoint), stars=as_stars(some))
    return np.abs(np.array([f["x"] for f in found]) - embed(some, checkpoint)).max(1)


# Where two peaks of the periodogram are equally high within rounding, float32 (torch) and double (the page) may choose
# different ones, and the embedding is another. So may two processors. Such stars are counted: fewer than one in 100.
# Up to about five observations of a light curve fit many periods equally well; such a star is flagged "few epochs".
MOST_TIES = 0.01


@needs_node
@pytest.mark.parametrize("how", ["window", "tokens", "both"])
def test_an_encoder_that_folds_embeds_as_in_python(root, tmp_path, how):
    assert (apart(root, tmp_path, simulated(), how) > 1e-5).mean() < MOST_TIES


@needs_node
def test_real_stars_are_folded_as_in_python(root, tmp_path, real_data):
    real = catalogs.read(real_data / "ztf.parquet")[:60]
    assert (apart(root, tmp_path, real, "both") > 1e-5).mean() < MOST_TIES


FOLD = """
print(given.tokens.map((t) => {
  const cycle = F.bestCycle(t, given.settings);
  return [cycle.frequency, ...F.folded(cycle, given.settings), ...F.cycleInputs(cycle, given.settings).flat()];
}));
"""


@needs_node
def test_settings_of_the_folding_are_those_of_python(root, tmp_path, monkeypatch):
    """With all of them changed, the page still finds the same."""
    changed = {
        "CELLS_PER_DAY": 32, "N_CELLS": 1 << 14, "N_PEAKS": 2, "N_BETWEEN": 3, "N_PHASES": 8, "LEAST_ERROR": 0.1,
        "MOST_APART": 0.4, "LEAST_POWER": 0.02, "FREQUENCIES": (1 / 300, 10.0), "N_FREQUENCIES": 20,
    }  # fmt: skip
    before = room.folding_settings()
    for name, value in changed.items():
        monkeypatch.setattr(folding, name, value)
    after = room.folding_settings()
    assert {name for name in before if before[name] == after[name]} == {"n_harmonics"}
    lc = simulated()[:8]
    tokens = folding.whole(prepare(lc), torch.arange(8))
    cycle, there, errors = folding.best_cycle(tokens), ~tokens.mask, tokens.magerr
    assert errors is not None
    given = [
        {"mag": m[k].tolist(), "time": t[k].tolist(), "band": b[k].tolist(), "magerr": e[k].tolist()}
        for m, t, b, e, k in zip(tokens.mag, tokens.times, tokens.band, errors, there, strict=True)
    ]
    numbers, phases = folding.folded(cycle).double(), folding.cycle_inputs(cycle).double()
    for j, star in enumerate(node(root, tmp_path, FOLD, tokens=given, settings=after)):
        expected = [cycle.frequency[j : j + 1], numbers[j], phases[j][there[j]].ravel()]
        np.testing.assert_allclose(star, torch.cat(expected), rtol=0, atol=1e-5)


@needs_node
def test_a_transform_of_real_numbers_is_that_of_numpy(root, tmp_path):
    rng = np.random.default_rng(0)
    given = [rng.normal(size=n).tolist() for n in (4, 8, 1024)]
    code = "print(given.x.map((x) => Array.from(F.spectrum(Float64Array.from(x), x.length / 2 + 1))));"
    for x, found in zip(given, node(root, tmp_path, code, x=given), strict=True):
        np.testing.assert_allclose(found, np.abs(np.fft.rfft(x)) ** 2, rtol=1e-10)


@needs_node
def test_few_observations_are_folded_too(root, tmp_path):
    """One, two, and one in each band: every period fits, and the numbers are finite."""
    tokens = [
        {"mag": [0.1, -0.1][:n], "time": [200.0, 230.5][:n], "band": [3.7, band][:n], "magerr": [0.02, 0.03][:n]}
        for n, band in ((1, 3.7), (2, 3.7), (2, 3.8))
    ]
    for star in node(root, tmp_path, FOLD, tokens=tokens, settings=room.folding_settings()):
        assert np.isfinite(np.array(star, float)).all()


# --- light curves and periods in JavaScript ---------------------------------------------------------------------------

READ = """
print(given.texts.map((text) => { try { return L.read(text, given.bands); } catch (e) { return e.message; } }));
"""
TIDY = """object_id,mjd,mag,magerr,band
a,58002,15.2,0.1,g
a,58001,15.1,0.1,g
"b, c",58001,16.0,0.2,r
a,58003,99.9,0.1,g
a,58004,15,0,g
a,58005,15,,g
a,58006,15,0.1,V
a,58001,15.1,0.1,i
"""
IRSA = """oid,hjd,mjd,mag,magerr,catflags,filtercode,ra,dec
11,2458001.5,58001.25,15,0.1,0,zg,10.0,20.0
11,2458002.5,58002.25,15,0.1,32768,zg,10.0,20.0
12,2458001.6,58001.35,14,0.1,0,zr,10.0001,20.0
13,2458001.6,58001.35,13,0.1,0,zr,11.0,20.0
"""


@needs_node
def test_tables_are_read_as_python_reads_them(root, tmp_path):
    from astraclr.config import ZTF_BANDS

    tidy, irsa, hjd, columns, empty = node(
        root,
        tmp_path,
        READ,
        bands=ZTF_BANDS,
        texts=[TIDY, IRSA.replace("\n", "\r\n"), "hjd,mag,magerr,band\n2458000.5,15,0.1,g", "time,mag\n1,2", "x"],
    )
    a, b = tidy["stars"]
    assert (a["id"], b["id"]) == ("a", "b, c") and a["bands"][0]["mjd"] == [58001, 58002]
    assert a["bands"][2]["mag"] == [pytest.approx(15.1, abs=1e-6)] and b["bands"][1]["magerr"][0] == np.float32(0.2)
    assert sorted(tidy["notes"]) == [
        "1 dropped: error not positive",
        "1 dropped: sentinel magnitude or error",
        "1 dropped: unknown band V",
        "1 dropped: value not finite",
    ]
    assert [s["id"] for s in irsa["stars"]] == ["11", "13"] and irsa["notes"] == ["1 dropped: bad epoch (catflags)"]
    assert irsa["stars"][0]["bands"][1]["mjd"] == [58001.35]
    assert hjd["stars"][0]["bands"][0]["mjd"] == [58000.0] and "hjd - 2400000.5" in hjd["notes"][0]
    assert columns == "missing column mjd, magerr, band (or filtercode); the file has time, mag"
    assert empty.startswith("missing column")


@needs_node
def test_periodogram_is_that_of_astropy_and_finds_a_period(root, tmp_path):
    timeseries = pytest.importorskip("astropy.timeseries")
    rng = np.random.default_rng(3)
    t = np.sort(58_200 + 900 * rng.random(150))
    e = 0.02 + 0.03 * rng.random(150)
    y = 15 + 0.3 * np.sin(2 * np.pi * t / 0.567) + e * rng.standard_normal(150)
    bands = [{"mjd": t.tolist(), "mag": y.tolist(), "magerr": e.tolist()}]
    code = """
const c = L.centred(given.bands), f = L.frequencies(given.bands), p = L.power(c, f.first, f.step, f.n);
let best = 0;
for (let k = 0; k < f.n; k++) if (p[k] > p[best]) best = k;
print({ ...f, p: Array.from(p.slice(0, 4000)), best: 1 / (f.first + f.step * best) });
"""
    found = node(root, tmp_path, code, bands=bands)
    assert found["best"] == pytest.approx(0.567, abs=2e-4)
    frequency = found["first"] + found["step"] * np.arange(4000)
    centre = y - np.average(y, weights=e**-2)
    there = timeseries.LombScargle(t, centre, e, fit_mean=False, center_data=False)
    expected = there.power(frequency, method="slow", assume_regular_frequency=True)
    np.testing.assert_allclose(found["p"], expected, atol=1e-8)
