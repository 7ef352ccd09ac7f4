"""Columns of a table by role, one value an observation, whether its rows are observations or lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from astraclr.catalogs._matching import Match
from astraclr.data import cleaning
from astraclr.data.columns import arrow, call


class Flat:
    """Columns of a table by role, one value an observation, whether its rows are observations, lists or nested."""

    def __init__(self, table: pa.Table, match: Match) -> None:
        self.n_rows, self.length, self._columns, self._lists = len(table), None, {}, set()
        wanted = {**match.roles, **match.flags}
        place = {p: k for k, p in enumerate(sorted({c.position for c in wanted.values()}))}
        kept: dict[int, pa.Array] = {}
        for role, column in wanted.items():
            k = place.get(column.position, 0)
            if k not in kept:
                kept[k] = arrow(table.column(k))
            values = kept[k] if column.field is None else _inner(kept[k], column.field)
            if cleaning.is_list_type(values.type):
                values = self._flattened(values, column.name)
                self._lists.add(role)
            self._columns[role] = values
        if self.length is not None and "mjd" not in self._lists:
            lists = ", ".join(wanted[role].name for role in self._lists)
            raise ValueError(f"column {match.roles['mjd'].name} holds one value a row, but {lists} holds lists")

    def _flattened(self, values: pa.Array, name: str) -> pa.Array:
        flat, length = cleaning.flatten(pa.chunked_array([values]), name)
        if self.length is None:
            self.length = length
        elif (odd := np.flatnonzero(length != self.length)).size:
            k = odd[0]
            raise ValueError(
                f"row {k + 1}: {length[k]} values of {name}, {self.length[k]} of another column; the lists of one row "
                "must be of one length"
            )
        return arrow(flat)

    def row(self, role: str) -> pa.Array:
        """One value a row of the file."""
        if role in self._lists:
            raise ValueError(f"column {role} must hold one value a star, found lists; give it one, or remove it")
        return self._columns[role]

    def each(self, of_row: np.ndarray) -> np.ndarray:
        """What belongs to a row of the file, for each of its observations."""
        return of_row if self.length is None else np.repeat(of_row, self.length)

    def __getitem__(self, role: str) -> pa.Array:
        """One value an observation."""
        values = self._columns[role]
        return (
            values
            if role in self._lists or self.length is None
            else values.take(pa.array(self.each(np.arange(self.n_rows))))
        )


def _inner(values: pa.Array, name: str) -> pa.Array:
    """A field of a struct of lists, or of a list of structs, as lists."""
    if pa.types.is_struct(values.type):
        return call("struct_field", values, name)  # pyright: ignore[reportAttributeAccessIssue]
    inner = call("struct_field", values.flatten(), name)  # pyright: ignore[reportAttributeAccessIssue]
    length = call("list_value_length", values).fill_null(0).to_numpy(zero_copy_only=False)  # pyright: ignore[reportAttributeAccessIssue]
    return pa.LargeListArray.from_arrays(np.concatenate([[0], np.cumsum(length, dtype=np.int64)]), inner)
