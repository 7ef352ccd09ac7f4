"""The registry of figures: names, alternative texts, a redrawn picture with its record, how figures are compared."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import build
import looks
import matplotlib.pyplot as plt
import nbformat
import pytest
from PIL import Image
from typer.testing import CliRunner

from astraclr.cli import app
from astraclr.tutorial import figure_registry
from astraclr.tutorial.figure_contents import MIME, describe

BOOK = Path(__file__).resolve().parents[2] / "book"
FIGURES = figure_registry.figures(BOOK)
DRAWS = "import matplotlib.pyplot as plt\nplt.plot([0, {}], [0, 1])\nplt.show()"


# The figures of the book


def test_there_are_figures():
    assert len(FIGURES) > 40 and list(FIGURES)[0].startswith("fig-")


@pytest.mark.parametrize("file", sorted(BOOK.glob("*.ipynb")), ids=lambda f: f.stem)
def test_a_cell_that_shows_a_figure_has_a_name_and_an_alternative_text(file):
    for cell in json.loads(file.read_text())["cells"]:
        meta = cell["metadata"].get("mystnb", {})
        draws = re.search(r"^\s*plt\.show\(\)", "".join(cell["source"]), re.MULTILINE)
        if cell["cell_type"] == "code" and (draws or meta):
            assert meta.get("figure", {}).get("name", "").startswith("fig-"), cell["id"]
            assert meta["figure"].get("caption"), cell["id"]
            assert meta.get("image", {}).get("alt"), cell["id"]


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_an_alternative_text_says_what_the_figure_shows(figure):
    assert len(figure.alt) >= 40, "say what the figure shows, in a sentence or two"
    assert figure.alt.strip() != figure.caption.strip()
    assert all(why == "" or len(why) > 10 for why in (figure.not_compared, figure.data_vary)), "say why"


def test_no_two_alternative_texts_are_equal():
    assert len({figure.alt for figure in FIGURES.values()}) == len(FIGURES)


def test_pictures_on_written_pages_have_an_alternative_text():
    for page in sorted(BOOK.rglob("*.md")):
        text = page.read_text()
        assert "![](" not in text, page.name
        for block in re.findall(r"^([`:]{3,})(\{(?:figure|image)\}.*?)^\1$", text, re.DOTALL | re.MULTILINE):
            assert ":alt:" in block[1], f"{page.name}: {block[1].splitlines()[0]}"


def test_accepted_figures_are_those_that_are_compared():
    compared = [name for name, figure in FIGURES.items() if not figure.not_compared]
    accepted = json.loads((BOOK / looks.ACCEPTED).read_text())
    assert sorted(accepted) == sorted(compared), f"accept new figures, and forget old ones: {looks.ACCEPT}"


# Names


def test_a_name_is_found_with_and_without_its_prefix():
    assert figure_registry.find("fig-views", BOOK) == figure_registry.find("views", BOOK) == FIGURES["fig-views"]


@pytest.mark.parametrize("given, hint", [("fig-veiws", "fig-views"), ("choose", "fig-choose-c"), ("xyzzy", "--list")])
def test_an_unknown_name_gets_similar_ones(given, hint):
    with pytest.raises(ValueError, match=f"no figure '{given}'.*{hint}"):
        figure_registry.find(given, BOOK)


def test_the_command_lists_figures_and_refuses_before_it_runs_anything(tmp_path, monkeypatch):
    def run(*words: str):
        return CliRunner().invoke(app, ["figure", *words])

    chapters = run("--list").stdout.split("Chapter ")[1:]
    assert [c for c in chapters if "  fig-views\n" in c][0].startswith("02_views:\n") and len(chapters) > 10
    assert "name a figure" in run().stderr
    assert "no figure 'fig-veiws'; did you mean fig-views" in run("fig-veiws").stderr
    assert "must end in .png" in run("fig-views", "--out", str(tmp_path / "a.pdf")).stderr
    assert "tiny" in run("fig-views", "--preset", "huge").stderr
    monkeypatch.setattr(figure_registry, "redraw", lambda name, out, *_: {"inputs": {"a": "", "b": ""}})
    done = run("views", "--seed", "2", "--out", str(tmp_path / "v.png"))
    assert done.exit_code == 0 and f"fig-views: {tmp_path / 'v.png'}; made from 2 files" in done.stdout
    assert "running 02_views up to fig-views, at preset tiny, seed 2" in done.stderr


# A small book


def cell(code: str, name: str = "", alt: str = "A line that rises from the lower left to the upper right.", **more):
    shown = {"mystnb": {"figure": {"name": name, "caption": "A line."}, "image": {"alt": alt}}} if name else {}
    return nbformat.v4.new_code_cell(code, metadata={**shown, **more})


@pytest.fixture
def small_book(tmp_path) -> Path:
    book = tmp_path / "book"
    book.mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "stars.txt").write_text("one star")
    first = cell('preset = "tiny"\nseed = 0', tags=["parameters"])
    cells = [
        nbformat.v4.new_markdown_cell("# One"),
        first,
        cell(DRAWS.format("1 + seed"), "fig-a"),
        cell("print('nothing to see')", "fig-none"),
        cell("1 / 0"),
        cell(DRAWS.format(1), "fig-b"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), book / "one.ipynb")
    return book


def test_a_figure_is_redrawn_with_its_record(small_book, tmp_path, monkeypatch):
    monkeypatch.setenv("ASTRACLR_REAL_DATA", str(tmp_path / "none"))
    out = tmp_path / "new" / "a.png"
    about = figure_registry.redraw("a", out, "tiny", 3, small_book)
    assert about == json.loads(out.with_suffix(".json").read_text())
    assert about["image_sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    with Image.open(out) as image:
        assert image.format == "PNG" and min(image.size) > 100
    assert about["command"] == "astraclr figure fig-a --preset tiny --seed 3 --out fig-a.png"
    assert about["alt"].startswith("A line that") and about["caption"] == "A line."
    assert about["inputs"] == {
        "book/one.ipynb": hashlib.sha256((small_book / "one.ipynb").read_bytes()).hexdigest(),
        "data/stars.txt": hashlib.sha256(b"one star").hexdigest(),
    }
    assert about["revision"] == "unknown" and about["real_stars_at_hand"] is False
    assert {"python", "matplotlib", "torch"} <= set(about["versions"])


def test_what_cannot_be_drawn_leaves_no_file(small_book, tmp_path):
    with pytest.raises(ValueError, match="one stopped before fig-b was drawn: ZeroDivisionError: division by zero"):
        figure_registry.redraw("fig-b", tmp_path / "b.png", book=small_book)
    with pytest.raises(ValueError, match="one ran up to fig-none, but that cell showed no picture"):
        figure_registry.redraw("fig-none", tmp_path / "b.png", book=small_book)
    assert not list(tmp_path.glob("b.*"))


def test_two_figures_of_one_name_are_refused(small_book):
    (small_book / "two.ipynb").write_text((small_book / "one.ipynb").read_text())
    with pytest.raises(ValueError, match="two figures are called fig-a, in one and in two"):
        figure_registry.figures(small_book)


def test_variables_of_this_process_come_back(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    with figure_registry._environment(figure_registry.kernel_environment(BOOK.parent)):
        assert (
            "MPLBACKEND" not in figure_registry.os.environ
            and figure_registry.os.environ["JUPYTER_PREFER_ENV_PATH"] == "1"
        )
    assert (
        figure_registry.os.environ["MPLBACKEND"] == "Agg"
        and "JUPYTER_PREFER_ENV_PATH" not in figure_registry.os.environ
    )


# What figures show


def drawn(lines: int = 2) -> dict:
    figure, ax = plt.subplots()
    for k in range(lines):
        ax.plot([0, 1], [0, k + 1], label=f"line {'ab'[k]}")
    plt.close(figure)
    return describe(figure)


def test_a_cell_shows_its_figure_and_nothing_else(tmp_path):
    picture = base64.b64encode(b"a picture").decode()
    outputs = [
        nbformat.v4.new_output("display_data", data={"image/png": picture}),
        nbformat.v4.new_output("execute_result", data={"text/html": "a table"}, execution_count=1),
    ]
    named = {"mystnb": {"figure": {"name": "fig-one"}}}
    for shown in (outputs[:1], outputs):
        cell = nbformat.v4.new_code_cell("draw()", metadata=named, outputs=shown)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "one.ipynb")
        if len(shown) == 1:
            assert looks.pictures([tmp_path / "one.ipynb"]) == {"fig-one": b"a picture"}
        else:
            with pytest.raises(RuntimeError, match="one: the cell of figure fig-one shows more than the figure"):
                looks.pictures([tmp_path / "one.ipynb"])


def test_new_changed_and_lost_figures_are_named(tmp_path):
    figure = figure_registry.Figure("fig-a", "one", "c", "", "a" * 50)
    known = {n: replace(figure, name=n) for n in ("fig-a", "fig-b", "fig-c")}
    known["fig-c"] = replace(known["fig-c"], not_compared="it shows measured times")
    shown, accepted = {n: drawn() for n in known}, tmp_path / "figures.json"
    assert looks.changed(known, shown, accepted) == ["fig-a (one) is new", "fig-b (one) is new"]
    assert looks.accept(known, shown, accepted) == 2 and "fig-c" not in accepted.read_text()
    assert looks.changed(known, shown, accepted) == [] and looks.accept(known, shown, accepted) == 0
    shown["fig-a"] = drawn(lines=1)
    known |= {"fig-d": replace(figure, name="fig-d")}
    lines = looks.changed(known, shown, accepted)
    assert "fig-a (one): axes 1, drawn: ['line line a', 'line line b'] became ['line line a']" in lines
    assert "fig-d (one) was not drawn" in lines
    del known["fig-b"]
    assert looks.changed(known, shown, accepted)[-1] == "fig-b is no longer a figure to compare"


def test_data_that_vary_with_the_processor_are_not_compared(tmp_path):
    known = {"fig-a": figure_registry.Figure("fig-a", "one", "c", "", "a" * 50, data_vary="UMAP")}
    old, new, accepted = drawn(), drawn(), tmp_path / "figures.json"
    looks.accept(known, {"fig-a": old}, accepted)
    new["axes"][0]["artists"][1]["at"][-1] = [0, 0]
    assert looks.changed(known, {"fig-a": new}, accepted) == []
    known["fig-a"] = replace(known["fig-a"], data_vary="")
    (line,) = looks.changed(known, {"fig-a": new}, accepted)
    assert "line line b: moved by 96% of the axis" in line


def test_what_is_drawn_is_compared_in_ci_only(small_book, tmp_path, monkeypatch, capsys):
    (small_book / "_toc.yml").write_text("format: jb-book\nroot: one\n")
    notebook = json.loads((small_book / "one.ipynb").read_text())
    notebook["cells"] = notebook["cells"][:3]
    (small_book / "one.ipynb").write_text(json.dumps(notebook))
    executed = tmp_path / "_build" / "executed" / "tiny" / "one.ipynb"
    executed.parent.mkdir(parents=True)

    def build_it(contents: dict, accept: bool = False) -> str:
        notebook["cells"][2]["outputs"] = [{"data": {"image/png": "", MIME: contents}}]
        executed.write_text(json.dumps(notebook))
        build.check_figures(small_book, tmp_path / "_build", "tiny", 0, accept)
        return capsys.readouterr().out

    monkeypatch.setenv("CI", "1")
    assert "1 figures were new or had changed, and are accepted: book/figures.json" in build_it(drawn(), accept=True)
    assert build_it(drawn()) == "Figures show what was accepted.\n"
    with pytest.raises(RuntimeError, match=f"fig-a .one.: axes 1(.|\n)*accept them with: {looks.ACCEPT}"):
        build_it(drawn(lines=1))
    monkeypatch.delenv("CI")
    assert build_it(drawn(lines=1)) == ""
    build.check_figures(small_book, tmp_path / "no build", "laptop", 0, False)  # another size is not compared


def test_pages_show_pictures_only(tmp_path):
    outputs = [nbformat.v4.new_output("display_data", data={"image/png": "", MIME: drawn()})]
    cell = nbformat.v4.new_code_cell("draw()", outputs=outputs)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("é"), cell]), tmp_path / "one.ipynb")
    shown = nbformat.reads(looks.for_pages(tmp_path / "one.ipynb"), as_version=4)
    assert list(shown.cells[1].outputs[0].data) == ["image/png"] and shown.cells[0].source == "é"


def painted() -> bytes:
    figure, file = plt.figure(figsize=(7.2, 3.4), dpi=110), io.BytesIO()
    figure.savefig(file, format="png")
    plt.close(figure)
    return file.getvalue()


def test_manifest_and_gallery_of_a_built_book(small_book, tmp_path):
    picture = painted()
    executed = json.loads((small_book / "one.ipynb").read_text())
    executed["cells"] = executed["cells"][:3]
    executed["cells"][2]["outputs"] = [{"data": {"image/png": base64.b64encode(picture).decode()}}]
    (tmp_path / "one.ipynb").write_text(json.dumps(executed))
    shown = looks.pictures([tmp_path / "one.ipynb"])
    assert shown == {"fig-a": picture}
    manifest = looks.manifest(small_book, shown, "tiny", 0)
    assert list(manifest["figures"]) == ["fig-a"] and manifest["figures"]["fig-a"]["page"] == "one.html#fig-a"
    assert list(manifest["shared_inputs"]) == ["data/stars.txt"]
    known = figure_registry.figures(small_book)
    commands = {name: f"`{known[name].command('tiny', 0)}` (3 s)" for name in shown}
    looks.write_gallery(known, shown, commands, tmp_path / "src")
    text = (tmp_path / "src" / "figures.txt").read_text()
    assert (
        "{ref}`fig-a <fig-a>`: A line that" in text
        and "`astraclr figure fig-a --preset tiny --seed 0 --out fig-a.png` (3 s)" in text
    )
    with Image.open(tmp_path / "src" / "gallery" / "fig-a.png") as image:
        assert image.width == looks.THUMBNAIL
    executed["cells"][2]["outputs"] = []
    (tmp_path / "one.ipynb").write_text(json.dumps(executed))
    with pytest.raises(RuntimeError, match="one: the cell of figure fig-a shows no picture"):
        looks.pictures([tmp_path / "one.ipynb"])
