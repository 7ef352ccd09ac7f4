"""Each section of a chapter holds its own code: no heading has lost its cells to the next one."""

import re
from pathlib import Path

import pytest
from notebooks import BOOK, Notebook, read_notebook

CHAPTERS = sorted(BOOK.glob("[01][0-9]_*.ipynb"))
WORDS_ONLY = re.compile(
    r"The question|Check yourself|Exercises|Summary|Further reading|Remedies"  # of every chapter
    r"|Running on a SLURM cluster"  # a script, and what it does
)
"""Headings of sections that need no code."""
HEADING = re.compile(r"^(#{2,3}) (.+)$", flags=re.MULTILINE)
FENCED = re.compile(r"^(`{3,}|:{3,}).*?^\1\s*$", flags=re.DOTALL | re.MULTILINE)


def sections(notebook: Notebook) -> list[tuple[str, str, int]]:
    """Heading, words and number of cells of code of each section, down to headings of the third level."""
    found: list[list] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            if found:
                found[-1][2] += 1
            continue
        text = FENCED.sub(lambda block: block[0].replace("\n#", "\n "), cell["source"])
        pieces = HEADING.split(text)
        if found:
            found[-1][1] += pieces[0]
        found += [[title, words, 0] for title, words in zip(pieces[2::3], pieces[3::3], strict=True)]
    return [tuple(section) for section in found]


def announced(words: str) -> bool:
    """Whether the words lead to code: a prediction, or a last sentence that ends in a colon."""
    return "Predict before you run" in words or bool(re.search(r"[^:]:\s*$", words))


@pytest.mark.parametrize("page", [*CHAPTERS, BOOK / "lab_bias.ipynb"], ids=lambda f: f.stem)
def test_each_heading_is_followed_by_its_own_cells(page: Path):
    lost = [
        title
        for title, words, code in sections(read_notebook(page))
        if not code and (announced(words) or not WORDS_ONLY.fullmatch(title))
    ]
    assert not lost, f"{page.stem}: these sections hold no code"


def test_a_section_without_its_cells_is_found():
    cells = [
        {"cell_type": "markdown", "source": "## Stars\n\nWords.\n\n## Maps\n\nDraw:"},
        {"cell_type": "code", "source": "draw()"},
        {"cell_type": "markdown", "source": "Done.\n\n```text\n## no heading\n```\n\n### Last"},
    ]
    assert [(title, code) for title, _, code in sections({"cells": cells})] == [("Stars", 0), ("Maps", 1), ("Last", 0)]
    assert announced("Draw:") and not announced("Words.")
