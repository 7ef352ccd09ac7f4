"""Are the simulated stars like real ones? The same aggregate statistics of any light curves, to be set side by side.

Only groups of many stars are described, never one star, so that the table of a private data set can be shown:
``python -m astraclr.simulation.realism ztf.parquet --out data/realism_ztf.json``
"""

from __future__ import annotations

import argparse
import json
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
    """Aggregates of cadence, errors, amplitudes and colours.

    Parameters
    ----------
    lc : light curves with a g and an r band (colours need both)
    min_stars : groups of fewer stars are left out

    Returns
    -------
    DataFrame
        Columns ``quantity`` (with its unit), ``band``, ``group`` (``all``, a class, or a range of magnitudes),
        ``q25``, ``median``, ``q75`` over the stars of the group, ``stars``; values have 2 digits on purpose.

    Raises
    ------
    ValueError
        If no group has `min_stars` stars.
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
    """Tables of `statistics` side by side, e.g. ``compare(real=..., simulated=...)``: rows that all of them have.

    Columns are `KEYS` and, for each table, ``<name>`` (the median), ``<name> q25-q75`` and ``<name> stars``.
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
    """Only the epochs between two MJD (default: the span of ZTF DR16, which the simulator copies)."""
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
    """Write a table of `statistics` as JSON, with one line about the stars behind it."""
    with replacing(path) as beside:
        Path(beside).write_text(json.dumps({"about": about, "table": table.to_dict("records")}, indent=1) + "\n")


def load(path: str | Path) -> pd.DataFrame:
    """Read what `save` wrote; the line about the stars is in ``.attrs["about"]``."""
    content = json.loads(existing(path).read_text())
    table = pd.DataFrame(content["table"])
    table.attrs["about"] = content["about"]
    return table


def _per_star(lc: LightCurves) -> pd.DataFrame:
    """One row for each star, quantity, band and group."""
    rows: list[tuple[str, str, str, float]] = []
    for index in range(len(lc)):
        star, label = lc.star(index), str(lc.label[index])
        for band in lc.bands:
            rows.append(("epochs", band, "all", len(star[band][0]) if band in star else 0))
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
            for low, high in zip(_MAG_EDGES, _MAG_EDGES[1:], strict=False):
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
    """Write the aggregates of the well-observed stars of a file in the layout of one row a star."""
    parser = argparse.ArgumentParser(prog="python -m astraclr.simulation.realism", description=main.__doc__)
    parser.add_argument("file", type=Path, help="parquet, one row a star, list columns mjd mag magerr band")
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
