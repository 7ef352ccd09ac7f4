"""The commands on small data: what they write, what they refuse in one line, and what an interrupt leaves behind."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from astraclr import __version__
from astraclr.analysis.predictions import read_predictions
from astraclr.cli import app, inputs, report
from astraclr.config import PRESETS, RECIPES
from astraclr.data import shard_writer
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate import embeddings
from astraclr.evaluate.embeddings import train_and_test
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control, save_checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.simulation.simulate import simulate
from astraclr.train.pretrain import pretrain
from astraclr.train.step import update

COMMANDS = (
    "simulate",
    "info",
    "pretrain",
    "embed",
    "probe",
    "predict",
    "similar",
    "explore",
    "discover",
    "report",
    "export",
    "fetch",
    "figure",
    "finetune",
    "publish",
)


def run(*args):
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def done(*args):
    result = run(*args)
    assert result.exit_code == 0, result.output
    return result


def refused(*args):
    """The one line on stderr with which a command refuses."""
    result = run(*args)
    assert result.exit_code == 2, result.output
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    assert result.stderr.endswith(f"{line}\n") and result.stdout == ""
    return line


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with stars.parquet, the checkpoint ck with a head, embeddings.parquet."""
    folder = tmp_path_factory.mktemp("made")
    done("simulate", "--n", 64, "--seed", 7, "--out", folder / "stars.parquet")
    done("pretrain", folder / "stars.parquet", "--steps", 2, "--out", folder / "ck")
    done("embed", folder / "stars.parquet", "--checkpoint", folder / "ck", "--out", folder / "embeddings.parquet")
    done("probe", folder / "embeddings.parquet", "--bootstraps", 0, "--save-head", folder / "ck")
    return folder


@pytest.fixture
def tidy():
    """Ten observations of two stars, one row each."""
    return pd.DataFrame(
        {
            "object_id": ["a"] * 6 + ["b"] * 4,
            "mjd": 58_000.0 + np.arange(10),
            "mag": 15.0,
            "magerr": 0.1,
            "band": ["g", "r"] * 5,
        }
    )


# --- help -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    text = done(command, "--help").stdout
    assert f"Example: astraclr {command}" in text


def test_help_lists_the_commands_and_the_choices():
    text = done("--help").stdout
    assert all(f"\n  {command}" in text for command in COMMANDS)
    assert "..." not in text.split("Commands:")[1]  # no first sentence is cut short
    text = " ".join(done("pretrain", "--help").stdout.split())
    assert all(name in text for name in (*PRESETS, *RECIPES))


def test_version():
    assert done("--version").stdout == f"astraclr {__version__}\n"


def test_a_wrong_option_or_command_ends_with_2():
    for args in (["embed", "x.parquet", "--chekpoint", "ck"], ["embed", "x.parquet"], ["dance"], ["info", "--cut"]):
        result = run(*args)
        assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith("Error: ")


def test_help_is_quick_because_it_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'pyarrow', 'numpy', 'sklearn'}"
    code = f"import sys, astraclr.cli; found = {heavy} & set(sys.modules); sys.exit(str(found) if found else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- what the commands write ------------------------------------------------------------------------------------------


def test_simulate_writes_what_the_function_makes(made):
    lc, same = LightCurves.load(made / "stars.parquet"), simulate(64, seed=7)
    np.testing.assert_array_equal(lc.mag, same.mag)
    assert lc.label.tolist() == same.label.tolist()


def test_info(made):
    result = done("info", made / "stars.parquet", "--cut", "g=200,r=200")
    lc = LightCurves.load(made / "stars.parquet")
    assert f"64 stars, {lc.n_obs:,} observations" in result.stdout
    kept = len(lc.with_counts({"g": 200, "r": 200}))
    assert f"at least 200 in g, 200 in r: keeps {kept} of 64 stars" in result.stdout
    assert "the paper's cut" in done("info", made / "stars.parquet").stdout


def test_pretrain_says_how_to_go_on_and_returns_a_finished_run(made):
    before = load_checkpoint(made / "ck").sha256
    result = done("pretrain", made / "stars.parquet", "--steps", 2, "--out", made / "ck")
    assert f"astraclr embed FILE --checkpoint {made / 'ck'}" in result.stdout
    assert before[:8] in result.stdout and load_checkpoint(made / "ck").sha256 == before


