"""The archive of all figures: every version, captions in words, the same bytes again; vector versions."""

import base64
import io
import json
import zipfile

import figure_archive
import nbformat
from matplotlib.figure import Figure as Drawing
from PIL import Image

from astraclr.tutorial import figure_vectors
from astraclr.tutorial.figure_registry import figures


def drawing(points: int) -> Drawing:
    drawn = Drawing(figsize=(2, 1))
    drawn.subplots().plot(range(points), [k % 7 for k in range(points)], "o", ms=1)
    return drawn


def test_vector_versions_open_and_are_the_same_again():
    drawn = drawing(5)
    found = figure_vectors.unpacked(figure_vectors.vectors(drawn))
    assert found[".pdf"].startswith(b"%PDF") and b"<svg" in found[".svg"][:600]
    assert found == figure_vectors.unpacked(figure_vectors.vectors(drawn))


def test_many_points_are_pixels_in_a_vector_version():
    drawn = drawing(figure_vectors.MANY + 1)
    found = figure_vectors.unpacked(figure_vectors.vectors(drawn))
    assert b"data:image/png;base64" in found[".svg"] and len(found[".svg"]) < 60_000
    assert not any(line.get_rasterized() for line in drawn.axes[0].lines)


def test_archive_holds_every_version_and_captions(root, tmp_path):
    book = root / "book"
    name, figure = next((n, f) for n, f in figures(book).items() if f.chapter == "02_views")
    png = io.BytesIO()
    Image.new("RGB", (8, 6), "white").save(png, "PNG")
    notebook = json.loads((book / f"{figure.chapter}.ipynb").read_text(encoding="utf-8"))
    cell = next(c for c in notebook["cells"] if c["id"] == figure.cell)
    shown = {
        "image/png": base64.b64encode(png.getvalue()).decode(),
        figure_vectors.MIME: figure_vectors.vectors(drawing(3)),
    }
    cell["outputs"] = [nbformat.v4.new_output("display_data", shown)]
    for other in notebook["cells"]:
        if other is not cell and other["cell_type"] == "code":
            other["outputs"] = []
    (tmp_path / "02_views.ipynb").write_text(json.dumps(notebook))
    assert figure_archive.write(book, tmp_path, tmp_path / "figures.zip") == 1
    with zipfile.ZipFile(tmp_path / "figures.zip") as archive:
        assert archive.testzip() is None
        there = {n.removeprefix("figures/") for n in archive.namelist()}
        kinds = {f"02_views/{name}{end}" for end in (".png", ".svg", ".pdf")}
        assert kinds <= there and {"README.md", "captions.md"} <= there
        said = archive.read("figures/captions.md").decode()
    assert figure.alt in said and "{glue" not in said and "{numref" not in said
    before = (tmp_path / "figures.zip").read_bytes()
    figure_archive.write(book, tmp_path, tmp_path / "figures.zip")
    assert (tmp_path / "figures.zip").read_bytes() == before
