"""For the tests of graders: a wrong answer gets a hint, and no error."""

import pytest

from astraclr.tutorial.checks import Verdict, check


@pytest.fixture(autouse=True)
def lenient(monkeypatch):
    """Wrong answers raise nothing, whatever the environment says."""
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)


def hint(label: str, *answer: object) -> str:
    """The hint to a wrong answer; fails for a right one."""
    verdict = check(label, *answer)
    assert not verdict, answer
    return hint_of(verdict)


def hint_of(verdict: Verdict) -> str:
    """The hint of a verdict; fails where it has none."""
    assert verdict.hint is not None
    return verdict.hint
