"""Weights as Keras holds them are read, and whatever is not such weights is refused by name."""

import io
import os
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

import astraclr
from astraclr.interop import keras_weights
from astraclr.interop.keras_weights import load_published
from astraclr.model.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def weights(oracles):
    arrays = oracles("model_tiny")
    return {k.removeprefix("weights/"): v for k, v in arrays.items() if k.startswith("weights/")}


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_files_and_mappings_give_the_same_encoder(weights, root, tmp_path):
    from_mapping = astraclr.load_published(weights, n_heads=4)
    assert from_mapping.recipe.name == "paper" and from_mapping.preset.name == "published"
    assert dict(from_mapping.preset.windows) == {"g": 300, "r": 350, "i": 50}
    assert (from_mapping.preset.d_model, from_mapping.preset.d_ff, from_mapping.preset.n_layers) == (32, 64, 2)
    save_file(weights, tmp_path / "w.safetensors")
    oracle = root / "tests" / "oracles" / "model_tiny.npz"
    for other in (
        load_published(tmp_path / "w.safetensors", n_heads=4),
        load_published(oracle, n_heads=4, prefix="weights/"),
    ):
        assert same(other.encoder, from_mapping.encoder)


def test_saved_and_loaded_again_it_is_the_same(weights, tmp_path):
    checkpoint = load_published(weights, n_heads=4)
    save_checkpoint(checkpoint, tmp_path)
    again = load_checkpoint(tmp_path)
    assert same(again.encoder, checkpoint.encoder) and again.preset == checkpoint.preset


@pytest.mark.parametrize("width", [None, 8])
def test_a_projection_head_of_another_shape_is_replaced_with_a_warning(weights, width, tmp_path):
    given = {k: v for k, v in weights.items() if not k.startswith("projection.1")}
    if width:
        given |= {"projection.1.weight": np.ones((32, width)), "projection.1.bias": np.ones(width)}
    with pytest.warns(UserWarning, match="no projection head of the paper's shape; a random one"):
        checkpoint = load_published(given, n_heads=4)
    expected = load_published(weights, n_heads=4)
    assert same(checkpoint.encoder.layers, expected.encoder.layers)
    save_checkpoint(checkpoint, tmp_path)
    load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers.1.norm2.gamma": None}, "missing: layers.1.norm2.gamma"),
        ({"layers.1.norm3.gamma": np.ones(32)}, "unknown: layers.1.norm3.gamma"),
        ({"embedding.band.0.weight": np.ones((1, 64))}, r"embedding.band.0.weight (1, 64), not (1, 32)"),
        ({"layers.0.ffn.1.weight": np.ones((32, 64))}, r"layers.0.ffn.1.weight (32, 64), not (64, 32)"),
        ({"projection.0.bias": np.full(32, np.nan)}, "not finite: projection.0.bias"),
        ({"projection.0.bias": np.full(32, "a")}, "not numbers: projection.0.bias"),
        ({"embedding.magnitude.weight": np.float32(1)}, "d_model 1 must be even"),
        ({"layers.7.norm1.gamma": np.ones(32)}, "missing: layers.2.attention"),
        ({"embedding.magnitude.weight": None}, "try other names"),
        ({"layers.0.ffn.0.weight": None}, "none is layers.0.ffn.0.weight"),
    ],
)
def test_wrong_arrays_are_named(weights, change, message):
    given = {k: v for k, v in (weights | change).items() if v is not None}
    with pytest.raises(ValueError, match=re.escape(message)):
        load_published(given, n_heads=4)


def test_a_forgotten_prefix_and_wrong_heads_are_refused(weights, root):
    with pytest.raises(ValueError, match="try prefix='weights/'"):
        load_published(root / "tests" / "oracles" / "model_tiny.npz", n_heads=4)
    with pytest.raises(ValueError, match="d_model 32 must be even and a multiple of n_heads 5"):
        load_published(weights, n_heads=5)


def test_nothing_is_unpickled(weights, tmp_path):
    np.savez(tmp_path / "bad.npz", **weights | {"layers.0.ffn.0.bias": np.array([print], dtype=object)})
    with pytest.raises(ValueError, match="bad.npz cannot be read as .npz of plain arrays: .*allow_pickle=False"):
        load_published(tmp_path / "bad.npz", n_heads=4)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".h5"])
def test_other_files_are_refused(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    with pytest.raises(FileNotFoundError):
        load_published(path)
    path.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match=f"weights{suffix}"):
        load_published(path)


def test_arrays_that_claim_more_than_the_file_holds_are_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr("embedding.magnitude.weight.npy", header.getvalue() + bytes(8))
    with pytest.raises(ValueError, match=r"w.npz cannot be read .*says that it has 4,000,000,000,000 bytes, it has"):
        load_published(tmp_path / "w.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_weights, "_MOST_BYTES", 1_000)
    np.savez_compressed(tmp_path / "w.npz", a=np.zeros(1_000))
    with pytest.raises(ValueError, match="it unpacks to 8,128 bytes, and at most 1,000 are read"):
        load_published(tmp_path / "w.npz")


def test_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="w.npz is a pipe or a device"):
        load_published(tmp_path / "w.npz")
