"""Damage to light curves as another survey would have it: fewer epochs, lost bands, other errors and zero points.

A classifier is fitted on one survey and used on others. These functions make labelled stars of other surveys out of
simulated ones, so that what a prediction is worth there can be measured without a label of a real star. Every star
draws its own strength of the damage: a set of stars stands for many surveys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from astraclr.data.lightcurves import LightCurves

Damage = Callable[[LightCurves, np.random.Generator], LightCurves]


def _log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


def _star(lc: LightCurves) -> np.ndarray:
    """(n_obs,) number of the star of every observation."""
    return lc.segment // len(lc.bands)


def _only(lc: LightCurves, keep: np.ndarray) -> LightCurves:
    """The observations that `keep` names; a star that would lose all keeps all."""
    star = _star(lc)
    keep = keep | (np.bincount(star, keep, len(lc)) == 0)[star]
    offsets = np.concatenate([[0], np.cumsum(keep)])[lc.offsets]
    return replace(lc, mjd=lc.mjd[keep], mag=lc.mag[keep], magerr=lc.magerr[keep], offsets=offsets)


def fewer_epochs(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """A star keeps a random share of its epochs, log-uniform between 3 % and all."""
    share = _log_uniform(rng, 0.03, 1.0, len(lc))
    return _only(lc, rng.random(lc.n_obs) < share[_star(lc)])


def shorter(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """A star keeps the epochs of a random time span, log-uniform between 30 and 1,500 days."""
    star, span = _star(lc), _log_uniform(rng, 30.0, 1_500.0, len(lc))
    middle = lc.mjd.min() + rng.random(len(lc)) * (lc.mjd.max() - lc.mjd.min())
    return _only(lc, np.abs(lc.mjd - middle[star]) < span[star] / 2)


def lost_bands(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """A star keeps one band or more, but not all of them."""
    n = len(lc.bands)
    rank = rng.random((len(lc), n)).argsort(1)
    kept = rank < rng.integers(1, max(2, n), len(lc))[:, None]
    return _only(lc, kept.ravel()[lc.segment])


def larger_errors(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """The errors of a star grow by a factor, log-uniform between 1 and 10, and the noise with them."""
    factor = _log_uniform(rng, 1.0, 10.0, len(lc))[_star(lc)]
    noise = lc.magerr * np.sqrt(factor**2 - 1) * rng.standard_normal(lc.n_obs)
    return replace(lc, mag=(lc.mag + noise).astype(np.float32), magerr=(lc.magerr * factor).astype(np.float32))


def wrong_errors(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """The stated errors of a star are wrong by a factor, log-uniform between 1/3 and 3; the noise stays."""
    factor = _log_uniform(rng, 1 / 3, 3.0, len(lc))[_star(lc)]
    return replace(lc, magerr=(lc.magerr * factor).astype(np.float32))


def zero_points(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """Each band of a star has a zero point of its own, off by 0.2 mag (standard deviation)."""
    offset = rng.normal(0, 0.2, lc.counts.size)
    return replace(lc, mag=(lc.mag + offset[lc.segment]).astype(np.float32))


def other_amplitudes(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """The variation of a star is scaled, log-uniform between 1/2 and 2: stars of the sky are not those simulated."""
    factor, segment = _log_uniform(rng, 0.5, 2.0, len(lc))[_star(lc)], lc.segment
    count = np.bincount(segment, minlength=lc.counts.size)
    mean = np.bincount(segment, lc.mag.astype(float), lc.counts.size) / np.maximum(count, 1)
    return replace(lc, mag=(mean[segment] + factor * (lc.mag - mean[segment])).astype(np.float32))


SINGLE: dict[str, Damage] = {
    "fewer epochs": fewer_epochs,
    "shorter time span": shorter,
    "lost bands": lost_bands,
    "larger errors": larger_errors,
    "wrong errors": wrong_errors,
    "zero points": zero_points,
    "other amplitudes": other_amplitudes,
}
"""Name -> one kind of damage."""


def several(lc: LightCurves, rng: np.random.Generator) -> LightCurves:
    """Every kind of damage, each to a random half of the stars."""
    for damage in SINGLE.values():
        damaged, chosen = damage(lc, rng), rng.random(len(lc)) < 0.5
        lc = _joined(lc, damaged, chosen)
    return lc


def _joined(plain: LightCurves, damaged: LightCurves, chosen: np.ndarray) -> LightCurves:
    """The stars of `damaged` where `chosen`, else those of `plain`."""
    from astraclr.data.lightcurves import concatenate

    both = concatenate([plain, damaged])
    return both[np.arange(len(plain)) + len(plain) * chosen]


SHIFTS: dict[str, Damage] = {**SINGLE, "several": several}