def test_pretrain_without_a_file_takes_simulated_stars(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("astraclr.simulation.samples.training_stars", lambda *a: asked.append(a) or simulate(12))
    done("pretrain", "--steps", 1, "--seed", 5, "--recipe", "paper", "--out", tmp_path / "ck")
    assert asked == [(PRESETS["tiny"], 5)]
    assert load_checkpoint(tmp_path / "ck").name.startswith("tiny-paper-5-")


def test_embed_writes_float32_lists_that_pandas_reads(made):
    schema = pq.read_schema(made / "embeddings.parquet")
    assert schema.field("embedding").type.value_type == pa.float32()
    table = pd.read_parquet(made / "embeddings.parquet")
    lc, ck = LightCurves.load(made / "stars.parquet"), load_checkpoint(made / "ck")
    assert " ".join(table) == "object_id label n_g n_r n_i missing_bands checkpoint preset recipe fusion embedding"
    np.testing.assert_allclose(np.stack(list(table["embedding"])), embed(lc, ck), atol=1e-5)
    assert set(table["checkpoint"]) == {ck.sha256} and set(table["recipe"]) == {"corrected"}
    np.testing.assert_array_equal(table["n_i"], np.minimum(lc.counts[:, 2], 3 * 8))
    assert ((table["missing_bands"] == "i") == (lc.counts[:, 2] == 0)).all()


def test_embed_joins_crops_by_concatenation_too(made, tmp_path):
    done(
        "embed",
        made / "stars.parquet",
        "--checkpoint",
        made / "ck",
        "--fusion",
        "concat",
        "--out",
        tmp_path / "e.parquet",
    )
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert set(table["fusion"]) == {"concat"} and len(table["embedding"].iloc[0]) == 192


def test_embed_reads_other_bands(made, tidy, tmp_path):
    tidy.replace({"band": {"g": "B", "r": "R"}}).to_csv(tmp_path / "t.csv", index=False)
    done(
        "embed",
        tmp_path / "t.csv",
        "--band",
        "B=5200",
        "--band",
        "R=6900",
        "--checkpoint",
        made / "ck",
        "--out",
        tmp_path / "e.parquet",
    )
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert table[["n_B", "n_R"]].to_numpy().tolist() == [[3, 3], [2, 2]] and "n_g" not in table


def test_probe_writes_metrics(made, tmp_path):
    result = done("probe", made / "embeddings.parquet", "--bootstraps", 2, "--C", 1, "--out", tmp_path / "m.json")
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["n_train"] + metrics["n_test"] == 64 and metrics["C"] == 1
    assert {"accuracy", "macro_f1", "accuracy_low", "macro_f1_high"} <= set(metrics["linear_probe"])
    assert metrics["majority"]["accuracy"] < 0.2 and metrics["knn"]["k"] == 20
    assert all(word in result.stdout for word in ("linear probe", "weighted 20-NN", "most frequent class", "CEP"))


def test_probe_tests_on_another_table(made, tmp_path):
    done("simulate", "--n", 84, "--seed", 7, "--out", tmp_path / "more.parquet")  # the first 64 are those of `made`
    done("embed", tmp_path / "more.parquet", "--checkpoint", made / "ck", "--out", tmp_path / "more_e.parquet")
    result = done(
        "probe",
        tmp_path / "more_e.parquet",
        "--test",
        made / "embeddings.parquet",
        "--bootstraps",
        0,
        "--out",
        tmp_path / "m.json",
    )
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert (metrics["n_train"], metrics["n_test"]) == (20, 64)
    assert "left out of training: star of the test table: 64" in result.stderr


def test_probe_counts_the_unlabelled(made, tmp_path):
    table = pd.read_parquet(made / "embeddings.parquet")
    table.loc[:9, "label"] = ""
    table.to_parquet(tmp_path / "some.parquet")
    assert "left out: unlabelled star: 10" in done("probe", tmp_path / "some.parquet", "--bootstraps", 0).stderr
    table.assign(label="").to_parquet(tmp_path / "none.parquet")
    assert "unlabelled star: 64" in refused("probe", tmp_path / "none.parquet")


@pytest.mark.parametrize("name", ["p.parquet", "p.csv"])
def test_predict(made, tmp_path, name):
    result = done("predict", made / "stars.parquet", "--checkpoint", made / "ck", "--out", tmp_path / name)
    table = pd.read_csv(tmp_path / name) if name.endswith("csv") else pd.read_parquet(tmp_path / name)
    assert len(table) == 64
    np.testing.assert_allclose(table.filter(regex="^p_").sum(axis=1), 1, atol=1e-5)
    assert "flagged 'few epochs': 0 of 64" in result.stdout and "flagged 'unlike training stars'" in result.stdout
    assert "of 64 labelled stars" in result.stdout


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_predictions_run_in_no_spreadsheet_and_are_read_back(made, tmp_path, name):
    ids = ["=1+1", "-5", "007", *LightCurves.load(made / "stars.parquet").object_id[3:]]
    labels = ["@SUM(A1)", "a\rb", *LightCurves.load(made / "stars.parquet").label[2:]]
    stars = replace(LightCurves.load(made / "stars.parquet"), object_id=np.array(ids), label=np.array(labels))
    stars.save(tmp_path / "stars.parquet")
    done("predict", tmp_path / "stars.parquet", "--checkpoint", made / "ck", "--out", tmp_path / name)
    table = read_predictions(tmp_path / name)
    assert table["object_id"].tolist() == ids and table["label"].tolist() == labels
    assert table.filter(like="p_").sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    if name == "p.csv":
        lines = (tmp_path / name).read_bytes().split(b"\n")
        assert lines[1].startswith(b'"\'=1+1","\'@SUM(A1)",') and lines[2].startswith(b'"-5","a\rb",')
    with pytest.raises(ValueError, match="no table that `astraclr predict` wrote: it lacks predicted, flag"):
        read_predictions(made / "embeddings.parquet")


def test_predict_with_a_head_from_a_file(made, tmp_path):
    done("probe", made / "embeddings.parquet", "--bootstraps", 0, "--save-head", tmp_path / "head.safetensors")
    done(
        "predict",
        made / "stars.parquet",
        "--checkpoint",
        made / "ck",
        "--head",
        tmp_path / "head.safetensors",
        "--out",
        tmp_path / "p.csv",
    )


def test_a_head_on_embedding_and_features(made, tmp_path):
    stars, head, out = made / "stars.parquet", tmp_path / "both.safetensors", tmp_path / "p.csv"
    how = ("--bootstraps", 0, "--with-features", "--save-head", head)
    done("probe", stars, "--checkpoint", made / "ck", *how)
    done("predict", stars, "--checkpoint", made / "ck", "--head", head, "--out", out)
    assert len(pd.read_csv(out)) == 64
    assert "--with-features" in refused("probe", made / "embeddings.parquet", *how)
    line = refused("predict", stars, "--checkpoint", made / "ck", "--with-features", "--out", out)
    assert "holds no head (head_features.safetensors); fit one to labelled stars with `astraclr probe" in line


def test_explore_writes_a_page(made, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "astraclr.analysis.explorer.explorer", lambda *a, **k: asked.append((a, k)) or "<title>map</title>"
    )
    result = done(
        "explore", made / "stars.parquet", "--checkpoint", made / "ck", "--max-stars", 40, "--out", tmp_path / "e.html"
    )
    assert result.stdout.startswith("40 stars of tiny-corrected-0-")
    assert (tmp_path / "e.html").read_text() == "<title>map</title>"
    (((stars, checkpoint, head), how),) = asked
    assert len(stars) == 64 and checkpoint.sha256 == head.checkpoint == load_checkpoint(made / "ck").sha256
    assert how == {"foreign": None, "max_stars": 40, "seed": 42, "progress": True}


def test_explore_marks_the_stars_of_another_file(made, tmp_path, stars, monkeypatch):
    monkeypatch.setattr("astraclr.analysis.explorer.umap_map", lambda x, seed: x[:, :2])
    stars[64:67].save(tmp_path / "other.parquet")
    out = tmp_path / "e.html"
    how = ("--checkpoint", made / "ck", "--max-stars", 20, "--out", out)
    result = done("explore", made / "stars.parquet", "--similar-to", tmp_path / "other.parquet", *how)
    assert result.stdout.startswith("20 stars and 3 of ") and '"foreign":3' in out.read_text()
    line = refused("explore", made / "stars.parquet", "--similar-to", tmp_path / "none.csv", *how)
    assert "none.csv does not exist" in line


def test_explore_refuses(made, tmp_path):
    stars, out = made / "stars.parquet", tmp_path / "e.html"
    assert "no checkpoint nowhere" in refused("explore", stars, "--checkpoint", "nowhere", "--out", out)
    other = made / "ck" / inputs.HEAD
    assert "was fitted on checkpoint" in refused("explore", stars, "--head", other, "--out", out)
    assert "--band 'g=0.47'" in refused("explore", stars, "--band", "g=0.47", "--out", out)
    simulate(12).save(tmp_path / "few.parquet")
    assert "12 stars are too few for a map" in refused("explore", tmp_path / "few.parquet", "--out", out)
    assert run("explore", stars, "--max-stars", 3, "--out", out).exit_code == 2 and not out.exists()


def test_export_says_what_it_wrote_and_what_to_beware_of(made, tmp_path):
    pytest.importorskip("onnxscript")
    result = done("export", made / "ck", tmp_path / "new" / "model.onnx")
    said = " ".join(result.stdout.split())
    assert f"agrees with torch within 1e-04: {tmp_path / 'new' / 'model.onnx'}" in said
    assert "takes input, times, band_info (n, 700, 1) and mask (n, 700), float32" in said
    assert "gives mean (n, 64)" in said and "no drop-in: embeddings of 64 numbers" in said
    short, colour = result.stderr.splitlines()
    assert "trained on windows 40/48/8, used here at 300/350/50" in short
    assert f"`python benchmarks/exchange.py --checkpoint {made / 'ck'}`" in short and "hides colour" in colour


def test_a_drop_in_says_which_tool_centres_otherwise(tmp_path):
    wide = replace(PRESETS["paper"], n_layers=1)
    for centring, tool in (("star", "light-curve subtracts"), ("window", "astra-infer subtracts")):
        recipe = replace(RECIPES["paper"], centring=centring)
        checkpoint = Checkpoint(new_encoder(wide, recipe, 0), wide, recipe, 0)
        (tmp_path / "model.onnx").write_bytes(b"")
        assert "a drop-in for light-curve" in report.describe_export(checkpoint, tmp_path / "model.onnx")
        (note,) = report.cautions_on_export(checkpoint, "runs/mine")
        assert note.startswith(tool)


def test_an_encoder_with_errors_is_exported_with_its_own_inputs(tmp_path, monkeypatch):
    from astraclr.interop import onnx_native
    from astraclr.interop.onnx_graph import metadata_of

    def export(checkpoint, path, licence):
        path.write_bytes(b"onnx")
        return metadata_of(
            checkpoint, onnx_native.CONTRACT, onnx_native.native_inputs(checkpoint.recipe), "embedding", licence
        )

    monkeypatch.setattr(onnx_native, "export_native", export)
    said = done("export", "laptop", tmp_path / "model.onnx").stdout
    assert "agrees with torch within 1e-05" in said and "licence: MIT" in said
    assert re.search(r"^magerr +\(n,length\) +float32 +mag$", said, flags=re.MULTILINE)
    assert "times: MJD - 58000" in said and re.search(r"^embedding +\(n,128\)", said, flags=re.MULTILINE)
    assert "--licence 'not a name': give an SPDX name" in refused(
        "export", "laptop", tmp_path / "other.onnx", "--licence", "not a name"
    )


def test_finetune_writes_a_checkpoint_that_the_other_commands_take(made, tmp_path):
    simulate(36, seed=3, classes=["RR", "AGN", "LPV"]).save(tmp_path / "three.parquet")
    command = ("finetune", tmp_path / "three.parquet", "--checkpoint", made / "ck", "--passes", 1, "--out")
    said = done(*command, tmp_path / "tuned").stdout
    assert "24 stars to train, 9 to stop by, 3 to test; 0 without a label left out" in said
    assert "only 3 test stars: so few decide little" in said
    for row in ("fine-tuned  ", "linear probe  ", "random weights, linear probe", "fine-tuned minus linear probe"):
        assert row in said
    assert json.loads((tmp_path / "tuned" / "metrics.json").read_text())["passes"] == 1
    assert (tmp_path / "tuned" / "report.txt").read_text() in said
    assert done(*command, tmp_path / "tuned").stdout == said  # it has ended: at once
    done("predict", tmp_path / "three.parquet", "--checkpoint", tmp_path / "tuned", "--out", tmp_path / "classes.csv")
    assert set(read_predictions(tmp_path / "classes.csv")["predicted"]) <= {"RR", "AGN", "LPV"}
    done("embed", tmp_path / "three.parquet", "--checkpoint", tmp_path / "tuned", "--out", tmp_path / "x.parquet")


def test_finetune_refuses_before_any_work(made, tmp_path):
    def line(*words):
        return refused("finetune", made / "stars.parquet", "--checkpoint", made / "ck", "--out", *words)

    assert "labelled objects; each class needs at least 10" in line(tmp_path / "new")
    assert "layers 9 must lie in 0 to 2" in line(tmp_path / "new", "--layers", 9)
    assert "kind" in line(tmp_path / "new", "--label", "kind")
    assert "learning_rate is 2.0" in line(tmp_path / "new", "--learning-rate", 2)
    assert "holds the input" in line(made)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "main.tex").write_text("mine")
    said = run("finetune", made / "stars.parquet", "--checkpoint", made / "ck", "--out", tmp_path / "thesis").stderr
    assert said.startswith("error: ") and "files that this command did not write (main.tex)" in said  # nothing was read
    assert not (tmp_path / "new").exists()


