"""The prose of the chapters outside Sphinx: cut into pieces, its roles turned into words.

Student copies (book/student.py) and slides (book/slides.py) are generated from the chapters, and neither is read by a
program that knows MyST's directives and roles.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build import page_source, toc_pages
from pybtex.database import Person, parse_file  # comes with jupyter-book

UNKNOWN = "…"
"""Stands where a number of a run would be, when there was no run."""
_FENCE = re.compile(r"(`{3,}|:{3,})(?:\{([\w:-]+)\})?\s*(.*?)\s*")
_OPTION = re.compile(r":([\w-]+):\s*(.*?)\s*")
_HEADING = re.compile(r"(#+) +(.*?)\s*")
_ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")
_NAMED = re.compile(r"(.+?)\s*<([^<>]+)>", flags=re.DOTALL)


@dataclass(frozen=True)
class Piece:
    """A paragraph, list, heading, code block or directive.

    Attributes
    ----------
    kind : "text", "heading", "code", or the name of a directive
    title : heading, language of the code, or argument of the directive
    body : what it holds, without the lines that open and close it
    options : of a directive, such as label and class
    level : of a heading
    """

    kind: str
    body: str = ""
    title: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    level: int = 0

    @property
    def is_quiz(self) -> bool:
        return self.kind == "admonition" and self.options.get("class") == "quiz"

    @property
    def is_answer(self) -> bool:
        """Whether it tells what a planted fault was."""
        return self.kind == "admonition" and self.title.startswith("What happened")


def source_of(cell: Mapping[str, Any]) -> str:
    """Text of a cell, which files hold as lines."""
    return "".join(cell["source"])


def tags_of(cell: Mapping[str, Any]) -> set[str]:
    return set(cell["metadata"].get("tags", []))


def read_notebook(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def pieces(text: str) -> Iterator[Piece]:
    """Cut the Markdown of a cell into pieces, in order."""
    lines, paragraph = text.splitlines(), []
    at = 0
    while at < len(lines):
        line = lines[at]
        fence, heading, formula = _FENCE.fullmatch(line), _HEADING.fullmatch(line), line.startswith("$$")
        opens = fence is not None and (fence[2] is not None or fence[1][0] == "`")
        if (opens or heading or formula or not line.strip()) and paragraph:
            yield Piece("text", "\n".join(paragraph))
            paragraph = []
        if opens and fence is not None:
            closing = re.compile(f"{fence[1][0]}{{{len(fence[1])},}}\\s*")
            end = next((n for n in range(at + 1, len(lines)) if closing.fullmatch(lines[n])), len(lines))
            yield _directive(fence, lines[at + 1 : end])
            at = end
        elif formula:
            end = next((n for n in range(at, len(lines)) if lines[n][2 * (n == at) :].rstrip().endswith("$$")), at)
            yield Piece("math", "\n".join(lines[at : end + 1]).strip().strip("$").strip())
            at = end
        elif heading:
            yield Piece("heading", title=heading[2], level=len(heading[1]))
        elif line.strip():
            paragraph.append(line)
        at += 1
    if paragraph:
        yield Piece("text", "\n".join(paragraph))


def _directive(fence: re.Match[str], inside: list[str]) -> Piece:
    if fence[2] is None or fence[2] == "code-block":
        return Piece("code", "\n".join(inside), fence[3])
    options = {}
    while inside and (option := _OPTION.fullmatch(inside[0])):
        options[option[1]] = option[2]
        inside = inside[1:]
    return Piece(fence[2], "\n".join(inside).strip("\n"), fence[3], options)


def markdown_pieces(notebook: Mapping[str, Any]) -> Iterator[Piece]:
    """Pieces of all Markdown cells of a notebook."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield from pieces(source_of(cell))


def quiz(piece: Piece) -> tuple[str, str, list[tuple[str, bool, str]]]:
    """Title of a quiz, its question, and its answers: what each says, whether it is right, and why."""
    inside = list(pieces(piece.body))
    answers = [
        (p.title, p.options.get("class-container") == "quiz-right", p.body) for p in inside if p.kind == "dropdown"
    ]
    question = "\n\n".join(p.body for p in inside if p.kind in ("text", "math"))
    return piece.title.removeprefix("Quiz:").strip(), question, answers


