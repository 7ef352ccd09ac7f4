"""Install this project and every package that the lock files name into the Python that runs this, hashes checked.

python constraints/install.py

Every file that pip installs must have a hash that the lock names, wherever it was found. Nothing is resolved and, but
for this project, nothing is built. TORCH_INDEX names an index to take PyTorch's CPU build from, and nothing else.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHONS = ((3, 11), (3, 14))
OTHER_FILE = "DO NOT MATCH THE HASHES"


def pip(*options: str) -> str:
    """Run pip's install; return what it printed, or "" after success."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options]
    done = subprocess.run(command, cwd=HERE.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return "" if done.returncode == 0 else done.stdout.strip() or f"pip ended with {done.returncode}"


def from_lock(name: str, *options: str) -> str:
    """Install what a lock file names; return what pip printed, or "" after success."""
    strict = ("--no-deps", "--only-binary", ":all:", "--require-hashes")
    return pip(*strict, *options, "--requirement", str(HERE / name))


def torch() -> str:
    """Install PyTorch: its CPU build where an index or a folder that pip knows has it, else the default one."""
    index = os.environ.get("TORCH_INDEX")
    said = from_lock("torch-cpu.txt", *(("--index-url", index) if index else ()))
    if not said or OTHER_FILE in said:
        return said
    print("No index that pip knows holds PyTorch's CPU build: taking the default, on Linux with its CUDA libraries.")
    return from_lock("torch.txt")


def main() -> int:
    """Install PyTorch, the other packages, then this project in place."""
    first, last = PYTHONS
    if not first <= sys.version_info[:2] <= last:
        python, ranges = ".".join(map(str, sys.version_info[:2])), "installing from the ranges of pyproject.toml"
        print(f"No exact versions for this Python ({python}; the lock is for 3.{first[1]} to 3.{last[1]}): {ranges}.")
        said = pip("-e", ".[all]")
    else:
        here = ("--no-deps", "--no-build-isolation", "--no-index", "-e", ".")
        said = torch() or from_lock("locked.txt") or pip(*here)
    if said:
        print(said, file=sys.stderr)
    return int(bool(said))


if __name__ == "__main__":
    raise SystemExit(main())
