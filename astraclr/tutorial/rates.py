"""Tabulate every measured rate beside its target, from committed results of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from astraclr.tutorial.experiments import committed_result

SHARE_OF_LIMIT = 0.9
"""Target for training in float32: share of the rate that large matrix products set for the real tokens, in one run."""
BFLOAT16_TARGET = 2.0
"""Target for training in bfloat16, times float32 in the same run."""
REFERENCE_MEMORY_SHARE = 1 / 3
"""Target for the peak memory of a training step, over the least that was recorded of the reference implementation."""
REFERENCE_VIEWS_PER_S = 307
"""Triplets of views per CPU second of the reference implementation on full windows, as recorded with it."""
TWO_CORES = "two idle cores with AVX2"
"""The processor on which views, embedding and preparation of the reference implementation were recorded."""
UTILISATION_TARGET = 0.4
"""Target for preset `paper` on full windows: share of a GPU's measured bfloat16 matrix rate, padding not counted."""
RESULTS = ("reference", "training", "views", "shards", "scaling", "embedding", "gpu")
COLUMNS = ["ours", "x baseline", "floor", "target", "met"]
Row = dict[str, Any]


def measured() -> dict[str, Any]:
    """Read the results `RESULTS` of the benchmarks; those that are missing are left out.

    Examples
    --------
    >>> set(measured()) <= set(RESULTS)
    True
    """
    found = {}
    for name in RESULTS:
        try:
            found[name] = committed_result(name)
        except FileNotFoundError:
            continue
    return found


