"""SIGTERM and SIGHUP end a command as Ctrl-C does: files are closed, and what is half written goes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt in the block; ignored ones, as under nohup, stay so.

    Former handlers come back afterwards. In another thread than the main one, which alone hears signals, nothing
    changes. A training and a server listen by themselves while they run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {n: signal.signal(n, stop) for n in _SIGNALS if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
