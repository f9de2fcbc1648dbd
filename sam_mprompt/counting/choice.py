"""Which of several things a thread uses."""

import threading


class Choice:
    """A name that each thread chooses for itself.

    A thread that has chosen nothing takes what was chosen in the thread that made this object, so that one may choose
    in the main thread and let a pool of others work.
    """

    def __init__(self, name: str) -> None:
        self._common = name
        self._maker = threading.current_thread()
        self._own = threading.local()

    def __reduce__(self) -> tuple[type["Choice"], tuple[str]]:
        return Choice, (self.get(),)

    def get(self) -> str:
        """Return this thread's choice."""
        return str(getattr(self._own, "name", self._common))

    def set(self, name: str) -> None:
        """Choose for this thread, and in the maker's also for those that choose nothing."""
        if threading.current_thread() is self._maker:
            self._common = name
        else:
            self._own.name = name
