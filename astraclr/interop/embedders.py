"""Our encoder under the calls of other packages, and models of other packages under ours.

Three ways to call a model are known. A class of `light_curve.embed` takes one star's columns, by the names of its
arguments (``mjd`` or ``time``; ``mag, magerr`` or ``flux, flux_err``; ``band``), and returns (n_groups, n_windows, n,
d).
An object with ``name`` and ``transform(lcs)``, the protocol of origami-astro, takes a list of light curves and returns
(n_stars, d). Any other callable takes `LightCurves` and returns (n_stars, d).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves
from astraclr.model.checkpoint import Checkpoint, load_checkpoint
from astraclr.model.embedding import embed

TIMES, MAGS, ERRORS, BANDS = (
    ("mjd", "time", "times", "t"),
    ("mag", "mags", "magnitude"),
    ("magerr", "mag_err"),
    ("band",),
)
FLUXES, FLUX_ERRORS = ("flux",), ("flux_err", "fluxerr")
_KNOWN = (*TIMES, *MAGS, *ERRORS, *BANDS, *FLUXES, *FLUX_ERRORS)


class Curve(dict[str, np.ndarray]):
    """One light curve as a list of a foreign ``transform`` holds it: columns by key and by attribute.

    Examples
    --------
    >>> Curve(mjd=np.zeros(2), mag=np.ones(2)).mag.tolist()
    [1.0, 1.0]
    """

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class StarEmbedder:
    """An encoder of ours that is called as a model of `light_curve.embed`: the columns of one star.

    Parameters
    ----------
    checkpoint : or the name or folder of one
    bands : band label -> effective wavelength in angstrom
    fused : join the three crops by their mean; else they stand on the second axis

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> star = curves(simulate(2, seed=0))[0]
    >>> StarEmbedder("tiny")(star.mjd, star.mag, star.magerr, star.band).shape
    (1, 1, 1, 64)
    """

    def __init__(
        self, checkpoint: Checkpoint | str = "laptop", *, bands: Mapping[str, float] = ZTF_BANDS, fused: bool = True
    ) -> None:
        self.checkpoint = load_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self.bands, self.fused = dict(bands), fused

    def __call__(self, mjd: Any, mag: Any, magerr: Any, band: Any) -> np.ndarray:
        """Embed one light curve.

        Parameters
        ----------
        mjd : (n,) days
        mag, magerr : (n,) magnitudes, and their errors
        band : (n,) labels, of `bands`

        Returns
        -------
        (1, 1, 1, d) float32, or (1, 3, 1, d) where crops are not fused

        Raises
        ------
        ValueError
            For an unknown band, or values that are not finite.
        """
        columns = [np.atleast_1d(np.asarray(c)) for c in (mjd, mag, magerr, band)]
        lc = _light_curves([columns], self.bands)
        if self.fused:
            return embed(lc, self.checkpoint)[None, None]
        return embed(lc, self.checkpoint, fusion="concat").reshape(1, -1, 1, self.checkpoint.encoder.config.d_embedding)


class Transformer:
    """An encoder of ours with ``name`` and ``transform(lcs)``.

    Parameters
    ----------
    checkpoint : or the name or folder of one
    bands : band label -> effective wavelength in angstrom

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> ours = Transformer("tiny")
    >>> ours.name.startswith("astraclr-tiny-corrected"), ours.transform(curves(simulate(3, seed=0))).shape
    (True, (3, 64))
    """

    def __init__(self, checkpoint: Checkpoint | str = "laptop", *, bands: Mapping[str, float] = ZTF_BANDS) -> None:
        self.checkpoint = load_checkpoint(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self.bands, self.name = dict(bands), f"astraclr-{self.checkpoint.name}"

    def transform(self, lcs: Iterable[Any]) -> np.ndarray:
        """Embed light curves.

        Parameters
        ----------
        lcs : each a mapping, a table or an object with columns mjd (or time), mag, magerr and band

        Returns
        -------
        (n_stars, d) float32

        Raises
        ------
        ValueError
            For a column that is missing, an unknown band, or values that are not finite.
        """
        if isinstance(lcs, LightCurves):
            return embed(lcs, self.checkpoint)
        found = [[np.asarray(_column(one, names)) for names in (TIMES, MAGS, ERRORS, BANDS)] for one in lcs]
        return embed(_light_curves(found, self.bands), self.checkpoint)


def curves(lc: LightCurves) -> list[Curve]:
    """Light curves one by one, each with the columns mjd, time, mag, magerr and band, in order of time.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> sorted(curves(simulate(2, seed=0))[0])
    ['band', 'mag', 'magerr', 'mjd', 'time']
    """
    out = []
    for k in range(len(lc)):
        bands = lc.star(k)
        mjd, mag, magerr = (np.concatenate(column) for column in zip(*bands.values(), strict=True))
        band = np.repeat(list(bands), [len(times) for times, _, _ in bands.values()])
        order = np.argsort(mjd, kind="stable")
        columns = {"mjd": mjd, "time": mjd, "mag": mag, "magerr": magerr, "band": band}
        out.append(Curve({name: column[order] for name, column in columns.items()}))
    return out


def vectors_by(model: Any, lc: LightCurves, progress: bool = False) -> np.ndarray:
    """Vectors of light curves by a model that is called in one of the ways of this module.

    Parameters
    ----------
    model : see the module; a class of `light_curve.embed` is given band labels as they are in `lc`, so it is made with
        ``band_groups`` for them. Fluxes are given in nJy (AB, zero point 31.4). Windows are joined by their mean
    lc : light curves
    progress : show a bar, where stars are embedded one by one

    Returns
    -------
    (n_stars, d) float32

    Raises
    ------
    ValueError
        If the result is not of that shape, or not finite.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> stars, tiny = simulate(3, seed=0), load_checkpoint("tiny")
    >>> one_by_one, together = vectors_by(StarEmbedder(tiny), stars), vectors_by(Transformer(tiny), stars)
    >>> bool(np.allclose(one_by_one, together, atol=1e-5))
    True
    """
    from tqdm import tqdm

    names = _arguments(model)
    if hasattr(model, "transform"):
        x = model.transform(curves(lc))
    elif names and set(names) <= set(_KNOWN):
        stars = tqdm(curves(lc), desc="embedding", unit="star", disable=not progress)
        x = np.array([_one_vector(model(**_arguments_of(star, names))) for star in stars])
    else:
        x = model(lc)
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or len(x) != len(lc) or not x.shape[1]:
        raise ValueError(f"{_named(model)} gives an array of shape {x.shape} for {len(lc)} stars; need ({len(lc)}, d)")
    if bad := int((~np.isfinite(x).all(1)).sum()):
        raise ValueError(
            f"{_named(model)} gives {bad:,} of {len(x):,} vectors that are not finite; leave such stars out"
        )
    return x


def find_model(where: str) -> Any:
    """Import a model by ``module:attribute``; a class is made without arguments.

    Raises
    ------
    ValueError
        If there is no such module or attribute.

    Examples
    --------
    >>> find_model("astraclr.interop.embedders:Transformer").name.split("-")[:2]
    ['astraclr', 'laptop']
    """
    module, _, attribute = where.partition(":")
    if not module or not attribute:
        raise ValueError(f"model {where!r}: write module:attribute, such as my_models:astromer")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"model {where!r}: {error}; is its file in this folder or installed?") from error
    return found() if inspect.isclass(found) else found


def _arguments(model: Any) -> list[str]:
    """Names of the arguments without which a callable cannot be called, and of a band."""
    call: Callable[..., Any] | None = model if inspect.isfunction(model) else getattr(model, "__call__", None)  # noqa: B004
    if call is None:
        return []
    found = inspect.signature(call).parameters.values()
    return [p.name for p in found if p.default is p.empty or p.name in BANDS]


def _arguments_of(star: Curve, names: list[str]) -> dict[str, np.ndarray]:
    """Columns of a star by the names that a model gives them."""
    flux = 10 ** (-0.4 * (star.mag.astype(np.float64) - 31.4))
    columns = {
        **dict.fromkeys(TIMES, star.mjd),
        **dict.fromkeys(MAGS, star.mag),
        **dict.fromkeys(ERRORS, star.magerr),
        **dict.fromkeys(BANDS, star.band),
        **dict.fromkeys(FLUXES, flux),
        **dict.fromkeys(FLUX_ERRORS, flux * star.magerr * 0.4 * np.log(10)),
    }
    return {name: columns[name] for name in names}


def _one_vector(found: Any) -> np.ndarray:
    """One vector of the (n_groups, n_windows, n, d) that a model of `light_curve.embed` returns."""
    x = np.asarray(found)
    return x.mean(axis=(1, 2)).ravel() if x.ndim == 4 else x.ravel()


def _named(model: Any) -> str:
    return str(getattr(model, "name", type(model).__name__))


def _column(one: Any, names: tuple[str, ...]) -> Any:
    """A column of a light curve, by key or by attribute."""
    for name in names:
        if isinstance(one, Mapping) or hasattr(one, "columns"):
            if name in one:
                return one[name]
        elif hasattr(one, name):
            return getattr(one, name)
    raise ValueError(f"a light curve lacks the column {names[0]}; give mjd, mag, magerr and band")


def _light_curves(stars: list[list[np.ndarray]], bands: dict[str, float]) -> LightCurves:
    """`LightCurves` of columns mjd, mag, magerr, band of every star."""
    if not stars:
        raise ValueError("no light curves were given")
    lengths = [len(columns[0]) for columns in stars]
    mjd, mag, magerr, band = (np.concatenate(column) for column in zip(*stars, strict=True))
    if not all(np.isfinite(c.astype(np.float64)).all() for c in (mjd, mag, magerr)):
        raise ValueError("times, magnitudes or errors are not finite; drop these observations")
    if not (magerr > 0).all():
        raise ValueError("errors must be above 0; drop these observations")
    names = list(bands)
    if unknown := sorted({str(b) for b in np.unique(band)} - set(names)):
        raise ValueError(f"band {', '.join(unknown)} is unknown; give its wavelength with bands= ({', '.join(names)})")
    number = np.searchsorted(np.sort(names), band.astype(str))
    code = np.argsort(names)[number]
    star = np.repeat(np.arange(len(stars)), lengths)
    lc = LightCurves.from_arrays(star, code, mjd.astype(np.float64), mag, magerr, bands=bands)
    if len(lc) < len(stars):
        raise ValueError(f"{len(stars) - len(lc)} of {len(stars)} light curves have no usable observation; drop them")
    return lc
