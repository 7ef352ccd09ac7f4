"""What `embed` and `predict` do where --out is a folder: a HATS catalogue or shards, on Dask."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from astraclr.cli import parsing
from astraclr.cli import terminal as term

Workers = Annotated[
    int | None,
    typer.Option(
        min=1, show_default=False, help="Processes on this machine, where OUT is a folder; 2 by default, 1 starts none."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        show_default=False,
        help="Compute on the workers of this Dask scheduler instead, such as tcp://10.0.0.1:8786. They must see "
        "catalogue and OUT under the same names.",
    ),
]


def is_folder(out: Path, suffixes: Sequence[str], source: Path, workers: int | None, scheduler: str | None) -> bool:
    """Whether the results go into a folder, one file a partition; everything about the output is checked.

    Raises
    ------
    ValueError
        If the output cannot be written, workers are given for a single file, or both workers and a scheduler are.
    """
    if workers is not None and scheduler is not None:
        raise ValueError("--workers starts processes here, --scheduler uses those of a cluster: give one of them")
    if out.suffix in suffixes and not out.is_dir():
        if workers is not None or scheduler is not None:
            raise ValueError(
                f"--workers and --scheduler are for a HATS catalogue or shards, written into a folder: {out} is one "
                "file; give --out the name of a folder"
            )
        if _holds_shards(source):
            raise ValueError(f"{source} holds shards, whose results are written into a folder: give --out its name")
        term.check_output(out, suffixes, source)
        return False
    if not (_holds_shards(source) or _is_hats(source)):
        if out.suffix or out.is_dir():
            term.check_output(out, suffixes, source)
        raise ValueError(
            f"cannot write {out}: the name must end in {' or '.join(suffixes)}; a folder is written for a HATS "
            "catalogue or for shards (`astraclr shards` makes them)"
        )
    if "://" not in str(located(source)):
        term.check_apart(out, source)
    term.check_folder(out)
    term.need_extra("data", "lsdb", "distributed")
    return True


@contextmanager
def computing(workers: int | None, scheduler: str | None) -> Iterator[dict[str, Any]]:
    """Give the options of `embed_catalogue` that say where to compute."""
    if scheduler is None:
        yield {"workers": workers or 2}
        return
    from astraclr.catalogs._dask import cluster

    with cluster(0, scheduler) as client:
        yield {"client": client}


def run(
    do: Callable[..., dict[str, Any]],
    files: tuple[Path, Path],
    computed: tuple[int | None, str | None],
    read: tuple[Sequence[str] | None, bool, bool],
    options: dict[str, Any],
) -> None:
    """Embed or classify a catalogue, and print what was done.

    Parameters
    ----------
    do : `embed_catalogue` or `predict_catalogue`
    files : source and folder of the results
    computed : values of --workers and --scheduler
    read : values of --band, --drop-unknown-bands and --drop-repeated
    options : further options of `do`
    """
    from astraclr.config import ZTF_BANDS

    (source, out), (band, unknown, repeated) = files, read
    bands = parsing.parse_bands(band)
    if _holds_shards(source) and (band or unknown or repeated):
        raise ValueError(
            f"{source} holds shards, written with their bands and cuts: leave --band, --drop-unknown-bands and "
            "--drop-repeated out, or give them to `astraclr shards`"
        )
    cleaning = {"bands": bands or ZTF_BANDS, "drop_unknown_bands": unknown, "drop_repeated": repeated}
    saved = f"what is done is in {out}; run the same command to go on"
    with term.stoppable(lambda: saved), computing(*computed) as where:
        found = do(located(source), out, progress=True, **cleaning, **where, **options)
    term.say_notes(found["notes"])
    if not found["written"]:
        term.tell(f"all {found['rows']:,} stars were done before: {out}")
        return
    memory = f", at most {found['peak_mb']:,.0f} MB a worker" if found["peak_mb"] else ""
    term.tell(f"{found['rows']:,} stars in {len(found['parts']):,} partitions{memory}: {out}")


def located(path: Path) -> Path | str:
    """A path as it was typed: of an address, a path leaves one slash out.

    Examples
    --------
    >>> located(Path("hf://datasets/one/two"))
    'hf://datasets/one/two'
    """
    text = re.sub(r"^([a-z0-9]{2,}):/(?!/)", r"\1://", str(path))
    return text if "://" in text else path


def _holds_shards(path: Path) -> bool:
    from astraclr.catalogs.partitions import is_shards

    return is_shards(path)


def _is_hats(path: Path) -> bool:
    from astraclr.catalogs._hats import is_hats

    return is_hats(located(path))
