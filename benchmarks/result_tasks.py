"""Which command makes which committed result: the table that `make results` works through (benchmarks/make_results.py).

A task is one entry. It says what it produces, which files it reads, and what makes it stale: its command, the parts of
the method that it runs (`PARTS`), its presets and recipes, and the numbers that stand in capitals in its script. Words,
comments, names of functions and places make nothing stale. The order follows from files: a task waits for those that
produce what it needs. A new recipe, row or checkpoint is one more entry in `SHIPPED`, `ROWS` or `TASKS`. Whoever
changes what a script measures in a way that none of this shows raises the `version` of its task, or, where the script
keeps rows by keys of their own (representation, ablation, differences, many_labels), `METHOD_VERSION`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from astraclr.config import PRESETS, RECIPES
from astraclr.evaluate.row_fingerprint import PARTS as ROW_PARTS
from astraclr.train.behaviour import PARTS as METHOD_PARTS

PARTS = METHOD_PARTS | {name: part for parts in ROW_PARTS.values() for name, part in parts.items()}
"""Parts of the fingerprint of the method, by name (`astraclr.train.fingerprint`)."""
METHOD, READERS = tuple(METHOD_PARTS), tuple(ROW_PARTS["readers"])
FEATURES, TUNING = tuple(ROW_PARTS["features"]), tuple(ROW_PARTS["fine-tuning"])
STARS = ("sky", "simulator")
EMBED = (*STARS, "inputs", "embeddings")
"""Simulated stars, embedded by an encoder that is there."""
PROBE = (*EMBED, "classifiers")


@dataclass(frozen=True)
class Task:
    """One command and what it makes.

    Attributes
    ----------
    name : of the task
    command : what follows ``python``; a pattern such as ``tests/*/test_a.py`` stands for the files that it matches
    produces : files, patterns of files, or FILE#ROW for one row of a file of rows
    needs : files or patterns that the command reads; {real} is the folder of real light curves
    parts : names in `PARTS`
    settings : gives presets, recipes and numbers, nested as one likes; called when the task is looked at
    after : tasks that come first although nothing of theirs is read, since both train the same encoder
    requires : "" or what a machine may lack: "real" light curves, a "cuda" device
    alone : it measures speed or memory, so nothing else may run beside it
    version : raised by hand, where the script keeps no rows with keys of their own
    """

    name: str
    command: str
    produces: tuple[str, ...]
    needs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    settings: Callable[[], Any] = tuple
    after: tuple[str, ...] = ()
    requires: str = ""
    alone: bool = False
    version: int = 1

    @property
    def module(self) -> str:
        """Name of the script in this folder that the command runs; empty for a command of the package."""
        first = self.command.split()[0]
        return first.removeprefix("benchmarks/").removesuffix(".py") if first.endswith(".py") else ""


def of(*names: str) -> Callable[[], list[Any]]:
    """Presets and recipes by their names."""
    return lambda: [PRESETS[name] if name in PRESETS else RECIPES[name] for name in names]


def result(name: str) -> str:
    """File of a committed result."""
    return f"benchmarks/results/{name}.json"


def encoder(preset: str) -> tuple[str, ...]:
    """Files of a shipped encoder that its users read."""
    return f"data/checkpoints/{preset}/weights-*.safetensors", f"data/checkpoints/{preset}/config.json"


SHIPPED = {"tiny": "corrected", "laptop": "recommended"}
"""Recipe of the encoder that ships for a preset; each with its head, scores and card."""


def checkpoint(preset: str, recipe: str) -> Task:
    """The task that makes a shipped encoder."""
    return Task(
        f"checkpoint-{preset}",
        f"benchmarks/shipped_checkpoint.py --preset {preset} --recipe {recipe} --real",
        (f"data/checkpoints/{preset}/*",),
        needs=("{real}/ztf.parquet",),
        parts=(*METHOD, "embeddings", "classifiers", *FEATURES),
        settings=of(preset, recipe),
        requires="real",
    )


CONTROLS = "majority features features-period features-windows features-windows-period"
ROWS: dict[str, tuple[str, str]] = {
    "representation-laptop": (
        "--preset laptop --seeds 3 --real",
        f"{CONTROLS} recommended recommended-random recommended@2600-supervised paper@3100 paper@3100-random",
    ),
    "representation-laptop-draw1": (
        "--preset laptop --seeds 3 --draw 1 --checkpoint data/checkpoints/laptop",
        "majority features features-windows features-period laptop recommended-random",
    ),
    "representation-laptop-128": (
        "--preset laptop --seeds 1 --batch 128 --real",
        "recommended recommended-random paper@770",
    ),
}
"""Files of benchmarks/representation.py: the options of the command, and the rows, each a task of its own."""


def rows() -> Iterator[Task]:
    """A task for each row; what a row depends on is asked of the script that keeps it."""
    for file, (options, names) in ROWS.items():
        for name in names.split():
            trains = not name.endswith("-random") and name not in CONTROLS.split()
            yield Task(
                f"{file}/{name}",
                f"benchmarks/representation.py {options} --rows {name}",
                (f"{result(file)}#{name}",),
                needs=encoder(name) if name in SHIPPED else (),
                parts=(
                    *METHOD,
                    *READERS,
                    *(FEATURES if name.startswith("features") else ()),
                    *(TUNING if name.endswith("-supervised") else ()),
                ),
                settings=lambda options=options, name=name: of_row(options, name),
                after=("checkpoint-laptop",) if trains and "--batch" not in options else (),
                requires="real" if "--real" in options else "",
            )


def of_row(options: str, name: str) -> list[Any]:
    """Settings of a row as its script keeps them, without the weights of a checkpoint, which are a file it needs."""
    given, table = importlib.import_module("representation").table_of(options.split())
    return [given.seeds, *(table.settings(name) if name not in table.folders else table.settings("majority"))]


def measured(name: str, words: str = "", parts: tuple[str, ...] = METHOD, **more: Any) -> Task:
    """A measurement of speed or memory; the parts are of the code that it times."""
    return Task(name, f"benchmarks/{name}.py{words}", (result(name),), parts=parts, alone=True, **more)


TASKS: tuple[Task, ...] = (
    *(checkpoint(preset, recipe) for preset, recipe in SHIPPED.items()),
    Task(
        "sample",
        "-m astraclr.cli simulate --n 360 --seed 7 --out data/sample.parquet",
        ("data/sample.parquet",),
        parts=STARS,
    ),
    Task(
        "realism",
        "-m astraclr.simulation.realism {real}/ztf.parquet --out data/realism_ztf.json",
        ("data/realism_ztf.json",),
        needs=("{real}/ztf.parquet",),
        parts=("sky",),
        requires="real",
    ),
    Task(
        "parity",
        f"-m pytest tests/*/test_parity_*.py --write-parity {result('parity')}",
        (result("parity"),),
        needs=("tests/oracles/*.npz",),
        parts=(*METHOD, *READERS),
    ),
    *rows(),
    Task(
        "ablation",
        "benchmarks/ablation.py",
        (result("ablation"),),
        parts=(*METHOD, *READERS, *FEATURES),
        settings=lambda: importlib.import_module("ablation").rows(),
    ),
    Task(
        "differences",
        "benchmarks/differences.py --seeds 2 --third corrected paper",
        (result("differences"),),
        parts=(*METHOD, *READERS),
        settings=of("tiny"),
    ),
    Task(
        "learning",
        "benchmarks/learning.py --preset tiny --recipe recommended",
        (result("learning"),),
        parts=(*METHOD, "embeddings", "classifiers"),
        settings=of("tiny", "recommended"),
    ),
    Task(
        "surprises",
        "benchmarks/surprises.py",
        (result("surprises"),),
        needs=encoder("tiny"),
        parts=(*METHOD, "embeddings", "classifiers", *TUNING),
        settings=of("tiny", "paper", "corrected"),
    ),
    Task(
        "exchange",
        f"benchmarks/exchange.py --checkpoint tiny --out {result('exchange')}",
        (result("exchange"),),
        needs=encoder("tiny"),
        parts=PROBE,
    ),
    Task(
        "few_labels",
        "benchmarks/few_labels.py --checkpoint laptop --seeds 3",
        (result("few_labels"),),
        needs=encoder("laptop"),
        parts=(*PROBE, *TUNING),
    ),
    Task(
        "self_training",
        "benchmarks/self_training.py --checkpoint laptop --seeds 3",
        (result("self_training"),),
        needs=encoder("laptop"),
        parts=(*PROBE, "views", "summaries"),
    ),
    Task(
        "many_labels",
        "benchmarks/many_labels.py --checkpoint laptop --labels 41827 --explore",
        (result("many_labels"),),
        needs=encoder("laptop"),
        parts=(*PROBE, "views", *FEATURES),
    ),
    Task(
        "beyond",
        "benchmarks/beyond.py --checkpoint laptop --seeds 3",
        (result("beyond"),),
        needs=encoder("laptop"),
        parts=(*PROBE, *FEATURES),
    ),
    Task(
        "comparison",
        "benchmarks/comparison.py --fit 3000 --choose 1000 --test 2000 --real {real}",
        (result("comparison"),),
        needs=encoder("laptop"),
        parts=(*PROBE, *FEATURES),
        requires="real",
    ),
    Task(
        "discover",
        "benchmarks/discover.py",
        (result("discover"),),
        needs=encoder("laptop"),
        parts=(*EMBED, *FEATURES),
    ),
    Task(
        "surveys",
        "benchmarks/surveys.py --real {real} --repeats 1",
        (result("surveys"),),
        needs=encoder("laptop"),
        parts=(*PROBE, *FEATURES),
        requires="real",
    ),
    measured("views", parts=(*STARS, "views"), settings=of("tiny", "paper", "corrected")),
    measured("training", " --threads 2 --steps 6", settings=of("paper", "corrected")),
    measured("scaling", settings=of("tiny", "laptop", "corrected")),
    measured("embedding", " --threads 2", EMBED, settings=of("tiny", "laptop", "paper", "corrected")),
    measured("shards", parts=(*STARS, "numbers", "views"), settings=of("gpu", "corrected")),
    measured(
        "catalogue",
        " --stars 20000 --rows 2000 --vectors 200000",
        EMBED,
        needs=encoder("laptop"),
    ),
    measured(
        "tools",
        " --real {real}",
        (*PROBE, *FEATURES, *TUNING),
        needs=(*encoder("laptop"), *encoder("tiny")),
        requires="real",
    ),
    measured("gpu", settings=of("paper", "gpu", "laptop", "corrected"), requires="cuda"),
)


def makers(task: Task, tasks: Iterable[Task]) -> list[str]:
    """Names of the tasks that come before a task: those that produce what it needs, and those it comes after."""
    found = [t.name for t in tasks for n in task.needs if any(fnmatch(n, p) for p in t.produces)]
    return [*dict.fromkeys([*found, *task.after])]


KEPT = {
    "benchmarks/results/revisions.json": "`benchmarks/revisions.py` beside a checkout of another revision",
    "benchmarks/results/reference.json": "rates that were recorded of the reference implementation, with the processor",
    "data/others.json": "scores that others published, read from their papers by people",
    "data/README.md": "words",
    "benchmarks/results/contrast_exploration.json": "a log of exploratory runs, of code as it was then",
    "benchmarks/results/kills.json": "counts of kills, to which `benchmarks/kills.py --out` adds",
    "benchmarks/results/fuzz.json": "counts of mutated inputs, to which `tests/catalogs/fuzzing.py --out` adds slices",
}
"""Committed files among the results that no command makes, each with the reason. Not among them is `book/figures.json`:
`make book ARGS=--accept-figures` writes it, after a person has looked at the figures."""
