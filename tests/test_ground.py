"""What the book stands on: declared packages, pins, notebooks as stored, and the script that builds the pages."""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import build
import chapters
import nbformat
import notebooks
import numpy as np
import parity
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
CONDA_NAMES = {"pytorch": "torch"}
ABSOLUTE = re.compile(r"""["']/\w[\w.-]*/|(?<![\w.:/])/(?:home|Users|tmp|opt|mnt|var|usr)/\w|\b[A-Z]:\\+Users""")


def requirements(lines) -> dict[str, Requirement]:
    """Requirements by canonical name, without this project; conda's names become those of the Python index."""
    parsed = [r for r in map(Requirement, lines) if r.name != "astraclr"]
    return {CONDA_NAMES.get(canonicalize_name(r.name), canonicalize_name(r.name)): r for r in parsed}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def declared(project) -> dict[str, Requirement]:
    """Every requirement of pyproject.toml, core and extras."""
    extras = project["optional-dependencies"]
    return requirements(project["dependencies"] + [line for name in extras if name != "all" for line in extras[name]])


def source(cell) -> str:
    return "".join(cell["source"])


def tags(cell) -> list[str]:
    return cell["metadata"].get("tags", [])


# Declared packages


def test_all_names_every_extra(project):
    extras = project["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == "astraclr" and everything.extras == set(extras) - {"all"}


def test_one_range_for_a_package_named_twice(project):
    seen = {}
    for lines in [project["dependencies"], *project["optional-dependencies"].values()]:
        for name, requirement in requirements(lines).items():
            assert seen.setdefault(name, requirement.specifier) == requirement.specifier, name


def test_conda_environment_is_that_of_pyproject(project, declared):
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    conda = requirements(e for e in entries if isinstance(e, str))
    assert str(conda.pop("python").specifier) == project["requires-python"]
    assert str(conda.pop("pip").specifier) == ""
    (pip,) = [requirements(e["pip"]) for e in entries if isinstance(e, dict)]
    assert not set(conda) & set(pip)
    both = conda | pip
    assert {n: r.specifier for n, r in both.items()} == {n: r.specifier for n, r in declared.items()}


def test_citation_file(project):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == project["version"] and citation["license"] == project["license"]
    assert "2606.31627" in str(citation["references"])


def test_ci_calls_the_two_commands():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert all(f"make {target}" in text for target in ("lint", "test", "book", "check-site"))
    assert "set -euo pipefail" in text


def test_the_package_keeps_its_layers(monkeypatch, capsys):
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True, no_logo=True) == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def statements(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("file", sorted((ROOT / "astraclr").rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_a_module_is_read_in_one_sitting(file):
    source = file.read_text()
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert len(source.splitlines()) <= 300
    assert {f.name: statements(f) for f in functions if statements(f) > 60} == {}


def test_readme_names_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert "make book" in text and "make test" in text


def test_tests_do_not_reach_other_machines():
    with pytest.raises(OSError, match="do not use the network"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with pytest.raises(socket.gaierror, match="do not use the network"):
        socket.getaddrinfo("example.org", 443)
    assert socket.getaddrinfo("localhost", 80)


# The table of parity with the reference


def functions_that_compare() -> set[str]:
    """Tests that take the fixture `parity`, as file::function."""
    return {
        f"{file.name}::{node.name}"
        for file in (ROOT / "tests").rglob("test_parity*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and "parity" in [argument.arg for argument in node.args.args]
    }


def test_every_comparison_stands_in_the_table():
    rows = json.loads(parity.TABLE.read_text())["results"]
    listed = {test.split("[")[0] for row in rows for test in row["tests"]}
    assert listed == functions_that_compare(), f"make it again with: {parity.COMMAND}"
    assert [row["stage"] for row in rows] == sorted({row["stage"] for row in rows})
    assert all(row["largest_difference"] <= row["tolerance"] for row in rows)


def test_comparison_knows_shape_nan_and_size():
    assert parity.compared("t", "s", 1e-3, [1.0, np.nan], [1.0005, np.nan])["largest_difference"] < 1e-3
    assert parity.compared("t", "s", 1e-3, [100.0], [100.05], relative=True)["relative"]
    for ours, theirs in (([1.0], [1.002]), ([np.nan], [1.0]), ([1.0], [[1.0]]), ([], [])):
        with pytest.raises(AssertionError):
            parity.compared("t", "s", 1e-3, ours, theirs)


def test_a_stale_table_is_noticed(tmp_path):
    record = parity.compared("t", "a stage", 1e-3, [1.0], [1.0])
    parity.write_table([record, {**record, "largest_difference": 5e-4, "tests": ["u"]}], tmp_path / "table.json", 1.0)
    (row,) = json.loads((tmp_path / "table.json").read_text())["results"]
    assert (row["largest_difference"], row["values"], row["tests"]) == (5e-4, 2, ["t", "u"])
    parity.check_against_table("t", [record], tmp_path / "table.json")
    for stated in ([], [record | {"tolerance": 1e-2}], [record, record | {"stage": "another"}]):
        with pytest.raises(AssertionError, match="table.json is stale"):
            parity.check_against_table("t", stated, tmp_path / "table.json")
    with pytest.raises(ValueError, match="two tolerances, 0.001 and 0.1"):
        parity.merged([record, record | {"tolerance": 0.1}])


# Notebooks as they are stored


def test_there_are_notebooks():
    assert NOTEBOOKS, "book/ holds no notebook"


@pytest.mark.parametrize("page", notebooks.toc_pages(BOOK))
def test_page_of_the_contents_exists(page):
    assert notebooks.page_source(BOOK, page).stat().st_size > 0


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_notebook_is_in_the_contents(file):
    assert file.stem in notebooks.toc_pages(BOOK)


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_notebook_as_stored(file):
    cells = json.loads(file.read_text())["cells"]
    parameters = [cell for cell in cells if "parameters" in tags(cell)]
    assert len(parameters) == 1, "papermill needs one cell tagged `parameters`"
    assigned = {
        target.id: node.value
        for node in ast.parse(source(parameters[0])).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert ast.literal_eval(assigned["preset"]) == "tiny" and ast.literal_eval(assigned["seed"]) == 0
    for number, cell in enumerate(cells, start=1):
        assert not ABSOLUTE.search(source(cell)), f"cell {number}: an absolute path"
        if cell["cell_type"] == "code" and "nbval-check-output" not in tags(cell):
            assert not cell["outputs"] and cell["execution_count"] is None, f"cell {number}: stored with its output"
        if "nbval-check-output" in tags(cell):
            assert cell["outputs"], f"cell {number}: to be compared, but stored without output"
            images = [output for output in cell["outputs"] if "image/png" in output.get("data", {})]
            assert not images, f"cell {number}: images differ by bytes from machine to machine"


# The script that builds the pages


def write_notebook(file: Path, *lines: str) -> None:
    """A notebook with a title, a cell of parameters, and one cell a line."""
    first = nbformat.v4.new_code_cell('preset = "tiny"\nseed = 0', metadata={"tags": ["parameters"]})
    title = nbformat.v4.new_markdown_cell(f"# {file.stem}")
    rest = [nbformat.v4.new_code_cell(line) for line in lines]
    nbformat.write(nbformat.v4.new_notebook(cells=[title, first, *rest]), file)


@pytest.fixture
def small_book(tmp_path) -> Path:
    """A book of a page and two chapters, with a package beside it."""
    book = tmp_path / "book"
    book.mkdir()
    (tmp_path / "astraclr").mkdir()
    (tmp_path / "astraclr" / "__init__.py").write_text("")
    toc = {"format": "jb-book", "root": "intro", "parts": [{"chapters": [{"file": "one"}, {"file": "two"}]}]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    (book / "intro.md").write_text("# A book\n")
    write_notebook(book / "one.ipynb", "print(preset, seed)")
    write_notebook(book / "two.ipynb", "x = 1 / seed")
    return book


def test_contents_in_reading_order(small_book):
    assert notebooks.toc_pages(small_book) == ["intro", "one", "two"]


def test_missing_page_is_named(small_book):
    with pytest.raises(FileNotFoundError, match="three"):
        notebooks.page_source(small_book, "three")


def test_digest_follows_contents_names_and_words(tmp_path):
    (tmp_path / "a.py").write_text("1")
    first = chapters.digest([tmp_path], "tiny")
    assert first == chapters.digest([tmp_path], "tiny") != chapters.digest([tmp_path], "laptop")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("1")
    assert chapters.digest([tmp_path], "tiny") == first
    (tmp_path / "a.py").write_text("2")
    assert chapters.digest([tmp_path], "tiny") != first
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    (tmp_path / "b.py").write_text("1")
    assert chapters.digest([tmp_path], "tiny") != first


def test_measured_time_and_memory(tmp_path):
    code = "x = bytearray(10**8); print('said'); raise SystemExit(3)"
    status, took = chapters.measured([sys.executable, "-c", code], tmp_path / "log", tmp_path)
    assert status == 3 and (tmp_path / "log").read_text() == "said\n"
    assert took["peak_mb"] > 95 and took["wall_s"] > 0


def test_chapters_run_with_their_parameters_and_only_when_changed(small_book, tmp_path, capfd):
    made = tmp_path / "_build"
    with pytest.raises(RuntimeError, match=r"two\.ipynb failed at cell 3 \('x = 1 / seed'\): ZeroDivisionError"):
        chapters.run_chapters(small_book, made, "laptop", 0, jobs=2)
    write_notebook(small_book / "two.ipynb", "print(seed)")
    rows = chapters.run_chapters(small_book, made, "laptop", 0)
    said = capfd.readouterr().out
    assert [row["chapter"] for row in rows] == ["one", "two"]
    assert rows == json.loads((made / "runtimes.json").read_text())
    assert all(row["peak_mb"] > 10 and row["wall_s"] > 0 for row in rows)
    assert "two: failed" in said
    assert "one: unchanged" in said, "the chapter beside the failure had run and is kept"
    cells = json.loads((made / "executed" / "laptop" / "one.ipynb").read_text())["cells"]
    assert "".join(cells[-1]["outputs"][0]["text"]) == "laptop 0\n"

    stamps = {f: f.stat().st_mtime_ns for f in (made / "executed" / "laptop").glob("*.ipynb")}
    chapters.run_chapters(small_book, made, "laptop", 0)
    assert stamps == {f: f.stat().st_mtime_ns for f in stamps}


def ran(todo, jobs, takes=lambda stem: 0.02) -> tuple[list[tuple[str, str]], int]:
    """Run chapters that only wait; what began and ended, in order, and how many ran at the same time."""
    events, beside, most = [], 0, 0

    def run(source: Path) -> dict:
        nonlocal beside, most
        beside += 1
        most = max(most, beside)
        events.append(("begin", source.stem))
        time.sleep(takes(source.stem))
        events.append(("end", source.stem))
        beside -= 1
        return {}

    done = []
    chapters._run_all(todo, jobs, run, lambda source, row: done.append(source))
    assert sorted(done) == sorted(todo)
    return events, most


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_chapters_that_need_the_encoder_wait_for_the_first_of_them(tmp_path, jobs):
    code = {"a": "1", "b": "old = experiments.trained(preset)", "c": "2", "d": "experiments.trained(preset)", "e": "3"}
    for name, line in code.items():
        write_notebook(tmp_path / f"{name}.ipynb", line)
    events, most = ran(sorted(tmp_path.glob("*.ipynb")), jobs, lambda stem: 0.3 if stem == "b" else 0.02)
    assert events[0] == ("begin", "b") and events.index(("end", "b")) < events.index(("begin", "d"))
    assert most == jobs
    assert jobs == 1 or events.index(("begin", "c")) < events.index(("end", "b")), "the others do not wait"


def test_a_failing_chapter_stops_the_rest_unless_all_are_wanted(tmp_path):
    def run(source):
        if source.stem != "two":
            raise RuntimeError(f"{source.stem} failed")
        return {"wall_s": 0, "peak_mb": 0}

    sources, done = [tmp_path / f"{name}.ipynb" for name in ("one", "two", "three")], []
    for source in sources:
        write_notebook(source, "1")
    for keep_going, message, finished in ((False, "^one failed$", []), (True, "one failed\n\nthree failed", ["two"])):
        with pytest.raises(RuntimeError, match=message):
            chapters._run_all(sources, 1, run, lambda source, row: done.append(source.stem), keep_going)
        assert done == finished


def test_chapters_that_train_are_known_by_their_code():
    training = [file.stem for file in NOTEBOOKS if chapters.trains(file)]
    assert training[0] == "04_pretraining" and "06_probing" in training and "02_views" not in training


@pytest.mark.slow
def test_ctrl_c_ends_what_was_started(small_book, tmp_path):
    write_notebook(
        small_book / "one.ipynb", "import os, time", "open('pid', 'w').write(str(os.getpid()))", "time.sleep(600)"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(BOOK)!r}); import chapters; from pathlib import Path\n"
        f"chapters.run_chapters(Path({str(small_book)!r}), Path({str(tmp_path / '_build')!r}), 'tiny', 1, jobs=2)"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    pid, began = tmp_path / "_build" / "executed" / "tiny" / "pid", time.monotonic()
    while not (pid.is_file() and pid.read_text()) and time.monotonic() - began < 60:
        time.sleep(0.2)
    kernel = int(pid.read_text())
    script.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in script.communicate(timeout=60)[1]
    began = time.monotonic()
    while Path(f"/proc/{kernel}").exists() and time.monotonic() - began < 15:
        time.sleep(0.2)
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)


def test_run_times_become_a_table():
    row = {"chapter": "02_views", "preset": "tiny", "seed": 0, "wall_s": 12.34, "cpu_s": 10.0, "peak_mb": 321}
    assert build.run_time_table([row]).splitlines()[-1] == "| {doc}`02_views` | tiny | 12 | 10 | 321 |"


def test_times_of_commands_become_a_table():
    took = {"seconds": 2.4, "cpu_seconds": 1.6, "peak_mb": 321.4}
    row = {"command": "astraclr info a.csv --band B=1 --band R=2 --out b", "stars": "eros", "n": 1017} | took
    rows = [row, {"command": "astraclr export a b", "stars": "", "n": 0} | took]
    *_, first, second, _, last = build.tool_time_table({"rows": rows, "machine": {"processor": "P"}}).splitlines()
    assert first == "| `astraclr info a.csv --band ... --out b` | 1,017 eros | 2 | 2 | 321 |"
    assert second == "| `astraclr export a b` |  | 2 | 2 | 321 |"
    assert last == "Measured on one core of a P by `benchmarks/tools.py`."


def test_check_finds_missing_empty_and_unexecuted_pages(small_book, tmp_path):
    html = tmp_path / "html"
    html.mkdir()
    prose = "<p>" + "word " * 100 + "</p>"
    (html / "intro.html").write_text(f"<html><article>{prose}</article></html>")
    (html / "one.html").write_text(f'<html><article>{prose}<div class="cell_output docutils">1</div></article></html>')
    (html / "two.html").write_text(f"<html><article>{prose}</article></html>")
    assert build.check_html(small_book, html) == ["two: no output of its code"]
    picture = '<img alt="" src="a.png"><img src="b.png"><img alt="A line." src="c.png">'
    (html / "intro.html").write_text(f"<html><article>{prose}{picture}</article><img src='logo.png'></html>")
    wrong = build.check_html(small_book, html)
    assert len(wrong) == 3 and "a.png" in wrong[0] and "b.png" in wrong[1] and "alternative text" in wrong[0]
    (html / "one.html").unlink()
    (html / "intro.html").write_text("<html><article>nothing</article></html>")
    wrong = build.check_html(small_book, html)
    assert len(wrong) == 3 and "intro: 7 characters" in wrong[0] and "one: missing" in wrong[1]


def test_unknown_preset_is_refused_before_any_work():
    run = subprocess.run([sys.executable, BOOK / "build.py", "--preset", "huge"], capture_output=True, text=True)
    assert run.returncode == 2 and "laptop" in run.stderr