def test_publish_refuses_to_upload_and_names_the_command_that_does(made, tmp_path):
    line = refused("publish", made / "ck", "--out", tmp_path / "hub")
    assert "add --dry-run" in line and line.endswith(f"hf upload OWNER/NAME {tmp_path / 'hub'}")
    pytest.importorskip("huggingface_hub")
    pytest.importorskip("onnxscript")
    line = refused("publish", made / "ck", "--out", tmp_path / "hub", "--dry-run")
    assert "name it with --licence" in line and not (tmp_path / "hub").exists()
    said = run("publish", made / "ck", "--out", tmp_path / "hub", "--dry-run").stderr
    assert said.startswith("error: "), "no work is announced that does not begin"


def test_publish_writes_a_checked_folder(tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    from astraclr.interop import model_folder
    from astraclr.interop.onnx_graph import metadata_of

    def export(checkpoint, path, licence):
        path.write_bytes(b"onnx")
        return metadata_of(checkpoint, "", {}, "embedding", licence)

    monkeypatch.setattr(model_folder, "export_native", export)
    said = done("publish", "tiny", "--out", tmp_path / "hub", "--dry-run").stdout
    assert "the card read by huggingface_hub's parser" in said and "model.onnx" in said
    assert 'license: "mit"' in (tmp_path / "hub" / "README.md").read_text()


def test_fetch_asks_for_what_was_given(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("astraclr.catalogs.published", lambda *a, **how: asked.append((a, how)) or simulate(12))
    done("fetch", "--near", "244.19,0.27,60", "--id", 12, "--id", 34, "--cut", "g=5", "--out", tmp_path / "f.parquet")
    assert asked == [((None,), {"near": (244.19, 0.27, 60.0), "ids": [12, 34], "at_least": {"g": 5}})]
    assert len(LightCurves.load(tmp_path / "f.parquet")) == 12


# --- real light curves ------------------------------------------------------------------------------------------------


@pytest.mark.real
def test_embed_real_stars(made, real_data, tmp_path):
    done("embed", real_data / "ztf.parquet", "--checkpoint", made / "ck", "--out", tmp_path / "e.parquet")
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert len(table) == 125 and table["label"].tolist().count("") == 15
    assert table[["n_g", "n_r", "n_i"]].max().tolist() == [120, 144, 24]
    assert np.isfinite(np.stack(list(table["embedding"]))).all()
    assert table["missing_bands"].str.contains("i").sum() == 125 - 17
    text = done("info", real_data / "ztf.parquet").stdout
    assert "125 stars, 81,239 observations" in text and "dropped: " not in text
    assert "kept: repeated time within a band (--drop-repeated drops it): 198" in text


@pytest.mark.real
def test_embed_a_folder_of_irsa_files(made, real_data, tmp_path):
    result = done("embed", real_data / "irsa_csv", "--checkpoint", made / "ck", "--out", tmp_path / "e.parquet")
    assert pd.read_parquet(tmp_path / "e.parquet")["missing_bands"].tolist() == ["i", ""]
    assert "dropped: catflags & 32768 (bad epoch): " in result.stderr


@pytest.mark.real
def test_times_that_are_not_mjd_are_one_line(made, real_data, tmp_path):
    result = done(
        "embed",
        real_data / "eros.parquet",
        "--band",
        "B=5200",
        "--band",
        "R=6900",
        "--checkpoint",
        made / "ck",
        "--out",
        tmp_path / "e.parquet",
    )
    (line,) = [text for text in result.stderr.splitlines() if "MJD" in text]
    assert line.startswith("warning: times run from ") and ".py" not in line


# --- bad input --------------------------------------------------------------------------------------------------------


def test_files_that_are_no_light_curves(made, tmp_path):
    (tmp_path / "empty.parquet").write_bytes(b"")
    whole = (made / "stars.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("none.parquet", "does not exist"),
        ("empty.parquet", "is empty"),
        ("folder", "nothing to read"),
        ("cut.parquet", "not a complete parquet file"),
    ):
        line = refused("info", tmp_path / name)
        assert name in line and reason in line
    assert "missing column mjd" in refused("info", made / "embeddings.parquet")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mag": "faint"}, "column mag must hold numbers, found 'faint'"),
        ({"band": "V"}, "unknown band 'V'"),
        ({"magerr": -1.0}, "no usable observation"),
        ({"mag": 99.999}, "sentinel magnitude or error: 10"),
        ({"mjd": np.nan}, "value not finite: 10"),
    ],
)
def test_columns_that_cannot_be_used(tidy, tmp_path, change, reason, suffix):
    table, path = tidy.assign(**change), tmp_path / f"t.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    assert reason in refused("info", path)


