"""An exported file keeps its contract, stops where there is nothing to embed, and is not kept when it is wrong."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from astraclr.config import PRESETS, RECIPES
from astraclr.interop import onnx_export
from astraclr.interop.onnx_export import export_onnx, trained_shorter
from astraclr.interop.onnx_graph import REFUSAL
from astraclr.interop.onnx_inputs import STRATEGIES, model_inputs
from astraclr.interop.onnx_runtime import embed_with_onnx, open_onnx, random_nodes, run_onnx
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.encoder import new_encoder

onnx = pytest.importorskip("onnx", reason='needs: pip install "astraclr[interop]"')
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper  # noqa: E402

SMALL = dataclasses.replace(PRESETS["tiny"], name="small", d_model=16, n_layers=1, n_heads=1, d_ff=16)


def checkpoint_of(recipe=RECIPES["corrected"], preset=SMALL):
    return Checkpoint(new_encoder(preset, recipe, 0).eval(), preset, recipe, 0, sha256="0123abcd")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A small encoder's file."""
    path = tmp_path_factory.mktemp("exchange") / "model.onnx"
    export_onnx(checkpoint_of(), path)
    return path


@pytest.fixture
def rows(stars):
    return model_inputs(stars[:5], ("end",)).rows()


def changed(file, path, change):
    model = onnx.load(str(file))
    change(model)
    onnx.save(model, str(path))
    return path


def with_noise(model):
    """Plant a random node that changes the output."""
    last = next(node for node in model.graph.node if "mean" in node.output)
    last.output[0] = "quiet"
    model.graph.node.append(helper.make_node("RandomNormalLike", ["quiet"], ["noise"], name="planted"))
    model.graph.node.append(helper.make_node("Add", ["quiet", "noise"], ["mean"]))


# --- writing ----------------------------------------------------------------------------------------------------------


def test_the_file_says_where_it_comes_from_and_nothing_about_the_machine(file):
    said = open_onnx(file).get_modelmeta().custom_metadata_map
    assert said["checkpoint"] == "0123abcd" and said["preset"] == "small" and said["recipe"] == "corrected"
    assert said["windows"] == "g=40 r=48 i=8" and (said["centring"], said["middle_crop"]) == ("star", "band")
    assert b".py" not in file.read_bytes() and random_nodes(file) == []


def test_a_file_that_disagrees_with_torch_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("what was there")
    monkeypatch.setattr(onnx_export, "run_onnx", lambda session, rows: run_onnx(session, rows) + np.float32(2e-4))
    with pytest.raises(ValueError, match="model.onnx was not written: .* from torch's by 0.0002, more than 1e-04"):
        export_onnx(checkpoint_of(), path)
    assert path.read_text() == "what was there" and list(tmp_path.iterdir()) == [path]


