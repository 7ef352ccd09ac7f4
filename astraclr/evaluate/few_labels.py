"""What to do with a few labels? Ways to use an encoder, compared on equal labels and equal test stars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_LAYERS, FineTuned, Pooling, WindowAttention, finetune
from astraclr.evaluate.finetune_from_probe import PENALTIES, probes, warm_finetune
from astraclr.evaluate.metrics import Scores, score
from astraclr.evaluate.probes import PAPER_C
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed, fuse

EPOCHS, BATCH = 3, 32
"""Passes over the labels, and stars in a step. Found with 800 labels on stars to choose by, where training longer or
faster lost accuracy; the paper's 100 and 128 are made for 42,000 labels."""
RATE, RANDOM_RATE, HEAD_RATE, HEAD_EPOCHS = 3e-4, 1e-3, 3e-3, 200
"""Learning rate from trained and from random weights, and of the head alone, whose windows are embedded only once."""


def few(lc: LightCurves, per_class: int, seed: int = 0) -> LightCurves:
    """`per_class` random stars of every label; a smaller number takes some of the same stars.

    Raises
    ------
    ValueError
        If `per_class` is below 1, or a class has fewer stars.
    """
    classes, counts = np.unique(lc.label, return_counts=True)
    if not 1 <= per_class <= counts.min():
        raise ValueError(
            f"{per_class} stars a class; choose 1 to {counts.min()}, as many as there are of "
            f"{classes[counts.argmin()]!r}"
        )
    rng = np.random.default_rng(seed)
    rows = [rng.permutation(np.flatnonzero(lc.label == name))[:per_class] for name in classes]
    return lc[np.sort(np.concatenate(rows))]


def compare(
    checkpoint: Checkpoint,
    fit: LightCurves,
    choose: LightCurves,
    test: LightCurves,
    *,
    layers: int = PAPER_LAYERS,
    epochs: int = EPOCHS,
    seed: int = 0,
    kept: dict[str, FineTuned] | None = None,
) -> pd.DataFrame:
    """Linear probes, head only, last `layers` layers, whole encoder, and from scratch; probes of random weights too.

    A probe reads the mean or the concatenation of start, middle and end; the others read their concatenation. What is
    thawed begins at the probe of its own encoder (`warm_finetune`). Fusion, C and pass are those of best accuracy on
    `choose`; only the paper's probe, C = 10 on the mean, has nothing to choose. `test` is used once a row.

    Parameters
    ----------
    seed : of the random weights, the drop-out and the order of the stars
    kept : gets the fine-tuned classifiers by their way

    Returns
    -------
    DataFrame
        One row a way: ``way``, ``accuracy``, ``macro_f1``, ``setting`` (C or learning rate), ``fusion``, ``epochs``
        trained (0 for a probe), ``chosen`` (accuracy on `choose`), ``n_fit``, ``n_choose``, ``n_test``.
    """
    random = random_control(checkpoint, seed)
    rows = _probed("linear probe", checkpoint, fit, choose, test)
    rows += _probed("linear probe, random weights", random, fit, choose, test)
    head = finetune(
        checkpoint,
        fit,
        choose,
        layers=0,
        noise=0.0,
        epochs=epochs * HEAD_EPOCHS // EPOCHS,
        patience=30,
        learning_rate=HEAD_RATE,
        batch_size=BATCH,
        seed=seed,
        progress=False,
    )
    models = {"head only": (head, HEAD_RATE)}
    thawed: dict[str, tuple[Checkpoint, Any, float]] = {
        "last layers": (checkpoint, layers, RATE),
        "whole encoder": (checkpoint, "all", RATE),
        "from scratch": (random, "all", RANDOM_RATE),
    }
    for way, (start, free, rate) in thawed.items():
        tuned = warm_finetune(
            start, fit, choose, layers=free, epochs=epochs, learning_rate=rate, batch_size=BATCH, seed=seed
        )
        models[way] = tuned, rate
    for way, (tuned, rate) in models.items():
        found, history = score(test.label, tuned.predict(test)), tuned.history
        epoch, chosen = int(history["epoch"].to_numpy().max()), float(history["accuracy"].to_numpy().max())
        rows.append(_row(way, found, rate, "concat", epoch, chosen))
    if kept is not None:
        kept |= {way: tuned for way, (tuned, _) in models.items()}
    return pd.DataFrame(rows).assign(n_fit=len(fit), n_choose=len(choose), n_test=len(test))


