"""Commands about light curves: simulate and summarise them, write them as shards, download published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, DropRepeated, DropUnknown, File, Parquet, Seed


def simulate(
    out: Parquet,
    n: Annotated[int, typer.Option("--n", min=1, help="Number of stars.")] = 600,
    seed: Seed = 0,
) -> None:
    """Simulate labelled light curves like those of ZTF.

    They have 12 classes, equally many stars of each, and the bands g, r and i.

    Example: astraclr simulate --n 600 --seed 7 --out stars.parquet
    """
    term.check_output(out, [".parquet"])
    from astraclr.simulation.simulate import simulate as make

    stars = make(n, seed=seed, progress=True)
    stars.save(out)
    term.tell(f"{len(stars):,} stars, {stars.n_obs:,} observations: {out}")


def info(
    file: File,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="BAND=EPOCHS,...",
            show_default=False,
            help="Count the stars with at least this many epochs in each band, e.g. g=200,r=200. By default: the "
            "paper's cut, and the windows of preset tiny.",
        ),
    ] = None,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Summarise a file of light curves.

    Prints stars, times, epochs per band, classes, what was dropped or repeats, how many stars a cut would keep, and as
    which format the file was read.

    Example: astraclr info stars.parquet --cut g=200,r=200
    """
    at_least = None if cut is None else parsing.parse_cut(cut)
    from astraclr.catalogs import recognise
    from astraclr.cli.report import describe

    stars = inputs.read_stars(file, band, drop_unknown_bands, drop_repeated, quiet=True)
    typer.echo(f"{describe(stars, at_least)}\n")
    term.tell(f"read as: {recognise(file)}")


def shards(
    source: Annotated[
        Path,
        typer.Argument(
            show_default=False,
            help="A HATS catalogue, or light curves as for `astraclr info`. "
            "A folder of files that astraclr saved is read file by file.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", show_default=False, help="Folder for the shards.")],
    cut: Annotated[
        str, typer.Option(metavar="BAND=EPOCHS,...", help='Keep stars with at least this many epochs; "" keeps all.')
    ] = "g=200,r=200",
    workers: Annotated[int, typer.Option(min=1, help="Dask processes that read a HATS catalogue.")] = 2,
    stars_per_shard: Annotated[int, typer.Option(min=1, help="Largest number of stars in a shard.")] = 10_000,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Write light curves that do not fit into memory as shards.

    Training, `astraclr pretrain DIR`, reads these files one by one. After an interruption the same command continues,
    and it replaces lost or damaged shards.

    Example: astraclr shards catalogue --out shards --workers 2
    """
    term.check_folder(out)
    term.check_apart(out, source)
    at_least, bands = parsing.parse_cut(cut) if cut else None, parsing.parse_bands(band)
    from astraclr.catalogs._hats import is_hats
    from astraclr.catalogs.hats_shards import shards_from_hats
    from astraclr.config import ZTF_BANDS
    from astraclr.data.shard_writer import write_shards

    with term.stoppable(lambda: _written(out)):
        if is_hats(source):
            term.need_extra("data", "lsdb", "distributed")
            found = shards_from_hats(
                source,
                out,
                at_least,
                workers,
                stars_per_shard=stars_per_shard,
                bands=bands or ZTF_BANDS,
                drop_unknown_bands=drop_unknown_bands,
                drop_repeated=drop_repeated,
            )
        else:
            pieces = (inputs.read_stars(f, band, drop_unknown_bands, drop_repeated) for f in inputs.pieces(source))
            found = write_shards(pieces, out, stars_per_shard, at_least)
    term.say_notes(found["notes"])
    observations = sum(found["observations"].values())
    term.tell(f"{found['stars']:,} stars, {observations:,} observations, {found['bytes'] / 1e6:,.1f} MB: {out}")


def _written(folder: Path) -> str:
    """What interrupted writing left in a folder of shards, in words."""
    n = len(list(folder.glob("part-*.arrow")))
    return f"{n:,} shards are kept in {folder}; run the same command to go on" if n else "no shard was written"


def fetch(
    out: Parquet,
    limit: Annotated[int | None, typer.Option(min=1, help="Largest number of stars.", show_default=False)] = None,
    near: Annotated[
        str | None,
        typer.Option(
            metavar="RA,DEC,RADIUS", show_default=False, help="Only stars in this cone: degrees, degrees, arcsec."
        ),
    ] = None,
    gaia_id: Annotated[
        list[int] | None,
        typer.Option(
            "--id", metavar="GAIA_ID", show_default=False, help="Only this star of Gaia DR3; repeat for more."
        ),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(
            metavar="BAND=EPOCHS,...",
            show_default=False,
            help="Only stars with at least this many epochs in each band, e.g. g=200,r=200.",
        ),
    ] = None,
) -> None:
    """Download stars of the published data set.

    Choose them by number, position or Gaia DR3 id. This needs the network; a repeated request reads a local copy.

    Example: astraclr fetch --limit 100 --cut g=200,r=200 --out published.parquet
    """
    term.check_output(out, [".parquet"])
    cone, at_least = parsing.parse_near(near), None if cut is None else parsing.parse_cut(cut)
    if limit is None and cone is None and not gaia_id:
        raise ValueError("say what to fetch: --limit N, --near RA,DEC,RADIUS or --id GAIA_ID")
    from astraclr.catalogs import published

    term.say("asking for the published data set; the first request may take minutes, the same request is fast later")
    stars = published(limit, near=cone, ids=gaia_id or None, at_least=at_least)
    stars.save(out)
    term.tell(f"{len(stars):,} stars, {stars.n_obs:,} observations ({stars.report()}): {out}")
