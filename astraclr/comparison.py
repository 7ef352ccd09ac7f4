"""Rows of the bench side by side: what `benchmarks/representation.py` wrote, as one table of means over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import getitem
from typing import Any

import numpy as np
import pandas as pd

METRICS = ("accuracy", "macro_f1")


def bench_table(committed: Mapping[str, Any]) -> pd.DataFrame:
    """One line for each row and reader of the simulated test stars.

    Parameters
    ----------
    committed : what ``benchmarks/results/representation-<preset>.json`` holds, or any other ``--out`` of that benchmark

    Returns
    -------
    DataFrame
        Index ``row`` ("recommended", "features", ...) and ``reader`` ("linear_probe", "knn", "few_labels 20", ...), in
        the order of the file. Columns: ``seeds``, how many trainings; for each of `METRICS` the mean over them, its
        standard deviation ``_sd`` (NaN for one seed), and ``_low`` to ``_high``, which span the 95 % intervals of all
        seeds and so hold both the chance of the test stars and that of the training; ``calibration_error`` and
        ``natural`` (accuracy under natural class frequencies), means over seeds, NaN where a reader has none.

    Raises
    ------
    ValueError
        If there are no rows in it.
    """
    lines = []
    for name, row in committed.get("rows", {}).items():
        for reader in (r for r in row["over_seeds"] if r != "n"):
            scores = [reduce(getitem, reader.split(), s) for s in row["seeds"].values()]
            lines.append({"row": name, "reader": reader} | _line(scores))
    if not lines:
        raise ValueError("no rows in this result; make them with `python benchmarks/representation.py`")
    return pd.DataFrame(lines).set_index(["row", "reader"])


def _line(scores: list[dict[str, Any]]) -> dict[str, float]:
    """Scores of one reader, one dictionary a seed."""
    out: dict[str, float] = {"seeds": len(scores)}
    for metric in METRICS:
        values = [s[metric] for s in scores]
        out |= {
            metric: float(np.mean(values)),
            f"{metric}_sd": float(np.std(values, ddof=1)) if values[1:] else np.nan,
            f"{metric}_low": min(s[f"{metric}_low"] for s in scores),
            f"{metric}_high": max(s[f"{metric}_high"] for s in scores),
        }
    natural = [s.get("natural", {}).get("accuracy", np.nan) for s in scores]
    return out | {
        "calibration_error": float(np.mean([s.get("calibration_error", np.nan) for s in scores])),
        "natural": float(np.mean(natural)),
    }
