"""Build the book: run each chapter in a process of its own, then turn what ran into HTML.

Usage: python book/build.py [--preset tiny] [--seed 0] [--force]

A chapter runs again only when it, the package, the data, the pinned versions, the preset or the seed changed.
Results lie under _build: executed/<preset>/ (notebooks, logs, stamps), runtimes.json (time and memory), html/.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import launch
import yaml

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ("tiny", "laptop", "gpu", "paper")
SHARED = ("astraclr", "data", "constraints", "benchmarks/results", "tests/oracles")  # what chapters read
MIN_TEXT = 300  # characters; a page with less is empty or broken


def toc_pages(book: Path) -> list[str]:
    """Names of the pages of _toc.yml in reading order, without suffix."""
    toc = yaml.safe_load((book / "_toc.yml").read_text())
    parts = toc.get("parts", []) + [{"chapters": toc.get("chapters", [])}]
    return [toc["root"]] + [chapter["file"] for part in parts for chapter in part["chapters"]]


def page_source(book: Path, page: str) -> Path:
    """File of a page. Raises FileNotFoundError when _toc.yml names a page that is not there."""
    for suffix in (".ipynb", ".md"):
        if (book / f"{page}{suffix}").is_file():
            return book / f"{page}{suffix}"
    raise FileNotFoundError(f"book/_toc.yml names {page!r}, but there is no {page}.ipynb or {page}.md in {book.name}/")


def real_data() -> Path:
    """Folder of real light curves, which chapters show where there are some: as for the tests."""
    return Path(os.environ.get("ASTRACLR_REAL_DATA", ROOT.parent / "shared" / "real")).absolute()


def digest(paths: list[Path], *words: object) -> str:
    """SHA-256 over the names and contents of files (folders: all files below) and over any further words."""
    total = hashlib.sha256(repr(words).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts and ".ipynb_checkpoints" not in file.parts:
                total.update(f"{file.relative_to(path.parent)}\0{file.stat().st_size}\0".encode())
                total.update(file.read_bytes())
    return total.hexdigest()


def plain(text: str) -> str:
    """Text without a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def failed_cell(notebook: dict) -> str:
    """Where an executed notebook stopped: number of the cell (from 1), its first line, the plain traceback."""
    added = {"papermill-error-cell-tag", "injected-parameters"}  # by papermill: not counted
    cells = [cell for cell in notebook["cells"] if not added & set(cell["metadata"].get("tags", []))]
    for number, cell in enumerate(cells, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                first = next(iter("".join(cell["source"]).splitlines()), "")
                trace = "\n".join(output["traceback"])
                return plain(f"cell {number} ({first!r}): {output['ename']}: {output['evalue']}\n{trace}")
    return "no cell shows an error: the kernel died (memory?) or never started"


def measured(command: list[str], log: Path, cwd: Path) -> tuple[int, dict]:
    """Run a command; return its exit status and what it took: wall_s, cpu_s, peak_mb (largest process below it)."""
    # The kernel must be this environment's and draw inline, whatever the reader has set.
    env = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    env |= {"JUPYTER_PREFER_ENV_PATH": "1", "ASTRACLR_REAL_DATA": str(real_data())}
    started = time.perf_counter()
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=cwd, env=env)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            process.terminate()
            raise
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in kilobytes elsewhere
    took = {"wall_s": time.perf_counter() - started, "cpu_s": usage.ru_utime + usage.ru_stime}
    return process.returncode, {k: round(v, 1) for k, v in took.items()} | {"peak_mb": round(usage.ru_maxrss / unit)}


def run_chapter(source: Path, folder: Path, preset: str, seed: int) -> dict:
    """Execute one notebook into `folder`; return its run time. Raises RuntimeError naming the chapter and the cell."""
    unfinished, log = folder / f"{source.stem}.part.ipynb", folder / f"{source.stem}.log"
    unfinished.unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(unfinished), "--cwd", str(folder)]
    command += ["--kernel", "python3", "--language", "python", "--no-progress-bar", "--no-log-output"]
    command += ["-p", "preset", preset, "-p", "seed", str(seed)]
    status, took = measured(command, log, folder)
    if status != 0:
        why = failed_cell(json.loads(unfinished.read_text())) if unfinished.is_file() else log.read_text()[-2000:]
        raise RuntimeError(f"chapter {source.name} failed at {why}\n(the log is {log})")
    unfinished.replace(folder / source.name)
    return {"chapter": source.stem, "preset": preset, "seed": seed} | took


def read_stamp(stamp: Path) -> dict:
    """What the last run of a chapter left behind; nothing if there was none or it cannot be read."""
    try:
        return json.loads(stamp.read_text())
    except (OSError, json.JSONDecodeError):
        return {}


