"""The harness that kills commands sees what a kill leaves behind; killed shards end with the same bytes."""

import random
import sys
from pathlib import Path

import pytest
from kills import ENOUGH, Command, Trial
from tqdm import tqdm

from astraclr.data.shards import Shards
from astraclr.simulation.simulate import simulate

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")

WRITES = """
import sys, time
from contextlib import nullcontext
from pathlib import Path
from astraclr.files import replacing
with (replacing if sys.argv[2] == "whole" else nullcontext)(Path(sys.argv[1])) as part, part.open("wb") as file:
    for k in range(20):
        file.write(bytes(1000))
        file.flush()
        time.sleep(0.05)
"""
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


class Always(random.Random):
    """Moments that are no surprise: below 0.5 just after a file appears, else at this share of the undisturbed run."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


def killed(tmp_path, kills: int, moment: float, *words: str, once: tuple[str, ...] = ()):
    """What a trial finds of a Python script."""
    command = Command((sys.executable, "-c", *words), once)
    with tqdm(disable=True) as bar:
        return Trial(command, tmp_path, tmp_path / "work", Always(moment)).kill_times(kills, bar)


def test_a_file_that_appears_whole_is_never_half(tmp_path):
    found = killed(tmp_path, 2, 0.3, WRITES, "OUT/file", "whole", once=("file",))
    assert found.faults == [] and (found.kills, found.while_writing) == (2, 2) and found.runs >= 1
    assert found.parts_left == 2, "a killed process cannot take its part away"


def test_a_file_written_in_place_is_seen_half(tmp_path):
    found = killed(tmp_path, 2, 0.7, WRITES, "OUT/file", "in place", once=("file",))
    assert any("left half of file" in fault for fault in found.faults)


def test_what_a_command_started_dies_with_it(tmp_path):
    found = killed(tmp_path, 1, 0.3, STARTS_ANOTHER, WRITES, "OUT/file", "whole", once=("file",))
    assert found.faults == [] and found.while_writing == 1


def test_a_later_start_that_writes_other_bytes_is_a_fault(tmp_path):
    found = killed(tmp_path, 0, 0.7, AGAIN, "INPUT", "OUT", "passes")
    assert found.faults == ["after 0 kills file differs"]


def test_a_later_start_that_fails_is_a_fault_and_the_trial_ends(tmp_path):
    found = killed(tmp_path, 1, 0.3, AGAIN, "INPUT", "OUT", "fails")
    assert "it ended with 1" in found.faults[0] and len(found.faults) <= ENOUGH + 3


SHARDS = """
import sys
from astraclr.data import shard_manifest
from astraclr.data.lightcurves import LightCurves
from astraclr.data.shard_writer import write_shards
shard_manifest._SECONDS_BETWEEN_SAVES = 0
write_shards(LightCurves.load(sys.argv[1]), sys.argv[2], 2)
"""


def test_shards_killed_while_one_is_written_end_with_the_same_bytes(tmp_path):
    simulate(48, seed=3).save(tmp_path / "stars.parquet")
    found = killed(tmp_path, 1, 0.3, SHARDS, "INPUT/stars.parquet", "OUT/shards")
    assert found.faults == [] and (found.kills, found.runs, found.parts_left) == (1, 1, 0)
    assert len(Shards(tmp_path / "work" / "out" / "shards")) == 48
