"""What every command does the same way: bad input is one clear line, outputs are checked first, files appear whole."""

from __future__ import annotations

import importlib.util
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:  # pandas and torch would make `astraclr --help` wait
    import pandas as pd

    from astraclr.checkpoints import Checkpoint
    from astraclr.lightcurves import LightCurves
    from astraclr.shards import Shards

HEAD = "head.safetensors"
"""A head lies in its checkpoint's folder under this name."""

ANGSTROM_RANGE = (1_000.0, 100_000.0)
"""Ultraviolet to mid-infrared: a wavelength outside was probably given in nanometres or micrometres."""


class Commands(TyperGroup):
    """The commands; bad input is one line and exit code 2, Ctrl-C one line and exit code 130."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        told: set[str] = set()

        def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
            line = one_line(message)
            if line not in told and not issubclass(category, DeprecationWarning | FutureWarning):
                told.add(line)
                say(f"warning: {line}")

        with warnings.catch_warnings():
            warnings.showwarning = show
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                say("stopped: no output was changed (files appear whole, or not at all)")
                raise typer.Exit(130) from None
            except BrokenPipeError:
                raise
            except (ValueError, OSError, ImportError) as error:
                if ctx.params.get("traceback"):
                    raise
                say(f"error: {_with_remedy(error)}")
                raise typer.Exit(2) from None


def say(line: str) -> None:
    """Print a line to stderr, where it does not mix with results."""
    typer.echo(line, err=True)


def one_line(message: object) -> str:
    """Any message on one line."""
    return " ".join(str(message).split())


def _with_remedy(error: Exception) -> str:
    line = one_line(error) or type(error).__name__
    if isinstance(error, ImportError) and "pip install" not in line:
        line += "; install what is missing with: pip install 'astraclr[all]'"
    return line


@contextmanager
def stoppable(saved: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C say what is `saved`, and end with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped: {saved()}")
        raise typer.Exit(130) from None


def check_output(path: Path, suffixes: Sequence[str], *inputs: Path | None) -> None:
    """Refuse, before any work, a file that could not be written, or that would replace one of the `inputs`.

    Raises
    ------
    ValueError
        If `path` is a folder, ends in none of `suffixes`, is an input, or lies where nothing can be written.
    """
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it, ending in {suffixes[0]}")
    if path.suffix not in suffixes:
        raise ValueError(f"cannot write {path}: the name must end in {' or '.join(suffixes)}")
    for given in (g for g in inputs if g is not None and g.exists()):
        if path.exists() and path.samefile(given):
            raise ValueError(f"cannot write {path}: it is the input; choose another name")
        if given.is_dir() and given.resolve() in path.resolve().parents:
            raise ValueError(f"cannot write {path}: it would lie among the light curves of {given}; "
                             "choose another folder")  # fmt: skip
    check_folder(path.parent, path)


def check_folder(folder: Path, wanted: Path | None = None) -> None:
    """Refuse a folder that does not exist and cannot be made, or that cannot be written to.

    Raises
    ------
    ValueError
        If so; it names `wanted`, or else the folder.
    """
    ancestor = next((p for p in (folder, *folder.absolute().parents) if p.exists()), Path("/"))
    if not ancestor.is_dir():
        raise ValueError(f"cannot write {wanted or folder}: {ancestor} is a file, not a folder; choose another place")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise ValueError(f"cannot write {wanted or folder}: {ancestor} is read-only for you; choose another folder")


def parse_bands(given: Sequence[str] | None) -> dict[str, float] | None:
    """``["g=4746.48", "r=6366.38"]`` to a dictionary; None when nothing is given.

    Raises
    ------
    ValueError
        For anything but NAME=ANGSTROM, a name given twice, or a wavelength outside `ANGSTROM_RANGE`.
    """
    bands: dict[str, float] = {}
    for text in given or ():
        name, _, value = text.partition("=")
        angstrom = _number(value)
        low, high = ANGSTROM_RANGE
        if not name or angstrom is None or not low <= angstrom <= high:
            raise ValueError(f"--band {text!r}: write NAME=ANGSTROM with an effective wavelength of {low:,.0f} to "
                             f"{high:,.0f} angstrom, such as --band g=4746.48")  # fmt: skip
        if name in bands:
            raise ValueError(f"--band {name} is given twice")
        bands[name] = angstrom
    return bands or None


def parse_cut(text: str) -> dict[str, int]:
    """``"g=200,r=200"`` to ``{"g": 200, "r": 200}``.

    Raises
    ------
    ValueError
        For anything but BAND=EPOCHS, separated by commas.
    """
    cut: dict[str, int] = {}
    for part in text.split(","):
        name, _, count = (p.strip() for p in part.partition("="))
        if not name or not count.isdecimal():
            raise ValueError(f"--cut {text!r}: write BAND=EPOCHS, separated by commas, such as --cut g=200,r=200")
        cut[name] = int(count)
    return cut


def parse_near(text: str | None) -> tuple[float, float, float] | None:
    """``"244.19,0.27,60"`` to (right ascension in degrees, declination in degrees, radius in arcsec)."""
    if text is None:
        return None
    values = [_number(v) for v in text.split(",")]
    if len(values) != 3 or None in values:
        raise ValueError(f"--near {text!r}: write RA,DEC,RADIUS in degrees, degrees, arcsec, such as 244.19,0.27,60")
    ra, dec, radius = (float(v or 0) for v in values)
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and radius > 0):
        raise ValueError(f"--near {text!r}: RA must be 0 to 360, DEC -90 to 90 degrees, and the radius above 0 arcsec")
    return ra, dec, radius


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_stars(path: Path, band: Sequence[str] | None, drop_unknown_bands: bool, drop_repeated: bool,
               quiet: bool = False) -> LightCurves:  # fmt: skip
    """Light curves of a file or folder; unless `quiet`, say how many, and what was dropped."""
    from astraclr.catalogs import read
    from astraclr.lightcurves import ZTF_BANDS

    bands = parse_bands(band)
    stars = read(path, bands=bands or ZTF_BANDS, drop_unknown_bands=drop_unknown_bands, drop_repeated=drop_repeated)
    if bands is not None and bands != stars.bands:
        say(f"note: {path} brings its own bands ({', '.join(stars.bands)}); --band is not used")
    if quiet:
        return stars
    say(f"{path}: {len(stars):,} stars, {stars.n_obs:,} observations")
    for reason, n in stars.notes.items():
        say(f"note: {reason}: {n:,}")
    return stars


def read_labelled(path: Path, column: str, band: Sequence[str] | None, drop_unknown_bands: bool,
                  drop_repeated: bool) -> LightCurves:  # fmt: skip
    """Light curves as `read_stars`, labels from that column of the file."""
    from astraclr.catalogs import labelled_by

    stars = read_stars(path, band, drop_unknown_bands, drop_repeated)
    return stars if column == "label" else labelled_by(stars, path, column)


def read_source(path: Path, band: Sequence[str] | None, drop_unknown_bands: bool,
                drop_repeated: bool, quiet: bool = False) -> LightCurves | Shards:  # fmt: skip
    """What to train on: shards where the folder holds them, else as `read_stars`."""
    from astraclr.manifest import MANIFEST
    from astraclr.shards import Shards

    if not (path / MANIFEST).is_file():
        return read_stars(path, band, drop_unknown_bands, drop_repeated, quiet)
    if band or drop_unknown_bands or drop_repeated:
        raise ValueError(f"{path} holds shards, written with their bands and cuts: leave --band, --drop-unknown-bands "
                         "and --drop-repeated out, or give them to `astraclr shards`")  # fmt: skip
    shards = Shards(path)
    if not quiet:
        say(f"{path}: {len(shards):,} stars, {shards.n_obs:,} observations, in shards")
    return shards


def pieces(path: Path) -> list[Path]:
    """The files of a folder if astraclr saved all of them, so that they can be read one by one; else the path."""
    from astraclr.catalogs import layout
    from astraclr.catalogs._sources import light_curve_files

    files = light_curve_files(path) if path.is_dir() else [path]
    return files if all(layout(f) == "own" for f in files) else [path]


def find_checkpoint(name: str) -> tuple[Checkpoint, Path]:
    """The checkpoint of a folder or of a shipped name, and its folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it is incomplete, damaged or of another shape.
    """
    from astraclr.checkpoints import load_checkpoint, shipped_file

    folder = Path(name) if Path(name).exists() else shipped_file(f"checkpoints/{name}")
    if not (folder / "config.json").exists():
        known = ", ".join(sorted(p.parent.name for p in shipped_file("checkpoints").glob("*/config.json"))) or "none"
        raise FileNotFoundError(f"no checkpoint {name}: give a folder in which `astraclr pretrain` has finished, or "
                                f"the name of a shipped one ({known})")  # fmt: skip
    return load_checkpoint(name), folder


def head_place(where: Path, sha256: str, fusion: str) -> Path:
    """File for a head: `where`, or in the checkpoint's folder `where`, if the head can be of use there.

    Raises
    ------
    ValueError
        If the embeddings are not of that checkpoint, not joined by mean, or the file cannot be written.
    """
    if fusion not in ("mean", ""):
        raise ValueError(f"`astraclr predict` joins crops by mean, these embeddings are joined by {fusion}; "
                         "embed again with --fusion mean to save a head")  # fmt: skip
    if not sha256:
        raise ValueError("the table does not say which checkpoint made it (column checkpoint), so a head of it could "
                         "not be matched; make the table with `astraclr embed`")  # fmt: skip
    file = where / HEAD if where.is_dir() else where
    check_output(file, [".safetensors"])
    if file.name.startswith("weights-") or file.name in ("state.safetensors", "state-previous.safetensors"):
        raise ValueError(f"cannot write {file}: files of that name hold an encoder; name it {HEAD}")
    if where.is_dir():
        found = find_checkpoint(str(where))[0].sha256
        if found != sha256:
            raise ValueError(f"{where} holds checkpoint {found[:8]}, the embeddings come from {sha256[:8]}; embed "
                             f"again with --checkpoint {where}, or name a .safetensors file")  # fmt: skip
    return file


def need_extra(extra: str, *modules: str) -> None:
    """Refuse to begin where a module of an optional extra is not installed.

    Raises
    ------
    ImportError
        It names what is missing, and the command that installs it.
    """
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise ImportError(f"this command needs {', '.join(missing)}: pip install 'astraclr[{extra}]'")


def describe_export(checkpoint: Checkpoint, path: Path) -> str:
    """What was written, its contract, and whether the field's tools take it."""
    from astraclr.exchange import DROP_IN_WIDTH, TOLERANCE
    from astraclr.strategies import N_TOKENS

    width = checkpoint.encoder.config.d_embedding
    fits = (f"a drop-in for light-curve and astra-infer: embeddings of {width} numbers" if width == DROP_IN_WIDTH
            else f"no drop-in: embeddings of {width} numbers, light-curve and astra-infer document {DROP_IN_WIDTH}"
            )  # fmt: skip
    return (f"{checkpoint.name}, {path.stat().st_size / 1e6:.1f} MB, agrees with torch within {TOLERANCE:.0e}: {path}\n"
            f"takes input, times, band_info (n, {N_TOKENS}, 1) and mask (n, {N_TOKENS}), float32, mask 1 = padding; "
            f"gives mean (n, {width})\n{fits}")  # fmt: skip


