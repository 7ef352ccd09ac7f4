"""Mutated files of every reader: a clear error that names the file, or clean light curves and every change said.

`python tests/catalogs/fuzzing.py` tries 10,000, and says what it counts.
"""

import fuzzing_own
import pytest
from fuzzing import FAULTS, outcome, tried, unsaid
from test_containers import WRITERS, epochs

from astraclr import catalogs


@pytest.mark.slow
def test_mutated_files(tmp_path):
    pytest.importorskip("astropy", reason="needs the extra data")
    counts, faults, n = tried(0, 400, tmp_path)
    assert not faults
    read = sum(one["read"] for one in counts.values())
    assert n == 400 == sum(sum(one.values()) for one in counts.values()) and 20 < read < 380


@pytest.mark.slow
def test_mutated_files_of_our_own(tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="needs the extra similar")
    monkeypatch.delitem(fuzzing_own.KINDS, "HATS")  # some take a second each: the documented command tries these
    counts, faults, n = fuzzing_own.tried(0, 100, tmp_path)
    assert not faults
    assert n == 100 == sum(sum(one.values()) for one in counts.values()) and set(counts) == set(fuzzing_own.KINDS)


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
