"""What crosses between this package and the field's tools stays what it was: tokens, exported encoders, weights."""

import dataclasses

import numpy as np
import pytest
import torch

from astraclr.config import PRESETS, RECIPES
from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import Tokens
from astraclr.interop.keras_weights import load_published
from astraclr.interop.onnx_export import export_onnx
from astraclr.interop.onnx_inputs import model_inputs
from astraclr.interop.onnx_runtime import open_onnx, run_onnx
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate

interop = pytest.importorskip("light_curve.embed", reason='needs: pip install "astraclr[interop]"')
pytest.importorskip("onnxscript")
ort = pytest.importorskip("onnxruntime")

CASES = ("long_all_bands", "no_i", "single_point", "unsorted", "duplicate_times", "only_r_many")
SMALL = dataclasses.replace(PRESETS["tiny"], name="small", d_model=32, n_heads=1, d_ff=32)
WIDE = dataclasses.replace(PRESETS["paper"], name="wide")


# --- tokens -----------------------------------------------------------------------------------------------------------


def observations(arrays, cases):
    """Columns star, band, mjd, mag, magerr of some of astra-infer's light curves, in the order in which they came."""
    star = np.concatenate([np.full(len(arrays[f"{case}/in/mjd"]), k) for k, case in enumerate(cases)])
    mjd, mag, magerr, names = (
        np.concatenate([arrays[f"{case}/in/{c}"] for case in cases]) for c in ("mjd", "mag", "magerr", "band")
    )
    return star, np.array(["gri".index(b) for b in names]), mjd, mag, magerr


def compare_tokens(parity, what, inputs, arrays, key):
    parity(f"astra-infer, {what}: mask", 0, inputs.mask, arrays[f"{key}/mask"])
    parity(f"astra-infer, {what}: times in float32", 0, inputs.times, arrays[f"{key}/norm_time"])
    parity(f"astra-infer, {what}: bands", 0, inputs.band_info, arrays[f"{key}/lg_wave"])
    parity(f"astra-infer, {what}: magnitudes", 4e-6, inputs.input, arrays[f"{key}/norm_mag"])


@pytest.mark.parametrize("case", CASES)
def test_tokens_are_those_of_astra_infer(oracles, parity, case):
    arrays = oracles("astra_infer")
    lc = LightCurves.from_arrays(*observations(arrays, [case]))
    inputs = model_inputs(lc, ("beginning", "end", "middle"))
    compare_tokens(parity, "beginning, end, middle", inputs, arrays, f"{case}/deterministic")
    for strategy in ("window", "sample"):
        compare_tokens(parity, strategy, model_inputs(lc, (strategy,)), arrays, f"{case}/{strategy}_rng0")


def test_one_generator_serves_strategies_and_light_curves_in_astra_infers_order(oracles, parity):
    arrays = oracles("astra_infer")
    lc = LightCurves.from_arrays(*observations(arrays, ["long_all_bands"]))
    inputs = model_inputs(lc, ("sample", "beginning", "window"), seed=0)
    compare_tokens(parity, "one generator", inputs, arrays, "long_all_bands/sample_beginning_window_rng0")
    lc = LightCurves.from_arrays(*observations(arrays, ["long_all_bands", "unsorted", "duplicate_times"]))
    inputs = model_inputs(lc, ("window", "sample"), seed=0)
    compare_tokens(parity, "one generator", inputs, arrays, "many_long_unsorted_duplicates/window_sample_rng0")


def test_only_the_order_within_a_repeated_time_depends_on_the_order_of_the_input(oracles, parity):
    arrays = oracles("astra_infer")
    # The reference's sort kept this order by luck; another may not, and then only repeated times may change places.
    np.testing.assert_array_equal(arrays["duplicate_times/argsort_used"], arrays["duplicate_times/argsort_stable"])
    columns = observations(arrays, ["duplicate_times"])
    theirs = [arrays[f"duplicate_times/deterministic/{k}"][0, 0, :, 0] for k in ("norm_time", "lg_wave", "norm_mag")]
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(columns[0]))
        inputs = model_inputs(LightCurves.from_arrays(*(c[order] for c in columns)), ("beginning",))
        ours = [inputs.times[0, 0, :, 0], inputs.band_info[0, 0, :, 0], inputs.input[0, 0, :, 0]]
        parity("astra-infer, repeated times in another order: times in float32", 0, ours[0], theirs[0])
        parity("astra-infer, repeated times in another order: bands", 0, ours[1], theirs[1])
        sets = [np.lexsort((np.round(c[2], 5), c[0], c[1])) for c in (ours, theirs)]
        parity(
            "astra-infer, repeated times in another order: magnitudes at each time",
            4e-6,
            ours[2][sets[0]],
            theirs[2][sets[1]],
        )


# --- exported encoders ------------------------------------------------------------------------------------------------


