"""HATS catalogues: opened through LSDB, selected by position or id, and computed by Dask a few partitions at a time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astraclr.catalogs._dask import cluster
from astraclr.catalogs._format import Format
from astraclr.catalogs._zubercal_tables import Layout, layout_of, tidy_frame

Near = tuple[float, float, float]
"""Right ascension and declination in degrees, radius in arcseconds."""


def is_hats(path: str | Path) -> bool:
    """Whether `path` is the folder of a HATS catalogue or collection, or an address (``hf://``, ``https://``)."""
    names = ("hats.properties", "properties", "collection.properties")
    return "://" in str(path) or any((Path(path) / name).is_file() for name in names)


def hats_parts(
    path: str,
    names: tuple[str | None, str, str],
    options: dict[str, Any],
    near: Near | None,
    ids: Sequence[int] | None,
    client: Any,
    n_workers: int,
    fmt: Format | None = None,
) -> Iterator[tuple]:
    """(light curves or None, notes) of each partition, in order, a few at a time so that `limit` can stop early."""
    partitions, layout = hats_partitions(path, names, options, near, ids, fmt)
    from dask.delayed import delayed  # comes with LSDB

    tidied = [delayed(tidy_frame)(p, layout) for p in partitions]
    with _computing(client, n_workers) as (compute, at_once):
        for k in range(0, len(tidied), at_once):
            yield from compute(tidied[k : k + at_once])


def hats_partitions(
    path: str,
    names: tuple[str | None, str, str],
    options: dict[str, Any],
    near: Near | None = None,
    ids: Sequence[int] | None = None,
    fmt: Format | None = None,
) -> tuple[list[Any], Layout]:
    """The partitions of a HATS catalogue in order, each a delayed frame of the columns needed, and how to read them.

    Parameters
    ----------
    names : columns of the object id (None: the first there is of `OBJECT_IDS`), the label and the nested detections
    options : the other fields of `Layout`
    near, ids : as in `zubercal`
    fmt : the format of its columns; Zubercal's by default
    """
    lsdb = _lsdb()
    schema = opened(path).original_schema
    layout = layout_of(schema, names, options, fmt)
    chosen: dict[str, Any] = {"columns": layout.columns}
    if near is not None:
        chosen["search_filter"] = _cone(near)
    if ids is not None:
        chosen["filters"] = [(layout.object_id, "in", [int(k) for k in ids])]
        if layout.object_id == "Source" and near is None:
            chosen["search_filter"] = _gaia_pixels(ids)
    try:
        return lsdb.open_catalog(path, **chosen).to_delayed(), layout
    except ValueError as error:
        if "search_filter" not in chosen:
            raise
        raise ValueError(f"no star there: the catalogue does not cover this part of the sky ({error})") from error


def hats_facts(path: str) -> tuple[dict[str, Any], set[str]]:
    """What tells a HATS catalogue from another wherever it lies (name, rows, pixels), and the names of its columns."""
    catalogue = opened(path)
    pixels = " ".join(map(str, catalogue.get_healpix_pixels()))
    info = catalogue.hc_structure.catalog_info
    inside = [
        f
        for field in catalogue.original_schema
        for f in (field, *(field.type if pa.types.is_struct(field.type) else ()))
    ]
    return {
        "catalogue": info.catalog_name,
        "rows": info.total_rows,
        "pixels": hashlib.sha256(pixels.encode()).hexdigest(),
    }, {field.name for field in inside}


def opened(path: str) -> Any:
    """A catalogue that LSDB has opened; a local folder is read from the disk alone.

    Raises
    ------
    ValueError
        If it cannot be opened, or its collection points to an address elsewhere.
    """
    if "://" not in path and (away := _elsewhere(Path(path))):
        raise ValueError(f"{path} points to another place ({away[:100]}): open that address, or copy it here")
    lsdb = _lsdb()
    try:
        found = lsdb.open_catalog(path)
    except Exception as error:
        if "://" in path or isinstance(error, ImportError):
            raise
        what = f"{type(error).__name__}: {error}"[:300]  # LSDB, hats, pyarrow and pandas each have errors of their own
        raise ValueError(f"{path} is a HATS catalogue that cannot be opened ({what}); copy it again") from error
    if "://" not in path:
        _refuse_unlisted(Path(path), found)
    return found


def _refuse_unlisted(path: Path, catalogue: Any) -> None:
    """Raise ValueError if a catalogue's folder holds partitions that its list lacks, or more or fewer rows in all."""
    listed = {(pixel.order, pixel.pixel) for pixel in catalogue.get_healpix_pixels()}
    parts = sorted(Path(str(catalogue.hc_structure.catalog_base_dir)).glob("dataset/Norder=*/Dir=*/Npix=*"))
    places = [re.search(r"Norder=(\d+).Dir=\d+.Npix=(\d+)", str(part)) for part in parts]
    there = {(int(place[1]), int(place[2])) for place in places if place}
    if lost := sorted(there - listed):
        raise ValueError(
            f"{path} is a HATS catalogue whose partition_info.csv lacks {len(lost)} of its {len(there)} partitions "
            f"(Norder={lost[0][0]}, Npix={lost[0][1]}); copy it again"
        )
    wanted = catalogue.hc_structure.catalog_info.total_rows
    files = [file for part in parts for file in ([part] if part.is_file() else sorted(part.glob("*.parquet")))]
    if there == listed and wanted is not None and (found := sum(map(_n_rows, files))) != wanted:
        raise ValueError(
            f"{path} is a HATS catalogue of {wanted:,} rows by its properties (hats_nrows), and its partitions hold "
            f"{found:,}: one was changed or replaced; copy it again, or correct hats_nrows if this is meant"
        )


def _n_rows(file: Path) -> int:
    """Rows of a parquet file, from its footer; 0 for a damaged one, which is named when it is read."""
    try:
        return pq.read_metadata(file).num_rows
    except (OSError, ValueError, pa.ArrowException):
        return 0


def _elsewhere(folder: Path) -> str:
    """The first line by which the properties of a catalogue or collection locate data at an address; "" for none."""
    for file in sorted(p for pattern in ("*properties", "*/*properties") for p in folder.glob(pattern) if p.is_file()):
        text = re.sub(r"\\\r?\n\s*", "", file.read_text(errors="replace"))  # a backslash continues a line
        text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), text)
        for line in re.sub(r"\\(.)", r"\1", text).splitlines():
            if re.match(r"\s*(\w+_url|all_\w+|default_\w+)\b", line) and re.search(r"\w:/|::", line):
                return line.strip()
    return ""


