"""Comparing with the reference: records, the table made of them, and the reference's arrays as our own types."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from astraclr.data.tokens import Tokens
from astraclr.files import provenance, replacing

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "benchmarks" / "results" / "parity.json"
COMMAND = "python -m pytest tests/*/test_parity_*.py --write-parity benchmarks/results/parity.json"


def difference(ours, theirs, relative: bool = False) -> np.ndarray:
    """|ours - theirs| of every value, divided by |theirs| if `relative`; 0 where both are NaN, inf where one is.

    Raises
    ------
    AssertionError
        If the shapes differ or there is nothing to compare.
    """
    ours, theirs = (np.asarray(x.detach() if isinstance(x, torch.Tensor) else x, np.float64) for x in (ours, theirs))
    assert ours.shape == theirs.shape, f"shape {ours.shape}, the reference has {theirs.shape}"
    assert ours.size, "nothing to compare"
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(ours - theirs) / (np.abs(theirs) if relative else 1.0)
    return np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf))


def compared(test: str, stage: str, tolerance: float, ours, theirs, relative: bool = False) -> dict:
    """The record of one comparison; AssertionError if a difference is larger than `tolerance`."""
    apart = difference(ours, theirs, relative)
    largest = float(apart.max())
    kind = "relative difference" if relative else "difference"
    where = tuple(int(i) for i in np.unravel_index(apart.argmax(), apart.shape))
    assert largest <= tolerance, (
        f"{stage}: largest {kind} {largest:.3g} is over {tolerance:.3g}, at {where}; "
        f"{int((apart > tolerance).sum())} of {apart.size} values are over"
    )
    return {
        "stage": stage,
        "tolerance": tolerance,
        "relative": relative,
        "largest_difference": largest,
        "values": apart.size,
        "tests": [test],
    }


def merged(records: list[dict]) -> list[dict]:
    """One row a stage, sorted: the largest difference, all values and tests; ValueError where tolerances disagree."""
    rows: dict[str, dict] = {}
    for record in records:
        row = rows.setdefault(record["stage"], {**record, "values": 0, "tests": []})
        if (row["tolerance"], row["relative"]) != (record["tolerance"], record["relative"]):
            raise ValueError(
                f"stage {record['stage']!r} has two tolerances, {row['tolerance']} and "
                f"{record['tolerance']} ({record['tests'][0]}); name the stages apart"
            )
        row["largest_difference"] = max(row["largest_difference"], record["largest_difference"])
        row["values"] += record["values"]
        row["tests"] = sorted({*row["tests"], *record["tests"]})
    return [rows[stage] for stage in sorted(rows)]


def write_table(records: list[dict], path: Path, seconds: float) -> None:
    """The table that the page reads, with what it was made with."""
    table = {"made_with": provenance() | {"command": COMMAND}, "seconds": round(seconds), "results": merged(records)}
    with replacing(path) as part:
        part.write_text(json.dumps(table, indent=1) + "\n")


def check_against_table(test: str, records: list[dict], path: Path = TABLE) -> None:
    """AssertionError if the table does not hold exactly the stages and tolerances that a test stated."""
    table = json.loads(path.read_text())["results"] if path.exists() else []
    kept = {(row["stage"], row["tolerance"], row["relative"]) for row in table if test in row["tests"]}
    stated = {(r["stage"], r["tolerance"], r["relative"]) for r in records}
    assert stated == kept, (
        f"{path.name} is stale; make it again with: {COMMAND}\n"
        f"only in the test: {sorted(stated - kept)}\nonly in the table: {sorted(kept - stated)}"
    )


def torch_name(key: str) -> str:
    """Name in our encoder of one of the reference's weights."""
    for old, new in (
        ("projection.1", "projection.2"),
        ("ffn.1", "ffn.2"),
        ("band.1", "band.2"),
        ("gamma", "weight"),
        ("beta", "bias"),
    ):
        key = key.replace(old, new)
    return key


def keras_weights(arrays: dict, prefix: str) -> dict[str, torch.Tensor]:
    """State of our encoder from the reference's weights ``prefix + key``, whose kernels are (in, out)."""
    weights = {k.removeprefix(prefix): torch.tensor(arrays[k]) for k in arrays if k.startswith(prefix)}
    return {torch_name(k): w.T.contiguous() if w.ndim == 2 else w for k, w in weights.items()}


def recipe_weights(seed: int, key_order: list[str], shapes: dict) -> dict[str, np.ndarray]:
    """Weights by the documented recipe of tests/oracles/README.md, in Keras orientation."""
    rng, weights = np.random.default_rng(seed), {}
    for key in key_order:
        z = rng.standard_normal(shapes[key])
        scale = {"weight": lambda z: z / np.sqrt(z.shape[0]), "gamma": lambda z: 1 + 0.05 * z}
        weights[key] = scale.get(key.rsplit(".", 1)[1], lambda z: 0.05 * z)(z).astype(np.float32)
    return weights


def tokens_of(arrays: dict, prefix: str) -> Tokens:
    """The reference's input of the encoder as our tokens."""
    mag, times, band, mask = (torch.tensor(arrays[f"{prefix}/{k}"]) for k in ("input", "times", "band_info", "mask"))
    return Tokens(mag[..., 0], times[..., 0].double(), band[..., 0], mask.reshape(mag.shape[:2]).bool())


def in_the_references_order(pairs: torch.Tensor, pair_indices: np.ndarray) -> torch.Tensor:
    """Our (views, views - 1, batch) pair losses as the reference lists them.

    Parameters
    ----------
    pair_indices : (n_pairs, 2) rows (anchor, positive) of the stacked (views * batch) matrix
    """
    batch = pairs.shape[-1]
    anchor, positive = pair_indices.T // batch
    star = pair_indices[:, 0] % batch
    assert (star == pair_indices[:, 1] % batch).all() and (anchor != positive).all()
    other = positive - (positive > anchor)  # an anchor's own view is left out of the second axis
    assert len({*zip(anchor, other, star, strict=True)}) == pairs.numel()
    return pairs[anchor, other, star]
