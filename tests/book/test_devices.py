"""What a chapter is made of: goals, predictions, a planted fault, a quiz, exercises with folded solutions."""

import json
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("[01][0-9]_*.ipynb"))
QUIZ = re.compile(r"^::::+\{admonition\} Quiz: (.+?)\n:class: quiz\n(.*?)^::::+\s*$", flags=re.DOTALL | re.MULTILINE)
ANSWER = re.compile(r"^:::\{dropdown\} (.+?)\n(:class-container: quiz-right\n)?(.*?)^:::\s*$", re.DOTALL | re.MULTILINE)


def cells(page: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(page.read_text())["cells"] if cell["cell_type"] == kind]


def prose(page: Path) -> str:
    return "\n".join("".join(cell["source"]) + "\n" for cell in cells(page, "markdown"))


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda f: f.stem)
def test_a_chapter_has_all_its_parts_in_order(page):
    parts = (
        "**What you will be able to do**",
        "**What you need**",
        "**How long**",
        "## The question",
        "Predict before",
        "Diagnose",
        "## Check yourself",
        "## Exercises",
        "## Summary",
        "## Further reading",
    )
    text = prose(page)
    missing = [part for part in parts if part not in text]
    assert not missing
    places = [text.index(part) for part in parts if part not in ("Predict before", "Diagnose")]
    assert places == sorted(places)


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda f: f.stem)
def test_a_chapter_can_be_read_in_one_sitting(page):
    shown = [c for c in cells(page, "code") if not {"remove-cell", "parameters"} & set(c["metadata"].get("tags", []))]
    assert sum(len("".join(c["source"]).splitlines()) for c in shown) <= 200
    exercises = re.compile(r"^(`{3,})\{(?:exercise|solution)\}.*?^\1\s*$", flags=re.DOTALL | re.MULTILINE)
    words = len(re.sub(exercises, "", QUIZ.sub("", prose(page))).split())
    assert 1_500 <= words <= 3_500, words


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda f: f.stem)
def test_predictions_are_checked(page):
    code = "\n".join("".join(cell["source"]) for cell in cells(page, "code"))
    assert re.search(r"\bpredicted\(", code), "no prediction is compared with what was measured (checks.predicted)"


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda f: f.stem)
def test_quizzes(page):
    found = QUIZ.findall(prose(page))
    assert len(found) >= 3
    for question, body in found:
        answers = ANSWER.findall(body)
        assert len(answers) >= 3, question
        assert sum(bool(right) for _, right, _ in answers) == 1, question
        assert all(len(why.split()) >= 6 for _, _, why in answers), f"{question}: an answer that is not explained"
        assert len({name for name, _, _ in answers}) == len(answers), question


def test_the_right_answer_is_not_always_in_the_same_place():
    places = [
        [bool(right) for _, right, _ in ANSWER.findall(body)].index(True)
        for page in CHAPTERS
        for _, body in QUIZ.findall(prose(page))
    ]
    assert max(places.count(place) for place in set(places)) <= len(places) / 2


@pytest.mark.parametrize("page", CHAPTERS, ids=lambda f: f.stem)
def test_exercises_have_folded_solutions(page):
    text = prose(page)
    labels = re.findall(r"\{exercise\}\n:label: (\S+)", text)
    assert len(labels) >= 3 and len(set(labels)) == len(labels)
    solved = re.findall(r"\{solution\} (\S+)\n:class: dropdown", text)
    assert solved == labels
