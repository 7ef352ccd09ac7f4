"""A checkpoint as a folder for a model hub: its files, its card as the hub's own parser reads it, and refusals."""

import json
from pathlib import Path

import pytest

from astraclr.files import shipped_file
from astraclr.interop import model_folder
from astraclr.interop.model_folder import check_card, write_model_folder
from astraclr.interop.onnx_graph import metadata_of
from astraclr.interop.onnx_native import CONTRACT, native_inputs
from astraclr.model.checkpoint import load_checkpoint

hub = pytest.importorskip("huggingface_hub", reason='needs: pip install "astraclr[data]"')


@pytest.fixture
def quick(monkeypatch):
    """The ONNX file is written without the exporter, which other tests try."""

    def export(checkpoint, path, licence):
        Path(path).write_bytes(b"onnx")
        return metadata_of(checkpoint, CONTRACT, native_inputs(checkpoint.recipe), "embedding", licence)

    monkeypatch.setattr(model_folder, "export_native", export)


def test_the_folder_holds_what_a_hub_expects(quick, tmp_path):
    source, out = shipped_file("checkpoints/laptop"), tmp_path / "hub"
    names = write_model_folder(load_checkpoint("laptop"), source, out, "CC-BY-4.0")
    assert names == sorted(path.name for path in out.iterdir())
    assert {"README.md", "LICENSE", "config.json", "model.onnx", "head.safetensors"} < set(names)
    assert load_checkpoint(out).sha256 == load_checkpoint("laptop").sha256
    card = hub.ModelCard.load(out / "README.md")
    assert card.data.license == "cc-by-4.0" and "light-curves" in card.data.tags
    assert "| `magerr` | (n,length) float32 | mag |" in card.text and "### Scores" in card.text
    assert "SPDX-License-Identifier: CC-BY-4.0" in (out / "LICENSE").read_text()
    assert write_model_folder(load_checkpoint("laptop"), source, out, "CC-BY-4.0") == names


def test_a_fine_tuned_checkpoint_shows_its_scores_beside_its_controls(tmp_path):
    low = {"accuracy": 0.75, "accuracy_low": 0.7, "accuracy_high": 0.8, "macro_f1": 0.7}
    metrics = {
        "scores": {"finetuned": low, "random_weights": low, "finetuned_minus": {"probe": low}},
        "stars": {"train": 70, "validation": 20, "test": 10},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    text = "\n".join(model_folder.scores_of(tmp_path))
    assert "| finetuned | 0.750 (0.700 to 0.800) | 0.700 |" in text and "random weights" in text
    assert "minus" not in text and "tested on 10 others" in text
    (tmp_path / "metrics.json").unlink()
    assert "No scores were kept" in model_folder.scores_of(tmp_path)[0]


def test_other_files_and_a_missing_licence_are_refused(quick, tmp_path):
    tiny, source = load_checkpoint("tiny"), shipped_file("checkpoints/tiny")
    with pytest.raises(ValueError, match="a hub asks for a licence .* name it with --licence"):
        write_model_folder(tiny, source, tmp_path / "new", "")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="holds files that this command did not write .thesis.tex."):
        write_model_folder(tiny, source, tmp_path, "MIT")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("card", ["---\nlicense: [\n---\n", "---\nlicense: mit\n---\n", "no header"])
def test_a_card_that_is_read_otherwise_is_refused(card):
    with pytest.raises(ValueError, match=r"huggingface_hub (does not read|reads .* of the card otherwise)"):
        check_card(card, "MIT")
