"""The benchmark of encoders and their controls: one table of rows, each with the same probes on the same stars.

Usage: python benchmarks/representation.py [--preset tiny] [--rows 'paper*,features*'] [--seeds 3] [--draw 0]
           [--batch N] [--real [FOLDER]]

Rows are addressed by name, * stands for any characters:
  majority                            the most frequent class
  features, features-period           hand-crafted, of whole curves; with the best Lomb-Scargle period (extra interop)
  features-windows, features-windows-period   the same of the epochs in the encoder's three crops
  summaries, summaries-period         the 92 summaries of whole curves that `recommended` learns to predict, untrained;
                                      with the whole curve folded at its best period (61 numbers more)
  RECIPE                              an encoder pre-trained by that recipe (paper, corrected, ...); RECIPE@STEPS takes
                                      so many steps instead of the preset's: for comparisons at equal cost
  RECIPE-random                       the same encoder with random weights
  RECIPE-supervised                   the same encoder trained from random weights with the labels of the first split,
                                      stopped by the second; RECIPE@STEPS-supervised after so many steps at most
  DIR, DIR-random                     a finished checkpoint, named with --checkpoint DIR
By default every row of the recipes paper, corrected and, where there is one, recommended. Preset tiny checks that the
script works; its scores mean nothing. Writes benchmarks/results/representation-<preset>.json (of another draw of
labelled stars, -draw<number> more; with another batch, -<batch> more) after every row, and keeps rows that the present
code would reproduce, so that a stopped run can be continued. Several calls may write rows of one file at once. With
--real, rows are also scored on real stars.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _measure import decimals, one_writer, real_data, write_results
from _training_cost import WATTS, cost_of, spending
from tqdm import tqdm

from astraclr.config import RECIPES, Preset, Recipe, preset, recipe
from astraclr.data.folding import folded_stars
from astraclr.data.lightcurves import LightCurves
from astraclr.data.splits import Splits
from astraclr.data.summaries import summaries
from astraclr.data.tokens import prepare
from astraclr.evaluate import benchmark, surveys
from astraclr.evaluate.features import features
from astraclr.evaluate.finetune import PAPER_BATCH, finetune
from astraclr.evaluate.metrics import NATURAL
from astraclr.evaluate.row_fingerprint import fingerprints_of, row_differences, row_key
from astraclr.files import provenance
from astraclr.model.checkpoint import Checkpoint, load_checkpoint, random_control
from astraclr.model.crops import cropped
from astraclr.model.device import own_device
from astraclr.model.embedding import embed
from astraclr.model.encoder import new_encoder
from astraclr.simulation.samples import TRAINING_STARS
from astraclr.tutorial.experiments import run_folder, trained

RESULTS = Path(__file__).parent / "results"
FEATURES = ("features", "features-period", "features-windows", "features-windows-period")
SUMMARIES = ("summaries", "summaries-period")
DEFAULT = [name for name in ("paper", "corrected", "recommended") if name in RECIPES]
SUPERVISED = {"learning_rate": 1e-3, "patience": 15}


class Table:
    """The rows of one preset, and how each is made."""

    def __init__(self, size: str | Preset, sizes: benchmark.Sizes, folders: dict[str, Path], draw: int = 0) -> None:
        chosen = preset(size)
        self.size = replace(chosen, n_stars=sizes.unlabelled, steps=sizes.steps or chosen.steps)
        self.sizes, self.folders, self.draw = sizes, folders, draw
        self.read_survey = cache(lambda name, folder, shifted: surveys.SURVEYS[name].read(folder, shifted))

    @property
    def names(self) -> list[str]:
        ours = [f"{r}{kind}" for r in DEFAULT for kind in ("", "-random", "-supervised")]
        return [
            "majority",
            *FEATURES,
            *SUMMARIES,
            *ours,
            *(f"{f}{kind}" for f in self.folders for kind in ("", "-random")),
        ]

    def chosen(self, patterns: str) -> list[str]:
        """Names of rows that patterns, separated by commas, ask for; ValueError where one asks for none."""
        found: list[str] = []
        for pattern in patterns.split(","):
            more = [name for name in self.names if fnmatch(name, pattern)]
            if not more:
                self.parts(pattern)  # a recipe outside the default rows, or with other steps
                more = [pattern]
            found += [name for name in more if name not in found]
        return found

    def parts(self, name: str) -> tuple[str, str, Preset]:
        """Recipe or folder, kind ("", "random" or "supervised") and preset of a row with an encoder."""
        base, _, kind = name.rpartition("-")
        base, kind = (base, kind) if kind in ("random", "supervised") else (name, "")
        if base in self.folders:
            return base, kind, load_checkpoint(self.folders[base]).preset
        method, _, steps = base.partition("@")
        if steps and not (steps.isdecimal() and int(steps)):
            raise ValueError(f"row {name!r}: after @ write a number of steps, such as {method}@900")
        recipe(method)
        return method, kind, replace(self.size, steps=int(steps)) if steps else self.size

    def settings(self, name: str) -> list[Preset | Recipe | str | int]:
        """Settings that a row depends on."""
        facts = [json.dumps([name, asdict(self.sizes), SUPERVISED]), benchmark.BENCH_SEED + self.draw, TRAINING_STARS]
        if not self.has_encoder(name):
            return [*facts, self.size]
        base, _, size = self.parts(name)
        return [*facts, size, load_checkpoint(self.folders[base]).sha256 if base in self.folders else recipe(base)]

    def depends(self, name: str) -> list[str]:
        """Fingerprints that a row depends on."""
        more = {"features": name in FEATURES, "fine-tuning": name.endswith("-supervised")}
        return ["method", "readers", *(part for part, there in more.items() if there)]

    def seeds(self, name: str, n: int) -> range:
        """Training seeds of a row; without an encoder of its own to draw there is one."""
        alone = not self.has_encoder(name) or name in self.folders
        return range(1 if alone else n)

    def encoder(self, name: str, seed: int) -> Checkpoint:
        """The encoder of a row, before any supervised training; trained if it is not kept."""
        base, kind, size = self.parts(name)
        if base in self.folders:
            checkpoint = load_checkpoint(self.folders[base])
            return random_control(checkpoint, seed) if kind else checkpoint
        if not kind:
            return trained(size, base, seed)
        method = recipe(base)
        return Checkpoint(new_encoder(size, method, seed).eval(), size, method, seed)

    def vectors(self, name: str, seed: int, lc: LightCurves) -> np.ndarray:
        """(n_stars, d) vectors of a row without supervised training."""
        if name in FEATURES:
            lc = cropped(lc, self.size) if "windows" in name else lc
            return features(lc, periodogram=name.endswith("-period"), progress=True)[0]
        if name in SUMMARIES:
            return described(lc, period=name.endswith("-period"))
        return embed(lc, self.encoder(name, seed), progress=True)

    def row(self, name: str, seed: int, stars: Splits) -> dict[str, Any]:
        """Scores of a row and a seed on the simulated stars, with the cost of a training."""
        if name == "majority":
            test, always = stars.test, majority(stars.fit.label, len(stars.test))
            return {"majority": benchmark.scores_with_intervals(always, test.label, test.object_id, probable=False)}
        if name.endswith("-supervised"):
            return self.supervised(name, seed, stars)
        x = benchmark.Vectors(*(self.vectors(name, seed, lc) for lc in stars))
        out = benchmark.assess(x, stars, draws=self.sizes.draws)
        if self.has_encoder(name) and not name.endswith("-random") and name not in self.folders:
            method, _, size = self.parts(name)
            out["training"] = cost_of(self.encoder(name, seed), run_folder(size, method, seed))
        return out

    def supervised(self, name: str, seed: int, stars: Splits) -> dict[str, Any]:
        """The encoder trained with labels alone: its own head, and the probes on its embeddings."""
        start, begin = self.encoder(name, seed), (time.process_time(), time.perf_counter())
        start.recipe = replace(start.recipe, thaw_embedding=True)  # all of it learns
        start.encoder.to(own_device())
        epochs = start.preset.steps // -(-len(stars.fit) // PAPER_BATCH) if "@" in name else self.sizes.epochs
        tuned = finetune(
            start, stars.fit, stars.choose, layers=start.preset.n_layers, epochs=max(1, epochs), seed=seed, **SUPERVISED
        )
        spent = time.process_time() - begin[0], time.perf_counter() - begin[1]
        found = benchmark.Predictions(tuned.probabilities(stars.test), tuned.classes)
        learnt = replace(start, encoder=tuned.encoder)
        x = benchmark.Vectors(*(embed(lc, learnt) for lc in stars))
        epochs, device = len(tuned.history), next(tuned.encoder.parameters()).device.type
        return benchmark.assess(x, stars, few=()) | {
            "head": benchmark.scores_with_intervals(found, stars.test.label, stars.test.object_id),
            "training": spending(*spent, epochs * len(stars.fit), device) | {"epochs": epochs},
        }

    def on_survey(self, name: str, seed: int, survey: str, folder: Path) -> dict[str, Any]:
        """Scores of a row on real stars; where their times are another survey's, also with times as they are."""
        out, repeats = {}, 1 if self.sizes.steps else 4
        both = surveys.SURVEYS[survey].own_time and self.has_encoder(name)
        for rule in ("shifted", "as they are") if both else ("shifted",):
            lc = self.read_survey(survey, folder, rule == "shifted")
            if name == "majority":
                always = majority(lc.label, len(lc))
                out[rule] = {
                    "majority": benchmark.scores_with_intervals(
                        always, lc.label, lc.object_id, probable=False, natural=False
                    )
                }
            else:
                out[rule] = surveys.out_of_folds(self.vectors(name, seed, lc), lc.label, lc.object_id, repeats=repeats)
        return out

    def has_encoder(self, name: str) -> bool:
        """Whether the vectors of a row are embeddings."""
        return name != "majority" and name not in (*FEATURES, *SUMMARIES)


