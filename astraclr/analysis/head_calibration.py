"""Choose and calibrate a head on validation stars that are damaged as other surveys would damage them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from astraclr.analysis.classifier import Head, fit_head
from astraclr.analysis.predictions import prediction_table
from astraclr.data.lightcurves import LightCurves
from astraclr.evaluate.calibration import Scored, Temperature, confidence_scores, fit_temperature
from astraclr.evaluate.probes import C_GRID
from astraclr.model.checkpoint import Checkpoint
from astraclr.simulation.shifts import SHIFTS

UNDAMAGED = "undamaged"


def damaged(lc: LightCurves, seed: int = 0) -> dict[str, LightCurves]:
    """The same stars as they are, "undamaged", and after each kind of damage (`simulation.shifts`).

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> list(damaged(simulate(12, seed=0)))[:2]
    ['undamaged', 'fewer epochs']
    """
    made = {name: damage(lc, np.random.default_rng([seed, k])) for k, (name, damage) in enumerate(SHIFTS.items())}
    return {UNDAMAGED: lc, **made}


def choose_head(
    x: np.ndarray,
    y: np.ndarray,
    checkpoint: Checkpoint | str,
    validation: Mapping[str, np.ndarray],
    label: np.ndarray,
    features: Sequence[str] = (),
) -> tuple[Head, dict[str, float]]:
    """Fit a head, choose its C by the mean accuracy over kinds of damage, and calibrate it on the same stars.

    Parameters
    ----------
    x, y : (n, d) embeddings and (n,) class names of the training stars
    checkpoint : made the embeddings; or its SHA-256
    validation : kind of damage -> (m, d) embeddings of validation stars, which `x` does not hold
    label : (m,) class names of the validation stars
    features : names of the features in the last columns of both, as `fit_head`

    Returns
    -------
    head : calibrated
    accuracies : C, as text -> mean accuracy over the kinds, rounded to four decimals

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.array(["RR", "ECL"] * 20)
    >>> x = rng.normal(size=(40, 2)) + 2 * (y == "RR")[:, None]
    >>> head, accuracies = choose_head(x[:20], y[:20], "0" * 64, {"undamaged": x[20:]}, y[20:])
    >>> list(accuracies), head.temperature.base > 0
    (['0.01', '0.1', '1.0', '10.0'], True)
    """
    heads = {C: fit_head(x, y, checkpoint, C, features) for C in C_GRID}

    def accuracy(head: Head) -> float:
        sets = scored(head, validation, label).values()
        return float(np.mean([np.mean(scores.argmax(1) == truth) for scores, _, truth in sets]))

    accuracies = {C: accuracy(head) for C, head in heads.items()}
    head = heads[max(accuracies, key=lambda C: accuracies[C])]
    temperature = fit_temperature(list(scored(head, validation, label).values()))
    return replace(head, temperature=temperature), {str(C): round(value, 4) for C, value in accuracies.items()}


def scored(head: Head, validation: Mapping[str, np.ndarray], label: np.ndarray) -> dict[str, Scored]:
    """Class scores, novelty and class numbers of damaged validation stars; stars of other classes are left out."""
    known = np.isin(label, head.classes)
    truth = np.array([head.classes.index(name) for name in label[known].tolist()], int)
    inputs = {kind: x[known].astype(np.float64) for kind, x in validation.items()}
    return {kind: (head.scores(x), head.novelty(x), truth) for kind, x in inputs.items()}


def left_out(sets: Mapping[str, Scored], grows: bool = True) -> dict[str, dict[str, float | int | None]]:
    """For each kind of damage, the calibration that a temperature fitted without that kind has on it.

    A real survey differs from the training stars in ways that nobody listed; a kind that the fit has not seen stands
    for these.

    Parameters
    ----------
    sets : kind -> as `scored`, two kinds or more
    grows : as `fit_temperature`

    Returns
    -------
    dict
        Kind -> `confidence_scores`, and ``calibration_error_as_fitted`` of the head without a temperature.
    """
    out = {}
    for kind, stars in sets.items():
        temperature = fit_temperature([others for other, others in sets.items() if other != kind], grows)
        before = _confidence(Temperature(), stars, resamples=2)["calibration_error"]
        out[kind] = _confidence(temperature, stars) | {"calibration_error_as_fitted": before}
    return out


def _confidence(temperature: Temperature, stars: Scored, resamples: int = 200) -> dict[str, float | int | None]:
    scores, novelty, truth = stars
    p = temperature.probabilities(scores, novelty)
    return confidence_scores(p, p.argmax(1) == truth, novelty > 1, resamples=resamples)


def on_real_stars(lc: LightCurves, checkpoint: Checkpoint, head: Head) -> dict[str, float | int | None]:
    """What the head's confidence and flags are worth on real stars that have one of its classes as their label.

    Returns
    -------
    dict
        `confidence_scores`; a star is flagged for any reason.

    Raises
    ------
    ValueError
        If no star has one of the head's classes as its label.
    """
    known = lc.with_labels(head.classes)
    if not len(known):
        raise ValueError(f"none of {len(lc)} stars has a label among {', '.join(head.classes)}: give labelled stars")
    table = prediction_table(known, checkpoint, head)
    p = table[[f"p_{name}" for name in head.classes]].to_numpy(float)
    right, flagged = (table["label"] == table["predicted"]).to_numpy(), (table["flag"] != "").to_numpy()
    return confidence_scores(p, right, flagged)
