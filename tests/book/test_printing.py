"""The book on one page, links to a repository, and the PDF that a browser makes of it."""

import copy
import re
import sys

import build
import printing
import pytest
import repository_links
import yaml
from chromium import needs_browser
from notebooks import ROOT

PAGES = ["intro", "one", "teachers/two"]
TEXT = """<html><head><link rel="stylesheet" href="_static/a.css"><script>window.MathJax = {{}}</script></head><body>
<nav>menu</nav><article class="bd-article"><h1 id="top">{title} &amp; more<a class="headerlink" href="#top">#</a></h1>
{body}</article></body></html>"""


@pytest.fixture
def built(tmp_path):
    """Three built pages that name one another."""
    bodies = {
        "intro": '<p><a href="one.html#a">x</a> <a href="genindex.html">i</a> <a href="https://example.org/">e</a></p>',
        "one": '<p id="a"><img src="_images/i.png" alt=""></p><details><summary>s</summary>answer</details>'
        '<details class="hide above-input"><summary>code</summary>plumbing</details><iframe src="map.html"></iframe>',
        "teachers/two": '<p id="a"><a href="../one.html">one</a> <a href="#a">self</a> <img src="../_images/i.png"></p>'
        '<table id="T_1"><tr><td>1</td></tr></table><svg><path id="p"></path></svg>',
    }
    (tmp_path / "teachers").mkdir()
    for page, body in bodies.items():
        (tmp_path / f"{page}.html").write_text(TEXT.format(title=page, body=body))
    return tmp_path


def test_all_pages_stand_on_one(built):
    text = printing.one_page(built, PAGES)
    assert re.findall(r'<article class="bd-article" id="([^"]*)"', text) == ["intro", "one", "teachers-two"]
    assert re.findall(r'<li><a href="#([^"]*)">([^<]*)', text)[2] == ("teachers-two", "teachers/two &amp; more")
    links = re.findall(r'<a href="([^"]*)">(?:x|e|one|self)</a>', text)
    assert links == ["#one--a", "https://example.org/", "#one", "#teachers-two--a"]
    assert "<a>i</a>" in text, "a page that is not printed is named, not linked"
    assert set(re.findall(r'id="([^"]*)"', text)) >= {"one--a", "teachers-two--a", "T_1", "p"}
    assert text.count('src="_images/i.png"') == 2 and "_static/a.css" in text and "window.MathJax" in text
    assert '<details open="">' in text and not re.search("plumbing|iframe|menu|headerlink", text)


def test_a_page_that_is_not_built_is_named(built):
    with pytest.raises(FileNotFoundError, match="four.html is not in .*make book"):
        printing.one_page(built, [*PAGES, "four"])
    (built / "one.html").write_text("<p>no article</p>")
    with pytest.raises(RuntimeError, match="one.html holds no article"):
        printing.one_page(built, PAGES)


def test_without_a_browser_the_page_is_named(built, monkeypatch):
    monkeypatch.setattr(printing, "executable", lambda: None)
    with pytest.raises(RuntimeError, match=r"print .*book\.html with the one that you have"):
        printing.to_pdf(built / "book.html", built / "book.pdf")


@needs_browser
def test_a_browser_prints(built):
    (built / "book.html").write_text(printing.one_page(built, PAGES))
    printing.to_pdf(built / "book.html", built / "book.pdf")
    data = (built / "book.pdf").read_bytes()
    assert data.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", data)) == 4  # contents, and one a page


# Links to a repository


@pytest.fixture(scope="module")
def config():
    return yaml.safe_load((ROOT / "_config.yml").read_text())


def test_without_a_repository_nothing_is_linked(config, tmp_path, monkeypatch):
    monkeypatch.delenv("ASTRACLR_REPOSITORY", raising=False)
    written = repository_links.write_config(ROOT / "_config.yml", tmp_path / "config.yml")
    assert yaml.safe_load(written.read_text()) == config
    assert not re.search("github|binder|colab", written.read_text())


def test_a_repository_brings_its_buttons(config, monkeypatch, tmp_path):
    before = copy.deepcopy(config)
    monkeypatch.setenv("ASTRACLR_REPOSITORY", "https://github.com/someone/book.git")
    monkeypatch.setenv("ASTRACLR_BRANCH", "v1")
    made = yaml.safe_load(repository_links.write_config(ROOT / "_config.yml", tmp_path / "config.yml").read_text())
    theme = made["sphinx"]["config"]["html_theme_options"]
    assert theme["repository_url"] == "https://github.com/someone/book" and theme["repository_branch"] == "v1"
    assert theme["path_to_docs"] == "book" and {"binderhub_url", "colab_url"} < set(theme["launch_buttons"])
    words = made["parse"]["myst_substitutions"]["in_a_browser"]
    assert "--branch v1 https://github.com/someone/book" in words
    elsewhere = repository_links.with_links(config, "https://gitlab.com/someone/book")["sphinx"]["config"][
        "html_theme_options"
    ]
    assert set(elsewhere["launch_buttons"]) == {"notebook_interface", "binderhub_url"}, "Colab reads GitHub only"
    assert config == before


@pytest.mark.parametrize(
    "address",
    [
        "github.com/a/b",
        "http://github.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/c",
        "https://github.com.evil.com/a/b",
        "https://evil.com/github.com/a/b",
        "https://github.com@evil.com/a/b",
        "https://github.com:8443/a/b",
        "https://github.com/a/..",
        "https://github.com/../b",
        "https://gitlab.com/a/b/../../c",
        "https://github.com/a/b..c",
        "https://github.com/-a/b",
        "https://github.com/a/b c",
        "https://github.com/a/b;id",
        "https://github.com/a/$(id)",
        "https://github.com/a/b\nhttps://github.com/c/d",
        "https://github.com/a/<script>alert(1)</script>",
        "https://github.com/\u0430/b",
        "javascript:x",
    ],
)
def test_what_is_no_address_is_refused(address, monkeypatch):
    monkeypatch.setenv("ASTRACLR_REPOSITORY", address)
    with pytest.raises(ValueError, match="https://github.com/OWNER/NAME"):
        repository_links.settings()


@pytest.mark.parametrize(
    "branch",
    [
        "<script>alert(1)</script>",
        "main; curl x | sh",
        "main\n!id",
        "main\n",
        "$(id)",
        "`id`",
        "a b",
        'a"b',
        "--upload-pack=id",
        "../main",
        "a..b",
        "a/../b",
        "/main",
        "main/",
        "main.",
        "main.lock",
        "m\u00e4in",
    ],
)
def test_what_is_no_branch_is_refused_before_the_build(branch, monkeypatch, capsys):
    monkeypatch.setenv("ASTRACLR_REPOSITORY", "https://github.com/someone/book")
    monkeypatch.setenv("ASTRACLR_BRANCH", branch)
    monkeypatch.setattr(build, "run_chapters", lambda *_: pytest.fail("a chapter ran"))
    monkeypatch.setattr(sys, "argv", ["build.py"])
    assert build.main() == 1
    said = capsys.readouterr().err
    assert "ASTRACLR_BRANCH" in said and "such as main or release/1.0" in said


@pytest.mark.parametrize("branch", ["", "main", "v1.0", "release/1.0", "fix_2-b"])
def test_plain_names_pass(branch, monkeypatch):
    for address in ("https://github.com/someone/some.book-2", "https://gitlab.com/a/b/c", "https://bitbucket.org/a/b"):
        monkeypatch.setenv("ASTRACLR_REPOSITORY", f"{address}.git/")
        monkeypatch.setenv("ASTRACLR_BRANCH", branch)
        assert repository_links.settings() == (address, branch or "main")
