"""Ways to use an encoder with few labels, compared on the same labelled stars and the same test stars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.finetune import PAPER_LAYERS, FineTuned, Layers, finetune
from astraclr.evaluate.finetune_from_probe import ranked_probes, warm_finetune
from astraclr.evaluate.heads import Pooling, WindowAttention, fit_converged
from astraclr.evaluate.metrics import Scores, score
from astraclr.evaluate.probes import C_GRID, PAPER_C, best_setting
from astraclr.evaluate.splits import cap_labels
from astraclr.model.checkpoint import Checkpoint, random_control
from astraclr.model.embedding import embed, fuse

EPOCHS, BATCH = 3, 32
"""Epochs and stars per step. Chosen with 800 labels on validation stars, where longer or faster training lost accuracy;
the paper's 100 and 128 are made for 42,000 labels."""
RATE, RANDOM_RATE, HEAD_RATE, HEAD_EPOCHS = 3e-4, 1e-3, 3e-3, 200
"""Learning rate from trained and from random weights; rate and epochs of the head alone, whose windows are embedded
only once."""


def compare(
    checkpoint: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    test: LightCurves,
    *,
    layers: int = PAPER_LAYERS,
    epochs: int = EPOCHS,
    seed: int = 0,
    kept: dict[str, FineTuned] | None = None,
) -> pd.DataFrame:
    """Compare linear probes, a trained head, fine-tuning of some or all layers, and training from random weights.

    Linear probes of the encoder with random weights are the control. A probe is fitted on the mean or the concatenation
    of start, middle and end; the others on their concatenation. Fine-tuning begins at a probe (`warm_finetune`).
    Fusion, C and epoch are chosen on the validation set; the paper's probe, C = 10 on the mean, has no choices.

    Parameters
    ----------
    layers, epochs, seed : of fine-tuning; the seed also draws the random weights
    kept : if given, is filled with the fine-tuned classifiers by their ``way``

    Returns
    -------
    DataFrame
        One row per way: ``way``, ``accuracy``, ``macro_f1``, ``setting`` (C or learning rate), ``fusion``, ``epochs``
        trained (0 for a probe), ``chosen`` (validation accuracy), ``n_fit``, ``n_choose``, ``n_test``.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(18, seed=0, classes=["RR", "LPV"])
    >>> len(compare(load_checkpoint("tiny"), stars[:6], stars[6:12], stars[12:], epochs=1))
    8
    """
    random = random_control(checkpoint, seed)
    rows = _probe_rows("linear probe", checkpoint, train, validation, test)
    rows += _probe_rows("linear probe, random weights", random, train, validation, test)
    tuned = _fine_tuned(checkpoint, random, train, validation, layers=layers, epochs=epochs, seed=seed)
    for way, (model, rate) in tuned.items():
        epoch, chosen = (float(model.history[column].to_numpy().max()) for column in ("epoch", "accuracy"))
        rows.append(_row(way, score(test.label, model.predict(test)), rate, "concat", int(epoch), chosen))
    if kept is not None:
        kept |= {way: model for way, (model, _) in tuned.items()}
    return pd.DataFrame(rows).assign(n_fit=len(train), n_choose=len(validation), n_test=len(test))


def _fine_tuned(
    checkpoint: Checkpoint,
    random: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    *,
    layers: int,
    epochs: int,
    seed: int,
) -> dict[str, tuple[FineTuned, float]]:
    """Every way to train a classifier: its name, the classifier, and its learning rate."""
    head = finetune(
        checkpoint,
        train,
        validation,
        layers=0,
        noise=0.0,
        epochs=epochs * HEAD_EPOCHS // EPOCHS,
        patience=30,
        learning_rate=HEAD_RATE,
        batch_size=BATCH,
        seed=seed,
        progress=False,
    )
    ways: dict[str, tuple[Checkpoint, Layers, float]] = {
        "last layers": (checkpoint, layers, RATE),
        "whole encoder": (checkpoint, "all", RATE),
        "from scratch": (random, "all", RANDOM_RATE),
    }
    how: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH, "seed": seed}
    return {"head only": (head, HEAD_RATE)} | {
        way: (warm_finetune(start, train, validation, layers=free, learning_rate=rate, **how), rate)
        for way, (start, free, rate) in ways.items()
    }


def _probe_rows(
    way: str, checkpoint: Checkpoint, train: LightCurves, validation: LightCurves, test: LightCurves
) -> list[dict[str, Any]]:
    """Rows of the probe with the best fusion and C, and of the paper's."""
    x, held, last = (embed(lc, checkpoint, fusion="concat") for lc in (train, validation, test))
    probes = ranked_probes(x, train.label, held, validation.label)
    paper = next(probe for probe in probes if probe.fusion == "mean" and probe.C == PAPER_C)
    return [
        _row(name, score(test.label, probe.predict(last)), probe.C, probe.fusion, 0, probe.chosen)
        for name, probe in ((way, probes[0]), (f"{way}, C = {PAPER_C:g}", paper))
    ]


