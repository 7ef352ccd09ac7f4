"""A Dask cluster of this machine for the length of a block."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


@contextmanager
def local_client(workers: int) -> Iterator[Any]:
    """A client of `workers` processes of one thread, which leave Ctrl-C to this process.

    Raises
    ------
    ValueError
        If the processes cannot be started or reached, as on a machine without a loopback network.
    """
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        try:
            with _held_back(), warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Port .* is already in use")  # another port is taken
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,  # pyright: ignore[reportArgumentType] - None opens no dashboard
                    silence_logs=logging.CRITICAL,
                )
                client = Client(stack.enter_context(cluster), timeout="30s")
            stack.enter_context(client)
        except (OSError, RuntimeError) as error:  # TimeoutError is an OSError
            what = " ".join(str(error).split())[:200] or type(error).__name__
            raise ValueError(
                f"{workers} Dask processes could not be started on this machine ({what}); do without: --workers 1, or "
                "in Python workers=1"
            ) from error
        yield client


@contextmanager
def _held_back() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: they inherit it, and this one gets what came afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
