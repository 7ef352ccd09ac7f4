"""Read the inputs of commands: light curves from a file, a folder or shards; a checkpoint by its folder or name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from astraclr.cli import terminal as term
from astraclr.cli.parsing import parse_bands

if TYPE_CHECKING:  # torch would make `astraclr --help` wait
    from astraclr.data.lightcurves import LightCurves
    from astraclr.data.shards import Shards
    from astraclr.model.checkpoint import Checkpoint

HEAD, HEAD_WITH_FEATURES = "head.safetensors", "head_features.safetensors"
"""Names of the files of heads in the folder of their checkpoint."""


def read_stars(
    path: Path,
    band: Sequence[str] | None,
    drop_unknown_bands: bool,
    drop_repeated: bool,
    quiet: bool = False,
    unread: bool = True,
) -> LightCurves:
    """Read light curves; unless `quiet`, print how many, what was dropped and, if `unread`, columns not read."""
    from astraclr.catalogs import read
    from astraclr.catalogs._sources import about
    from astraclr.config import ZTF_BANDS

    bands = parse_bands(band)
    with about(path):  # whatever is wrong, the line names the file
        stars = read(path, bands=bands or ZTF_BANDS, drop_unknown_bands=drop_unknown_bands, drop_repeated=drop_repeated)
    if bands is not None and bands != stars.bands:
        term.say(f"note: {path} brings its own bands ({', '.join(stars.bands)}); --band is not used")
    if quiet:
        return stars
    term.say(f"{path}: {len(stars):,} star{'' if len(stars) == 1 else 's'}, {stars.n_obs:,} observations")
    term.say_notes({r: n for r, n in stars.notes.items() if unread or not r.startswith("not read: column")})
    return stars


def read_labelled(
    path: Path, column: str, band: Sequence[str] | None, drop_unknown_bands: bool, drop_repeated: bool
) -> LightCurves:
    """Read light curves as `read_stars` does, with labels from a column of the file."""
    from astraclr.catalogs import labelled_by
    from astraclr.catalogs._sources import about

    stars = read_stars(path, band, drop_unknown_bands, drop_repeated, unread=column == "label")
    with about(path):
        return stars if column == "label" else labelled_by(stars, path, column)


def read_source(
    path: Path, band: Sequence[str] | None, drop_unknown_bands: bool, drop_repeated: bool, quiet: bool = False
) -> LightCurves | Shards:
    """Open the shards of a folder that holds some; read anything else as `read_stars` does."""
    from astraclr.data.shard_manifest import MANIFEST
    from astraclr.data.shards import Shards

    if not (path / MANIFEST).is_file():
        return read_stars(path, band, drop_unknown_bands, drop_repeated, quiet)
    if band or drop_unknown_bands or drop_repeated:
        raise ValueError(
            f"{path} holds shards, written with their bands and cuts: leave --band, --drop-unknown-bands "
            "and --drop-repeated out, or give them to `astraclr shards`"
        )
    shards = Shards(path)
    if not quiet:
        term.say(f"{path}: {len(shards):,} stars, {shards.n_obs:,} observations, in shards")
    return shards


def pieces(path: Path) -> list[Path]:
    """List the files of a folder if astraclr saved all of them, so that they can be read one by one; else the path."""
    from astraclr.catalogs import layout
    from astraclr.catalogs._sources import about, in_folder, is_dataset

    with about(path):
        files = in_folder(path)[0] if path.is_dir() and not is_dataset(path) else [path]
        return files if files and all(layout(f) == "own" for f in files) else [path]


def find_checkpoint(name: str) -> tuple[Checkpoint, Path]:
    """Load a checkpoint by its folder or by the name of a shipped one.

    Returns
    -------
    Checkpoint
        The encoder with its settings.
    Path
        Its folder.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none, it is incomplete, damaged or of another shape.

    Examples
    --------
    >>> checkpoint, folder = find_checkpoint("tiny")
    >>> checkpoint.preset.name, folder.name
    ('tiny', 'tiny')
    """
    from astraclr.files import shipped_file
    from astraclr.model.checkpoint import load_checkpoint

    folder = Path(name) if Path(name).exists() else shipped_file(f"checkpoints/{name}")
    if not (folder / "config.json").exists():
        known = ", ".join(sorted(p.parent.name for p in shipped_file("checkpoints").glob("*/config.json"))) or "none"
        raise FileNotFoundError(
            f"no checkpoint {name}: give a folder in which `astraclr pretrain` or `finetune` has finished, "
            f"or the name of a shipped one ({known})"
        )
    return load_checkpoint(name), folder


def licence_of(folder: Path, given: str | None) -> str:
    """The licence of a checkpoint's weights: the one given, MIT of a shipped encoder, else empty.

    Raises
    ------
    ValueError
        If the name given is no SPDX name.
    """
    import re

    from astraclr.files import shipped_file

    if given is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}", given):
        raise ValueError(f"--licence {given[:80]!r}: give an SPDX name, such as MIT, CC-BY-4.0 or Apache-2.0")
    shipped = folder.parent.resolve() == shipped_file("checkpoints").resolve()
    return given or ("MIT" if shipped else "")


def head_file_of(where: Path | None, sha256: str, fusion: str) -> Path | None:
    """Check where a head is to be saved, and return the file; None if it is not to be saved.

    Parameters
    ----------
    where : Path, optional
        A .safetensors file, or the folder of the checkpoint that made the embeddings.
    sha256 : str
        Checkpoint that made the embeddings.
    fusion : str
        How the embeddings of its crops were joined.

    Raises
    ------
    ValueError
        If the embeddings are not of that checkpoint, not joined by mean, or the file cannot be written, or holds
        something else.
    """
    if where is None:
        return None
    if fusion not in ("mean", ""):
        raise ValueError(
            f"`astraclr predict` joins crops by mean, these embeddings are joined by {fusion}; "
            "embed again with --fusion mean to save a head"
        )
    if not sha256:
        raise ValueError(
            "the table does not say which checkpoint made it (column checkpoint), so a head of it could "
            "not be matched; make the table with `astraclr embed`"
        )
    file = where / HEAD if where.is_dir() else where
    term.check_output(file, [".safetensors"])
    if file.name.startswith("weights-") or file.name in ("state.safetensors", "state-previous.safetensors"):
        raise ValueError(f"cannot write {file}: files of that name hold an encoder; name it {HEAD}")
    from astraclr.analysis.classifier import is_head

    if file.exists() and not is_head(file):
        raise ValueError(f"cannot write {file}: the file of this name holds no head; choose another name")
    if where.is_dir():
        found = find_checkpoint(str(where))[0].sha256
        if found != sha256:
            raise ValueError(
                f"{where} holds checkpoint {found[:8]}, the embeddings come from {sha256[:8]}; embed "
                f"again with --checkpoint {where}, or name a .safetensors file"
            )
    return file
