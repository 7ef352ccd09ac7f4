"""Run the solutions of the exercises: each chapter, and after its last cell the folded solutions, strictly checked.

Usage: python book/solutions.py [CHAPTER ...] [--preset tiny] [--seed 0]

Without names: every notebook of book/_toc.yml. A solution that fails, or that `tutorial.checks` does not accept, stops
the run and is named. What ran lies under _build/solutions/.
"""

import argparse
import copy
import os
import re
import sys

import nbformat
from chapters import run_chapter
from myst import solutions
from notebooks import BOOK, ROOT, notebooks, page_source, read_notebook

from astraclr.config import PRESETS


def with_solutions(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook, and after it one cell of code for each solution."""
    out = copy.deepcopy(notebook)
    for label, code in solutions(notebook).items():
        if code:
            out["cells"].append(nbformat.v4.new_code_cell(f"# {label}\n{code}", id=re.sub(r"\W", "-", label)))
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the solutions of the exercises.")
    parser.add_argument("chapters", nargs="*", help="such as 06_probing (default: every notebook)")
    parser.add_argument("--preset", default="tiny", choices=list(PRESETS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = ROOT / "_build" / "solutions" / given.preset
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ASTRACLR_STRICT"] = "1"
    for source in [page_source(BOOK, name) for name in given.chapters] or notebooks(BOOK):
        notebook = read_notebook(source)
        if not (found := solutions(notebook)):
            continue
        unsolved = folder / f"{source.stem}-with-solutions.ipynb"
        nbformat.write(with_solutions(notebook), unsolved)
        print(f"{source.stem}: {len(found)} solutions ... ", end="", flush=True)
        try:
            took = run_chapter(unsolved, folder, given.preset, given.seed)
        except RuntimeError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
        print(f"right, {took['wall_s']} s with the chapter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
