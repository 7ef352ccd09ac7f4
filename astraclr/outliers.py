"""Are strange stars far out? Events of kinds that no encoder was trained on, planted among ordinary stars.

An isolation forest (Liu et al. 2008, ICDM; the implementation is coniferest's) ranks all stars without labels; the
purity of its first few per cent says whether the representation sets such events apart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from astraclr.cadence import ztf_fields
from astraclr.embedding import Crop, crop_observations
from astraclr.lightcurves import ZTF_BANDS, LightCurves
from astraclr.preparation import prepare
from astraclr.presets import RECIPES, Preset, Recipe
from astraclr.simulate import FAINTEST_MEAN, epochs, observed

EVENTS = ("supernova", "microlensing")


def bazin(days: np.ndarray, rise: np.ndarray | float, fall: np.ndarray | float) -> np.ndarray:
    """Flux of a supernova, 1 at maximum, `days` after it: ``exp(-t/fall) / (1 + exp(-t/rise))`` scaled and shifted.

    Parameters
    ----------
    rise, fall : days, fall > rise (Bazin et al. 2009, A&A 499, 653, equation 1 without the constant)
    """
    ratio = np.asarray(fall) / rise
    top = rise * np.log(ratio - 1)  # where the derivative vanishes
    with np.errstate(over="ignore"):  # long before, the flux is 0
        later = np.asarray(days) + top
        # Both exponentials in one, so that neither overflows alone where the other one is 0.
        flux = np.exp(-np.logaddexp(later / fall, later / fall - later / rise))
    return flux / np.exp(-np.logaddexp(top / fall, top / fall - top / rise))


def paczynski(u: np.ndarray | float) -> np.ndarray:
    """Magnification by a point lens of a point source at `u` Einstein radii (Paczynski 1986, ApJ 304, 1)."""
    u2 = np.square(u)
    return (u2 + 2) / np.sqrt(u2 * (u2 + 4))


def planted(n_stars: int, kind: str, seed: int = 0, *, difficulty: float = 1.0, event: bool = True) -> LightCurves:
    """Simulate events with the cadence, errors and limits of `astraclr.simulate`.

    "supernova": on a faint, constant host, up in days and down in weeks, fastest in g, so that it reddens.
    "microlensing": of a constant star, equal in all bands, weeks to months long, nothing blended in. Ranges are round
    numbers of ours. The maximum falls on one of the star's own epochs: an event that nobody saw cannot be found.

    Parameters
    ----------
    n_stars, seed : how many; equal seeds give equal bytes
    kind : one of `EVENTS`; also the label
    difficulty : as for `simulate`: how inexact errors and nights are
    event : False leaves the event out and all else as it is: a control, since constant stars are strange as well

    Raises
    ------
    ValueError
        For an unknown kind, fewer than 1 star, a negative seed, a difficulty outside 0 to 3.
    """
    if kind not in EVENTS:
        raise ValueError(f"no event {kind!r}; choose from {', '.join(EVENTS)}")
    if n_stars < 1 or seed < 0 or not 0 <= difficulty <= 3:
        raise ValueError(f"n_stars {n_stars}, seed {seed}, difficulty {difficulty}: at least 1, at least 0, and 0 to 3")
    rng, fields = np.random.default_rng([seed, EVENTS.index(kind), n_stars]), ztf_fields()
    segment, row = epochs(rng, n_stars, fields)
    star, band = np.divmod(segment, 3)
    number = np.bincount(star, minlength=n_stars)
    top = (np.cumsum(number) - number) + (rng.random(n_stars) * number).astype(int)
    days = fields.mjd[row] - fields.mjd[row[top]][star]
    make = _supernova if kind == "supernova" else _microlensing
    mean, gain = make(rng, days, star, band, n_stars)
    mag = mean.ravel()[segment] - 2.5 * np.log10(1 + (gain if event else 0 * gain))
    mis_scale = np.exp(rng.normal(0, 0.2 * difficulty, n_stars)).astype(np.float32)
    mag, magerr, seen = observed(rng, mag.astype(np.float32), row, mis_scale[star], 0.0, difficulty, fields)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(segment[seen], minlength=3 * n_stars))])
    ids = np.array([f"{kind}-{seed}-{k:06d}" for k in range(n_stars)])
    return LightCurves(
        fields.mjd[row[seen]],
        mag[seen],
        magerr[seen].astype(np.float32),
        offsets,
        dict(ZTF_BANDS),
        ids,
        np.full(n_stars, kind),
        np.full(n_stars, np.nan),
    )


def _supernova(
    rng: np.random.Generator, days: np.ndarray, star: np.ndarray, band: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean magnitudes of the host (n, 3), and flux of the event in units of the host's (n_obs,)."""
    host = _constant(rng, n, (18.5, 19.8))
    top = host[:, 1] - rng.uniform(0.5, 3, n)  # r at maximum, the host left out
    blue, red = rng.uniform(-0.2, 0.2, n), rng.uniform(-0.2, 0.1, n)
    event = np.stack([top + blue, top, top - red], 1)
    rise, fall = rng.uniform(2, 6, n), rng.uniform(15, 40, n)
    falls = np.stack([fall * rng.uniform(0.5, 0.7, n), fall, fall * rng.uniform(1.2, 1.6, n)], 1)
    rise = np.minimum(rise, falls[:, 0] / 2)  # a maximum needs a fall slower than the rise
    return host, 10 ** (0.4 * (host - event))[star, band] * bazin(days, rise[star], falls[star, band])


