"""The figures of a built book: their pictures, a manifest, a gallery, and whether one shows other than was accepted.

What each figure at preset tiny, seed 0, is made of (`figure_contents`) is kept in `ACCEPTED`. A cell says in its
metadata what cannot be kept: ``"astraclr": {"data_vary": "why"}`` where only words and kinds of what is drawn can be
compared (UMAP, an encoder trained in the build), ``"not_compared": "why"`` where nothing can (real stars).
"""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from astraclr.files import replacing
from astraclr.tutorial import figure_vectors
from astraclr.tutorial.figure_contents import MIME, differences
from astraclr.tutorial.figure_registry import Figure, contents_of, facts, figures, image_of, shared_inputs

ACCEPTED = "figures.json"
"""In the folder of the book."""
ACCEPT = "make book ARGS=--accept-figures"
THUMBNAIL = 360  # pixels wide


def pictures(executed: Iterable[Path]) -> dict[str, bytes]:
    """Every named figure that executed notebooks show, as PNG.

    Raises
    ------
    RuntimeError
        Where a cell showed none, or something beside it, which would have the same name on the page.
    """
    out = {}
    for file in executed:
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            if name := cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"):
                if (picture := image_of(cell)) is None:
                    raise RuntimeError(f"{file.stem}: the cell of figure {name} shows no picture")
                if sum("data" in output for output in cell["outputs"]) > 1:
                    raise RuntimeError(
                        f"{file.stem}: the cell of figure {name} shows more than the figure; "
                        "give the rest a cell of its own"
                    )
                out[name] = picture
    return out


def seconds_to(executed: Iterable[Path]) -> dict[str, float]:
    """How long each chapter ran up to each of its figures, the figure included, as measured when it was executed."""
    out = {}
    for file in executed:
        total = 0.0
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            total += cell["metadata"].get("papermill", {}).get("duration") or 0.0
            if name := cell["metadata"].get("mystnb", {}).get("figure", {}).get("name"):
                out[name] = total
    return out


def _opaque(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")


def contents(executed: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """What every named figure of executed notebooks is made of."""
    cells = [c for file in executed for c in json.loads(file.read_text(encoding="utf-8"))["cells"]]
    named = {c["metadata"].get("mystnb", {}).get("figure", {}).get("name"): contents_of(c) for c in cells}
    return {name: found for name, found in named.items() if name and found}


def for_pages(notebook: Path) -> str:
    """Text of an executed notebook without what its figures are made of: Sphinx warns of what it cannot show."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        for output in cell.get("outputs", []):
            for kind in (MIME, figure_vectors.MIME):
                output.get("data", {}).pop(kind, None)
    return json.dumps(content, ensure_ascii=False, indent=1)


def changed(known: Mapping[str, Figure], drawn: Mapping[str, dict[str, Any]], accepted: Path) -> list[str]:
    """What is new, changed or gone since figures were accepted, a line each."""
    old, lines = _accepted(accepted), []
    for name, figure in known.items():
        if figure.not_compared:
            continue
        if name not in drawn:
            lines.append(f"{name} ({figure.chapter}) was not drawn")
        elif name not in old:
            lines.append(f"{name} ({figure.chapter}) is new")
        else:
            apart = differences(old[name], drawn[name], data=not figure.data_vary)
            lines += [f"{name} ({figure.chapter}): {line}" for line in apart]
    gone = [name for name in old if name not in known or known[name].not_compared]
    return lines + [f"{name} is no longer a figure to compare" for name in gone]


def accept(known: Mapping[str, Figure], drawn: Mapping[str, dict[str, Any]], accepted: Path) -> int:
    """Keep what each figure that is compared is made of, a line each; return how many were new or had changed."""
    old, lines, n_changed = _accepted(accepted), [], 0
    for name, figure in known.items():
        if figure.not_compared:
            continue
        same = name in old and not differences(old[name], drawn[name], data=not figure.data_vary)
        n_changed += not same
        kept = old[name] if same else drawn[name]  # rounding alone changes no line of the file
        lines.append(f"{json.dumps(name)}: {json.dumps(kept, ensure_ascii=False)}")
    with replacing(accepted) as part:
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return n_changed


def _accepted(file: Path) -> dict[str, dict[str, Any]]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def manifest(book: Path, shown: Mapping[str, bytes], preset: str, seed: int) -> dict[str, Any]:
    """What every figure was made from: facts of each, and the inputs that they all share."""
    root, entries = book.parent, {}
    for name, figure in figures(book).items():
        if name in shown:
            about = facts(figure, shown[name], preset, seed, root)
            entries[name] = about | {"page": f"{figure.chapter}.html#{name}"}
    return {"preset": preset, "seed": seed, "shared_inputs": shared_inputs(root), "figures": entries}


def write_gallery(
    known: Mapping[str, Figure], shown: Mapping[str, bytes], commands: Mapping[str, str], source: Path
) -> None:
    """Write small pictures into source/gallery, and source/figures.txt: a card for each figure, chapter by chapter."""
    folder = source / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    for chapter in dict.fromkeys(figure.chapter for name, figure in known.items() if name in shown):
        lines += [f"**{{doc}}`{chapter}`**", "", "::::{grid} 1 2 2 2", ":gutter: 2", ""]
        for name, figure in known.items():
            if figure.chapter != chapter or name not in shown:
                continue
            small = _opaque(shown[name])
            small.thumbnail((THUMBNAIL, 4 * THUMBNAIL))
            small.quantize(64).save(folder / f"{name}.png", optimize=True)
            lines += [
                ":::{grid-item-card}",
                f":img-top: gallery/{name}.png",
                f":img-alt: {name}, a small copy",
                "",
                f"{{ref}}`{name} <{name}>`: {figure.alt}",
                "",
                commands[name],
                ":::",
                "",
            ]
        lines += ["::::", ""]
    (source / "figures.txt").write_text("\n".join(lines), encoding="utf-8")
