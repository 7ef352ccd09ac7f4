"""Slides: every part of a chapter is there, nothing is given away, nothing is cut off."""

import base64
import re

import chromium
import deck as decks
import pytest
import slides
from myst import markdown_pieces
from notebooks import BOOK, ROOT, read_notebook
from references import References

CHAPTERS = sorted(f.stem for f in BOOK.glob("[01][0-9]_*.ipynb"))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
SMALL = """# Stars

**What you will be able to do**

- count stars;
- doubt the count.

**What you need** Fingers.

## The question

How many are there? It was {glue:text}`n_stars:,` yesterday.

## Counting

Counting is hard. Nobody remembers this sentence. But **this one is remembered**.

:::{admonition} Predict before you run
:class: important
More than $10^3$?
:::
||code figure
## Find the planted fault

She counts twice.
||code fault
:::{admonition} Diagnose
:class: important
What did she do?
:::

:::{admonition} What happened
:class: dropdown
She counted twice, of course.
:::

## Check yourself

::::{admonition} Quiz: light
:class: quiz
Which is a star?

:::{dropdown} The Moon
No, it is a moon.
:::
:::{dropdown} The Sun
:class-container: quiz-right
It shines by itself.
:::
::::

## Exercises

````{exercise}
:label: ex-small
**Again.** Count them once more. And then?
````

````{solution} ex-small
:class: dropdown
```python
print("the secret of counting")
```
It is a secret of the solution.
````

## Summary

- Count. Then count again.

## Further reading

Nothing.
"""


def small() -> dict:
    """A notebook with every part, as if it had run."""
    caption = {"caption": "A figure of *stars*.", "name": "fig-stars"}
    figure = {"mystnb": {"figure": caption, "image": {"alt": "One star."}}}
    image = {"output_type": "display_data", "data": {"image/png": PNG}, "metadata": {}}
    value = {
        "output_type": "display_data",
        "data": {"application/papermill.record/text/plain": "1234"},
        "metadata": {"scrapbook": {"name": "n_stars"}},
    }
    code = {
        "figure": ("plot()", figure, [image, value]),
        "fault": ("count = 2 * count", {}, [{"output_type": "stream", "name": "stdout", "text": "2 stars\n"}]),
    }
    cells = []
    for part in re.split(r"^(\|\|code \w+)\n", SMALL, flags=re.MULTILINE):
        if part.startswith("||code "):
            source, metadata, outputs = code[part[7:]]
            cells.append({"cell_type": "code", "source": source, "metadata": metadata, "outputs": outputs})
        else:
            cells.append({"cell_type": "markdown", "source": part, "metadata": {}})
    return {"cells": cells}


@pytest.fixture(scope="module")
def book():
    found = References(BOOK)
    found.titles["small"] = "Stars"
    return found


def shown(slide) -> str:
    return f"{slide.title} {' '.join(slide.parts)}"


def test_a_small_chapter(book):
    made = decks.Deck(book, "small", small()).made()
    titles = [slide.title for slide in made]
    assert titles == [
        "Stars",
        decks.GOALS,
        "The question",
        "Counting",
        "Predict before you run",
        "Counting",
        "Find the planted fault",
        "Diagnose",
        "What happened",
        "Check yourself: light",
        "Check yourself: light",
        "Exercises",
        "Summary",
    ]
    text = [shown(slide) for slide in made]
    assert "1,234" in text[2] and "Nobody remembers" not in text[3] and "this one is remembered" in text[3]
    assert "\\(10^3\\)" in text[4] and "alt='One star.'" in text[5]
    assert "Figure 1. A figure of <em>stars</em>." in text[5]
    assert "count = 2 * count" in text[6] and "2 stars" in text[6] and "plot()" not in "".join(text)
    assert "of course" in text[8] and "of course" not in "".join(text[:8])
    assert "right" not in text[9] and "class='right'" in text[10] and "It shines" in text[10]
    assert "<strong>Again.</strong>" in text[11] and "secret" not in "".join(text)
    assert "Then count again" in text[12]
    assert "Fingers" in "".join(made[1].notes)


def test_a_chapter_can_steer(book):
    notebook = small()
    ways = {0: "slide", 1: "skip", 3: "slide"}
    for k, way in ways.items():
        notebook["cells"][k]["metadata"] = {**notebook["cells"][k]["metadata"], "slideshow": {"slide_type": way}}
    text = "".join(shown(s) for s in decks.Deck(book, "small", notebook).made())
    assert "Nobody remembers" in text and "<img" not in text and "count = 2 * count" in text


