"""Light curves of the 12 classes as ZTF would have seen them: seeded, vectorised, offline.

One form serves every class. In band b, at time t,

    m_b(t) = mean_b + ratio_b * [ A * template(t / P) * modulation(t) + slow process(t) - flares ] + noise_b(t),

and a class is a row of `KINDS`: the ranges from which its stars draw their numbers. The numbers are round values of
the field's lore (amplitudes and periods as in the Gaia DR3 variability papers, Eyer et al. 2023, A&A 674, A13),
adjusted until real RR Lyrae and eclipsing stars agree (`astraclr.realism`); they are no physical model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from tqdm import tqdm

from astraclr.cadence import MJD_END, MJD_START, Fields, ztf_fields
from astraclr.lightcurves import ZTF_BANDS, LightCurves
from astraclr.taxonomy import CLASSES

Range = tuple[float, float]

ERROR_FLOOR = 0.012
"""Smallest error of ZTF's photometry (mag): the calibration's share."""

EXTINCTION = (3.17, 2.27, 1.68)
"""Magnitudes of extinction in g, r, i per magnitude of E(B-V) (Schlafly & Finkbeiner 2011, ApJ 737, 103)."""

SATURATION, FAINTEST_MEAN = 12.5, 20.1
STEP, N_BINS = 2.0, 128
_N_GRID = int((MJD_END - MJD_START) / STEP) + 2


@dataclass(frozen=True)
class Kind:
    """Ranges of one kind of star. Amplitudes are in r, in mag; periods and time scales in days."""

    label: str
    weight: float = 1.0  # share of this kind among the kinds of its class
    mag: Range = (14.5, 19.3)  # mean r before extinction
    g_r: Range = (0.4, 1.0)
    r_i: Range = (0.1, 0.4)
    blue: Range = (1.1, 1.3)  # amplitude in g / amplitude in r
    red: Range = (0.75, 0.9)  # amplitude in i / amplitude in r
    period: Range = (1.0, 10.0)
    amplitude: Range = (0.0, 0.0)  # peak to peak, of the periodic part
    pulse: Range = (0.0, 0.0)  # weights of the four ingredients of the template ...
    eclipse: Range = (0.0, 0.0)
    double: Range = (0.0, 0.0)
    spots: Range = (0.0, 0.0)
    rise: Range = (0.5, 0.5)  # ... and their shapes: share of the period spent getting brighter
    sharp: Range = (1.0, 1.0)  # above 1: narrow maxima, flat minima
    width: Range = (0.05, 0.05)  # half-width of an eclipse, in phase
    second: Range = (1.0, 1.0)  # depth of the second eclipse or hump / the first
    slow: Range = (0.0, 0.0)  # depth of the modulation of the amplitude
    slow_period: Range = (50.0, 1000.0)
    walk: Range = (0.0, 0.0)  # standard deviation of the Ornstein-Uhlenbeck process
    tau: Range = (10.0, 100.0)  # its correlation time
    skew: Range = (0.0, 0.0)  # above 0: dips; below 0: bursts
    outburst: Range = (0.0, 0.0)
    recurrence: Range = (20.0, 200.0)
    duration: Range = (4.0, 15.0)
    flicker: Range = (0.0, 0.0)  # scatter from one epoch to the next
    flare: Range = (0.0, 0.0)  # mean size of a flare
    flare_rate: float = 0.004  # chance that an epoch catches one
    subclass: str = ""  # its finer name, where the class has kinds that catalogues tell apart


KINDS: tuple[Kind, ...] = (
    Kind("AGN", mag=(16.5, 19.8), g_r=(-0.1, 0.8), r_i=(-0.1, 0.4), blue=(1.0, 1.35), walk=(0.04, 0.28),
           tau=(30, 600)),
    Kind("YSO", 0.6, mag=(14, 19.2), g_r=(0.6, 1.7), r_i=(0.2, 1.1), period=(2, 14), amplitude=(0.03, 0.3),
           spots=(1, 1), slow=(0.3, 0.9), walk=(0.03, 0.40), tau=(2, 60), skew=(0.1, 0.9), flicker=(0.01, 0.08)),
    Kind("YSO", 0.4, mag=(14, 19.2), g_r=(0.6, 1.7), r_i=(0.2, 1.1), period=(2, 14), amplitude=(0.03, 0.2),
           spots=(1, 1), slow=(0.3, 0.9), walk=(0.03, 0.35), tau=(2, 100), skew=(-0.9, -0.1), flicker=(0.01, 0.10)),
    Kind("SOLAR_LIKE", mag=(13.8, 18.0), g_r=(0.4, 1.4), r_i=(0.1, 0.7), blue=(1.05, 1.3), period=(0.5, 25),
           amplitude=(0.015, 0.12), spots=(1, 1), slow=(0.3, 0.9), slow_period=(40, 600), walk=(0.003, 0.02),
           tau=(50, 400), flare=(0.03, 0.25)),
    Kind("S", mag=(15.0, 19.5), g_r=(-0.2, 1.2), r_i=(-0.1, 0.5), blue=(0.95, 1.4), period=(0.03, 0.5),
           amplitude=(0.05, 0.45), spots=(0.5, 1), double=(0, 0.5), second=(0.7, 1), slow=(0.1, 1.0),
           slow_period=(0.4, 6), flicker=(0.005, 0.08)),
    Kind("CV", 0.65, mag=(17.0, 20.0), g_r=(-0.1, 0.7), r_i=(0.0, 0.4), blue=(1.0, 1.15), red=(0.85, 1),
           period=(0.055, 0.3), amplitude=(0.05, 0.3), double=(1, 1), second=(0.3, 1), outburst=(0.8, 4),
           recurrence=(20, 400), duration=(5, 18), flicker=(0.04, 0.2)),
    Kind("CV", 0.35, mag=(15.5, 19.5), g_r=(-0.2, 0.6), r_i=(-0.1, 0.3), blue=(1.0, 1.15), red=(0.85, 1),
           period=(0.055, 0.3), amplitude=(0.05, 0.4), double=(1, 1), second=(0.3, 1), walk=(0.05, 0.5),
           tau=(10, 300), skew=(0.1, 0.7), flicker=(0.03, 0.2)),
    Kind("LPV", mag=(13.3, 17.5), g_r=(1.0, 2.3), r_i=(0.5, 2.0), blue=(1.05, 1.5), red=(0.6, 0.8),
           period=(80, 700), amplitude=(0.06, 3), spots=(0, 0.3), pulse=(1, 1), rise=(0.4, 0.5), sharp=(0.8, 1.3),
           slow=(0, 0.5), slow_period=(500, 3000), walk=(0.02, 0.2), tau=(20, 150)),
    Kind("DSCT|GDOR|SXPHE", 0.7, mag=(13.8, 18.3), g_r=(-0.05, 0.5), r_i=(-0.1, 0.2), blue=(1.15, 1.45),
           red=(0.65, 0.85), period=(0.03, 0.2), amplitude=(0.02, 0.40), pulse=(1, 1), rise=(0.3, 0.5),
           sharp=(1, 1.4), slow=(0, 0.8), slow_period=(2, 60)),
    Kind("DSCT|GDOR|SXPHE", 0.3, mag=(13.8, 17.5), g_r=(0.1, 0.55), r_i=(0.0, 0.25), blue=(1.1, 1.4),
           red=(0.65, 0.85), period=(0.3, 3), amplitude=(0.02, 0.15), pulse=(1, 1), rise=(0.4, 0.5),
           slow=(0.2, 1), slow_period=(5, 80)),
    Kind("RR", 0.65, mag=(14.5, 19.6), g_r=(0.0, 0.36), r_i=(-0.05, 0.15), blue=(1.35, 1.6), red=(0.72, 0.84),
           period=(0.42, 0.9), amplitude=(0.45, 1.4), pulse=(1, 1), rise=(0.11, 0.25), sharp=(1.2, 2.2),
           slow=(0, 0.3), subclass="RRab"),
    Kind("RR", 0.35, mag=(14.5, 19.6), g_r=(-0.1, 0.22), r_i=(-0.1, 0.1), blue=(1.35, 1.55), red=(0.72, 0.84),
           period=(0.2, 0.45), amplitude=(0.35, 0.7), pulse=(1, 1), rise=(0.36, 0.5), sharp=(1, 1.2),
           slow=(0, 0.2), subclass="RRc"),
    Kind("CEP", mag=(13.5, 18.8), g_r=(0.25, 1.0), r_i=(0.05, 0.4), blue=(1.3, 1.6), red=(0.7, 0.85),
           period=(1, 60), amplitude=(0.12, 0.9), pulse=(1, 1), rise=(0.2, 0.5), sharp=(1, 1.6), spots=(0, 0.3),
           slow=(0, 0.2)),
    Kind("ECL", 0.4, mag=(14, 19.3), g_r=(0.1, 1.2), r_i=(0.0, 0.5), blue=(0.95, 1.15), red=(0.9, 1.03),
           period=(0.25, 0.7), amplitude=(0.15, 0.9), eclipse=(1, 1), width=(0.10, 0.16), second=(0.75, 1),
           double=(0.1, 0.5), subclass="EW"),
    Kind("ECL", 0.25, mag=(14, 19.3), g_r=(0.0, 1.1), r_i=(0.0, 0.5), blue=(0.95, 1.2), red=(0.88, 1.02),
           period=(0.4, 3), amplitude=(0.12, 1.1), eclipse=(1, 1), width=(0.06, 0.1), second=(0.25, 0.8),
           double=(0.1, 0.5), subclass="EB"),
    Kind("ECL", 0.35, mag=(14, 19.3), g_r=(0.0, 1.2), r_i=(0.0, 0.5), blue=(0.9, 1.25), red=(0.85, 1.05),
           period=(0.8, 10), amplitude=(0.12, 1.8), eclipse=(1, 1), width=(0.015, 0.06), second=(0.05, 0.9),
           double=(0.0, 0.1), subclass="EA"),
    Kind("ELL", mag=(14, 18.5), g_r=(0.1, 1.1), r_i=(0.0, 0.45), blue=(0.96, 1.12), red=(0.9, 1.03),
           period=(0.25, 8), amplitude=(0.045, 0.30), double=(1, 1), second=(0.6, 1)),
    Kind("RS", mag=(13.8, 18.0), g_r=(0.55, 1.4), r_i=(0.15, 0.6), blue=(1.05, 1.25), red=(0.8, 0.92),
           period=(1, 30), amplitude=(0.045, 0.35), spots=(1, 1), slow=(0.3, 0.8), slow_period=(200, 2500),
           walk=(0.01, 0.05), tau=(100, 800), flare=(0.02, 0.1), flare_rate=0.002),
)  # fmt: skip

PERIODIC = ("SOLAR_LIKE", "LPV", "DSCT|GDOR|SXPHE", "RR", "CEP", "ECL", "ELL", "RS")
"""Classes whose stars carry a `period`; rotation of YSO and orbits of CV and S are left unsaid, as in surveys."""

_LOG_UNIFORM = ("period", "amplitude", "slow_period", "walk", "tau", "outburst", "recurrence", "duration", "flicker",
                "flare")  # fmt: skip


def simulate(n_stars: int, seed: int = 0, *, classes: Sequence[str] = CLASSES, difficulty: float = 1.0,
             progress: bool = False) -> LightCurves:  # fmt: skip
    """Simulate labelled light curves with ZTF's cadence, errors and limits.

    Parameters
    ----------
    n_stars : how many; every run of ``len(classes)`` stars holds each class once, in a random order
    seed : non-negative int. Equal seeds give equal bytes, and star k does not depend on `n_stars`
    classes : which of the 12 classes
    difficulty : 0 to 3. Makes amplitudes smaller, stars fainter and redder, colours and errors less exact, nights less
        stable, and 5 % x difficulty of the labels wrong. At the default 1, logistic regression on hand-crafted
        features (`astraclr.features`) is right for 0.70 to 0.78 of balanced stars, as in real surveys
    progress : show a bar

    Returns
    -------
    LightCurves
        Bands g, r, i; about 600 epochs a star; `period` where the true class and the label are `PERIODIC`, else NaN.

    Raises
    ------
    ValueError
        For a number of stars below 1, a negative seed, an unknown or repeated class, a difficulty outside 0 to 3.
    """
    classes = _checked(n_stars, seed, classes, difficulty)
    fields, size = ztf_fields(), _chunk_size(classes)
    chunks = []
    for k in tqdm(range(-(-n_stars // size)), desc="simulate", unit="chunk", disable=not progress):
        rng = np.random.default_rng([seed, k])  # the whole chunk is drawn, so that star k is the same in any company
        chunks.append(_chunk(rng, size, classes, difficulty, fields, keep=min(size, n_stars - k * size)))
    mjd, mag, magerr, length, label, period = (np.concatenate(column) for column in zip(*chunks, strict=True))
    ids = np.array([f"sim-{seed}-{star:06d}" for star in range(n_stars)])
    return LightCurves(mjd, mag, magerr, np.concatenate([[0], np.cumsum(length)]), dict(ZTF_BANDS), ids, label, period)


def drawn_numbers(n_stars: int, seed: int = 0, *, classes: Sequence[str] = CLASSES,
                  difficulty: float = 1.0) -> dict[str, np.ndarray]:  # fmt: skip
    """What `simulate` of the same arguments draws for every star before anyone looks at it; much faster.

    Returns
    -------
    dict
        Every range of `Kind` as (n_stars,) numbers of the stars, ``mean`` and ``ratio`` (n_stars, 3), ``kind``
        (n_stars,) int, the row of `KINDS`, and ``subclass`` (n_stars,) str, its finer name or else its class. These
        are of the true class; 5 % x difficulty of the labels that `simulate` gives name another.
    """
    classes = _checked(n_stars, seed, classes, difficulty)
    size, parts = _chunk_size(classes), []
    for k in range(-(-n_stars // size)):
        parts.append(_stars_of_chunk(np.random.default_rng([seed, k]), size, classes, difficulty)[1])
    numbers = {name: np.concatenate([p[name] for p in parts])[:n_stars] for name in parts[0]}
    return numbers | {"subclass": np.array([kind.subclass or kind.label for kind in KINDS])[numbers["kind"]]}


def _chunk_size(classes: tuple[str, ...]) -> int:
    return len(classes) * (1_000 // len(classes))


def _checked(n_stars: int, seed: int, classes: Sequence[str], difficulty: float) -> tuple[str, ...]:
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


def _chunk(rng: np.random.Generator, n: int, classes: tuple[str, ...], difficulty: float, fields: Fields,
           keep: int) -> tuple[np.ndarray, ...]:  # fmt: skip
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


def _stars_of_chunk(rng: np.random.Generator, n: int, classes: tuple[str, ...],
                    difficulty: float) -> tuple[np.ndarray, dict[str, np.ndarray]]:  # fmt: skip
    """True class of each star, as its place in `classes`, and its numbers."""
    truth = rng.permuted(np.tile(np.arange(len(classes)), (n // len(classes), 1)), axis=1).ravel()
    return truth, _draw_stars(rng, np.array(classes)[truth], difficulty)


def observed(rng: np.random.Generator, mag: np.ndarray, row: np.ndarray, mis_scale: np.ndarray | float,
             flicker: np.ndarray | float, difficulty: float,
             fields: Fields) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """What the survey makes of true magnitudes.

    Parameters
    ----------
    mag : (n_obs,) float32, true magnitudes; row : (n_obs,) the epochs' rows of `fields`
    mis_scale, flicker : true scatter / stated error, and scatter of the star itself (mag)

    Returns
    -------
    mag, magerr : (n_obs,) float32; seen : (n_obs,) bool, neither saturated nor below the limit
    """
    error = np.sqrt(ERROR_FLOOR**2 + (0.2 * 10 ** (np.float32(0.4) * (mag - fields.limit[row]))) ** 2)
    sigma = np.hypot(error * mis_scale, flicker)
    noise = sigma * rng.standard_normal(len(mag), np.float32)
    mag = mag + (noise + np.float32(0.015 * difficulty) * fields.zero_point[row])
    return mag, error, (mag > SATURATION) & (mag < fields.limit[row])


def _draw_stars(rng: np.random.Generator, label: np.ndarray, difficulty: float) -> dict[str, np.ndarray]:
    """Numbers of each star: every `Kind` field as (n,) float32 (period float64), and mean, ratio as (n, 3)."""
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
    mean -= np.maximum(mean[:, :2].max(1) - FAINTEST_MEAN, 0)[:, None]  # a star must be seen to be in a catalogue
    p["mean"] = mean.astype(np.float32)
    p["ratio"] = np.stack([p["blue"], np.ones_like(p["blue"]), p["red"]], 1)
    p["mis_scale"] = np.exp(rng.normal(0, 0.2 * difficulty, len(label))).astype(np.float32)
    return p


def epochs(rng: np.random.Generator, n: int, fields: Fields) -> tuple[np.ndarray, np.ndarray]:
    """Segment (3 * star + band) and row of `fields` of every epoch: each star keeps 65 to 95 % of its field's."""
    place = rng.integers(0, (len(fields.offsets) - 1) // 3, n)
    source = (3 * place[:, None] + np.arange(3)).ravel()
    length = np.diff(fields.offsets)[source]
    start = np.concatenate([[0], np.cumsum(length)[:-1]])
    row = np.arange(length.sum()) + np.repeat(fields.offsets[source] - start, length)
    share = np.repeat(rng.uniform(0.65, 0.95, n).astype(np.float32), 3)
    kept = rng.random(len(row), np.float32) < np.repeat(share, length)
    return np.repeat(np.arange(3 * n), length)[kept], row[kept]


def templates(rng: np.random.Generator, p: dict[str, np.ndarray]) -> np.ndarray:
    """(n, N_BINS) float32 shapes over one period in magnitudes (up is fainter), mean 0, peak to peak 1."""
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
    """Linear reading of ``table[star]`` at fractional columns; (n_obs,) float32."""
    column = position.astype(np.int64)
    index = star * table.shape[1] + column
    part = (position - column).astype(np.float32)
    left = table.ravel()[index]
    return left + part * (table.ravel()[index + 1] - left)


def _labels(rng: np.random.Generator, truth: np.ndarray, period: np.ndarray, classes: tuple[str, ...],
            difficulty: float) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Given labels, a few of them wrong, and periods; a wrong label of another periodic class keeps the period."""
    wrong = (rng.random(len(truth)) < 0.05 * difficulty) & (len(classes) > 1)
    shift = rng.integers(1, max(len(classes), 2), len(truth))
    given = np.where(wrong, (truth + shift) % len(classes), truth)
    periodic = np.isin(classes, PERIODIC)
    return np.array(classes)[given], np.where(periodic[truth] & periodic[given], period, np.nan)
