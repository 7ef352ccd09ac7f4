"""The EPUB opens as one: mimetype first, every file in its manifest, every page well formed, pictures inside."""

import re
import zipfile
from xml.etree import ElementTree

import epub
import pytest

ONE = """<article class="bd-article"><section id="one"><h1>One &amp; first<a class="headerlink" href="#one">#</a></h1>
<p>A <a class="reference internal" href="part/two.html#there" data-x="1">link</a>, <a href="notes.zip">a file</a>,
<a href="https://example.org/a?b=1&amp;c=2">out</a><br>
<mjx-container><mjx-math>drawn</mjx-math><mjx-assistive-mml><math><mi>x</mi></math></mjx-assistive-mml></mjx-container>
</p>
<figure><img class="light-version" src="_images/a.png" alt="A">
<img class="dark-version" src="_images/a.dark.png" alt="A">
</figure>
<iframe src="x.html"></iframe><input type="checkbox"></section></article>"""
TWO = """<article class="bd-article"><section id="two"><h1>Two</h1><p id="there">There.
<img src="gone.png" alt=""></p></section></article>"""


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_images").mkdir()
    (tmp_path / "_images" / "a.png").write_bytes(b"picture")
    assert epub.write(tmp_path, ["one", "part/two"], {"one": ONE, "part/two": TWO}, tmp_path / "book.epub") == 1
    with zipfile.ZipFile(tmp_path / "book.epub") as archive:
        assert archive.testzip() is None
        yield archive


def test_the_container_is_that_of_an_epub(book):
    first = book.infolist()[0]
    assert first.filename == "mimetype" and first.compress_type == zipfile.ZIP_STORED
    assert book.read("mimetype") == b"application/epub+zip"
    package = ElementTree.fromstring(book.read("book/package.opf"))
    items = package.findall(".//{*}item")
    listed = {f"book/{item.get('href')}" for item in items}
    assert listed | {"mimetype", "META-INF/container.xml", "book/package.opf"} == set(book.namelist())
    ids = [item.get("id") for item in items]
    assert len(set(ids)) == len(ids) and {r.get("idref") for r in package.findall(".//{*}itemref")} <= set(ids)
    assert package.findtext(".//{*}title") == "One & first"


def test_pages_are_well_formed_and_links_lead_to_places_in_the_book(book):
    pages = {n: book.read(n).decode() for n in book.namelist() if n.endswith(".xhtml")}
    for text in pages.values():
        ElementTree.fromstring(text.encode())
    one = pages["book/one.xhtml"]
    assert 'href="part-two.xhtml#part-two--there"' in one and 'id="part-two--there"' in pages["book/part-two.xhtml"]
    assert "notes.zip" not in one and "https://example.org/a?b=1&amp;c=2" in one
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>' in one
    assert not re.search("mjx-|iframe|input|dark|data-x|headerlink", one)
    assert 'src="images/a.png"' in one and "gone.png" not in pages["book/part-two.xhtml"]
    assert 'href="one.xhtml"' in pages["book/nav.xhtml"]


def test_without_pages_one_line_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(epub, "ROOT", tmp_path)
    assert epub.main() == 1 and "run `make book` first" in capsys.readouterr().err
