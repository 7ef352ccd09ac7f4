"""Simulate light curves of the 12 classes with the cadence and the noise of ZTF.

All classes share one formula. In band b, at time t,

    m_b(t) = mean_b + ratio_b * [ A * template(t / P) * modulation(t) + slow process(t) - flares ] + noise_b(t),

and a class is one or more rows of `simulation.classes.KINDS`: the ranges from which the numbers of its stars are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.data.taxonomy import CLASSES
from astraclr.simulation.cadence import MJD_END, MJD_START, Fields, ztf_fields
from astraclr.simulation.classes import KINDS, PERIODIC
from astraclr.simulation.observation import epochs, observed

EXTINCTION = (3.17, 2.27, 1.68)
"""Magnitudes of extinction in g, r, i per magnitude of E(B-V) (Schlafly & Finkbeiner 2011, ApJ 737, 103)."""

FAINTEST_MEAN = 20.1
"""No star has a fainter mean in both g and r (mag)."""
STEP, N_BINS = 2.0, 128
"""Days between the points of a slow process; points of a template over one period."""
_N_GRID = int((MJD_END - MJD_START) / STEP) + 2
_LOG_UNIFORM = (
    "period",
    "amplitude",
    "slow_period",
    "walk",
    "tau",
    "outburst",
    "recurrence",
    "duration",
    "flicker",
    "flare",
)


def simulate(
    n_stars: int, seed: int = 0, *, classes: Sequence[str] = CLASSES, difficulty: float = 1.0, progress: bool = False
) -> LightCurves:
    """Simulate labelled light curves with ZTF's cadence, errors and limits.

    Parameters
    ----------
    n_stars : int
        Number of stars. Every run of ``len(classes)`` stars holds each class once, in a random order.
    seed : int
        0 or more. Equal seeds give equal bytes, and star k does not depend on `n_stars`.
    classes : sequence of str
        Some of the 12 classes, `astraclr.data.taxonomy.CLASSES`.
    difficulty : float
        0 to 3. A higher value makes amplitudes smaller, stars fainter and redder, colours and errors less exact, nights
        less stable, and 5 % x difficulty of the labels wrong. At the default 1, logistic regression on hand-crafted
        features (`astraclr.evaluate.features`) is right for 0.70 to 0.78 of balanced stars, as in real surveys.
    progress : bool
        Show a bar.

    Returns
    -------
    LightCurves
        Bands g, r, i; about 600 epochs a star; `period` where the true class and the label are `PERIODIC`, else NaN.

    Raises
    ------
    ValueError
        For a number of stars below 1, a negative seed, an unknown or repeated class, a difficulty outside 0 to 3.

    Examples
    --------
    >>> stars = simulate(24, seed=1)
    >>> len(stars), list(stars.bands), len(set(stars.label)) > 6
    (24, ['g', 'r', 'i'], True)
    """
    classes = _checked(n_stars, seed, classes, difficulty)
    fields, size = ztf_fields(), _chunk_size(classes)
    chunks = []
    for k in tqdm(range(-(-n_stars // size)), desc="simulate", unit="chunk", disable=not progress):
        rng = np.random.default_rng([seed, k])  # the whole chunk is drawn, so that star k does not depend on n_stars
        chunks.append(_chunk(rng, size, classes, difficulty, fields, keep=min(size, n_stars - k * size)))
    mjd, mag, magerr, length, label, period = (np.concatenate(column) for column in zip(*chunks, strict=True))
    ids = np.array([f"sim-{seed}-{star:06d}" for star in range(n_stars)])
    return LightCurves(mjd, mag, magerr, np.concatenate([[0], np.cumsum(length)]), dict(ZTF_BANDS), ids, label, period)


def drawn_numbers(
    n_stars: int, seed: int = 0, *, classes: Sequence[str] = CLASSES, difficulty: float = 1.0
) -> dict[str, np.ndarray]:
    """Draw only the true parameters of the stars that `simulate` makes of the same arguments; much faster.

    Parameters
    ----------
    n_stars, seed, classes, difficulty
        As for `simulate`.

    Returns
    -------
    dict
        Every range of `Kind` as (n_stars,) numbers of the stars, ``mean`` magnitudes and amplitude ``ratio`` of the
        bands (n_stars, 3), ``kind`` (n_stars,) int, the row of `KINDS`, and ``subclass`` (n_stars,) str, its finer name
        or else its class. They belong to the true class; 5 % x difficulty of the labels of `simulate` name another.

    Raises
    ------
    ValueError
        As `simulate`.

    Examples
    --------
    >>> numbers = drawn_numbers(24, seed=1)
    >>> numbers["period"].shape, numbers["mean"].shape
    ((24,), (24, 3))
    """
    classes = _checked(n_stars, seed, classes, difficulty)
    size = _chunk_size(classes)
    chunks = range(-(-n_stars // size))
    parts = [_stars_of_chunk(np.random.default_rng([seed, k]), size, classes, difficulty)[1] for k in chunks]
    numbers = {name: np.concatenate([p[name] for p in parts])[:n_stars] for name in parts[0]}
    return numbers | {"subclass": np.array([kind.subclass or kind.label for kind in KINDS])[numbers["kind"]]}


def _chunk_size(classes: tuple[str, ...]) -> int:
    """Number of stars of a chunk: at most 1,000, a multiple of the number of classes."""
    return len(classes) * (1_000 // len(classes))


def _checked(n_stars: int, seed: int, classes: Sequence[str], difficulty: float) -> tuple[str, ...]:
    """Return the classes as a tuple, or raise ValueError for an argument outside its range."""
    classes = (classes,) if isinstance(classes, str) else tuple(classes)
    if n_stars < 1:
        raise ValueError(f"n_stars is {n_stars}; it must be at least 1")
    if seed < 0:
        raise ValueError(f"seed is {seed}; it must be 0 or more")
    if not 0 <= difficulty <= 3:
        raise ValueError(f"difficulty is {difficulty}; choose a value from 0 (clean) to 3 (hopeless), 1 is ZTF-like")
    if not classes or len(set(classes)) < len(classes) or set(classes) - set(CLASSES):
        raise ValueError(f"classes are {list(classes)}; choose some of {list(CLASSES)}, each once")
    return classes


def _chunk(
    rng: np.random.Generator, n: int, classes: tuple[str, ...], difficulty: float, fields: Fields, keep: int
) -> tuple[np.ndarray, ...]:
    """The first `keep` of `n` stars: mjd, mag, magerr (n_obs,), lengths (3 * keep,), label and period (keep,)."""
    truth, p = _stars_of_chunk(rng, n, classes, difficulty)
    segment, row = epochs(rng, n, fields)
    star = segment // 3
    days = fields.mjd[row] - MJD_START
    shape = _periodic(rng, p, star, days) + _interpolate(_slow_process(rng, p), star, days / STEP)
    flare = np.flatnonzero(rng.random(len(star), np.float32) < p["flare_rate"][star])
    shape[flare] -= p["flare"][star[flare]] * rng.standard_exponential(len(flare), np.float32)
    mag = p["mean"].ravel()[segment] + p["ratio"].ravel()[segment] * shape
    mag, error, seen = observed(rng, mag, row, p["mis_scale"][star], p["flicker"][star], difficulty, fields)
    seen &= star < keep
    length = np.bincount(segment[seen], minlength=3 * keep)
    label, period = _labels(rng, truth, p["period"], classes, difficulty)
    return fields.mjd[row[seen]], mag[seen], error[seen], length, label[:keep], period[:keep]


def _stars_of_chunk(
    rng: np.random.Generator, n: int, classes: tuple[str, ...], difficulty: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """True class of each star, as its place in `classes`, and its numbers."""
    truth = rng.permuted(np.tile(np.arange(len(classes)), (n // len(classes), 1)), axis=1).ravel()
    return truth, _draw_stars(rng, np.array(classes)[truth], difficulty)


def _draw_stars(rng: np.random.Generator, label: np.ndarray, difficulty: float) -> dict[str, np.ndarray]:
    """Parameters of each star: every range of `Kind` as (n,) float32 (period float64), and mean, ratio as (n, 3)."""
    weight = np.array([[r.weight * (r.label == name) for r in KINDS] for name in label])
    kind = (weight.cumsum(1) < rng.random(len(label))[:, None] * weight.sum(1, keepdims=True)).sum(1)
    p: dict[str, np.ndarray] = {"kind": kind}
    for name, example in asdict(KINDS[0]).items():
        if isinstance(example, tuple):
            low, high = np.array([getattr(r, name) for r in KINDS], float)[kind].T
            u = rng.random(len(label))
            u = np.sqrt(u) if name == "mag" else u  # more faint stars than bright ones
            value = low * (high / np.maximum(low, 1e-9)) ** u if name in _LOG_UNIFORM else low + (high - low) * u
            p[name] = value if name == "period" else value.astype(np.float32)
    p["flare_rate"] = np.array([r.flare_rate for r in KINDS], np.float32)[kind]
    for name in ("amplitude", "walk", "outburst", "flicker", "flare"):
        p[name] = p[name] * np.float32(np.exp(-0.4 * (difficulty - 1)))
    reddening = rng.exponential(0.05 + 0.13 * difficulty, len(label))
    jitter = rng.normal(0, 0.12 * difficulty, (2, len(label)))
    r = p["mag"] + 0.4 * (difficulty - 1)
    mean = np.stack([r + p["g_r"] + jitter[0], r, r - p["r_i"] + jitter[1]], 1) + reddening[:, None] * EXTINCTION
    mean -= np.maximum(mean[:, :2].max(1) - FAINTEST_MEAN, 0)[:, None]  # a catalogue holds stars that were detected
    p["mean"] = mean.astype(np.float32)
    p["ratio"] = np.stack([p["blue"], np.ones_like(p["blue"]), p["red"]], 1)
    p["mis_scale"] = np.exp(rng.normal(0, 0.2 * difficulty, len(label))).astype(np.float32)
    return p


def templates(rng: np.random.Generator, p: dict[str, np.ndarray]) -> np.ndarray:
    """Build the periodic shape of each star over one period.

    Parameters
    ----------
    rng : Generator
        Draws the phase and strength of the second wave of star spots.
    p : dict
        From `drawn_numbers`.

    Returns
    -------
    ndarray
        (n, N_BINS) float32 magnitudes (up is fainter), mean 0, peak to peak 1.

    Examples
    --------
    >>> templates(np.random.default_rng(0), drawn_numbers(12)).shape
    (12, 128)
    """
    phase = np.arange(N_BINS, dtype=np.float32) / N_BINS
    of = {name: value[:, None] for name, value in p.items() if value.ndim == 1}
    rise, width, second = of["rise"], of["width"], of["second"]
    warped = np.where(phase < rise, 0.5 * phase / rise, 0.5 + 0.5 * (phase - rise) / (1 - rise))
    pulse = -((0.5 - 0.5 * np.cos(2 * np.pi * warped)) ** of["sharp"])
    from_first, from_second = np.minimum(phase, 1 - phase), np.abs(phase - 0.5)
    eclipse = np.exp(-((from_first / width) ** 2.5)) + second * np.exp(-((from_second / width) ** 2.5))
    double = np.cos(4 * np.pi * phase) + (1 - second) * np.cos(2 * np.pi * phase)
    angle, tone = rng.uniform(0, 2 * np.pi, len(p["pulse"])), rng.uniform(0.0, 0.5, len(p["pulse"]))
    spots = np.cos(2 * np.pi * phase) + tone[:, None] * np.cos(4 * np.pi * phase + angle[:, None])
    shape = of["pulse"] * pulse + of["eclipse"] * eclipse + 0.5 * (of["double"] * double + of["spots"] * spots)
    shape -= shape.mean(1, keepdims=True)
    return (shape / np.maximum(np.ptp(shape, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _periodic(rng: np.random.Generator, p: dict[str, np.ndarray], star: np.ndarray, days: np.ndarray) -> np.ndarray:
    """(n_obs,) magnitudes of the periodic part, its amplitude slowly modulated."""
    shape = p["amplitude"][:, None] * templates(rng, p)
    start, beat = rng.random((2, len(shape)))
    cycle = days * (1 / p["period"])[star] + start[star]  # float64: 1e5 cycles of a delta Scuti must keep their phase
    wave = _interpolate(np.concatenate([shape, shape[:, :1]], 1), star, (cycle - np.floor(cycle)) * N_BINS)
    slow = (days * (1 / p["slow_period"])[star] + beat[star]) * (2 * np.pi)
    return wave * (1 + p["slow"][star] * np.sin(slow.astype(np.float32)))


def _slow_process(rng: np.random.Generator, p: dict[str, np.ndarray]) -> np.ndarray:
    """(n, n_grid) magnitudes every `STEP` days: a skewed Ornstein-Uhlenbeck walk, minus outbursts."""
    n = len(p["walk"])
    decay = np.exp(-STEP / p["tau"])
    kick, fade = np.sqrt(1 - decay**2), STEP / p["duration"]
    draws, starts = rng.standard_normal((_N_GRID, n), np.float32), rng.random((_N_GRID, n), np.float32)
    walk, burst, state = draws.copy(), np.zeros((_N_GRID, n), np.float32), np.zeros(n, np.float32)
    begins = (starts < STEP / p["recurrence"]) & (p["outburst"] > 0)
    for k in range(1, _N_GRID):
        walk[k] = decay * walk[k - 1] + kick * draws[k]
        state = np.where(begins[k] & (state == 0), np.float32(1), np.maximum(state - fade, 0))
        burst[k] = state
    tilt = np.where(np.abs(p["skew"]) < 0.05, np.float32(0.05), p["skew"])
    mean, spread = np.exp(tilt**2 / 2), np.exp(tilt**2 / 2) * np.sqrt(np.expm1(tilt**2))  # of a log-normal
    walk = np.sign(tilt) * (np.exp(tilt * walk) - mean) / spread
    return np.ascontiguousarray((p["walk"] * walk - p["outburst"] * np.sqrt(burst)).T, np.float32)


def _interpolate(table: np.ndarray, star: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Interpolate ``table[star]`` linearly at fractional columns; (n_obs,) float32."""
    column = position.astype(np.int64)
    index = star * table.shape[1] + column
    part = (position - column).astype(np.float32)
    left = table.ravel()[index]
    return left + part * (table.ravel()[index + 1] - left)


def _labels(
    rng: np.random.Generator, truth: np.ndarray, period: np.ndarray, classes: tuple[str, ...], difficulty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Given labels, a few of them wrong, and periods; a wrong label of another periodic class keeps the period."""
    wrong = (rng.random(len(truth)) < 0.05 * difficulty) & (len(classes) > 1)
    shift = rng.integers(1, max(len(classes), 2), len(truth))
    given = np.where(wrong, (truth + shift) % len(classes), truth)
    periodic = np.isin(classes, PERIODIC)
    return np.array(classes)[given], np.where(periodic[truth] & periodic[given], period, np.nan)
