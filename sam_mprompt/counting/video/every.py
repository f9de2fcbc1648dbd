"""How often a frame is counted, and which frame it is then."""

import re
from dataclasses import dataclass
from math import floor

from ...errors import UsageError
from .times import span

_FRAMES = re.compile(r"(\d{1,9}) ?(f|frames?)")
_SAME = 5e-4
"""Seconds; containers store times in milliseconds, so that 1 s may be read as 0.9997 s."""


@dataclass(frozen=True)
class Every:
    """The distance between two frames that are counted.

    Attributes:
        seconds: by time, as the container or the clock tells it; None where frames are numbered.
        frames: by number; None where time decides.
    """

    seconds: float | None = None
    frames: int | None = None

    @classmethod
    def of(cls, value: "Every | str | float") -> "Every":
        """Return what "1s", "500ms", "10min", "10f", "10 frames", or a number of seconds means.

        Raises:
            UsageError: anything else; a bare number as text, which may be either.
        """
        if isinstance(value, Every):
            return value
        found = _FRAMES.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is not None and int(found[1]) > 0:
            return cls(frames=int(found[1]))
        try:
            return cls(seconds=span(value, "every"))
        except UsageError as error:
            raise UsageError(
                f"every: expected a time or a number of frames, such as 1s, 500ms, 10min or 10f, got {value!r}."
            ) from error

    def step(self, fps: float | None) -> float | None:
        """Return the seconds from one frame to the next, None where only the frame rate would tell, and it is None."""
        if self.seconds is not None:
            return self.seconds
        assert self.frames is not None, "one of both is given"
        return self.frames / fps if fps else None


class Schedule:
    """Says of the frames of a video, one after the other, which ones are counted.

    Time is divided into slots of `every`, from 0 on; the first frame of each slot is due, and of a slot whose first
    frames are missing the first one that came. So the frames that are counted depend on the video alone, not on where
    a counting was gone on with.

    Args:
        every: the length of a slot.
        after: no frame up to this time, in seconds, is due.
    """

    def __init__(self, every: Every, after: float | None = None) -> None:
        self.every, self.after = every, after
        self._slot = self._before = -1

    def due(self, index: int, seconds: float) -> bool:
        """Whether this frame is counted: its number from 0 on, and its time."""
        slot = self._slot_of(index, seconds)
        if slot <= self._slot:
            return False
        self._before, self._slot = self._slot, slot
        return self.after is None or seconds > self.after + _SAME

    def missed(self) -> None:
        """Take back the last answer, for the frame could not be decoded: the next one is due instead."""
        self._slot = self._before

    @property
    def next_seconds(self) -> float | None:
        """When the next slot begins; None where frames are numbered."""
        if self.every.seconds is None:
            return None
        following = (self._slot + 1) * self.every.seconds
        return following if self.after is None else max(following, self.after)

    def _slot_of(self, index: int, seconds: float) -> int:
        if self.every.seconds is not None:
            return floor((seconds + _SAME) / self.every.seconds)
        assert self.every.frames is not None, "one of both is given"
        return index // self.every.frames
