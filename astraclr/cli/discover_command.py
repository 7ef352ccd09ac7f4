"""The command that searches for oddities with an expert in the loop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from astraclr.cli import inputs, parsing
from astraclr.cli import terminal as term
from astraclr.cli._options import Band, CheckpointName, DropRepeated, DropUnknown, Label, Seed, Threads

if TYPE_CHECKING:  # torch would make `astraclr --help` wait
    from collections.abc import Callable

    import numpy as np

    from astraclr.analysis.discovery import Discovery
    from astraclr.data.lightcurves import LightCurves

    _Begun = tuple[Callable[[], Discovery], str]

USES = ("embeddings", "windows", "features", "both")
_DEFAULT = ("windows", "features")


def discover(
    stars: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|EMBEDDINGS|DIR",
            show_default=False,
            help="Light curves as for `astraclr info`, a table that `astraclr embed` wrote, or the folder of a search "
            "that goes on.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False, help="Folder to make for a new search.")
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(show_default=False, help="Answers that the page of DIR saved, CSV or JSON: rank again with them."),
    ] = None,
    change: Annotated[
        bool, typer.Option("--change", help="Let these answers replace earlier ones that say something else.")
    ] = False,
    use: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            show_default=False,
            help="What to rank by: embeddings, windows (how much the windows of a star disagree, good for short "
            "events), features, or both (embeddings and features); repeat it to join several. By default windows "
            "and features; of a table its embeddings.",
        ),
    ] = None,
    curves: Annotated[
        Path | None,
        typer.Option(show_default=False, help="Light curves of the stars of EMBEDDINGS, to show them."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="pine (Pine Forest) or aad (active anomaly detection), both of coniferest.")
    ] = "pine",
    top: Annotated[int, typer.Option(min=1, max=1_000, help="Ask about so many stars in the page.")] = 100,
    checkpoint: CheckpointName = "laptop",
    label: Label = "label",
    seed: Seed = 0,
    threads: Threads = 1,
    band: Band = None,
    drop_unknown_bands: DropUnknown = False,
    drop_repeated: DropRepeated = False,
) -> None:
    """Search for oddities with your answers.

    A forest ranks the stars, you say yes or no to those on top, and it ranks again. A new search writes into DIR a
    ranked list of all stars (ranking.csv) and a page (discover.html) that shows the strangest, one light curve at a
    time, and saves your answers as a file. With that file and DIR the command ranks again. Answers add up over rounds,
    and the folder keeps them (answers.csv). After Ctrl-C or a kill, the same command goes on.

    Example: astraclr discover stars.parquet --out search
    With your answers: astraclr discover search --answers answers.csv
    """
    parsing.parse_bands(band)
    term.need_extra("interop", "coniferest")
    from astraclr.analysis import discovery

    goes_on = discovery.is_discovery(stars)
    read = (band, drop_unknown_bands, drop_repeated)
    if goes_on:
        if out is not None or use or curves or any(read):
            raise ValueError(
                f"{stars} is a search that goes on with its own stars and settings: leave --out, --use, --curves and "
                "--band out, or give light curves to begin a new one"
            )
        _next_round(stars, answers, change, top)
        return
    if answers is not None or change:
        raise ValueError(
            f"{stars} is no folder of a search, and answers belong to one: begin it with --out, without them"
        )
    if out is None:
        raise ValueError(f"a new search of {stars} needs a folder: --out DIR")
    term.check_apart(out, stars)
    term.check_folder(out)
    from astraclr.folders import locked

    term.use_threads(threads)
    if not discovery.is_discovery(out):
        discovery.need_new(out)
    make, of = _begin(stars, curves, use, (method, seed), (checkpoint, label), read)
    again = discovery.begun(out, of) is not None
    made = None if again else make()
    with locked(out):
        if made is not None:
            discovery.save_stars(made, out)
        _rank(made or discovery.load_discovery(out), out, top)


def _next_round(folder: Path, answers: Path | None, change: bool, top: int) -> None:
    """Add answers to a search and rank again; without answers only rank again."""
    from astraclr.analysis import discovery
    from astraclr.analysis.expert_answers import read_answers
    from astraclr.folders import locked

    given = {} if answers is None else read_answers(answers)
    if answers is not None and not given:
        raise ValueError(f"{answers} holds no answers; say yes or no to some stars in {folder / discovery.PAGE}")
    with locked(folder):
        search = discovery.load_discovery(folder)
        grown = discovery.answered(search, given, change)
        if answers is not None:
            new = sum(grown.answers.get(star) != search.answers.get(star) for star in given)
            term.say(f"{answers}: {len(given):,} answers, {new:,} of them new")
        _rank(grown, folder, top)


def _rank(search: Discovery, folder: Path, top: int) -> None:
    """Rank the stars of a search, write the round, and say what comes next."""
    from tqdm import tqdm

    from astraclr.analysis import discovery
    from astraclr.analysis.discovery_page import METHOD_NAMES, discovery_page
    from astraclr.analysis.expert_answers import counted

    with tqdm(total=2, desc="ranking", unit="step") as bar:
        discovery.save_answers(search, folder)
        table = discovery.ranked(search)
        bar.update()
        discovery.save_round(table, discovery_page(search, table, top), folder)
        bar.update()
    how = f"{METHOD_NAMES[search.settings['method']]} on {' and '.join(search.settings['use'])}"
    term.tell(f"{len(table):,} stars ranked by {how}, with {counted(search.answers)}: {folder / discovery.RANKING}")
    term.tell(
        f"open {folder / discovery.PAGE} in a browser and answer; then: astraclr discover {folder} --answers FILE"
    )


def _begin(
    stars: Path,
    curves: Path | None,
    use: list[str] | None,
    forest: tuple[str, int],
    reading: tuple[str, str],
    read: tuple[Any, bool, bool],
) -> _Begun:
    """What makes a new search of light curves or of a table of embeddings, and the digest of what it begins with."""
    from astraclr.analysis.active_search import METHODS, vectors
    from astraclr.analysis.discovery import begun_of, new_discovery
    from astraclr.data.sources import fingerprint

    method, seed = forest
    if method not in METHODS:
        raise ValueError(f"--method {method}: choose {' or '.join(METHODS)}")
    wanted, (checkpoint, label) = _uses(use), reading
    how: dict[str, Any] = {"method": method, "seed": seed}
    if _is_table(stars):
        return _of_table(stars, curves, wanted, how, read)
    if curves is not None:
        raise ValueError(f"--curves belongs to a table of embeddings; {stars} holds light curves already")
    wanted = wanted or _DEFAULT
    encoder, _ = inputs.find_checkpoint(checkpoint)
    lc = inputs.read_labelled(stars, label, *read)
    how |= {"use": list(wanted), "encoder": encoder.name, "checkpoint": encoder.sha256}
    of = begun_of([fingerprint(lc), *lc.label.tolist()], how)

    def make() -> Discovery:
        x = vectors(lc, encoder, wanted, progress=True)
        return new_discovery(lc.object_id, lc.label, x, {**how, "of": of}, lc)

    return make, of


def _uses(use: list[str] | None) -> tuple[str, ...]:
    """Values of --use without repeats, "both" taken apart."""
    if unknown := [name for name in use or () if name not in USES]:
        raise ValueError(f"--use {unknown[0]}: choose {', '.join(USES[:-1])} or {USES[-1]}")
    parts = [part for name in use or () for part in (("embeddings", "features") if name == "both" else (name,))]
    return tuple(dict.fromkeys(parts))


def _is_table(path: Path) -> bool:
    """Whether a path is a table of embeddings: a parquet file with that column, or a table in parts."""
    from astraclr.data.parquet import open_parquet
    from astraclr.data.table_parts import is_parts
    from astraclr.files import existing

    if existing(path).is_dir():
        return is_parts(path)
    return path.suffix == ".parquet" and "embedding" in open_parquet(path).schema_arrow.names


def _of_table(
    path: Path, curves: Path | None, use: tuple[str, ...], how: dict[str, Any], read: tuple[Any, bool, bool]
) -> _Begun:
    """As `_begin`, for a table of embeddings; the light curves are only shown, or give the features."""
    import hashlib

    import numpy as np

    from astraclr.analysis.discovery import begun_of, new_discovery
    from astraclr.data.sources import fingerprint
    from astraclr.evaluate.embedding_tables import read_embeddings

    if "windows" in use:
        raise ValueError("--use windows needs light curves: give their file in place of the table")
    if "features" in use and curves is None:
        raise ValueError("--use features needs the light curves of the table: name their file with --curves")
    table = read_embeddings(path)
    lc = None if curves is None else inputs.read_stars(curves, *read)
    use = use or ("embeddings",)
    if lc is not None and (n := len(table) - int(np.isin(table.object_id, lc.object_id).sum())):
        term.say(f"note: {n:,} of {len(table):,} stars of the table have no light curve in {curves}")
    how |= {"use": list(use), "encoder": table.checkpoint[:8], "checkpoint": table.checkpoint}
    numbers = hashlib.sha256(np.ascontiguousarray(table.x).data).hexdigest()
    of = begun_of(
        [numbers, *table.object_id.tolist(), *table.label.tolist(), "" if lc is None else fingerprint(lc)], how
    )

    def make() -> Discovery:
        parts = {"embeddings": table.x}
        if lc is not None and "features" in use:
            parts["features"] = _features_of(table.object_id, lc, curves)
        x = np.concatenate([parts[name] for name in use], axis=1)
        return new_discovery(table.object_id, table.label, x, {**how, "of": of}, lc)

    return make, of


def _features_of(ids: np.ndarray, lc: LightCurves, curves: Path | None) -> np.ndarray:
    """Features of the stars of a table, in its order."""
    from astraclr.evaluate.features import features

    place = {star: k for k, star in enumerate(lc.object_id.tolist())}
    if missing := [star for star in ids.tolist() if star not in place]:
        raise ValueError(
            f"{len(missing):,} stars of the table, such as {missing[0]!r}, have no light curve in {curves}, so they "
            "have no features: give all light curves, or use embeddings"
        )
    return features(lc[[place[star] for star in ids.tolist()]], progress=True)[0]
