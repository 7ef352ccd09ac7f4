"""`make results`: the table of tasks is complete and in order, exactly what changed is stale, a killed run goes on."""

import argparse
import importlib
import inspect
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import _records
import _runner
import make_results
import pytest
import result_tasks
from result_tasks import KEPT, PARTS, TASKS, Task, makers

from astraclr.config import RECIPES
from astraclr.evaluate import benchmark
from astraclr.evaluate.row_fingerprint import PARTS as ROW_PARTS
from astraclr.train import augmentations
from astraclr.train.fingerprint import Fingerprint, digest_of, fingerprint_of

BY_NAME = {task.name: task for task in TASKS}


# The table


def test_every_committed_result_has_exactly_one_task(root):
    made = Counter(product for task in TASKS for product in task.produces)
    assert set(made.values()) == {1} and len(BY_NAME) == len(TASKS)
    found = {p.relative_to(root).as_posix() for p in (root / "data").rglob("*") if p.is_file()}
    found |= {p.relative_to(root).as_posix() for p in (root / "benchmarks" / "results").glob("*") if p.is_file()}
    for file in sorted(f for f in found if Path(f).name[0] != "."):
        tasks = [t.name for t in TASKS if any(_matches(file, p) for p in t.produces)]
        in_rows = [p for p in made if p.startswith(f"{file}#")]
        assert (len(tasks) == 1) + bool(in_rows) + (file in KEPT) == 1, f"{file}: {tasks or in_rows or 'no task'}"
        if in_rows:
            assert {p.partition("#")[2] for p in in_rows} == set(json.loads((root / file).read_text())["rows"]), file
    assert set(KEPT) <= found and all(KEPT.values())


def _matches(file, pattern):
    return Path(file).match(pattern) and "#" not in pattern


def test_parts_settings_and_needs_are_known(root):
    for task in TASKS:
        assert set(task.parts) <= set(PARTS), task.name
        assert set(task.after) <= set(BY_NAME) and task.requires in ("", "real", "cuda")
        for need in task.needs:
            assert need.startswith("{real}/") or list(root.glob(need)), f"{task.name} needs {need}"
    kept_by_own_keys = {"representation", "ablation", "differences", "many_labels"}
    assert not [t.name for t in TASKS if t.module in kept_by_own_keys and t.version != 1]


class Parsed(Exception):
    pass


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_commands_parse(task, root, monkeypatch):
    """Each command's own parser takes it, and writes the file that the table says."""
    _, *words = _runner.words(task, root)
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(*given, **how):
        raise Parsed(vars(parse(*given, **how)))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    if words[0] == "-m" and words[1] == "pytest":
        files = words[2:-2]
        assert len(files) > 5 and all((root / f).is_file() for f in files) and words[-2] == "--write-parity"
    elif words[:2] == ["-m", "astraclr.cli"]:
        from typer.main import get_command

        cli = importlib.import_module("astraclr.cli")
        command = get_command(cli.app).commands[words[2]]  # type: ignore[attr-defined]
        assert str(command.make_context(words[2], words[3:]).params["out"]) in task.produces
    else:
        name = words[1] if words[0] == "-m" else task.module
        script = importlib.import_module(name)
        assert "parse_args(" in inspect.getsource(script)  # else it would run
        monkeypatch.setattr(sys, "argv", words[1:] if words[0] == "-m" else words)
        with pytest.raises(Parsed) as stopped:
            script.main()
        out = stopped.value.args[0].get("out")
        assert out is None or not task.produces[0].endswith(".json") or out.resolve() == (root / task.produces[0])
    if task.module == "representation":
        monkeypatch.undo()
        given, table = importlib.import_module("representation").table_of(words[1:])
        file, _, row = task.produces[0].partition("#")
        found = importlib.import_module("representation").file_of(given)
        assert found.relative_to(root).as_posix() == file and table.chosen(given.rows) == [row]
        assert set(table.depends(row)) == {g for g in ("method", *ROW_PARTS) if _covers(task, g)}


def _covers(task, group):
    return set(result_tasks.METHOD if group == "method" else ROW_PARTS[group]) <= set(task.parts)


