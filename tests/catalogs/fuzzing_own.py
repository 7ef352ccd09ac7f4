"""Our own files, mutated: shards, checkpoints, tables of embeddings, indices, HATS folders, states of a run.

Each kind has a function that writes a whole one, and one that reads it as the commands do and returns facts: counts,
and what must not change unsaid. `tried` counts what comes of mutated ones, in the words of `fuzzing`.
"""

from __future__ import annotations

import json
import random
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from fuzzing import CELLS, FAULTS, SECONDS, limited, mutated_bytes, mutated_table

from astraclr import catalogs
from astraclr.analysis.similar import table_checksum, unit
from astraclr.analysis.similar_index import build_index, load_index
from astraclr.catalogs.partitions import catalogue_of
from astraclr.config import preset, recipe
from astraclr.data.lightcurves import LightCurves, concatenate
from astraclr.data.shard_writer import write_shards
from astraclr.data.table_parts import TableParts, write_part
from astraclr.evaluate.embedding_tables import Embeddings, read_embeddings
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from astraclr.model.encoder import new_encoder
from astraclr.train.optimizer import new_optimiser
from astraclr.train.run_state import Run
from astraclr.train.step import Training

Facts = dict[str, Any]
VALUES = (None, True, -1, 0, 1.5, 1e400, 2**70, "", "x", "../x", "/etc/passwd", [], {}, [[1]], {"a": 1}, "é" * 300)


@dataclass(frozen=True)
class Kind:
    """One kind of our own files: how a whole one is made in a folder, and how it is read, with its share of inputs."""

    make: Callable[[Path], Any]
    read: Callable[[Path], Facts]
    share: int = 4


def stars(n: int = 12, epochs: int = 8) -> LightCurves:
    """Stars with labels in two bands."""
    star, k = np.repeat(np.arange(n), epochs), np.tile(np.arange(epochs), n)
    table = {"object_id": [f"s{i}" for i in star], "mjd": 58_000.5 + k, "mag": 16.0 + star / 8, "magerr": 0.1}
    return LightCurves.from_table(pd.DataFrame(table | {"band": np.where(k % 2, "g", "r"), "label": "RR"}))


def _curves(lc: LightCurves) -> Facts:
    values = np.concatenate([lc.mjd, lc.mag, lc.magerr])
    lost = {k: n for k, n in lc.notes.items() if k.startswith("dropped: ")}
    gone = sum(n for k, n in lost.items() if k.startswith("dropped: star"))
    facts = {"stars": len(lc) + gone, "observations": lc.n_obs + sum(lost.values()) - gone}
    facts["labels"] = int((lc.label != "").sum())
    return facts | {"finite": bool(np.isfinite(values).all()), "content": (*lc.object_id, float(values.sum()))}


def _read_shards(folder: Path) -> Facts:
    catalogue = catalogue_of(folder / "shards")
    pieces = [p.stars for part in catalogue.parts for p in catalogue.reader.pieces(part)]
    return _curves(concatenate([p for p in pieces if p is not None]))


def small_encoder() -> Checkpoint:
    """An encoder with few weights."""
    small = replace(preset("tiny"), d_model=8, d_ff=8, n_layers=1, n_heads=2)
    encoder = new_encoder(small, recipe("corrected"), 0).eval()
    return Checkpoint(encoder, small, recipe("corrected"), 0, "made for mutation", pd.DataFrame({"step": [1]}))


def _read_checkpoint(folder: Path) -> Facts:
    found = load_checkpoint(folder / "encoder")
    weights = torch.cat([v.double().ravel() for v in found.encoder.state_dict().values()])
    content = (found.sha256, float(weights.sum()), str(found.preset), str(found.recipe))
    return {"finite": bool(weights.isfinite().all()), "content": content}


def _vectors(n: int) -> Embeddings:
    x = np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32)
    return Embeddings(np.array([f"s{k}" for k in range(n)]), np.array(["RR"] * n), x, "abc", "mean")


def _table(e: Embeddings) -> pd.DataFrame:
    ids = {"object_id": e.object_id, "label": e.label, "embedding": list(e.x)}
    return pd.DataFrame(ids | {"checkpoint": e.checkpoint, "fusion": e.fusion})


def _make_parts(folder: Path) -> None:
    import pyarrow as pa

    halves = (_vectors(24)[rows] for rows in (slice(12), slice(12, 24)))
    some = [pa.Table.from_pandas(_table(half), preserve_index=False) for half in halves]
    parts = TableParts(folder / "parts", {"fusion": "mean"}, ["a.parquet", "b.parquet"])
    for file, table in zip(parts.files, some, strict=True):
        parts.add(write_part([(table, {}, 12)], parts.folder, file, parts.key))
    parts.finished()


def _embeddings(e: Embeddings) -> Facts:
    return {"stars": len(e), "labels": int((e.label != "").sum()), "finite": bool(np.isfinite(e.x).all())}


def _make_index(folder: Path) -> None:
    table = _vectors(1_000)
    _table(table).to_parquet(folder / "table.parquet")
    build_index(table, table_checksum(folder / "table.parquet"), folder / "index")


def _read_index(folder: Path) -> Facts:
    table = _vectors(1_000)
    search, facts = load_index(folder / "index", table, table_checksum(folder / "table.parquet"))
    index, similarity = search(unit(table.x[:5]), 3)
    return {"finite": bool(np.isfinite(similarity).all()), "content": (index.tolist(), facts.probes)}


def _make_hats(folder: Path) -> None:
    from lsdb.loaders.dataframe.from_dataframe import from_dataframe

    lc = stars()
    frame = lc.to_nested()
    frame["ra"], frame["dec"] = np.linspace(5, 80, len(lc)), 10.0
    made = from_dataframe(frame, margin_threshold=None)
    made.write_catalog(folder / "hats", catalog_name="synthetic", progress_bar=False)


