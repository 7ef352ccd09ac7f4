"""Run the chapters as other processors round, and check their words and figures as the public check does.

Usage: python book/processors.py [--settings avx2 ...] [--jobs 2]

Sums come in another order on another processor, so trained weights, maps and scores differ in late digits. Each setting
limits what PyTorch, MKL, OpenBLAS, NumPy and Numba use, and keeps its chapters and its own training of chapter 4 under
_build/processors. A chapter that ran is kept until it or the package changes.
"""

import argparse
import os
import subprocess
import sys

from build import check_figures, cores
from chapters import run_chapters
from notebooks import ROOT

SETTINGS = {
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "AVX",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        "NUMBA_CPU_NAME": "generic",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Zen",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        "NUMBA_CPU_NAME": "haswell",
    },
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "OPENBLAS_CORETYPE": "SkylakeX",
        "NUMBA_CPU_NAME": "skylake-avx512",
    },
}
"""Variables of each setting, by the name of what PyTorch may use; the first runs on every x86-64 processor."""
_ALL = {name for variables in SETTINGS.values() for name in variables}


def environment(setting: str) -> dict[str, str]:
    """Variables of a process that rounds as `setting` says, that checks words, and that trains for itself."""
    kept = {name: value for name, value in os.environ.items() if name not in _ALL}
    cache = ROOT / "_build" / "processors" / setting / "cache"
    return kept | SETTINGS[setting] | {"CI": "1", "ASTRACLR_CACHE": str(cache)}


def available() -> list[str]:
    """Settings that this processor can run."""
    code = "import torch; print(torch.backends.cpu.get_cpu_capability().lower())"
    env = {name: value for name, value in os.environ.items() if name not in _ALL}
    found = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    names, best = list(SETTINGS), found.stdout.strip()
    return names[: names.index(best) + 1] if best in names else names[:1]


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the chapters as other processors would round.")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, help="default: all that this processor can run")
    parser.add_argument("--jobs", type=int, default=min(2, cores()), help="chapters at a time (default: %(default)s)")
    options = parser.parse_args()
    there, failed = available(), []
    for name in options.settings or SETTINGS:
        if name not in there:
            print(f"{name}: this processor cannot run it; left out", flush=True)
            continue
        print(f"Rounding of {name}", flush=True)
        wanted, build = environment(name), ROOT / "_build" / "processors" / name
        os.environ.clear()
        os.environ.update(wanted)
        try:
            run_chapters(ROOT / "book", build, "tiny", 0, jobs=options.jobs, keep_going=True)
            check_figures(ROOT / "book", build, "tiny", 0, accept=False)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            failed.append(name)
    print(f"Failed: {', '.join(failed)}" if failed else "Words and figures hold with every setting that ran.")
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
