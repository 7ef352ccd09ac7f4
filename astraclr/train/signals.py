"""Ctrl-C and SIGTERM during training: held back until the end of a step, then delivered."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_signals() -> Iterator[Callable[[], int]]:
    """Hold Ctrl-C and SIGTERM back while the block runs.

    In the middle of a step some weights are a step ahead of others, and of the count of steps: a run resumed from
    there would differ from an uninterrupted one.

    Yields
    ------
    callable
        Gives the number of the first signal that came, or 0.

    Examples
    --------
    >>> with held_signals() as signalled:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     signalled() == signal.SIGTERM
    True
    """
    came: list[int] = []
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    held = [s for s, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    if threading.current_thread() is not threading.main_thread():  # no handler can be set there
        held = []
    for s in held:
        signal.signal(s, lambda number, _: came.append(number))
    try:
        yield lambda: came[0] if came else 0
    finally:
        for s in held:
            signal.signal(s, before[s])


def deliver(number: int) -> None:
    """Raise a signal that was held back; exit with code 128 + number where no handler does more.

    Raises
    ------
    SystemExit
        If the handler of the signal returns, or there is none.
    KeyboardInterrupt
        For Ctrl-C with Python's own handler.
    """
    if callable(signal.getsignal(number)):
        signal.raise_signal(number)
    raise SystemExit(128 + number)
