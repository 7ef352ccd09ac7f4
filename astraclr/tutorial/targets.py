"""The targets that were set before the recommended recipe was measured, and whether they are met."""

from __future__ import annotations

import pandas as pd

from astraclr.tutorial.results import (
    RECOMMENDED,
    UNKNOWN,
    Found,
    Results,
    best_random,
    few_label_scores,
    paper_row,
    score_of,
)


def verdicts(results: Results) -> pd.DataFrame:
    """Compare the recommended recipe with the targets that were set before it was measured.

    Parameters
    ----------
    results : mapping
        From `astraclr.tutorial.results.committed`.

    Returns
    -------
    DataFrame
        Columns ``target, wanted, found, verdict``. Gains are in points of accuracy or macro-F1 and compare means over
        seeds; those over random weights are over the best random encoder of the table.

    Examples
    --------
    >>> from collections import defaultdict
    >>> set(verdicts(defaultdict(dict))["verdict"])
    {'not measured yet'}
    """
    laptop, gpu = results["representation-laptop"], results["representation-gpu"]
    _, ways = few_label_scores(results["few_labels"])
    probe, few = "linear_probe", ("few_labels", "20")
    ours = score_of(laptop, RECOMMENDED, probe)
    few_ours, few_features = (score_of(laptop, row, *few, metric="macro_f1") for row in (RECOMMENDED, "features"))
    gpu_ours, gpu_features = (score_of(gpu, row, probe) for row in (RECOMMENDED, "features-period"))
    wanted: list[tuple[str, float, Found | None, Found | None]] = [
        ("linear probe above random weights", 8, ours, best_random(laptop, probe)),
        (
            "linear probe above the paper's recipe at equal CPU time",
            10,
            ours,
            score_of(laptop, paper_row(laptop), probe),
        ),
        ("k-NN above random weights", 10, score_of(laptop, RECOMMENDED, "knn"), best_random(laptop, "knn")),
        ("macro-F1 with 20 labels a class above features without periods", 0, few_ours, few_features),
        ("fine-tuning with few labels above the linear probe", 5, ways.get("tuned"), ways.get("linear probe")),
        ("preset gpu: linear probe above features with periods", 0, gpu_ours, gpu_features),
    ]
    return pd.DataFrame([_verdict(*row) for row in wanted])


def _verdict(target: str, least: float, ours: Found | None, other: Found | None) -> dict[str, str]:
    """Row of a target: the gain of one score over another beside the least that was wanted, in points."""
    gain = 100 * (ours.mean - other.mean) if ours and other else None
    return {
        "target": target,
        "wanted": f"{least} points or more" if least else "above",
        "found": UNKNOWN if gain is None else f"{round(gain, 1) + 0.0:+.1f} points",
        "verdict": UNKNOWN if gain is None else "met" if gain > 0 and gain >= least else "missed",
    }