def test_a_recipe_with_another_input_is_refused_with_the_nearest_that_exports(tmp_path):
    for base in ("paper", "corrected"):
        recipe = dataclasses.replace(RECIPES[base], name="with errors", error_input=True)
        with pytest.raises(ValueError, match=f"recipe 'with errors' .*error_input.* nearest .* is '{base}'"):
            export_onnx(checkpoint_of(recipe), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_recommended_recipe_is_refused_by_name_and_remedy(tmp_path):
    with pytest.raises(ValueError, match="recipe 'recommended' .*inputs='steps'.* nearest .* is 'corrected'"):
        export_onnx(checkpoint_of(RECIPES["recommended"]), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_pre_norm_both_poolings_no_clock_and_summaries_are_exported(tmp_path):
    recipe = dataclasses.replace(
        RECIPES["corrected"], name="mine", norm="pre", pooling="mean_std", time_rates="none", summaries=1.0
    )
    export_onnx(checkpoint_of(recipe), tmp_path / "model.onnx")  # which compares it with torch
    assert open_onnx(tmp_path / "model.onnx").get_outputs()[0].shape[1] == 32


def test_which_presets_were_trained_on_shorter_windows():
    assert trained_shorter(PRESETS["tiny"]) and not trained_shorter(PRESETS["paper"])


# --- a fully masked row -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_the_graph_itself_stops_at_a_fully_masked_row(file, rows, level):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = getattr(ort.GraphOptimizationLevel, level), 4
    session = ort.InferenceSession(str(file), options)
    assert np.isfinite(np.asarray(session.run(None, rows)[0])).all()
    rows["mask"][2] = 1
    for some in (slice(2, 3), slice(0, 5)):
        with pytest.raises(Exception, match=REFUSAL):
            session.run(None, {name: array[some] for name, array in rows.items()})


def test_our_runner_refuses_it_before_running(file, rows):
    rows["mask"][[2, 3]] = 1
    with pytest.raises(ValueError, match="2 of 5 rows are fully masked .the first is row 2.: .*drop those"):
        run_onnx(open_onnx(file), rows)


def test_light_curve_passes_the_refusal_on(file, stars):
    from light_curve.embed import AstraCLR

    model: Any = AstraCLR(open_onnx(file), band_groups={"g": 0, "r": 1, "i": 2})
    table = stars[0].to_table()
    columns, bands = [table[c].to_numpy() for c in ("mjd", "mag", "magerr")], table["band"].to_numpy()
    assert model(*columns, bands).shape == (1, 1, 1, 16)
    # This method wants numbers for bands, and takes names for bands that are not there.
    empty = model.preprocess_lc(*columns, bands)
    assert empty.mask.all()
    with pytest.raises(Exception, match=REFUSAL):
        model.predict_tensors(empty)


# --- reading ----------------------------------------------------------------------------------------------------------


def test_light_curves_are_embedded_with_any_strategies(file, stars):
    session, few = open_onnx(file), stars[:3]
    embedded = embed_with_onnx(few, file, strategies=STRATEGIES, seed=2, fusion="concat", middle="epoch")
    rows = model_inputs(few, STRATEGIES, seed=2, middle="epoch").rows()
    np.testing.assert_allclose(embedded, run_onnx(session, rows, 1).reshape(3, -1), atol=1e-5)
    mean = embed_with_onnx(few, file, strategies=STRATEGIES, seed=2, middle="epoch")
    np.testing.assert_allclose(mean, embedded.reshape(3, 5, -1).mean(1), atol=1e-6)


def test_batches_of_stars_do_not_change_what_is_drawn(file, stars, monkeypatch):
    whole = embed_with_onnx(stars[:4], file, strategies=("window", "sample"))
    monkeypatch.setattr("astraclr.interop.onnx_runtime._CHUNK", 3)
    np.testing.assert_allclose(embed_with_onnx(stars[:4], file, strategies=("window", "sample")), whole, atol=1e-5)


def test_the_file_says_how_it_wants_its_light_curves(file, stars, tmp_path):
    def centred_by_window(model):
        next(p for p in model.metadata_props if p.key == "centring").value = "window"

    other = changed(file, tmp_path / "other.onnx", centred_by_window)
    few = stars[:2]
    np.testing.assert_array_equal(embed_with_onnx(few, other), embed_with_onnx(few, file, centring="window"))
    np.testing.assert_array_equal(embed_with_onnx(few, other, centring="star"), embed_with_onnx(few, file))

    def cut_at_one_epoch(model):
        next(p for p in model.metadata_props if p.key == "middle_crop").value = "epoch"

    cut = changed(file, tmp_path / "cut.onnx", cut_at_one_epoch)
    np.testing.assert_array_equal(embed_with_onnx(few, cut), embed_with_onnx(few, file, middle="epoch"))
    assert np.abs(embed_with_onnx(few, other) - embed_with_onnx(few, file)).max() > 0.01


def test_a_file_for_a_fixed_number_of_rows_takes_any(file, rows, tmp_path):
    def fix(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 2

    fixed = open_onnx(changed(file, tmp_path / "fixed.onnx", fix))
    assert fixed.get_inputs()[0].shape[0] == 2
    np.testing.assert_allclose(run_onnx(fixed, rows), run_onnx(open_onnx(file), rows), atol=1e-5)


def test_random_nodes_are_found_and_warned_of(file, stars, tmp_path):
    noisy = changed(file, tmp_path / "noisy.onnx", with_noise)
    assert random_nodes(noisy) == ["RandomNormalLike planted"]
    with pytest.warns(UserWarning, match="holds 1 random nodes .RandomNormalLike planted.*drop-out was left on"):
        embed_with_onnx(stars[:1], noisy)


@pytest.mark.parametrize(
    ("inputs", "constants", "found"),
    [
        (["x"], {}, []),
        (["x", "", "on"], {"on": True}, ["Dropout d"]),
        (["x", "", "off"], {"off": False}, []),
        (["x", "", "asked"], {}, ["Dropout d"]),
    ],
)
def test_dropout_is_random_only_in_training_mode(tmp_path, inputs, constants, found):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    asked = helper.make_tensor_value_info("asked", TensorProto.BOOL, [])
    given = [helper.make_tensor(name, TensorProto.BOOL, [], [value]) for name, value in constants.items()]
    graph = helper.make_graph([helper.make_node("Dropout", inputs, ["y"], name="d")], "g", [x, asked], [y], given)
    onnx.save(helper.make_model(graph), str(tmp_path / "m.onnx"))
    assert random_nodes(tmp_path / "m.onnx") == found


def test_random_nodes_inside_a_branch_are_found(tmp_path):
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    branch = helper.make_graph([helper.make_node("RandomUniform", [], ["y"], name="inner", shape=[1])], "b", [], [y])
    graph = helper.make_graph(
        [helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)],
        "g",
        [helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [y],
    )
    onnx.save(helper.make_model(graph), str(tmp_path / "m.onnx"))
    assert set(random_nodes(tmp_path / "m.onnx")) == {"RandomUniform inner"}


def test_random_nodes_of_what_is_no_onnx_file(tmp_path):
    (tmp_path / "text.onnx").write_text("hello")
    for path in (tmp_path / "text.onnx", tmp_path):
        with pytest.raises(ValueError, match="is not an ONNX file"):
            random_nodes(path)


def test_files_of_another_kind_are_refused(file, tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "none.onnx"))):
        open_onnx(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match="text.onnx is not an ONNX file that onnxruntime can run"):
        open_onnx(tmp_path / "text.onnx")

    def other_input(model):
        for value in (*model.graph.input, *model.graph.output):
            value.name = value.name.replace("input", "magnitudes")
        for node in model.graph.node:
            node.input[:] = [name.replace("input", "magnitudes") for name in node.input]

    def renamed(model):
        next(node for node in model.graph.node if "mean" in node.output).output[0] = model.graph.output[0].name = "last"

    with pytest.raises(ValueError, match=r"'magnitudes': \[700, 1\].*the exchange contract is .*made for other tools"):
        open_onnx(changed(file, tmp_path / "other.onnx", other_input))
    with pytest.raises(ValueError, match="gives last; the exchange contract asks for an output named mean"):
        open_onnx(changed(file, tmp_path / "renamed.onnx", renamed))


def test_an_encoder_left_in_training_mode_is_exported_without_its_drop_out(tmp_path):
    checkpoint = Checkpoint(new_encoder(SMALL, RECIPES["corrected"], 0).train(), SMALL, RECIPES["corrected"], 0)
    export_onnx(checkpoint, tmp_path / "m.onnx")
    assert random_nodes(tmp_path / "m.onnx") == [] and checkpoint.encoder.training


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    encoder = new_encoder(SMALL, RECIPES["corrected"], 0).eval()
    encoder.get_parameter("layers.0.norm1.weight").data[0] = float("nan")
    with pytest.raises(ValueError, match=r"not finite \(layers.0.norm1.weight\)"):
        export_onnx(Checkpoint(encoder, SMALL, RECIPES["corrected"], 0), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
