"""Videos that are counted for the page, one at a time, frame after frame between the photographs."""

import logging
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..counting.video.series import FrameCount, Summary
from ..errors import SamMpromptError
from ..files import scratch_folder
from ..memory import memory_fault
from ..serve.logs import event
from ..serve.problems import Problem

Frames = Generator[FrameCount, None, None]
_KEPT = 8
_COMING = 2
"""Videos that are received at a time: each may take as much of the disk as a video may have."""


@dataclass(eq=False)
class Film:
    """A video and its counts so far.

    Attributes:
        id: by which the page asks for it.
        name: what its sender calls it.
        path: the file, while it is counted.
        state: whether it is counted still, or what ended it.
        line: why it failed, or what was told of it.
        length: seconds, as far as they are known.
        rows: (seconds, count, low, high) of each frame; without an interval the last two are None.
        summary: of all counts.
        outside: in which respects the first such frame lies outside what training saw.
        stop: set to stop.
    """

    id: str
    name: str
    path: Path
    state: Literal["counting", "done", "stopped", "failed"] = "counting"
    line: str = ""
    length: float | None = None
    rows: list[tuple[float, float, float | None, float | None]] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)
    outside: tuple[str, ...] = ()
    stop: threading.Event = field(default_factory=threading.Event)

    def as_dict(self, since: int) -> dict[str, Any]:
        """Return JSON-ready values, with the rows from a number on."""
        known = self.summary.frames > 0
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state,
            "line": self.line,
            "length": self.length,
            "frames": self.summary.frames,
            "mean": self.summary.mean if known else None,
            "peak": list(self.summary.peak) if known else None,
            "minimum": list(self.summary.minimum) if known else None,
            "warnings": list(self.outside),
            "rows": self.rows[since:],
        }


class Films:
    """Takes videos and counts them in the thread that counts, one frame each time it is their turn.

    Args:
        turns: the thread that counts.
        most: frames of a video.

    Attributes:
        folder: where they lie while they are counted.
    """

    def __init__(self, turns: Executor, most: int) -> None:
        self._turns, self._most = turns, most
        self._held: dict[str, Film] = {}
        self._coming = 0
        self.folder = scratch_folder()

    async def receive(self, number: str, name: str, chunks: AsyncIterator[bytes], most: int) -> Film:
        """Write a video that comes in pieces into a file.

        Raises:
            Problem: 413 where it has too many bytes, 429 where others are being received, 507 where the disk is full.
        """
        if self._coming >= _COMING:
            raise Problem.later(429, "busy", f"Busy: {_COMING} videos are being received. Try again soon.", 5)
        self._coming += 1
        path = self.folder / f"{number}{Path(name).suffix.lower()[:8]}"
        size = 0
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > most:
                        raise Problem(
                            413, "too-many-bytes", f"Expected a video of at most {most / 1e6:g} MB, got more."
                        )
                    file.write(chunk)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise Problem(507, "no-space", f"Cannot keep this video while it is counted: {error.strerror}.") from error
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            self._coming -= 1
        film = Film(number, name, path)
        self._held[number] = film
        for old in [one for one in self._held.values() if one.state != "counting"][:-_KEPT]:
            del self._held[old.id]
        return film

    def get(self, number: str) -> Film:
        """Return a video. Raises Problem 404 where there is none."""
        if number not in self._held:
            raise Problem(404, "video-gone", "This video is no longer held here: open it again.")
        return self._held[number]

    def count(self, film: Film, opened: Callable[[], Frames]) -> None:
        """Count a video in the thread that counts; others of the page stop."""
        for other in self._held.values():
            if other is not film:
                other.stop.set()
        self._turns.submit(self._begin, film, opened)

    def close(self) -> None:
        """Stop all, and delete their files."""
        for film in self._held.values():
            film.stop.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, film: Film, opened: Callable[[], Frames]) -> None:
        try:
            frames = opened()
        except Exception as error:
            self._fail(film, error)
            return
        self._step(film, frames)

    def _step(self, film: Film, frames: Frames) -> None:
        """Count one frame, and ask for the next turn."""
        if film.stop.is_set() or film.summary.frames >= self._most:
            frames.close()
            self._end(
                film, "stopped", "" if film.stop.is_set() else f"Only the first {self._most} frames were counted."
            )
            return
        try:
            frame = next(frames, None)
        except Exception as error:
            self._fail(film, error)
            return
        if frame is None:
            self._end(film, "done", film.line or ("" if film.summary.frames else "It has no frames."))
            return
        error_bar = frame.interval
        low, high = (None, None) if error_bar is None else (error_bar.low, error_bar.high)
        film.rows.append((round(frame.seconds, 3), round(frame.count, 3), low, high))
        film.summary.add(frame.seconds, frame.count)
        film.outside = film.outside or frame.warnings
        try:
            self._turns.submit(self._step, film, frames)
        except RuntimeError:  # the page ends
            frames.close()

    def _fail(self, film: Film, error: Exception) -> None:
        if isinstance(error, SamMpromptError):
            line = str(error).replace(f"'{film.path}'", f"'{film.name}'")
        elif memory_fault(error):
            line = "The memory was not enough for this video now."
        else:
            event("fault", level=logging.ERROR, error=error)
            line = "Counting this video failed: the terminal of the page says why."
        self._end(film, "failed", line)

    def _end(self, film: Film, state: Literal["done", "stopped", "failed"], line: str) -> None:
        film.path.unlink(missing_ok=True)  # first: who is told that it ended finds nothing left
        film.state, film.line = state, line
