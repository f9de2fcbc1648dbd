"""Requests that come one by one are counted together: a thread gathers images of one adapter and counts them."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from ..counting.result import CountResult, ImageLike
from ..errors import RunError, UsageError
from .memory_file import MemoryFile

_FIRST_GUESS = 0.5
_NEWEST = 0.2
_LONGEST_WAIT = 60


class Counting(Protocol):
    """What a service needs of a counter, torch's or that of an exported file."""

    def count_many(
        self,
        images: Iterable[ImageLike],
        *,
        adapter: str | None = None,
        batch_size: int = 1,
        on_error: Callable[[ImageLike, UsageError], None] | None = None,
    ) -> Iterator[CountResult]:
        """Yield one result per image, in order, leaving out those that `on_error` is called with."""
        ...


@dataclass(eq=False)
class Job:
    """One image that waits to be counted.

    Attributes:
        image: the file, which is held from here too while it is counted.
        adapter: the counter's name of the adapter.
        future: the result. Cancelling it takes the job out of the queue where it is not being counted yet.
        since: when it came, of `time.monotonic`.
        started: when counting began, None before.
    """

    image: MemoryFile
    adapter: str
    future: "Future[CountResult]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    started: float | None = None


Observe = Callable[[int, float], None]
"""Called with (images, seconds) after each call of the counter."""


def _ignore(_images: int, _seconds: float) -> None:
    pass


class Batcher:
    """Counts jobs with one counter, in one thread.

    The oldest job decides which adapter is next; up to `max_batch` jobs of that adapter go with it. Where there are
    fewer, the oldest waits for others until it is `window` seconds old: under load nobody waits, as jobs gather while
    those before them are counted.

    Args:
        counter: counts.
        max_batch: the most images that are counted at once, and tiles per call of the network.
        window: seconds.
        observe: told of what was counted.
    """

    def __init__(self, counter: Counting, *, max_batch: int, window: float, observe: Observe = _ignore) -> None:
        self._counter, self._max_batch, self._window, self._observe = counter, max_batch, window, observe
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._closed = False
        self._seconds = _FIRST_GUESS
        self._since: float | None = None
        self._thread = threading.Thread(target=self._work, name="sam-mprompt-count", daemon=True)

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def close(self, timeout: float | None = None) -> None:
        """Count what waits, and then nothing more; come back when that is done, or after some seconds."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def submit(self, job: Job) -> Job:
        """Put a job into the queue.

        Raises:
            RunError: this batcher was closed.
        """
        with self._changed:
            if self._closed:
                raise RunError("Expected a service that runs, but it was shut down.")
            self._waiting.append(job)
            self._changed.notify_all()
        return job

    def withdraw(self, job: Job) -> None:
        """Take a job out of the queue; one that is being counted is counted for nobody."""
        job.future.cancel()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def busy_for(self) -> float:
        """For how many seconds the counter has been at what it counts now."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def wait(self) -> int:
        """Return in how many whole seconds the queue will be empty, by how long images took so far; 1 to 60."""
        return min(_LONGEST_WAIT, max(1, math.ceil((self.waiting + 1) * self._seconds)))

    def _work(self) -> None:
        while batch := self._next():
            self._since = time.monotonic()
            self._count(batch)
            for job in batch:
                job.image.release()
            seconds, self._since = time.monotonic() - self._since, None
            self._seconds += _NEWEST * (seconds / len(batch) - self._seconds)
            self._observe(len(batch), seconds)

    def _next(self) -> list[Job]:
        """Return the next jobs, which are of one adapter; none where it was closed and nothing is left."""
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
                while (left := self._left()) > 0:
                    self._changed.wait(left)
                if batch := self._taken():
                    return batch

    def _left(self) -> float:
        """Return for how many seconds the oldest job may still wait for others."""
        if not self._waiting or self._closed or len(self._of_oldest()) >= self._max_batch:
            return 0.0
        return self._waiting[0].since + self._window - time.monotonic()

    def _of_oldest(self) -> list[Job]:
        return [job for job in self._waiting if job.adapter == self._waiting[0].adapter][: self._max_batch]

    def _taken(self) -> list[Job]:
        """Take the next jobs out of the queue, without those that were cancelled."""
        chosen = self._of_oldest()
        self._waiting = [job for job in self._waiting if job not in chosen]
        now, batch = time.monotonic(), list[Job]()
        for job in chosen:
            job.image.hold()  # first: whoever waits for the count may give up, and release it, at any time
            if job.future.set_running_or_notify_cancel():
                job.started = now
                batch.append(job)
            else:
                job.image.release()
        return batch

    def _count(self, batch: list[Job]) -> None:
        """Count jobs together; where that fails for one of them, each alone, so that it fails for that one only."""
        try:
            self._deliver(batch)
        except Exception as error:
            unanswered = [job for job in batch if not job.future.done()]
            if len(batch) == 1:
                for job in unanswered:
                    job.future.set_exception(error)
                return
            for job in unanswered:
                self._count([job])

    def _deliver(self, batch: list[Job]) -> None:
        jobs = {str(job.image.path): job for job in batch}

        def refused(image: ImageLike, error: UsageError) -> None:
            jobs[str(image)].future.set_exception(error)

        paths: list[ImageLike] = [job.image.path for job in batch]
        counted = self._counter.count_many(
            paths, adapter=batch[0].adapter, batch_size=self._max_batch, on_error=refused
        )
        for result in counted:
            jobs[str(result.image)].future.set_result(result)
        for job in jobs.values():
            if not job.future.done():
                raise RunError("Expected a count of each image that was given to the counter, got none for one.")
