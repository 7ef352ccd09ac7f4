"""All figures of a built book in one archive: PNG, SVG and PDF, with their captions.

Chapters record the vector versions when they run in a build (`astraclr.tutorial.figure_vectors`).
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from dark import small_picture
from notebooks import glued_by
from references import References

from astraclr.files import replacing
from astraclr.tutorial.figure_registry import Figure, figures, image_of
from astraclr.tutorial.figure_vectors import MIME, unpacked

README = """# {title}: figures

Text and figures CC BY 4.0. `NAME.png` is a figure as the pages show it, `NAME.svg` and
`NAME.pdf` for slides and print. Figures of real stars, and drawings of diagrams, may exist as PNG alone.
"""


def written(cell: dict[str, Any]) -> dict[str, bytes]:
    """Every version of the figure of an executed cell, by its suffix."""
    picture = image_of(cell)
    if picture is None:
        return {}
    found = {".png": small_picture(picture)}
    for output in cell.get("outputs", []):
        if MIME in output.get("data", {}):
            found |= unpacked(output["data"][MIME])
    return found


def captions(known: dict[str, Figure], cells: dict[str, Any], words: References) -> str:
    """Markdown with the caption and the alternative text of every figure."""
    lines = []
    for name, figure in known.items():
        if name in cells:
            page, values = cells[name][1:]
            lines += [f"## {page}/{name}", "", words.words(figure.caption, page, values), "", f"*{figure.alt}*", ""]
    return "\n".join(lines)


def write(book: Path, executed: Path, target: Path) -> int:
    """Write the archive of the figures of executed notebooks; return how many figures are in it.

    Parameters
    ----------
    book : folder of the sources, whose notebooks name the figures
    executed : folder of the executed notebooks
    target : zip file; equal figures give equal bytes
    """
    known, words, cells = figures(book), References(book), {}
    for file in sorted(executed.glob("*.ipynb")):
        found = json.loads(file.read_text(encoding="utf-8"))["cells"]
        values = {name: value for cell in found for name, value in glued_by(cell).items()}
        for cell in found:
            name = cell["metadata"].get("mystnb", {}).get("figure", {}).get("name")
            if name in known and known[name].chapter == file.stem:
                cells[name] = cell, file.stem, values
    title = next(iter(words.titles.values()))
    n = 0
    with replacing(target) as part, zipfile.ZipFile(part, "w") as archive:
        for name, text in (("README.md", README.format(title=title)), ("captions.md", captions(known, cells, words))):
            archive.writestr(zipfile.ZipInfo(f"figures/{name}"), text, zipfile.ZIP_DEFLATED)
        for name, (cell, page, _) in cells.items():
            versions = written(cell)
            n += bool(versions)
            for suffix, content in versions.items():
                kind = zipfile.ZIP_DEFLATED if suffix == ".svg" else zipfile.ZIP_STORED
                archive.writestr(zipfile.ZipInfo(f"figures/{page}/{name}{suffix}"), content, kind)
    return n
