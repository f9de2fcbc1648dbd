"""Who may come in: requests up to a number, and their bodies up to a number of bytes in all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .limits import Limits
from .problems import Problem


class Admission:
    """Counts requests from before their bodies are read until they are answered. For one event loop, no threads.

    Args:
        limits: how many, and how many bytes.
        wait: in how many seconds there will be room, as far as one can tell.
    """

    def __init__(self, limits: Limits, wait: Callable[[], int]) -> None:
        self._limits, self._wait = limits, wait
        self.inside, self.bytes = 0, 0

    @contextmanager
    def visit(self) -> Iterator["Visit"]:
        """Let a request in until the block ends. Raises Problem 429 where there is no room."""
        if self.inside >= self._limits.queue:
            raise self._full(f"{self._limits.queue} requests are being worked on, as many as are taken at a time")
        self.inside += 1
        visit = Visit(self)
        try:
            yield visit
        finally:
            self.inside -= 1
            self.bytes -= visit.bytes

    def hold(self, number: int) -> None:
        """Take further bytes. Raises Problem 429 where all together would be too many."""
        if self.bytes + number > self._limits.held_bytes:
            raise self._full(f"the bodies of all requests have {self._limits.held_bytes} bytes, the most that is held")
        self.bytes += number

    def _full(self, why: str) -> Problem:
        seconds = self._wait()
        return Problem.later(429, "queue-full", f"Busy: {why}. Try again in {seconds} s.", seconds)


class Visit:
    """One request that was let in."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.bytes = 0

    def hold(self, number: int) -> None:
        """Take further bytes of its body. Raises Problem 429 where those of all requests would be too many."""
        self._admission.hold(number)
        self.bytes += number
