"""Every link inside the built book leads to a place that is there; the site is small; no page fetches anything."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from built import PAGES

LARGEST = 40e6  # bytes of the site, without MathJax
LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src")}


class Page(HTMLParser):
    """What a page names: its own places, the addresses it links to, the files it loads."""

    def __init__(self, text: str):
        super().__init__()
        self.places, self.links, self.loads = {"", "top"}, [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and not {"stylesheet", "icon", "preload"} & set(values.get("rel", "").split()):
            return  # next, prev, search: links, not files to load
        self.loads += [values[name] for kind, name in LOADED if kind == tag and name in values]


@cache
def parsed(file: Path) -> Page:
    return Page(file.read_text(encoding="utf-8"))


def broken(file: Path, address: str) -> bool:
    """Whether an address on a page of this site leads nowhere. Addresses of other sites are not asked."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False
    target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    if not target.is_file():
        return True
    return target.suffix == ".html" and bool(parts.fragment) and unquote(parts.fragment) not in parsed(target).places


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere_and_files_lie_beside_the_page(html, page):
    file = html / f"{page}.html"
    seen = parsed(file)
    assert not [address for address in seen.links + seen.loads if broken(file, address)]
    elsewhere = [a for a in seen.loads if urlsplit(a).scheme not in ("", "data") or urlsplit(a).netloc]
    assert not elsewhere, "would be fetched from a network"


def test_the_site_is_small_enough(html):
    sizes = {f: f.stat().st_size for f in html.rglob("*") if f.is_file() and "mathjax" not in str(f).lower()}
    assert sum(sizes.values()) < LARGEST, sorted((size, f.name) for f, size in sizes.items())[-10:]


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here">x</a><img src="http://x.org/a.png">')
    a = tmp_path / "a.html"
    good = ["#here", "a.html", "a.html#here", "https://example.org/nowhere", "mailto:x", "#"]
    assert [broken(a, address) for address in good] == [False] * len(good)
    assert all(broken(a, address) for address in ("#there", "b.html", "a.html#there", "../a.html"))
    assert parsed(a).loads == ["http://x.org/a.png"]