def _microlensing(
    rng: np.random.Generator, days: np.ndarray, star: np.ndarray, band: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean magnitudes of the source (n, 3), and its magnification minus 1 (n_obs,)."""
    source = _constant(rng, n, (15.0, 19.5))
    nearest, crossing = rng.uniform(0.02, 0.6, n), 10 ** rng.uniform(1, 2, n)  # Einstein radii; days
    return source, paczynski(np.hypot(nearest[star], days / crossing[star])) - 1


def _constant(rng: np.random.Generator, n: int, r: tuple[float, float]) -> np.ndarray:
    """(n, 3) magnitudes of constant sources, none too faint for a catalogue."""
    mean = rng.uniform(*r, n)
    mean = np.stack([mean + rng.uniform(0.4, 1.1, n), mean, mean - rng.uniform(0.1, 0.5, n)], 1)
    return mean - np.maximum(mean[:, :2].max(1) - FAINTEST_MEAN, 0)[:, None]


def one_window(lc: LightCurves, preset: Preset, crop: Crop, recipe: Recipe = RECIPES["corrected"]) -> LightCurves:
    """Only those epochs that an encoder of that preset sees in one of its crops."""
    layout = tuple(preset.window(b, w) for b, w in lc.bands.items())
    seen = np.zeros(lc.n_obs, bool)
    seen[crop_observations(prepare(lc), torch.arange(len(lc)), layout, crop, recipe)[0].numpy()] = True
    return replace(
        lc,
        mjd=lc.mjd[seen],
        mag=lc.mag[seen],
        magerr=lc.magerr[seen],
        notes={},
        offsets=np.concatenate([[0], np.cumsum(seen)])[lc.offsets],
    )


def disagreement(windows: np.ndarray) -> np.ndarray:
    """(n, d) how far, dimension by dimension, the window that is furthest from the star's mean lies from it.

    An event lies in one window of a star and not in the others; their mean dilutes it.

    Parameters
    ----------
    windows : (n, n_windows, d) vectors of each window of each star, at least two windows
    """
    if windows.ndim != 3 or windows.shape[1] < 2:
        raise ValueError(f"windows of shape {windows.shape}; give (stars, windows, dimensions), at least two windows")
    return np.abs(windows - windows.mean(1, keepdims=True)).max(1)


def outlier_scores(x: np.ndarray, seed: int = 0, n_trees: int = 300) -> np.ndarray:
    """(n,) how strange each star is among all, by coniferest's isolation forest; larger is stranger.

    Parameters
    ----------
    x : (n, d) embeddings or features, finite; their scales do not matter to trees

    Raises
    ------
    ImportError
        Without coniferest; ``pip install "astraclr[interop]"`` brings it.
    """
    if len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"{len(x)} stars, {int((~np.isfinite(x)).any(1).sum())} of them not finite; give at least 2, all finite"
        )
    try:
        from coniferest.isoforest import IsolationForest
    except ImportError as error:
        remedy = 'outlier scores need the coniferest package: pip install "astraclr[interop]"'
        raise ImportError(remedy) from error
    x = np.ascontiguousarray(x, np.float64)
    forest: Any = IsolationForest(n_trees=n_trees, n_subsamples=min(256, len(x)), n_jobs=1, random_seed=seed)
    return -np.asarray(forest.fit(x).score_samples(x))


def purity_at_top(
    scores: np.ndarray, strange: np.ndarray, share: float, bootstraps: int = 200, seed: int = 0
) -> dict[str, float]:
    """Share of planted events among the stars of the largest scores.

    Parameters
    ----------
    scores : (n,); strange : (n,) bool, the planted ones
    share : 0 to 1, how much of the ranking is looked at, at least one star
    bootstraps : resamples of the ranked stars; the forest stays as it is

    Returns
    -------
    dict
        ``purity``, its central 95 % ``low`` and ``high``, ``chance`` (share of the planted), ``best`` that any ranking
        can reach, ``n_top``
    """
    if len(scores) != len(strange) or not np.any(strange) or np.all(strange):
        raise ValueError(
            f"{len(scores)} scores, {len(strange)} stars, {int(np.sum(strange))} planted: give one score "
            "a star, and planted stars among others"
        )
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; it must lie between 0 and 1, such as 0.01")
    n_top = max(1, round(share * len(scores)))

    def purity(rows: np.ndarray) -> float:
        return float(strange[rows[np.argsort(-scores[rows], kind="stable")[:n_top]]].mean())

    rng = np.random.default_rng(seed)
    again = [purity(rng.integers(len(scores), size=len(scores))) for _ in range(bootstraps)]
    low, high = np.percentile(again, [2.5, 97.5]) if again else (np.nan, np.nan)
    best = min(1.0, float(np.sum(strange)) / n_top)
    return {
        "purity": purity(np.arange(len(scores))),
        "low": float(low),
        "high": float(high),
        "chance": float(np.mean(strange)),
        "best": best,
        "n_top": n_top,
    }
