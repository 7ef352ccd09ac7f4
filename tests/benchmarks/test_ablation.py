"""The ablation's table is what it says, and its wiring ends in a file."""

import importlib.util
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from astraclr.config import RECIPES

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ablation.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("ablation", SCRIPT)
    assert spec and spec.loader
    module = sys.modules["ablation"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ablation"]


def changed(a, b):
    return {f.name for f in fields(a) if f.name != "name" and getattr(a, f.name) != getattr(b, f.name)}


def test_the_road_leads_from_the_paper_to_the_recommended_recipe(script):
    table = script.rows()
    road = [row.recipe for row in table.values() if row.group == "road"]
    assert road[0] == RECIPES["paper"] and road[1] == RECIPES["corrected"] and road[-1] == RECIPES["recommended"]
    steps = [changed(a, b) for a, b in zip(road, road[1:], strict=False)]
    assert all(steps) and max(len(step) for step in steps[1:]) <= 3
    for name, row in table.items():
        if row.group == "without":
            assert 1 <= len(changed(row.recipe, RECIPES["recommended"])) <= 3, name
        assert row.change and row.predicted
    assert len({(row.recipe, row.size) for row in table.values()}) == len(table)  # no row twice


def test_rows_are_written_with_their_controls_and_kept(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "UNLABELLED", 60)
    monkeypatch.setattr(script, "FIT", 120)
    monkeypatch.setattr(script, "CHOOSE", 60)
    monkeypatch.setattr(script, "FEW", 2)
    monkeypatch.setattr(script, "SIZE", replace(script.SIZE, batch_size=16, evaluate_every=1))
    monkeypatch.setattr(script, "features", lambda lc, progress: (lc.counts.astype(float), list(lc.bands)))
    out = tmp_path / "ablation.json"

    def run(names):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--rows", names, "--steps", "2", "--out", str(out)])
        script.main()
        return json.loads(out.read_text())["rows"]

    first = run("recommended")
    both = run("paper,recommended")
    assert list(both) == ["paper", "recommended"] and both["recommended"] == first["recommended"]  # in order, kept
    row = both["paper"]
    assert row["trained"].keys() == row["random"].keys() and row["steps"] == 2 and row["cpu_seconds"] > 0
    assert both["recommended"]["trained"] != both["recommended"]["random"]
    with pytest.raises(SystemExit):
        run("nothing")
    assert "no row 'nothing'; choose of paper, corrected" in capsys.readouterr().err
