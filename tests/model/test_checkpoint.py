"""A checkpoint comes back as it was, and a damaged one is refused."""

import hashlib
import json
import os
import zlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from astraclr.analysis.classifier import load_head
from astraclr.config import preset, recipe
from astraclr.data.sources import fingerprint, same_stars
from astraclr.data.taxonomy import CLASSES
from astraclr.files import shipped_file
from astraclr.model import checkpoint as checkpoints
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control, save_checkpoint
from astraclr.model.encoder import new_encoder


def fresh(seed=0):
    history = pd.DataFrame({"step": [1, 2], "loss": [5.5, 1 / 3], "learning_rate": [0.0, 1e-4], "val_loss": [None, 4]})
    size, method = preset("tiny"), recipe("corrected")
    return Checkpoint(new_encoder(size, method, seed).eval(), size, method, seed, "40 stars", history)


def weights(checkpoint):
    return checkpoint.encoder.state_dict()


@pytest.fixture
def saved(tmp_path):
    checkpoint = fresh()
    save_checkpoint(checkpoint, tmp_path / "ck")
    return checkpoint, tmp_path / "ck"


def edit_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def as_before(folder):
    """Rewrite a checkpoint as earlier versions did: a weights file without settings."""
    config = json.loads((folder / "config.json").read_text())
    bare = safetensors.torch.save(safetensors.torch.load((folder / config["weights"]).read_bytes()))
    (folder / config["weights"]).write_bytes(bare)
    edit_config(folder, sha256=hashlib.sha256(bare).hexdigest())


def test_round_trip(saved):
    checkpoint, folder = saved
    loaded = load_checkpoint(folder)
    assert (loaded.preset, loaded.recipe) == (preset("tiny"), recipe("corrected"))
    assert (loaded.seed, loaded.data) == (0, "40 stars")
    assert loaded.sha256 == checkpoint.sha256 and loaded.name == f"tiny-corrected-0-{checkpoint.sha256[:8]}"
    assert all(torch.equal(v, weights(checkpoint)[k]) for k, v in weights(loaded).items())
    pd.testing.assert_frame_equal(loaded.history, checkpoint.history.astype(float).astype({"step": int}))
    assert not loaded.encoder.training


def test_the_hash_is_of_the_weights_and_the_settings(saved, tmp_path):
    checkpoint, folder = saved
    assert save_checkpoint(fresh(), tmp_path / "again") == checkpoint.sha256
    assert save_checkpoint(fresh(seed=1), tmp_path / "other") != checkpoint.sha256
    for change in (
        {"recipe": replace(recipe("corrected"), centring="window")},
        {"preset": replace(preset("tiny"), n_heads=4)},
        {"preset": replace(preset("tiny"), windows=(("g", 40), ("r", 48), ("i", 9)))},
    ):
        assert save_checkpoint(replace(fresh(), **change), tmp_path / "other") != checkpoint.sha256


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("preset", {"n_heads": 1}, "n_heads 1"),
        ("preset", {"windows": [["g", 4], ["r", 48], ["i", 8]]}, r"windows \[\['g', 4\]"),
        ("recipe", {"centring": "window"}, "centring window"),
    ],
)
def test_a_config_that_was_changed_is_refused(saved, kind, change, said):
    _, folder = saved
    edit_config(folder, **{kind: json.loads((folder / "config.json").read_text())[kind] | change})
    with pytest.raises(ValueError, match=rf"config.json was changed: it says {said}.* copy the checkpoint again"):
        load_checkpoint(folder)


def test_a_checkpoint_of_an_earlier_version_keeps_the_hash_that_was_recorded(saved):
    checkpoint, folder = saved
    as_before(folder)
    recorded = json.loads((folder / "config.json").read_text())["sha256"]
    assert load_checkpoint(folder).sha256 == recorded != checkpoint.sha256


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    checkpoint = fresh()
    with torch.no_grad():
        next(checkpoint.encoder.parameters())[0] = value
    save_checkpoint(checkpoint, tmp_path)
    with pytest.raises(ValueError, match=r"weights-.*are not finite \(embedding.*take another"):
        load_checkpoint(tmp_path)


DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        ("preset", {"n_layers": 10**8}, "layers have .* weights, the file holds"),
        ("preset", {"d_ff": 10**12}, "layers have .* weights, the file holds"),
        ("preset", {"n_heads": 0}, "n_heads of preset 'tiny' is 0"),
        ("preset", {"d_model": "64"}, "d_model of preset 'tiny' is '64'"),
        ("preset", {"d_model": 64.0}, "d_model of preset 'tiny' is 64.0"),
        ("preset", {"steps": True}, "steps of preset 'tiny' is True"),
        ("preset", {"windows": [["g", 10**15]]}, "window .* is not a band"),
        ("preset", {"windows": {"g": 40}}, "windows is .*, not a list"),
        ("preset", {"name": "\x1b[2Jtiny"}, "not a text"),
        ("recipe", {"name": "x" * 10**5}, "not a text"),
        ("recipe", {"views": 7}, "views is 7, not a list"),
        ("recipe", {"views": [7]}, "view is 7, not a JSON object"),
        ("recipe", {"dropout": None}, "dropout of recipe 'corrected' is None"),
        ("recipe", {"temperature": float("nan")}, "temperature of recipe 'corrected' is nan"),
        ("recipe", {"pooling": ["mean"]}, "pooling of recipe 'corrected' is"),
        ("seed", "0", "seed must be a whole number"),
        ("weights", "../../etc/passwd", "no name of a file in this folder"),
        ("weights", ["a"], "no name of a file in this folder"),
        ("sha256", 7, "data and sha256 text"),
        ("recipe", None, "recipe is None"),
        ("format", 7, "format|config"),
    ],
)
def test_a_config_of_wrong_types_or_sizes_is_refused_in_one_line(saved, kind, change, said):
    _, folder = saved
    as_before(folder)
    found = json.loads((folder / "config.json").read_text())[kind]
    edit_config(folder, **{kind: found | change if isinstance(change, dict) else change})
    with pytest.raises(ValueError, match=said) as caught:
        load_checkpoint(folder)
    assert str(folder) in str(caught.value) and len(str(caught.value)) < 600


def test_a_config_nested_too_deeply_or_too_large_and_pipes_are_refused(saved):
    _, folder = saved
    config = (folder / "config.json").read_text()
    for text, said in ((DEEP, "nested too deeply"), (config + " " * 2**20, "at most 1,048,576 are read")):
        (folder / "config.json").write_text(text)
        with pytest.raises(ValueError, match=rf"config.json is not .*{said}"):
            load_checkpoint(folder)
    (folder / "config.json").write_text(config)
    for name in ("history.csv", json.loads(config)["weights"], "config.json"):
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(ValueError, match=f"{name} is a pipe or a device"):
            load_checkpoint(folder)
        (folder / name).unlink()
        (folder / name).write_text(config)


def test_a_history_of_something_else_is_refused(saved):
    _, folder = saved
    (folder / "history.csv").write_bytes(b'a,b\n"1')
    with pytest.raises(ValueError, match=r"history.csv is no history of a training"):
        load_checkpoint(folder)