def _row(way: str, scores: Scores, setting: float, fusion: str, epochs: int, chosen: float) -> dict[str, Any]:
    """A row of the table of `compare`."""
    return {
        "way": way,
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "setting": setting,
        "fusion": fusion,
        "epochs": epochs,
        "chosen": float(chosen),
    }


def label_curve(
    checkpoint: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    test: LightCurves,
    per_class: Sequence[int],
    *,
    seed: int = 0,
    **how: Any,
) -> pd.DataFrame:
    """`compare` for several numbers of labels per class, with as many validation stars per class.

    Parameters
    ----------
    train, validation : stars from which so many of each class are drawn (`cap_labels`)
    per_class : numbers of labels per class
    seed : of these draws, and of `compare`
    how : other arguments of `compare`

    Returns
    -------
    DataFrame
        The rows of `compare` with the column ``per_class``.

    Raises
    ------
    ValueError
        If a class has too few stars.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(36, seed=0, classes=["RR", "LPV"])
    >>> label_curve(load_checkpoint("tiny"), stars[:12], stars[12:24], stars[24:], per_class=[90])
    Traceback (most recent call last):
    ValueError: 90 stars per class; choose 1 to 6, as many as there are of 'LPV'
    """

    def drawn(lc: LightCurves, n: int) -> LightCurves:
        return lc[cap_labels(lc.label, n, seed, exact=True)]

    parts = [
        compare(checkpoint, drawn(train, n), drawn(validation, n), test, seed=seed, **how).assign(per_class=n)
        for n in per_class
    ]
    return pd.concat(parts, ignore_index=True)


def window_curve(
    checkpoint: Checkpoint,
    train: LightCurves,
    validation: LightCurves,
    test: LightCurves,
    windows: Sequence[int] = (1, 2, 3, 5),
) -> pd.DataFrame:
    """Compare linear classifiers on several windows of each light curve, joined in each of three ways.

    Parameters
    ----------
    checkpoint : its encoder stays as it is
    windows : numbers of windows

    Returns
    -------
    DataFrame
        ``windows``, ``pooling``, ``accuracy``, ``macro_f1``, ``setting`` (C of best validation accuracy), ``chosen``
        (that accuracy).

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars = simulate(36, seed=0, classes=["RR", "LPV"])
    >>> window_curve(load_checkpoint("tiny"), stars[:12], stars[12:24], stars[24:], windows=[2])["pooling"].tolist()
    ['mean', 'concat', 'attention']
    """
    classes, y = np.unique(train.label, return_inverse=True)
    rows = []
    for n in windows:
        sets = [_windows(embed(lc, checkpoint, fusion="concat", windows=n), n) for lc in (train, validation, test)]
        mean, spread = sets[0].mean((0, 1)), sets[0].std((0, 1)).clamp(min=1e-6)
        x, held, last = ((part - mean) / spread for part in sets)
        for pooling in get_args(Pooling):
            classifiers = {C: _window_classifier(x, torch.as_tensor(y), pooling, C) for C in C_GRID}
            predicted = {C: classes[classify(held)] for C, classify in classifiers.items()}
            best, accuracies = best_setting(predicted, validation.label)
            found = score(test.label, classes[classifiers[best](last)])
            row = {"windows": n, "pooling": pooling, "accuracy": found.accuracy, "macro_f1": found.macro_f1}
            rows.append(row | {"setting": best, "chosen": accuracies[best]})
    return pd.DataFrame(rows)


def _windows(concatenated: np.ndarray, n: int) -> Tensor:
    """(n_stars, n * d) to (n, n_stars, d)."""
    return torch.as_tensor(concatenated).unflatten(1, (n, -1)).transpose(0, 1)


def _window_classifier(x: Tensor, y: Tensor, pooling: Pooling, C: float) -> Callable[[Tensor], np.ndarray]:
    """Logistic regression from (n_windows, n_stars, d) to class numbers, the attention over windows fitted with it."""
    attention = WindowAttention(x.shape[-1])
    head = nn.Linear(x.shape[-1] * (len(x) if pooling == "concat" else 1), int(y.max()) + 1)
    trained = [*head.parameters(), *(attention.parameters() if pooling == "attention" else [])]

    def scores(windows: Tensor) -> Tensor:
        return head(attention(windows) if pooling == "attention" else fuse(windows, pooling))

    fit_converged(lambda: scores(x), y, trained, C, max_iter=200)
    return lambda windows: scores(windows).argmax(1).numpy()


def tuned_checkpoint(tuned: FineTuned, checkpoint: Checkpoint) -> Checkpoint:
    """Put a fine-tuned encoder into the checkpoint it began as, to embed with it; without a file it has no SHA-256.

    Examples
    --------
    >>> from astraclr.model.checkpoint import load_checkpoint
    >>> from astraclr.simulation.simulate import simulate
    >>> stars, tiny = simulate(24, seed=0, classes=["RR", "LPV"]), load_checkpoint("tiny")
    >>> tuned = finetune(tiny, stars[:12], stars[12:], epochs=1, progress=False)
    >>> embed(stars, tuned_checkpoint(tuned, tiny)).shape
    (24, 64)
    """
    return replace(checkpoint, encoder=tuned.encoder, sha256="")
