"""Graders: their verdicts, and that each exercise has one."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from astraclr.tutorial import checks

BOOK = Path(__file__).resolve().parents[3] / "book"


@pytest.fixture
def doubled(monkeypatch):
    """A grader that wants a doubled number."""
    checks.graded()  # those of the chapters register once, before the copy is made
    monkeypatch.setattr(checks, "_GRADERS", dict(checks._GRADERS))

    @checks.grader("ex-test-double")
    def _double(answer, of):
        return None if float(answer) == 2 * of else "Is that twice as much?"


def test_verdicts(doubled, monkeypatch):
    monkeypatch.delenv("ASTRACLR_STRICT", raising=False)
    right, wrong = checks.check("ex-test-double", 6, of=3), checks.check("ex-test-double", 5, of=3)
    assert right and repr(right) == "ex-test-double: right."
    assert not wrong and repr(wrong) == "ex-test-double: not yet. Is that twice as much?"
    odd = checks.check("ex-test-double", "six", of=3)
    assert not odd and "could not be read (ValueError" in repr(odd)
    assert not checks.check("ex-test-double")


def test_strictly_a_wrong_answer_is_an_error(doubled, monkeypatch):
    monkeypatch.setenv("ASTRACLR_STRICT", "1")
    assert checks.check("ex-test-double", 6, of=3)
    with pytest.raises(AssertionError, match="twice as much"):
        checks.check("ex-test-double", 5, of=3)


def test_unknown_and_doubled_labels(doubled):
    with pytest.raises(ValueError, match="no exercise 'ex-test-triple' can be checked; did you mean .*ex-test-double"):
        checks.check("ex-test-triple", 1)
    with pytest.raises(ValueError, match="two graders"):
        checks.grader("ex-test-double")(lambda: None)


def test_predictions_beside_measurements():
    table = checks.predicted({"a": 0.5, "b": None}, {"a": 0.75, "b": 0.25, "c": 1.0})
    assert table.loc["a"].tolist() == [0.5, 0.75, 0.25]
    assert np.isnan(table["predicted"]["b"]) and np.isnan(table["off"]["c"])
    with pytest.raises(ValueError, match="nothing was measured of z; the names are a"):
        checks.predicted({"z": 1.0}, {"a": 0.75})


def prose(page: Path) -> str:
    cells = json.loads(page.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def test_every_exercise_has_a_grader_and_every_solution_asks_it():
    pages = {page.stem: prose(page) for page in BOOK.glob("*.ipynb")}
    labels = {m for text in pages.values() for m in re.findall(r"^:label: (ex-\S+)", text, flags=re.MULTILINE)}
    asked = {m for text in pages.values() for m in re.findall(r"check\(\s*\"(ex-[^\"]+)\"", text)}
    assert labels == set(checks.graded()) == asked