def _run(folder: Path) -> Run:
    checkpoint = small_encoder()
    training = Training(checkpoint.encoder, checkpoint.preset, checkpoint.recipe)
    return Run(training, new_optimiser(checkpoint.encoder, checkpoint.recipe, "cpu"), 0, "stars", folder)


_STATES: set[tuple] = set()
"""Steps, best losses and weights of the states that were written: a run may go on from any of them."""


def _make_states(folder: Path) -> None:
    run = _run(folder / "run")
    _STATES.add(_fields(run)[0])
    run.begin()
    for step in (1, 2):
        torch.stack([p.square().sum() for p in run.encoder.parameters()]).sum().backward()
        run.optimiser.step()
        run.note({"step": step, "loss": 5.0 - step, "val_loss": 4.0 - step}, seconds=0.5, n_stars=8)
        run.save()
        _STATES.add(_fields(run)[0])


def _read_states(folder: Path) -> Facts:
    fields, finite = _fields(_run(folder / "run"))
    return {"finite": finite, "content": "as written" if fields in _STATES else fields}


def _fields(run: Run) -> tuple[tuple, bool]:
    weights = torch.cat([v.double().ravel() for v in run.encoder.state_dict().values()])
    return (run.done, run.best_loss, float(weights.sum())), bool(weights.isfinite().all())


KINDS = {
    "shards": Kind(lambda f: write_shards(stars(), f / "shards", stars_per_shard=5), _read_shards),
    "checkpoint": Kind(lambda f: save_checkpoint(small_encoder(), f / "encoder"), _read_checkpoint),
    "embeddings": Kind(
        lambda f: _table(_vectors(12)).to_parquet(f / "e.parquet"),
        lambda f: _embeddings(read_embeddings(f / "e.parquet")),
    ),
    "embeddings in parts": Kind(_make_parts, lambda f: _embeddings(read_embeddings(f / "parts"))),
    "index": Kind(_make_index, _read_index),
    "states": Kind(_make_states, _read_states),
    "HATS": Kind(_make_hats, lambda f: _curves(catalogs.read(f / "hats")), share=1),
}
_NO_COUNT = {"embeddings": ("labels",), "HATS": ("content", "labels", "observations")}
"""What a change of one value in a table without a checksum may change."""


def _mutate_json(text: bytes, rng: random.Random) -> bytes:
    """One value of a JSON file made another, taken out, or put where it does not belong."""
    root = json.loads(text)
    at, k = root, rng.random()
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        if isinstance(at[key], dict | list) and at[key] and rng.random() < 0.7:
            at = at[key]
            continue
        break
    if k < 0.6:
        at[key] = rng.choice(VALUES)
    elif k < 0.8:
        del at[key]
    elif isinstance(at, dict):
        at[rng.choice(CELLS)] = at.pop(key)
    else:
        at.append(at[key])
    return json.dumps(root).encode()


def mutate(folder: Path, rng: random.Random) -> str:
    """Change one file of a folder; what was changed, in words."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    path, k = rng.choice(files), rng.random()
    name = str(path.relative_to(folder))
    if k < 0.06:
        path.unlink()
        return f"{name} removed"
    if k < 0.1:
        path.write_bytes(rng.choice(files).read_bytes())
        return f"{name} replaced by another"
    data = path.read_bytes()
    if path.suffix == ".json" and k < 0.75:
        path.write_bytes(_mutate_json(data, rng))
    elif path.suffix == ".parquet" and not path.name.startswith("_") and k < 0.7:
        path.write_bytes(mutated_table(data, rng))
    else:
        path.write_bytes(mutated_bytes(data, rng))
    return name


def outcome(kind: str, folder: Path, whole: Facts) -> tuple[str, str]:
    """What comes of reading: read, refused or one of `FAULTS`, and details of a fault."""
    try:
        with warnings.catch_warnings(record=True) as told, limited(SECONDS):
            warnings.simplefilter("always")
            found = KINDS[kind].read(folder)
    except TimeoutError as error:
        return "hang", str(error)
    except (ValueError, OSError) as error:
        said = str(error)
        return ("refused", "") if str(folder) in said and len(said) < 1_500 else ("file not named", said[:300])
    except Exception as error:  # whatever it is, it is a fault
        return "traceback", f"{type(error).__name__}: {error}"[:300]
    if not found.pop("finite"):
        return "not finite", ""
    told = [w for w in told if issubclass(w.category, UserWarning)]
    odd = {k: v for k, v in found.items() if v != whole[k] and k not in _NO_COUNT.get(kind, ())}
    return ("changed in silence", str(odd)[:300]) if odd and not told else ("read", "")


def tried(first: int, n: int, folder: Path, until: float = np.inf) -> tuple[dict[str, Counter], list[str], int]:
    """Try the inputs from number `first` on, as `fuzzing.tried` does."""
    counts, faults, whole = {}, [], {}
    for name, kind in KINDS.items():
        (folder / name).mkdir()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind.make(folder / name)
            whole[name] = kind.read(folder / name)
    drawn = [name for name, kind in KINDS.items() for _ in range(kind.share)]
    for k in range(first, first + n):
        if time.monotonic() > until:
            return counts, faults, k - first
        rng = random.Random(k)
        name, changed = rng.choice(drawn), folder / "mutated"
        shutil.copytree(folder / name, changed)
        what = mutate(changed, rng)
        found, why = outcome(name, changed, whole[name])
        counts.setdefault(name, Counter())[found] += 1
        if found in FAULTS:
            faults.append(f"input {k} of {name} ({what}): {found}: {why}")
        shutil.rmtree(changed)
    return counts, faults, n