def described(lc: LightCurves, period: bool) -> np.ndarray:
    """(n_stars, n) summaries of whole light curves, 0 where a band has too few observations."""
    data, parts = prepare(lc), []
    for some in tqdm(torch.arange(len(lc)).split(256), desc="summaries", unit="batch"):
        folds = [folded_stars(data, some)] if period else []
        parts.append(torch.cat([summaries(data, some), *folds], dim=1))
    return torch.cat(parts).nan_to_num().numpy()


def majority(label: np.ndarray, n: int) -> benchmark.Predictions:
    """Predictions of the most frequent label for `n` stars."""
    classes, count = np.unique(label, return_counts=True)
    return benchmark.Predictions(np.tile(np.eye(len(classes))[count.argmax()], (n, 1)), classes)


def over_seeds(seeds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Mean and, of several, standard deviation over training seeds of every accuracy and macro-F1, by classifier."""
    out: dict[str, Any] = {}
    first, *_ = seeds.values()
    names = [name for name, scores in first.items() if isinstance(scores, dict) and "accuracy" in scores]
    places: list[tuple[str, ...]] = [(name,) for name in names]
    places += [("few_labels", n) for n in first.get("few_labels", ())]
    for place in places:
        found = [scores[place[0]] if len(place) == 1 else scores[place[0]][place[1]] for scores in seeds.values()]
        for metric in ("accuracy", "macro_f1"):
            values = [f[metric] for f in found]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            out.setdefault(" ".join(place), {})[metric] = {"mean": float(np.mean(values)), "sd": spread}
    return decimals(out) | {"n": len(seeds)}


class Results:
    """The JSON file of a preset: rows that would come out the same are kept, others go when theirs is made anew.

    Rows that this process was not asked for are left to others, which may write them meanwhile.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path, self.head, self.own = path, head, set[str]()
        self.rows, self.fingerprints = self.read()

    def read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Rows and fingerprints of the file as it is."""
        there = json.loads(self.path.read_text()) if self.path.exists() else {}
        return there.get("rows", {}), there.get("fingerprints", {})

    def place(self, name: str, table: Table, seed: int) -> dict[str, Any]:
        """Where a row's scores with a seed go, empty if they must be made."""
        what = table.settings(name), table.depends(name), self.fingerprints
        before = self.rows.get(name)
        differs = [] if before is None else row_differences(before.get("fingerprint"), *what)
        if differs:
            print(f"{name} is made anew: {differs[0]}", flush=True)
        if before is None or differs:
            made_with = self.head["made_with"]
            self.rows[name] = {"fingerprint": row_key(*what), "made_with": made_with, "over_seeds": {}, "seeds": {}}
        self.own.add(name)
        return self.rows[name]["seeds"].setdefault(str(seed), {})

    def write(self) -> None:
        """Write own rows beside those that others have written; what is there keeps its place."""
        with one_writer(self.path.parent):
            rows, known = self.read()
            for name in (name for name in self.rows if name in self.own):
                row = self.rows[name]
                if seeds := {seed: scores for seed, scores in row["seeds"].items() if scores}:
                    rows[name] = row | {"over_seeds": over_seeds(seeds), "seeds": seeds}
            known = fingerprints_of(rows.values(), known | self.fingerprints)
            write_results(self.path, self.head | {"fingerprints": known, "rows": rows})


def line_of(name: str, seed: int, scores: dict[str, Any]) -> str:
    """A row's best-known score in words."""
    classifier = next(c for c in ("head", "linear_probe", "majority") if c in scores)
    s = scores[classifier]
    return (
        f"{name}, seed {seed}, {classifier.replace('_', ' ')}: accuracy {s['accuracy']:.3f} "
        f"({s['accuracy_low']:.3f} to {s['accuracy_high']:.3f}), macro-F1 {s['macro_f1']:.3f}"
    )


def table_of(words: list[str] | None = None) -> tuple[argparse.Namespace, Table]:
    """What the command line asks for, and the rows that it may choose of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--rows", default="*", help="names or patterns, separated by commas (default: all)")
    parser.add_argument("--seeds", type=int, help="of trainings and random weights (default 3; preset tiny: 1)")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], metavar="DIR", help="a row more")
    parser.add_argument(
        "--draw",
        type=int,
        default=0,
        help="1, 2, ...: other labelled stars, if results on those of draw 0 have decided something",
    )
    parser.add_argument("--batch", type=int, help="stars in a step instead of the preset's, and as many stars in all")
    parser.add_argument(
        "--real",
        type=Path,
        nargs="?",
        const=real_data(),
        metavar="FOLDER",
        help="also on the real stars of this folder, by default that of ASTRACLR_REAL_DATA",
    )
    parser.add_argument("--out", type=Path, help="instead of benchmarks/results/representation-<preset>.json")
    given = parser.parse_args(words)
    if given.batch is not None and given.batch < 2:
        parser.error(f"--batch {given.batch}: give 2 or more")
    size = preset(given.preset)
    if given.batch:
        size = with_batch(size, given.batch)
    folders = {folder.name: folder for folder in given.checkpoint}
    return given, Table(size, benchmark.sizes_of(given.preset), folders, given.draw)


def file_of(given: argparse.Namespace) -> Path:
    """The file that a command line writes."""
    other = f"{f'-draw{given.draw}' if given.draw else ''}{f'-{given.batch}' if given.batch else ''}"
    return given.out or RESULTS / f"representation-{given.preset}{other}.json"


def with_batch(size: Preset, batch: int) -> Preset:
    """A preset with another number of stars in a step, and steps that see as many stars."""
    times = batch / size.batch_size
    return replace(
        size,
        batch_size=batch,
        steps=max(1, round(size.steps / times)),
        evaluate_every=max(1, round(size.evaluate_every / times)),
    )


def main(words: list[str] | None = None) -> None:
    given, table = table_of(words)
    torch.set_num_threads(1)
    sizes = table.sizes
    names, n_seeds = table.chosen(given.rows), given.seeds or (1 if sizes.steps else 3)
    found = Results(
        file_of(given),
        {
            "benchmark": "representation",
            "made_with": provenance(),
            "preset": given.preset,
            "checks": "wiring only: few stars, few steps" if sizes.steps else "scores",
            "sizes": asdict(sizes),
            "seed_of_labelled_stars": benchmark.BENCH_SEED + given.draw,
            "watts_assumed": WATTS,
            "natural": NATURAL,
            "rules_for_surveys": surveys.__doc__,
        },
    )
    stars = benchmark.bench_stars(sizes, given.draw)
    for name in names:
        for seed in table.seeds(name, n_seeds):
            scores = found.place(name, table, seed)
            if "width" not in scores and "majority" not in scores:
                scores |= decimals(table.row(name, seed, stars))
                found.write()
            print(line_of(name, seed, scores), flush=True)
            for survey in surveys.SURVEYS if given.real and not name.endswith("-supervised") else ():
                real = scores.setdefault("real", {})
                if survey not in real:
                    real[survey] = decimals(table.on_survey(name, seed, survey, given.real))
                    found.write()
                print(line_of(f"{name} on {survey}", seed, real[survey]["shifted"]), flush=True)
    found.write()
    print(f"{found.path}: {len(found.rows)} rows")


if __name__ == "__main__":
    main()
