"""Kept results follow what the code does: constants of the method are noticed, names, places and words are not."""

import ast
import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from astraclr.config import preset, recipe
from astraclr.evaluate.row_fingerprint import PARTS as BENCH_PARTS
from astraclr.evaluate.row_fingerprint import part_fingerprint, row_differences, row_key
from astraclr.files import repository_file
from astraclr.simulation.cadence import ztf_fields
from astraclr.train import fingerprint as fp
from astraclr.train.behaviour import PARTS
from astraclr.train.fingerprint import Fingerprint, fingerprint_of, method_fingerprint, settings_digest
from astraclr.train.fixed_cases import stars

# Where each constant is looked for: the part of the fingerprint that is run with it changed.
NOTICED = {
    "config": ("simulator", "ZTF_BANDS"),
    "simulation.cadence": ("sky", "N_FIELDS MJD_START MJD_END SYNODIC_MONTH FULL_MOON LIMIT _PUBLIC _BUSY _SPARSE "
                           "_SECOND_VISIT _DENSE_NIGHT"),
    "simulation.classes": ("simulator", "KINDS"),
    "simulation.observation": ("simulator", "ERROR_FLOOR SATURATION"),
    "simulation.simulate": ("simulator", "EXTINCTION FAINTEST_MEAN STEP N_BINS _N_GRID"),
    "data.splits": ("numbers", "TRAIN_SHARE"),
    "data.sources": ("numbers", "BLOCK BUFFER"),
    "data.tokens": ("views", "MJD_ZERO"),
    "data.summaries": ("summaries", "QUANTILES LAGS NEIGHBOURS FEWEST FEWEST_PAIRS CELLS_PER_DAY N_CELLS FREQUENCIES "
                       "N_FREQUENCIES LEAST_ERROR MOST_APART LEAST_POWER _SHAPE"),
    "data.folding": ("described", "CELLS_PER_DAY N_CELLS N_PEAKS N_BETWEEN"),
    "model.description": ("described", "WIDTH"),
    "model.inputs": ("inputs", "ERROR_RANGE"),
    "train.counter_rng": ("numbers", "_WORD _GOLDEN _FIRST _SECOND VALIDATION"),
    "train.augmentations": ("views", "BIN_WIDTH OUTLIER_BRIGHT OUTLIER_FAINT OUTLIER_REACH"),
    "train.summary_targets": ("summaries", "REFERENCE LIMIT"),
    "train.optimizer": ("steps", "BETAS EPSILON RATE_BATCH"),
    "train.step": ("steps", "CLIP_NORM"),
    "evaluate.metrics": ("classifiers", "CALIBRATION_BINS NATURAL"),
    "evaluate.probes": ("classifiers", "C_GRID PAPER_C PAPER_K PAPER_VOTE_TEMPERATURE"),
    "evaluate.benchmark": ("classifiers", "FEW_LABELS"),
    "evaluate.features": ("hand-crafted", "MIN_EPOCHS MAX_FREQUENCY"),
    "evaluate.finetune": ("fine-tuned", "PAPER_NOISE PAPER_DROPOUT PAPER_BATCH"),
}  # fmt: skip
UNSEEN = {
    ("config", "PRESETS"): "in the settings of every run",
    ("config", "RUBIN_BANDS"): "bands of another survey; no simulated star has them",
    ("recipes", "RECIPES"): "in the settings of every run",
    ("model.saved_settings", "_BEFORE"): "how checkpoints of earlier versions are read; no run is made with it",
    ("model.saved_settings", "_MOST"): "what a file may ask for; beyond it the file is refused",
    ("model.saved_settings", "_LEAST"): "as _MOST",
    ("model.saved_settings", "_LONGEST_TEXT"): "as _MOST",
    ("model.saved_settings", "_LONGEST_WINDOW"): "as _MOST",
    ("config", "_FULL"): "in PRESETS",
    ("recipes", "_JITTER"): "in RECIPES",
    ("recipes", "_PAPER"): "in RECIPES",
    ("recipes", "_RECOMMENDED"): "in RECIPES",
    ("recipes", "_TWO_VIEWS"): "in RECIPES",
    ("data.lightcurves", "PAPER_CUT"): "a cut that readers may make; no simulated star is cut",
    ("data.summaries", "_AT_ONCE"): "how many stars are summarised at once",
    ("data.folding", "N_HARMONICS"): "in the shape of weights, which would not fit",
    ("data.folding", "N_PHASES"): "in the shape of weights, which would not fit",
    ("data.folding", "N_FOLDED"): "in the shape of weights, which would not fit",
    ("data.folding", "N_CYCLE_INPUTS"): "in the shape of weights, which would not fit",
    ("data.folding", "_AT_ONCE"): "how many light curves are transformed at once",
    ("model.checkpoint", "VERSION"): "of the format of files",
    ("train.state_file", "_VERSION"): "of the format of files",
    ("model.encoder", "GROUPS"): "of a batch, computed one after the other",
    ("model.encoder", "WIDE"): "from where memory is saved, by the same arithmetic",
    ("model.embedding", "_CACHED"): "how many stars are embedded at once",
    ("simulation.samples", "TRAINING_STARS"): "in the settings of every run",
    ("simulation.samples", "LABELLED_STARS"): "of chapters, which keep no rows, and of benchmarks/differences.py",
    ("simulation.samples", "_BYTES_PER_STAR"): "an estimate of memory",
    ("train.pretrain", "_DROPOUT_APART"): "between ranks; alone there is one",
    ("train.step", "VALIDATION_BATCHES"): "the fixed stars fill fewer; after a change raise METHOD_VERSION",
    ("train.distributed", "ALONE"): "this process and no other",
    ("evaluate.benchmark", "BENCH_SEED"): "in the settings of every row",
    ("evaluate.benchmark", "_CODE_CHECK"): "in the settings of every row",
    ("evaluate.benchmark", "_FULL"): "in the settings of every row",
    ("evaluate.splits", "PAPER_SEED"): "of the paper's own evaluation, whose numbers no kept row holds",
    ("evaluate.splits", "PAPER_PER_CLASS"): "as PAPER_SEED",
    ("evaluate.splits", "PAPER_LIMIT"): "as PAPER_SEED",
    ("evaluate.splits", "PAPER_CAP"): "as PAPER_SEED",
    ("evaluate.splits", "SHARES"): "as PAPER_SEED",
    ("evaluate.features", "_BATCH"): "how many light curves are given at once",
    ("evaluate.probes", "PAPER_BOOTSTRAPS"): "given by every caller that keeps rows",
    ("evaluate.finetune", "PAPER_LAYERS"): "given by every caller that keeps rows",
    ("evaluate.finetune", "PAPER_RATE"): "in the settings of every row",
    ("evaluate.surveys", "SURVEYS"): "in the exact part; its numbers are wavelengths",
}
TARGETS = {(module, name): part for module, (part, names) in NOTICED.items() for name in names.split()}
ALL_PARTS = PARTS | {name: part for parts in BENCH_PARTS.values() for name, part in parts.items()}