def label_curve(
    checkpoint: Checkpoint,
    fit: LightCurves,
    choose: LightCurves,
    test: LightCurves,
    per_class: Sequence[int],
    *,
    seed: int = 0,
    **how: Any,
) -> pd.DataFrame:
    """`compare` for several numbers of labels a class, as many again to choose by; a column ``per_class`` more."""
    parts = [
        compare(checkpoint, few(fit, n, seed), few(choose, n, seed), test, seed=seed, **how).assign(per_class=n)
        for n in per_class
    ]
    return pd.concat(parts, ignore_index=True)


def window_curve(
    checkpoint: Checkpoint,
    fit: LightCurves,
    choose: LightCurves,
    test: LightCurves,
    windows: Sequence[int] = (1, 2, 3, 5),
) -> pd.DataFrame:
    """Linear readers of a frozen encoder that sees several windows of each light curve, pooled in each of three ways.

    Returns
    -------
    DataFrame
        ``windows``, ``pooling``, ``accuracy``, ``macro_f1``, ``setting`` (C of best accuracy on `choose`), ``chosen``.
    """
    classes, y = np.unique(fit.label, return_inverse=True)
    rows = []
    for n in windows:
        x, middle, last = (_windows(embed(lc, checkpoint, fusion="concat", windows=n), n) for lc in (fit, choose, test))
        mean, spread = x.mean((0, 1)), x.std((0, 1)).clamp(min=1e-6)
        x, middle, last = ((part - mean) / spread for part in (x, middle, last))
        for pooling in get_args(Pooling):
            readers = [_window_reader(x, torch.as_tensor(y), pooling, C) for C in PENALTIES]
            tried = [float((classes[read(middle)] == choose.label).mean()) for read in readers]
            best = int(np.argmax(tried))
            found = score(test.label, classes[readers[best](last)])
            rows.append(
                {
                    "windows": n,
                    "pooling": pooling,
                    "accuracy": found.accuracy,
                    "macro_f1": found.macro_f1,
                    "setting": PENALTIES[best],
                    "chosen": tried[best],
                }
            )
    return pd.DataFrame(rows)


def _windows(concatenated: np.ndarray, n: int) -> Tensor:
    """(n_stars, n * d) to (n, n_stars, d)."""
    return torch.as_tensor(concatenated).unflatten(1, (n, -1)).transpose(0, 1)


def _window_reader(x: Tensor, y: Tensor, pooling: Pooling, C: float) -> Callable[[Tensor], np.ndarray]:
    """From (n_windows, n_stars, d) to class numbers: logistic regression, converged, the pooling fitted with it."""
    attention = WindowAttention(x.shape[-1])
    head = nn.Linear(x.shape[-1] * (len(x) if pooling == "concat" else 1), int(y.max()) + 1)
    for weights in head.parameters():
        nn.init.zeros_(weights)
    trained = [*head.parameters(), *(attention.parameters() if pooling == "attention" else [])]
    optimiser = torch.optim.LBFGS(trained, max_iter=200, line_search_fn="strong_wolfe")

    def scores(windows: Tensor) -> Tensor:
        return head(attention(windows) if pooling == "attention" else fuse(windows, pooling))

    def loss() -> Tensor:
        optimiser.zero_grad()
        penalty = sum((w.square().sum() for w in trained if w.ndim > 1), torch.zeros(()))
        value = F.cross_entropy(scores(x), y, reduction="sum") + penalty / (2 * C)
        value.backward()
        return value

    optimiser.step(loss)  # pyright: ignore[reportArgumentType] - it takes a tensor for a number
    return lambda windows: scores(windows).argmax(1).numpy()


def tuned_checkpoint(tuned: FineTuned, checkpoint: Checkpoint) -> Checkpoint:
    """The fine-tuned encoder in place of the one it began as, to embed with; it has no file, and so no hash."""
    return replace(checkpoint, encoder=tuned.encoder, sha256="")


def _probed(
    way: str, checkpoint: Checkpoint, fit: LightCurves, choose: LightCurves, test: LightCurves
) -> list[dict[str, Any]]:
    """The probe with its best fusion and C, and the paper's."""
    x, middle, last = (embed(lc, checkpoint, fusion="concat") for lc in (fit, choose, test))
    tried = probes(x, fit.label, middle, choose.label)
    paper = next(probe for probe in tried if probe.fusion == "mean" and probe.C == PAPER_C)
    return [
        _row(name, score(test.label, probe.predict(last)), probe.C, probe.fusion, 0, probe.chosen)
        for name, probe in ((way, tried[0]), (f"{way}, C = {PAPER_C:g}", paper))
    ]


def _row(way: str, found: Scores, setting: float, fusion: str, epochs: int, chosen: float) -> dict[str, Any]:
    return {
        "way": way,
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "setting": setting,
        "fusion": fusion,
        "epochs": epochs,
        "chosen": float(chosen),
    }
