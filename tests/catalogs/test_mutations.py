"""Mutated files of every reader: a clear error that names the file, or clean light curves; never a traceback.

``ASTRACLR_MUTATIONS=10000 python -m pytest tests/catalogs/test_mutations.py`` tries that many in some minutes.
"""

import json
import os
import random
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_containers import WRITERS, epochs

from astraclr import catalogs

MUTATIONS = int(os.environ.get("ASTRACLR_MUTATIONS", "500"))
CELLS = (
    "",
    "nan",
    "TRUE",
    '"',
    "1e999",
    "9" * 20,
    "7.1E+14",
    "é",
    "\0",
    ",",
    ";",
    "\n",
    "1,5",
    ">19",
    "[1, 2]",
    "0x10",
)
CELLS += ("2018-10-08", "2018-10-08T00:00:00Z", " ", "1_000", "-inf", "18.9040", "a" * 700, "=1+1", "\ufeff", "mjd")
NAMES = ("mjd", "mag", "lc", "", "object_id", " mag", "MJD", "catflags", "info", "flag", "band", "label", "flux", "x")
HEADER = b"astraclr.lightcurves"


def columns(n: int) -> list:
    """Columns of every type that a reader may meet where it expects another."""
    kinds = [
        None,
        [1.0],
        [],
        {"a": 1},
        [{"mjd": 1.0}],
        {"mjd": [1.0], "mag": [2.0]},
        b"\xff",
        "x",
        "a" * 100_000,
        np.inf,
    ]
    made = [pa.array([kind] * n) for kind in kinds]
    made += [pa.array([2**63] * n, pa.uint64()), pa.array([1] * n).cast(pa.decimal128(30, 2)), pa.array([True] * n)]
    made += [pa.array(range(n)).cast(kind) for kind in (pa.timestamp("s"), pa.duration("s"), pa.float32())]
    return [*made, pa.array(["a"] * n).dictionary_encode(), pa.array([[1, 2]] * n, pa.list_(pa.int32(), 2))]


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes changed, cut or put in; or a cell, a column or a line of a table of text."""
    changed, k = bytearray(data), rng.randrange(6)
    if k == 0:
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif k == 1:
        changed = changed[: rng.randrange(len(changed))]
    elif k == 2:
        place = rng.randrange(len(changed))
        changed[place:place] = rng.choice(CELLS).encode()
    else:
        lines = data.decode("latin-1").split("\n")
        rows = [rng.randrange(len(lines))] if k < 5 else range(1, len(lines))
        column, cell = rng.randrange(7), rng.choice(CELLS)
        for row in rows:
            cells = lines[row].split(",")
            cells[column : column + (k != 4)] = [cell]
            lines[row] = ",".join(cells)
        return "\n".join(lines).encode("latin-1", "replace")
    return bytes(changed)


def mutated_table(data: bytes, rng: random.Random) -> bytes:
    """A parquet file with another column, type, name, value or header."""
    table = pq.read_table(pa.BufferReader(data))
    place, k = rng.randrange(table.num_columns), rng.randrange(6)
    column = table.column(place)
    if k == 0:
        table = table.set_column(place, table.column_names[place], rng.choice(columns(len(table))))
    elif k == 1:
        table = table.remove_column(place)
    elif k == 2:
        table = table.append_column(table.column_names[place], column)
    elif k == 3:
        table = table.rename_columns([rng.choice(NAMES) if j == place else c for j, c in enumerate(table.column_names)])
    elif k == 4:
        values = column.to_pylist()
        row = rng.randrange(len(values))
        values[row] = values[row][:-1] if isinstance(values[row], list | str) and rng.random() < 0.5 else None
        table = table.set_column(place, table.column_names[place], pa.array(values, column.type))
    else:
        header = {
            "version": rng.choice([1, 99, "1"]),
            "bands": rng.choice([None, [], {}, {"g": "x"}, {"g": 1.0}]),
            "notes": 5,
        }
        broken = rng.choice([json.dumps(header).encode(), b"{", b"[" * 100_000, b"5"])
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), HEADER: broken, b"pandas": b"x"})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """A whole file of every kind, by name."""
    pytest.importorskip("astropy", reason="needs the extra data")
    folder = tmp_path_factory.mktemp("whole")
    for name, write in WRITERS.items():
        write(epochs(), folder / f"whole_{name}")
    catalogs.read(folder / "whole_t.csv").save(folder / "whole_own.parquet")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def check(path: Path) -> bool:
    """Whether a file is read: then its light curves are finite and in order; else the error names it."""
    try:
        lc = catalogs.read(path)
    except (ValueError, OSError) as error:
        assert path.name in str(error) and len(str(error)) < 1000
        return False
    assert all(np.isfinite(c).all() for c in (lc.mjd, lc.mag, lc.magerr)) and (lc.magerr > 0).all()
    assert (np.diff(lc.mjd)[np.diff(lc.segment) == 0] >= 0).all()
    return True


@pytest.mark.slow
def test_mutated_files(whole, tmp_path):
    rng, read = random.Random(7), 0
    for k in range(MUTATIONS):
        name = rng.choice(list(whole))
        change = mutated_table if name.endswith(".parquet") and rng.random() < 0.8 else mutated_bytes
        path = tmp_path / name
        path.write_bytes(change(whole[name], rng))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read += check(path)
            except Exception as error:
                raise AssertionError(f"mutation {k} of {name}: {type(error).__name__}: {error}") from error
    assert 0.05 * MUTATIONS < read < MUTATIONS
