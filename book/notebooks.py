"""The pages of the book in reading order, and notebooks: their tags, their code, the values that they glued."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
HIDDEN = "remove-cell"
"""Tag of a cell that the pages do not show."""
Cell = Mapping[str, Any]
Notebook = Mapping[str, Any]


def toc_pages(book: Path) -> list[str]:
    """Names of the pages of _toc.yml in reading order, without suffix."""
    toc = yaml.safe_load((book / "_toc.yml").read_text())
    parts = toc.get("parts", []) + [{"chapters": toc.get("chapters", [])}]
    return [toc["root"]] + [chapter["file"] for part in parts for chapter in part["chapters"]]


def page_source(book: Path, page: str) -> Path:
    """File of a page. Raises FileNotFoundError when _toc.yml names a page that is not there."""
    for suffix in (".ipynb", ".md"):
        if (book / f"{page}{suffix}").is_file():
            return book / f"{page}{suffix}"
    raise FileNotFoundError(f"book/_toc.yml names {page!r}, but there is no {page}.ipynb or {page}.md in {book.name}/")


def notebooks(book: Path) -> list[Path]:
    """The notebooks of the table of contents, in reading order."""
    return [s for s in (page_source(book, page) for page in toc_pages(book)) if s.suffix == ".ipynb"]


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook; the source and the text of the outputs of each cell are one string."""
    return nbformat.read(path, as_version=4)


def tags_of(cell: Cell) -> set[str]:
    """Tags of a cell."""
    return set(cell["metadata"].get("tags", []))


def code_of(notebook: Notebook) -> list[str]:
    """Source of each cell of code."""
    return [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]


def figure_of(cell: Cell) -> dict[str, Any]:
    """Name and caption of the figure that a cell of code shows; empty for other cells."""
    return cell["metadata"].get("mystnb", {}).get("figure", {})


def glued_by(cell: Cell) -> dict[str, Any]:
    """Values that an executed cell gave to `glue`, by name."""
    found = {}
    for output in cell.get("outputs", []):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        text = output.get("data", {}).get("application/papermill.record/text/plain")
        if name and text is not None:
            try:
                found[name] = ast.literal_eval(text)
            except (SyntaxError, ValueError):
                found[name] = text
    return found


def formatted(value: Any, spec: str) -> str:
    """A glued value as a page shows it."""
    try:
        return format(value, spec)
    except (TypeError, ValueError):
        return str(value)
