"""The harness that kills commands sees what a kill leaves behind; killed shards end with the same bytes."""

import random
import signal
import sys
from pathlib import Path

import pytest
from _forked import Forked
from kills import COMMANDS, ENOUGH, FULL_DISK, Command, Trial, added, kill, shares
from tqdm import tqdm

from astraclr.data.shards import Shards
from astraclr.simulation.simulate import simulate

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")

HELD = """
import sys, time
from pathlib import Path
starts = Path(sys.argv[1], "starts")
starts.touch()
starts.write_text(starts.read_text() + "x")
def held():  # the undisturbed start is the first, the last one comes after so many kills
    if 1 < len(starts.read_text()) <= 1 + int(sys.argv[2]):
        time.sleep(600)
"""
"""Beginning of scripts that wait to be killed in the middle, so that no test depends on how fast they run."""
WRITES = (
    HELD
    + """
from astraclr.files import replacing
if sys.argv[4] == "whole":
    with replacing(Path(sys.argv[3])) as part:
        part.write_bytes(bytes(1000))
        held()
        part.write_bytes(bytes(2000))
else:
    Path(sys.argv[3]).write_bytes(bytes(1000))
    with replacing(Path(sys.argv[3] + ".other")):  # tells that the half is written
        held()
    Path(sys.argv[3]).write_bytes(bytes(2000))
"""
)
STARTS_ANOTHER = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True, start_new_session=True)
"""
AGAIN = """
import sys
from pathlib import Path
before = Path(sys.argv[1], "started")
Path(sys.argv[2], "file").write_text(str(before.exists()))
again, _ = before.exists(), before.touch()
sys.exit(int(again and sys.argv[3] == "fails"))
"""


class Aimed(random.Random):
    """Moments that are no surprise: just after a file that is being written has appeared."""

    def random(self) -> float:
        return 0.3


def killed(tmp_path, kills: int, *words: str, once: tuple[str, ...] = ()):
    """What a trial finds of a Python script."""
    command = Command((sys.executable, "-c", *words), once)
    with tqdm(disable=True) as bar:
        return Trial(command, tmp_path, tmp_path / "work", Aimed()).kill_times(kills, bar)


def test_a_file_that_appears_whole_is_never_half(tmp_path):
    found = killed(tmp_path, 2, WRITES, "INPUT", "2", "OUT/file", "whole", once=("file",))
    assert found.faults == [] and (found.kills, found.while_writing, found.runs) == (2, 2, 1)
    assert found.parts_left == 0, "the next start takes away what the killed one left"


def test_a_file_written_in_place_is_seen_half(tmp_path):
    found = killed(tmp_path, 2, WRITES, "INPUT", "2", "OUT/file", "in place", once=("file",))
    assert [fault for fault in found.faults if "left half of file" in fault] == [
        "kill 1 left half of file",
        "kill 2 left half of file",
    ]


def test_what_a_command_started_dies_with_it(tmp_path):
    words = (STARTS_ANOTHER, WRITES, "INPUT", "1", "OUT/file", "whole")
    found = killed(tmp_path, 1, *words, once=("file",))
    assert found.faults == [] and (found.while_writing, found.runs, found.parts_left) == (1, 1, 0)


def test_a_later_start_that_writes_other_bytes_is_a_fault(tmp_path):
    found = killed(tmp_path, 0, AGAIN, "INPUT", "OUT", "passes")
    assert found.faults == ["after 0 kills file differs"]


def test_a_later_start_that_fails_is_a_fault_and_the_trial_ends(tmp_path):
    found = killed(tmp_path, 1, AGAIN, "INPUT", "OUT", "fails")
    assert "it ended with 1" in found.faults[0] and len(found.faults) <= ENOUGH + 3


SHARDS = (
    HELD
    + """
from astraclr.data import shard_manifest, shard_writer
from astraclr.data.lightcurves import LightCurves
shard_manifest._SECONDS_BETWEEN_SAVES = 0
write = shard_writer._write
def held_while_the_third_is_written(lc, file):
    if Path(sys.argv[4], "part-00001-000.arrow").exists():
        held()
    return write(lc, file)
shard_writer._write = held_while_the_third_is_written
shard_writer.write_shards(LightCurves.load(sys.argv[3]), sys.argv[4], 2)
"""
)


def test_shards_killed_while_one_is_written_end_with_the_same_bytes(tmp_path):
    simulate(12, seed=3).save(tmp_path / "stars.parquet")
    found = killed(tmp_path, 1, SHARDS, "INPUT", "1", "INPUT/stars.parquet", "OUT/shards")
    assert found.faults == [] and (found.kills, found.runs, found.parts_left) == (1, 1, 0)
    assert len(Shards(tmp_path / "work" / "out" / "shards")) == 12


WORKER = """
import multiprocessing, sys, time
from pathlib import Path
from astraclr.files import replacing
if __name__ == "__main__":
    starts = Path(sys.argv[1], "starts")
    starts.write_text((starts.read_text() if starts.exists() else "") + "x")
    seconds = 600 if len(starts.read_text()) == 2 else 0
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(seconds,))
    worker.start()
    with replacing(sys.argv[2]) as part:
        part.write_text("same")
        worker.join()
"""


def test_one_worker_is_killed_and_the_command_goes_on(tmp_path):
    (tmp_path / "script.py").write_text(WORKER)
    command = Command((sys.executable, str(tmp_path / "script.py"), "INPUT", "OUT/file"), worker=True)
    with tqdm(disable=True) as bar:
        found = Trial(command, tmp_path, tmp_path / "work", Aimed()).kill_times(1, bar)
    assert found.faults == [] and (found.kills, found.while_writing, found.runs) == (1, 1, 2)


def test_a_command_line_is_forked_and_dies_when_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("_forked.PRELOADED", ())
    said = tmp_path / "said.txt"
    assert Forked(("--version",), tmp_path, said).wait(60) == 0 and said.read_text().startswith("astraclr ")
    assert Forked(("info", "nowhere"), tmp_path, said).wait(60) == 2
    assert f"error: nowhere does not exist (looked in {tmp_path})" in said.read_text()
    process = Forked(("simulate", "--n", "1000000", "--out", "stars.parquet"), tmp_path, said)
    assert process.poll() is None
    kill(process)
    assert process.returncode == -signal.SIGKILL and not Path(f"/proc/{process.pid}").exists()


def test_slow_commands_get_fewer_kills():
    found = shares(["embed", "export", "two ranks"], 120)
    assert sum(found.values()) == 120 and found["embed"] > found["two ranks"] > found["export"] > 0
    assert sum(shares(list(COMMANDS), 7).values()) == 7
    assert all(command.words[0] == sys.executable for command in COMMANDS.values())
    assert [name for name, c in COMMANDS.items() if not c.forked] == [
        "two ranks",
        *(name for name in COMMANDS if "two workers" in name or "one worker" in name),
    ]


def test_counts_of_several_calls_add_up():
    row = {"kills": 2, "while_writing": 1, "runs": 3, "parts_left": 0, "seconds": 1.234, "faults": []}
    found = added(added({}, "embed", row), "embed", row | {"faults": ["it hung"]})
    found = added(added(found, FULL_DISK, {"faults": ["lost"]}), "predict", row)
    assert found["total"] == {"kills": 6, "while_writing": 3, "runs": 9, "faults": 2}
    assert found["commands"]["embed"] == row | {
        "kills": 4,
        "while_writing": 2,
        "runs": 6,
        "seconds": 1.2,
        "faults": ["it hung"],
    }
    assert list(found) == ["made_with", "revisions", "total", "commands", FULL_DISK] and len(found["revisions"]) == 1
