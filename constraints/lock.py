"""Write the lock files anew: one exact version of every package, for Python 3.11 to 3.14 and every system, with hashes.

python constraints/lock.py [--upgrade]

It needs the program uv. Versions stay as they are, unless a range of pyproject.toml forbids them or --upgrade asks for
the newest. Only wheels are locked, so that an installation builds nothing but this project.
torch-cpu.txt is kept by hand: its wheels are those of PyTorch's index, whose pages list their hashes.
"""

import argparse
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOCKED, TORCH, AUDIT = HERE / "locked.txt", HERE / "torch.txt", HERE / "audit.txt"
WITH_TORCH = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
HEADERS = {
    LOCKED: "Every package but PyTorch: the core, all extras, and what builds this project.",
    TORCH: "PyTorch as the default index has it, with the CUDA libraries that it needs on Linux.",
    AUDIT: "What `make audit` runs, in an environment of its own.",
}
HOW = "Written by `python constraints/lock.py`; installed by `python constraints/install.py`, which checks the hashes."


def compiled(requirements: str, known: str, *options: str) -> list[str]:
    """Lock requirements, a package an entry; versions that `known`, an earlier lock, holds are preferred."""
    with tempfile.TemporaryDirectory() as folder:
        out, words = Path(folder) / "locked.txt", Path(folder) / "requirements.in"
        out.write_text(known)
        words.write_text(requirements)
        command = [
            "uv",
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version",
            "3.11",
            "--only-binary",
            ":all:",
        ]
        command += ["--generate-hashes", "--no-header", "--no-annotate", "--output-file", str(out), *options]
        subprocess.run([*command, str(words)], check=True, cwd=HERE.parent)
        return re.split(r"^(?=\w)", out.read_text(), flags=re.MULTILINE)[1:]


def write(file: Path, entries: list[str]) -> None:
    """Write a lock file below its heading."""
    file.write_text("".join([f"# {HEADERS[file]}\n# {HOW}\n", *entries]))


def main() -> None:
    """Write locked.txt, torch.txt and audit.txt."""
    parser = argparse.ArgumentParser(description="Write the lock files anew.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    upgrade = parser.parse_args().upgrade

    def known(*files: Path) -> str:
        return "" if upgrade else "".join(file.read_text() for file in files if file.exists())

    build = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["build-system"]["requires"]
    needed = "\n".join([*build, "editables"])  # the latter installs the clone in place
    entries = compiled(needed, known(LOCKED, TORCH), "--all-extras", "pyproject.toml")
    write(LOCKED, [entry for entry in entries if not WITH_TORCH.match(entry)])
    write(TORCH, [entry for entry in entries if WITH_TORCH.match(entry)])
    write(AUDIT, compiled("pip-audit", known(AUDIT)))


if __name__ == "__main__":
    main()
