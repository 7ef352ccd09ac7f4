"""Mutated files of every reader: a clear error that names the file, or clean light curves and every change said.

`python tests/catalogs/fuzzing.py` tries 10,000, and says what it counts.
"""

import pytest
from fuzzing import FAULTS, outcome, tried, unsaid
from test_containers import WRITERS, epochs

from astraclr import catalogs


@pytest.mark.slow
def test_mutated_files(tmp_path):
    pytest.importorskip("astropy", reason="needs the extra data")
    counts, faults, n = tried(0, 500, tmp_path)
    assert not faults
    read = sum(one["read"] for one in counts.values())
    assert n == 500 == sum(sum(one.values()) for one in counts.values()) and 25 < read < 475


def test_faults_are_seen(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    WRITERS["t.csv"](epochs(), path)
    lc = catalogs.read(path)
    assert outcome(path, "mag") == ("read", "") and unsaid(lc, "mag") == ""
    assert unsaid(lc[:2], "mag").startswith("13 observations and 0 said to be dropped are not 24")
    for error, seen in (
        (KeyError("x"), "traceback"),
        (ValueError("no name"), "file not named"),
        (TimeoutError(), "hang"),
        (ValueError("t.csv: why"), "refused"),
    ):
        monkeypatch.setattr(catalogs, "read", lambda *_, error=error, **__: (_ for _ in ()).throw(error))
        assert outcome(path)[0] == seen
        assert seen == "refused" or seen in FAULTS
