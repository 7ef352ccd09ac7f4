import json
from dataclasses import replace

import numpy as np
import pytest

from astraclr.config import preset
from astraclr.simulation.samples import labelled_stars, training_stars
from astraclr.tutorial import experiments
from astraclr.tutorial.experiments import run_folder, save_metrics, trained

SMALL = replace(preset("tiny"), name="small", n_stars=60, n_probe=36, batch_size=16, steps=2)


def test_no_star_is_in_two_sets():
    sets = [training_stars(SMALL), *labelled_stars(SMALL)]
    ids = np.concatenate([s.object_id for s in sets])
    assert [len(s) for s in sets] == [60, 36, 12, 36] and len(set(ids)) == len(ids)


def test_an_encoder_is_trained_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    first = trained(SMALL, progress=False)
    monkeypatch.setattr(experiments, "pretrain", None)
    again = trained(SMALL, progress=False)
    assert again.sha256 == first.sha256 and len(again.history) == 2
    assert run_folder(SMALL).parent == tmp_path / "runs"


def test_a_run_is_found_by_its_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    folders = {run_folder(p, r, s) for p in ("tiny", "laptop") for r in ("paper", "corrected") for s in (0, 1)}
    assert len(folders) == 8


def test_a_run_of_code_that_did_something_else_is_trained_anew_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    first = run_folder(SMALL)
    weights = trained(SMALL, progress=False).sha256
    now = experiments.method_fingerprint()
    name = "learning, plain: loss"
    other = replace(now, close=now.close | {name: tuple(1.001 * v for v in now.close[name])})
    monkeypatch.setattr(experiments, "method_fingerprint", lambda: other)
    second = run_folder(SMALL)
    assert second != first and second.name == f"{first.name}-2"
    trained(SMALL, progress=False)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{second.name} is trained anew") and f"{name}, number" in line and "before" in line
    assert (first / "config.json").exists() and run_folder(SMALL) == second
    monkeypatch.setattr(experiments, "method_fingerprint", lambda: replace(now, exact=now.exact | {"more": "1"}))
    assert run_folder(SMALL).name not in {first.name, second.name}
    monkeypatch.setattr(experiments, "method_fingerprint", lambda: now)
    assert run_folder(SMALL) == first and trained(SMALL, progress=False).sha256 == weights
    assert not capsys.readouterr().out


def test_stars_that_do_not_fit_in_memory_are_refused_before_work(monkeypatch):
    monkeypatch.setattr("astraclr.simulation.samples._memory_gib", lambda: 8.0)
    with pytest.raises(ValueError, match="preset paper trains on 2,100,000 simulated stars, about 78 GiB"):
        training_stars("paper")


def test_metrics_say_what_they_were_made_from(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))
    path = save_metrics("06_probing", "tiny", 3, {"accuracy": 0.5}, trained(SMALL, progress=False))
    facts = json.loads(path.read_text())
    assert path == tmp_path / "metrics" / "06_probing-tiny-3.json"
    assert facts["values"] == {"accuracy": 0.5} and facts["recipe"] == "corrected" and len(facts["checkpoint"]) == 64


def test_words_are_checked_in_ci_only(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    assert not experiments.words_are_checked("tiny", 0)
    monkeypatch.setenv("CI", "true")
    assert experiments.words_are_checked("tiny", 0) and not experiments.words_are_checked("laptop", 0)


def test_a_kept_run_knows_what_it_cost(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path))

    def fails(*_, **__):
        raise KeyboardInterrupt

    clock = iter([1.0, 4.0, 10.0, 12.5])
    monkeypatch.setattr(experiments.time, "process_time", lambda: next(clock))
    real = experiments.pretrain
    monkeypatch.setattr(experiments, "pretrain", fails)
    with pytest.raises(KeyboardInterrupt):
        trained(SMALL, progress=False)
    monkeypatch.setattr(experiments, "pretrain", real)
    trained(SMALL, progress=False)
    assert json.loads((run_folder(SMALL) / experiments.COST).read_text()) == {"cpu_seconds": 5.5}