def test_a_missing_column_and_an_empty_table(tidy, tmp_path):
    tidy.drop(columns="magerr").to_csv(tmp_path / "t.csv", index=False)
    assert "missing column magerr" in refused("info", tmp_path / "t.csv")
    tidy[:0].to_csv(tmp_path / "t.csv", index=False)
    assert "no observations" in refused("info", tmp_path / "t.csv")


def test_what_is_dropped_is_counted(tidy, tmp_path):
    tidy = pd.concat(
        [
            tidy,
            tidy[:1],
            tidy[:1].assign(band="V"),
            tidy[:1].assign(mag=-999.0),
            tidy[:1].assign(magerr=0.0),
            tidy[:1].assign(object_id="c", band="V"),
        ]
    )
    tidy.sample(frac=1, random_state=0).to_csv(tmp_path / "t.csv", index=False)
    text = done("info", tmp_path / "t.csv", "--drop-unknown-bands").stdout
    for line in (
        "dropped: observation in unknown band V: 2",
        "dropped: sentinel magnitude or error: 1",
        "dropped: error not positive: 1",
        "dropped: star without a usable observation in these bands: 1",
        "kept: repeated time within a band (--drop-repeated drops it): 1",
    ):
        assert f"{line}\n" in text
    text = done("info", tmp_path / "t.csv", "--drop-unknown-bands", "--drop-repeated").stdout
    assert "dropped: repeated time within a band: 1\n" in text and "2 stars, 10 observations" in text


