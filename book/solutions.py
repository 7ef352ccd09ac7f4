"""Run the solutions of the exercises: each chapter, and after its last cell the folded solutions, strictly checked.

Usage: python book/solutions.py [CHAPTER ...] [--preset tiny] [--seed 0]

Without names: every notebook of book/_toc.yml. A solution that fails, or that `tutorial.checks` does not accept, stops
the run and is named. What ran lies under _build/solutions/.
"""

import argparse
import copy
import json
import os
import re
import sys

from build import PRESETS
from chapters import ROOT, page_source, run_chapter, toc_pages

SOLUTION = re.compile(r"^(`{3,})\{solution\} (\S+)\n(.*?)^\1\s*$", flags=re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```(?:python|\{code-block\} python)\n(.*?)^```\s*$", flags=re.DOTALL | re.MULTILINE)


def solutions(notebook: dict) -> dict[str, str]:
    """Code of every solution of a notebook, by the label of its exercise; empty where one has no code."""
    prose = "\n".join("".join(c["source"]) + "\n" for c in notebook["cells"] if c["cell_type"] == "markdown")
    return {label: "\n".join(PYTHON.findall(body)) for _, label, body in SOLUTION.findall(prose)}


def with_solutions(notebook: dict) -> dict:
    """The notebook, and after it one cell of code for each solution."""
    out = copy.deepcopy(notebook)
    for label, code in solutions(notebook).items():
        if code:
            out["cells"].append(
                {
                    "cell_type": "code",
                    "id": re.sub(r"\W", "-", label),
                    "metadata": {},
                    "outputs": [],
                    "execution_count": None,
                    "source": f"# {label}\n{code}",
                }
            )
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the solutions of the exercises.")
    parser.add_argument("chapters", nargs="*", help="such as 06_probing (default: every notebook)")
    parser.add_argument("--preset", default="tiny", choices=PRESETS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = ROOT / "_build" / "solutions" / given.preset
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["ASTRACLR_STRICT"] = "1"
    for chapter in given.chapters or toc_pages(ROOT / "book"):
        source = page_source(ROOT / "book", chapter)
        if source.suffix != ".ipynb" or not (found := solutions(json.loads(source.read_text()))):
            continue
        unsolved = folder / f"{chapter}-with-solutions.ipynb"
        unsolved.write_text(json.dumps(with_solutions(json.loads(source.read_text()))))
        print(f"{chapter}: {len(found)} solutions ... ", end="", flush=True)
        try:
            took = run_chapter(unsolved, folder, given.preset, given.seed)
        except RuntimeError as error:
            print(f"\n{error}", file=sys.stderr)
            return 1
        print(f"right, {took['wall_s']} s with the chapter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
