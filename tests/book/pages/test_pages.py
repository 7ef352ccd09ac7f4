"""Every page of the built book in a browser without a network: whole, silent, readable on a phone, dark if wanted."""

import pytest
from built import PAGES
from chromium import needs_browser

pytestmark = needs_browser
PHONE = (390, 844)
# TeX that nobody set: between its brackets, outside code, where MathJax would have replaced it.
RAW_TEX = r"""(() => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), raw = [];
  while (walk.nextNode()) {
    const { parentElement: home, data } = walk.currentNode;
    if (/\\\(|\\\[|\$\$|\\begin\{/.test(data) && !home.closest("pre, code, script, style, mjx-container"))
      raw.push(data.trim().slice(0, 80));
  }
  for (const e of document.querySelectorAll("mjx-merror, [data-mjx-error]")) raw.push(e.textContent.slice(0, 80));
  for (const e of document.querySelectorAll(".math:not(:has(mjx-container))")) raw.push(e.textContent.slice(0, 80));
  return raw;
})()"""
BROKEN_IMAGES = """Promise.all([...document.images].map((i) =>
  i.decode().then(() => i.naturalWidth ? "" : i.src, () => i.src))).then((all) => all.filter(Boolean))"""
# What sticks out of the window and cannot be reached by scrolling a box of its own.
TOO_WIDE = """(() => {
  const scrolls = (e) => e && e !== document.documentElement &&
    (/auto|scroll/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement));
  const edge = document.documentElement.clientWidth + 1;
  const out = [...document.querySelectorAll(".bd-article *")].filter((e) => {
    const r = e.getBoundingClientRect();
    if (e.closest("mjx-assistive-mml")) return false;  // for screen readers alone: clipped to nothing
    return r.width > 1 && r.right > edge && getComputedStyle(e).visibility !== "hidden" && !scrolls(e);
  });
  const names = out.slice(0, 5).map((e) => `${e.tagName}.${e.className} to ${e.getBoundingClientRect().right}`);
  return document.documentElement.scrollWidth > edge ? ["the page itself", ...names] : names;
})()"""
# Relative luminance of what lies behind the text, as in WCAG 2.
BACKGROUND = """(() => {
  const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map((v) => {
    const c = v / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
})()"""


def opened(browser, html, page: str) -> None:
    """Load a page, and wait for its mathematics."""
    browser.forget()
    browser.open(html / f"{page}.html")
    browser.run("window.MathJax?.startup?.promise?.then(() => true)")


@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole_without_a_network(browser, html, page):
    browser.dark(False)
    opened(browser, html, page)
    assert browser.run(BROKEN_IMAGES) == []
    assert browser.run(RAW_TEX) == []
    assert browser.run(BACKGROUND) > 0.8
    browser.dark(True)
    browser.until("document.documentElement.dataset.theme === 'dark'")
    assert browser.run(BACKGROUND) < 0.1
    browser.resize(*PHONE)
    wide = browser.run(TOO_WIDE)
    browser.resize(1280, 900)
    assert wide == []
    assert browser.errors == [] and browser.failures == []
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "about", "data", "blob"}


def test_search_finds_a_word_without_a_network(browser, html):
    browser.forget()
    browser.open(html / "search.html", "?q=collapse")
    links = "[...document.querySelectorAll('#search-results li a')].map((a) => a.href).join(' ')"
    browser.until(f"{links}.includes('04_pretraining.html')")  # results come one after another
    assert browser.errors == [] and browser.failures == []


def test_an_answer_opens_by_keyboard(browser, html):
    page = next((p for p in PAGES if "<details" in (html / f"{p}.html").read_text()), None)
    if page is None:
        pytest.skip("no page folds anything")
    opened(browser, html, page)
    browser.run("try { localStorage.clear() } catch { }")  # what other tests opened is remembered
    opened(browser, html, page)
    browser.run("document.querySelector('.bd-article summary').focus()")
    browser.key("Enter", "\r")
    assert browser.run("document.querySelector('.bd-article details').open")
