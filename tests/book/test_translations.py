"""Catalogues of translations: what is there belongs to the page as it is, and an update loses nothing."""

import re

import pytest
import translations
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from notebooks import BOOK, page_source, toc_pages

FILES = sorted(translations.LOCALE.rglob("*.po"))


def words(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parts[-3]}/{f.stem}")
def test_translation_is_that_of_the_page(file):
    page = file.relative_to(translations.LOCALE / file.parts[-3] / "LC_MESSAGES").with_suffix("").as_posix()
    assert page in toc_pages(BOOK)
    text = words(page_source(BOOK, page).read_text(encoding="utf-8"))
    with file.open("rb") as opened:
        messages = [m for m in read_po(opened) if m.id]
    assert messages and all(m.string and not m.fuzzy for m in messages)
    missing = [m.id for m in messages if words(str(m.id)) not in text]
    assert not missing, f"`python book/translations.py update {file.parts[-3]} {page}` after a change of the page"
    for m in messages:  # what is typed stays as it is, but for words in capitals
        typed = [c for c in re.findall(r"`([^`]+)`", str(m.id)) if not re.search(r"\b[A-Z]{3,}\b", c)]
        assert [c for c in typed if f"`{c}`" not in str(m.string)] == []


def template(tmp_path, *sentences: str):
    catalogue = Catalog()
    for sentence in sentences:
        catalogue.add(sentence)
    file = tmp_path / "page.pot"
    with file.open("wb") as opened:
        write_po(opened, catalogue)
    return file


def test_update_keeps_what_is_translated_and_adds_what_is_new(tmp_path):
    po = tmp_path / "de" / "page.po"
    assert translations.update(template(tmp_path, "A star.", "A band."), po, "de") == (2, 0)
    po.write_text(po.read_text().replace('msgid "A star."\nmsgstr ""', 'msgid "A star."\nmsgstr "Ein Stern."'))
    assert translations.update(template(tmp_path, "A star.", "Quite another sentence."), po, "de") == (2, 1)
    assert 'msgstr "Ein Stern."' in po.read_text() and "FULL NAME" not in po.read_text()


def test_language_and_page_must_be_known(monkeypatch, capsys):
    for words_, said in ((["update", "German"], "no code of a language"), (["update", "de", "nowhere"], "no page")):
        monkeypatch.setattr("sys.argv", ["translations.py", *words_])
        with pytest.raises(SystemExit):
            translations.main()
        assert said in capsys.readouterr().err