def exported(preset, recipe, folder):
    checkpoint = Checkpoint(new_encoder(preset, RECIPES[recipe], 0).eval(), preset, RECIPES[recipe], 0)
    export_onnx(checkpoint, folder / f"{preset.name}.onnx")
    return checkpoint.encoder, folder / f"{preset.name}.onnx"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return exported(SMALL, "corrected", tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    return exported(WIDE, "paper", tmp_path_factory.mktemp("wide"))


@torch.inference_mode()
def with_torch(encoder, rows):
    """Embeddings of the contract's tensors by the encoder itself."""
    mag, times, band = (torch.as_tensor(rows[k][..., 0]) for k in ("input", "times", "band_info"))
    return encoder(Tokens(mag, times.double(), band, torch.as_tensor(rows["mask"]).bool()))


@pytest.fixture(scope="module")
def many():
    """Tensors of 128 simulated stars: one lacks i, one has half of its points dropped, one has a single point."""
    rows = model_inputs(simulate(128, seed=12), ("window",)).rows()
    rows["mask"][0, 650:] = 1
    rows["mask"][1, ::2] = 1
    rows["mask"][2] = np.arange(700) != 300
    return rows


@pytest.mark.parametrize("batch", [1, 3, 128])
def test_a_small_exported_file_is_its_encoder(small, many, parity, batch):
    encoder, path = small
    rows = {k: v[:batch] for k, v in many.items()}
    found = run_onnx(open_onnx(path), rows, batch_size=batch)
    parity(f"exported file beside torch, log-spaced rates, batch {batch}", 1e-4, found, with_torch(encoder, rows))


@pytest.mark.parametrize("batch", [1, 3])
def test_an_exported_file_of_512_is_its_encoder(wide, many, parity, batch):
    encoder, path = wide
    rows = {k: v[:batch] for k, v in many.items()}
    found = run_onnx(open_onnx(path), rows, batch_size=batch)
    parity(f"exported file beside torch, d_model 512, batch {batch}", 1e-4, found, with_torch(encoder, rows))


def test_light_curve_runs_the_exported_file(wide, stars, parity):
    encoder, path = wide
    reduction = ["beginning", "middle", "end"]
    model = interop.AstraCLR(ort.InferenceSession(str(path)), band_groups={"g": 0, "r": 1, "i": 2}, reduction=reduction)
    for k in range(3):
        table = stars[k].to_table()
        columns = [table[c].to_numpy() for c in ("mjd", "mag", "magerr", "band")]
        theirs = model(*columns)[0, :, 0]
        ours = with_torch(encoder, model_inputs(stars[k], reduction, middle="band", centring="window").rows())
        parity("light-curve's class on an exported file, beside torch with its centring", 1e-4, ours, theirs)
        colour = with_torch(encoder, model_inputs(stars[k], reduction, middle="band", centring="star").rows())
        assert np.abs(colour.numpy() - theirs).max() > 1e-3


def test_tokens_are_those_of_light_curve(wide, stars, parity):
    model = interop.AstraCLR(None, reduction=["beginning", "middle", "end"])
    for k in range(3):
        table = stars[k].to_table()
        band = np.array(["gri".index(b) for b in table["band"]])
        theirs = model.preprocess_lc(*(table[c].to_numpy() for c in ("mjd", "mag", "magerr")), band)
        ours = model_inputs(stars[k], middle="band", centring="window").rows()
        for name in ("mask", "times", "band_info"):
            parity(f"light-curve, beginning, middle, end: {name}", 0, ours[name], getattr(theirs, name))
        parity("light-curve, beginning, middle, end: input, centred by window", 1e-5, ours["input"], theirs.input)


@pytest.mark.parametrize("centring", ["star", "window"])
def test_centring_by_window_hides_a_colour(small, stars, centring):
    encoder, _ = small
    redder = dataclasses.replace(stars, mag=stars.mag + np.float32(0.5) * (stars.segment % 3 == 1))
    a, b = (with_torch(encoder, model_inputs(s[:4], ("end",), centring=centring).rows()) for s in (stars, redder))
    moved = (a - b).abs().amax(1)
    assert (moved > 5e-3).all() if centring == "star" else (moved < 5e-5).all()


# --- weights ----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_published_weights_give_the_references_embeddings(root, oracles, parity):
    arrays = oracles("model_tiny")
    encoder = load_published(root / "tests" / "oracles" / "model_tiny.npz", n_heads=4, prefix="weights/").encoder
    rows = {k: arrays[f"inputs/{k}"] for k in ("input", "times", "band_info")}
    pooled = with_torch(encoder, rows | {"mask": arrays["inputs/mask"].reshape(5, 60)})
    parity("published weights, tiny: pooled", 1e-5, pooled, arrays["outputs/pooled"])
    parity("published weights, tiny: projection", 1e-5, encoder.project(pooled), arrays["outputs/projection"])
