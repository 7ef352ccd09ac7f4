"""What a citation shows: authors and a year that name one paper."""

from collections import Counter

from notebooks import BOOK
from references import References


def test_no_two_papers_are_cited_by_the_same_words():
    words = Counter(References(BOOK).cited.values())
    assert not [word for word, number in words.items() if number > 1], "add a, b ... to their years in references.bib"
