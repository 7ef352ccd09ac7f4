"""The benchmark of contrast with descriptions: rows with their controls, kept where nothing has changed."""

import importlib
import json
from pathlib import Path

import pytest

TINY = ["--preset", "tiny", "--stars", "300", "--steps", "2", "--arms", "tokens"]


@pytest.fixture
def contrast(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    script = importlib.import_module("contrast")
    monkeypatch.setattr(script.benchmark, "sizes_of", lambda _: script.benchmark.Sizes(0, fit=180, choose=60, test=12))
    return script


def test_a_row_stands_beside_random_weights_and_is_kept(contrast, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "contrast.json"
    contrast.main([*TINY, "--out", str(out)])
    rows = json.loads(out.read_text())["rows"]
    assert list(rows) == [*contrast.CONTROLS, "tokens, tiny, 2 steps, seed 0"]
    row = rows["tokens, tiny, 2 steps, seed 0"]
    assert 1 / 12 < row["random weights"]["linear probe"] < 1 and 1 / 12 < row["linear probe"] < 1
    monkeypatch.setattr(contrast, "pretrain", lambda *a, **k: pytest.fail("trained again"))
    contrast.main([*TINY, "--out", str(out)])
    assert json.loads(out.read_text())["rows"] == rows


def test_an_unknown_arm_is_named(contrast, capsys):
    with pytest.raises(SystemExit):
        contrast.main(["--arms", "glob"])
    assert "no arm 'glob'; choose from views, global" in capsys.readouterr().err
