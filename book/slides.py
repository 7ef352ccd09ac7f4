"""Make slides from the chapters as they ran: one self-contained HTML file a chapter, offline, to show or to print.

Usage: python book/slides.py [--preset tiny]

A deck has the goals, the question, the sentences that carry each section, every figure with its caption, predictions,
the planted fault (what happened comes one slide later), the quizzes (the right answer comes one slide later), the
exercises without solutions, and the summary. Nothing is typed twice. Where a chapter knows better, it says so in the
metadata of a cell, `"slideshow": {"slide_type": ...}`: "skip" leaves the cell out, "slide" shows all of it on a slide
of its own (the code too, if it is code), "fragment" all of it on the slide before, "notes" in the notes of that slide.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import jinja2
from deck import Deck
from myst import markdown_pieces
from notebooks import BOOK, ROOT, page_source, read_notebook
from references import References

from astraclr.config import PRESETS


def listed(parts: Iterable[str]) -> str:
    """The parts of a slide as HTML, items that follow one another in one list."""
    runs = [(items, "".join(run)) for items, run in groupby(parts, lambda part: part.startswith("<li"))]
    return "".join(f"<ul>{run}</ul>" if items else run for items, run in runs)


def mathjax() -> str:
    """MathJax as one script, from the package that the book takes it from."""
    package = find_spec("sphinx-mathjax-offline")
    file = Path(package.origin).parent / "static/mathjax/tex-svg.js" if package and package.origin else None
    if file is None or not file.is_file():
        raise FileNotFoundError("sphinx-mathjax-offline, which brings MathJax, is not there: `make setup`")
    return file.read_text().replace("</script", "<\\/script")


def as_html(deck: Deck) -> str:
    """The deck as one page that needs no other file."""
    slides = deck.made()
    shown = "".join(part for slide in slides for part in [deck.inline(slide.title), *slide.parts, *slide.notes])
    template = jinja2.Environment(autoescape=True).from_string((BOOK / "slides.html").read_text())
    return template.render(
        title=deck.book.titles[deck.page],
        slides=slides,
        inline=deck.inline,
        body=listed,
        mathjax=mathjax() if "\\(" in shown or "\\[" in shown else "",
    )


def chapters(book: References) -> list[str]:
    """Notebooks that teach: those with exercises."""
    pages = {page: markdown_pieces(read_notebook(page_source(book.folder, page))) for page in book.notebooks()}
    return [page for page, found in pages.items() if any(p.kind == "exercise" for p in found)]


def make_slides(book: References, executed: Path, folder: Path) -> list[Path]:
    """Write a deck for each chapter. Raises FileNotFoundError for a chapter that has not been run."""
    missing = [page for page in chapters(book) if not (executed / f"{page}.ipynb").is_file()]
    if missing:
        raise FileNotFoundError(
            f"slides show what the chapters computed, and {', '.join(missing)} has not been run at "
            f"preset {executed.name}: `make book PRESET={executed.name}` runs them"
        )
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for page in chapters(book):
        files.append(folder / f"{page}.html")
        files[-1].write_text(as_html(Deck(book, page, read_notebook(executed / f"{page}.ipynb"))))
    return files


def main() -> int:
    parser = argparse.ArgumentParser(description="Make slides from the chapters that `make book` has run.")
    parser.add_argument("--preset", default="tiny", choices=list(PRESETS))
    build = ROOT / "_build"
    try:
        files = make_slides(References(BOOK), build / "executed" / parser.parse_args().preset, build / "slides")
    except FileNotFoundError as error:
        print(f"No slides were made: {error}", file=sys.stderr)
        return 1
    print(f"{len(files)} decks: {files[0].parent.relative_to(ROOT)}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
