"""Previews of links: what they show is collected from built pages, and a browser shows it by mouse and by keyboard."""

import shutil

import chromium
import previews
import pytest

GLOSSARY = """<dl class="simple glossary"><dt id="term-band">band<a href="#term-band">#</a></dt>
<dd><p>A colour filter.</p></dd></dl>"""
BIBLIOGRAPHY = """<div class="citation" id="id2" role="doc-biblioentry"><span>[1]</span>
<p>A. Author. A paper.</p></div>"""
CHAPTER = """<!doctype html><html lang="en"><head><title>One</title><link rel="stylesheet" href="_static/astraclr.css">
<script src="_static/previews.js"></script></head><body><article class="bd-article"><p>
<a class="reference internal" href="appendix_glossary.html#term-band">band</a>
<a class="reference internal" href="bibliography.html#id2">Author</a>
<a class="reference internal" href="#fig-one">Fig. 1</a> <a class="reference internal" href="#nowhere">none</a></p>
<figure class="align-default" id="fig-one"><figcaption><p>A figure &lt;b&gt; of one.</p></figcaption></figure>
</article></body></html>"""


@pytest.fixture
def html(tmp_path, root):
    for name, text in (("appendix_glossary", GLOSSARY), ("bibliography", BIBLIOGRAPHY), ("one", CHAPTER)):
        (tmp_path / f"{name}.html").write_text(text)
    (tmp_path / "_static").mkdir()
    for name in ("astraclr.css", "previews.js"):
        shutil.copy(root / "book" / "_static" / name, tmp_path / "_static")
    assert previews.write(tmp_path) == 3
    return tmp_path


def test_words_works_and_figures_are_collected(html):
    assert previews.collect(html) == {
        "appendix_glossary.html#term-band": {"text": "band: A colour filter."},
        "bibliography.html#id2": {"text": "A. Author. A paper."},
        "one.html#fig-one": {"text": "A figure <b> of one."},
    }
    assert previews.shortened("word " * 200).endswith("word …")


@chromium.needs_browser
def test_preview_is_shown_by_keyboard_and_by_mouse(html):
    box = "document.getElementById('link-preview')"
    with chromium.Browser() as browser:
        browser.open(html / "one.html")
        for k, said in enumerate(["band: A colour filter.", "A. Author. A paper.", "A figure <b> of one."]):
            browser.run(f"document.querySelectorAll('a')[{k}].focus()")
            browser.until(f"{box}?.textContent === {said!r} && !{box}.hidden")
            assert browser.run("document.activeElement.getAttribute('aria-describedby')") == "link-preview"
        browser.key("Escape")
        assert browser.run(f"{box}.hidden") and not browser.run("document.querySelector('[aria-describedby]')")
        browser.run("document.querySelectorAll('a')[3].focus()")  # nothing to show
        at = browser.run("(({x, y}) => [x + 5, y + 5])(document.querySelector('a').getBoundingClientRect())")
        browser.mouse("mouseMoved", *at)
        browser.until(f"!{box}.hidden && {box}.textContent.startsWith('band')")
        browser.mouse("mouseMoved", at[0], at[1] + 22)  # onto the box: it stays
        browser.run("new Promise((done) => setTimeout(done, 350))")
        assert not browser.run(f"{box}.hidden")
        browser.mouse("mouseMoved", 900, 800)
        browser.until(f"{box}.hidden")
        assert browser.errors == [] and browser.failures == []