def test_what_is_needed_is_made_before():
    order = [task.name for task in make_results.ordered(TASKS)]
    assert sorted(order) == sorted(BY_NAME)
    for task in TASKS:
        assert all(order.index(m) < order.index(task.name) for m in makers(task, TASKS))
    for name in ("few_labels", "many_labels", "beyond", "representation-laptop-draw1/laptop"):
        assert makers(BY_NAME[name], TASKS)[0] == "checkpoint-laptop"
    assert makers(BY_NAME["exchange"], TASKS) == ["checkpoint-tiny"]
    timed = {"views", "training", "scaling", "embedding", "shards", "catalogue", "tools", "gpu"}
    assert {t.name for t in TASKS if t.alone} == timed
    some = [t.name for t in make_results.chosen(["bey*"], TASKS)]
    assert some == ["checkpoint-laptop", "beyond"]
    with pytest.raises(SystemExit, match="no task 'beyont'; there are checkpoint-tiny, "):
        make_results.chosen(["beyont"], TASKS)


# What is stale


DEAR = ("learning", "assessment", "fine-tuned")
"""Parts whose fingerprints are not made here: `tests/evaluate/test_row_fingerprint.py` changes what they run."""


def behaviour_without_dear_parts():
    made = fingerprint_of({name: part for name, part in PARTS.items() if name not in DEAR})
    return Fingerprint(made.exact | {f"{name}, all": "same" for name in DEAR}, made.close)


@pytest.fixture(scope="module")
def behaviour():
    return behaviour_without_dear_parts()


@pytest.fixture(scope="module")
def records(behaviour):
    """Records as if every task had just run."""
    now, tasks = behaviour.to_dict(), {}
    for task in TASKS:
        tasks[task.name] = {
            "command": task.command,
            "settings": _records.settings_of(task),
            "fingerprint": digest_of(now),
            "needs": _records.digests(task.needs),
            "produced": _records.digests(task.produces),
        }
    return {"fingerprints": {digest_of(now): now}, "tasks": tasks}


@pytest.fixture
def stale(records, behaviour, monkeypatch):
    """Names of the tasks that must run, but for those that were never made."""
    monkeypatch.setattr(_records, "behaviour", lambda: behaviour)
    never = {t.name for t in TASKS if "" in records["tasks"][t.name]["produced"].values()}
    return lambda: {t.name for t in TASKS if _records.why_stale(t, records)} - never


def test_nothing_is_stale_after_a_run_and_words_make_nothing_stale(stale, monkeypatch):
    assert stale() == set()
    script = importlib.import_module("self_training")
    monkeypatch.setattr(script, "NOTE", "Other words.")
    monkeypatch.setattr(script, "__doc__", "Other words.")
    monkeypatch.setitem(RECIPES, "another", replace(RECIPES["recommended"], name="another"))
    assert stale() == set()


def test_a_constant_of_the_views_makes_stale_what_trains_or_makes_views(stale, monkeypatch):
    monkeypatch.setattr(augmentations, "BIN_WIDTH", 6.0)
    now = behaviour_without_dear_parts()
    monkeypatch.setattr(_records, "behaviour", lambda: now)
    assert stale() == {t.name for t in TASKS if "views" in t.parts} - {"gpu"}
    assert not {"sample", "exchange", "few_labels", "beyond", "embedding", "realism"} & stale()


def test_a_constant_of_the_classifiers_makes_stale_what_fits_them(stale, behaviour, monkeypatch):
    monkeypatch.setattr(benchmark, "FEW_LABELS", (1, 5, 50))
    found = fingerprint_of({"classifiers": PARTS["classifiers"]})
    now = Fingerprint(behaviour.exact | found.exact, behaviour.close | found.close)
    monkeypatch.setattr(_records, "behaviour", lambda: now)
    assert stale() == {t.name for t in TASKS if "classifiers" in t.parts}
    assert not {"views", "training", "scaling", "embedding", "shards", "sample"} & stale()