def run_chapters(book: Path, build: Path, preset: str, seed: int, force: bool = False) -> list[dict]:
    """Execute the notebooks of the table of contents that changed, in order; return and write all run times."""
    folder = build / "executed" / preset
    folder.mkdir(parents=True, exist_ok=True)
    sources = [s for s in (page_source(book, page) for page in toc_pages(book)) if s.suffix == ".ipynb"]
    common = [p for p in (book.parent / name for name in SHARED) if p.exists()]
    shared_key, rows = digest(common, preset, seed, sys.version, real_data().exists()), []
    for number, source in enumerate(sources, start=1):
        stamp, key = folder / f"{source.stem}.json", digest([source], shared_key)
        row = read_stamp(stamp) if (folder / source.name).is_file() else {}
        print(f"[{number}/{len(sources)}] {source.stem}: ", end="", flush=True)
        unchanged = row.get("key") == key and not force
        if not unchanged:
            print("running ... ", end="", flush=True)
            row = run_chapter(source, folder, preset, seed) | {"key": key}
            unfinished = stamp.with_suffix(".part")
            unfinished.write_text(json.dumps(row))
            unfinished.replace(stamp)
        print(f"{'unchanged since its run of ' if unchanged else ''}{row['wall_s']} s, {row['peak_mb']} MB", flush=True)
        rows.append({k: v for k, v in row.items() if k != "key"})
    (build / "runtimes.json").write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def run_time_table(rows: list[dict]) -> str:
    """The measured run times as a Markdown table, for the appendix."""
    lines = ["| chapter | preset | time (s) | processor time (s) | memory peak (MB) |", "|---|---|---:|---:|---:|"]
    lines += [f"| {{doc}}`{r['chapter']}` | {r['preset']} | {r['wall_s']:.0f} | {r['cpu_s']:.0f} | {r['peak_mb']} |"
              for r in rows]
    return "\n".join(lines) + "\n"


def make_html(book: Path, build: Path, preset: str) -> None:
    """Turn the pages and the executed notebooks into build/html. Raises RuntimeError with Sphinx's warnings, if any."""
    source, html = build / "src", build / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(html, ignore_errors=True)  # or a chapter taken out would still be there
    shutil.copytree(book, source, ignore=shutil.ignore_patterns("*.py", "*.ipynb", "__pycache__", ".ipynb_checkpoints"))
    (source / "run_times.txt").write_text(run_time_table(json.loads((build / "runtimes.json").read_text())))
    for notebook in (build / "executed" / preset).glob("*.ipynb"):
        if (book / notebook.name).is_file():
            shutil.copy(notebook, source)
    jupyter_book = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    config = launch.write_config(book.parent / "_config.yml", build / "config.yml")
    command = [str(jupyter_book), "build", str(source), "--config", str(config)]
    command += ["--path-output", str(build.parent), "-W", "-n", "--keep-going"]
    status, _ = measured(command, build / "html.log", build.parent)
    if status != 0:
        lines = plain((build / "html.log").read_text()).splitlines()
        said = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:|exception:", line)] or lines[-30:]
        raise RuntimeError("jupyter-book failed (all of it in _build/html.log):\n" + "\n".join(said))


def check_html(book: Path, html: Path) -> list[str]:
    """What is wrong with the built pages: missing, empty, or a notebook without outputs. An empty list is good."""
    wrong = []
    for page in toc_pages(book):
        file = html / f"{page}.html"
        if not file.is_file():
            wrong.append(f"{page}: missing from the built HTML")
            continue
        text = file.read_text()
        article = re.search(r"<article.*?</article>", text, flags=re.DOTALL)
        length = len(re.sub(r"<[^>]+>|\s+", "", article.group())) if article else 0
        if length < MIN_TEXT:
            wrong.append(f"{page}: {length} characters of text, fewer than {MIN_TEXT}")
        if page_source(book, page).suffix == ".ipynb" and not re.search(r'class="[^"]*\bcell_output\b', text):
            wrong.append(f"{page}: no output of its code")
    return wrong


def build_book(preset: str, seed: int, force: bool = False) -> Path:
    """Run what changed, render it, check the pages; return the index.

    Raises RuntimeError or FileNotFoundError, and ValueError where the address of a repository is none.
    """
    book, build, links = ROOT / "book", ROOT / "_build", launch.settings()
    rows = run_chapters(book, build, preset, seed, force)
    stamp, key = build / "html.stamp", digest([book, ROOT / "_config.yml"], rows, links)
    if not force and stamp.is_file() and stamp.read_text() == key and not check_html(book, build / "html"):
        print("Nothing changed since the pages were made.")
    else:
        stamp.unlink(missing_ok=True)
        print("Making the pages ... ", end="", flush=True)
        make_html(book, build, preset)
        if wrong := check_html(book, build / "html"):
            raise RuntimeError("the built book is not whole:\n" + "\n".join(wrong))
        stamp.write_text(key)
        print(f"{len(toc_pages(book))} pages, all there.")
    print(f"Chapters ran {sum(r['wall_s'] for r in rows):.0f} s in all, at most {max(r['peak_mb'] for r in rows)} MB.")
    return build / "html" / "index.html"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the chapters and build the book.")
    parser.add_argument("--preset", default="tiny", choices=PRESETS, help="how big (default: tiny)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="run every chapter again")
    options = parser.parse_args()
    try:
        index = build_book(options.preset, options.seed, options.force)
    except (RuntimeError, FileNotFoundError, ValueError) as error:
        print(f"\nThe book was not built: {error}", file=sys.stderr)
        return 1
    print(f"The book: {index.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
