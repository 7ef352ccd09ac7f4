"""Chapters in other forms: assignments for nbgrader, and flat Python files.

Usage: python book/exports.py nbgrader    _build/nbgrader/source/CHAPTER/CHAPTER.ipynb, with solutions and tests
       python book/exports.py scripts     _build/scripts/CHAPTER.py, cells marked by `# %%`

Both are made of the copies for students (`student.py`). `nbgrader generate_assignment CHAPTER` takes the solutions out
again; each exercise that can be checked is worth one point, given by the check that students see too.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from myst import solutions
from nbformat.v4 import new_code_cell
from notebooks import BOOK, ROOT, Cell, Notebook, tags_of
from references import References
from student import Copyist

SCHEMA = 3
"""Version of nbgrader's metadata of cells (its documentation, "Metadata")."""
CONFIG = """# nbgrader's settings for the exercises of this book; run its commands in this folder.
c = get_config()
c.CourseDirectory.course_id = "astraclr"
c.ClearSolutions.code_stub = {"python": "# Your answer."}
c.ExecutePreprocessor.timeout = 600
"""


def graded_metadata(name: str, answer: bool) -> dict[str, Any]:
    """Metadata of nbgrader for a cell: one that students fill in, or one that tests it and is worth a point."""
    about: dict[str, Any] = {
        "schema_version": SCHEMA,
        "grade_id": name,
        "cell_type": "code",
        "solution": answer,
        "grade": not answer,
        "locked": not answer,
        "task": False,
    }
    return {"nbgrader": about if answer else about | {"points": 1}}


def assignment(book: References, page: str) -> nbformat.NotebookNode:
    """A chapter with solutions and tests as nbgrader's cells; exercises without code stay as they are."""
    copyist = Copyist(book, page)
    copied, answers = copyist.copy(), solutions(copyist.original)
    cells: list[Cell] = []
    for cell in copied["cells"]:
        label = re.search(r'check\(\s*"([^"]+)"', cell["source"]) if "answer" in tags_of(cell) else None
        if label is None or not answers.get(label[1]):
            cells.append(cell)
            continue
        at, name = cell["source"].index("# check("), re.sub(r"\W", "-", label[1])
        call = "\n".join(line.removeprefix("# ") for line in cell["source"][at:].splitlines())
        solved = f"### BEGIN SOLUTION\n{answers[label[1]].rstrip()}\n### END SOLUTION"
        tested = f"from astraclr.tutorial.checks import check\n\nverdict = {call}\nassert verdict, verdict"
        cells.append(new_code_cell(solved, id=cell["id"], metadata=graded_metadata(name, answer=True)))
        cells.append(
            new_code_cell(tested, id=f"{cell['id']}-t", metadata=graded_metadata(f"test-{name}", answer=False))
        )
    copied["cells"] = cells
    return copied


def flat(notebook: Notebook) -> str:
    """A notebook as a Python file, words as comments; editors show its cells by the marks `# %%`."""
    return "\n\n".join(_flat_cells(notebook)) + "\n"


def _flat_cells(notebook: Notebook) -> Iterator[str]:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            yield f"# %%\n{cell['source']}"
        else:
            yield "# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in cell["source"].splitlines())


def write_assignments(book: References, folder: Path, pages: list[str]) -> list[Path]:
    """Write notebooks as assignments, and nbgrader's settings, into an emptied folder."""
    shutil.rmtree(folder, ignore_errors=True)
    files = []
    for page in pages:
        file = folder / "source" / page / f"{page}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(assignment(book, page), file)
        files.append(file)
    (folder / "nbgrader_config.py").write_text(CONFIG)
    return files


def write_scripts(book: References, folder: Path, pages: list[str]) -> list[Path]:
    """Write notebooks as Python files into an emptied folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = []
    for page in pages:
        file = folder / f"{page}.py"
        file.write_text(flat(Copyist(book, page).copy()), encoding="utf-8")
        files.append(file)
    return files


def main() -> int:
    """Write what the command line asks for."""
    parser = argparse.ArgumentParser(description="Write the chapters for nbgrader, or as flat Python files.")
    parser.add_argument("form", choices=("nbgrader", "scripts"))
    form, folder, book = parser.parse_args().form, ROOT / "_build", References(BOOK)
    if form == "nbgrader":
        files = write_assignments(book, folder / "nbgrader", book.notebooks())
        print(f"{len(files)} assignments: _build/nbgrader/source; there: nbgrader generate_assignment 01_light_curves")
    else:
        files = write_scripts(book, folder / "scripts", book.notebooks())
        print(f"{len(files)} Python files: _build/scripts/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