def test_times_of_unknown_origin_are_a_warning_of_one_line(tidy, tmp_path):
    tidy.assign(mjd=tidy["mjd"] - 50_000).to_csv(tmp_path / "t.csv", index=False)
    result = done("info", tmp_path / "t.csv")
    assert result.stderr.startswith("warning: times run from 8000 to") and len(result.stderr.splitlines()) == 1
    assert "times: 8000.00 to 8009.00 (9 days), not MJD\n" in result.stdout


def test_julian_dates_are_converted_with_a_count_and_the_reader_is_named(tidy, tmp_path):
    tidy.assign(mjd=tidy["mjd"] + 2_400_000.5).to_csv(tmp_path / "t.csv", index=False)
    result = done("info", tmp_path / "t.csv")
    assert "times: MJD 58000.00 to 58009.00 (9 days)\n" in result.stdout and not result.stderr
    assert "converted: JD to MJD (JD - 2400000.5): 10\n" in result.stdout
    assert result.stdout.endswith("read as: tidy table, CSV (columns object_id, mjd, mag, magerr, band)\n")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        assert "is a pipe or a device, not a file" in refused("info", path)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.bz2", "t.csv.xz", "t.csv.zip"])
def test_a_compressed_file_that_was_cut_off_is_named(tidy, tmp_path, name):
    pd.concat([tidy] * 500).assign(mjd=lambda t: np.arange(len(t)) + 50_000.25).to_csv(tmp_path / name, index=False)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    line = refused("info", tmp_path / name)
    assert name in line and ("cut off" in line or "cannot be read" in line)


