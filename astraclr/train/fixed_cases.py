"""Fixed stars and small settings that a fingerprint is made with: every switch in each position, every edge reached.

Spelt out here, so that neither a new default nor a changed preset or recipe of the package makes kept results stale
that have nothing to do with it: those changes are in the settings of the runs they concern.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from astraclr.config import Preset, Recipe, View
from astraclr.data.lightcurves import ZTF_BANDS, LightCurves, concatenate
from astraclr.simulation.simulate import simulate

SIZE = Preset("probe", 16, 2, 2, 32, (("g", 12), ("r", 14), ("i", 4)), 0, 0, 12, 3, 30, 2, 20, replicas=2)
_PLAIN: dict[str, Any] = {
    "views": (View("first", 1.0, 1.0), View("second", 0.5), View("third", 1.0, 2.0, 0.5, True)),
    "noise_unit": "error",
    "bin_rule": "share",
    "drop_in_place": False,
    "last_start": True,
    "shared_window": False,
    "outlier_sides": "both",
    "centring": "star",
    "middle_crop": "band",
    "time_rates": "log",
    "error_input": False,
    "inputs": "paper",
    "norm": "post",
    "pooling": "mean",
    "initial_weights": "glorot",
    "loss_sum": False,
    "negatives": "gathered",
    "keras_adam": False,
    "frozen_views": False,
    "fixed_validation": True,
    "thaw_embedding": False,
    "contrast": 1.0,
    "summaries": 0.0,
    "schedule": "warmup",
    "peak_rate": 3e-3,
    "weight_decay": 0.0,
    "temperature": 0.1,
    "dropout": 0.0,  # what drop-out draws differs between builds of torch: see `_encoder`
}
_HARMED = {"colour_jitter": 0.15, "error_jitter": 0.3, "thinning": 0.5, "lost_band": 0.3}
RECIPES: dict[str, Recipe] = {
    name: Recipe(**{**_PLAIN, "name": name, **switches})
    for name, switches in {
        "plain": {},
        "public": {
            "views": (View("first", 1.0, 0.05), View("second", 0.5), View("third", 1.0, 0.10, 0.5, True)),
            "noise_unit": "mag",
            "bin_rule": "ranks",
            "drop_in_place": True,
            "last_start": False,
            "outlier_sides": "bright",
            "time_rates": "days",
            "loss_sum": True,
            "negatives": "replica",
            "keras_adam": True,
            "fixed_validation": False,
        },
        "rich": {
            "views": tuple(replace(view, **_HARMED) for view in _PLAIN["views"]),
            "time_rates": "none",
            "inputs": "steps",
            "norm": "pre",
            "pooling": "mean_std",
            "initial_weights": "torch",
            "contrast": 0.05,
            "summaries": 1.0,
            "schedule": "cosine",
            "weight_decay": 1e-2,
        },
        "other": {
            "shared_window": True,
            "centring": "window",
            "middle_crop": "epoch",
            "error_input": True,
            "frozen_views": True,
        },
    }.items()
}
"""Every switch in each of its positions, spelt out, so that no change of a named recipe makes runs of others stale."""
DESCRIBED = replace(
    RECIPES["rich"],
    name="described",
    global_contrast=1.0,
    global_temperature=0.2,
    global_inputs="folded",
    folded_input="both",
)
"""The switches that were added with the contrast between views and whole light curves."""


@cache
def stars() -> LightCurves:
    """Simulated stars, three of each class, and eight that reach the edges of the method."""
    k, rng = np.arange(48), np.random.default_rng(7)
    mjd, noise = 58_194.0 + 11.2347 * k, rng.integers(-99, 100, 48) / 1_000
    good = np.full(48, 0.02)
    both = k % 2
    columns = [  # band, time, magnitude, error
        (both, mjd, 17 + noise, np.where(k % 3, 1e-5, 8.5)),  # errors that are cut at both ends
        (0 * k, mjd, 16 + noise, good),  # one band only
        (0 * k[:1], mjd[:1], 18 + noise[:1], good[:1]),  # one observation
        (both, mjd, 17 + noise + 30.0 * (k == 20), good),  # one magnitude that cannot be
        # Too few in two bands to be summarised, just enough in one.
        (np.repeat(np.arange(3), (3, 5, 4)), mjd[:12], 18 + noise[:12], good[:12]),
        (both, 58_000.0 + 60.2347 * k, 15 + noise, good),  # from the origin of time, for longer than the periodogram
        (both, mjd, 0 * k + 16.0, good),  # constant
        (both, mjd, 17 + 0.5 * np.sin(k), good),  # a sine
    ]
    band, mjd, mag, error = (np.concatenate(column) for column in zip(*columns, strict=True))
    star = np.repeat(np.arange(len(columns)), [len(column[0]) for column in columns])
    return concatenate([simulate(36, seed=1), LightCurves.from_arrays(star, band, mjd, mag, error, bands=ZTF_BANDS)])
