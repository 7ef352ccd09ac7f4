"""The whole book as an EPUB, for readers of electronic books.

Usage: python book/epub.py          (after `make book`; `make epub` calls it)

Every page of _build/html becomes a chapter of _build/book.epub, with its pictures, and its formulas as MathML, which a
headless Chromium takes from MathJax. Pages to touch are left out: readers of books run no programs.
"""

from __future__ import annotations

import html
import posixpath
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from bs4 import Tag
from notebooks import BOOK, ROOT, toc_pages
from printing import BROWSERS, article_of, executable, heading, place

from astraclr.files import replacing

MINUTES = 10
NAME = "urn:astra-clr:book"
CSS = """body { margin: 1em; line-height: 1.4; } img { max-width: 100%; }
pre { white-space: pre-wrap; font-size: 0.8em; }
table { border-collapse: collapse; font-size: 0.8em; } th, td { padding: 0.1em 0.5em; text-align: right; }
figcaption { font-size: 0.9em; }"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><meta charset="utf-8"/><title>{title}</title><link rel="stylesheet" href="book.css" type="text/css"/></head>
<body>{body}</body></html>"""
PACKAGE = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">{name}</dc:identifier>
<dc:title>{title}</dc:title><dc:language>en</dc:language><dc:rights>CC BY 4.0</dc:rights>
<meta property="dcterms:modified">1980-01-01T00:00:00Z</meta></metadata>
<manifest>{items}</manifest><spine>{spine}</spine></package>"""
LEFT_OUT = "mjx-container, style, figure.touch, input, textarea, button, .finished, .prediction, .forget, svg, link"


def with_mathml(page: Path) -> str:
    """HTML of a built page after MathJax has set its formulas. Raises RuntimeError where it fails."""
    browser = executable()
    if browser is None:
        raise RuntimeError(f"no browser ({', '.join(BROWSERS)}): formulas cannot be set without one")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={folder}", "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=60000"]
        command += ["--dump-dom", page.resolve().as_uri()]
        run = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60 * MINUTES)
    if "<article" not in run.stdout:
        raise RuntimeError(f"{Path(browser).name} gave no page (status {run.returncode}):\n{run.stderr[-1000:]}")
    return run.stdout


def chapter(text: str, page: str, pages: list[str]) -> Tag:
    """Article of a page for the EPUB: formulas as MathML, links renamed, nothing that needs a program."""
    article = article_of(text, page, pages)
    for formula in article.select("mjx-container"):
        if (math := formula.select_one("mjx-assistive-mml math")) is not None:
            math["xmlns"] = "http://www.w3.org/1998/Math/MathML"
            formula.replace_with(math)
    for cut in article.select(LEFT_OUT):
        cut.decompose()
    for picture in article.select("picture"):
        for source in picture.select("source"):
            source.decompose()
        picture.unwrap()
    names = {place(p): p for p in pages}
    for tag in article.find_all(True):
        for attribute in [
            a for a in tag.attrs if a not in KEPT and tag.find_parent("math") is None and tag.name != "math"
        ]:
            del tag[attribute]
        target = str(tag.get("href", ""))
        if tag.name == "a" and target.startswith("#"):
            there = target[1:].split("--")[0]
            tag["href"] = f"{there}.xhtml{target}" if there in names else target
        elif tag.name == "a" and target and "://" not in target:  # a file beside the pages: not in the book
            del tag["href"]
    return article


KEPT = {"id", "href", "src", "alt", "class", "colspan", "rowspan", "start", "title", "lang"}
"""Attributes that stay; the others serve scripts and styles of the pages."""


def xhtml(article: Tag, title: str) -> bytes:
    """One page of the EPUB. Raises RuntimeError where it is not well formed."""
    text = PAGE.format(title=html.escape(title), body=str(article))
    try:
        ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        line = text.splitlines()[error.position[0] - 1]
        raise RuntimeError(f"page {title!r} is not well formed: {error}: {line[:200]}") from error
    return text.encode()


def write(folder: Path, pages: list[str], texts: dict[str, str], target: Path) -> int:
    """Write the EPUB of pages; equal pages give equal bytes. Return the number of pictures.

    Parameters
    ----------
    folder : the built pages, which the pictures are read from
    texts : HTML of each page, formulas set
    """
    files: dict[str, bytes] = {"book.css": CSS.encode()}
    pictures: dict[str, bytes] = {}
    contents, items, spine = [], [], []
    for page in pages:
        article = chapter(texts[page], page, pages)
        for image in article.select("img"):
            source = folder / str(image.get("src", ""))
            if not source.is_file():
                image.decompose()
                continue
            image["src"] = inside = f"images/{source.name}"
            pictures[inside] = source.read_bytes()
        name, title = f"{place(page)}.xhtml", heading(article).rstrip("#").strip()
        files[name] = xhtml(article, title)
        contents.append(f'<li><a href="{name}">{html.escape(title)}</a></li>')
        spine.append(f'<itemref idref="{place(page)}"/>')
        kind = ' properties="mathml"' if b"<math" in files[name] else ""
        items.append(f'<item id="{place(page)}" href="{name}" media-type="application/xhtml+xml"{kind}/>')
    nav = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{"".join(contents)}</ol></nav>'
    files["nav.xhtml"] = PAGE.format(title="Contents", body=nav).encode()
    items.append('<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>')
    items.append('<item id="css" href="book.css" media-type="text/css"/>')
    kinds = {".png": "image/png", ".svg": "image/svg+xml", ".jpg": "image/jpeg"}
    for k, name in enumerate(pictures):
        items.append(f'<item id="i{k}" href="{name}" media-type="{kinds[posixpath.splitext(name)[1]]}"/>')
    title = html.escape(heading(article_of(texts[pages[0]], pages[0], pages)).rstrip("#").strip())
    files["package.opf"] = PACKAGE.format(name=NAME, title=title, items="".join(items), spine="".join(spine)).encode()
    with replacing(target) as part, zipfile.ZipFile(part, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)  # first, not packed
        archive.writestr(zipfile.ZipInfo("META-INF/container.xml"), CONTAINER, zipfile.ZIP_DEFLATED)
        for name, content in {**files, **pictures}.items():
            archive.writestr(zipfile.ZipInfo(f"book/{name}"), content, zipfile.ZIP_DEFLATED)
    return len(pictures)


def main() -> int:
    """Write _build/book.epub."""
    folder, pages, target = ROOT / "_build" / "html", toc_pages(BOOK), ROOT / "_build" / "book.epub"
    try:
        missing = [page for page in pages if not (folder / f"{page}.html").is_file()]
        if missing:
            raise RuntimeError(f"{missing[0]}.html is not in {folder}: run `make book` first")
        texts = {}
        for page in pages:
            text = (folder / f"{page}.html").read_text(encoding="utf-8")
            texts[page] = with_mathml(folder / f"{page}.html") if 'class="math' in text else text
        n = write(folder, pages, texts, target)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"The EPUB was not written: {error}", file=sys.stderr)
        return 1
    print(f"For readers of electronic books: {target.relative_to(ROOT)}, {len(pages)} pages, {n} pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main())
