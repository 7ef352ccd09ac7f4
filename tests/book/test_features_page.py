"""The table of what the book has: every row has its marks, and names a page, a command or a file that is there."""

import re
from pathlib import Path

import pytest
from notebooks import toc_pages

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "appendix_features.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| |")
]
MARKS = {"+", "~", "."}
SIX = [row for row in ROWS if len(row) == 9]
NONE = [row for row in ROWS if len(row) == 3 and row[1] in MARKS]


def test_all_rows_are_there_with_their_marks():
    assert (len(SIX), len(NONE)) == (15, 17)
    for row in SIX:
        assert all(mark.split()[0] in MARKS for mark in row[1:8]), row[0]


@pytest.mark.parametrize("row", SIX + NONE, ids=lambda row: row[0][:40])
def test_a_row_says_where_to_look(row):
    see = row[-1]
    pages = re.findall(r"\{doc\}`([^`<]+)`", see)
    files = [f for f in re.findall(r"`((?:tests|book|constraints|\.ci)/[\w./]+)`", see)]
    commands = re.findall(r"`((?:make|astraclr|python) [^`]+)`", see)  # they exist: tests/book/test_guides.py
    assert pages or files or commands
    assert set(pages) <= set(toc_pages(ROOT / "book"))
    for file in files:
        assert (ROOT / file).exists(), file


def test_what_is_partly_there_says_what_is_missing():
    for row in SIX + NONE:
        if row[-2] != "+":
            assert len(row[-1].split()) > 12, row[0]


def test_every_page_it_names_exists():
    assert set(re.findall(r"\{doc\}`([^`<]+)`", PAGE)) <= set(toc_pages(ROOT / "book"))