@pytest.mark.parametrize(
    "args",
    [
        ["simulate"],
        ["pretrain", "FOLDER/none"],
        ["embed", "FOLDER/none"],
        ["probe", "FOLDER/none"],
        ["predict", "FOLDER/none"],
        ["explore", "FOLDER/none"],
        ["fetch", "--limit", "3"],
    ],
)
def test_an_output_that_cannot_be_written_is_refused_first(tmp_path, args):
    """Tests may run as root, who may write everywhere but below a file. No input is there: nothing is read before."""
    (tmp_path / "file").write_text("precious")
    args = [a.replace("FOLDER", str(tmp_path)) for a in args]
    suffix = {"probe": ".json", "explore": ".html"}.get(args[0], ".parquet")
    assert f"{tmp_path / 'file'} is a file" in refused(*args, "--out", tmp_path / "file" / "deeper" / f"out{suffix}")
    if args[0] != "pretrain":
        assert "it is a folder" in refused(*args, "--out", tmp_path)
        assert "must end in" in refused(*args, "--out", tmp_path / "out.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "precious"


def test_the_input_is_never_the_output(made):
    before = (made / "stars.parquet").read_bytes()
    for command in ("embed", "predict"):
        assert "it is the input" in refused(command, made / "stars.parquet", "--out", made / "stars.parquet")
    assert (made / "stars.parquet").read_bytes() == before


def test_names_and_settings_that_do_not_exist(made, tmp_path):
    stars, out = made / "stars.parquet", tmp_path / "out"
    assert "choose one of tiny, laptop" in refused("pretrain", stars, "--preset", "huge", "--out", out)
    assert "choose one of paper, paper-two-views" in refused("pretrain", stars, "--recipe", "secret", "--out", out)
    assert "choose another folder" in refused("pretrain", stars, "--steps", 3, "--out", made / "ck")
    table = out.with_suffix(".parquet")
    assert "no fusion 'sum'" in refused("embed", stars, "--fusion", "sum", "--out", table)
    assert "no checkpoint nowhere" in refused("embed", stars, "--checkpoint", "nowhere", "--out", table)
    assert "--band 'g=0.47'" in refused("embed", stars, "--band", "g=0.47", "--out", table)
    assert "no band z here" in refused("info", stars, "--cut", "z=3")
    assert "test share is 2" in refused("probe", made / "embeddings.parquet", "--test-share", 2)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_shape(made, tmp_path):
    shutil.copytree(made / "ck", tmp_path / "ck")
    config = json.loads((tmp_path / "ck" / "config.json").read_text())
    config["preset"]["d_model"] = 32
    (tmp_path / "ck" / "config.json").write_text(json.dumps(config))
    line = refused("embed", made / "stars.parquet", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "e.parquet")
    assert "do not fit preset tiny (d_model 32" in line and not (tmp_path / "e.parquet").exists()


def test_heads_that_do_not_belong(made, tmp_path):
    stars, other, out = made / "stars.parquet", tmp_path / "other", tmp_path / "p.csv"
    save_checkpoint(random_control(load_checkpoint(made / "ck"), seed=9), other)
    assert "holds no head" in refused("predict", stars, "--checkpoint", other, "--out", out)
    shutil.copy(made / "ck" / "head.safetensors", other)
    assert "was fitted on checkpoint" in refused("predict", stars, "--checkpoint", other, "--out", out)
    assert "the embeddings come from" in refused("probe", made / "embeddings.parquet", "--save-head", other)
    table = pd.read_parquet(made / "embeddings.parquet")
    table.assign(fusion="concat").to_parquet(tmp_path / "concat.parquet")
    assert "--fusion mean" in refused("probe", tmp_path / "concat.parquet", "--save-head", tmp_path / "h.safetensors")
    table.drop(columns="checkpoint").to_parquet(tmp_path / "whose.parquet")
    assert "does not say which checkpoint" in refused("probe", tmp_path / "whose.parquet", "--save-head", made / "ck")


def test_a_head_or_a_figure_replaces_nothing_of_another_kind(made, tmp_path):
    weights = shutil.copy(next((made / "ck").glob("weights-*.safetensors")), tmp_path / "theirs.safetensors")
    before = Path(weights).read_bytes()
    line = refused("probe", made / "embeddings.parquet", "--bootstraps", 0, "--save-head", weights)
    assert "theirs.safetensors: the file of this name holds no head" in line and Path(weights).read_bytes() == before
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    line = refused("figure", "fig-offsets", "--out", tmp_path / "notes.png")
    assert f"cannot write {tmp_path / 'notes.json'}, which tells what a figure is made from" in line


def test_fetch_without_a_request_or_a_network(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "f.parquet"
    assert "--limit N, --near RA,DEC,RADIUS or --id GAIA_ID" in refused("fetch", "--out", out)
    assert "--near '1,2'" in refused("fetch", "--near", "1,2", "--out", out)
    pytest.importorskip("huggingface_hub")
    assert "Connect to the network and try again" in refused("fetch", "--limit", 3, "--out", out)
    assert not out.exists()


def test_a_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path):
    def missing(*_, **__):
        raise ModuleNotFoundError("No module named 'lsdb'")

    monkeypatch.setattr("astraclr.catalogs.published", missing)
    line = refused("fetch", "--limit", 3, "--out", tmp_path / "f.parquet")
    assert line.endswith("No module named 'lsdb'; install what is missing with: pip install 'astraclr[all]'")


def test_export_refuses_before_any_work(made, tmp_path, monkeypatch):
    assert "the name must end in .onnx" in refused("export", made / "ck", tmp_path / "model.pt")
    assert "no checkpoint nowhere" in refused("export", "nowhere", tmp_path / "model.onnx")
    line = refused("export", made / "ck", tmp_path / "model.onnx", "--inputs", "mine")
    assert "no inputs 'mine'; choose auto, exchange or own" in line
    checkpoint = load_checkpoint(made / "ck")
    recipe = replace(checkpoint.recipe, name="mine", error_input=True)
    encoder = new_encoder(checkpoint.preset, recipe, 0)
    save_checkpoint(Checkpoint(encoder, checkpoint.preset, recipe, 0), tmp_path / "errors")
    line = refused("export", tmp_path / "errors", tmp_path / "model.onnx", "--inputs", "exchange")
    assert "recipe 'mine'" in line and "error_input" in line and "'corrected'" in line
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    line = refused("export", made / "ck", tmp_path / "model.onnx")
    assert "this command needs onnxscript: pip install 'astraclr[interop]'" in line
    assert not (tmp_path / "model.onnx").exists()


def test_a_traceback_on_request(tmp_path):
    with pytest.raises(FileNotFoundError):
        run("--traceback", "info", tmp_path / "none.parquet")


# --- nothing is lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "code"), [(KeyboardInterrupt, 130), (OSError("No space left on device"), 2)])
def test_a_stop_while_writing_leaves_the_previous_file(made, tmp_path, monkeypatch, fault, code):
    out = tmp_path / "e.parquet"
    out.write_bytes(b"previous")

    def half(_, path):
        path.write_bytes(b"half of it")
        raise fault

    monkeypatch.setattr(pq, "write_table", half)
    result = run("embed", made / "stars.parquet", "--checkpoint", made / "ck", "--out", out)
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1].startswith("stopped: " if code == 130 else "error: No space left")
    assert out.read_bytes() == b"previous" and list(tmp_path.iterdir()) == [out]


