"""Words and sentences of the chapters: `python book/readability.py` reports, this holds what was reached."""

import pytest
from notebooks import BOOK, page_source, toc_pages
from readability import prose_of, readability, report, syllables

REWRITTEN = ["01_light_curves", "02_views", "03_encoder", "10_scaling_out"]
"""Chapters in plain words; the others join when they are rewritten."""


@pytest.mark.parametrize("page", REWRITTEN)
def test_a_chapter_is_short_and_so_are_its_sentences(page):
    source = page_source(BOOK, page)
    assert 1_800 <= readability(prose_of(source, whole=False)).words <= 3_000
    assert readability(prose_of(source)).sentence <= 15


def test_what_counts_as_prose(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Title\n\nA star is *bright* {cite}`a2020`. It has {glue:text}`x:.2f` mag, see `code.py`:\n\n"
        "```python\nx = 1\n```\n\n| a | table |\n|---|---|\n| 1 | 2 |\n\n"
        ":::{admonition} Note\n:class: tip\nKeep this here.\n:::\n\n"
        "````{exercise}\n:label: ex\nCount the stars now.\n````\n"
    )
    words = " ".join(prose_of(page).split())
    assert words == "A star is bright . It has X mag, see X: Keep this here. Count the stars now."
    assert "Count" not in prose_of(page, whole=False)


def test_the_formula():
    """Ten words and ten syllables in two sentences."""
    found = readability("The cat sat on mats. The dog ran up hills.")
    assert (found.words, found.sentence) == (10, 5)
    assert found.ease == pytest.approx(206.835 - 1.015 * 5 - 84.6)
    assert [syllables(w) for w in ("star", "curve", "observation", "table", "moved")] == [1, 1, 4, 2, 1]


def test_the_report_has_a_line_for_each_page():
    assert len(report(toc_pages(BOOK)).splitlines()) == 1 + len(toc_pages(BOOK))