def lead(text: str) -> tuple[str, str]:
    """The words in bold with which a text begins, and the rest; no words where it begins otherwise."""
    found = re.match(r"\*\*(.+?)\*\*\s*", text, flags=re.DOTALL)
    return (found[1].rstrip("."), text[found.end() :]) if found else ("", text)


def glued(notebook: Mapping[str, Any]) -> dict[str, Any]:
    """Values that an executed notebook glued, by name."""
    found = {}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = output.get("data", {}).get("application/papermill.record/text/plain")
            if name and text is not None:
                found[name] = _value("".join(text))
    return found


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


class Book:
    """What the pages of the book call each other, to put words where Sphinx would put links.

    Parameters
    ----------
    folder : the folder of `_toc.yml`
    """

    def __init__(self, folder: Path):
        self.folder, self.titles, self.labels = folder, {}, {}
        entries = parse_file(str(folder / "references.bib")).entries
        self.cited = {
            key: _short(entry.persons.get("author", []), entry.fields.get("year", "n.d."))
            for key, entry in entries.items()
        }
        for page in toc_pages(folder):
            file = page_source(folder, page)
            notebook = file.suffix == ".ipynb"
            found = list(markdown_pieces(read_notebook(file)) if notebook else pieces(file.read_text()))
            self.titles[page] = next((p.title for p in found if p.kind == "heading"), page)
            self._number(page, found, file)

    def notebooks(self) -> list[str]:
        """Names of the pages that are notebooks, in reading order."""
        return [page for page in self.titles if page_source(self.folder, page).suffix == ".ipynb"]

    def _number(self, page: str, found: list[Piece], file: Path) -> None:
        cells = read_notebook(file)["cells"] if file.suffix == ".ipynb" else []
        figures = [c["metadata"].get("mystnb", {}).get("figure", {}).get("name") for c in cells]
        named = {
            "Figure": [f for f in figures if f],
            "equation": [p.options["label"] for p in found if p.kind == "math" and "label" in p.options],
            "exercise": [p.options.get("label", "") for p in found if p.kind == "exercise"],
        }
        for word, labels in named.items():
            self.labels |= {label: (page, word, number) for number, label in enumerate(labels, start=1)}

    def words(self, text: str, page: str, values: Mapping[str, Any] | None = None, links: bool = False) -> str:
        """Text with every role replaced by words.

        Parameters
        ----------
        page : on which the text stands
        values : what was glued; a number that is not among them becomes UNKNOWN
        links : whether a page that is a notebook becomes a link to it
        """

        def word(match: re.Match[str]) -> str:
            role, content = match[1], match[2]
            if role == "glue:text":
                return self._glue(content, values or {})
            if role.startswith("cite"):
                keys = [self.cited.get(key.strip(), key.strip()) for key in content.split(",")]
                return (
                    "; ".join("{} ({})".format(*k) for k in keys)
                    if role == "cite:t"
                    else ("(" + "; ".join("{} {}".format(*k) for k in keys) + ")")
                )
            named = _NAMED.fullmatch(content)
            said, target = (named[1], named[2]) if named else ("", content)
            if role == "doc":
                return self._page(said, target.strip("/"), links)
            if role in ("numref", "eq", "ref"):
                return said or self._label(target, page)
            return said or target

        return _ROLE.sub(word, text)

    @staticmethod
    def _glue(content: str, values: Mapping[str, Any]) -> str:
        name, _, form = content.partition(":")
        if name not in values:
            return UNKNOWN
        try:
            return format(values[name], form)
        except (ValueError, TypeError):
            return str(values[name])

    def _page(self, said: str, target: str, links: bool) -> str:
        title = said or f"*{self.titles.get(target, target)}*"
        linked = links and target in self.titles and page_source(self.folder, target).suffix == ".ipynb"
        return f"[{title}]({target}.ipynb)" if linked else title

    def _label(self, label: str, page: str) -> str:
        if label not in self.labels:
            return label
        where, word, number = self.labels[label]
        said = f"{word} {number}"
        return said if where == page else f"{said} of *{self.titles[where]}*"


def _short(authors: list[Person], year: str) -> tuple[str, str]:
    """Names of authors as they are cited in a text, and the year."""
    names = [" ".join(map(str, [*a.rich_prelast_names, *a.rich_last_names])) for a in authors]
    others = len(names) > 2 or "others" in names[1:]
    return (f"{names[0]} et al." if others else " and ".join(names)) if names else "unnamed", year