def test_ctrl_c_in_training_can_be_resumed_to_the_same_weights(tmp_path):
    """A process of its own is stopped after its first steps; the same command then ends as if it never was."""
    stars, steps = simulate(24, seed=1), 30
    stars.save(tmp_path / "stars.parquet")
    whole = pretrain(stars, steps=steps, out=tmp_path / "whole", progress=False)
    args = ["pretrain", str(tmp_path / "stars.parquet"), "--steps", str(steps), "--out", str(tmp_path / "ck")]
    child = subprocess.Popen(
        [sys.executable, "-m", "astraclr.cli", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        # A shell that runs the tests in the background has children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert child.stderr is not None
    try:
        seen = b""
        while not re.search(rb"[1-9]\d*/30 ", seen) and (byte := child.stderr.read(1)):
            seen += byte
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        if child.poll() is None:
            child.kill()
    assert child.returncode == 130, (seen + err).decode()
    assert out == b"" and err.decode().splitlines()[-1].endswith("ck; run the same command to go on")
    there = sorted(p.name for p in (tmp_path / "ck").iterdir())
    assert there == ["log.jsonl", "state-previous.safetensors", "state.safetensors"]
    assert "no checkpoint" in refused(
        "embed", tmp_path / "stars.parquet", "--checkpoint", tmp_path / "ck", "--out", tmp_path / "e.parquet"
    )
    done(*args)
    resumed = load_checkpoint(tmp_path / "ck")
    assert resumed.sha256 == whole.sha256
    pd.testing.assert_frame_equal(resumed.history, load_checkpoint(tmp_path / "whole").history)


def test_ctrl_c_inside_a_step_waits_for_its_end(made, tmp_path, monkeypatch):
    """The weights have moved, the step is not counted yet: stopped here, a resumed run would take it twice."""

    def struck(*args):
        found = update(*args)
        signal.raise_signal(signal.SIGINT)
        return found

    args = ["pretrain", made / "stars.parquet", "--steps", 2, "--out", tmp_path / "ck"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr("astraclr.train.pretrain.update", struck)
        result = run(*args)
        monkeypatch.undo()
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130 and result.stderr.endswith("ck; run the same command to go on\n")
    done(*args)
    assert load_checkpoint(tmp_path / "ck").sha256 == load_checkpoint(made / "ck").sha256


def test_ctrl_c_before_the_first_step(monkeypatch, tmp_path):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "read_stars", stopped)
    result = run("pretrain", "stars.parquet", "--out", tmp_path / "ck")
    assert result.exit_code == 130 and result.stderr == "stopped: nothing trained yet\n"


def test_a_process_ends_with_2_and_one_line(made, tmp_path):
    """As a shell sees it."""
    child = subprocess.run(
        [
            sys.executable,
            "-m",
            "astraclr.cli",
            "embed",
            str(tmp_path / "none.csv"),
            "--checkpoint",
            str(made / "ck"),
            "--out",
            str(tmp_path / "e.parquet"),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert child.returncode == 2 and child.stdout == ""
    assert child.stderr == f"error: {tmp_path / 'none.csv'} does not exist (looked in {tmp_path})\n"


def test_shards_are_written_once_and_trained_on(made, tmp_path):
    again = []
    for _ in range(2):
        where = ("--out", tmp_path / "shards", "--cut", "", "--stars-per-shard", 20)
        said = done("shards", made / "stars.parquet", *where)
        assert said.stdout.startswith("64 stars,")
        again.append({f.name: f.stat().st_mtime_ns for f in (tmp_path / "shards").glob("*.arrow")})
    assert again[0] == again[1] and len(again[0]) == 4
    done("pretrain", tmp_path / "shards", "--steps", 2, "--out", tmp_path / "ck")
    ours, theirs = (load_checkpoint(f).sha256 for f in (tmp_path / "ck", made / "ck"))
    assert ours == theirs
    assert "leave --band" in refused("pretrain", tmp_path / "shards", "--band", "B=5200", "--out", tmp_path / "other")


def test_a_lost_shard_is_named_before_training(made, tmp_path):
    done("shards", made / "stars.parquet", "--out", tmp_path / "shards", "--cut", "", "--stars-per-shard", 20)
    lost = sorted((tmp_path / "shards").glob("*.arrow"))[1]
    lost.unlink()
    assert lost.name in refused("pretrain", tmp_path / "shards", "--out", tmp_path / "ck")
    assert not (tmp_path / "ck" / "log.jsonl").exists()


def test_probe_of_light_curves_stands_beside_random_weights(made, tmp_path):
    rows = LightCurves.load(made / "stars.parquet").to_rows()
    rows["type"] = rows.pop("label")
    rows.to_parquet(tmp_path / "rows.parquet")
    common = ["--bootstraps", 0, "--C", 1, "--out"]
    done("probe", made / "embeddings.parquet", *common, tmp_path / "a.json")
    result = done(
        "probe", tmp_path / "rows.parquet", "--checkpoint", made / "ck", "--label", "type", *common, tmp_path / "b.json"
    )
    a, b = (json.loads((tmp_path / f"{name}.json").read_text()) for name in "ab")
    control = b.pop("random_weights")
    assert a == b
    stars, random = LightCurves.load(made / "stars.parquet"), random_control(load_checkpoint(made / "ck"))
    table = embeddings.Embeddings(stars.object_id, stars.label, embed(stars, random), "", "mean")
    expected = embeddings.evaluate(*train_and_test(table)[:2], C=1, bootstraps=0)
    assert control == {name: expected[name] for name in ("linear_probe", "knn")}
    assert "random weights, linear probe" in result.stdout and "most frequent class" in result.stdout
    assert "random weights" not in done("probe", made / "embeddings.parquet", "--bootstraps", 0).stdout


def test_probe_of_light_curves_refuses(made, tmp_path):
    rows = LightCurves.load(made / "stars.parquet").to_rows()
    rows.to_parquet(tmp_path / "rows.parquet")
    assert "missing column type" in refused_after_notes(
        "probe", tmp_path / "rows.parquet", "--checkpoint", made / "ck", "--label", "type"
    )
    assert "with --checkpoint" in refused("probe", made / "embeddings.parquet", "--label", "type")
    assert "no checkpoint nothing" in refused("probe", tmp_path / "rows.parquet", "--checkpoint", "nothing")


def refused_after_notes(*args):
    result = run(*args)
    assert result.exit_code == 2 and result.stdout == ""
    return result.stderr.splitlines()[-1]


# --- nothing lost -----------------------------------------------------------------------------------------------------


def test_training_and_shards_do_not_write_among_their_input_or_files_of_others(made, tmp_path):
    folder = tmp_path / "stars"
    folder.mkdir()
    shutil.copy(made / "stars.parquet", folder)
    for command in ("pretrain", "shards"):
        for out in (folder, folder / "new"):
            assert "would lie among the files" in refused(command, folder, "--out", out)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "history.csv").write_text("theirs")
    for command, *options in (("pretrain", "--steps", 1), ("shards", "--cut", "")):
        result = run(command, made / "stars.parquet", "--out", tmp_path / "theirs", *options)
        assert result.exit_code == 2 and "did not write (history.csv), and could overwrite" in result.stderr
    assert [p.name for p in (tmp_path / "theirs").iterdir()] == ["history.csv"]
    assert [p.name for p in folder.iterdir()] == ["stars.parquet"]


def test_no_output_lies_in_a_checkpoint(made):
    before = {p.name: p.read_bytes() for p in (made / "ck").iterdir()}
    ck = ("--checkpoint", made / "ck")
    for args in (
        ("predict", made / "stars.parquet", *ck, "--out", made / "ck" / "history.csv"),
        ("embed", made / "stars.parquet", *ck, "--out", made / "ck" / "e.parquet"),
        ("explore", made / "stars.parquet", *ck, "--out", made / "ck" / "map.html"),
        ("probe", made / "embeddings.parquet", "--out", made / "ck" / "config.json"),
        ("simulate", "--n", 2, "--out", made / "ck" / "s.parquet"),
    ):
        assert "the folder holds a checkpoint" in refused(*args)
    assert {p.name: p.read_bytes() for p in (made / "ck").iterdir()} == before


def test_a_cut_that_drops_every_star_says_so(made, tmp_path):
    result = run("shards", made / "stars.parquet", "--out", tmp_path / "sh", "--cut", "g=9999")
    assert result.exit_code == 2
    assert "no star is left to write (dropped: star without g >= 9999 observations: 64)" in result.stderr


def test_ctrl_c_in_shards_says_what_is_kept(made, tmp_path, monkeypatch):
    written = shard_writer.write_part

    def struck(lc, notes, part, folder, size):
        if part == 2 and folder is not None:
            raise KeyboardInterrupt
        return written(lc, notes, part, folder, size)

    monkeypatch.setattr(shard_writer, "write_part", struck)
    args = ("shards", made / "stars.parquet", "--out", tmp_path / "sh", "--cut", "", "--stars-per-shard", 20)
    result = run(*args)
    assert result.exit_code == 130
    said = f"stopped: 2 shards are kept in {tmp_path / 'sh'}; run the same command to go on\n"
    assert result.stderr.endswith(said) and len(list((tmp_path / "sh").glob("*.arrow"))) == 2
    monkeypatch.undo()
    assert done(*args).stdout.startswith("64 stars,")


def test_every_refusal_names_the_file(made, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ValueError("something is wrong")

    monkeypatch.setattr("astraclr.catalogs.open_table", broken)
    for command, *rest in (("info",), ("embed", "--out", tmp_path / "e.parquet"), ("shards", "--out", tmp_path / "sh")):
        assert str(made / "stars.parquet") in refused(command, made / "stars.parquet", *rest)


def test_pipes_are_refused_at_once(made, tmp_path):
    pipe = tmp_path / "pipe.parquet"
    os.mkfifo(pipe)
    for args in (
        ("info", pipe),
        ("embed", pipe, "--out", tmp_path / "e.parquet"),
        ("pretrain", pipe, "--out", tmp_path / "ck"),
        ("probe", pipe),
        ("predict", made / "stars.parquet", "--checkpoint", made / "ck", "--head", pipe, "--out", tmp_path / "p.csv"),
    ):
        assert "is a pipe or a device" in refused(*args)
