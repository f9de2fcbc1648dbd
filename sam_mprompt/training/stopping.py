"""Stopping on request: Ctrl-C and SIGTERM end a training after the step that runs; a second one ends it at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether someone asked to stop."""

    asked = False


@contextmanager
def stop_on_signals(say: Callable[[str], None]) -> Iterator[StopRequest]:
    """Note the first signal instead of being ended by it, and say so; former handlers come back afterwards."""
    request = StopRequest()

    def ask(number: int, _frame: FrameType | None) -> None:
        if request.asked:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        request.asked = True
        say("Stopping after this step; again to stop at once.")

    old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
