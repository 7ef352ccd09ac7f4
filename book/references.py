"""What the pages of the book call each other: roles such as {doc}, {cite} and {glue:text} turned into words.

Student copies and slides are not read by Sphinx, which would put links and numbers there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from myst import Piece, markdown_pieces, pieces
from notebooks import figure_of, formatted, page_source, read_notebook, toc_pages
from pybtex.database import Person, parse_file

UNKNOWN = "…"
"""Stands where a number of a run would be, when there was no run."""
_ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`")
_NAMED = re.compile(r"(.+?)\s*<([^<>]+)>", flags=re.DOTALL)


class References:
    """Titles of pages, numbers of figures, equations and exercises, and cited papers.

    Parameters
    ----------
    folder : the folder of `_toc.yml` and `references.bib`
    """

    def __init__(self, folder: Path):
        self.folder, self.titles, self.labels = folder, dict[str, str](), dict[str, tuple[str, str, int]]()
        entries = parse_file(str(folder / "references.bib")).entries
        self.cited = {
            key: _short(entry.persons.get("author", []), entry.fields.get("year", "n.d."))
            for key, entry in entries.items()
        }
        for page in toc_pages(folder):
            file, cells = page_source(folder, page), []
            if file.suffix == ".ipynb":
                notebook = read_notebook(file)
                found, cells = list(markdown_pieces(notebook)), notebook["cells"]
            else:
                found = list(pieces(file.read_text()))
            self.titles[page] = next((p.title for p in found if p.kind == "heading"), page)
            self._number(page, found, [name for cell in cells if (name := figure_of(cell).get("name"))])

    def notebooks(self) -> list[str]:
        """Names of the pages that are notebooks, in reading order."""
        return [page for page in self.titles if page_source(self.folder, page).suffix == ".ipynb"]

    def _number(self, page: str, found: list[Piece], figures: list[str]) -> None:
        named = {
            "Figure": figures,
            "equation": [p.options["label"] for p in found if p.kind == "math" and "label" in p.options],
            "exercise": [p.options.get("label", "") for p in found if p.kind == "exercise"],
        }
        for word, labels in named.items():
            self.labels |= {label: (page, word, number) for number, label in enumerate(labels, start=1)}

    def words(self, text: str, page: str, values: Mapping[str, Any] | None = None, links: bool = False) -> str:
        """Text with every role replaced by words.

        Parameters
        ----------
        page : on which the text stands
        values : what was glued; a number that is not among them becomes UNKNOWN
        links : whether a page that is a notebook becomes a link to it
        """

        def word(match: re.Match[str]) -> str:
            role, content = match[1], match[2]
            if role == "glue:text":
                name, _, spec = content.partition(":")
                return formatted(values[name], spec) if values and name in values else UNKNOWN
            if role.startswith("cite"):
                return self._citation(content.split(","), in_text=role == "cite:t")
            named = _NAMED.fullmatch(content)
            said, target = (named[1], named[2]) if named else ("", content)
            if role == "doc":
                return self._page(said, target.strip("/"), links)
            if role in ("numref", "eq", "ref"):
                return said or self._label(target, page)
            return said or target

        return _ROLE.sub(word, text)

    def _citation(self, keys: list[str], in_text: bool) -> str:
        cited = [self.cited.get(key.strip(), (key.strip(), "n.d.")) for key in keys]
        if in_text:
            return "; ".join(f"{authors} ({year})" for authors, year in cited)
        return f"({'; '.join(f'{authors} {year}' for authors, year in cited)})"

    def _page(self, said: str, target: str, links: bool) -> str:
        title = said or f"*{self.titles.get(target, target)}*"
        linked = links and target in self.titles and page_source(self.folder, target).suffix == ".ipynb"
        return f"[{title}]({target}.ipynb)" if linked else title

    def _label(self, label: str, page: str) -> str:
        if label not in self.labels:
            return label
        where, word, number = self.labels[label]
        said = f"{word} {number}"
        return said if where == page else f"{said} of *{self.titles[where]}*"


def _short(authors: list[Person], year: str) -> tuple[str, str]:
    """Names of authors as they are cited in a text, and the year."""
    names = [" ".join(map(str, [*a.rich_prelast_names, *a.rich_last_names])) for a in authors]
    others = len(names) > 2 or "others" in names[1:]
    return (f"{names[0]} et al." if others else " and ".join(names)) if names else "unnamed", year
