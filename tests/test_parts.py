"""What a killed process left of a file is removed by the next one that writes the file, and nothing else is."""

import os
import signal
import subprocess
import sys

import pytest

from astraclr.data.table_parts import TableParts
from astraclr.files import replacing
from astraclr.parts import file_of_part, part_of

WRITES = """
import sys, time
from astraclr.files import replacing
with replacing(sys.argv[1]) as part:
    part.write_text("half")
    print("written", flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="elsewhere parts of dead processes stay")


@pytest.fixture
def writing(tmp_path):
    """Another process in the middle of writing a file."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, "-c", WRITES, tmp_path / "e.parquet"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None and process.stdout.readline() == "written\n"
    yield process
    process.kill()
    process.communicate()


def parts(folder):
    return sorted(p.name for p in folder.glob(".*.part"))


def test_the_part_of_a_killed_process_is_removed_by_the_next(writing, tmp_path):
    (left,) = parts(tmp_path)
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    with replacing(tmp_path / "other.parquet") as part:
        part.write_text("whole")
    assert parts(tmp_path) == [left], "a file of another name is another's business"
    with replacing(tmp_path / "e.parquet") as part:
        assert parts(tmp_path) == [part.name] != [left]
    assert parts(tmp_path) == []


def test_a_killed_process_whose_parent_has_not_noticed_is_dead(writing, tmp_path):
    os.kill(writing.pid, signal.SIGKILL)
    os.waitid(os.P_PID, writing.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays in the table of processes
    with replacing(tmp_path / "e.parquet") as part:
        assert parts(tmp_path) == [part.name]


def test_the_part_of_a_live_process_stays(writing, tmp_path):
    (left,) = parts(tmp_path)
    with replacing(tmp_path / "e.parquet") as part:
        part.write_text("whole")
    assert parts(tmp_path) == [left] and (tmp_path / left).read_text() == "half"


@pytest.mark.parametrize(
    "name",
    [
        ".e.parquet.part",
        ".e.parquet.notes.part",
        ".e.parquet.99999999.part",  # written by an earlier version, which did not name the machine
        ".e.parquet.00000000.99999999.part",  # on another machine
        ".e.parquet.x.HERE.99999999.part",  # of the file e.parquet.x
        "e.parquet.HERE.99999999.part",
    ],
)
def test_what_may_be_of_others_stays(tmp_path, name):
    here = part_of(tmp_path / "e.parquet").name.split(".")[-3]
    theirs = tmp_path / name.replace("HERE", here)
    theirs.write_text("theirs")
    with replacing(tmp_path / "e.parquet") as part:
        part.write_text("whole")
    assert theirs.read_text() == "theirs"


def test_a_table_in_parts_removes_parts_of_its_own_files_alone(tmp_path):
    table = TableParts(tmp_path, {}, ["a/one.parquet"])
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.parquet").write_bytes(b"rows")
    for name in ("a/.one.parquet.0a1b2c3d.12.part", "a/.theirs.0a1b2c3d.12.part", ".one.parquet.0a1b2c3d.12.part"):
        (tmp_path / name).write_bytes(b"")
    table.add({"file": "a/one.parquet", "rows": 1, "read": 1, "notes": {}})
    table.finished()
    assert sorted(p.name for p in tmp_path.rglob("*.part")) == [
        ".one.parquet.0a1b2c3d.12.part",
        ".theirs.0a1b2c3d.12.part",
    ]
    assert parts(tmp_path / "a") == [".theirs.0a1b2c3d.12.part"]


@pytest.mark.parametrize("name", ["", "stars.parquet", ".part", "..1.part", ".stars.parquet.part", ".a.b1.part"])
def test_other_names_are_of_no_part(name):
    assert file_of_part(name) == ""
