"""The whole book to print: every page of _build/html on one, and that one as PDF by a headless Chromium.

Usage: python book/printing.py [--html-only]          (after `make book`; `make pdf` calls it)

Writes _build/html/book.html, which any browser prints, and _build/book.pdf. Answers and solutions, which a reader of
the site unfolds, are unfolded; code that is folded there, such as that of a drawing, is left out. No network is needed.
"""

import argparse
import html
import posixpath
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag
from notebooks import BOOK, ROOT, toc_pages

BROWSERS = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome", "google-chrome-stable")
CUT = (".headerlink", "script", "nav", ".prev-next-area", "details.hide.above-input", "iframe", ".dark-version")
MINUTES = 15
PAGE = """<!doctype html>
<html lang="en" data-theme="light" data-mode="light">
<head><meta charset="utf-8"><title>{title}</title>
{head}
<style>
  body {{ display: block; max-width: 52rem; margin: 0 auto; padding: 1rem; }}
  main > article {{ break-before: page; }}
  #contents li {{ margin: 0.2rem 0; }}
</style></head>
<body><main class="bd-article-container">
<h1>{title}</h1>
<nav id="contents" aria-label="Contents"><ul>
{contents}
</ul></nav>
{articles}
</main></body></html>
"""


def executable() -> str | None:
    """Path of a Chromium, or None."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def place(page: str, name: str = "") -> str:
    """Id on the one page of what `name` is on `page`; without a name, that of the page."""
    return f"{page.replace('/', '-')}--{name}" if name else page.replace("/", "-")


def moved(address: str, page: str, pages: list[str]) -> str | None:
    """An address as it reads from the one page; None when it leads to a page that is not on it."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return address
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), parts.path)) if parts.path else f"{page}.html"
    if not path.endswith(".html"):
        return path
    target = path.removesuffix(".html")
    return f"#{place(target, parts.fragment)}" if target in pages else None


def article_of(text: str, page: str, pages: list[str]) -> Tag:
    """The article of a built page, its links and places renamed so that all articles fit on one page.

    Raises RuntimeError when the page holds no article.
    """
    article = BeautifulSoup(text, "html.parser").find("article")
    if not isinstance(article, Tag):
        raise RuntimeError(f"{page}.html holds no article: build the book again")
    for cut in article.select(", ".join(CUT)):
        cut.decompose()
    for folded in article.find_all("details"):
        folded["open"] = ""
    for tag in article.find_all(True):
        # Tables of pandas are named by their styles, parts of a drawing by one another; both names are unique already.
        if tag.get("id") and not str(tag["id"]).startswith("T_") and not tag.find_parent("svg"):
            tag["id"] = place(page, str(tag["id"]))
        if tag.get("src"):
            tag["src"] = moved(str(tag["src"]), page, pages) or ""
        if tag.name == "a" and tag.get("href"):
            if (there := moved(str(tag["href"]), page, pages)) is None:
                del tag["href"]
            else:
                tag["href"] = there
    article["id"] = place(page)
    return article


def one_page(folder: Path, pages: list[str]) -> str:
    """All pages on one. Raises FileNotFoundError when a page is not built."""
    missing = [page for page in pages if not (folder / f"{page}.html").is_file()]
    if missing:
        raise FileNotFoundError(f"{missing[0]}.html is not in {folder}: run `make book` first")
    texts = {page: (folder / f"{page}.html").read_text(encoding="utf-8") for page in pages}
    articles = {page: article_of(text, page, pages) for page, text in texts.items()}
    first = BeautifulSoup(texts[pages[0]], "html.parser")
    styles = [str(tag) for tag in first.select('link[rel="stylesheet"], link[rel="preload"]')]
    # MathJax and its settings are those of a page that has formulas; no other script is needed on paper.
    for text in texts.values():
        scripts = [str(s) for s in BeautifulSoup(text, "html.parser").find_all("script") if "mathjax" in str(s).lower()]
        if scripts:
            styles += scripts
            break
    titles = {page: html.escape(heading(article)) for page, article in articles.items()}
    lines = [f'<li><a href="#{place(page)}">{title}</a></li>' for page, title in titles.items()]
    return PAGE.format(
        title=titles[pages[0]],
        head="\n".join(styles),
        contents="\n".join(lines),
        articles="\n".join(map(str, articles.values())),
    )


def heading(article: Tag) -> str:
    """First heading of an article."""
    first = article.find("h1")
    return first.get_text().strip() if first else "?"


def to_pdf(page: Path, pdf: Path) -> None:
    """Print a page. Raises RuntimeError without a browser, or when it fails; a PDF that was there stays."""
    browser = executable()
    if browser is None:
        raise RuntimeError(f"no browser ({', '.join(BROWSERS)}): print {page} with the one that you have")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Path(folder) / "book.pdf"
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={folder}/profile",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-pdf-header-footer",
            "--generate-pdf-document-outline",
            "--virtual-time-budget=60000",
            f"--print-to-pdf={made}",
            page.resolve().as_uri(),
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES)
        if not made.is_file():
            raise RuntimeError(f"{Path(browser).name} printed nothing (status {run.returncode}):\n{run.stderr[-2000:]}")
        shutil.move(made, pdf)


def main() -> int:
    parser = argparse.ArgumentParser(description="Put the built book on one page, and print it as PDF.")
    parser.add_argument("--html-only", action="store_true", help="only _build/html/book.html")
    options = parser.parse_args()
    page, pdf = ROOT / "_build" / "html" / "book.html", ROOT / "_build" / "book.pdf"
    try:
        page.write_text(one_page(page.parent, toc_pages(BOOK)), encoding="utf-8")
        print(f"On one page: {page.relative_to(ROOT)}", flush=True)
        if not options.html_only:
            to_pdf(page, pdf)
            print(f"To print: {pdf.relative_to(ROOT)}")
    except (FileNotFoundError, RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"The book was not printed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