def moved(shares):
    """Shares that still add up to 1."""
    return (*shares[:-2], shares[-2] - 0.01, shares[-1] + 0.01)


SPECIAL = {
    ("simulation.cadence", "_PUBLIC"): moved,
    ("simulation.cadence", "_BUSY"): moved,
    ("simulation.cadence", "_SPARSE"): moved,
    ("simulation.classes", "KINDS"): lambda kinds: (*kinds[:-1], replace(kinds[-1], flare_rate=0.003)),
    ("data.summaries", "_SHAPE"): lambda _: (0, 2, 4, 5),
    ("evaluate.probes", "C_GRID"): lambda grid: (0.02, *grid[1:]),
    ("evaluate.finetune", "PAPER_NOISE"): lambda noise: 1.5 * noise,
}
OTHERS = "data.taxonomy model.attention model.checkpoint model.config train.losses train.run_state"
MODULES = sorted({module for module, _ in [*TARGETS, *UNSEEN]} | set(OTHERS.split()))


def numbers_in(value):
    """How many numbers a constant holds; None where it is not data."""
    if isinstance(value, bool | str) or value is None:
        return 0
    if isinstance(value, int | float):
        return 1
    if isinstance(value, dict):
        return numbers_in(list(value.values()))
    if isinstance(value, list | tuple):
        return sum(numbers_in(v) for v in value)
    return numbers_in(vars(value)) if hasattr(value, "__dataclass_fields__") and not isinstance(value, type) else 0


