"""Chapters for nbgrader keep its schema, and no solution outside its marks; flat files are Python."""

import ast
import re

import exports
import nbformat
import pytest
from myst import solutions
from notebooks import BOOK, read_notebook
from references import References

PAGES = ["03_encoder", "04_pretraining", "lab_bias"]
BOOL = ("grade", "solution", "locked", "task")


@pytest.fixture(scope="module")
def book():
    return References(BOOK)


@pytest.fixture(scope="module")
def made(book, tmp_path_factory):
    return exports.write_assignments(book, tmp_path_factory.mktemp("course"), PAGES)


def graded(notebook) -> list:
    return [c for c in notebook["cells"] if "nbgrader" in c["metadata"]]


def test_every_solution_with_code_is_an_answer_and_a_test(made):
    total = 0
    for file in made:
        cells = graded(read_notebook(file))
        code = [text for text in solutions(read_notebook(BOOK / file.name)).values() if text]
        answers = [c for c in cells if c["metadata"]["nbgrader"]["solution"]]
        assert len(answers) == len(code) and len(cells) == 2 * len(code), file.name
        for answer, test in zip(cells[::2], cells[1::2], strict=True):
            assert answer["source"].startswith("### BEGIN SOLUTION") and answer["source"].endswith("### END SOLUTION")
            assert "assert verdict" in test["source"] and ast.parse(test["source"])
        total += len(code)
    assert total > 5


def test_cells_follow_the_schema_of_nbgrader(made):
    for file in made:
        notebook = nbformat.read(file, as_version=4)
        nbformat.validate(notebook)
        about = [c["metadata"]["nbgrader"] for c in graded(notebook)]
        assert len({a["grade_id"] for a in about}) == len(about)
        for a in about:
            assert a["schema_version"] == 3 and a["cell_type"] == "code" and re.fullmatch(r"[\w-]+", a["grade_id"])
            assert all(isinstance(a[k], bool) for k in BOOL) and ("points" in a) == a["grade"]
            assert set(a) <= {"schema_version", "grade_id", "cell_type", "points", *BOOL}


def test_nbgrader_itself_accepts_them(made):
    validator = pytest.importorskip("nbgrader.nbgraderformat", reason="nbgrader is not installed").MetadataValidator
    for file in made:
        validator().validate_nb(nbformat.read(file, as_version=4))


def test_flat_files_are_python_with_the_words_as_comments(book, tmp_path):
    files = exports.write_scripts(book, tmp_path / "scripts", PAGES)
    assert len(files) == len(PAGES)
    for file in files:
        text = file.read_text(encoding="utf-8")
        compile(text, str(file), "exec")
        assert text.startswith("# %% [markdown]\n# # ") and "{doc}" not in text
