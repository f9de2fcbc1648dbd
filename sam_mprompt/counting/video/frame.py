"""What any video is to the one who counts it: frames with their times, and a record of what went wrong."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ...arrays import ByteImage
from .every import Every

Notice = Callable[[str], None]
"""Called with one line about what has just happened: a lost stream, broken frames, a file that ends early."""


def silent(_line: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    Attributes:
        index: its number from 0 on; of a live stream, among the frames that came.
        seconds: when it is shown, as the container tells; of a live stream, since the first frame came.
        pixels: uint8 RGB (H, W, 3), upright.
        clock: when it came, of a live stream.
        gap: seconds before it that nothing came from, though something should have.
    """

    index: int
    seconds: float
    pixels: ByteImage = field(repr=False)
    clock: datetime | None = None
    gap: float = 0.0


@dataclass
class Health:
    """What went wrong with a video so far.

    Attributes:
        frames: frames that came, counted or not.
        broken: frames that came and could not be decoded.
        dropped: of a live stream, times at which a frame was due while the one before was still being counted.
        gaps: how often nothing came where something should have.
        gap_seconds: how long these gaps were together.
        ended_early: whether a file ended before its own length.
    """

    frames: int = 0
    broken: int = 0
    dropped: int = 0
    gaps: int = 0
    gap_seconds: float = 0.0
    ended_early: bool = False

    def gap(self, seconds: float) -> None:
        """Note a gap."""
        self.gaps += 1
        self.gap_seconds += seconds


class Video(Protocol):
    """A source of frames, opened."""

    @property
    def name(self) -> str:
        """What was opened, without passwords."""

    @property
    def live(self) -> bool:
        """Whether time goes on by itself: of a stream or a webcam the newest frame counts, and there is no end."""

    @property
    def fps(self) -> float | None:
        """Frames per second, where that is known."""

    @property
    def length(self) -> float | None:
        """Seconds from the first frame to the end of the last one, as the container tells; None where it does not."""

    @property
    def health(self) -> Health:
        """What went wrong so far."""

    def frames(self, every: Every, after: float | None = None) -> Iterator[Frame]:
        """Yield the frames that are due, later than `after` seconds. To be called once.

        Raises:
            RunError: a live stream was lost and did not come back.
            UsageError: there is no frame that can be decoded.
        """

    def close(self) -> None:
        """Let go of what was opened; can be called twice."""