def constants():
    """Module-level names in capitals that hold numbers, of the modules of the method and of the bench."""
    for module in MODULES:
        values = importlib.import_module(f"astraclr.{module}")
        tree = ast.parse(inspect.getsource(values))
        targets = [t for s in tree.body if isinstance(s, ast.Assign) for t in s.targets]
        targets += [s.target for s in tree.body if isinstance(s, ast.AnnAssign)]
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and name.id.isupper() and numbers_in(getattr(values, name.id)):
                    yield module, name.id


def test_every_constant_of_the_method_is_noticed_or_has_a_reason():
    found = set(constants())
    assert found - TARGETS.keys() - UNSEEN.keys() == set()
    assert (TARGETS.keys() | UNSEEN.keys()) - found == set()  # none is listed that is gone


def changed(value):
    """A number, or one of the numbers of a constant, a little larger."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.01 if 0 < abs(value) < 1e4 else value + (1.0 if value else 0.01)
    if isinstance(value, dict):
        return value | {list(value)[-1]: changed(list(value.values())[-1])}
    return (*value[:-1], changed(value[-1]))


def cleared():
    ztf_fields.cache_clear()
    stars.cache_clear()


@pytest.fixture(scope="module")
def before():
    """Parts as they are, each made once."""
    return {}


@pytest.fixture
def mutated(monkeypatch):
    """Change a constant wherever it is bound: in modules that import it, and in defaults of functions."""

    def change(module, name):
        cleared()
        source = importlib.import_module(f"astraclr.{module}")
        old = getattr(source, name)
        new = SPECIAL[module, name](old) if (module, name) in SPECIAL else changed(old)
        for place in [m for n, m in sys.modules.items() if n.startswith("astraclr")]:
            for bound, value in list(vars(place).items()):
                if value is old and bound == name:
                    monkeypatch.setattr(place, name, new)
                function = inspect.unwrap(value) if callable(value) else None
                if inspect.isfunction(function) and name in function.__globals__:
                    for kind in ("__defaults__", "__kwdefaults__"):
                        monkeypatch.setattr(function, kind, with_default(getattr(function, kind), old, new))

    yield change
    monkeypatch.undo()
    cleared()


def with_default(defaults, old, new):
    if isinstance(defaults, dict):
        return {k: new if v is old else v for k, v in defaults.items()}
    return None if defaults is None else tuple(new if v is old else v for v in defaults)


@pytest.mark.parametrize(("module", "name"), sorted(TARGETS))
def test_a_constant_that_changes_is_noticed(module, name, before, mutated):
    part = TARGETS[module, name]
    if part not in before:
        before[part] = fingerprint_of({part: ALL_PARTS[part]})
    mutated(module, name)
    assert fingerprint_of({part: ALL_PARTS[part]}).differences(before[part])


def test_names_places_and_words_are_not_noticed(tmp_path):
    """A copy of the package elsewhere, without any docstring or comment, and with a variable renamed."""
    package = Path(fp.__file__).parents[1]
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
                node.body[0] = ast.Expr(ast.Constant("Other words."))
        text = ast.unparse(tree)
        copy = tmp_path / "astraclr" / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text.replace("truth", "known_truth") if path.name == "simulate.py" else text)
    shutil.copytree(package.parent / "data", tmp_path / "data")
    (tmp_path / "astraclr" / "train" / "losses.py").rename(tmp_path / "astraclr" / "moved.py")
    (tmp_path / "astraclr" / "train" / "losses.py").write_text("from astraclr.moved import *\n")
    program = "import json; from astraclr.train.fingerprint import *; print(json.dumps(method_fingerprint().to_dict()))"
    run = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path)}, "capture_output": True, "check": True}
    found = json.loads(subprocess.run([sys.executable, "-c", program], text=True, **run).stdout)
    assert Fingerprint.from_dict(found).differences(method_fingerprint()) == []


def test_numbers_are_close_or_the_line_says_what_differs():
    before = Fingerprint({"split": "aa", "order": "bb"}, {"loss": (4.0, 2.0), "rate": (0.0,)})
    assert Fingerprint.from_dict(json.loads(json.dumps(before.to_dict()))).differences(before) == []
    assert replace(before, close={"loss": (4.0, 2.0 * (1 + 4e-5)), "rate": (0.0,)}).differences(before) == []
    now = Fingerprint({"split": "ac", "order": "bb"}, {"loss": (4.0, 2.0 * (1 + 6e-5)), "rate": (0.0,)})
    assert now.differences(before) == ["split: aa before, ac now", "loss, number 2 of 2: 2 before, 2.00012 now"]
    assert now.digest != before.digest == replace(now, exact=before.exact).digest
    for odd in ((4.0,), (4.0, np.nan), (4.0, np.inf), (4.0, -2.0)):
        assert len(replace(before, close={"loss": odd, "rate": (0.0,)}).differences(before)) == 1
    assert before.differences(fp.load_fingerprint("no such folder"))


def test_a_part_that_was_added_later_is_compared_only_where_it_was_there_before():
    before = Fingerprint({"split, a": "aa"}, {"loss, b": (4.0,)})
    now = Fingerprint(before.exact | {"described, grid": "bb"}, before.close | {"described, folded": (1.0,)})
    assert fp.ADDED == ("described",) and now.differences(before) == []
    changed = replace(now, close=now.close | {"described, folded": (1.1,)})
    assert len(changed.differences(now)) == 1 and len(before.differences(now)) == 2


def test_settings_are_told_apart_and_a_new_switch_in_its_neutral_position_is_not(monkeypatch):
    known = {settings_digest(preset(p), recipe(r), seed) for p in ("tiny", "laptop") for r in ("paper", "corrected")
             for seed in (0, 1)}  # fmt: skip
    assert len(known) == 8
    warm = replace(recipe("corrected"), temperature=0.2)
    assert settings_digest(warm) != settings_digest(recipe("corrected"))
    monkeypatch.setattr(fp, "NEUTRAL", {"temperature": 0.1})
    without = settings_digest(recipe("corrected"))
    monkeypatch.setattr(fp, "NEUTRAL", {"temperature": 0.2})
    assert settings_digest(warm) == without != settings_digest(recipe("corrected"))


def test_a_version_that_is_raised_is_noticed(monkeypatch):
    before = method_fingerprint()
    monkeypatch.setattr(fp, "METHOD_VERSION", fp.METHOD_VERSION + 1)
    monkeypatch.setattr(fp, "PARTS", {})  # quick
    now = method_fingerprint.__wrapped__()
    assert now.exact["method version"] != before.exact["method version"]


def test_a_row_is_used_again_where_settings_and_parts_agree():
    known = {}
    key = row_key(["a", 1], ["method"], known)
    assert row_differences(key, ["a", 1], ["method"], known) == []
    assert row_differences(key, ["a", 2], ["method"], known)[0].startswith("settings: ")
    assert row_differences(None, ["a", 1], ["method"], known) == ["it has no fingerprint"]
    assert row_differences(key, ["a", 1], ["method", "readers"], known) == ["readers: no fingerprint before"]
    part = known[key["method"]]
    name = "learning, plain: loss"
    first, *rest = part["close"][name].split()
    other = {key["method"]: part | {"close": part["close"] | {name: " ".join([f"{1.001 * float(first)}", *rest])}}}
    (line,) = row_differences(key, ["a", 1], ["method"], other)
    assert line.startswith(f"{name}, number 1 of 3: ") and line.endswith("now")


@pytest.mark.parametrize("name", ["ablation", "representation-laptop", "representation-laptop-draw1"])
def test_committed_rows_are_of_the_code_as_it_is(name):
    """Where this fails on purpose, measure the rows again, or set their "fingerprint" to null with a "reason"."""
    result = json.loads(repository_file(f"benchmarks/results/{name}.json").read_text())
    for part in ("method", "readers"):
        for known in {row["fingerprint"][part] for row in result["rows"].values() if row["fingerprint"]}:
            before = Fingerprint.from_dict(result["fingerprints"][known])
            assert part_fingerprint(part).differences(before) == []


@pytest.mark.parametrize("name", ["tiny", "laptop"])
def test_shipped_encoders_are_of_the_code_as_it_is(name):
    before = fp.load_fingerprint(repository_file(f"data/checkpoints/{name}"))
    method = method_fingerprint()
    assert replace(method, exact={"settings": before.exact.get("settings")} | method.exact).differences(before) == []
