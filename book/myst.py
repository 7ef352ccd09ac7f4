"""MyST Markdown cut into pieces (paragraphs, headings, directives), by the parser that also reads it for the pages.

Copies for students, slides and the run of all solutions are made of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from markdown_it.renderer import RendererHTML
from markdown_it.tree import SyntaxTreeNode
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

_PARSER = create_md_parser(MdParserConfig(enable_extensions={"colon_fence", "dollarmath"}), RendererHTML)
_DIRECTIVE = re.compile(r"\{([\w:-]+)\}\s*(.*?)\s*")
_OPTION = re.compile(r":([\w-]+):\s*(.*?)\s*")


@dataclass(frozen=True)
class Piece:
    """A paragraph, list, heading, code block or directive.

    Attributes
    ----------
    kind : "text", "heading", "code", "math", or the name of a directive
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
        """Whether it is a question with answers to choose from."""
        return self.kind == "admonition" and self.options.get("class") == "quiz"

    @property
    def is_answer(self) -> bool:
        """Whether it tells what a planted fault was."""
        return self.kind == "admonition" and self.title.startswith("What happened")


def pieces(text: str) -> Iterator[Piece]:
    """Cut the Markdown of a cell or page into pieces, in order."""
    lines = text.splitlines()
    for block in SyntaxTreeNode(_PARSER.parse(text)).children:
        if block.type == "heading":
            yield Piece("heading", title=block.children[0].content, level=int(block.tag[1:]))
        elif block.type in ("fence", "colon_fence"):
            yield _fenced(block.info.strip(), block.content)
        elif block.type in ("math_block", "math_block_label"):
            yield Piece("math", block.content.strip(), options={"label": block.info} if block.info else {})
        elif block.map is not None:
            yield Piece("text", "\n".join(lines[slice(*block.map)]).strip("\n"))


def _fenced(info: str, content: str) -> Piece:
    """A directive, or a block of code."""
    directive = _DIRECTIVE.fullmatch(info)
    if directive is None or directive[1] == "code-block":
        return Piece("code", content.rstrip("\n"), directive[2] if directive else info)
    options, inside = {}, content.splitlines()
    while inside and (option := _OPTION.fullmatch(inside[0])):
        options[option[1]] = option[2]
        inside = inside[1:]
    return Piece(directive[1], "\n".join(inside).strip("\n"), directive[2], options)


def markdown_pieces(notebook: Mapping[str, Any]) -> Iterator[Piece]:
    """Pieces of all Markdown cells of a notebook."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            yield from pieces(cell["source"])


def solutions(notebook: Mapping[str, Any]) -> dict[str, str]:
    """Python code of every solution of a notebook, by the label of its exercise; empty where one has no code."""
    return {
        piece.title: "\n".join(p.body for p in pieces(piece.body) if p.kind == "code" and p.title == "python")
        for piece in markdown_pieces(notebook)
        if piece.kind == "solution"
    }


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
