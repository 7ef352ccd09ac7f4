"""Make the students' copy of the notebooks: no solutions, no diagnoses, an empty cell for each answer.

Usage: python book/student.py

What comes out, _build/student/ and _build/student.zip, is read and run in plain Jupyter: directives become quotations
and headings, references become words, numbers that the book fills in from a run become an ellipsis. Of the cells that
the book hides, only statements remain that something visible needs.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from hidden_cells import without_unneeded
from myst import Piece, lead, pieces, quiz
from nbformat.v4 import new_code_cell, new_markdown_cell
from notebooks import BOOK, HIDDEN, ROOT, Cell, figure_of, page_source, read_notebook, tags_of
from references import UNKNOWN, References
from settings import settings_of

NOTE = """> **A copy for students.** Solutions are not in it, and of planted faults only the questions. Results that the
> book fills in from its own run stand here as {unknown}: yours come when you run the cells. Write answers into the
> empty cells; take away the number sign before `check(...)` to have an answer graded, as often as you like. Cells that
> are folded only prepare what others need."""
README = """# {title}: notebooks for students

Install the package as its README says, open a notebook in Jupyter, and run it from top to bottom. Nothing needs a
network. Text CC BY 4.0, code MIT, as in the book.

{pages}
"""


def check_call(text: str, label: str) -> str:
    """The call of `check` that an exercise names, or one with `answer` where it names none."""
    at = text.find(f'check("{label}"')
    depth = 0
    for end in range(at, len(text) if at >= 0 else 0):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        if depth == 0 and text[end] == ")":
            return text[at : end + 1]
    return f'check("{label}", answer)'


def quoted(text: str) -> str:
    """Markdown as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


