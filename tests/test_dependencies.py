"""Every package that is imported is declared where it belongs, and the core works without the extras."""

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = ("cli", "plot", "book", "data", "interop", "similar", "log")
ALLOWED = {  # `astraclr figure` and the results of the benchmarks run or read chapters
    "astraclr": ("", *RUNTIME),
    "book": ("", "cli", "plot", "book"),
    "benchmarks": ("", *RUNTIME),
    "tests": ("", *RUNTIME, "test"),
}
BLOCKED = (
    "typer",
    "click",
    "matplotlib",
    "umap",
    "numba",
    "IPython",
    "papermill",
    "yaml",
    "lsdb",
    "onnx",
    "faiss",
    "tensorboard",
)


def declared(extra: str) -> set[str]:
    """Canonical names of the packages of an extra; of the core, if it is the empty word."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(text: str, top_level_only: bool = False) -> Iterator[str]:
    """First parts of the names of all modules that Python code imports."""
    tree = ast.parse(text)
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def code(file: Path) -> str:
    """Python code of a script, or of all cells of a notebook."""
    if file.suffix == ".py":
        return file.read_text()
    cells = json.loads(file.read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def undeclared(names: set[str], packages: set[str]) -> list[str]:
    """Modules that belong to none of these packages, nor to Python or to this project."""
    ours = {"astraclr", "book", "benchmarks"} | {f.stem for f in ROOT.glob("*.py")}
    ours |= {f.stem for top in ALLOWED for f in (ROOT / top).rglob("*.py")}
    known = packages_distributions()
    return sorted(
        name
        for name in names - set(sys.stdlib_module_names) - ours
        if not {canonicalize_name(p) for p in known.get(name, [name])} & packages
    )


@pytest.mark.parametrize("top", ALLOWED)
def test_every_import_is_declared(top):
    packages = set().union(*map(declared, ALLOWED[top]))
    names = {name for file in (ROOT / top).rglob("*.py") for name in imported(code(file))}
    assert undeclared(names, packages) == []


def test_every_import_of_a_chapter_is_declared():
    packages = set().union(*map(declared, ("", *RUNTIME)))
    names = {name for file in (ROOT / "book").glob("*.ipynb") for name in imported(code(file))}
    assert undeclared(names, packages) == []


def test_modules_of_the_core_import_only_the_core_when_loaded():
    for file in (ROOT / "astraclr").rglob("*.py"):
        if "cli" not in file.parts and file.stem != "terminal":  # loaded by the command line alone
            assert undeclared(set(imported(code(file), top_level_only=True)), declared("")) == [], file


def test_an_undeclared_import_is_found():
    text = "import json, scipy.sparse\ndef f():\n    from bs4 import Tag\n    from . import other\n"
    assert set(imported(text)) == {"json", "scipy", "bs4"} and set(imported(text, True)) == {"json", "scipy"}
    assert undeclared(set(imported(text)), {"scipy"}) == ["bs4"]


def without_extras(script: str) -> subprocess.CompletedProcess[str]:
    """Run Python code where no package of an extra can be imported."""
    block = f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
    return subprocess.run([sys.executable, "-c", block + script], capture_output=True, text=True, cwd=ROOT)


def test_reading_embedding_pretraining_and_probing_need_no_extra():
    done = without_extras(
        """
import astraclr
api = [getattr(astraclr, name) for name in astraclr.__all__]
stars = astraclr.read("data/sample.parquet")[:40]
table = astraclr.embedding_table(stars, astraclr.load_checkpoint("tiny"))
assert len(table) == 40
x = astraclr.embed(stars, astraclr.pretrain(stars, "tiny", steps=1, progress=False))
print(astraclr.linear_probe(x[:30], stars.label[:30], x[30:], stars.label[30:]))
"""
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "script, line",
    [
        ("import astraclr.cli", "the command line needs the package typer: pip install 'astraclr[cli]'"),
        (
            "import astraclr.tutorial.figures as f; f.use_style()",
            "figures need the package matplotlib: pip install 'astraclr[plot]'",
        ),
        (
            "import numpy; from astraclr.analysis.latent_space import umap_map; umap_map(numpy.ones((20, 3)))",
            "UMAP needs the package umap-learn: pip install 'astraclr[plot]'",
        ),
    ],
)
def test_a_missing_extra_names_the_command_that_installs_it(script, line):
    done = without_extras(script)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].removeprefix("ImportError: ") == line


@pytest.mark.parametrize("folder", ["book", "benchmarks"])
def test_names_imported_from_a_script_beside_it_are_there(folder):
    scripts = {file.stem: ast.parse(file.read_text()) for file in (ROOT / folder).glob("*.py")}
    for name, tree in scripts.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in scripts:
                there = {n.id for n in ast.walk(scripts[node.module]) if isinstance(n, ast.Name)}
                there |= {n.name for n in scripts[node.module].body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
                assert {alias.name for alias in node.names} <= there, f"{name} imports from {node.module}"
