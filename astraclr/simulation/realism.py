"""Aggregate statistics of light curves, with which simulated stars are compared with real ones.

Only groups of many stars are described, never one star, so that the table of a private data set can be published:
``python -m astraclr.simulation.realism ztf.parquet --out data/realism_ztf.json``
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from astraclr.data.lightcurves import LightCurves
from astraclr.files import existing, replacing
from astraclr.simulation.cadence import MJD_END, MJD_START

MIN_STARS = 20
"""Smallest group that is described: fewer stars could be recognised in their statistics."""

KEYS = ["quantity", "band", "group"]
_MAG_EDGES = (13.0, 15.0, 16.0, 17.0, 18.0, 19.0, 20.0, 21.0)
_AMPLITUDE_OF = ("RR", "ECL")


def statistics(lc: LightCurves, min_stars: int = MIN_STARS) -> pd.DataFrame:
    """Quartiles of cadence, errors, amplitudes and colours over groups of stars.

    Parameters
    ----------
    lc : LightCurves
        Any bands; colours need g and r.
    min_stars : int
        Groups of fewer stars are left out.

    Returns
    -------
    DataFrame
        Columns ``quantity`` (with its unit), ``band``, ``group`` (``all``, a class, or a range of magnitudes),
        ``q25``, ``median``, ``q75`` over the stars of the group, ``stars``; values have 2 digits on purpose.

    Raises
    ------
    ValueError
        If no group has `min_stars` stars.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> table = statistics(simulate(24, seed=1))
    >>> list(table.columns)
    ['quantity', 'band', 'group', 'q25', 'median', 'q75', 'stars']
    """
    rows = _per_star(lc)
    groups = rows.groupby(KEYS, sort=False)["value"]
    table = pd.DataFrame(groups.quantile(np.array([0.25, 0.5, 0.75])).unstack())
    table = table.set_axis(["q25", "median", "q75"], axis=1)
    table["stars"] = groups.size()
    table = table[table["stars"] >= min_stars]
    if table.empty:
        raise ValueError(f"{len(lc)} stars and no group of {min_stars}: give more stars, or a smaller min_stars")
    return table.apply(lambda c: c if c.name == "stars" else c.map(lambda v: float(f"{v:.2g}"))).reset_index()


def compare(**tables: pd.DataFrame) -> pd.DataFrame:
    """Join tables of `statistics` side by side; rows that some table lacks are left out.

    Parameters
    ----------
    **tables : DataFrame
        By name, e.g. ``compare(real=..., simulated=...)``.

    Returns
    -------
    DataFrame
        Columns `KEYS` and, for each table, ``<name>`` (the median), ``<name> q25-q75`` and ``<name> stars``.

    Raises
    ------
    ValueError
        If no table is given.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> one, two = (statistics(simulate(24, seed=seed)) for seed in (1, 2))
    >>> list(compare(one=one, two=two).columns[3:6])
    ['one', 'one q25-q75', 'one stars']
    """
    joined: pd.DataFrame | None = None
    for name, table in tables.items():
        side = pd.DataFrame(table[KEYS])
        side[name] = table["median"]
        side[f"{name} q25-q75"] = [f"{a:g} to {b:g}" for a, b in zip(table["q25"], table["q75"], strict=True)]
        side[f"{name} stars"] = table["stars"]
        joined = side if joined is None else joined.merge(side, on=KEYS)
    if joined is None:
        raise ValueError("nothing to compare: give tables by name, e.g. compare(real=..., simulated=...)")
    return joined


def within(lc: LightCurves, start: float = MJD_START, end: float = MJD_END) -> LightCurves:
    """Keep the epochs between two MJD, both included; by default those of ZTF DR16, as the simulator.

    Parameters
    ----------
    lc : LightCurves
        Every star stays, also where it keeps no epoch.
    start, end : float
        MJD, days.

    Examples
    --------
    >>> from astraclr.simulation.simulate import simulate
    >>> bool(within(simulate(2, seed=1), 58_500, 58_600).mjd.max() <= 58_600)
    True
    """
    kept = (lc.mjd >= start) & (lc.mjd <= end)
    star, band = np.divmod(lc.segment[kept], len(lc.bands))
    return LightCurves.from_arrays(
        star,
        band,
        lc.mjd[kept],
        lc.mag[kept],
        lc.magerr[kept],
        bands=lc.bands,
        object_id=lc.object_id,
        label=lc.label,
        period=lc.period,
    )


def save(table: pd.DataFrame, path: str | Path, about: str = "") -> None:
    """Write a table of `statistics` as JSON.

    Parameters
    ----------
    table : DataFrame
        From `statistics`.
    path : str or Path
        File to write, whole or not at all.
    about : str
        One line about the stars of the table.

    Examples
    --------
    >>> import tempfile
    >>> from astraclr.simulation.simulate import simulate
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(statistics(simulate(24, seed=1)), f"{folder}/table.json", "simulated")
    ...     load(f"{folder}/table.json").attrs["about"]
    'simulated'
    """
    with replacing(path) as beside:
        Path(beside).write_text(json.dumps({"about": about, "table": table.to_dict("records")}, indent=1) + "\n")


def load(path: str | Path) -> pd.DataFrame:
    """Read a table that `save` wrote; the line about the stars is in ``.attrs["about"]``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    """
    content = json.loads(existing(path).read_text())
    table = pd.DataFrame(content["table"])
    table.attrs["about"] = content["about"]
    return table


def _per_star(lc: LightCurves) -> pd.DataFrame:
    """One row for each star, quantity, band and group."""
    rows: list[tuple[str, str, str, float]] = []
    for index in range(len(lc)):
        star, label = lc.star(index), str(lc.label[index])
        rows += [("epochs", band, "all", len(star[band][0]) if band in star else 0) for band in lc.bands]
        for band, (mjd, mag, magerr) in star.items():
            if len(mjd) < 20:
                continue
            gaps = np.diff(mjd)
            rows += [
                ("median gap (d)", band, "all", float(np.median(gaps))),
                ("upper quartile of gaps (d)", band, "all", float(np.quantile(gaps, 0.75))),
                ("share of gaps under 0.5 d", band, "all", float(np.mean(gaps < 0.5))),
                ("share of gaps over 30 d", band, "all", float(np.mean(gaps > 30))),
                ("longest gap (d)", band, "all", float(gaps.max())),
            ]
            for low, high in pairwise(_MAG_EDGES):
                inside = (mag >= low) & (mag < high)
                if inside.sum() >= 5:
                    rows.append(("error (mag)", band, f"{low:g} to {high:g} mag", float(np.median(magerr[inside]))))
            if label in _AMPLITUDE_OF:
                low, high = np.quantile(mag, [0.05, 0.95])
                rows.append(("amplitude, 5 to 95 % (mag)", band, label, float(high - low)))
        if {"g", "r"} <= set(star):
            colour = float(np.median(star["g"][1]) - np.median(star["r"][1]))
            rows += [("colour g - r (mag)", "g-r", group, colour) for group in {"all": 0, label or "all": 0}]
    return pd.DataFrame(rows, columns=[*KEYS, "value"])


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics of the well-observed stars of a parquet file with one row for each star."""
    parser = argparse.ArgumentParser(prog="python -m astraclr.simulation.realism", description=main.__doc__)
    parser.add_argument("file", type=Path, help="parquet, one row for each star, list columns mjd mag magerr band")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--at-least", type=int, default=100, help="fewest epochs in g and in r (%(default)s)")
    given = parser.parse_args(arguments)
    lc = LightCurves.from_rows(pd.read_parquet(existing(given.file)))
    lc = within(lc).with_counts({"g": given.at_least, "r": given.at_least})
    about = f"{len(lc)} stars with at least {given.at_least} epochs in g and in r, MJD {MJD_START:.0f} to {MJD_END:.0f}"
    save(statistics(lc), given.out, about)
    print(f"{about}: {given.out}")


if __name__ == "__main__":
    main()
