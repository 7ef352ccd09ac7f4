"""Every page, light and dark, by the rules of axe-core: landmarks, headings, names, contrast, keyboard.

axe-core comes from npm (`npm ci` in this folder: package.json names the version). What it says about a page has to be
mended, or stand in THEME with the reason why it cannot be; a line of THEME that nothing needs any more fails too.
"""

import os
import shutil
from pathlib import Path

import pytest
from built import PAGES, ROOT
from chromium import REQUIRED, needs_browser

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
# Rule, part of the selector that axe prints, reason.
THEME: list[tuple[str, str, str]] = []
wanted = bool(os.environ.get(REQUIRED) and shutil.which("npm"))
pytestmark = [
    needs_browser,
    pytest.mark.skipif(
        not (AXE.is_file() or wanted), reason="no axe-core: `npm ci` in tests/book/pages (make check-site)"
    ),
]
# The colours of code are the same on all pages and take the longest: elsewhere its words are put into one colour first.
CODE = "04_pretraining"
ONE_COLOUR = 'for (const code of document.querySelectorAll(".bd-article :is(pre, dt.sig)")) code.textContent += "";'
# Everything unfolded, and colours that do not glide from one theme to the other.
OPEN_ALL = """document.head.append(Object.assign(document.createElement("style"),
  { textContent: "* { transition: none !important; }" }));
for (const d of document.querySelectorAll("details")) d.open = true;
for (const b of document.querySelectorAll(".toggle-hidden > button")) b.click();"""
RUN = """axe.run(document, {options}).then((r) => r.violations.flatMap((v) => v.nodes.map((n) =>
  [v.id, n.target.flat().join(" "), (n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? v.help])))"""
EVERY_RULE = """{ preload: false, resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }"""
CONTRAST = '{ preload: false, resultTypes: ["violations"], runOnly: ["color-contrast"] }'
needed: set[tuple[str, str, str]] = set()


def complaints(browser, options: str) -> list[str]:
    """What axe says of the page as it is now, without what THEME excuses."""
    out = []
    for rule, target, message in browser.run(RUN.replace("{options}", options)):
        excuse = next((line for line in THEME if line[0] == rule and line[1] in target), None)
        if excuse:
            needed.add(excuse)
        else:
            out.append(f"{rule}: {target}: {message}")
    return out


@pytest.fixture(scope="module")
def axe() -> str:
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_page_can_be_read_by_all(browser, html, axe, page):
    browser.dark(False)
    browser.open(html / f"{page}.html")
    browser.run("window.MathJax?.startup?.promise?.then(() => true)")
    browser.run(axe + ";0")
    browser.run(f"{OPEN_ALL};0")
    if page != CODE:
        browser.run(f"{ONE_COLOUR};0")
    light = complaints(browser, EVERY_RULE)
    browser.dark(True)
    browser.until("document.documentElement.dataset.theme === 'dark'")
    dark = complaints(browser, CONTRAST)
    assert not light + dark, "\n".join(light + dark)


def test_map_of_stars_can_be_read_by_all(browser, axe, stars, tmp_path, monkeypatch):
    from astraclr.analysis import explorer as module
    from astraclr.model.checkpoint import load_checkpoint

    monkeypatch.setattr(module, "umap_map", lambda x, seed: x[:, :2])
    file = tmp_path / "explorer.html"
    file.write_text(module.explorer(stars, load_checkpoint("tiny")), encoding="utf-8")
    browser.dark(False)
    browser.open(file)
    browser.until("document.documentElement.dataset.ready")
    browser.run("keep(5)")
    browser.run(axe + ";0")
    browser.run(f"{OPEN_ALL};0")
    light = complaints(browser, EVERY_RULE)
    browser.dark(True)
    browser.until("light(theme.bg) < 0.05")
    dark = complaints(browser, CONTRAST)
    assert not light + dark, "\n".join(light + dark)


TOUCH = sorted(f.stem for f in (ROOT / "book" / "interactive").glob("*.html"))


@pytest.mark.parametrize("page", TOUCH)
def test_page_to_touch_can_be_read_by_all(browser, html, axe, page):
    browser.dark(False)
    browser.open(html / "_static" / "interactive" / f"{page}.html")
    browser.until("document.documentElement.dataset.ready")
    if page == "land":
        browser.run("document.querySelector('#examples button').click()")
        browser.until("document.documentElement.dataset.shown")
    browser.run(axe + ";0")
    light = complaints(browser, EVERY_RULE)
    browser.dark(True)
    browser.until("getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 28)'")
    dark = complaints(browser, CONTRAST)
    assert not light + dark, "\n".join(light + dark)


def test_first_key_leads_past_the_menus(browser, html):
    browser.open(html / "intro.html")
    browser.key("Tab")
    assert "Skip to main content" in browser.run("document.activeElement.textContent")
    browser.until("document.activeElement.getBoundingClientRect().top >= 0")  # it slides into sight


def test_every_excuse_is_needed():
    assert not set(THEME) - needed, "mended since: take these lines out of THEME"
