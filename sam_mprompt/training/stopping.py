"""Stopping on request: Ctrl-C, SIGTERM and SIGHUP end a training after the step that runs; a second one at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows knows no SIGHUP, which tells that the terminal has gone."""


class StopRequest:
    """Whether someone asked to stop."""

    asked = False


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Note the first signal instead of being ended by it, and say so; former handlers come back afterwards.

    In another thread than the main one, which alone hears signals, nothing is ever asked. A signal that is ignored, as
    SIGHUP under nohup, stays so.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(number: int, _frame: FrameType | None) -> None:
        if request.asked:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        request.asked = True
        with suppress(OSError):  # after SIGHUP there may be no terminal to say it on
            say("Stopping after this step; again to stop at once.")

    heard = [number for number in _SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    old = {number: signal.signal(number, ask) for number in heard}
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
