"""Turn light curves into the 700 tokens that light-curve and astra-infer feed to an encoder.

300 tokens for g, then 350 for r, then 50 for i, each band padded at its own end. A strategy selects the observations of
a band that has more; the rules were found by running the public tools (appendix "Differences").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from astraclr.data.lightcurves import LightCurves
from astraclr.data.tokens import MJD_ZERO, weighted_mean

LAYOUT = {"g": 300, "r": 350, "i": 50}
"""Tokens of each band, in this order."""
N_TOKENS = sum(LAYOUT.values())
STRATEGIES = ("beginning", "middle", "end", "window", "sample")
Middle = Literal["band", "epoch"]
Centring = Literal["star", "window"]

_LONGEST = np.array(list(LAYOUT.values()))
_SLOT_BAND = np.repeat(np.arange(len(LAYOUT)), _LONGEST)
_SLOT_PLACE = np.concatenate([np.arange(n) for n in _LONGEST])


class ModelInputs(NamedTuple):
    """Inputs of an encoder under the exchange contract, float32, one row for each star and strategy.

    Attributes
    ----------
    input : ndarray
        (n_stars, n_strategies, 700, 1) magnitude minus a mean.
    times : ndarray
        (n_stars, n_strategies, 700, 1) MJD - 58000, days.
    band_info : ndarray
        (n_stars, n_strategies, 700, 1) log10 of the effective wavelength in angstrom.
    mask : ndarray
        (n_stars, n_strategies, 700), 1 = padding.
    """

    input: np.ndarray
    times: np.ndarray
    band_info: np.ndarray
    mask: np.ndarray

    def rows(self) -> dict[str, np.ndarray]:
        """Arrays by name with stars and strategies in one axis, as a model takes them."""
        return {name: values.reshape(-1, *values.shape[2:]) for name, values in self._asdict().items()}


class _Bands(NamedTuple):
    """First observation and number of observations of g, r and i, (n_stars, 3); rank in time of each observation."""

    first: np.ndarray
    n_epochs: np.ndarray
    rank: np.ndarray


def model_inputs(
    lc: LightCurves,
    strategies: Sequence[str] = ("beginning", "middle", "end"),
    *,
    seed: int | np.random.Generator = 0,
    middle: Middle = "epoch",
    centring: Centring = "star",
) -> ModelInputs:
    """Turn light curves into tokens of the exchange contract.

    Parameters
    ----------
    lc : LightCurves
        Stars in bands g, r, i, or some of them.
    strategies : sequence of str
        "beginning", "end": the first or last observations of each band; "middle"; "window": a window around a random
        epoch; "sample": random observations of each band.
    seed : int or Generator
        For "window" and "sample". One generator draws star after star, and for a star the strategies in order.
    middle : str
        "epoch" cuts all bands at the star's middle epoch (astra-infer); "band" takes the middle of each band (the
        paper's training, light-curve).
    centring : str
        "star" subtracts one weighted mean over all bands, which keeps colour (the paper, astra-infer); "window" that of
        each band's own window, which removes colour (light-curve).

    Raises
    ------
    ValueError
        For an unknown strategy, rule or band.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> model_inputs(simulate(2, seed=1), ("beginning", "end")).input.shape
    (2, 2, 700, 1)
    """
    _check(lc, strategies, middle, centring)
    bands = _bands(lc)
    index = _observations(bands, strategies, np.random.default_rng(seed), middle)
    masked = index < 0
    mag = lc.mag if centring == "window" else lc.mag - np.repeat(weighted_mean(lc), lc.counts.sum(1))
    mag = np.where(masked, 0, mag.astype(np.float64)[index])
    if centring == "window":
        weight = np.where(masked, 0, lc.magerr.astype(np.float64)[index] ** -2)
        mag = np.where(masked, 0, mag - _window_mean(mag, weight))
    times = np.where(masked, 0, lc.mjd[index] - MJD_ZERO)
    wavelength = np.log10([lc.bands.get(band, 1.0) for band in LAYOUT])[_SLOT_BAND]
    values = (a.astype(np.float32)[..., None] for a in (mag, times, np.where(masked, 0, wavelength)))
    return ModelInputs(*values, mask=masked.astype(np.float32))


def _check(lc: LightCurves, strategies: Sequence[str], middle: str, centring: str) -> None:
    """Raise ValueError for a strategy, rule or band that does not exist."""
    if not strategies:
        raise ValueError(f"no strategy given; choose from {', '.join(STRATEGIES)}")
    choices = {
        "strategy": (strategies, STRATEGIES),
        "middle": ([middle], ("band", "epoch")),
        "centring": ([centring], ("star", "window")),
    }
    for what, (given, allowed) in choices.items():
        if unknown := [g for g in given if g not in allowed]:
            raise ValueError(f"no {what} {unknown[0]!r}; choose from {', '.join(allowed)}")
    if unknown := [b for b in lc.bands if b not in LAYOUT]:
        raise ValueError(
            f"the exchange contract has no place for {', '.join(unknown)}, only {', '.join(LAYOUT)}; "
            "read the file with drop_unknown_bands=True, or embed with a checkpoint"
        )


def _bands(lc: LightCurves) -> _Bands:
    """Find the observations of g, r and i; a band that is missing has none."""
    names, n_bands = list(lc.bands), len(lc.bands)
    first, count = np.zeros((2, len(lc), len(LAYOUT)), np.int64)
    for k, band in enumerate(LAYOUT):
        if band in names:
            first[:, k], count[:, k] = lc.offsets[names.index(band) : -1 : n_bands], lc.counts[:, names.index(band)]
    per_star = lc.counts.sum(1)
    order = np.lexsort((lc.mjd, np.repeat(np.arange(len(lc)), per_star)))  # stable, where astra-infer's is not
    rank = np.empty(lc.n_obs, np.int64)
    rank[order] = np.arange(lc.n_obs) - np.repeat(np.cumsum(per_star) - per_star, per_star)
    return _Bands(first, count, rank)


def _observations(bands: _Bands, strategies: Sequence[str], rng: np.random.Generator, middle: Middle) -> np.ndarray:
    """(n_stars, n_strategies, 700) number of the observation in each place; -1 where there is none."""
    out = np.empty((len(bands.n_epochs), len(strategies), N_TOKENS), np.int64)
    cuts, samples = _draw(bands, strategies, rng)
    for s, strategy in enumerate(strategies):
        if strategy == "sample":
            out[:, s] = samples[s]
            continue
        last = np.maximum(bands.n_epochs - _LONGEST, 0)
        if strategy == "beginning":
            start = np.zeros_like(last)
        elif strategy == "end":
            start = last
        elif strategy == "middle" and middle == "band":
            start = np.minimum(np.maximum(bands.n_epochs // 2 - _LONGEST // 2, 0), last)
        else:
            cut = bands.n_epochs.sum(1) // 2 if strategy == "middle" else cuts[s]
            start = np.minimum(np.maximum(_epochs_before(bands, cut) - _LONGEST // 2, 0), last)
        place = (bands.first + start)[:, _SLOT_BAND] + _SLOT_PLACE
        out[:, s] = np.where(bands.n_epochs[:, _SLOT_BAND] > _SLOT_PLACE, place, -1)
    return out


def _epochs_before(bands: _Bands, cut: np.ndarray) -> np.ndarray:
    """(n_stars, 3) observations of each band among the first `cut` (n_stars,) of their star in time."""
    segments = np.repeat(np.arange(bands.n_epochs.size), bands.n_epochs.ravel())
    begin = np.cumsum(bands.n_epochs.ravel()) - bands.n_epochs.ravel()
    number = np.arange(len(segments)) - begin[segments] + bands.first.ravel()[segments]
    early = bands.rank[number] < cut[segments // len(LAYOUT)]
    return np.bincount(segments[early], minlength=bands.n_epochs.size).reshape(bands.n_epochs.shape)


def _draw(
    bands: _Bands, strategies: Sequence[str], rng: np.random.Generator
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Draw cuts (n_stars,) of windows and observations (n_stars, 700) of samples, by place in `strategies`."""
    n = len(bands.n_epochs)
    cuts = {s: np.zeros(n, np.int64) for s, name in enumerate(strategies) if name == "window"}
    samples = {s: np.full((n, N_TOKENS), -1) for s, name in enumerate(strategies) if name == "sample"}
    if not cuts and not samples:
        return cuts, samples
    low, high = _cut_range(bands)
    slots = np.concatenate([[0], np.cumsum(_LONGEST)])
    for star in range(n):
        for s in sorted({*cuts, *samples}):
            if s in cuts:
                cuts[s][star] = rng.integers(low[star], high[star] + 1)
                continue
            for b, (first, count) in enumerate(zip(bands.first[star], bands.n_epochs[star], strict=True)):
                chosen = np.sort(rng.choice(count, min(count, _LONGEST[b]), replace=False))
                samples[s][star, slots[b] : slots[b] + len(chosen)] = first + chosen
    return cuts, samples


def _cut_range(bands: _Bands) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest cut (n_stars,) of "window": half a window of some band on either side, where possible."""
    half = _LONGEST // 2
    enough = bands.n_epochs >= half
    total = bands.n_epochs.sum(1)
    reached = bands.rank[np.where(enough, bands.first + half - 1, 0)] + 1
    left = bands.rank[np.where(enough, bands.first + bands.n_epochs - half, 0)]
    low = np.where(enough, reached, total[:, None]).min(1)
    high = np.maximum(np.where(enough, left, 0).max(1), low)
    some = enough.any(1)
    return np.where(some, low, 0), np.where(some, high, total - 1)


def _window_mean(mag: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(..., 700) inverse-variance weighted mean of the band and window of each place; 0 where it is empty."""
    begin = np.cumsum(_LONGEST) - _LONGEST
    total = np.add.reduceat(weight, begin, axis=-1)
    mean = np.add.reduceat(weight * mag, begin, axis=-1) / np.where(total > 0, total, 1)
    return mean[..., _SLOT_BAND]
