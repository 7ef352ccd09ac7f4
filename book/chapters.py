"""Run the chapters, each in a process of its own, a few at a time; measure what each took.

A chapter runs again only when it, the package, the data, the pinned versions, the preset or the seed changed.
"""

import hashlib
import json
import re
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from notebooks import Notebook, code_of, notebooks, read_notebook, tags_of
from processes import measured, stop_all

from astraclr.tutorial.figure_registry import SHARED, files_below, real_data

TRAINS = re.compile(r"\bexperiments\.trained\(|\bfrom astraclr\.experiments import [^\n]*\btrained\b")


def digest(paths: list[Path], *words: object) -> str:
    """SHA-256 over the names and contents of files (folders: all files below) and over any further words."""
    total = hashlib.sha256(repr(words).encode())
    for path in paths:
        for file in files_below(path):
            total.update(f"{file.relative_to(path.parent)}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()


def plain(text: str) -> str:
    """Text without a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def trains(source: Path) -> bool:
    """Whether a chapter needs the trained encoder."""
    return bool(TRAINS.search("\n".join(code_of(read_notebook(source)))))


def failed_cell(notebook: Notebook) -> str:
    """Where an executed notebook stopped: number of the cell (from 1), its first line, the plain traceback."""
    added = {"papermill-error-cell-tag", "injected-parameters"}  # by papermill: not counted
    cells = [cell for cell in notebook["cells"] if not added & tags_of(cell)]
    for number, cell in enumerate(cells, start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error":
                first = next(iter(cell["source"].splitlines()), "")
                trace = "\n".join(output["traceback"])
                return plain(f"cell {number} ({first!r}): {output['ename']}: {output['evalue']}\n{trace}")
    return "no cell shows an error: the kernel died (memory?) or never started"


def run_chapter(source: Path, folder: Path, preset: str, seed: int) -> dict:
    """Execute one notebook into `folder`; return its run time. Raises RuntimeError naming the chapter and the cell."""
    unfinished, log = folder / f"{source.stem}.part.ipynb", folder / f"{source.stem}.log"
    unfinished.unlink(missing_ok=True)
    command = [sys.executable, "-m", "papermill", str(source), str(unfinished), "--cwd", str(folder)]
    command += ["--kernel", "python3", "--language", "python", "--no-progress-bar", "--no-log-output"]
    command += ["-p", "preset", preset, "-p", "seed", str(seed)]
    status, took = measured(command, log, folder)
    if status != 0:
        why = failed_cell(read_notebook(unfinished)) if unfinished.is_file() else log.read_text()[-2000:]
        raise RuntimeError(f"chapter {source.name} failed at {why}\n(the log is {log})")
    unfinished.replace(folder / source.name)
    return {"chapter": source.stem, "preset": preset, "seed": seed} | took


def read_stamp(stamp: Path) -> dict:
    """What the last run of a chapter left behind; nothing if there was none or it cannot be read."""
    try:
        return json.loads(stamp.read_text())
    except (OSError, json.JSONDecodeError):
        return {}


def run_chapters(
    book: Path, build: Path, preset: str, seed: int, force: bool = False, jobs: int = 1, keep_going: bool = False
) -> list[dict]:
    """Execute the notebooks of the table of contents that changed, `jobs` at a time; return and write all run times.

    Of the chapters that need the trained encoder the first trains it, and the others wait for that chapter.

    Raises
    ------
    RuntimeError
        If a chapter fails; those that run beside it, with `keep_going` all others, are finished first, and kept.
    """
    folder = build / "executed" / preset
    folder.mkdir(parents=True, exist_ok=True)
    sources = notebooks(book)
    common = [p for p in (book.parent / name for name in SHARED) if p.exists()]
    shared_key = digest(common, preset, seed, sys.version, real_data(book.parent).exists())
    keys = {source: digest([source], shared_key) for source in sources}
    rows: dict[Path, dict] = {}
    for source in sources:
        row = read_stamp(folder / f"{source.stem}.json") if (folder / source.name).is_file() else {}
        if row.get("key") == keys[source] and not force:
            rows[source] = row
            print(f"{source.stem}: unchanged since its run of {row['wall_s']} s, {row['peak_mb']} MB", flush=True)

    def finished(source: Path, row: dict) -> None:
        rows[source] = row | {"key": keys[source]}
        unfinished = folder / f"{source.stem}.part"
        unfinished.write_text(json.dumps(rows[source]))
        unfinished.replace(folder / f"{source.stem}.json")
        print(f"[{len(rows)}/{len(sources)}] {source.stem}: {row['wall_s']} s, {row['peak_mb']} MB", flush=True)

    todo = [source for source in sources if source not in rows]
    _run_all(todo, jobs, lambda s: run_chapter(s, folder, preset, seed), finished, keep_going)
    out = [{k: v for k, v in rows[source].items() if k != "key"} for source in sources]
    (build / "runtimes.json").write_text(json.dumps(out, indent=1) + "\n")
    return out


def _run_all(todo: list[Path], jobs: int, run, finished, keep_going: bool = False) -> None:
    """Run these chapters; `finished(source, row)` is called for each in this thread."""
    needing = [source for source in todo if trains(source)]
    trainer = needing[:1]
    waiting = trainer + [source for source in todo if source not in trainer]  # it first: others depend on it
    failed: list[BaseException] = []
    with ThreadPoolExecutor(jobs) as pool:
        running: dict[Future, Path] = {}
        try:
            while running or (waiting and (keep_going or not failed)):
                stopped = failed and not keep_going
                held = set(needing) if trainer and trainer[0] in running.values() else set()
                while not stopped and len(running) < jobs and (ready := [s for s in waiting if s not in held]):
                    waiting.remove(ready[0])
                    running[pool.submit(run, ready[0])] = ready[0]
                    print(f"{ready[0].stem}: running", flush=True)
                    held |= set(needing) if ready[0] in trainer else set()
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    source = running.pop(done)
                    if error := done.exception():
                        failed.append(error)
                        print(
                            f"{source.stem}: failed" + ("; what runs beside it is finished" if running else ""),
                            flush=True,
                        )
                    else:
                        finished(source, done.result())
        except KeyboardInterrupt:
            stop_all()
            raise
    if failed:
        raise RuntimeError("\n\n".join(str(error) for error in failed)) if failed[1:] else failed[0]
