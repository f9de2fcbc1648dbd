"""An end for what hangs: a decoder, a connection or a network that gives nothing back ends its process.

Nothing in Python stops a call into C, so the process goes, and Ray starts another.
"""

import faulthandler
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TypeVar

GRACE_SECONDS = 60.0
"""So long is waited for the reason to be noted. It cannot be while C code holds the interpreter, or the store hangs."""

_STDERR = 2

_Row = TypeVar("_Row")


def in_time(rows: Iterator[_Row], seconds: float, late: Callable[[], None]) -> Iterator[_Row]:
    """Yield rows, and end this process when one of them takes longer than so many seconds.

    Args:
        rows: what makes them.
        seconds: from one row to the next, without what the caller does between them.
        late: called in another thread before the end, to note the reason.
    """
    while True:
        with _deadline(seconds, late):
            row = next(rows, None)
        if row is None:
            return
        yield row


@contextmanager
def _deadline(seconds: float, late: Callable[[], None]) -> Iterator[None]:
    timer = Timer(seconds, _end, [late])
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=_STDERR)  # needs no interpreter
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        timer.cancel()


def _end(late: Callable[[], None]) -> None:
    try:
        late()
    finally:
        os._exit(1)