def test_a_recipe_a_preset_and_a_number_of_a_script_make_stale_what_uses_them(stale, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(RECIPES, "recommended", replace(RECIPES["recommended"], temperature=0.3))
        rows = {t.name for t in TASKS if t.name.startswith("representation") and "/recommended" in t.name}
        assert stale() == rows | {"checkpoint-laptop", "learning"}
    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module("few_labels"), "TEST_SEED", 1)
        assert stale() == {"few_labels"}
    with monkeypatch.context() as patch:
        table = importlib.import_module("ablation")
        rows = table.rows() | {"new": replace(table.rows()["paper"], recipe=RECIPES["paper-two-views"])}
        patch.setattr(table, "rows", lambda: rows)
        assert stale() == {"ablation"}


def test_other_files_are_noticed_and_told(records, stale):
    task = BY_NAME["exchange"]
    kept = records["tasks"]["exchange"]

    def why(**fields):
        return _records.why_stale(task, records | {"tasks": {"exchange": kept | fields}})

    (product,), weights = task.produces, next(iter(kept["needs"]))
    assert why() == [] and why(produced={product: "x"}) == [f"{product} was changed after it was made"]
    assert why(needs=kept["needs"] | {weights: "x"}) == [f"{weights} is another"]
    assert why(command="benchmarks/exchange.py") == ["command: benchmarks/exchange.py before"]
    assert _records.why_stale(task, {"tasks": {}}) == ["no record of how it was made"]
    assert _records.differing({"{real}/a": "x"}, {"{real}/a": ""}) == []  # real light curves may be elsewhere


def test_committed_records_are_of_the_committed_files(root):
    """Where this fails, a result was changed by hand: make it with `make results`."""
    for name, record in _records.table(root)["tasks"].items():
        produced = _records.digests(BY_NAME[name].produces, root)
        assert _records.differing(record["produced"], produced) == [], name


# Running


def fake(name, code, *needs, **more):
    return Task(name, f"-c {shlex.quote(code)}", (f"{name}.json",), needs=tuple(f"{n}.json" for n in needs), **more)