def cautions_on_export(checkpoint: Checkpoint, name: str) -> list[str]:
    """What the user of an exported file should know before relying on it."""
    from astraclr.exchange import trained_shorter
    from astraclr.strategies import LAYOUT

    notes, windows = [], dict(checkpoint.preset.windows)
    if trained_shorter(checkpoint.preset):
        notes.append(f"trained on windows {'/'.join(str(windows.get(b, 0)) for b in LAYOUT)}, used here at "
                     f"{'/'.join(map(str, LAYOUT.values()))}: probe it at that length before you rely on it: "
                     f"`python benchmarks/exchange.py --checkpoint {name}`")  # fmt: skip
    as_trained = "`astraclr.runtime.embed_with_onnx` prepares as in training"
    if checkpoint.recipe.centring == "star":
        notes.append(f"light-curve centres each band's window by itself, and so hides colour that this encoder was "
                     f"trained with; {as_trained}")  # fmt: skip
    else:
        notes.append(f"astra-infer subtracts one mean a star, and so shows colour that this encoder was trained "
                     f"without; {as_trained}")  # fmt: skip
    return notes


def use_threads(n: int) -> None:
    """Let torch compute with `n` threads."""
    import torch

    torch.set_num_threads(n)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write parquet (vectors as list<float32>) or, for a name that ends in .csv, CSV; whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from astraclr.files import replacing

    with replacing(path) as part:
        if path.suffix == ".csv":
            table.to_csv(part, index=False)
            return
        columns = pa.Table.from_pandas(table, preserve_index=False)
        if "embedding" in table:
            k = columns.schema.get_field_index("embedding")
            vectors = columns["embedding"].cast(pa.list_(pa.float32()))
            columns = columns.set_column(k, pa.field("embedding", vectors.type), vectors)
        pq.write_table(columns, part)


def write_json(values: dict[str, Any], path: Path) -> None:
    """Write JSON; whole or not at all."""
    import json

    from astraclr.files import replacing

    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n")
