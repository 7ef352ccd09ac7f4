"""The command that finds the stars of a table that are like given ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, DropRepeated, DropUnknown, Threads

if TYPE_CHECKING:  # torch would make `astraclr --help` wait
    from astraclr.analysis.similar_index import Search
    from astraclr.evaluate.embedding_tables import Embeddings

_SHOWN = 30


def similar(
    embeddings: Annotated[
        Path,
        typer.Argument(show_default=False, help="Table that `astraclr embed` wrote: a parquet file, or a folder."),
    ],
    to: Annotated[
        list[str],
        typer.Option(
            metavar="FILE|ID",
            show_default=False,
            help="Light curves as for `astraclr info`, or an object id of the table; repeat it for more ids.",
        ),
    ],
    k: Annotated[int, typer.Option("--k", min=1, help="Number of neighbours of each star.")] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Parquet or CSV file: one row for each neighbour.", show_default=False)
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="Encoder that made the table, for light curves; by default the one kept in its folder, or laptop.",
        ),
    ] = None,
    index: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            show_default=False,
            help="Folder of an index of the table, made if it is not there; by default exact up to 100,000 stars, "
            "and beyond EMBEDDINGS.index where faiss is installed.",
        ),
    ] = None,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Find the stars of a table that are most like given ones.

    Similarity is the cosine of the embeddings, 1 for the same direction. A star is not its own neighbour.

    Example: astraclr similar embeddings.parquet --to my_star.csv --k 10 --out similar.csv
    With ids of the table: astraclr similar embeddings.parquet --to 686103400034440 --to 686103400034441
    """
    if out is not None:
        term.check_output(out, [".parquet", ".csv"], embeddings)
    files = [name for name in to if Path(name).exists()]
    if files and len(to) > 1:
        raise ValueError(f"--to {files[0]} is a file: give one file, or ids of the table, not both")
    if not files and (checkpoint or band or drop_unknown_bands or drop_repeated):
        raise ValueError(
            f"--checkpoint, --band, --drop-unknown-bands and --drop-repeated are for light curves; {to[0]} is no "
            "file: leave them out, or give --to an existing file"
        )
    parsing.parse_bands(band)
    from astraclr.analysis import similar as search
    from astraclr.cli.report import aligned
    from astraclr.evaluate.embedding_tables import read_embeddings

    term.use_threads(threads)
    table = read_embeddings(embeddings)
    if files:
        encoder, _ = inputs.find_checkpoint(checkpoint or _encoder_of(embeddings))
        search.need_encoder(table, encoder)
        stars = inputs.read_stars(Path(files[0]), band, drop_unknown_bands, drop_repeated)
        queries = search.embedded(stars, encoder, table, progress=len(stars) > 100)
    else:
        queries = table[search.rows_of(table, to)]
    found = search.similar(table, queries, k, _search(table, embeddings, index))
    rows = [
        [q, str(rank), star, label or "-", f"{value:.3f}"]
        for q, rank, star, label, value in found.head(_SHOWN).itertuples(index=False)
    ]
    for line in aligned(["star", "rank", "object_id", "label", "similarity"], rows):
        term.tell(line)
    if out is not None:
        term.write_table(found, out)
        term.tell(f"{len(found):,} neighbours of {len(queries):,} stars: {out}")
    elif len(found) > _SHOWN:
        term.say(f"note: {len(found) - _SHOWN:,} more are not shown; --out writes all")


def _encoder_of(embeddings: Path) -> str:
    """The encoder that is kept with a table in parts; else laptop."""
    kept = embeddings / "encoder"
    return str(kept) if (kept / "config.json").is_file() else "laptop"


def _search(table: Embeddings, path: Path, folder: Path | None) -> Search | None:
    """How to search: None for exactly; through the index of a folder, which is made where there is none."""
    from importlib.util import find_spec

    from astraclr.analysis.similar import EXACT_UP_TO, table_checksum

    if folder is None and (len(table) <= EXACT_UP_TO or find_spec("faiss") is None):
        if len(table) > EXACT_UP_TO:
            term.say("note: searched exactly; for an index of so many stars: pip install 'astraclr[similar]'")
        return None
    from astraclr.analysis.similar_index import build_index, half_made, load_index
    from astraclr.folders import LOCK, locked, need_no_others

    folder = folder or path.with_name(f"{path.name}.index")
    checksum = table_checksum(path)
    if (folder / "index.json").is_file() and not half_made(folder):
        search, facts = load_index(folder, table, checksum)
        if (folder / LOCK).exists():
            with (
                suppress(ValueError),
                locked(folder),
            ):  # it is that of a process killed when all was written, or it stays
                pass
    else:
        term.check_folder(folder)
        term.check_apart(folder, path)
        with locked(folder):
            need_no_others(folder, lambda file: file.name == "index.json" and half_made(folder))
            search, facts = build_index(table, checksum, folder)
    term.say(
        f"index of {facts.n_stars:,} stars in {folder}: finds {facts.recall:.3f} of the 10 nearest, {facts.ms:.2f} ms "
        f"a query ({facts.ms_exact:.2f} ms exactly)"
    )
    return search
