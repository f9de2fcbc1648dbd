"""A request from its first byte to its answer: let in, read, looked at, counted with others, drawn."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from ..data.image import read_header
from ..errors import RunError, SamMpromptError, UsageError
from ..memory import memory_fault
from .admission import Admission
from .answer import MEDIA, Counted, accepted, answer, picture
from .asked import Asked, Picture, of_fields
from .batcher import Batcher, Job
from .body import Body, read_body
from .limits import Limits
from .loading import Served, chosen, no_such
from .memory_file import MemoryFile, NoRoomError
from .metrics import Metrics
from .problems import Problem
from .warned import Warned

_THREADS = 4
_T = TypeVar("_T")


@dataclass
class _Progress:
    """How far a request has come, to say where its time went."""

    read: bool = False
    job: Job | None = None


class Service:
    """Adapters that count for others.

    Args:
        served: by name; the first counts where none is asked for.
        limits: what is taken at most.
    """

    def __init__(self, served: Mapping[str, Served], limits: Limits) -> None:
        self.served, self.limits = served, limits
        self.metrics, self.warned = Metrics(), Warned()
        self.draining = False
        self._batchers = {
            id(one.counter): Batcher(
                one.counter, max_batch=limits.max_batch, window=limits.window, observe=self.metrics.batch
            )
            for one in served.values()
        }
        self.admission = Admission(limits, self._wait)
        self._pool = ThreadPoolExecutor(_THREADS, "sam-mprompt-serve")
        self.metrics.watch("inside", "Requests that are worked on.", lambda: self.admission.inside)
        self.metrics.watch("held_bytes", "Bytes of their bodies.", lambda: self.admission.bytes)
        self.metrics.watch("queue", "Images that wait to be counted.", lambda: self.waiting)

    @contextmanager
    def running(self) -> Iterator["Service"]:
        """Count while the block runs; what waits in its end is counted still."""
        with self.warned.listening():
            for batcher in self._batchers.values():
                batcher.start()
            try:
                yield self
            finally:
                self.drain()
                for batcher in self._batchers.values():
                    batcher.close(self.limits.stuck_after)
                self._pool.shutdown(wait=False, cancel_futures=True)

    def drain(self) -> None:
        """Take no more requests."""
        self.draining = True

    @property
    def waiting(self) -> int:
        """Images that wait to be counted."""
        return sum(batcher.waiting for batcher in self._batchers.values())

    def fault(self) -> str | None:
        """Say why this process should be started anew, None while it works."""
        for batcher in self._batchers.values():
            if not batcher.alive:
                return "expected a thread that counts, but it has ended"
            if batcher.busy_for > self.limits.stuck_after:
                return f"expected a count within {self.limits.stuck_after:g} s, but one takes {batcher.busy_for:.0f} s"
        return None

    async def count(self, request: Request, asked: Asked) -> Response:
        """Answer a request.

        Raises:
            Problem: it cannot be answered.
            ClientDisconnect: nobody waits for the answer; what was not counted yet is not counted.
        """
        kind = accepted(request.headers.get("accept", ""))
        if self.draining:
            raise Problem.later(503, "shutting-down", "This service shuts down: ask another one.", 1)
        progress = _Progress()
        with self.admission.visit() as visit:
            try:
                async with asyncio.timeout(self.limits.timeout):
                    body = await read_body(request, self.limits, visit)
                    progress.read = True
                    whole = of_fields(asked, body.fields)
                    if (served := chosen(self.served, whole.adapter)) is None:
                        raise Problem(404, "no-such-adapter", no_such(self.served, whole.adapter or ""))
                    request.state.adapter = served.name
                    return await _unless_gone(request, self._answer(body, whole, served, kind, progress))
            except TimeoutError as error:
                raise self._late(progress) from error

    async def _answer(
        self, body: Body, asked: Asked, served: Served, kind: Picture | None, progress: _Progress
    ) -> Response:
        with _told(body.name):
            image = await self._aside(MemoryFile, body.image)
        body.image = b""  # held twice otherwise
        try:
            with self.warned.about(image.path) as heard, _told(body.name, image):
                with _refused("unusable-image", image, body.name):
                    await self._aside(read_header, image.path, served.reading, image=image)
                    progress.job = Job(image, served.inner)
                    result = await self._counted(served, progress.job)
                self.metrics.images.labels(served.name).inc()
                counted = Counted(result, served, image, body.name, heard)
                with _refused("unusable-regions", image, body.name):
                    return await self._told_as(counted, asked, kind)
        finally:
            image.release()

    async def _told_as(self, counted: Counted, asked: Asked, kind: Picture | None) -> Response:
        if kind is None:
            text = await self._aside(_as_json, counted, asked, self.limits, self.warned, image=counted.image)
            return Response(text, media_type="application/json")
        content = await self._aside(picture, counted, asked, kind, self.limits, image=counted.image)
        headers = {"X-Count": f"{counted.result.count:.4f}", "X-Adapter": counted.served.name}
        return Response(content, media_type=MEDIA[kind], headers=headers)

    async def _counted(self, served: Served, job: Job) -> Any:
        batcher = self._batchers[id(served.counter)]
        batcher.submit(job)
        try:
            result = await asyncio.wrap_future(job.future)
        finally:
            batcher.withdraw(job)
        if job.started is not None:
            self.metrics.waited.observe(job.started - job.since)
        return result

    async def _aside(self, function: Callable[..., _T], *arguments: Any, image: MemoryFile | None = None) -> _T:
        """Run what takes a while in a thread, which holds the image, so that others are answered meanwhile."""
        running = self._pool.submit(function, *arguments)
        if image is not None:
            image.hold()
            running.add_done_callback(lambda _: image.release())
        return await asyncio.wrap_future(running)

    def _wait(self) -> int:
        return max(batcher.wait() for batcher in self._batchers.values())

    def _late(self, progress: _Progress) -> Problem:
        most = f"{self.limits.timeout:g} s"
        if not progress.read:
            return Problem(408, "slow-request", f"Expected the whole request within {most}: send a smaller image.")
        if progress.job is not None and progress.job.started is None:
            seconds = self._wait()
            text = f"Busy: the turn of this request did not come within {most}. Try again in {seconds} s."
            return Problem.later(503, "queue-timeout", text, seconds)
        return Problem(504, "timeout", f"Expected an answer within {most}, but it takes longer: send a smaller image.")


def _as_json(counted: Counted, asked: Asked, limits: Limits, warned: Warned) -> str:
    return answer(counted, asked, limits, warned).model_dump_json()


@contextmanager
def _refused(kind: str, image: MemoryFile, name: str) -> Iterator[None]:
    """Turn what is wrong with a request into 422."""
    try:
        yield
    except UsageError as error:
        kind = "too-many-pixels" if error.about == "too many pixels" else kind
        raise Problem(422, kind, image.unnamed(error, name)) from error


@contextmanager
def _told(name: str, image: MemoryFile | None = None) -> Iterator[None]:
    """Turn what failed into 500, and a full memory or disk into 503."""
    try:
        yield
    except (MemoryError, SamMpromptError, RuntimeError) as error:
        if isinstance(error, NoRoomError):
            raise Problem.later(503, "no-space", f"{error} Try again later.", 5) from error
        if memory_fault(error):
            text = "The memory was not enough for this image now: try again later, or send a smaller one."
            raise Problem.later(503, "memory", text, 5) from error
        if isinstance(error, RunError):
            detail = str(error) if image is None else image.unnamed(error, name)
            raise Problem(500, "counting-failed", detail) from error
        raise


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Response]) -> Response:
    """Return what work returns, or stop it when the client closes the connection. Raises ClientDisconnect then."""
    answering, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientDisconnect
        return answering.result()
    finally:
        for task in (answering, gone):
            task.cancel()
        await asyncio.gather(answering, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
