"""Warnings of the core while a request is answered: they go into its answer instead of onto a terminal."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import DimImageWarning, RegionWarning, SmallerCopyWarning

_OURS = (DimImageWarning, RegionWarning, SmallerCopyWarning)


class Warned:
    """Keeps what is warned of, by the thread that warns or by the name of the file that the warning is about.

    Images are decoded in threads of the counter's, so that their warnings are told by the path that they name.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_thread = threading.local()
        self._of_file: dict[str, list[str]] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear all warnings of the core while the block runs; those of others stay as Python has them."""
        with warnings.catch_warnings():
            for category in _OURS:
                warnings.simplefilter("always", category)
            others = warnings.showwarning

            def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
                if not issubclass(category, _OURS) or not self._heard(str(message)):
                    others(message, category, *rest, **more)

            warnings.showwarning = show
            yield

    @contextmanager
    def here(self) -> Iterator[list[str]]:
        """Yield a list of what is warned of in this thread while the block runs."""
        heard: list[str] = []
        self._of_thread.heard = heard
        try:
            yield heard
        finally:
            self._of_thread.heard = None

    @contextmanager
    def about(self, path: object) -> Iterator[list[str]]:
        """Yield a list of what is warned of a file, in whatever thread, while the block runs."""
        name, heard = str(path), list[str]()
        with self._lock:
            self._of_file[name] = heard
        try:
            yield heard
        finally:
            with self._lock:
                self._of_file.pop(name, None)

    def _heard(self, message: str) -> bool:
        own: list[str] | None = getattr(self._of_thread, "heard", None)
        with self._lock:
            found = [heard for name, heard in self._of_file.items() if f"'{name}'" in message]
        for heard in found if own is None else [own]:
            heard.append(message)
        return own is not None or bool(found)
