"""The command that writes a report on a reader's own stars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, CheckpointName, DropRepeated, DropUnknown, File, Label, Threads


def report(
    file: File,
    out: Annotated[Path, typer.Option(help="HTML file to write.", show_default=False)],
    checkpoint: CheckpointName = "laptop",
    max_stars: Annotated[
        int, typer.Option(min=2, max=20_000, help="Embed and draw at most so many stars, drawn at random.")
    ] = 5_000,
    label: Label = "label",
    head: Annotated[
        Path | None,
        typer.Option(
            show_default=False, help="Head for the classes; by default the one in the folder of the checkpoint."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of stars, the map and the scores.")] = 42,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Write a report on your stars as one HTML page.

    It is the page to send to a colleague: it says what was read and dropped, and shows cadence and errors, the map of
    the embeddings, classes with flags, the strangest stars, nearest neighbours, and what the encoder was trained on.
    OUT contains light curves of a few stars: do not pass it on if they are private.

    Example: astraclr report stars.parquet --out report.html
    """
    term.check_output(out, [".html"], file)
    term.need_extra("plot", "matplotlib", "umap")
    term.need_extra("interop", "coniferest")
    parsing.parse_bands(band)
    from astraclr.analysis.classifier import load_head
    from astraclr.analysis.star_report import star_report
    from astraclr.files import replacing

    term.use_threads(threads)
    encoder, folder = inputs.find_checkpoint(checkpoint)
    head_file = head or folder / inputs.HEAD
    classifier = load_head(head_file, encoder) if head is not None or head_file.exists() else None
    stars = inputs.read_labelled(file, label, band, drop_unknown_bands, drop_repeated)
    page = star_report(stars, encoder, classifier, source=file.name, max_stars=max_stars, seed=seed, progress=True)
    with replacing(out) as part:
        part.write_text(page, encoding="utf-8")
    term.tell(f"report on {len(stars):,} stars, {len(page) / 1e6:,.1f} MB; open it in a browser: {out}")