def test_a_config_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "config.json").write_text('{"theirs": 1}')
    with pytest.raises(ValueError, match=r"config.json: there is a file of something else"):
        save_checkpoint(fresh(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["config.json"]


def test_saving_again_replaces_the_weights_and_keeps_other_files(saved):
    _, folder = saved
    (folder / "head.safetensors").write_bytes(b"")
    second = fresh(seed=1)
    save_checkpoint(second, folder)
    assert load_checkpoint(folder).sha256 == second.sha256
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["config.json", "head.safetensors", "history.csv", f"weights-{second.sha256[:8]}.safetensors"]


def test_a_failed_save_leaves_the_old_checkpoint(saved, monkeypatch):
    checkpoint, folder = saved
    monkeypatch.setattr(checkpoints.json, "dumps", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(fresh(seed=1), folder)
    monkeypatch.undo()
    assert load_checkpoint(folder).sha256 == checkpoint.sha256


def test_no_history_is_no_error(tmp_path):
    save_checkpoint(random_control(fresh()), tmp_path)
    assert load_checkpoint(tmp_path).history.empty


def test_tampered_weights_are_refused(saved):
    checkpoint, folder = saved
    file = folder / f"weights-{checkpoint.sha256[:8]}.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ValueError, match="has SHA-256 .* copy the checkpoint again"):
        load_checkpoint(folder)


def test_weights_of_another_shape_are_refused_in_one_line(saved):
    _, folder = saved
    wide = json.loads((folder / "config.json").read_text())["preset"] | {"d_model": 32}
    edit_config(folder, preset=wide)
    with pytest.raises(ValueError, match=r"do not fit preset tiny \(d_model 32, 2 layers\).*size mismatch") as caught:
        load_checkpoint(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"preset": {"name": "tiny"}}', "not JSON"])
def test_a_config_of_something_else_is_refused(saved, text):
    _, folder = saved
    (folder / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is not the config of an astraclr checkpoint"):
        load_checkpoint(folder)


def test_a_missing_folder_config_or_weights_is_named(saved, tmp_path):
    _, folder = saved
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_checkpoint(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_checkpoint(tmp_path)
    next(folder.glob("weights-*")).unlink()
    with pytest.raises(FileNotFoundError, match="weights-"):
        load_checkpoint(folder)


def test_a_shipped_checkpoint_is_found_by_its_name(saved, tmp_path, monkeypatch):
    checkpoint, folder = saved
    monkeypatch.setattr(checkpoints, "shipped_file", lambda name: tmp_path / name)
    folder.rename(tmp_path / "mini")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "mini").rename(tmp_path / "checkpoints" / "mini")
    assert load_checkpoint("mini").sha256 == checkpoint.sha256
    monkeypatch.chdir(tmp_path)
    save_checkpoint(fresh(seed=1), "mini")
    assert load_checkpoint("mini").seed == 1  # a folder of one's own goes before a shipped one


def test_the_random_control_is_seeded_and_not_the_checkpoint(saved):
    checkpoint, _ = saved
    with torch.no_grad():
        for p in checkpoint.encoder.parameters():
            p.add_(1.0)
    control, again, other = random_control(checkpoint), random_control(checkpoint), random_control(checkpoint, seed=9)
    key = "embedding.magnitude.weight"
    assert torch.equal(weights(control)[key], weights(again)[key])
    assert not torch.equal(weights(control)[key], weights(checkpoint)[key])
    assert not torch.equal(weights(control)[key], weights(other)[key])
    assert control.name == "tiny-corrected-0-unsaved"


def test_fingerprint_tells_stars_apart(stars):
    assert fingerprint(stars) == fingerprint(stars[:])
    assert fingerprint(stars).startswith("96 stars, ")
    assert fingerprint(stars[:50]) != fingerprint(stars[46:])


@pytest.mark.parametrize(
    "change",
    [
        lambda lc: {"mjd": lc.mjd + 3000},
        lambda lc: {"magerr": lc.magerr * 5},
        lambda lc: {"mag": lc.mag + 1},
        lambda lc: {"bands": dict(zip("gri", (4800.0, 6300.0, 7800.0), strict=True))},
        lambda lc: {"bands": dict(zip("uvw", lc.bands.values(), strict=True))},
        lambda lc: {"object_id": lc.object_id[::-1]},
        lambda lc: {"offsets": lc.offsets + (np.arange(len(lc.offsets)) == 1)},
    ],
)
def test_fingerprint_covers_all_that_training_reads(stars, change):
    assert fingerprint(replace(stars, **change(stars))) != fingerprint(stars)


def test_fingerprint_leaves_out_what_training_does_not_read(stars):
    named = replace(stars, object_id=stars.object_id.astype("U99"), label=stars.label[::-1], notes={"a": 1})
    assert fingerprint(named) == fingerprint(stars)


def test_stars_recorded_by_an_earlier_version_are_compared_by_magnitudes_aloud(stars, recwarn):
    now, old = fingerprint(stars), fingerprint(stars).split(", SHA-256")[0]
    assert old == f"96 stars, {stars.n_obs} observations, CRC-32 {zlib.crc32(stars.mag.tobytes()):08x}"
    assert same_stars(now, now, "run") and not same_stars(old, fingerprint(stars[:95]), "run") and not recwarn
    with pytest.warns(UserWarning, match="run is of an earlier version.*times, errors, bands and ids could not be"):
        assert same_stars(old, now, "run")


def test_what_ships_fits_together():
    checkpoint = load_checkpoint("tiny")
    assert checkpoint.preset == preset("tiny") and checkpoint.recipe == recipe("corrected")
    assert len(checkpoint.history) == checkpoint.preset.steps
    head = load_head(shipped_file("checkpoints/tiny/head.safetensors"), checkpoint)
    scores = json.loads(shipped_file("checkpoints/tiny/scores.json").read_text())
    assert scores["checkpoint"] == checkpoint.name and head.classes == tuple(sorted(CLASSES))
    assert head.accuracy == scores["simulated"]["trained"]["linear_probe_C1"]["accuracy"]


def test_only_the_weights_that_are_replaced_are_removed(saved):
    checkpoint, folder = saved
    before = next(folder.glob("weights-*"))
    foreign = folder / "weights-of-somebody-else.safetensors"
    foreign.write_bytes(b"keep me")
    save_checkpoint(fresh(seed=1), folder)
    assert foreign.exists() and not before.exists() and load_checkpoint(folder).sha256 != checkpoint.sha256


def test_a_checkpoint_of_a_later_version_is_refused_in_one_line(saved):
    _, folder = saved
    edit_config(folder, format="astraclr checkpoint 2", weights={"another": "layout"})
    with pytest.raises(ValueError, match=r"config.json has format version 2; this version of astraclr reads 1\."):
        load_checkpoint(folder)
    edit_config(folder, format="something else 1")
    with pytest.raises(ValueError, match="is not the config of .*: its format is 'something else 1'"):
        load_checkpoint(folder)


def test_a_checkpoint_without_a_later_switch_keeps_its_meaning(saved):
    _, folder = saved
    as_before(folder)
    values = json.loads((folder / "config.json").read_text())["recipe"]
    del values["pooling"]
    edit_config(folder, recipe=values | {"name": "recommended"})
    assert load_checkpoint(folder).recipe.pooling == "mean"
    edit_config(folder, recipe=values | {"depth": 3})
    with pytest.raises(ValueError, match=r"config.json is not .*: recipe 'corrected' has depth, which this version"):
        load_checkpoint(folder)
