"""A video with an end, in a file or behind an address: its frames by the container's own times, broken ones passed."""

from collections.abc import Iterator

from ...errors import UsageError
from .capture import Capture
from .every import Every, Schedule
from .frame import Frame, Health, Notice, silent
from .times import clock

_MOST_BROKEN = 1000
"""Frames in a row that may be broken; behind more of them nothing is looked for."""

_SOME_BROKEN = 100
"""The same, where the container does not say how many frames it has."""

_USUAL_FPS = 25.0


class Recording:
    """A video with an end.

    Args:
        capture: just opened.
        name: what it is called, without passwords.
        notice: told of broken frames and of an early end.
    """

    live = False

    def __init__(self, capture: Capture, name: str, notice: Notice = silent) -> None:
        self.name, self.health = name, Health()
        self._capture, self._notice = capture, notice
        self._expected = capture.frame_count
        self.fps = capture.fps
        self.length = self._expected / self.fps if self._expected and self.fps else None

    def frames(self, every: Every, after: float | None = None) -> Iterator[Frame]:
        """Yield the frames that are due: see `Video.frames`."""
        schedule, nominal = Schedule(every, after), 1 / (self.fps or _USUAL_FPS)
        longest = max(3 * nominal, 1.5 * (every.step(self.fps) or 0))
        last, gap = None, 0.0
        try:
            while self._grab():
                seconds = self._capture.seconds
                if last is not None:
                    if seconds <= last:  # some containers do not tell the time of their last frames
                        seconds = last + nominal
                    if seconds - last > longest:
                        gap += seconds - last
                        self.health.gap(seconds - last)
                last = seconds
                index = self.health.frames + self.health.broken - 1
                if not schedule.due(index, seconds):
                    continue
                pixels = self._capture.retrieve()
                if pixels is None:
                    self.health.frames -= 1
                    self._break(1, seconds)
                    schedule.missed()
                    continue
                yield Frame(index, seconds, pixels, gap=gap)
                gap = 0.0
            self._end(last, nominal)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    def _grab(self) -> bool:
        """Go to the next frame that is whole; broken ones on the way are counted. False at the end."""
        seen = self.health.frames + self.health.broken
        patience = _SOME_BROKEN if self._expected is None else min(max(self._expected - seen, 1), _MOST_BROKEN)
        for failed in range(patience):
            if self._capture.grab():
                if failed:
                    self._break(failed, self._capture.seconds)
                self.health.frames += 1
                return True
        return False

    def _break(self, frames: int, seconds: float) -> None:
        if self.health.broken == 0:
            self._notice(f"'{self.name}' has broken frames, the first of them before {clock(seconds)}: passed over.")
        self.health.broken += frames

    def _end(self, last: float | None, nominal: float) -> None:
        if last is None:
            raise UsageError(f"'{self.name}' holds no frame that can be decoded: expected a video with pictures.")
        end = last + nominal
        if self.length is not None and self.length - end > max(3 * nominal, 0.001 * self.length):
            self.health.ended_early = True
            self._notice(
                f"'{self.name}' ends at {clock(end)} of {clock(self.length)}: what follows is missing or broken."
            )
