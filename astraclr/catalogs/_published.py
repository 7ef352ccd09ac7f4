"""The published data set of the paper, by name, through LSDB's Hugging Face path, with a cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from astraclr.catalogs._hats import Near
from astraclr.catalogs._zubercal import zubercal
from astraclr.data.lightcurves import LightCurves
from astraclr.files import cache_folder

DATASET = "snad-space/astra-zubercaldr16_gaiadr3vclassre"
"""ZTF Zubercal DR16 light curves of Gaia DR3 classified variables, a HATS catalogue on Hugging Face."""

ADDRESS = f"hf://datasets/{DATASET}"

_SECONDS_TO_ANSWER = 10.0


def published(
    limit: int | None = 100,
    *,
    near: Near | None = None,
    ids: Sequence[int] | None = None,
    at_least: Mapping[str, int] | None = None,
    cache: str | Path | None = None,
    client: Any = None,
    n_workers: int = 1,
) -> LightCurves:
    """Read stars of the published data set, from the cache if the same was asked before.

    Parameters
    ----------
    limit : at most so many stars; None for all that match (2.1 million: give `near` or `ids`)
    near : (ra, dec, radius), degrees, degrees, arcsec: only stars in this cone
    ids : only the stars with these Gaia DR3 source ids
    at_least : fewest observations per band, e.g. `PAPER_CUT`
    cache : folder for what was read; by default the environment variable ASTRACLR_CACHE, else ``~/.cache/astraclr``
    client, n_workers : Dask, as in `zubercal`

    Returns
    -------
    LightCurves
        object_id is the Gaia DR3 source id, label the class of Gaia's classifier.

    Raises
    ------
    ConnectionError
        If the request is not in the cache and Hugging Face cannot be reached.
    ImportError
        If the packages of the extra ``data`` are missing.
    ValueError
        If the request is impossible, nothing matches it, or the cache cannot be written.
    """
    request = {
        "data": DATASET,
        "limit": None if limit is None else int(limit),
        "near": [float(x) for x in near] if near is not None else None,
        "ids": sorted(int(k) for k in ids) if ids is not None else None,
        "at_least": {b: int(n) for b, n in at_least.items()} if at_least else None,
    }
    if limit is None and near is None and ids is None:
        raise ValueError("limit=None would read 2.1 million stars; give a limit, near=(ra, dec, radius) or ids=[...]")
    path = cache_path(request, cache)
    if path.exists():
        return LightCurves.load(path)
    there = next(p for p in path.parents if p.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ValueError(f"cannot write the cache {path.parent}; set ASTRACLR_CACHE or cache= to a folder of yours")
    try:
        _check_reachable()
        which = {"limit": limit, "near": near, "ids": ids, "at_least": at_least}
        stars = zubercal(ADDRESS, **which, client=client, n_workers=n_workers)
    except (ValueError, ImportError):
        raise
    except Exception as error:  # every layer below (httpx, fsspec, hats) has its own error for a network that is off
        raise ConnectionError(
            f"cannot read {ADDRESS}: {type(error).__name__}: {error}. The same request is not in the cache either "
            f"({path}). Connect to the network and try again; or run the same request where there is a network and "
            "copy that file here; or work offline with simulate.simulate() or catalogs.macho_example() of astraclr"
        ) from error
    stars.save(path)
    return stars


def cache_path(request: Mapping[str, Any], cache: str | Path | None = None) -> Path:
    """Where the answer to a request is kept."""
    folder = cache_folder() if cache is None else Path(cache).expanduser()
    key = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:16]
    return folder / f"published-{key}.parquet"


def _check_reachable() -> None:
    """One small question with a time limit, because opening the catalogue on a dead network could wait for minutes."""
    from huggingface_hub import HfApi

    HfApi().dataset_info(DATASET, timeout=_SECONDS_TO_ANSWER)