def test_sentences_keep_bold_words_and_mathematics_together():
    assert decks.sentences("**One. Two.** Three $a. B$ is. Four?") == ["**One. Two.**", "Three $a. B$ is.", "Four?"]
    assert decks.key_sentences("- **Lead.** More. Most.\n- Short enough to be one; yes.") == [
        "**Lead.** More.",
        "Short enough to be one; yes.",
    ]
    assert decks.key_sentences("Now the same table as before:") == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_deck_of_a_chapter_has_all_parts_and_no_solution(page, book):
    notebook = read_notebook(BOOK / f"{page}.ipynb")
    made = decks.Deck(book, page, notebook).made()
    titles, text = [slide.title for slide in made], "\n".join(shown(slide) for slide in made)
    assert titles[0] == book.titles[page]
    assert {decks.GOALS, "The question", "Exercises", "Summary"} <= set(titles)
    assert any(title.startswith("Predict") for title in titles)
    assert titles[-1] == "Summary" and 15 <= len(made) <= 70
    for piece in markdown_pieces(notebook):
        if piece.kind == "solution":
            assert not {line for line in piece.body.splitlines() if len(line) > 40 and line in text}
        if piece.title == "Diagnose":
            assert "Diagnose" in titles and "What happened" in titles
    asked = sum(piece.is_quiz for piece in markdown_pieces(notebook))
    assert sum(title.startswith("Check yourself") for title in titles) >= 2 * asked
    assert not re.search(r"\{[a-z:]+\}`|^:::", text, flags=re.MULTILINE)


def test_chapters_that_have_not_run_are_named(book, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"01_light_curves, .* has not been run at preset tiny: `make book"):
        slides.make_slides(References(BOOK), tmp_path / "tiny", tmp_path / "slides")


@pytest.mark.skipif(chromium.executable() is None, reason="needs Chromium")
def test_a_deck_works_in_a_browser_without_a_network(book, tmp_path):
    file = tmp_path / "small.html"
    file.write_text(slides.as_html(decks.Deck(book, "small", small())))
    with chromium.Browser(1280, 720) as browser:
        browser.open(file)
        browser.until("document.body.dataset.ready === 'yes'")
        assert browser.run("document.querySelectorAll('mjx-container').length") >= 1
        assert browser.run("slides.filter(s => s.dataset.cut === 'true').length") == 0
        assert browser.run("document.querySelector('.at h1').textContent") == "Stars"
        for name, place in (("ArrowRight", 2), ("End", 13), ("ArrowLeft", 12), ("Home", 1)):
            browser.key(name)
            assert browser.run("document.querySelector('.at footer span:last-child').textContent") == f"{place} / 13"
        assert browser.run("slides.filter(s => getComputedStyle(s).display !== 'none').length") == 1
        pdf = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"])
        assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 13
        assert not browser.errors and all(r.startswith(("file:", "data:", "about:")) for r in browser.requests)


@pytest.mark.skipif(chromium.executable() is None, reason="needs Chromium")
def test_a_deck_without_mathematics_brings_no_mathjax(book, tmp_path):
    file = tmp_path / "plain.html"
    source = "# Stars\n\n## Counting\n\nIt is hard to count them all."
    plain = {"cells": [{"cell_type": "markdown", "source": source, "metadata": {}}]}
    file.write_text(slides.as_html(decks.Deck(book, "small", plain)))
    assert file.stat().st_size < 20_000
    with chromium.Browser(1280, 720) as browser:
        browser.open(file)
        browser.until("document.body.dataset.ready === 'yes'")
        assert browser.run("slides.length") == 2 and not browser.errors


@pytest.mark.skipif(chromium.executable() is None, reason="needs Chromium")
@pytest.mark.parametrize("page", CHAPTERS)
def test_no_slide_of_a_chapter_that_has_run_is_cut_off(page, book, tmp_path):
    executed = ROOT / "_build" / "executed" / "tiny" / f"{page}.ipynb"
    if not executed.is_file():
        pytest.skip("the chapter has not been run here (make book)")
    file = tmp_path / f"{page}.html"
    deck = decks.Deck(book, page, read_notebook(executed))
    file.write_text(slides.as_html(deck))
    with chromium.Browser(1280, 720) as browser:
        browser.open(file)
        browser.until("document.body.dataset.ready === 'yes'")
        cut = "slides.filter(s => s.dataset.cut === 'true').map(s => s.querySelector('h1, h2').textContent)"
        assert browser.run(cut) == []
        assert not browser.errors
