"""The command that redraws a figure of the book."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import terminal as term
from astraclr.cli._options import Preset, Seed


def figure(
    name: Annotated[str | None, typer.Argument(show_default=False, help="Name of a figure, such as fig-views.")] = None,
    preset: Preset = "tiny",
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png",
            show_default=False,
            help="PNG file to write; by default NAME.png here. FILE.json records what it was made from.",
        ),
    ] = None,
    list_all: Annotated[
        bool, typer.Option("--list", help="Print the names of all figures of the book by chapter, and stop.")
    ] = False,
) -> None:
    """Redraw a figure of the book.

    The chapter runs up to the figure; a chapter that needs a trained encoder trains it once. This needs the repository,
    not only the package.

    Example: astraclr figure fig-choose-c --preset tiny --out fig-choose-c.png
    """
    from astraclr import config
    from astraclr.tutorial import figure_registry

    book = figure_registry.book_folder()
    if list_all:
        chapter = ""
        for known in figure_registry.figures(book).values():
            if known.chapter != chapter:
                chapter = known.chapter
                term.tell(f"Chapter {chapter}:")
            term.tell(f"  {known.name}")
            term.tell(f"      {known.alt}")
        return
    if name is None:
        raise ValueError("name a figure: `astraclr figure --list` prints all names")
    size, found = config.preset(preset), figure_registry.find(name, book)
    file = out or Path(f"{found.name}.png")
    term.check_output(file, [".png"])
    _need_own_record(file.with_suffix(".json"))
    term.need_extra("book", "papermill", "ipykernel", "myst_nb")
    term.say(f"running {found.chapter} up to {found.name}, at preset {size.name}, seed {seed}")
    about = figure_registry.redraw(found.name, file, size.name, seed, book)
    term.tell(f"{found.name}: {file}; made from {len(about['inputs'])} files, named in {file.with_suffix('.json')}")


def _need_own_record(path: Path) -> None:
    """Refuse to write a figure where another's file has the name of the one that says what it is made from."""
    from astraclr.files import read_json
    from astraclr.parts import need_file_name

    need_file_name(path)
    try:
        if not path.exists() or "image_sha256" in read_json(path):
            return
    except ValueError:
        pass
    raise ValueError(f"cannot write {path}, which tells what a figure is made from: another file has this name")