class Copyist:
    """Turns one notebook into its copy for students."""

    def __init__(self, book: References, page: str):
        self.book, self.page, self.exercises = book, page, 0
        self.original = read_notebook(page_source(book.folder, page))
        self.settings = settings_of(self.original)
        code = [c["source"] for c in self.original["cells"] if c["cell_type"] == "code" and HIDDEN not in tags_of(c)]
        nodes = [node for text in code for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        self.imports_check = any(
            node.module == "astraclr.tutorial.checks" and "check" in {a.name for a in node.names} for node in nodes
        )

    def copy(self) -> nbformat.NotebookNode:
        """The notebook for students."""
        cells, figures = [], 0
        for cell, source in zip(self.original["cells"], without_unneeded(self.original), strict=True):
            if cell["cell_type"] == "markdown":
                cells += self._prose(cell)
            elif source:
                cells.append(_code(cell, source))
                if "name" in (figure := figure_of(cell)):
                    figures += 1
                    caption = self.book.words(figure["caption"], self.page)
                    cells.append(new_markdown_cell(f"*Figure {figures}.* {caption}", id=f"{cell['id']}-caption"))
        cells.insert(1, new_markdown_cell(NOTE.format(unknown=UNKNOWN), id="student-note"))
        return nbformat.v4.new_notebook(cells=cells, metadata=self.original["metadata"])

    def _prose(self, cell: Cell) -> Iterator[Cell]:
        said: list[str] = []
        yielded = False
        for number, piece in enumerate(pieces(cell["source"])):
            if piece.kind == "solution":
                continue
            said.append(self.rendered(piece))
            if piece.kind == "exercise":
                yield new_markdown_cell("\n\n".join(filter(None, said)), id=f"{cell['id']}-{number}")
                yield self._answer(f"{cell['id']}-{number}-answer", piece)
                said, yielded = [], True
        if any(said):
            name = f"{cell['id']}-end" if yielded else cell["id"]
            yield new_markdown_cell("\n\n".join(filter(None, said)), id=name)

    def rendered(self, piece: Piece) -> str:
        """A piece as Markdown that plain Jupyter shows; ValueError for a directive that nobody has thought of."""
        body = self.book.words(piece.body, self.page, self.settings, links=True)
        if piece.kind == "text":
            return "" if body.strip(f"{UNKNOWN} \n.") == "" else body
        if piece.kind == "heading":
            return f"{'#' * piece.level} {self.book.words(piece.title, self.page)}"
        if piece.kind == "code":
            return f"```{piece.title}\n{piece.body}\n```"
        if piece.kind == "literalinclude":
            return f"```\n{(self.book.folder / piece.title).read_text().rstrip()}\n```"
        if piece.kind == "math":
            number = self.book.labels.get(piece.options.get("label", ""), ("", "", 0))[2]
            tag = f" \\tag{{{number}}}" if number else ""
            return f"$$\n{piece.body}{tag}\n$$"
        if piece.kind == "exercise":
            self.exercises += 1
            title, rest = lead(body)
            return f"### Exercise {self.exercises}{f': {title}' if title else ''}\n\n{rest}"
        if piece.is_quiz:
            title, question, answers = quiz(piece)
            said = [f"**Quiz: {title}**", question, "\n".join(f"- [ ] {answer}" for answer, _, _ in answers)]
            return quoted(self.book.words("\n\n".join(filter(None, said)), self.page, self.settings, links=True))
        if piece.kind == "raw":  # a page to touch, in a frame
            title = re.search(r'<iframe [^>]*title="([^"]+)"', piece.body)
            return quoted(f"In the built book a page to touch stands here: *{title[1]}*.") if title else ""
        if piece.is_answer:
            return quoted("**What happened?** Write down your diagnosis before you look into the book.")
        if piece.kind in ("admonition", "dropdown", "note", "tip", "warning", "important"):
            inside = [self.rendered(p) for p in pieces(piece.body)]
            title = self.book.words(piece.title, self.page)
            return quoted("\n\n".join(filter(None, [f"**{title}**" if title else "", *inside])))
        raise ValueError(
            f"{self.page}: nobody has said how directive {piece.kind!r} looks in plain Jupyter; say it in "
            "book/student.py, Copyist.rendered"
        )

    def _answer(self, name: str, piece: Piece) -> Cell:
        label = piece.options.get("label", "")
        call = "\n".join(f"# {line}" for line in check_call(piece.body, label).splitlines())
        start = "" if self.imports_check else "from astraclr.tutorial.checks import check\n\n"
        source = f"{start}# Your answer to exercise {self.exercises}.\n\n\n{call}"
        return new_code_cell(source, id=name, metadata={"tags": ["answer"]})


def _code(cell: Cell, source: str) -> Cell:
    tags = tags_of(cell)
    metadata = {"tags": ["parameters"]} if "parameters" in tags else {}
    folded = {"jupyter": {"source_hidden": True}} if tags & {HIDDEN, "remove-input", "hide-input"} else {}
    return new_code_cell(source, id=cell["id"], metadata=metadata | folded)


def make_copies(book: References, folder: Path) -> list[Path]:
    """Write the copy of every notebook into an emptied folder, and all of them into a zip file beside it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for page in book.notebooks():
        nbformat.write(Copyist(book, page).copy(), folder / f"{page}.ipynb")
    pages = "\n".join(f"- [{book.titles[page]}]({page}.ipynb)" for page in book.notebooks())
    (folder / "README.md").write_text(README.format(title=next(iter(book.titles.values())), pages=pages))
    files = sorted(folder.iterdir())
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(zipfile.ZipInfo(f"{folder.name}/{file.name}"), file.read_text(), zipfile.ZIP_DEFLATED)
    return files


def main() -> int:
    folder = ROOT / "_build" / "student"
    files = make_copies(References(BOOK), folder)
    there = folder.relative_to(ROOT)
    print(f"{len(files) - 1} notebooks without solutions: {there}/, and all of them in {there}.zip")
    return 0


if __name__ == "__main__":
    sys.exit(main())
