"""Tabulate every measured rate beside its target, from committed results of the benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from astraclr.tutorial.experiments import committed_result

TRAINING_TARGETS = {"small, full": 3 * 10.1, "paper, full": 0.8, "paper, simulated": 2 * 0.55}
"""Light curves per second: 3 times, about 1.5 times and twice those of the reference implementation on two cores."""
REFERENCE_MEMORY_SHARE = 1 / 3
"""Target for the peak memory of a training step, over that of the reference implementation."""
REFERENCE_VIEWS_PER_S = 307
"""Triplets per CPU second of the reference implementation on full windows, as recorded with it."""
UTILISATION_TARGET = 0.4
"""Target for preset `paper` on full windows: share of a GPU's measured bfloat16 matrix rate, padding not counted."""
RESULTS = ("training", "views", "shards", "scaling", "embedding", "gpu")
COLUMNS = ["ours", "x baseline", "reference", "floor", "target", "met"]
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
        (padded; for views one star at a time; for two ranks one rank); the recorded number of the reference
        implementation; the rate at which matrix products alone would run; the target; "met" or "missed".

    Examples
    --------
    >>> list(rates(measured()).columns)
    ['ours', 'x baseline', 'reference', 'floor', 'target', 'met']
    """
    tables = {
        "training": _training,
        "views": _views,
        "shards": _shards,
        "scaling": _ranks,
        "embedding": _embedding,
        "gpu": _gpu,
    }
    rows = [row for name, table in tables.items() if name in found for row in table(found[name])]
    return pd.DataFrame(rows, columns=["what", *COLUMNS]).set_index("what").rename_axis(None)


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


def _training(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates and peak memory of training steps."""
    for name, r in result["results"].items():
        ours, padded = r["ours"], r["padded"]
        yield _row(
            f"training step: {name}, light curves/s",
            ours["per_s"],
            TRAINING_TARGETS.get(name),
            x_baseline=r["ratio"],
            reference=r.get("reference_per_s"),
            floor=r["floor_per_s"],
        )
        if "reference_mb" in r:
            yield _row(
                f"training step: {name}, MB",
                ours["peak_mb"],
                r["reference_mb"] * REFERENCE_MEMORY_SHARE,
                least_is_best=True,
                x_baseline=ours["peak_mb"] / padded["peak_mb"],
                reference=r["reference_mb"],
            )


def _views(result: Mapping[str, Any]) -> Iterator[Row]:
    """Rates of drawing views."""
    for r in result["results"]:
        if "target" in r:
            yield _row(
                f"views: {r['stars']}, triplets/CPU s",
                r["triplets_per_cpu_s"],
                r["target"],
                x_baseline=r["ratio"],
                reference=REFERENCE_VIEWS_PER_S if r["stars"] == "full windows" else None,
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
        recorded = [other["per_s"] for other in r.get("reference", {}).values()]
        yield _row(
            f"embedding: {name}, light curves/s",
            r["ours"]["per_s"],
            r.get("target_per_s"),
            x_baseline=r["ratio"],
            reference=max(recorded, default=None),
            floor=r["floor_per_s"],
        )
    for name, r in result["results"]["preparation"].items():
        yield _row(
            f"preparation: {name}, light curves/s".replace("1 threads", "1 thread"),
            r["one crop"]["per_s"],
            result["targets"]["preparation_per_s"],
            reference=result["reference"]["preparation_per_s"] if "full" in name else None,
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
