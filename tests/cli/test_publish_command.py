"""Export and publish through the command line, with real ONNX files: a fine-tuned folder, and both shipped encoders."""

import numpy as np
import pytest
from javascript import as_stars, needs_node, node
from typer.testing import CliRunner

from astraclr.analysis.classifier import load_head
from astraclr.analysis.page_model import page_model
from astraclr.analysis.predictions import read_predictions
from astraclr.cli import app
from astraclr.data.lightcurves import LightCurves
from astraclr.files import shipped_file
from astraclr.interop import model_folder
from astraclr.interop.onnx_graph import metadata_of
from astraclr.interop.onnx_native import CONTRACT, embed_native, native_inputs
from astraclr.model.checkpoint import load_checkpoint
from astraclr.model.embedding import embed
from astraclr.simulation.simulate import simulate

pytest.importorskip("onnxscript", reason='needs: pip install "astraclr[interop]"')
pytest.importorskip("onnxruntime", reason='needs: pip install "astraclr[interop]"')

WITHIN, FEW = 1e-5, 8
"""Largest difference of two embeddings; stars that JavaScript embeds (`test_page_model` has all)."""


@pytest.fixture
def card_of():
    """Reads the card of a folder as a hub does, with huggingface_hub's own parser."""
    hub = pytest.importorskip("huggingface_hub", reason='needs: pip install "astraclr[data]"')
    return lambda folder: hub.ModelCard.load(folder / "README.md")


def done(*args):
    result = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_fine_tuned_folder_is_exported_and_published(card_of, tmp_path, monkeypatch):
    """Its head reads three windows side by side; the file gives the same probabilities without torch."""
    stars, tuned, file = tmp_path / "three.parquet", tmp_path / "tuned", tmp_path / "model.onnx"
    lc = simulate(36, seed=3, classes=["RR", "AGN", "LPV"])
    lc.save(stars)
    done("finetune", stars, "--checkpoint", "tiny", "--passes", 1, "--out", tuned)
    done("predict", stars, "--checkpoint", tuned, "--out", tmp_path / "classes.csv")
    done("export", tuned, file, "--inputs", "own", "--licence", "CC-BY-4.0")
    head = load_head(tuned / "head.safetensors", load_checkpoint(tuned))
    assert head.fusion == "concat"
    p = head.probabilities(head.inputs(lc, embed_native(lc, file, fusion="concat")))
    table = read_predictions(tmp_path / "classes.csv")
    np.testing.assert_allclose(p, table[[f"p_{name}" for name in head.classes]], rtol=0, atol=1e-4)

    def exported(checkpoint, path, licence):  # the file is the same; the other test writes one on the way
        path.write_bytes(file.read_bytes())
        return metadata_of(checkpoint, CONTRACT, native_inputs(checkpoint.recipe), "embedding", licence)

    monkeypatch.setattr(model_folder, "export_native", exported)
    assert "upload it with: hf upload" in done(
        *("publish", tuned, "--out", tmp_path / "hub", "--licence", "CC-BY-4.0", "--dry-run")
    )
    card = card_of(tmp_path / "hub")
    assert card.data.license == "cc-by-4.0" and "reads the three side by side, in this order" in card.text
    assert "| finetuned |" in card.text and "| random weights |" in card.text
    assert load_checkpoint(tmp_path / "hub").sha256 == load_checkpoint(tuned).sha256
    assert (tmp_path / "hub" / "head.safetensors").read_bytes() == (tuned / "head.safetensors").read_bytes()


def test_a_shipped_encoder_is_published_with_its_onnx_file(card_of, root, tmp_path):
    done("publish", "laptop", "--out", tmp_path / "hub", "--dry-run")
    card = card_of(tmp_path / "hub")
    assert card.data.license == "mit" and "onnx" in card.data.tags and "side by side, in this order" not in card.text
    agrees(root, tmp_path, "laptop", tmp_path / "hub" / "model.onnx")


def test_an_encoder_without_errors_is_exported_with_its_own_inputs(root, tmp_path):
    said = done("export", "tiny", tmp_path / "model.onnx", "--inputs", "own")
    assert "agrees with torch within 1e-05" in said and "magerr" not in said
    agrees(root, tmp_path, "tiny", tmp_path / "model.onnx")


EMBED = """
const model = E.load(given.model);
print(given.stars.map((star) => ({ x: Array.from(E.embed(star, model)) })));
"""


def agrees(root, tmp_path, name, file):
    """Torch, the ONNX file and, where there is node, the page's JavaScript give the same embeddings of sample stars."""
    checkpoint, stars = load_checkpoint(name), LightCurves.load(shipped_file("sample.parquet"))[:24]
    found, expected = embed_native(stars, file), embed(stars, checkpoint)
    np.testing.assert_allclose(found, expected, rtol=0, atol=WITHIN)
    if not needs_node.args[0]:
        page = node(root, tmp_path, EMBED, model=page_model(checkpoint), stars=as_stars(stars[:FEW]))
        np.testing.assert_allclose([star["x"] for star in page], found[:FEW], rtol=0, atol=WITHIN)
