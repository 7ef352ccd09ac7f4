"""What the previews of links show: words of the glossary, cited works and figures of the built pages.

`_static/previews.js` reads it from a script of data, since a page opened from a disk may not fetch another page.
"""

from __future__ import annotations

import re
from pathlib import Path

from bs4 import BeautifulSoup

from astraclr.analysis.page_model import script

LONGEST = 420  # characters of a preview


def shortened(text: str) -> str:
    """Text in one line, cut after a word where it is long."""
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rsplit(' ', 1)[0]} …"


def parts(page: str) -> BeautifulSoup:
    """Figures with a name, lists of terms and cited works of a page; the rest takes long to parse."""
    wanted = r'<figure[^>]* id="fig-.*?</figure>|<dl class="[^"]*glossary.*?</dl>|<div class="citation" .*?</div>'
    return BeautifulSoup("\n".join(re.findall(wanted, page, flags=re.DOTALL)), "html.parser")


def collect(html: Path) -> dict[str, dict[str, str]]:
    """Previews by the address that a link names, such as ``appendix_glossary.html#term-band``.

    Parameters
    ----------
    html : folder of the built pages

    Returns
    -------
    dict
        ``text``, and of a figure also ``image``, the address of its small copy.
    """
    found: dict[str, dict[str, str]] = {}
    for page in sorted(html.glob("*.html")):
        body = parts(page.read_text(encoding="utf-8"))
        for term in body.select("dt[id^=term-]"):
            meaning = term.find_next_sibling("dd")
            said = f"{term.get_text().strip().rstrip('#')}: {meaning.get_text() if meaning else ''}"
            found[f"{page.name}#{term['id']}"] = {"text": shortened(said)}
        for work in body.select("[role=doc-biblioentry][id] > p"):
            found[f"{page.name}#{work.parent['id']}"] = {"text": shortened(work.get_text())}  # type: ignore[index]
        for figure in body.select("figure[id^=fig-]"):
            caption = figure.find("figcaption")
            about = {"text": shortened(caption.get_text().replace("#", "")) if caption else ""}
            if (html / "_images" / f"{figure['id']}.png").is_file():
                about["image"] = f"_images/{figure['id']}.png"
            found[f"{page.name}#{figure['id']}"] = about
    return found


def write(html: Path) -> int:
    """Write `_static/previews-data.js` beside the built pages; return the number of previews."""
    found = collect(html)
    (html / "_static" / "previews-data.js").write_text(script("previews", found), encoding="utf-8")
    return len(found)
