"""A Dask cluster to compute with, of this machine or of a scheduler elsewhere; what is missing is said in one line."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

_KEPT_MEMORY = 1 << 28
"""Bytes of freed memory that a worker keeps for its next step. Dask's own 65,536 make every large array of an encoder
new to the operating system, which takes about a third of a worker's time."""
_AT_ONCE = 2
"""Tasks that wait at a worker while it computes: none is idle, and little is lost with it."""


@contextmanager
def cluster(workers: int, scheduler: str | None = None) -> Iterator[Any]:
    """Give a Dask client: of `workers` processes of one thread on this machine, or of a scheduler at an address.

    Raises
    ------
    ImportError
        Without the packages of the extra ``data``.
    OSError
        If this machine has no loopback network, or no scheduler answers.
    ValueError
        If the scheduler has no worker, or the processes cannot be started.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError("several workers need Dask; install it with: pip install 'astraclr[data]'") from error
    if scheduler is not None:
        with _connected(Client, scheduler) as client:
            yield client
        return
    need_loopback()
    with _local_client(workers) as client:
        yield client


@contextmanager
def _local_client(workers: int) -> Iterator[Any]:
    """A client of `workers` processes of one thread, which leave Ctrl-C to this process.

    Raises
    ------
    ValueError
        If the processes cannot be started or reached, as on a machine without a loopback network.
    """
    import dask
    from distributed import Client, LocalCluster

    environment = "distributed.nanny.pre-spawn-environ"
    memory = {f"{environment}.MALLOC_{what}_THRESHOLD_": _KEPT_MEMORY for what in ("TRIM", "MMAP")}
    with ExitStack() as stack:
        try:
            with _ignored(), warnings.catch_warnings(), dask.config.set(memory):
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


def need_loopback() -> None:
    """Refuse to start processes that could not talk to one another.

    Raises
    ------
    OSError
        If nothing can connect to 127.0.0.1.
    """
    try:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(1)
            with socket.create_connection(listening.getsockname(), timeout=5):
                return
    except OSError as error:
        raise OSError(
            f"Dask's workers talk over the loopback address 127.0.0.1, which does not work here ({error}): "
            "compute with one worker, which needs none (--workers 1)"
        ) from error


def _connected(client: Callable[..., Any], address: str) -> Any:
    try:
        made = client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise OSError(
            f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`, and give the address "
            "that it prints, such as tcp://10.0.0.1:8786"
        ) from error
    if not made.nthreads():
        made.close()
        raise ValueError(f"the Dask scheduler at {address} has no worker; start some with `dask worker {address}`")
    return made


def as_done(client: Any, function: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Results of a function for each tuple of arguments, as they come; without a client one after the other, here.

    Only a few calls a worker are under way, so that neither the scheduler nor a failure has to do with all of them.
    A call whose worker died is made again by another worker.

    Raises
    ------
    ChildProcessError
        If the workers died again and again at one call.
    """
    if client is None:
        yield from (function(*call) for call in calls)
        return
    from distributed import KilledWorker, as_completed

    at_once = _AT_ONCE * max(1, len(client.nthreads()))
    left = iter(calls)
    running = [client.submit(function, *call, pure=False) for call in islice(left, at_once)]
    done = as_completed(running)
    under_way = set(running)
    try:
        for future in done:
            try:
                result = future.result()
            except KilledWorker as error:
                raise ChildProcessError(
                    f"workers died again and again at one partition, most likely for want of memory ({error}); start "
                    "fewer workers, and run the same command again: what is done is kept"
                ) from error
            under_way.discard(future)
            if (call := next(left, None)) is not None:
                more = client.submit(function, *call, pure=False)
                under_way.add(more)
                done.add(more)
            yield result
    finally:
        client.cancel(list(under_way))
