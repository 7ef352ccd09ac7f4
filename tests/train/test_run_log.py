import json
import sys
import time

import pytest

from astraclr.config import preset
from astraclr.train.pretrain import pretrain
from astraclr.train.run_log import RunLog


def steps(n):
    return [{"step": k, "loss": 5.0 + k} for k in range(1, n + 1)]


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_a_step_with_speed_and_validation(stars, tmp_path):
    run = pretrain(stars, "tiny", out=tmp_path, steps=3, progress=False)
    lines = read(tmp_path / "log.jsonl")
    usual = {"step", "loss", "learning_rate", "light_curves_per_s", "seconds"}
    assert [set(line) - usual for line in lines[:2]] == [set(), set()]
    assert set(lines[2]) - usual == {"val_loss", "alignment", "uniformity", "effective_rank"}
    assert [line["loss"] for line in lines] == run.history["loss"].tolist()
    passed = [line["seconds"] for line in lines]
    assert 0 < passed[0] < passed[1] < passed[2]
    batch = min(preset("tiny").batch_size, 76)  # 80 % of 96 stars
    assert lines[1]["light_curves_per_s"] == pytest.approx(batch / (passed[1] - passed[0]))


def test_a_log_cut_anywhere_is_mended(tmp_path):
    path = tmp_path / "log.jsonl"
    log = RunLog(path)
    log.begin([])
    for record in steps(5):
        log.add(record | {"seconds": 1.0})
    path.write_bytes(path.read_bytes()[:-7])
    again = RunLog(path)
    again.begin(steps(3))  # the state is of step 3: 4 will be taken again, 5 was cut in the middle
    assert read(path) == [r | {"seconds": 1.0} for r in steps(3)]
    again.add(steps(4)[-1])
    assert [line["step"] for line in read(path)] == [1, 2, 3, 4]
    path.unlink()
    RunLog(path).begin(steps(4))
    assert read(path) == steps(4)


def test_lines_wait_while_the_disk_is_full(tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")  # a real limit, in the middle of a line
    path = tmp_path / "log.jsonl"
    log = RunLog(path)
    log.begin(steps(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 9, before[1]))
    try:
        with pytest.warns(UserWarning, match="cannot write .*log.jsonl.*wait in memory") as said:
            log.add(steps(2)[-1])
            log.add(steps(3)[-1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(said) == 1
    log.add(steps(4)[-1])
    assert read(path) == steps(4)


def test_a_number_that_is_none_stays_json(tmp_path):
    log = RunLog(tmp_path / "log.jsonl")
    log.begin([])
    log.add({"step": 1, "loss": float("nan")})
    assert read(tmp_path / "log.jsonl") == [{"step": 1, "loss": None}]


def scalars(folder):
    """{name: [(step, value), ...]} of all event files of a folder, as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    return {name: [(e.step, e.value) for e in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_tensorboard_shows_the_numbers_of_the_log(stars, tmp_path):
    pytest.importorskip("tensorboard")
    pretrain(stars, "tiny", out=tmp_path / "without", steps=1, progress=False)
    assert not (tmp_path / "without" / "tensorboard").exists()
    pretrain(stars, "tiny", out=tmp_path / "with", steps=2, progress=False, tensorboard=True)
    shown = scalars(tmp_path / "with" / "tensorboard")
    expected = {}
    for line in read(tmp_path / "with" / "log.jsonl"):
        step = line.pop("step")
        for name, value in line.items():
            expected.setdefault(name, []).append((step, pytest.approx(value, rel=1e-6)))  # float32 there
    assert shown == expected and [step for step, _ in shown["loss"]] == [1, 2] and "val_loss" in shown


def test_tensorboard_forgets_steps_that_are_taken_again(tmp_path):
    pytest.importorskip("tensorboard")
    for begin, end in ((0, 5), (3, 4)):  # the second run goes on from the state of step 3
        time.sleep(1.1 * bool(begin))  # event files are named by the second, and read in this order
        log = RunLog(tmp_path / "log.jsonl", tensorboard=True)
        log.begin(steps(begin))
        for record in steps(end)[begin:]:
            log.add(record | {"loss": record["loss"] + begin})
        log.close()
    assert scalars(tmp_path / "tensorboard")["loss"] == [(1, 6.0), (2, 7.0), (3, 8.0), (4, 12.0)]


def test_tensorboard_that_is_not_there_is_said_before_any_work(stars, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setattr("astraclr.train.pretrain.update", None)
    with pytest.raises(ValueError, match="pip install tensorboard"):
        pretrain(stars, "tiny", out=tmp_path, steps=1, tensorboard=True)
    with pytest.raises(ValueError, match="name one with out="):
        pretrain(stars, "tiny", steps=1, tensorboard=True)
