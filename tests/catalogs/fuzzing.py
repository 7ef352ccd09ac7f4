"""Mutate valid files of every reader, read them, and count what happens: `python tests/catalogs/fuzzing.py --help`.

Every input is either read, or refused by one line that names the file. A traceback, a hang of more than 20 s, a result
that is not finite, a refusal without the name of the file, and a change that nothing said are faults. Said is a change
that is counted in the notes: where one cell was changed, the observations that are left and those that are said to be
dropped must add up to those that were there, stars likewise, and all that was not in that cell must be as it was.

Input number k is always the same (`--first k --inputs 1` repeats it), so 10,000 may be tried in slices: with `--out`,
a slice is added to the counts of those before it. With `--own`, our own files are mutated instead (`fuzzing_own`).
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from test_containers import WRITERS, epochs

from astraclr import catalogs
from astraclr.data.lightcurves import LightCurves

SECONDS = 20
FAULTS = ("traceback", "hang", "not finite", "file not named", "changed in silence")
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
CELLS += (
    "0x10",
    "-1",
    "0",
    "32768",
    "99.99",
    "1e-320",
    "58,000.5",
    "# x",
    "b'x'",
    "2458000.5",
    "1.5e9",
    "\u22121",
    "None",
)
NAMES = ("mjd", "mag", "lc", "", "object_id", " mag", "MJD", "catflags", "info", "flag", "band", "label", "flux", "x")
HEADER = b"astraclr.lightcurves"
_NOT_ROWS = ("dropped: star", "dropped: repeated header", "dropped: comment after")
_NOT_STARS = "dropped: star without a usable observation in these bands"


def sources() -> dict[str, Callable[[Path], None]]:
    """A valid file of every survey and broker, beside the containers of `WRITERS`."""
    n = 6
    mjd = 58_000.123 + np.arange(n)
    jd, band = mjd + 2_400_000.5, np.arange(n) % 2
    alert = {"oid": "ZTF18a", "mjd": mjd, "fid": band + 1}
    base = {"object_id": np.repeat(["a", "b"], 3), "mjd": mjd}
    flux = {"flux": 100.0 + mjd % 7, "flux_err": 1.0}
    tables: dict[str, dict[str, Any]] = {
        "alerce.csv": alert | {"magpsf_corr": 16.5, "sigmapsf_corr_ext": 0.05, "magpsf": 19.0},
        "alerce_forced.csv": alert | {"mag_corr": 16.5, "e_mag_corr_ext": 0.05, "mag": 19.0},
        "fink.csv": {"i:objectId": "ZTF18a", "i:jd": jd, "i:fid": band + 1, "i:magpsf": 19.0, "i:sigmapsf": 0.1}
        | {"i:magnr": 18.0, "i:isdiffpos": "t", "d:tag": "valid"},
        "asassn.csv": {"HJD": jd, "mag": "15.68", "mag_err": 0.03, "flux(mJy)": 3.1, "Filter": "V"},
        "gaia.csv": {
            "source_id": "42958067201234567",
            "transit_id": band,
            "band": "BP",
            "time": mjd - 55_197,
            "mag": 16.4,
        }
        | {"flux": 5000.0, "flux_error": 50.0, "rejected_by_photometry": False, "rejected_by_variability": False},
        "plasticc.csv": base | flux | {"passband": band, "detected": 1},
        "rubin.csv": base | {"band": "z", "psfFlux": 10_000.0, "psfFluxErr": 100.0},
        "fluxes.csv": base | flux | {"band": "g", "zero_point": 25.0},
        "mmu.parquet": {"object_id": ["a"], "obj_type": ["Ia"], "band": [["g", "r"]], "time": [[58_000.1, -99.0]]}
        | {"flux": [[100.0, 0.0]], "flux_err": [[1.0, 0.0]]},
        "irsa.csv": {
            "oid": "7",
            "mjd": mjd,
            "mag": 16.0,
            "magerr": 0.1,
            "catflags": 0,
            "filtercode": "zg",
            "ra": 1.0,
            "dec": 2.0,
        },
        "zubercal.csv": base | {"mag": 16.0, "magerr": 200, "info": 0, "flag": 0, "band": "g"},
        "astromer.csv": {"mjd": mjd, "mag": 16.0, "errmag": 0.02, "band": "g"},
    }

    def writer(name: str, table: dict[str, Any]) -> Callable[[Path], None]:
        frame = pd.DataFrame(table)
        return lambda path: frame.to_parquet(path) if name.endswith("parquet") else frame.to_csv(path, index=False)

    atlas = "###MJD m dm uJy duJy F err\n" + "".join(f"{t} 16.4 0.02 1000 20 c 0\n" for t in mjd)
    zfps = (
        "index, filter, zpdiff, jd, forcediffimflux, forcediffimfluxunc, nearestrefmag, nearestrefmagunc, procstatus,\n"
    )
    zfps += "".join(f" {k} ZTF_g 26.0 {t} -500.0 30.0 17.0 0.02 0\n" for k, t in enumerate(jd))
    ogle = "".join(f"{t} 16.0 0.02\n" for t in jd)
    lc = [{"mjd": float(t), "mag": 16.0, "magerr": 0.02} for t in mjd]
    texts = {"atlas.txt": atlas, "zfps.txt": zfps, "OGLE-I-1.dat": ogle}
    texts["snad.json"] = json.dumps({"718103100001111": {"lc": lc, "meta": {"filter": "zr"}}})
    made = {name: writer(name, table) for name, table in tables.items()}
    return made | {name: lambda path, text=text: path.write_text(text) and None for name, text in texts.items()}


def columns(n: int) -> list[pa.Array]:
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
    column, names = table.column(place), table.column_names
    if k == 0:
        table = table.set_column(place, names[place], rng.choice(columns(len(table))))
    elif k == 1:
        table = table.remove_column(place)
    elif k == 2:
        table = table.append_column(names[place], column)
    elif k == 3:
        table = table.rename_columns([rng.choice(NAMES) if j == place else c for j, c in enumerate(names)])
    elif k == 4:
        values = column.to_pylist()
        row = rng.randrange(len(values))
        shorter = isinstance(values[row], list | str) and not pa.types.is_fixed_size_list(column.type)
        values[row] = values[row][:-1] if shorter and rng.random() < 0.5 else None
        table = table.set_column(place, names[place], pa.array(values, column.type))
    else:
        bands = rng.choice([None, [], {}, {"g": "x"}, {"g": 1.0}])
        header = json.dumps({"version": rng.choice([1, 99, "1"]), "bands": bands, "notes": 5}).encode()
        broken = rng.choice([header, b"{", b"[" * 100_000, b"5"])
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), HEADER: broken, b"pandas": b"x"})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def mutated_cell(name: str, path: Path, rng: random.Random) -> str | None:
    """Write a table with one other cell; the name of its column, or None if no file can hold such a cell."""
    table = epochs().astype(object)
    column, row, cell = rng.choice(list(table)), rng.randrange(len(table)), rng.choice(CELLS)
    if name == "t.tbl" and "\n" in str(cell):  # columns of fixed width, which cannot hold a line end
        return None
    table.loc[row, column] = cell
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            WRITERS[name](table, path)
    except Exception:  # the writer of another library
        return None
    return column


def unsaid(lc: LightCurves, column: str) -> str:
    """What differs from the stars of `epochs` beyond one cell of a column and what the notes count; "" if nothing."""
    table = epochs()
    lost = sum(
        n for reason, n in lc.notes.items() if reason.startswith("dropped: ") and not reason.startswith(_NOT_ROWS)
    )
    if lc.n_obs + lost != len(table):
        return f"{lc.n_obs} observations and {lost} said to be dropped are not {len(table)}"
    stars = len(lc) + lc.notes.get(_NOT_STARS, 0)
    if stars not in ((2, 3, 4) if column == "object_id" else (3,)):
        return f"{stars} stars are not 3"
    seen = lc.to_table()
    there = set(zip(table["object_id"], table["mjd"], np.asarray(table["mag"], np.float32).tolist(), strict=True))
    new = set(zip(seen["object_id"], seen["mjd"], seen["mag"].tolist(), strict=True)) - there
    if len(new) > 1:
        return f"{len(new)} observations are new: {sorted(map(str, new))[:2]}"
    labels = dict(zip(table["object_id"], table["label"].astype(object).fillna("").astype(str), strict=True))
    other = [s for s, label in zip(lc.object_id, lc.label, strict=True) if labels.get(s, label) != label]
    return f"labels of {len(other)} stars differ" if other and column not in ("label", "object_id") else ""


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so many seconds, where the system has alarms."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(path: Path, column: str = "") -> tuple[str, str]:
    """What comes of reading a file: read, refused or one of `FAULTS`, and details of a fault."""
    how: dict[str, Any] = {"bands": {"I": 7980.0}} if path.name.startswith("OGLE") else {}
    try:
        with warnings.catch_warnings(), limited(SECONDS):
            warnings.simplefilter("ignore")
            lc = catalogs.read(path, **how)
    except TimeoutError as error:
        return "hang", str(error)
    except (ValueError, OSError) as error:
        said = str(error)
        return ("refused", "") if path.name in said and len(said) < 1_000 else ("file not named", said[:300])
    except Exception as error:  # whatever it is, it is a fault
        return "traceback", f"{type(error).__name__}: {error}"[:300]
    if not all(np.isfinite(c).all() for c in (lc.mjd, lc.mag, lc.magerr)) or not (lc.magerr > 0).all():
        return "not finite", ""
    if not (np.diff(lc.mjd)[np.diff(lc.segment) == 0] >= 0).all():
        return "not finite", "times are not in order"
    change = unsaid(lc, column) if column else ""
    return ("changed in silence", change) if change else ("read", "")


def whole(folder: Path) -> dict[str, bytes]:
    """A whole file of every kind, by name."""
    for name, write in WRITERS.items():
        write(epochs(), folder / f"whole_{name}")
    for name, write in sources().items():
        write(folder / name)
    catalogs.read(folder / "whole_t.csv").save(folder / "whole_own.parquet")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def tried(first: int, n: int, folder: Path, until: float = np.inf) -> tuple[dict[str, Counter], list[str], int]:
    """Try the inputs from number `first` on: outcomes of each reader, the faults in words, and how many were tried."""
    files, counts, faults = whole(folder), {}, []
    (folder / "mutated").mkdir()
    for k in range(first, first + n):
        if time.monotonic() > until:
            return counts, faults, k - first
        rng = random.Random(k)
        column: str | None = ""
        name, path = "", folder / "mutated"
        if rng.random() < 0.4:
            name = rng.choice([w for w in WRITERS if w != "late.csv"])  # it adds a row
            path = folder / "mutated" / f"m_{name}"
            column = mutated_cell(name, path, rng)
        if column is None or not column:
            name = rng.choice(list(files))
            change = mutated_table if name.endswith(".parquet") and rng.random() < 0.8 else mutated_bytes
            path = folder / "mutated" / name
            path.write_bytes(change(files[name], rng))
        found, why = outcome(path, column or "")
        counts.setdefault(name.removeprefix("whole_"), Counter())[found] += 1
        if found in FAULTS:
            faults.append(f"input {k} of {name}{f', cell of {column}' if column else ''}: {found}: {why}")
        path.unlink()
    return counts, faults, n


def main() -> None:
    """Try inputs, print the faults, and add the counts to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seconds", type=float, default=np.inf, help="stop before the next input after so long")
    parser.add_argument("--out", type=Path, help="JSON of counts; a slice that follows those in it is added")
    parser.add_argument("--own", action="store_true", help="shards, checkpoints, tables, indices, HATS, states")
    args = parser.parse_args()
    import fuzzing_own

    ways = {True: fuzzing_own.tried, False: tried}
    with tempfile.TemporaryDirectory() as name:
        counts, faults, n = ways[args.own](args.first, args.inputs, Path(name), time.monotonic() + args.seconds)
    print("\n".join(faults))
    print(f"{n:,} inputs from number {args.first}: {dict(sum(counts.values(), Counter()))}")
    if args.out:
        write(args.out, args.first, n, counts, faults)
    sys.exit(bool(faults))


def write(out: Path, first: int, n: int, counts: dict[str, Counter], faults: list[str]) -> None:
    """Write counts, added to those of the slices before where `out` holds these."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(git, check=False, capture_output=True, text=True).stdout.strip()
    before = json.loads(out.read_text()) if first and out.exists() else {"inputs": 0, "readers": {}, "faults": []}
    if before["inputs"] != first:
        raise SystemExit(
            f"{out} holds the inputs before number {before['inputs']}: go on with --first {before['inputs']}"
        )
    for reader, found in before["readers"].items():
        counts.setdefault(reader, Counter()).update(found)
    total = sum(counts.values(), Counter())
    result = {
        "benchmark": "fuzz",
        "command": "python tests/catalogs/fuzzing.py --out benchmarks/results/fuzz.json, then with --own --first",
        "revision": revision,
        "inputs": first + n,
        "outcomes": {name: total[name] for name in ("read", "refused", *FAULTS)},
        "readers": {reader: dict(sorted(counts[reader].items())) for reader in sorted(counts)},
        "faults": before["faults"] + faults,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