def rates(found: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate measured rates, a row for each measurement.

    Parameters
    ----------
    found : mapping
        From `measured`.

    Returns
    -------
    DataFrame
        Indexed by what was measured, with its unit. Columns `COLUMNS`: ours; ours over our own baseline in the same run
        (padded; for views one star at a time; for two ranks one rank); the rate at which matrix products alone would
        run; the target; "met" or "missed".

    Examples
    --------
    >>> list(rates(measured()).columns)
    ['ours', 'x baseline', 'floor', 'target', 'met']
    """
    tables = {
        "training": lambda result: _training(result, found.get("reference", {"training": {}})),
        "views": _views,
        "shards": _shards,
        "scaling": _ranks,
        "embedding": _embedding,
        "gpu": _gpu,
    }
    rows = [row for name, table in tables.items() if name in found for row in table(found[name])]
    return pd.DataFrame(rows, columns=["what", *COLUMNS]).set_index("what").rename_axis(None)


def recorded(found: Mapping[str, Any]) -> pd.DataFrame:
    """Tabulate what was recorded of the reference implementation, a row for each processor and measurement.

    These are rates of other machines than that of `rates`, so no ratio is made of them.

    Parameters
    ----------
    found : mapping
        From `measured`.

    Returns
    -------
    DataFrame
        Columns processor, what (with its unit), reference, and "ours, same run" where ours ran beside it there.

    Examples
    --------
    >>> list(recorded({}).columns)
    ['processor', 'what', 'reference', 'ours, same run']
    """
    rows = []
    for processor, r in found.get("reference", {"training": {}})["training"].items():
        ours = r.get("ours_in_that_run", {"per_s": {}, "peak_mb": {}})
        for name, per_s in r["per_s"].items():
            step = f"training step: {name}, float32, {r['threads']} thread{'s' * (r['threads'] > 1)}"
            rows.append((processor, f"{step}, light curves/s", _runs(per_s), _runs(ours["per_s"].get(name, []))))
            beside = [ours["peak_mb"][name]] if name in ours["peak_mb"] else []
            rows.append((processor, f"{step}, MB", _runs([r["peak_mb"][name]]), _runs(beside)))
    if "views" in found:
        rows.append((TWO_CORES, "views: full windows, triplets/CPU s", _runs([REFERENCE_VIEWS_PER_S]), ""))
    if "embedding" in found:
        there = found["embedding"]["reference"]
        for name, r in there["windows"].items():
            rows.append((TWO_CORES, f"embedding: paper, full, {name}, light curves/s", _runs([r["per_s"]]), ""))
        rows.append((TWO_CORES, "preparation: full, light curves/s", _runs([there["preparation_per_s"]]), ""))
    return pd.DataFrame(rows, columns=["processor", "what", "reference", "ours, same run"])


def _runs(values: list[float]) -> str:
    """Rates of several runs, in words."""
    return " and ".join(f"{value:,g}" for value in values)


def best_on_gpu(gpu: Mapping[str, Any], kind: str) -> Row | None:
    """Find the fastest measurement of a preset and kind of stars on a GPU, with its name; None without any.

    Parameters
    ----------
    gpu : mapping
        The result "gpu".
    kind : str
        Such as "paper, full".

    Examples
    --------
    >>> best_on_gpu({"results": {"paper, full, packed": {"per_s": 9.0}}}, "paper, full")["name"]
    'paper, full, packed'
    """
    found = [r | {"name": name} for name, r in gpu["results"].items() if name.startswith(kind) and "per_s" in r]
    return max(found, key=lambda r: r["per_s"], default=None)


def _row(what: str, ours: float, target: float | None = None, *, least_is_best: bool = False, **more: Any) -> Row:
    """One row of the table; `more` are further columns, with underscores for spaces."""
    met = None
    if target is not None:
        met = "met" if (ours <= target if least_is_best else ours >= target) else "missed"
    beside = {name.replace("_", " "): value for name, value in more.items()}
    return {"what": what, "ours": ours, "target": target, "met": met} | beside


def _training(result: Mapping[str, Any], reference: Mapping[str, Any]) -> Iterator[Row]:
    """Rates and peak memory of training steps."""
    memory: dict[str, list[float]] = {}
    for recorded_there in reference["training"].values():
        for name, mb in recorded_there["peak_mb"].items():
            memory.setdefault(name, []).append(mb)
    for name, r in result["results"].items():
        ours, half = r["ours"], "of_float32" in r
        yield _row(
            f"training step: {name}, light curves/s",
            ours["per_s"],
            BFLOAT16_TARGET * ours["per_s"] / r["of_float32"] if half else SHARE_OF_LIMIT * r["floor_per_s"],
            x_baseline=r["ratio"],
            floor=r["floor_per_s"],
        )
        if name in memory:
            target = min(memory[name]) * REFERENCE_MEMORY_SHARE
            what = f"training step: {name}, MB"
            x_baseline = ours["peak_mb"] / r["padded"]["peak_mb"]
            yield _row(what, ours["peak_mb"], target, least_is_best=True, x_baseline=x_baseline)


def _views(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates of drawing views."""
    for r in result["results"]:
        if "target" in r:
            yield _row(
                f"views: {r['stars']}, triplets/CPU s", r["triplets_per_cpu_s"], r["target"], x_baseline=r["ratio"]
            )


def _shards(result: Mapping[str, Any]) -> Iterator[Row]:
    """Growth of memory with the number of stars in shards."""
    r = result["results"]
    yield _row(
        "shards: growth of memory, 10³ to 10⁵ stars, MB",
        r["memory_growth_mb"]["views_peak_mb"],
        r["memory_growth_target_mb"],
        least_is_best=True,
    )


def _ranks(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates of two ranks beside one."""
    of = {(r["preset"], r["ranks"]): r for r in result["results"]["ranks"]}
    for (name, ranks), r in of.items():
        if ranks == 2:
            yield _row(
                f"two ranks: {name}, light curves/s",
                r["per_s"],
                x_baseline=r["per_s"] / of[name, 1]["per_s"],
                floor=r["floor_per_s"],
            )


def _embedding(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates of embedding and of preparing its inputs."""
    for name, r in result["results"]["windows"].items():
        yield _row(
            f"embedding: {name}, light curves/s",
            r["ours"]["per_s"],
            r.get("target_per_s"),
            x_baseline=r["ratio"],
            floor=r["floor_per_s"],
        )
    for name, r in result["results"]["preparation"].items():
        yield _row(
            f"preparation: {name}, light curves/s".replace("1 threads", "1 thread"),
            r["one crop"]["per_s"],
            result["targets"]["preparation_per_s"],
        )


def _gpu(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates on a GPU, and shares of its matrix rate."""
    rate = 1e12 * result["matrix_tflops"]["bfloat16"]
    for kind in (f"{name}, {stars}" for name in ("paper", "gpu", "laptop") for stars in ("full", "simulated")):
        if (r := best_on_gpu(result, kind)) is None:
            continue
        padded = result["results"].get(r["name"].replace("packed", "padded"), {}).get("per_s")
        yield _row(
            f"GPU: {r['name']}, light curves/s",
            r["per_s"],
            x_baseline=padded and r["per_s"] / padded,
            floor=rate / r["operations_per_light_curve"],
        )
        yield _row(
            f"GPU: {r['name']}, share of its matrix rate",
            r["utilisation"],
            UTILISATION_TARGET if kind == "paper, full" else None,
        )
