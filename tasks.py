"""The commands of the Makefile without make, on Linux, macOS and Windows.

python tasks.py setup              an environment in .venv, exact versions
python tasks.py book [ARGS]        run the chapters, build the pages: _build/html/index.html
python tasks.py test [ARGS]        the tests and the examples in docstrings
python tasks.py student [ARGS]     notebooks without solutions: _build/student
python tasks.py scripts            every chapter as a Python file: _build/scripts
python tasks.py nbgrader           exercises as assignments with tests: _build/nbgrader
python tasks.py slides [ARGS]      a deck a chapter, after book
python tasks.py check-site [ARGS]  every page in a browser, after book

ARGS are handed on: python tasks.py book --preset laptop, python tasks.py test -k views
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHON = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SCRIPTS = (
    "-m",
    "pytest",
    "tests",
    "astraclr",
    "--doctest-modules",
    "--ignore",
    "tests/book/pages",
    "--dist",
    "loadfile",
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "setup": (),
    "book": ("book/build.py",),
    "test": (*SCRIPTS, "-n", "2"),
    "student": ("book/student.py",),
    "scripts": ("book/exports.py", "scripts"),
    "nbgrader": ("book/exports.py", "nbgrader"),
    "slides": ("book/slides.py",),
    "check-site": ("-m", "pytest", "tests/book/pages"),
}
# As in the Makefile: equal seeds give equal bytes on one thread, and small matrices lose time to waiting threads.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def environment() -> dict[str, str]:
    """Variables of the commands; those that are set stay as they are."""
    wanted = dict.fromkeys(THREADS, "1") | {"ASTRACLR_CACHE": str(ROOT / "_build" / "cache"), "PYTHONUTF8": "1"}
    return wanted | dict(os.environ)


def set_up() -> None:
    """Make the environment, unless the one that is there is newer than what it is made from."""
    stamp = ROOT / ".venv" / ".astraclr-installed"
    made_from = [ROOT / "pyproject.toml", *sorted((ROOT / "constraints").glob("*.txt"))]
    if stamp.is_file() and all(file.stat().st_mtime <= stamp.stat().st_mtime for file in made_from):
        return
    print("Setting up .venv: some 2 to 3 GB, a few minutes the first time.", flush=True)
    if not PYTHON.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(ROOT / ".venv")], check=True)
    subprocess.run([str(PYTHON), str(ROOT / "constraints" / "install.py")], check=True, env=environment())
    stamp.touch()


def main(words: list[str]) -> int:
    """Run the command that the first word names; return its exit status."""
    if not words or words[0] not in COMMANDS:
        print(__doc__)
        return 2 if words and words[0] not in ("-h", "--help") else 0
    try:
        set_up()
    except subprocess.CalledProcessError as error:
        return error.returncode
    command = COMMANDS[words[0]]
    return subprocess.run([str(PYTHON), *command, *words[1:]], cwd=ROOT, env=environment()).returncode if command else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
