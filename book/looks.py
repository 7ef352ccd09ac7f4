"""The figures of a built book: their pictures, a manifest, a gallery, and whether one looks other than it was accepted.

A small copy of each figure at preset tiny, seed 0, is kept in `ACCEPTED`: `SIDE` x `SIDE` mean colours. A cell
whose figure must not be kept or cannot be compared (real stars, measured times) says why in its metadata:
``"astraclr": {"not_compared": "..."}``.
"""

import base64
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from astraclr.files import replacing
from astraclr.tutorial.figure_registry import Figure, facts, figures, image_of, shared_inputs

ACCEPTED = "figures.json"
"""In the folder of the book."""
ACCEPT = "make book ARGS=--accept-figures"
SIDE = 32
SIZE = 3 * SIDE * SIDE
WORST = 8
TOLERANCE = 6.0
"""Above what rounding moves, below what a reader sees: of 61 curves, bars or point clouds taken away one by one from 22
figures, 57 move more; axes turned round, texts one point larger and lost labels move at least three times as much."""
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


def _opaque(picture: bytes) -> Image.Image:
    with Image.open(io.BytesIO(picture)) as image:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")


def fingerprint(picture: bytes) -> str:
    """A picture (PNG) as `SIDE` x `SIDE` mean colours, row by row: red, green, blue, packed and written in base 64."""
    small = _opaque(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
    return base64.b64encode(zlib.compress(small.tobytes(), 9)).decode()


def unpacked(text: str) -> np.ndarray:
    """The `SIZE` numbers of a fingerprint, 0 to 255."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).astype(float)


def difference(old: str, new: str) -> float:
    """How far two fingerprints are apart, 0 to 255: the mean of the `WORST` largest differences of a colour."""
    return float(np.sort(np.abs(unpacked(old) - unpacked(new)))[-WORST:].mean())


def changed(known: Mapping[str, Figure], shown: Mapping[str, bytes], accepted: Path) -> tuple[list[str], bool]:
    """What is new or looks different since figures were accepted, a line each; and whether any were accepted yet."""
    if not accepted.is_file():
        return [f"{accepted.name} is not there yet: no figure was compared. Accept them with: {ACCEPT}"], False
    old, lines = json.loads(accepted.read_text())["fingerprints"], []
    for name, figure in known.items():
        if figure.not_compared:
            continue
        if name not in old:
            lines.append(f"{name} ({figure.chapter}) is new")
        elif name in shown and (apart := difference(old[name], fingerprint(shown[name]))) > TOLERANCE:
            lines.append(f"{name} ({figure.chapter}) looks different: {apart:.1f} levels of 255, allowed {TOLERANCE:g}")
    gone = [name for name in old if name not in known or known[name].not_compared]
    return lines + [f"{name} is no longer a figure to compare" for name in gone], True


def accept(known: Mapping[str, Figure], shown: Mapping[str, bytes], accepted: Path) -> int:
    """Keep the fingerprints of all figures that are compared; return how many."""
    kept = {name: fingerprint(shown[name]) for name, figure in known.items() if not figure.not_compared}
    with replacing(accepted) as part:
        part.write_text(json.dumps({"made_by": ACCEPT, "side": SIDE, "fingerprints": kept}, indent=1) + "\n")
    return len(kept)


def manifest(book: Path, shown: Mapping[str, bytes], preset: str, seed: int) -> dict[str, Any]:
    """What every figure was made from: facts of each, and the inputs that they all share."""
    root, entries = book.parent, {}
    for name, figure in figures(book).items():
        if name in shown:
            about = facts(figure, shown[name], preset, seed, root)
            entries[name] = about | {"page": f"{figure.chapter}.html#{name}"}
    return {"preset": preset, "seed": seed, "shared_inputs": shared_inputs(root), "figures": entries}


def write_gallery(
    known: Mapping[str, Figure], shown: Mapping[str, bytes], preset: str, seed: int, source: Path
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
                f"`{figure.command(preset, seed).split(' --out')[0]}`",
                ":::",
                "",
            ]
        lines += ["::::", ""]
    (source / "figures.txt").write_text("\n".join(lines), encoding="utf-8")
