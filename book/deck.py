"""Turn an executed chapter into slides: what of it is shown, and how much of it fits on one.

book/slides.py says how a chapter can steer this, and makes pages of the slides.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from myst import Piece, lead, markdown_pieces, pieces, quiz
from notebooks import HIDDEN, Cell, Notebook, figure_of, glued_by, tags_of
from references import References

LINES, COLUMNS = 13, 84
"""What a slide holds: lines of text, characters in each. The page itself shrinks a slide that holds a little more."""
LINES_ABOVE_FIGURE = 4.5
TABLE_ROWS, OUTPUT_LINES, OUTPUT_COLUMNS = 16, 14, 120
"""Larger outputs stay in the chapter."""
GOALS = "What you will be able to do"
_SENTENCE = re.compile(r"(?<=[.?!])((?:\*\*|[*\"”)])?)\s+(?=[A-Z*`\"“$(])")
_ITEM = re.compile(r"^(?:[-*]|\d+\.) +", flags=re.MULTILINE)


@dataclass
class Slide:
    """A title, and what stands below it as HTML; `kind` names its look, `lines` how full it is."""

    title: str
    kind: str = "text"
    parts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lines: float = 0.0


def sentences(text: str) -> list[str]:
    """Sentences of a paragraph; words in bold stay together."""
    parts, start = [], 0
    for found in _SENTENCE.finditer(text):
        piece = text[start : found.end(1)]
        if piece.count("**") % 2 == 0 and piece.count("$") % 2 == 0 and piece.count("`") % 2 == 0:
            parts.append(piece.strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def key_sentences(text: str) -> list[str]:
    """The first sentence of a paragraph, and the first with words in bold; of a list the same of each item."""
    if _ITEM.match(text):
        items = [" ".join(item.split()) for item in _ITEM.split(text) if item.strip()]
        return [" ".join(sentences(item)[: 2 if item.startswith("**") else 1]).rstrip(";") for item in items]
    said = sentences(" ".join(text.split()))
    chosen = [said[0], *[s for s in said[1:] if "**" in s][:1]]
    return [s for s in dict.fromkeys(chosen) if len(s) > 25 and not s.endswith(":")]


class Deck:
    """The slides of one chapter.

    Parameters
    ----------
    book : what pages call each other
    page : name of the chapter
    notebook : the chapter, executed; without outputs the deck has no figures, and an ellipsis for each number
    """

    def __init__(self, book: References, page: str, notebook: Notebook):
        self.book, self.page, self.notebook = book, page, notebook
        self.values = {name: value for cell in notebook["cells"] for name, value in glued_by(cell).items()}
        self.slides: list[Slide] = []
        self.section, self.figures = "", 0
        self._markdown = (
            MarkdownIt("commonmark", {"html": False}).enable("table").use(dollarmath_plugin, renderer=_mathematics)
        )
        faulty, heading = set(), ""
        for piece in markdown_pieces(notebook):
            heading = piece.title if piece.kind == "heading" else heading
            if piece.kind == "admonition" and piece.title == "Diagnose" or heading == "Find the planted fault":
                faulty.add(heading)
        self._faulty = faulty

    def made(self) -> list[Slide]:
        """All slides, in order."""
        for cell in self.notebook["cells"]:
            way = cell["metadata"].get("slideshow", {}).get("slide_type", "")
            if way == "skip":
                continue
            if cell["cell_type"] == "markdown":
                self._prose(cell, way)
            elif cell["cell_type"] == "code" and HIDDEN not in tags_of(cell):
                self._code(cell, way)
        return [s for s in self.slides if s.parts]

    # What becomes of a cell

    def _prose(self, cell: Cell, way: str) -> None:
        found = list(pieces(cell["source"]))
        if way == "notes" and self.slides:
            self.slides[-1].notes += [self._html(p.body) for p in found]
        elif way in ("slide", "subslide", "fragment"):
            if way != "fragment":
                self._start(self.section)
            for piece in found:
                self._heading(piece) if piece.kind == "heading" else self._add(self._html(piece.body), piece.body)
        else:
            for piece in found:
                self._piece(piece)

    def _piece(self, piece: Piece) -> None:
        if piece.kind == "heading":
            self._heading(piece)
        elif piece.kind == "text":
            self._text(piece.body)
        elif piece.kind == "math":
            self._add(f"<div class='math'>\\[{html.escape(piece.body)}\\]</div>", lines=3)
        elif piece.kind == "exercise":
            self._exercise(piece)
        elif piece.is_quiz:
            self._quiz(piece)
        elif piece.is_answer:
            self._paragraphs("What happened", "answer", piece.body)
        elif piece.kind == "admonition" and piece.options.get("class") == "important":  # predict, diagnose
            self._paragraphs(self._words(piece.title), "ask", piece.body)
            self._start(self.section)

    def _heading(self, piece: Piece) -> None:
        self.section = self._words(piece.title)
        self._start(self.section, "title" if piece.level == 1 else "text")
        if piece.level == 1:
            number = f"Chapter {int(self.page[:2])} of " if self.page[:2].isdigit() else ""
            self._add(
                f"<p>{number}{html.escape(next(iter(self.book.titles.values())))}</p><p class='small'>Arrow keys "
                "turn the pages, n shows notes, f fills the screen. Text CC BY 4.0.</p>",
                lines=0,
            )

    def _text(self, text: str) -> None:
        if self.section == "Further reading":
            return
        if self.section == "The question":
            self._add(self._html(text), text)
        elif text.strip("* \n") == GOALS:
            self._start(GOALS)
        elif lead(text)[0] in ("What you need", "How long") or text.startswith("**What you need"):
            self.slides[-1].notes.append(self._html(text))
        else:
            whole = [item for item in _ITEM.split(text) if item.strip()] if self.section == "Summary" else None
            for sentence in whole or key_sentences(text):
                self._add(f"<li>{self.inline(sentence)}</li>", sentence)

    def _paragraphs(self, title: str, kind: str, text: str) -> None:
        self._start(title, kind)
        for paragraph in re.split(r"\n\s*\n", text):
            self._add(self._html(paragraph), paragraph)

    def _exercise(self, piece: Piece) -> None:
        title, rest = lead(piece.body)
        first = sentences(" ".join(rest.split()))[0]
        if self.slides[-1].kind != "exercises":
            self._start("Exercises", "exercises")
        stop = "" if title.endswith(("?", "!")) else "."
        named = f"<strong>{self.inline(title)}{stop}</strong> " if title else ""
        self._add(f"<li>{named}{self.inline(first)}</li>", title + first)

    def _quiz(self, piece: Piece) -> None:
        title, question, answers = quiz(piece)
        asked = told = ""
        for answer, right, why in answers:
            said = self.inline(answer)
            asked += f"<li>{said}</li>"
            told += (
                f"<li class='right'>{said}<div class='why'>{self._html(why)}</div></li>"
                if right
                else (f"<li class='wrong'>{said}</li>")
            )
        for kind, rows in (("ask", asked), ("answer", told)):
            self._start(f"Check yourself: {self._words(title)}", kind)
            self._add(f"<div class='question'>{self._html(question)}</div><ol type='A'>{rows}</ol>", lines=0)

    def _code(self, cell: Cell, way: str) -> None:
        if self.section in self._faulty or way in ("slide", "subslide", "fragment"):
            source = cell["source"]
            if way in ("slide", "subslide"):
                self._start(self.section)
            if not tags_of(cell) & {"remove-input", "hide-input"}:
                lines = source.count("\n") + 1
                self._add(f"<pre class='code'>{html.escape(source)}</pre>", lines=0.75 * lines)
        if way == "notes" or "remove-output" in tags_of(cell):
            return
        said = [o for o in cell.get("outputs", []) if o.get("name") != "stderr"]
        for output in said:
            if output.get("name") != "stdout":
                self._output(output, cell)
        self._printed("".join(o["text"] for o in said if o.get("name") == "stdout").strip("\n"))

    def _output(self, output: Mapping[str, Any], cell: Cell) -> None:
        data = output.get("data", {})
        if "image/png" in data:
            self._figure(data["image/png"], cell)
        elif "text/html" in data:
            table = re.sub(r"<style.*?</style>", "", data["text/html"], flags=re.DOTALL)
            rows = table.count("<tr")
            if rows and rows <= TABLE_ROWS:
                table = re.sub(r"\s(?:id|class|style|border)=(?:\"[^\"]*\"|'[^']*')", "", table)
                self._add(f"<div class='table'>{table}</div>", lines=0.9 * rows)

    def _printed(self, text: str) -> None:
        lines = text.splitlines()
        if lines and len(lines) <= OUTPUT_LINES and max(map(len, lines)) <= OUTPUT_COLUMNS:
            self._add(f"<pre>{html.escape(text)}</pre>", lines=0.75 * len(lines) + 0.5)

    def _figure(self, image: str, cell: Cell) -> None:
        figure, alt = figure_of(cell), cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        if self.slides[-1].kind != "text" or self.slides[-1].lines > LINES_ABOVE_FIGURE:
            self._start(self.section)
        self.slides[-1].kind = "figure"
        source = f"data:image/png;base64,{''.join(image.split())}"
        self._add(f"<img src='{source}' alt='{html.escape(alt, quote=True)}'>", lines=0)
        if "caption" in figure:
            self.figures += bool(figure.get("name"))
            number = f"Figure {self.figures}. " if figure.get("name") else ""
            self._add(f"<p class='caption'>{number}{self.inline(figure['caption'])}</p>", lines=0)
        self._start(self.section)

    # How it is put on slides

    def _start(self, title: str, kind: str = "text") -> None:
        if self.slides and not self.slides[-1].parts:
            self.slides.pop()
        self.slides.append(Slide(title, kind))

    def _add(self, part: str, text: str = "", lines: float | None = None) -> None:
        """Put HTML on the last slide, or on one more of its kind if that one is full."""
        if not part.strip():
            return
        if lines is None:
            items = _ITEM.split(self._words(text)) if _ITEM.match(text) else [self._words(text)]
            lines = sum(0.4 + -(-len(item.strip()) // COLUMNS) for item in items if item.strip())
        slide = self.slides[-1]
        room = LINES + 5 * (self.section == "Summary")  # on one slide, in smaller letters if need be
        if slide.parts and lines and slide.lines + lines > room:
            self._start(slide.title, slide.kind)
            slide = self.slides[-1]
        slide.parts.append(part)
        slide.lines += lines

    def _words(self, text: str) -> str:
        return self.book.words(text, self.page, self.values)

    def _html(self, text: str) -> str:
        return self._markdown.render(self._words(text))

    def inline(self, text: str) -> str:
        return self._markdown.renderInline(self._words(text))


def _mathematics(content: str, options: Mapping[str, Any]) -> str:
    marks = ("\\[", "\\]") if options["display_mode"] else ("\\(", "\\)")
    return f"{marks[0]}{html.escape(content)}{marks[1]}"
