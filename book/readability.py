"""Report how easily each page of the book reads: words, mean length of a sentence, reading ease.

Usage: python book/readability.py [PAGE ...]

Reading ease is Flesch's formula (Flesch 1948, J. Appl. Psychol. 32, 221): 206.8 - 1.015 words a sentence - 84.6
syllables a word. Above 60 is plain English, below 30 difficult; technical terms lower it. The report decides nothing.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from notebooks import BOOK, page_source, read_notebook, toc_pages

_FENCE = re.compile(r"^(`{3,}).*?^\1\s*$", flags=re.DOTALL | re.MULTILINE)
_WORDS_INSIDE = re.compile(
    r"^(`{3,})\{(?:exercise|solution|admonition|dropdown|glossary|note|tip)\}[^\n]*\n(.*?)^\1\s*$",
    flags=re.DOTALL | re.MULTILINE,
)
_EXERCISE = re.compile(r"^(`{3,})\{(?:exercise|solution)\}.*?^\1\s*$", flags=re.DOTALL | re.MULTILINE)
_QUIZ = re.compile(r"^::::+\{admonition\} Quiz:.*?^::::+\s*$", flags=re.DOTALL | re.MULTILINE)
_ROLE = re.compile(r"\{[a-z:]+\}`[^`]*`")
_LINE = re.compile(r"^\s*(:[\w-]+:.*|:{3,}.*|\||%|#{1,6} |\+\+\+).*$", flags=re.MULTILINE)
_MATHS = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", flags=re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=[.?!:])[\"')*]*\s+(?=[\"'(*]*[A-Z0-9])|\n\s*\n|\n\s*(?:[-*]|\d+\.) ")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")


@dataclass(frozen=True)
class Readability:
    """What is measured of a text: its words, and their means."""

    words: int
    sentence: float
    """Words of a sentence."""
    ease: float
    """Flesch's reading ease."""


def prose_of(source: Path, whole: bool = True) -> str:
    """Sentences of a page, without code, mathematics, tables, headings and directives.

    Parameters
    ----------
    source : a notebook or a page in Markdown
    whole : whether quizzes and exercises count
    """
    if source.suffix == ".ipynb":
        cells = read_notebook(source)["cells"]
        text = "\n\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    else:
        text = source.read_text()
    if not whole:
        text = _EXERCISE.sub("", _QUIZ.sub("", text))
    text = _WORDS_INSIDE.sub(r"\2", text)
    text = _MATHS.sub("X", _FENCE.sub("", text))
    text = re.sub(r"\{cite(?::p)?\}`[^`]*`", "", text)
    text = re.sub(r"`[^`]*`", "X", _ROLE.sub("X", text))
    text = re.sub(r"<[^>]+>|\]\([^)]*\)", " ", _LINE.sub("\n", text))
    return re.sub(r"[*\[\]]|^`+\s*$", "", text, flags=re.MULTILINE)


def syllables(word: str) -> int:
    """Syllables of a word, counted as groups of vowels; a silent e at the end does not count."""
    groups = re.findall(r"[aeiouy]+", re.sub(r"(?<=[^aeiouyl])e$|(?<=[^td])ed$", "", word.lower()))
    return max(1, len(groups))


def readability(text: str) -> Readability:
    """Measure a text of sentences. Fragments of fewer than three words count as words, and not as sentences."""
    counted = [len(_WORD.findall(part)) for part in _SENTENCE_END.split(text)]
    sentences = [n for n in counted if n > 2] or [1]
    words = _WORD.findall(text)
    length = sum(sentences) / len(sentences)
    spoken = sum(map(syllables, words)) / max(1, len(words))
    return Readability(len(words), length, 206.835 - 1.015 * length - 84.6 * spoken)


def report(pages: list[str]) -> str:
    """A table of pages. "In sequence" counts the words without quizzes and exercises."""
    lines = [f"{'page':28} {'words':>6} {'in sequence':>12} {'words a sentence':>17} {'reading ease':>13}"]
    for page in pages:
        source = page_source(BOOK, page)
        found, inner = readability(prose_of(source)), readability(prose_of(source, whole=False))
        lines.append(f"{page:28} {found.words:6,} {inner.words:12,} {found.sentence:17.1f} {found.ease:13.0f}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(sys.argv[1:] or toc_pages(BOOK)))
