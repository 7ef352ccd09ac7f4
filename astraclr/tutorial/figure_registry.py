"""List the figures of the book by name, with alternative text, inputs and command, and redraw one of them.

A figure is a cell of code in a chapter that has a name (``mystnb.figure.name``) and an alternative text
(``mystnb.image.alt``) in its metadata. The list is read from the notebooks.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from astraclr.files import replacing, revision, sha256
from astraclr.tutorial.figure_contents import MIME, RECORD

SHARED = ("astraclr", "data", "constraints", "benchmarks/results", "tests/oracles")
"""Files and folders that every chapter may read."""
_VERSIONS = ("astraclr", "torch", "numpy", "pandas", "matplotlib", "scikit-learn", "umap-learn")


@dataclass(frozen=True)
class Figure:
    """A figure of the book.

    Attributes
    ----------
    name, chapter : str
        Such as ``fig-views``, and the notebook that draws it, such as ``02_views``.
    cell : str
        Id of the cell that shows it.
    caption, alt : str
        Text below it; alternative text for readers who do not see it.
    not_compared : str
        Why it is not compared between builds; empty where it is.
    data_vary : str
        Why only its words and kinds of artists are compared, not its data, which another processor rounds otherwise.

    Examples
    --------
    >>> Figure("fig-views", "02_views", "ch2-9", "Three views.", "Three panels.").command("tiny", 0)
    'astraclr figure fig-views --preset tiny --seed 0 --out fig-views.png'
    """

    name: str
    chapter: str
    cell: str
    caption: str
    alt: str
    not_compared: str = ""
    data_vary: str = ""

    def command(self, preset: str, seed: int) -> str:
        """Command that redraws the figure."""
        return f"astraclr figure {self.name} --preset {preset} --seed {seed} --out {self.name}.png"


def book_folder() -> Path:
    """Folder of the chapters.

    Raises
    ------
    FileNotFoundError
        If the package was installed without its repository.

    Examples
    --------
    >>> book_folder().name
    'book'
    """
    from astraclr.files import repository_file

    return repository_file("book")


def figures(book: Path) -> dict[str, Figure]:
    """List every figure by name, in the order of files and cells.

    Raises
    ------
    ValueError
        If two figures have one name.

    Examples
    --------
    >>> figures(book_folder())["fig-views"].chapter
    '02_views'
    """
    found: dict[str, Figure] = {}
    for file in sorted(book.glob("*.ipynb")):
        for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
            meta = cell["metadata"].get("mystnb", {})
            shown = meta.get("figure", {})
            if cell["cell_type"] != "code" or "name" not in shown:
                continue
            if (name := shown["name"]) in found:
                raise ValueError(f"two figures are called {name}, in {found[name].chapter} and in {file.stem}")
            found[name] = Figure(
                name,
                file.stem,
                cell["id"],
                shown.get("caption", ""),
                meta.get("image", {}).get("alt", ""),
                **cell["metadata"].get("astraclr", {}),
            )
    return found


def find(name: str, book: Path) -> Figure:
    """Find a figure by its name, with or without ``fig-``.

    Raises
    ------
    ValueError
        If there is none; the message names similar ones.

    Examples
    --------
    >>> find("views", book_folder()).name
    'fig-views'
    """
    known = figures(book)
    for wanted in (name, f"fig-{name}"):
        if wanted in known:
            return known[wanted]
    word, words = name.removeprefix("fig-").lower(), [n.removeprefix("fig-") for n in known]
    near = difflib.get_close_matches(word, words, n=3) + [w for w in words if word in w]
    similar = [f"fig-{w}" for w in dict.fromkeys(near)][:4]
    hint = f"did you mean {', '.join(similar)}?" if similar else "`astraclr figure --list` prints all names"
    raise ValueError(f"no figure {name!r}; {hint}")


def files_below(path: Path) -> list[Path]:
    """List the files of a folder in order, or the file itself, without caches of Python and Jupyter."""
    aside = {"__pycache__", ".ipynb_checkpoints"}
    return [f for f in (sorted(path.rglob("*")) if path.is_dir() else [path]) if f.is_file() and not aside & {*f.parts}]


def shared_inputs(root: Path) -> dict[str, str]:
    """SHA-256 of every file that all chapters share, by its path in the repository."""
    there = [root / name for name in SHARED if (root / name).exists()]
    return {f.relative_to(root).as_posix(): sha256(f) for path in there for f in files_below(path)}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that draw."""
    out = {"python": python_version()}
    for name in _VERSIONS:
        try:
            out[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            out[name] = "not installed"
    return out


def real_data(root: Path) -> Path:
    """Folder of real light curves (``ASTRACLR_REAL_DATA``), which chapters show if it exists."""
    return Path(os.environ.get("ASTRACLR_REAL_DATA", root.parent / "shared" / "real")).absolute()


def kernel_environment(root: Path) -> dict[str, str]:
    """Environment in which a chapter runs: the kernel of this installation, drawing inline, and `RECORD` set."""
    env = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    return env | {"JUPYTER_PREFER_ENV_PATH": "1", "ASTRACLR_REAL_DATA": str(real_data(root)), RECORD: "1"}


def image_of(cell: dict[str, Any]) -> bytes | None:
    """PNG picture that an executed cell shows; None if it shows none, the last if it shows several."""
    found = [o["data"]["image/png"] for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    return base64.b64decode("".join(found[-1])) if found else None


def contents_of(cell: dict[str, Any]) -> dict[str, Any] | None:
    """Description (`figure_contents.describe`) of the figure of an executed cell; None if it was not recorded."""
    found = [o["data"][MIME] for o in cell.get("outputs", []) if MIME in o.get("data", {})]
    return found[-1] if found else None


def facts(figure: Figure, picture: bytes, preset: str, seed: int, root: Path) -> dict[str, Any]:
    """What a figure was made from and with, without the inputs that all figures share."""
    source = root / "book" / f"{figure.chapter}.ipynb"
    return {
        "name": figure.name,
        "chapter": figure.chapter,
        "caption": figure.caption,
        "alt": figure.alt,
        "command": figure.command(preset, seed),
        "preset": preset,
        "seed": seed,
        "revision": revision(root, "book", *SHARED),
        "real_stars_at_hand": real_data(root).is_dir(),
        "image_sha256": hashlib.sha256(picture).hexdigest(),
        "inputs": {f"book/{source.name}": sha256(source)},
        "versions": versions(),
    }


def redraw(name: str, out: Path, preset: str = "tiny", seed: int = 0, book: Path | None = None) -> dict[str, Any]:
    """Run the chapter of a figure up to its cell, and write the picture, and beside it a JSON file about its making.

    Parameters
    ----------
    name : str
        Of the figure, with or without ``fig-``.
    out : Path
        PNG file to write; the JSON file has the same name with the suffix ``.json``.
    book : Path, optional
        Folder of the chapters; by default that of this repository.

    Returns
    -------
    dict
        What the JSON file says: caption, alternative text, command, revision, SHA-256 of inputs and of the picture.

    Raises
    ------
    ValueError
        If there is no such figure, or the chapter stops before it is drawn.
    FileNotFoundError, ImportError
        Without the repository, or without the packages that run chapters.
    """
    book = book or book_folder()
    figure, root = find(name, book), book.parent
    cell = _run_up_to(figure, preset, seed, book)
    if (picture := image_of(cell)) is None:
        raise ValueError(f"{figure.chapter} ran up to {figure.name}, but that cell showed no picture")
    about = facts(figure, picture, preset, seed, root)
    about["inputs"] |= shared_inputs(root)
    with replacing(out) as part:
        part.write_bytes(picture)
    with replacing(out.with_suffix(".json")) as part:
        part.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return about


def _run_up_to(figure: Figure, preset: str, seed: int, book: Path) -> dict[str, Any]:
    """Run a chapter up to the cell of a figure, and return that cell."""
    import papermill
    from papermill.exceptions import PapermillExecutionError

    notebook = json.loads((book / f"{figure.chapter}.ipynb").read_text(encoding="utf-8"))
    last = next(k for k, cell in enumerate(notebook["cells"]) if cell["id"] == figure.cell)
    notebook["cells"] = [cell for cell in notebook["cells"][: last + 1] if cell["cell_type"] == "code"]
    with tempfile.TemporaryDirectory() as folder, _environment(kernel_environment(book.parent)):
        source, done = Path(folder, "part.ipynb"), Path(folder, "done.ipynb")
        source.write_text(json.dumps(notebook), encoding="utf-8")
        try:
            papermill.execute_notebook(
                source,
                done,
                {"preset": preset, "seed": seed},
                kernel_name="python3",
                language="python",
                cwd=folder,
                progress_bar={"leave": False},  # pyright: ignore[reportArgumentType]
                extra_arguments=["--log-level=40"],
            )
        except PapermillExecutionError as error:
            raise ValueError(
                f"{figure.chapter} stopped before {figure.name} was drawn: {error.ename}: {error.evalue}"
            ) from error
        return json.loads(done.read_text(encoding="utf-8"))["cells"][-1]


@contextmanager
def _environment(wanted: dict[str, str]) -> Iterator[None]:
    """Replace the environment of this process, which the kernel inherits, until the block ends."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
