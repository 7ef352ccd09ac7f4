"""The written part of the book: its code runs, its commands and labels exist, its messages are the program's own."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from notebooks import toc_pages
from typer.main import get_command

from astraclr.catalogs import _published
from astraclr.cli import app
from astraclr.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "book"
PAGES = sorted([*BOOK.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
OF_THE_BOOK = (
    "bench_table",
    "chapter_figures",
    "embedding_figures",
    "figure_contents",
    "figure_vectors",
    "rates",
    "result_figures",
    "result_tables",
    "results",
    "scoreboard",
    "targets",
)
INTERNAL = {f"tutorial.{name}" for name in OF_THE_BOOK}
"""Modules that serve the book's own pages; all others stand on the page of the API."""


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", ["guide_survey", "guide_encoder"])
def test_the_code_of_a_guide_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, names = blocks(BOOK / f"{page}.md", "python"), {"__name__": page}
    assert len(code) >= 4
    for number, block in enumerate(code, start=1):
        exec(compile(block, f"{page}, block {number}", "exec"), names)  # noqa: S102


def stand_in(path: Path) -> None:
    """Simulated stars in the layout of the published data set: one row a star, detections in a nested column."""
    stars = simulate(240, seed=21)
    cuts = stars.offsets[:: len(stars.bands)]
    band = np.array(list(stars.bands))[stars.segment % len(stars.bands)]
    zero = np.zeros(stars.n_obs, np.int32)
    errors = (stars.magerr * 1e4).round().astype(np.uint16)
    columns = {"mjd": stars.mjd, "mag": stars.mag, "magerr": errors, "band": band, "info": zero, "flag": zero}
    lists = [pa.ListArray.from_arrays(pa.array(cuts, pa.int32()), pa.array(values)) for values in columns.values()]
    source = 4 * 10**18 + np.arange(len(stars))
    table = {"Source": source, "Class": stars.label, "lc": pa.StructArray.from_arrays(lists, list(columns))}
    pq.write_table(pa.table(table), path)


def test_the_guide_to_real_classes_runs_on_a_stand_in(tmp_path, monkeypatch, capsys):
    stand_in(tmp_path / "published.parquet")
    monkeypatch.setattr(_published, "ADDRESS", tmp_path / "published.parquet")
    monkeypatch.setattr(_published, "_check_reachable", lambda: None)
    monkeypatch.setenv("ASTRACLR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "guide_real_classes"}
    for number, block in enumerate(blocks(BOOK / "guide_real_classes.md", "python"), start=1):
        exec(compile(block, f"guide_real_classes, block {number}", "exec"), names)  # noqa: S102
    found, stars = names["found"], names["stars"]
    assert len(found["classes"]) == 12 and 100 < len(stars) <= 240 and stars.counts[:, :2].min() >= 200
    assert found["encoder"]["linear_probe"]["test"]["accuracy"] > 2 * found["chance"]
    assert found["parts"]["test"]["objects"] >= 12
    assert "random_weights" in capsys.readouterr().out


def commands() -> dict[str, set[str]]:
    """Options of every command of the program."""
    return {
        name: {option for p in command.params for option in p.opts} | {"-h", "--help"}
        for name, command in get_command(app).commands.items()  # pyright: ignore[reportAttributeAccessIssue]
    }


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page):
    known, text = commands(), page.read_text()
    said = re.findall(r"`([^`\n]+)`", text) + [line for block in blocks(page, "bash") for line in block.splitlines()]
    for line in (part.strip() for text in said for part in re.split(r"&&|#", text)):
        words = line.split()
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if words[:1] == ["astraclr"] and len(words) > 1 and words[1] != "..." and not words[1].startswith("-"):
            assert words[1] in known, line
            options = {w.split("=")[0] for w in words[2:] if w.startswith("--")}
            assert options <= known[words[1]], line
        if words[:1] == ["make"] and len(words) > 1:
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
            wanted = [w for w in words[1:] if "=" not in w and re.fullmatch(r"[a-z-]+", w)]
            assert set(wanted) <= set(targets), line
        if words[:1] == ["python"] and len(words) > 1 and words[1].endswith(".py"):
            assert (ROOT / words[1]).is_file(), line


def messages() -> str:
    """Every string of the package and of what builds the book, with a gap where a value is filled in."""
    said = []
    for file in [
        *sorted((ROOT / "astraclr").rglob("*.py")),
        *sorted(BOOK.glob("*.py")),
        ROOT / "constraints" / "install.py",
    ]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                said.append("".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.append(node.value)
    return "\n".join([*said, (ROOT / "Makefile").read_text()])


def test_messages_of_the_troubleshooting_page_are_those_of_the_program():
    quoted = re.findall(r"^\*\*`([^`]+)`\*\*", (BOOK / "appendix_troubleshooting.md").read_text(), flags=re.MULTILINE)
    assert len(quoted) > 20
    said = messages()
    for message in quoted:
        for part in message.split("..."):
            assert part.strip() in said, message


def test_every_module_is_on_the_page_of_the_api():
    listed = re.findall(r"automodule:: astraclr\.([\w.]+)", (BOOK / "appendix_api.md").read_text())
    package = ROOT / "astraclr"
    modules = {".".join(p.relative_to(package).with_suffix("").parts) for p in package.rglob("[!_]*.py")}
    public = {m for m in modules if not m.startswith(("tutorial.checks", "cli.")) and m not in INTERNAL}
    assert len(listed) == len(set(listed)) and set(listed) == public | {"catalogs", "cli", "tutorial.checks"}


def labels() -> set[str]:
    """Labels of the exercises in the chapters."""
    cells = [cell for book in BOOK.glob("*.ipynb") for cell in json.loads(book.read_text())["cells"]]
    return {m for cell in cells for m in re.findall(r"^:label: (ex-\S+)", "".join(cell["source"]), flags=re.MULTILINE)}


def test_marking_guides_are_about_exercises_that_exist():
    pages = sorted((BOOK / "teachers").glob("*.md"))
    named = {m for page in pages for m in re.findall(r"{ref}`(ex-[^`]+)`", page.read_text())}
    assert len(named) > 10 and named <= labels()


def test_every_written_page_is_in_the_contents():
    written = {str(page.relative_to(BOOK).with_suffix("")) for page in BOOK.rglob("*.md")}
    assert written <= set(toc_pages(BOOK))


def test_public_ci_binder_and_container_do_what_the_readme_does():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    runs = {name: [step.get("run") for step in job["steps"]] for name, job in workflow["jobs"].items()}
    assert ".ci/run" in runs["book"] and "make audit" in runs["audit"]
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert "make setup" in container["postCreateCommand"]
    assert "python constraints/install.py" in (ROOT / "binder" / "postBuild").read_text()
    assert (ROOT / "binder" / "runtime.txt").read_text() == "python-3.11\n"


def test_the_specimen_project_runs_and_finds_what_it_says(capsys):
    (code,) = blocks(BOOK / "teachers" / "specimen_project.md", "python")
    names: dict[str, Any] = {"__name__": "specimen"}
    exec(compile(code, "specimen", "exec"), names)  # noqa: S102
    assert len(capsys.readouterr().out.splitlines()) == 3
    kept = names["kept"]
    assert (kept["no change"] > 0.999).all() and (kept["noise"] > 0.9).all()
    assert 0.2 < kept["shift of each band"][0] < 0.45 and (kept["shift of each band"][1:] > 0.999).all()
