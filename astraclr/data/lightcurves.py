"""Many light curves as flat columns plus offsets: validated, sorted, selected, saved and loaded.

Star ``s`` in band ``b`` is the segment ``offsets[s * n_bands + b] : offsets[s * n_bands + b + 1]`` of the columns
``mjd``, ``mag`` and ``magerr``; segments follow one another, each sorted by time. Nothing is ever padded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from astraclr.config import ZTF_BANDS
from astraclr.data import building, cleaning, parquet
from astraclr.data.parquet import COLUMNS

PAPER_CUT: dict[str, int] = {"g": 200, "r": 200}
"""Fewest detections per band of a light curve that the paper keeps."""


@dataclass(frozen=True, eq=False)
class LightCurves:
    """Light curves of many stars in named bands.

    Attributes
    ----------
    mjd : (n_obs,) float64, days
    mag, magerr : (n_obs,) float32, magnitudes
    offsets : (n_stars * n_bands + 1,) int64, where each star's band begins
    bands : band name -> effective wavelength in angstrom, in the order of the segments
    object_id, label : (n_stars,) str; a label of "" means unlabelled
    period : (n_stars,) float64, days; NaN where none is known
    notes : how many observations or stars cleaning dropped, or only counted, by reason
    """

    mjd: np.ndarray
    mag: np.ndarray
    magerr: np.ndarray
    offsets: np.ndarray
    bands: dict[str, float]
    object_id: np.ndarray
    label: np.ndarray
    period: np.ndarray
    notes: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.object_id)

    def __repr__(self) -> str:
        return f"LightCurves({len(self):,} stars, {self.n_obs:,} observations, bands {' '.join(self.bands)})"

    @property
    def n_obs(self) -> int:
        """Number of observations of all stars and bands."""
        return len(self.mjd)

    @property
    def counts(self) -> np.ndarray:
        """(n_stars, n_bands) number of observations."""
        return np.diff(self.offsets).reshape(len(self), len(self.bands))

    @property
    def segment(self) -> np.ndarray:
        """(n_obs,) number of the segment, star * n_bands + band, of every observation."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def star(self, index: int) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """One star as ``{band: (mjd, mag, magerr)}``, views into the columns; empty bands are left out."""
        first = range(len(self))[index] * len(self.bands)
        cuts = {band: slice(*self.offsets[first + k : first + k + 2]) for k, band in enumerate(self.bands)}
        return {b: (self.mjd[c], self.mag[c], self.magerr[c]) for b, c in cuts.items() if c.stop > c.start}

    def report(self) -> str:
        """What cleaning dropped or counted, in one line."""
        return "; ".join(f"{reason}: {n:,}" for reason, n in self.notes.items()) or "nothing dropped"

    def __getitem__(self, index: Any) -> LightCurves:
        """Stars by number, slice, boolean mask or array of numbers; always LightCurves."""
        stars = np.atleast_1d(np.arange(len(self))[index])
        n_bands = len(self.bands)
        segments = (stars[:, None] * n_bands + np.arange(n_bands)).ravel()
        start, length = self.offsets[segments], np.diff(self.offsets)[segments]
        offsets = np.concatenate([[0], np.cumsum(length)])
        rows = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], length)
        return LightCurves(
            self.mjd[rows],
            self.mag[rows],
            self.magerr[rows],
            offsets,
            self.bands,
            self.object_id[stars],
            self.label[stars],
            self.period[stars],
        )

    def with_counts(self, at_least: Mapping[str, int]) -> LightCurves:
        """Stars with at least so many observations in the named bands, e.g. `PAPER_CUT`."""
        names = list(self.bands)
        if unknown := [b for b in at_least if b not in names]:
            raise ValueError(f"no band {', '.join(unknown)} here; the bands are {', '.join(names)}")
        return self[np.all([self.counts[:, names.index(b)] >= n for b, n in at_least.items()], axis=0)]

    def with_labels(self, labels: Iterable[str]) -> LightCurves:
        """Stars whose label is one of `labels`."""
        return self[np.isin(self.label, list(labels))]

    @classmethod
    def from_arrays(
        cls,
        star: np.ndarray,
        band: np.ndarray,
        mjd: np.ndarray,
        mag: np.ndarray,
        magerr: np.ndarray,
        *,
        bands: Mapping[str, float] = ZTF_BANDS,
        object_id: Sequence | np.ndarray | None = None,
        label: Sequence | np.ndarray | None = None,
        period: Sequence | np.ndarray | None = None,
        drop_repeated: bool = False,
    ) -> LightCurves:
        """Build from observations in any order, cleaned and sorted.

        Parameters
        ----------
        star : (n_obs,) int, row of the star in `object_id`
        band : (n_obs,) int, position of the band in `bands`
        mjd, mag, magerr : (n_obs,) days, mag, mag
        object_id, label, period : (n_stars,) each; numbers, "" and NaN when not given
        drop_repeated : keep only the observation of smallest error where a band repeats a time

        Returns
        -------
        LightCurves
            Without non-finite values, sentinels, errors <= 0 (see `astraclr.data.cleaning`), and stars that had nothing
            else; ``notes`` counts each.

        Raises
        ------
        ValueError
            If no star has a usable observation, columns differ in length, there is not one label or period a star, a
            number of a star or band is out of range, or a wavelength is not positive.

        Warns
        -----
        UserWarning
            If the times do not look like MJD.
        """
        per_star = {"object_id": object_id, "label": label, "period": period}
        return cls(**building.from_arrays(star, band, (mjd, mag, magerr), bands, per_star, drop_repeated))

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        bands: Mapping[str, float] = ZTF_BANDS,
        drop_unknown_bands: bool = False,
        drop_repeated: bool = False,
    ) -> LightCurves:
        """Build from a tidy table: one row an observation, columns object_id, mjd, mag, magerr, band [label, period].

        The table is pandas' (the object_id may be its index), Arrow's, astropy's, or a structured array as of FITS.

        Raises
        ------
        ValueError
            For a missing column, text where numbers belong, a missing object_id, a star with several labels or
            periods (rows that leave them empty are no objection), or a band without a wavelength
            in `bands` (unless `drop_unknown_bands`).
        """
        return cls(**building.from_table(table, bands, drop_unknown_bands, drop_repeated))

    @classmethod
    def from_rows(
        cls,
        table: Any,
        *,
        bands: Mapping[str, float] = ZTF_BANDS,
        drop_unknown_bands: bool = False,
        drop_repeated: bool = False,
    ) -> LightCurves:
        """Build from one row a star with list columns mjd, mag, magerr, band, and object_id [label, period].

        Rows with one object_id (say, one a band) are joined into one star, with a count.

        Raises
        ------
        ValueError
            As `from_table`, and where the lists of one star differ in length.
        """
        return cls(**building.from_rows(table, bands, drop_unknown_bands, drop_repeated))

    @classmethod
    def from_nested(
        cls,
        frame: pd.DataFrame,
        column: str = "lc",
        *,
        bands: Mapping[str, float] = ZTF_BANDS,
        drop_unknown_bands: bool = False,
        drop_repeated: bool = False,
    ) -> LightCurves:
        """Build from a nested-pandas NestedFrame whose nested `column` holds mjd, mag, magerr, band.

        The object_id is the column of that name, or the index.
        """
        rows = building.rows_of_nested(frame, column)
        return cls.from_rows(rows, bands=bands, drop_unknown_bands=drop_unknown_bands, drop_repeated=drop_repeated)

    def to_table(self) -> pd.DataFrame:
        """Tidy table: one row an observation, columns object_id, mjd, mag, magerr, band, label, period."""
        per_star = self.counts.sum(axis=1)
        band = self.segment % len(self.bands)
        columns = {c: getattr(self, c) for c in COLUMNS} | {"band": np.array(list(self.bands))[band]}
        return pd.DataFrame(
            {
                "object_id": np.repeat(self.object_id, per_star),
                **columns,
                "label": np.repeat(self.label, per_star),
                "period": np.repeat(self.period, per_star),
            }
        )

    def to_rows(self) -> pd.DataFrame:
        """One row a star: object_id, label, period and the list columns mjd, mag, magerr, band."""
        ends, table = self.offsets[:: len(self.bands)][1:], self.to_table()
        # What follows the last star's end is empty, and is all there is where there are no stars.
        lists = {c: pd.Series(np.split(table[c].to_numpy(), ends)[:-1], dtype=object) for c in (*COLUMNS, "band")}
        return pd.DataFrame({"object_id": self.object_id, "label": self.label, "period": self.period, **lists})

    def to_nested(self, column: str = "lc") -> pd.DataFrame:
        """A nested-pandas NestedFrame: object_id, label, period and the nested `column` (extra ``data``)."""
        from nested_pandas import NestedFrame

        base = NestedFrame({"object_id": self.object_id, "label": self.label, "period": self.period})
        nested = self.to_table()[[*COLUMNS, "band"]]
        nested.index = pd.Index(np.repeat(np.arange(len(self)), self.counts.sum(axis=1)))
        return base.join_nested(nested, column)

    def save(self, path: str | Path) -> None:
        """Write our own parquet layout (`astraclr.data.parquet`), whole or not at all."""
        parquet.write(vars(self), path)

    @classmethod
    def load(cls, path: str | Path) -> LightCurves:
        """Read what `save` wrote; what another tool has changed since is cleaned and counted as in any table.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, it is truncated, `save` did not write it, or its lists and counts disagree.
        """
        fields, intact = parquet.read(path)
        loaded = cls(**fields)
        return loaded if intact else loaded.cleaned()

    def cleaned(self, drop_repeated: bool = False) -> LightCurves:
        """The same stars cleaned and sorted as `from_arrays` does; notes are added to those that are there."""
        star, band = np.divmod(self.segment, len(self.bands))
        per_star = {"object_id": self.object_id, "label": self.label, "period": self.period}
        values = (star, band, self.mjd, self.mag, self.magerr)
        made = self.from_arrays(*values, bands=self.bands, **per_star, drop_repeated=drop_repeated)
        kept = {reason: n for reason, n in self.notes.items() if not reason.startswith("kept: repeated time")}
        if late := int((np.diff(self.mjd, prepend=-np.inf)[1:] < 0)[np.diff(self.segment) == 0].sum()):
            kept["sorted: observation earlier than the one before it"] = late
        return replace(made, notes=cleaning.add_notes(kept, made.notes))


def concatenate(parts: Sequence[LightCurves]) -> LightCurves:
    """Join light curves in the same bands, in order; notes are added up.

    Raises
    ------
    ValueError
        If there is none, or their bands differ.
    """
    if not parts:
        raise ValueError("nothing to concatenate: give at least one LightCurves")
    if odd := next((p for p in parts if p.bands != parts[0].bands), None):
        raise ValueError(f"bands differ: {parts[0].bands} and {odd.bands}; build all with the same `bands`")
    joined = {c: np.concatenate([getattr(p, c) for p in parts]) for c in (*COLUMNS, "object_id", "label", "period")}
    offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(p.offsets) for p in parts]))])
    notes = cleaning.add_notes(*(p.notes for p in parts))
    return LightCurves(**joined, offsets=offsets, bands=dict(parts[0].bands), notes=notes)
