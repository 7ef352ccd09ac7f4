"""Few labels: nested choices, equal test stars for every way, and the wiring of the benchmarks."""

import importlib
import json
import sys

import numpy as np
import pytest

from astraclr.config import RECIPES, Preset
from astraclr.evaluate.few_labels import compare, label_curve, tuned_checkpoint, window_curve
from astraclr.evaluate.splits import cap_labels
from astraclr.model.checkpoint import Checkpoint
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder

MINI = Preset("mini", 8, 2, 2, 16, (("g", 8), ("r", 8), ("i", 2)), 10, 10, 8, 1)


@pytest.fixture(scope="module")
def checkpoint():
    return Checkpoint(new_encoder(MINI, RECIPES["corrected"], 0).eval(), MINI, RECIPES["corrected"], 0)


@pytest.fixture(scope="module")
def three(stars):
    known = stars.with_labels(["RR", "AGN", "LPV"])
    return known[::2], known[1::2]


def few(lc, n, seed=0):
    return lc[cap_labels(lc.label, n, seed, exact=True)]


def test_few_are_balanced_and_nested(stars):
    one, two = (few(stars, n, seed=1) for n in (1, 2))
    assert (np.unique(two.label, return_counts=True)[1] == 2).all() and np.isin(one.object_id, two.object_id).all()
    assert np.array_equal(two.object_id, few(stars, 2, seed=1).object_id)
    assert not np.array_equal(two.object_id, few(stars, 2, seed=2).object_id)
    with pytest.raises(ValueError, match=r"90 stars per class; choose 1 to \d+"):
        few(stars, 90)


def test_all_ways_see_the_same_stars(three, checkpoint):
    fit, rest = three
    kept = {}
    table = label_curve(checkpoint, fit, rest, rest, (1, 2), epochs=1, layers=1, kept=kept)
    ways = ["head only", "last layers", "whole encoder", "from scratch"]
    probe = ["linear probe", "linear probe, C = 10"]
    assert table["way"].tolist()[:8] == [*probe, *(w.replace("probe", "probe, random weights") for w in probe), *ways]
    assert len(table) == 16 and np.all(table["n_test"] == len(rest))
    assert np.all(table["n_fit"] == table["n_choose"])
    assert table.groupby("per_class")["n_fit"].unique().map(list).tolist() == [[3], [6]]
    assert table["accuracy"].between(0, 1).all() and table["setting"].tolist()[1] == 10 and list(kept) == ways
    chosen = table["chosen"].to_numpy()
    assert (chosen[0::8] >= chosen[1::8]).all()
    assert np.array_equal(embed(rest, tuned_checkpoint(kept["head only"], checkpoint)), embed(rest, checkpoint))
    again = compare(checkpoint, few(fit, 1), few(rest, 1), rest, epochs=1, layers=1)
    assert again.equals(table[table["per_class"] == 1].drop(columns="per_class"))


def test_windows_are_pooled_in_three_ways(three, checkpoint):
    table = window_curve(checkpoint, three[0], three[1], three[1], windows=(1, 2))
    assert table["windows"].tolist() == [1] * 3 + [2] * 3
    assert table["pooling"].tolist() == ["mean", "concat", "attention"] * 2
    accuracy = table["accuracy"].tolist()
    assert accuracy[0] == accuracy[1]  # one window: its mean is its concatenation
    assert table["accuracy"].between(0, 1).all() and table["chosen"].between(0, 1).all()


def run_quick(name, root, tmp_path, monkeypatch, checkpoint, *words):
    """What `python benchmarks/<name>.py --quick` writes for the mini encoder."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    script = importlib.import_module(name)
    monkeypatch.setattr(script, "load_checkpoint", lambda where: checkpoint)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick", "--out", str(tmp_path / "out.json"), *words])
    script.main()
    return json.loads((tmp_path / "out.json").read_text())


@pytest.mark.slow
def test_the_benchmark_of_few_labels_runs(root, tmp_path, monkeypatch, checkpoint):
    found = run_quick("few_labels", root, tmp_path, monkeypatch, checkpoint)
    assert {row["way"] for row in found["few_labels"]} >= {"linear probe", "from scratch"}
    assert set(found["topology"]) == {"random weights", "before", "after"}


@pytest.mark.slow
def test_the_benchmark_beyond_classes_runs(root, tmp_path, monkeypatch, checkpoint):
    for package in ("light_curve", "coniferest"):
        pytest.importorskip(package, reason='benchmarks/beyond.py needs: pip install "astraclr[interop]"')
    found = run_quick("beyond", root, tmp_path, monkeypatch, checkpoint, "--seeds", "2")
    readers = {"trained", "random weights", "features", "features with Lomb-Scargle"}
    windows = {"trained, windows", "random weights, windows", "features, windows"}
    assert set(found["outliers"]) == readers | windows
    events = found["outliers"]["trained"]["supernova"]
    assert set(events) == {"event", "no event"} and len(events["event"]["0.05"]["seeds"]) == found["seeds"] == 2
    assert found["periods"]["median period"]["r2"]["mean"] < 0.1 and set(found["subclasses"]["RR"]) > readers
    words = ("--seeds", "2", "--trained-only")
    again = run_quick("beyond", root, tmp_path, monkeypatch, checkpoint, *words)
    assert all(again[part] == found[part] for part in ("outliers", "periods", "subclasses"))
    assert again["controls_made_with"] == found["made_with"]
