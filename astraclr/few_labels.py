"""What to do with a few labels? Ways to use an encoder, compared on equal labels and equal test stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd

from astraclr.checkpoints import Checkpoint, random_control
from astraclr.embedding import embed
from astraclr.finetuning import PAPER_LAYERS, PAPER_NOISE, FineTuned, Pooling, finetune
from astraclr.lightcurves import LightCurves
from astraclr.probing import PAPER_C, Scores, linear_probe, score

RATES, BATCH = (3e-4, 2e-3), 32
"""Learning rates to choose from, and stars in a step: the paper's 1e-5 and 128 are made for many more labels."""
PENALTIES = (0.01, 0.1, 1.0, PAPER_C)
"""C of the linear probe to choose from."""


def few(lc: LightCurves, per_class: int, seed: int = 0) -> LightCurves:
    """`per_class` random stars of every label; a smaller number takes some of the same stars.

    Raises
    ------
    ValueError
        If `per_class` is below 1, or a class has fewer stars.
    """
    classes, counts = np.unique(lc.label, return_counts=True)
    if not 1 <= per_class <= counts.min():
        raise ValueError(f"{per_class} stars a class; choose 1 to {counts.min()}, as many as there are of "
                         f"{classes[counts.argmin()]!r}")  # fmt: skip
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(lc.label == name))[:per_class] for name in classes]
    return lc[np.sort(np.concatenate(rows))]


def compare(checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, test: LightCurves, *,
            layers: int = PAPER_LAYERS, rates: Sequence[float] = RATES, epochs: int = 15,
            seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Linear probe, head only, last `layers` layers, whole encoder, and from scratch; the probe of random weights too.

    All read start, middle and end, concatenated. Settings (C or learning rate, and the epoch) are those of best
    accuracy on `choose`; `test` is used once a row. Training magnitudes get the paper's noise, but for the head alone,
    which then needs its windows embedded only once, and so has ten times the epochs.

    Returns
    -------
    DataFrame
        One row a way: ``way``, ``accuracy``, ``macro_f1``, ``setting`` (C or learning rate), ``epochs`` trained (0 for
        a probe), ``n_fit``, ``n_test``.
    """
    random = random_control(checkpoint)
    rows = [_probed("linear probe", checkpoint, fit, choose, test),
            _probed("linear probe, random weights", random, fit, choose, test)]  # fmt: skip
    ways: dict[str, tuple[Checkpoint, Any]] = {
        "head only": (checkpoint, 0), f"last {layers} layers": (checkpoint, layers),
        "whole encoder": (checkpoint, "all"), "from scratch": (random, "all"),
    }  # fmt: skip
    for way, (start, thawed) in ways.items():
        how = {"noise": PAPER_NOISE, "epochs": epochs} if thawed else {"noise": 0.0, "epochs": 10 * epochs}
        tuned, rate = best_finetuned(start, fit, choose, rates, layers=thawed, seed=seed, **how)
        rows.append(_row(way, score(test.label, tuned.predict(test)), rate, len(tuned.history)))
    return pd.DataFrame(rows).assign(n_fit=len(fit), n_test=len(test))


def label_curve(checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, test: LightCurves,
                per_class: Sequence[int], *, seed: int = 0, **how: Any) -> pd.DataFrame:  # fmt: skip
    """`compare` for several numbers of labels a class, as many again to choose by; a column ``per_class`` more."""
    parts = [compare(checkpoint, few(fit, n, seed), few(choose, n, seed), test, seed=seed, **how).assign(per_class=n)
             for n in per_class]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def window_curve(checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, test: LightCurves,
                 windows: Sequence[int] = (1, 2, 3, 5), *, rates: Sequence[float] = (1e-3, 1e-2), epochs: int = 60,
                 seed: int = 0) -> pd.DataFrame:  # fmt: skip
    """Heads on a frozen encoder that reads several windows of each light curve, pooled in each of three ways.

    Returns
    -------
    DataFrame
        ``windows``, ``pooling``, ``accuracy``, ``macro_f1``, ``setting`` (learning rate), ``epochs``.
    """
    rows = []
    for n in windows:
        for pooling in get_args(Pooling):
            how = {"layers": 0, "windows": n, "pooling": pooling, "epochs": epochs, "noise": 0.0, "seed": seed}
            tuned, rate = best_finetuned(checkpoint, fit, choose, rates, **how)
            found = _row(pooling, score(test.label, tuned.predict(test)), rate, len(tuned.history))
            rows.append({"windows": n, "pooling": found.pop("way"), **found})
    return pd.DataFrame(rows)


def best_finetuned(checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, rates: Sequence[float],
                   **how: Any) -> tuple[FineTuned, float]:  # fmt: skip
    """The fine-tuning of best accuracy on `choose` among learning rates, and its rate; the first of equals."""
    if not rates:
        raise ValueError("no learning rate to choose from; give at least one")
    how = {"batch_size": BATCH, "progress": False, **how}
    runs = [finetune(checkpoint, fit, choose, learning_rate=rate, **how) for rate in rates]
    best = int(np.argmax([run.history["accuracy"].max() for run in runs]))
    return runs[best], rates[best]


def tuned_checkpoint(tuned: FineTuned, checkpoint: Checkpoint) -> Checkpoint:
    """The fine-tuned encoder in place of the one it began as, to embed with; it has no file, and so no hash."""
    return replace(checkpoint, encoder=tuned.encoder, sha256="")


def _probed(way: str, checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves,
            test: LightCurves) -> dict[str, Any]:  # fmt: skip
    x, middle, last = (embed(lc, checkpoint, fusion="concat") for lc in (fit, choose, test))
    tried = [linear_probe(x, fit.label, middle, choose.label, C=C).accuracy for C in PENALTIES]
    C = PENALTIES[int(np.argmax(tried))]
    return _row(way, linear_probe(x, fit.label, last, test.label, C=C), C, 0)


def _row(way: str, found: Scores, setting: float, epochs: int) -> dict[str, Any]:
    return {"way": way, "accuracy": found.accuracy, "macro_f1": found.macro_f1, "setting": setting, "epochs": epochs}