SLOW = (
    "import json, time, pathlib as p; f = p.Path('slow.json'); "
    "d = json.loads(f.read_text()) if f.exists() else {'rows': {}}\n"
    "for k in range(4):\n"
    "    if str(k) in d['rows']: continue\n"
    "    p.Path('log').open('a').write(str(k)); d['rows'][str(k)] = k; f.write_text(json.dumps(d))\n"
    "    if k == 1 and p.Path('wait').exists(): time.sleep(600)\n"
)
FAKES = [
    fake("after", "import pathlib as p; p.Path('after.json').write_text(p.Path('slow.json').read_text())", "slow"),
    fake("slow", SLOW, "first"),
    fake("first", "import pathlib as p; p.Path('first.json').write_text('[]'); p.Path('log').open('a').write('f')"),
    fake(
        "speed",
        "import pathlib as p; p.Path('speed.json').write_text(str(p.Path('after.json').exists()).lower())",
        alone=True,
    ),
]
DRIVER = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
import _records, make_results, test_make_results
_records.behaviour = lambda: _records.Fingerprint({{}}, {{}})
sys.exit(make_results.main([], test_make_results.FAKES, Path.cwd()))
"""


@pytest.fixture
def nothing_known(monkeypatch):
    monkeypatch.setattr(_records, "behaviour", lambda: Fingerprint({}, {}))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_killed_run_goes_on_where_it_stopped(root, tmp_path, nothing_known, capfd, monkeypatch):
    (tmp_path / "wait").touch()
    paths = [str(root / p) for p in ("benchmarks", "tests/benchmarks", "tests", ".")]
    call = subprocess.Popen([sys.executable, "-c", DRIVER.format(paths=paths)], cwd=tmp_path)
    child, end = tmp_path / "_build" / "results" / "slow.pid", time.monotonic() + 300
    try:
        while not (tmp_path / "log").exists() or (tmp_path / "log").read_text() != "f01":
            assert time.monotonic() < end and call.poll() is None
            time.sleep(0.05)
    finally:
        call.kill()  # its task lives on
        call.wait()
    with pytest.raises(SystemExit, match=r"tasks of an earlier `make results` still run \(slow: process \d+\)"):
        make_results.main([], FAKES, tmp_path)
    os.kill(int(child.read_text().split()[-1]), signal.SIGKILL)
    (tmp_path / "wait").unlink()
    capfd.readouterr()
    end = time.monotonic() + 60
    while _still_locked(tmp_path):  # the task has not quite ended
        assert time.monotonic() < end
        time.sleep(0.05)
    make_results.main(["--list"], FAKES, tmp_path)
    assert "4 tasks: 1 fresh, 3 stale, 0 waits, 0 cannot." in capfd.readouterr().out
    assert make_results.main(["--jobs", "2"], FAKES, tmp_path) == 0
    assert (tmp_path / "log").read_text() == "f0123"  # neither the first task nor the rows again
    assert json.loads((tmp_path / "after.json").read_text()) == json.loads((tmp_path / "slow.json").read_text())
    assert (tmp_path / "speed.json").read_text() == "true"  # last, and alone
    made = _records.table(tmp_path)["tasks"]
    assert made["first"]["complete"] and not made["slow"]["complete"]  # what the kill took was not counted
    assert made["slow"]["needs"] == {"first.json": made["first"]["produced"]["first.json"]}
    assert make_results.main([], FAKES, tmp_path) == 0 and (tmp_path / "log").read_text() == "f0123"


def _still_locked(folder):
    import fcntl

    with (folder / "_build" / "results" / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def test_a_task_that_fails_stops_those_that_need_it_and_no_others(tmp_path, nothing_known, capfd):
    odd = fake("odd", "open('odd.json', 'w').write('no JSON')")
    tasks = [fake("bad", "raise SystemExit(3)"), fake("needs", "print()", "bad"), odd, FAKES[2]]
    assert make_results.main([], tasks, tmp_path) == 1
    said = capfd.readouterr().out
    assert "bad: stopped with exit status 3" in said and "needs: begun" not in said and "first: done" in said
    assert "odd: not recorded; JSONDecodeError: " in said
    assert list(_records.table(tmp_path)["tasks"]) == ["first"]


def test_a_task_that_makes_the_same_again_leaves_those_after_it(tmp_path, nothing_known, capfd):
    tasks = [FAKES[2], fake("next", "open('next.json', 'w').write('1'); open('log', 'a').write('n')", "first")]
    assert make_results.main([], tasks, tmp_path) == 0
    again = [replace(tasks[0], version=2), tasks[1]]
    capfd.readouterr()
    assert make_results.main(["--list"], again, tmp_path) == 0
    assert "runs if first makes other files" in capfd.readouterr().out
    assert make_results.main([], again, tmp_path) == 0
    assert (tmp_path / "log").read_text() == "fnf"


def test_hours_are_told_before_anything_starts(tmp_path, nothing_known, capfd):
    tasks = [fake(name, "print()") for name in ("measured", "stated", "never")]
    _records.write_results(
        tmp_path / "stated.json", {"cpu_seconds": {"a": 7_000, "b": 200}, "rows": [{"cpu_seconds": 9}]}
    )
    (tmp_path / "measured.json").write_text("{}")
    _records.note(tasks[0], 5_400.0, 6_000.0, "abc", True, tmp_path)
    (tmp_path / "measured.json").write_text("[]")
    make_results.main(["--list", "--jobs", "3"], tasks, tmp_path)
    said = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert said[0][:4] == ["measured", "stale", "1.5", "h"]
    assert said[1][:6] == ["stated", "stale", "at", "least", "2.0", "h"]
    assert said[2][:3] == ["never", "stale", "unknown"]
    assert " ".join(said[4]) == (
        "Stale tasks: at least 3.5 CPU hours by their last runs; unknown for 1. With 3 at once at best 1.2 hours."
    )


def test_a_task_that_cannot_run_here_is_told(tmp_path, nothing_known, capfd, monkeypatch):
    monkeypatch.setenv("ASTRACLR_REAL_DATA", str(tmp_path / "none"))
    tasks = [fake("real", "print()", requires="real"), FAKES[2]]
    assert make_results.main([], tasks, tmp_path) == 0
    said = capfd.readouterr().out
    assert "cannot" in said and "set ASTRACLR_REAL_DATA to a folder that holds them" in said and "first: done" in said
