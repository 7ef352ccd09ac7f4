"""The times of the commands: every command of the guides is among them, on every kind of stars, and is measured."""

import pandas as pd
import pytest
from tools import LEAST, MANY, Run, measured, of_encoders, of_stars, real_stars


def test_every_command_of_the_guides_is_measured():
    found = [*of_stars("eros", 5, "kind", ("--band", "B=5200")), *of_encoders("tuned"), *of_stars(MANY, 9)]
    assert [run.words[0] for run in found] == ["report", "discover", "finetune", *["export"] * 4, "publish", "discover"]
    assert found[2].command == ("astraclr finetune eros_labelled.parquet --label kind --band B=5200 --out tuned_eros")
    assert found[3].command == "astraclr export tiny tiny_exchange.onnx --inputs exchange"
    assert len({run.command for run in found}) == len(found)


def test_a_command_is_measured_and_one_that_fails_is_named(tmp_path):
    row = measured(Run("simulated", 1, ("--version",)), tmp_path)
    assert row["command"] == "astraclr --version" and (row["stars"], row["n"]) == ("simulated", 1)
    assert 0 < row["cpu_seconds"] and 5 < row["peak_mb"] < 5_000 and 0 < row["seconds"]
    with pytest.raises(RuntimeError, match=r"astraclr unknown ended with 2: [\s\S]*No such command"):
        measured(Run("", 0, ("unknown",)), tmp_path)


def test_labels_of_few_stars_are_emptied_in_a_copy(tmp_path):
    (tmp_path / "real").mkdir()
    label = ["RR"] * LEAST + ["ECL"] * (LEAST + 1) + ["CEP"] * (LEAST - 1) + [None]
    pd.DataFrame({"label": label}).to_parquet(tmp_path / "real" / "ztf.parquet")
    assert real_stars("ztf", tmp_path / "real", tmp_path) == len(label)
    assert pd.read_parquet(tmp_path / "ztf.parquet")["label"].tolist().count("CEP") == LEAST - 1
    kept = pd.read_parquet(tmp_path / "ztf_labelled.parquet")["label"].dropna().tolist()
    assert kept == label[: 2 * LEAST + 1]
