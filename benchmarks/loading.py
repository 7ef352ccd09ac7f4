"""How fast light curves load, and in how much memory: `python benchmarks/loading.py [--stars 100000] [--epochs 500]`.

Prints one JSON line. The light curves are random numbers of the right shape, written to a temporary folder. Loading is
timed in fresh processes, the median of three, from a file that the system still holds in memory. The memory is the
growth of the peak while loading, over the 16 bytes that an observation needs (float64 time, float32 magnitude and
error); imports are not counted. Targets: 100,000 stars of 500 epochs in under 3 s and 1.5 times the raw size;
`astraclr info` on a million rows of CSV in under 10 s, of parquet in under 2 s, the start of Python included.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _measure import in_own_process, peak_mb

from astraclr.config import ZTF_BANDS
from astraclr.data.lightcurves import LightCurves


def loaded(path: str) -> list[float]:
    """Seconds to load a file, and the growth of the peak memory meanwhile over the raw size."""
    before, start = peak_mb(), time.perf_counter()
    lc = LightCurves.load(path)
    seconds = time.perf_counter() - start
    return [seconds, (peak_mb() - before) * 2**20 / (16 * lc.n_obs)]


def random_light_curves(n_stars: int, n_epochs: int) -> LightCurves:
    """Stars with 40 % of their epochs in g, 50 % in r and the rest in i; the values are random numbers."""
    rng = np.random.default_rng(0)
    g, r = int(0.4 * n_epochs), int(0.5 * n_epochs)
    counts = np.tile([g, r, n_epochs - g - r], n_stars)
    mjd = np.concatenate([np.sort(rng.uniform(58194, 59951, n)) for n in counts[:3]])
    mag = rng.random(n_stars * n_epochs, dtype=np.float32) + np.float32(16)
    labels = np.array(["RR", "ECL", "AGN", ""])[np.arange(n_stars) % 4]
    return LightCurves(
        np.tile(mjd, n_stars),
        mag,
        mag / np.float32(400),
        np.concatenate([[0], np.cumsum(counts)]),
        dict(ZTF_BANDS),
        np.array([f"random-{k:07d}" for k in range(n_stars)]),
        labels,
        np.full(n_stars, np.nan),
    )


def rate(n_stars: int, call: Callable, *args: object) -> int:
    """Light curves per second."""
    start = time.perf_counter()
    found = call(*args)
    seconds = time.perf_counter() - start
    if len(found) != n_stars:
        raise RuntimeError(f"wrote {n_stars} stars, read {len(found)}")
    return round(n_stars / seconds)


def write_hats(lc: LightCurves, folder: Path) -> None:
    """A HATS catalogue of these light curves with Zubercal's columns, scattered over the sky."""
    from lsdb.loaders.dataframe.from_dataframe import from_dataframe

    rng = np.random.default_rng(1)
    frame = lc.to_nested()
    frame["ra"], frame["dec"] = rng.uniform(0, 360, len(lc)), rng.uniform(-30, 90, len(lc))
    frame["lc.info"], frame["lc.flag"] = np.zeros(lc.n_obs, np.int32), np.zeros(lc.n_obs, np.int16)
    from_dataframe(frame, partition_rows=1000).write_catalog(folder, catalog_name="random", progress_bar=False)


def other_layouts(lc: LightCurves, folder: Path) -> dict[str, int]:
    """Rates of the other layouts that `catalogs.read` knows."""
    from astraclr import catalogs

    lc.to_rows().to_parquet(folder / "rows.parquet")
    lc.to_table().to_parquet(folder / "tidy.parquet")
    lc.to_table().to_csv(folder / "tidy.csv", index=False)
    files = {"list_columns": "rows.parquet", "tidy_parquet": "tidy.parquet", "tidy_csv": "tidy.csv"}
    rates = {f"{layout}_per_s": rate(len(lc), catalogs.read, folder / name) for layout, name in files.items()}
    try:
        write_hats(lc, folder / "hats")
    except ImportError:
        return rates | {"hats_per_s": 0}
    catalogs.zubercal(folder / "hats", limit=1)  # imports LSDB, which takes seconds once a process
    return rates | {"hats_per_s": rate(len(lc), catalogs.zubercal, folder / "hats")}


def info_seconds(rows: int, folder: Path) -> dict[str, float]:
    """Wall clock and processor seconds of `astraclr info` on a tidy table of so many rows, as CSV and as parquet."""
    epochs = 500
    table = random_light_curves(max(1, rows // epochs), epochs).to_table()
    table.to_csv(folder / "info.csv", index=False)
    table.to_parquet(folder / "info.parquet", index=False)
    found: dict[str, float] = {"info_rows": len(table)}
    for kind in ("csv", "parquet"):
        command = [sys.executable, "-m", "astraclr.cli", "info", str(folder / f"info.{kind}")]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found[f"info_{kind}_s"] = round(time.perf_counter() - start, 2)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found[f"info_{kind}_cpu_s"] = round(used, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stars", type=int, default=100_000)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--others", type=int, default=5_000, help="stars for the other layouts; 0 leaves them out")
    parser.add_argument("--info-rows", type=int, default=1_000_000, help="rows for `astraclr info`; 0 leaves it out")
    parser.add_argument("--only-info", action="store_true", help="time nothing but `astraclr info`")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(loaded(args.load)))
        return
    if args.only_info:
        with tempfile.TemporaryDirectory() as name:
            print(json.dumps({"benchmark": "loading", **info_seconds(args.info_rows, Path(name))}))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lc = random_light_curves(args.stars, args.epochs)
        start = time.perf_counter()
        lc.save(folder / "own.parquet")
        save = time.perf_counter() - start
        few = lc[: args.others]
        del lc
        runs = [in_own_process(__file__, "--load", folder / "own.parquet") for _ in range(3)]
        load, memory = np.median(runs, axis=0)
        result = {
            "benchmark": "loading",
            "stars": args.stars,
            "epochs": args.epochs,
            "load_s": round(float(load), 2),
            "memory_over_raw": round(float(memory), 3),
            "save_s": round(save, 2),
            "own_per_s": round(float(args.stars / load)),
        }
        if args.others:
            result |= {"stars_other_layouts": len(few), **other_layouts(few, folder)}
        if args.info_rows:
            result |= info_seconds(args.info_rows, folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
