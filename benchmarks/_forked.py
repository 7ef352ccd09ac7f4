"""Command lines that start in a tenth of a second: forked from a process that has imported the heavy packages."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

PRELOADED = (
    "torch",
    "pandas",
    "pyarrow.parquet",
    "sklearn.linear_model",
    "matplotlib.pyplot",
    "coniferest",
    "lsdb",
    "faiss",
    "astraclr.cli",
    "astraclr.train.pretrain",
    "astraclr.analysis.catalogue",
    "astraclr.analysis.explorer",
    "astraclr.analysis.own_labels",
    "astraclr.catalogs.hats_shards",
    "astraclr.evaluate.embeddings",
    "astraclr.simulation.samples",
)
"""What every command would import first, and takes seconds."""


def _run(words: tuple[str, ...], cwd: str, said: str) -> None:
    """Run a command line of astraclr in a process group of its own; what it says goes into a file."""
    os.setsid()
    log = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    os.chdir(cwd)
    sys.argv = ["astraclr", *words]
    from astraclr.cli import main

    main()


class Forked:
    """A command line that runs, with what `subprocess.Popen` says of a process.

    Parameters
    ----------
    words : after ``astraclr``
    cwd, said : folder to run in; file for what it prints
    """

    def __init__(self, words: tuple[str, ...], cwd: Path, said: Path) -> None:
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([*PRELOADED])  # before the first start; later it changes nothing
        self._process = context.Process(target=_run, args=(words, str(cwd), str(said)))
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit status.

        Raises
        ------
        TimeoutError
            If it still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"it runs after {timeout} seconds")
        return self._process.exitcode
