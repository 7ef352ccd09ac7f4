"""A Dask cluster of this machine for the length of a block."""

from __future__ import annotations

import logging
import signal
import threading
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
            with _ignored(), warnings.catch_warnings():
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
def _ignored() -> Iterator[None]:
    """Ignore Ctrl-C while processes are started, which inherit this: when it comes, only this process speaks.

    A mask would not do: `multiprocessing` lifts it before it starts a process.
    """
    if threading.current_thread() is not threading.main_thread():  # no handler can be set there
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
