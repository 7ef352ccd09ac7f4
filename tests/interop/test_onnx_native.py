"""A file with an encoder's own inputs says what they are, agrees with torch, or is refused by name."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from astraclr.config import PRESETS, RECIPES
from astraclr.data.tokens import prepare
from astraclr.interop import onnx_native
from astraclr.interop.onnx_graph import REFUSAL
from astraclr.interop.onnx_native import embed_native, export_native, native_inputs, open_native
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.crops import crop_tokens
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder

pytest.importorskip("onnx", reason='needs: pip install "astraclr[interop]"')
pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

SMALL = dataclasses.replace(PRESETS["tiny"], name="small", d_model=16, n_layers=1, n_heads=1, d_ff=16)
FOLDED = dataclasses.replace(RECIPES["recommended"], name="folded", folded_input="both")


def checkpoint_of(recipe):
    return Checkpoint(new_encoder(SMALL, recipe, 0).eval(), SMALL, recipe, 0, sha256="0123abcd")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("native") / "model.onnx"
    return path, export_native(checkpoint_of(RECIPES["recommended"]), path, "CC-BY-4.0")


def test_the_file_says_what_it_takes(file):
    session, preset, recipe = open_native(file[0])
    said = session.get_modelmeta().custom_metadata_map
    assert said == file[1] and (preset, recipe) == (SMALL, RECIPES["recommended"])
    assert (said["checkpoint"], said["licence"]) == ("0123abcd", "CC-BY-4.0")
    assert said["bands"] == "g=4746.48 r=6366.38 i=7829.03"
    described = json.loads(said["inputs"])
    assert list(described) == [i.name for i in session.get_inputs()]
    assert list(described) == ["mag", "times", "band", "mask", "magerr"]
    assert described["times"]["unit"] == "d" and all(d["meaning"] for d in described.values())
    types = {"tensor(float)": "float32", "tensor(double)": "float64"}
    for i in session.get_inputs():
        assert types[i.type] == described[i.name]["type"]
        assert ["n" if d == "batch" else str(d) for d in i.shape] == described[i.name]["shape"].split(",")
    assert b".py" not in file[0].read_bytes()


def test_it_embeds_as_torch_does(file, stars):
    expected = embed(stars[:9], checkpoint_of(RECIPES["recommended"]), device="cpu")
    np.testing.assert_allclose(embed_native(stars[:9], file[0]), expected, atol=1e-5)


def test_the_example_of_the_guide_needs_no_torch(file, stars, root, tmp_path):
    """Its code is run as it stands, on the last window of a star, where torch cannot be imported."""
    guide = (root / "book" / "guide_tools.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", guide, flags=re.DOTALL | re.MULTILINE)
    assert len([line for line in code.splitlines() if line]) <= 16
    shutil.copy(file[0], tmp_path / "model.onnx")
    table = stars[:1].to_table()[["mjd", "mag", "magerr", "band"]].sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "star.csv", index=False)
    script = f"import sys; sys.modules['torch'] = None\n{code}\nnp.save('found.npy', embedding)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    tokens = crop_tokens(prepare(stars[:1]), torch.arange(1), SMALL, "end", RECIPES["recommended"])
    with torch.inference_mode():
        expected = checkpoint_of(RECIPES["recommended"]).encoder(tokens).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-5)


def test_a_fully_masked_row_stops_the_runtime(file):
    session, _, recipe = open_native(file[0])
    rows = {name: np.zeros((2, 5), kind) for name, (_, kind, *_) in native_inputs(recipe).items()}
    assert np.isfinite(session.run(None, rows)[0]).all()
    rows["mask"][1] = 1
    with pytest.raises(Exception, match=REFUSAL):
        session.run(None, rows)


@pytest.mark.parametrize("recipe", [*RECIPES.values(), FOLDED], ids=lambda recipe: recipe.name)
def test_the_inputs_of_every_recipe_are_those_of_its_encoder(recipe, stars):
    """The module that is exported gives torch's embeddings from the arrays that its inputs describe."""
    checkpoint = checkpoint_of(recipe)
    tokens = crop_tokens(prepare(stars[:4]), torch.arange(4), SMALL, "end", checkpoint.recipe)
    arrays = onnx_native.native_arrays(tokens, checkpoint.recipe)
    assert list(arrays) == list(native_inputs(checkpoint.recipe))
    model = onnx_native._Native(checkpoint.encoder, checkpoint.recipe)
    with torch.inference_mode():
        found = model(*(torch.as_tensor(a) for a in arrays.values()))
        torch.testing.assert_close(found, checkpoint.encoder(tokens), atol=1e-6, rtol=0)


def test_a_file_that_differs_or_is_of_another_kind_is_refused(file, tmp_path, monkeypatch):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(ValueError, match="text.onnx is not an ONNX file"):
        open_native(tmp_path / "text.onnx")
    with pytest.raises(FileNotFoundError):
        open_native(tmp_path / "none.onnx")
    import onnx

    other = onnx.load(str(file[0]))
    del other.metadata_props[:]
    onnx.save(other, str(tmp_path / "other.onnx"))
    with pytest.raises(ValueError, match="follows the contract 'of another tool', not 'astraclr native 1'"):
        open_native(tmp_path / "other.onnx")
    monkeypatch.setattr(onnx_native, "TOLERANCE", -1.0)
    monkeypatch.setattr("astraclr.interop.onnx_graph._refuse_masked_rows", lambda _: None)  # its graph has them already
    monkeypatch.setattr(onnx_native, "exported", lambda *_: onnx.load(str(file[0])))
    with pytest.raises(ValueError, match="was not written: its embeddings differ from torch's"):
        export_native(checkpoint_of(RECIPES["recommended"]), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
