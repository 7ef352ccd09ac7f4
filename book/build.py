"""Build the book: run each chapter in a process of its own, then turn what ran into HTML.

Usage: python book/build.py [--preset tiny] [--seed 0] [--jobs 2] [--force] [--accept-figures]

A chapter runs again only when it, the package, the data, the pinned versions, the preset or the seed changed.
Results lie under _build: executed/<preset>/ (notebooks, logs, stamps), runtimes.json (time and memory), html/.
"""

import argparse
import json
import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import dark
import figure_archive
import glued_results
import looks
import previews
import repository_links
import touch
from chapters import digest, plain, run_chapters
from notebooks import ROOT, notebooks, page_source, toc_pages
from processes import measured

from astraclr.config import PRESETS
from astraclr.tutorial import figure_registry

MIN_TEXT = 300  # characters; a page with less is empty or broken


def run_time_table(rows: list[dict]) -> str:
    """The measured run times as a Markdown table, for the appendix."""
    lines = ["| chapter | preset | time (s) | processor time (s) | memory peak (MB) |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| {{doc}}`{r['chapter']}` | {r['preset']} | {r['wall_s']:.0f} | {r['cpu_s']:.0f} | {r['peak_mb']} |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def tool_time_table(result: dict[str, Any]) -> str:
    """What the commands of the guides take, as a Markdown table: of a result of benchmarks/tools.py."""
    lines = ["| command | stars | time (s) | processor time (s) | memory peak (MB) |", "|---|---|---:|---:|---:|"]
    for row in result["rows"]:
        stars = f"{row['n']:,} {row['stars']}".strip() if row["n"] else ""
        command = re.sub(r"( --band \S+)+", " --band ...", row["command"])
        took = f"{row['seconds']:.0f} | {row['cpu_seconds']:.0f} | {row['peak_mb']:.0f}"
        lines.append(f"| `{command}` | {stars} | {took} |")
    machine = result["machine"]
    return "\n".join(lines) + f"\n\nMeasured on one core of a {machine['processor']} by `benchmarks/tools.py`.\n"


def write_records(book: Path, build: Path, preset: str, seed: int, source: Path) -> None:
    """Write what the pages say of this very build: run times, figures, glued results, and where both come from."""
    executed = {file.stem: build / "executed" / preset / file.name for file in notebooks(book)}
    known, shown = figure_registry.figures(book), looks.pictures(executed.values())
    claims = glued_results.collect(executed)
    (source / "run_times.txt").write_text(run_time_table(json.loads((build / "runtimes.json").read_text())))
    tools = ROOT / "benchmarks" / "results" / "tools.json"
    times = tool_time_table(json.loads(tools.read_text())) if tools.is_file() else "Not measured yet.\n"
    (source / "tool_times.txt").write_text(times)
    (source / "claims.txt").write_text(glued_results.table(claims))
    took = looks.seconds_to(executed.values())
    commands = {
        name: f"`{figure.command(preset, seed).split(' --out')[0]}` ({took[name]:.0f} s)"
        for name, figure in known.items()
        if name in shown
    }
    looks.write_gallery(known, shown, commands, source)
    records: dict[str, Any] = {
        "figures.json": looks.manifest(book, shown, preset, seed),
        "claims.json": {"preset": preset, "seed": seed, "pages": claims},
    }
    (source / "_static").mkdir(exist_ok=True)
    for name, record in records.items():
        text = json.dumps(record, indent=1, ensure_ascii=False)
        (source / "_static" / name).write_text(f"{text}\n", encoding="utf-8")


def make_html(book: Path, build: Path, preset: str, seed: int) -> None:
    """Turn the pages and the executed notebooks into build/html. Raises RuntimeError with Sphinx's warnings, if any."""
    source, html = build / "src", build / "html"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(html, ignore_errors=True)  # or a chapter taken out would still be there
    left = ("*.py", "*.ipynb", "__pycache__", ".ipynb_checkpoints", "interactive", "locale")
    shutil.copytree(book, source, ignore=shutil.ignore_patterns(*left))
    write_records(book, build, preset, seed, source)
    kept = touch.prepare(book, build / "interactive")
    shutil.copy(kept / "landing" / "landing.txt", source)
    for notebook in (build / "executed" / preset).glob("*.ipynb"):
        if (book / notebook.name).is_file():
            (source / notebook.name).write_text(looks.for_pages(notebook), encoding="utf-8")
    jupyter_book = Path(sysconfig.get_path("scripts")) / "jupyter-book"
    config = repository_links.write_config(book.parent / "_config.yml", build / "config.yml")
    command = [str(jupyter_book), "build", str(source), "--config", str(config)]
    command += ["--path-output", str(build.parent), "-W", "-n", "--keep-going"]
    status, _ = measured(command, build / "html.log", build.parent)
    if status != 0:
        lines = plain((build / "html.log").read_text()).splitlines()
        said = [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Error:|exception:", line)] or lines[-30:]
        raise RuntimeError("jupyter-book failed (all of it in _build/html.log):\n" + "\n".join(said))
    # Beside the pages and not among Sphinx's static files, whose scripts Jupyter Book adds to every page.
    touch.publish(kept, html)
    figure_archive.write(book, build / "executed" / preset, html / "_static" / "figures.zip")
    previews.write(html)
    dark.write_dark_pictures(html)


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
        for image in re.findall(r"<img\b[^>]*>", article.group()) if article else []:
            if not re.search(r"""\balt=(["'])\s*[^"'\s]""", image):
                wrong.append(f"{page}: a picture without an alternative text: {image[:120]}")
    return wrong


def check_figures(book: Path, build: Path, preset: str, seed: int, accept: bool) -> None:
    """Compare what figures are made of with what was accepted, where the variable CI is set; or accept it as it is.

    Raises
    ------
    RuntimeError
        If a figure changed or is new.
    """
    if (preset, seed) != ("tiny", 0):
        return  # only that size is kept
    known, accepted = figure_registry.figures(book), book / looks.ACCEPTED
    drawn = looks.contents(build / "executed" / preset / file.name for file in notebooks(book))
    if accept:
        n_changed = looks.accept(known, drawn, accepted)
        print(f"{n_changed} figures were new or had changed, and are accepted: {accepted.relative_to(book.parent)}")
    elif os.environ.get("CI"):
        if lines := looks.changed(known, drawn, accepted):
            lines.append(f"Look at them; if they are right, accept them with: {looks.ACCEPT}")
            raise RuntimeError("figures changed:\n" + "\n".join(lines))
        print("Figures show what was accepted.")


def build_book(preset: str, seed: int, force: bool = False, jobs: int = 1, accept: bool = False) -> Path:
    """Run what changed, render it, check the pages; return the index.

    Raises RuntimeError or FileNotFoundError, and ValueError where the address of a repository is none.
    """
    book, build, links = ROOT / "book", ROOT / "_build", repository_links.settings()
    rows = run_chapters(book, build, preset, seed, force, jobs)
    check_figures(book, build, preset, seed, accept)
    stamp, key = build / "html.stamp", digest([book, ROOT / "_config.yml"], rows, links)
    if not force and stamp.is_file() and stamp.read_text() == key and not check_html(book, build / "html"):
        print("Nothing changed since the pages were made.")
    else:
        stamp.unlink(missing_ok=True)
        print("Making the pages ... ", end="", flush=True)
        make_html(book, build, preset, seed)
        if wrong := check_html(book, build / "html"):
            raise RuntimeError("the built book is not whole:\n" + "\n".join(wrong))
        stamp.write_text(key)
        print(f"{len(toc_pages(book))} pages, all there.")
    print(f"Chapters ran {sum(r['wall_s'] for r in rows):.0f} s in all, at most {max(r['peak_mb'] for r in rows)} MB.")
    return build / "html" / "index.html"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the chapters and build the book.")
    parser.add_argument("--preset", default="tiny", choices=PRESETS, help="how big (default: tiny)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--force", action="store_true", help="run every chapter again")
    parser.add_argument("--jobs", type=int, default=min(2, cores()), help="chapters at a time (default: %(default)s)")
    parser.add_argument(
        "--accept-figures",
        action="store_true",
        help="keep what the figures of preset tiny, seed 0, show now, to compare later builds with",
    )
    options = parser.parse_args()
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least one chapter at a time")
    if options.accept_figures and (options.preset, options.seed) != ("tiny", 0):
        parser.error("--accept-figures is for preset tiny, seed 0")
    try:
        index = build_book(options.preset, options.seed, options.force, options.jobs, options.accept_figures)
    except (RuntimeError, FileNotFoundError, ValueError) as error:
        print(f"\nThe book was not built: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: chapters that had finished are kept.", file=sys.stderr)
        return 130
    print(f"The book: {index.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
