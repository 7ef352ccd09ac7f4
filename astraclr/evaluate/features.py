"""Hand-crafted features of whole light curves: the baseline for embeddings.

A thin wrapper on the `light-curve` package (Malanchev et al. 2021, MNRAS 502, 5147). Like the encoder's inputs, the
features hold shapes, scatter and colours but not the brightness of a star.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    from astraclr.data.lightcurves import LightCurves

MIN_EPOCHS = 5
"""A band with fewer epochs counts as missing."""

MAX_FREQUENCY = 24.0
"""Largest frequency of the periodogram, cycles per day: periods down to one hour."""

_BATCH = 500
# Positive features that span decades: a linear model needs their logarithm.
_LOGARITHMIC = (
    "amplitude",
    "inter_percentile",
    "standard_deviation",
    "chi2",
    "roms",
    "eta",
    "maximum_slope",
    "median_absolute",
    "percent_amplitude",
    "anderson",
    "linear_trend_",
    "otsu_std",
    "otsu_mean",
    "period",
    "percent_difference",
    "magnitude_percentage",
)


def features(lc: LightCurves, periodogram: bool = False, progress: bool = False) -> tuple[np.ndarray, list[str]]:
    """Compute hand-crafted features of every band, and the colours between neighbouring bands.

    Parameters
    ----------
    lc : light curves in any number of bands
    periodogram : add the best Lomb-Scargle period up to `MAX_FREQUENCY` and its signal-to-noise ratio per band; about
        thirty times slower
    progress : show a bar

    Returns
    -------
    X : (n_stars, n_features) float32, always finite
        In a band with fewer than `MIN_EPOCHS` epochs all features are 0 and ``<band>_missing`` is 1; a single feature
        that cannot be computed (a constant light curve) is 0; a colour that needs a missing band is 0. Positive
        features that span decades are given as log10.
    names : n_features names, ``<band>_<feature>`` or ``<band>-<band>``

    Raises
    ------
    ImportError
        Without the `light-curve` package; ``pip install "astraclr[interop]"`` installs it.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> X, names = features(simulate(4, seed=0))
    >>> X.shape == (4, len(names)), names[:2], names[-1]
    (True, ['g_amplitude', 'g_anderson_darling_normal'], 'r-i')
    """
    extractor = _extractor(periodogram)
    logarithmic = np.array([name.startswith(_LOGARITHMIC) for name in extractor.names])
    n_bands, n_own = len(lc.bands), len(extractor.names)
    values = np.zeros((len(lc) * n_bands, n_own))
    missing = lc.counts.ravel() < MIN_EPOCHS
    usable = np.flatnonzero(~missing)
    mag, magerr = lc.mag.astype(np.float64), lc.magerr.astype(np.float64)
    for first in tqdm(range(0, len(usable), _BATCH), desc="features", unit="batch", disable=not progress):
        batch = usable[first : first + _BATCH]
        cuts = [slice(lc.offsets[k], lc.offsets[k + 1]) for k in batch]
        curves = [(lc.mjd[c] - lc.mjd[c.start], mag[c], magerr[c]) for c in cuts]
        values[batch] = extractor.many(curves, sorted=True, check=False, fill_value=np.nan, n_jobs=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        values[:, logarithmic] = np.log10(np.maximum(np.abs(values[:, logarithmic]), 1e-9))
    values[missing] = 0
    colours = _colours(lc, missing.reshape(-1, n_bands))
    table = np.concatenate([values, missing[:, None]], 1).reshape(len(lc), n_bands * (n_own + 1))
    bands = list(lc.bands)
    names = [f"{b}_{name}" for b in bands for name in (*extractor.names, "missing")]
    names += [f"{a}-{b}" for a, b in pairwise(bands)]
    table = np.nan_to_num(np.concatenate([table, colours], 1), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(table, -1e6, 1e6).astype(np.float32), names


def _extractor(periodogram: bool) -> Any:
    """Make the extractor of the light-curve package, which only this baseline needs."""
    try:
        import light_curve
    except ImportError as error:
        remedy = 'hand-crafted features need the light-curve package: pip install "astraclr[interop]"'
        raise ImportError(remedy) from error
    licu: Any = light_curve  # it makes its classes when imported, unseen by type checkers
    chosen = [
        licu.Amplitude(),
        licu.AndersonDarlingNormal(),
        licu.BeyondNStd(1.0),
        licu.BeyondNStd(2.0),
        licu.Cusum(),
        licu.Eta(),
        licu.EtaE(),
        licu.ExcessVariance(),
        licu.InterPercentileRange(0.02),
        licu.InterPercentileRange(0.1),
        licu.InterPercentileRange(0.25),
        licu.Kurtosis(),
        licu.LinearTrend(),
        licu.MagnitudePercentageRatio(0.4, 0.05),
        licu.MagnitudePercentageRatio(0.2, 0.05),
        licu.MaximumSlope(),
        licu.MedianAbsoluteDeviation(),
        licu.MedianBufferRangePercentage(0.1),
        licu.OtsuSplit(),
        licu.PercentAmplitude(),
        licu.ReducedChi2(),
        licu.Roms(),
        licu.Skew(),
        licu.StandardDeviation(),
        licu.StetsonK(),
    ]
    if periodogram:
        # The fast algorithm needs a fixed grid with a power of two: 2^17 steps, three per peak over 1,700 days.
        grid = np.linspace(0.0, 2 * np.pi * MAX_FREQUENCY, 2**17 + 1)
        chosen.append(licu.Periodogram(peaks=1, freqs=grid, fast=True))
    return licu.Extractor(*chosen)


def band_means(lc: LightCurves) -> np.ndarray:
    """Inverse-variance weighted mean magnitude of every band of every star, (n_stars, n_bands); NaN where it is empty.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> band_means(simulate(12, seed=0)).shape
    (12, 3)
    """
    weight, segment, n = lc.magerr.astype(np.float64) ** -2.0, lc.segment, lc.counts.size
    with np.errstate(invalid="ignore"):
        mean = np.bincount(segment, weight * lc.mag, n) / np.bincount(segment, weight, n)
    return mean.reshape(lc.counts.shape)


def _colours(lc: LightCurves, missing: np.ndarray) -> np.ndarray:
    """(n_stars, n_bands - 1) differences of inverse-variance weighted means, 0 where a band is missing."""
    mean = np.where(missing, np.nan, band_means(lc))
    return np.nan_to_num(-np.diff(mean, axis=1), nan=0.0)
