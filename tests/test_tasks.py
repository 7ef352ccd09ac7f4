"""`python tasks.py` does what the Makefile does, without make."""

import subprocess
import sys

import pytest


@pytest.fixture
def tasks(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root))
    import tasks

    return tasks


def test_every_command_is_one_of_the_makefile(tasks, root):
    makefile = (root / "Makefile").read_text()
    for name, command in tasks.COMMANDS.items():
        recipe = makefile.split(f"\n{name}: ")[1].split("\n\n")[0]
        missing = [word for word in command if word not in recipe and word not in ("-n", "2")]
        assert not missing, (name, missing)
        assert f"python tasks.py {name}" in tasks.__doc__
    assert all(f"export {name} ?= 1" in makefile for name in tasks.THREADS)


def test_command_runs_in_the_environment_with_what_is_handed_on(tasks, monkeypatch):
    ran = []
    monkeypatch.setattr(tasks, "set_up", lambda: None)
    monkeypatch.setattr(tasks.subprocess, "run", lambda c, **o: ran.append((c, o)) or subprocess.CompletedProcess(c, 7))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert tasks.main(["book", "--preset", "laptop"]) == 7
    command, options = ran[0]
    assert command == [str(tasks.PYTHON), "book/build.py", "--preset", "laptop"]
    assert options["env"]["OMP_NUM_THREADS"] == "3" and options["env"]["MKL_NUM_THREADS"] == "1"


def test_unknown_command_lists_the_known_ones(root):
    ran = subprocess.run([sys.executable, str(root / "tasks.py"), "bok"], capture_output=True, text=True)
    assert ran.returncode == 2 and "python tasks.py book" in ran.stdout
