"""Copies for students: nothing is told that should be found out, and what is left runs."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import myst
import pytest
import student
from hidden_cells import without_unneeded
from myst import markdown_pieces
from notebooks import BOOK, HIDDEN, glued_by, read_notebook, tags_of
from references import References
from settings import settings_of

NOTEBOOKS = sorted(f.stem for f in BOOK.glob("*.ipynb"))


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies") / "student"
    student.make_copies(References(BOOK), folder)
    return folder


def lines(text: str) -> set[str]:
    """Lines and sentences that are long enough to be recognised."""
    parts = [part.strip() for line in text.splitlines() for part in re.split(r"(?<=[.?!])\s", line)]
    return {part for part in parts if len(part) > 25}


def told(page: str) -> set[str]:
    """What solutions and diagnoses of a notebook say, and nothing else in its visible cells does."""
    notebook = read_notebook(BOOK / f"{page}.ipynb")
    found = list(markdown_pieces(notebook))
    secret = {line for p in found if p.kind == "solution" or p.is_answer for line in lines(p.body)}
    secret |= {line for p in found if p.is_quiz for _, _, why in myst.quiz(p)[2] for line in lines(why)}
    known = [p.body for p in found if p.kind != "solution" and not p.is_answer and not p.is_quiz]
    known += [c["source"] for c in notebook["cells"] if c["cell_type"] == "code" and HIDDEN not in tags_of(c)]
    text = "\n".join(known)
    return {line for line in secret if line not in text}


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_no_solution_and_no_diagnosis_is_left(page, copies):
    text = "\n".join(cell["source"] for cell in read_notebook(copies / f"{page}.ipynb")["cells"])
    assert told(page) or not page[:2].isdigit()
    assert not {line for line in told(page) if line in text}
    assert "quiz-right" not in text and "dropdown" not in text


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_an_exercise_has_a_cell_for_its_answer(page, copies):
    cells = read_notebook(copies / f"{page}.ipynb")["cells"]
    labels = [
        p.options["label"] for p in markdown_pieces(read_notebook(BOOK / f"{page}.ipynb")) if p.kind == "exercise"
    ]
    answers = [c["source"] for c in cells if "answer" in tags_of(c)]
    assert len(answers) == len(labels)
    for label, answer in zip(labels, answers, strict=True):
        call = re.search(r"^# check\((?:.|\n# )*\)\Z", answer, flags=re.MULTILINE)
        assert call and f'check("{label}"' in call.group()
    assert len({c["id"] for c in cells}) == len(cells)


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_plain_jupyter_can_show_it(page, copies):
    prose_of = [c["source"] for c in read_notebook(copies / f"{page}.ipynb")["cells"] if c["cell_type"] == "markdown"]
    text = "\n".join(prose_of)
    assert not re.search(r"\{[a-z:]+\}`|^:::|^`{3,}\{|^:[a-z]+:", text, flags=re.MULTILINE)
    for target in re.findall(r"\]\(([\w./]+\.ipynb)\)", text):
        assert (copies / target).is_file()


def test_no_name_is_missing(copies):
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-respect-gitignore", "--select", "F821,E9"]
    found = subprocess.run([*command, str(copies)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_all_of_them_are_in_the_zip(copies):
    with zipfile.ZipFile(copies.with_suffix(".zip")) as archive:
        assert {Path(name).stem for name in archive.namelist()} == {*NOTEBOOKS, "README"}


@pytest.mark.slow
def test_a_copy_runs_from_top_to_bottom(copies, tmp_path):
    command = [sys.executable, "-m", "papermill", str(copies / "02_views.ipynb"), "out.ipynb", "--kernel", "python3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def notebook(*cells: tuple[str, str, tuple[str, ...]]) -> dict:
    return {
        "cells": [
            {"cell_type": kind, "id": f"c{n}", "metadata": {"tags": list(tags)}, "source": source}
            for n, (kind, source, tags) in enumerate(cells)
        ]
    }


def test_of_hidden_cells_only_what_something_needs():
    hidden = "import json\na = 1\nb = 2\nunused = 3\nglue('a', a)\nfor k in range(3):\n    total = k\n"
    found = without_unneeded(
        notebook(
            ("code", "rows = {}\nk = 5", ()),
            ("code", hidden + "rows['x'] = b", ("remove-cell",)),
            ("code", "print(json.dumps(rows), k)", ()),
        )
    )
    assert found[1] == "import json\nb = 2\nrows['x'] = b"


def test_what_an_answer_needs_stays_but_not_the_answer():
    solution = "````{exercise}\n:label: ex-a\nUse `data`.\n````\n\n"
    solution += "````{solution} ex-a\n```python\nx = data + more\n```\n````"
    hidden = ("code", "data = 1\nmore = 2\nx = data + more", ("remove-cell",))
    assert without_unneeded(notebook(hidden, ("markdown", solution, ())))[0] == "data = 1\nmore = 2"


def test_pieces_roles_and_calls():
    text = "# Head\n\nOne `a`\ntwo\n::::{admonition} Quiz: light\n:class: quiz\nWhich?\n:::{dropdown} This\n"
    text += ":class-container: quiz-right\nbecause\n:::\n:::{dropdown} That\nnot so\n:::\n::::\n"
    text += "```python\n# no head\n```"
    head, words, question, code = myst.pieces(text)
    assert (head.title, head.level, words.body, code.kind) == ("Head", 1, "One `a`\ntwo", "code")
    assert myst.quiz(question) == ("light", "Which?", [("This", True, "because"), ("That", False, "not so")])
    assert myst.lead("**Why.** Because.") == ("Why", "Because.")
    book = References(BOOK)
    text = "{glue:text}`x:.2f` {glue:text}`y` {doc}`06_probing` {cite:t}`wu2018instance`"
    said = book.words(text, "06_probing", {"x": 1})
    assert said == "1.00 … *Probing* Wu et al. (2018)"
    assert student.check_call('Ask `check("ex-a", f(x), "b")`.', "ex-a") == 'check("ex-a", f(x), "b")'
    assert student.check_call("Nothing.", "ex-a") == 'check("ex-a", answer)'


def test_an_unknown_directive_is_named():
    copyist = student.Copyist(References(BOOK), "06_probing")
    with pytest.raises(ValueError, match="06_probing: nobody has said how directive 'video'"):
        copyist.rendered(myst.Piece("video"))


def test_values_come_from_the_run():
    output = {"data": {"application/papermill.record/text/plain": "0.25"}, "metadata": {"scrapbook": {"name": "x"}}}
    assert glued_by({"outputs": [output]}) == {"x": 0.25}
    assert glued_by({"cell_type": "markdown"}) == {}


def test_equations_of_written_pages_have_numbers():
    book = References(BOOK)
    assert book.words("{eq}`eq-ntxent`", "04_pretraining") == "equation 1 of *Notation*"


def test_settings_are_kept_and_results_are_hidden(copies):
    text = "\n".join(cell["source"] for cell in read_notebook(copies / "10_scaling_out.ipynb")["cells"])
    assert "of which training reaches 40%" in text and "at preset tiny" in text
    assert "All passes then take … GPU-hours" in text


@pytest.mark.parametrize(
    "code, found",
    [
        ('preset = "tiny"\nglue("a", preset, display=False)', {"a": "tiny"}),
        ('share, other = 0.4, measure()\nglue("a", share / 2)\nglue("b", other)', {"a": 0.2}),
        (
            'size = config.preset("tiny")\nglue("a", size.batch_size > 3)\nglue("b", f"{size.name}: {2:.1f}")',
            {"b": "tiny: 2.0"},
        ),
        ('n = {"tiny": 2_400}.get("tiny", 12)\nglue("a", n)', {"a": 2_400}),
        ('n = 3\nfor k in rows:\n    n = n + k\nglue("a", n)', {}),
        ('n = 3\nn = count(n)\nglue("a", n)', {}),
    ],
)
def test_what_is_a_setting(code, found):
    assert settings_of({"cells": [{"cell_type": "code", "source": code}]}) == found
