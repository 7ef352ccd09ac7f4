"""One process at a time writes into a folder, and none among files of others."""

import os
import socket
import subprocess
import sys

import pytest

from astraclr.folders import LOCK, locked, need_no_others

HOLDER = """
import sys
from astraclr.folders import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """Another process that writes into a folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "run"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_which_and_where(held, tmp_path):
    said = f"{tmp_path / 'run'} is being written by process {held.pid} on {socket.gethostname()}: wait until it ends"
    with pytest.raises(ValueError, match=said), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "run" / LOCK).exists()


def test_the_lock_of_a_killed_process_is_taken_over(held, tmp_path):
    held.kill()
    held.wait()
    assert (tmp_path / "run" / LOCK).exists()
    with locked(tmp_path / "run"):
        pass
    assert not list((tmp_path / "run").iterdir())


def test_the_lock_of_another_machine_is_kept(tmp_path):
    (tmp_path / LOCK).write_text("1\nanother-machine\n")
    with pytest.raises(ValueError, match=f"process 1 on another-machine.*remove {tmp_path / LOCK}"), locked(tmp_path):
        pass
    assert (tmp_path / LOCK).exists()


def test_the_lock_goes_however_the_block_ends(tmp_path):
    for fault in (KeyboardInterrupt, ValueError, SystemExit):
        with pytest.raises(fault), locked(tmp_path / "new"):
            raise fault
    assert not list((tmp_path / "new").iterdir())
    with locked(None):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write .*file/run.*choose a folder"), locked(tmp_path / "file" / "run"):
        pass


def test_files_of_others_are_named(tmp_path):
    need_no_others(tmp_path / "nowhere")
    for name in (".hidden", "ours.txt"):
        (tmp_path / name).write_text("")
    need_no_others(tmp_path, lambda path: path.name == "ours.txt")
    for k in range(7):
        (tmp_path / f"theirs-{k}").write_text("")
    with pytest.raises(ValueError, match=r"did not write \(ours.txt, theirs-0, .* and 3 more\).*empty or a new folder"):
        need_no_others(tmp_path)
