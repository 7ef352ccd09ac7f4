"""A saved index of a large table of embeddings: neighbours without comparing with every star, of a measured recall.

The library is faiss-cpu. pynndescent, which comes with umap-learn, can save its index only by pickling, which this
project does not read, and compiles for tens of seconds in each new process. hnswlib comes as source that needs a
compiler. faiss is a wheel without further dependencies, and has a file format of its own. Its inverted lists
(`IndexIVFFlat`) need little memory beside the vectors and build in seconds; how many lists a query looks into is
chosen by measuring the recall on stars of the table. Without faiss, or below `similar.EXACT_UP_TO` rows, search is
exact.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from astraclr.analysis.similar import exact, unit
from astraclr.evaluate.embedding_tables import Embeddings
from astraclr.files import need_known_version, read_json, replacing, sha256

FORMAT, VERSION = "astraclr.index", 1
WANTED_RECALL, MEASURED_ON = 0.99, 200
"""An index looks into as many lists as this recall at 10 needs, on so many stars of the table; 0.98 is promised."""
_TRAIN_ON = 64
"""Vectors for each list by which lists are laid out."""


@dataclass(frozen=True)
class IndexFacts:
    """What an index was made of, and how good it is.

    Attributes
    ----------
    table : `similar.table_checksum` of the table
    checkpoint, fusion : of the embeddings
    n_stars, d : shape of the table
    lists, probes : number of lists, and how many of them a query looks into
    recall : mean share of the 10 nearest stars that are found, on `MEASURED_ON` stars of the table
    ms_exact, ms : milliseconds a query, of `MEASURED_ON` at once: compared with all, and through the index
    sha256 : of the file ``index.faiss``
    """

    table: str
    checkpoint: str
    fusion: str
    n_stars: int
    d: int
    lists: int
    probes: int
    recall: float
    ms_exact: float
    ms: float
    sha256: str


Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def build_index(table: Embeddings, checksum: str, folder: str | Path, seed: int = 0) -> tuple[Search, IndexFacts]:
    """Make an index of a table, measure it, and save it as ``index.faiss`` and ``index.json`` in a folder.

    Parameters
    ----------
    table, checksum : the table, and its `similar.table_checksum`
    folder : where to write; each file appears whole or not at all
    seed : of the vectors by which lists are laid out, and of the stars it is measured on

    Returns
    -------
    search, facts
        A function of unit vectors and k, as `similar.similar` takes it; and what was measured.

    Raises
    ------
    ImportError
        Without faiss-cpu.
    ValueError
        For fewer than 1,000 stars, which need no index.
    """
    faiss, folder = _faiss(), Path(folder)
    if len(table) < 1_000:
        raise ValueError(f"{len(table):,} stars need no index: search them exactly (leave --index out)")
    x, rng = unit(table.x), np.random.default_rng(seed)
    lists = int(np.sqrt(len(x)))
    some = rng.choice(len(x), min(len(x), _TRAIN_ON * lists), replace=False)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(x.shape[1]), x.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.seed, index.cp.min_points_per_centroid = seed + 1, 1
    index.train(x[np.sort(some)])
    index.add(x)
    facts = _measured(index, x, rng)
    # The facts appear first: without their index they are what a killed process left, an index alone may be another's.
    with replacing(folder / "index.faiss") as part:
        faiss.write_index(index, str(part))
        made_of = checksum, table.checkpoint, table.fusion, len(x), x.shape[1], lists
        about = IndexFacts(*made_of, sha256=sha256(part), **facts)
        with replacing(folder / "index.json") as text:
            text.write_text(json.dumps({"format": FORMAT, "version": VERSION, **asdict(about)}, indent=1) + "\n")
    return _search(index), about


def half_made(folder: Path) -> bool:
    """Whether a folder holds what a process left that was killed while it made an index: facts without their index."""
    try:
        return not (folder / "index.faiss").exists() and read_json(folder / "index.json").get("format") == FORMAT
    except (OSError, ValueError):
        return False


def load_index(folder: str | Path, table: Embeddings, checksum: str) -> tuple[Search, IndexFacts]:
    """Open a saved index of a table.

    Raises
    ------
    ImportError
        Without faiss-cpu.
    FileNotFoundError, ValueError
        If there is none, it is damaged, or was made of another table or of embeddings of another encoder.
    """
    faiss, folder = _faiss(), Path(folder)
    remedy = f"remove {folder} to have it made anew, or name another folder with --index"
    try:
        found = read_json(folder / "index.json")
        if found.pop("format") != FORMAT:
            raise ValueError("its format is another")
        need_known_version(folder / "index.json", found.pop("version"), VERSION)
        facts = IndexFacts(**found)
        kinds = {"str": str, "int": int, "float": (int, float)}
        for field in fields(facts):
            value = getattr(facts, field.name)
            if isinstance(value, bool) or not isinstance(value, kinds[str(field.type)]):
                raise ValueError(f"its {field.name} is {str(value)[:50]!r}")
        if not 1 <= facts.probes <= facts.lists:
            raise ValueError(f"a query looks into {facts.probes} of {facts.lists} lists")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{folder / 'index.json'} is not that of an index ({error}); {remedy}") from error
    if (facts.checkpoint, facts.fusion) != (table.checkpoint, table.fusion):
        raise ValueError(
            f"the index in {folder} is of embeddings of checkpoint {facts.checkpoint[:8]} ({facts.fusion}), the table "
            f"of {table.checkpoint[:8]} ({table.fusion}); {remedy}"
        )
    if facts.table != checksum or (facts.n_stars, facts.d) != table.x.shape:
        raise ValueError(
            f"the table has changed since the index in {folder} was made: SHA-256 {facts.table[:12]} then, "
            f"{checksum[:12]} now; {remedy}"
        )
    file = folder / "index.faiss"
    if not file.is_file() or sha256(file) != facts.sha256:
        raise ValueError(f"{file} is missing or damaged; {remedy}")
    index = faiss.read_index(str(file))
    index.nprobe = facts.probes
    return _search(index), facts


def _search(index: Any) -> Search:
    def search(queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        similarity, found = index.search(queries, k)
        return found, similarity

    return search


def _measured(index: Any, x: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """Set how many lists a query looks into: the fewest, in powers of two, that reach the recall."""
    asked = x[rng.choice(len(x), min(MEASURED_ON, len(x)), replace=False)]
    began = time.perf_counter()
    true, _ = exact(x, asked, 10)
    ms_exact = 1e3 * (time.perf_counter() - began) / len(asked)
    recall, probes, ms = 0.0, 1, 0.0
    while recall < WANTED_RECALL:
        index.nprobe = probes = min(probes, index.nlist)
        began = time.perf_counter()
        _, found = index.search(asked, 10)
        ms = 1e3 * (time.perf_counter() - began) / len(asked)
        recall = float(np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(true, found, strict=True)]))
        if probes == index.nlist:
            break
        probes *= 2
    return {"probes": int(index.nprobe), "recall": recall, "ms_exact": ms_exact, "ms": ms}


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "an index needs faiss; install it with: pip install 'astraclr[similar]' (without --index the search is "
            "exact, and needs nothing)"
        ) from error
    return faiss