def _lsdb() -> Any:
    try:
        import lsdb
    except ImportError as error:
        raise ImportError("HATS catalogues need LSDB; install it with: pip install 'astraclr[data]'") from error
    return lsdb


@contextmanager
def _computing(client: Any, n_workers: int) -> Iterator[tuple[Any, int]]:
    """Give a function that computes a list of delayed, and how many at once are worth giving it."""
    if client is None and n_workers > 1:
        with cluster(n_workers) as own, _computing(own, n_workers) as computing:
            yield computing
    elif client is not None:
        workers = len(client.nthreads())
        yield (lambda some: client.gather(client.compute(some))), 2 * max(1, workers)
    else:
        from dask.base import compute

        yield (lambda some: compute(*some, scheduler="synchronous")), 1


def _cone(near: Near) -> Any:
    ra, dec, radius = near
    if not (0 <= ra <= 360 and -90 <= dec <= 90 and radius > 0):
        raise ValueError(f"near must be (ra 0 to 360 deg, dec -90 to 90 deg, radius > 0 arcsec), got {tuple(near)}")
    return _lsdb().ConeSearch(ra=ra, dec=dec, radius_arcsec=radius)


def _gaia_pixels(ids: Sequence[int]) -> Any:
    """Only the partitions where these Gaia sources can be.

    A Gaia source_id divided by 2**35 is the HEALPix pixel (order 12, nested) of the source when it was numbered
    (Gaia DR3 data model, gaia_source). The star may have moved on by a pixel of 52 arcsec, hence the neighbours.
    """
    from cdshealpix.nested import neighbours

    around = neighbours(np.unique(np.asarray([int(k) for k in ids], dtype=np.int64) >> 35), 12)
    return _lsdb().PixelSearch([(12, int(k)) for k in np.unique(around[around >= 0])])
