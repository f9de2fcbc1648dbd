"""The count of a video over time: a row for each frame that is due, smoothed if asked. Free of torch."""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from statistics import median
from typing import NamedTuple

from ...arrays import ByteImage
from ...errors import RunError
from ..intervals import LEVEL, Interval
from ..regions import RegionCounts, Regions
from ..result import CountResult
from .every import Every
from .frame import Frame, Notice, Video
from .times import clock, span

CountPixels = Callable[[Sequence[ByteImage]], Iterator[CountResult]]
"""Yields the result of each image, in order."""


@dataclass(frozen=True, eq=False)
class FrameCount:
    """How many people one frame shows.

    Attributes:
        index: the frame's number from 0 on.
        seconds: its time from the beginning of the video.
        count: people in the picture at that time, outside ignore zones. It says how many are there, not how many
            have passed.
        smoothed: the median of the counts up to here over the span that was asked for; None where none was.
        clock: of a live stream, when the frame came.
        gap: seconds before this frame that nothing came from, though something should have; 0 usually.
        interval: where the true count of this frame lies, if frames are like the images that the counter was calibrated
            with; None without a calibration, and where regions leave something out.
        regions: the counts of the regions that were asked for.
        warnings: in which respects the frame lies outside what training saw.
        result: density and picture, where they were asked for.
    """

    index: int
    seconds: float
    count: float
    smoothed: float | None = None
    clock: datetime | None = None
    gap: float = 0.0
    interval: Interval | None = None
    regions: RegionCounts | None = None
    warnings: tuple[str, ...] = ()
    result: CountResult | None = field(default=None, repr=False)


class TrailingMedian:
    """The median of what was counted in the last seconds, the newest included.

    One wrong frame does not move it, nothing later is waited for, so that a live stream and a file are smoothed alike;
    it follows a change half a span later. What a gap has pushed out of the span has no part in it.

    Args:
        seconds: the span, as text or a number; 0 for no smoothing at all.

    Raises:
        UsageError: no span of time.
    """

    def __init__(self, seconds: str | float) -> None:
        self.seconds = span(seconds, "smooth", zero=True)
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, seconds: float, count: float) -> float:
        """Note a count and return the median with it; times must not go back."""
        self._recent.append((seconds, count))
        while self._recent[0][0] <= seconds - self.seconds and len(self._recent) > 1:
            self._recent.popleft()
        return float(median(count for _, count in self._recent))


class Extreme(NamedTuple):
    """How many people, and when."""

    people: float = math.nan
    seconds: float = math.nan


@dataclass
class Summary:
    """What a series of counts comes to; takes no more memory however long the series is.

    Attributes:
        frames: how many were counted.
        mean: of their counts; NaN without any.
        peak, minimum: the highest and the lowest count, and its time; NaN without any.
        first, last: times of the first and the last frame; NaN without any.
    """

    frames: int = 0
    mean: float = math.nan
    peak: Extreme = field(default_factory=Extreme)
    minimum: Extreme = field(default_factory=Extreme)
    first: float = math.nan
    last: float = math.nan

    def add(self, seconds: float, count: float) -> None:
        """Note a count."""
        self.frames += 1
        self.mean = count if self.frames == 1 else self.mean + (count - self.mean) / self.frames
        if not count <= self.peak.people:
            self.peak = Extreme(count, seconds)
        if not count >= self.minimum.people:
            self.minimum = Extreme(count, seconds)
        self.first = seconds if self.frames == 1 else self.first
        self.last = seconds


def count_frames(
    video: Video,
    count: CountPixels,
    *,
    every: Every,
    notice: Notice,
    batch_size: int = 1,
    smooth: TrailingMedian | None = None,
    after: float | None = None,
    regions: Regions | None = None,
    level: float = LEVEL,
    results: bool = False,
) -> Generator[FrameCount, None, None]:
    """Yield the count of each frame that is due; at most 2 x batch_size frames are in memory.

    Of a recording, frames are decoded in a thread while those before are counted. Of a live stream each frame is
    counted alone, as soon as it came.

    Args:
        video: opened; closed in the end.
        count: counts images.
        every: which frames are due.
        notice: told of a frame that could not be counted, which is left out.
        batch_size: frames that are counted together.
        smooth: takes each count.
        after: count only frames later than this, in seconds.
        regions: parts of the picture that are counted too.
        level: of the intervals.
        results: whether each count keeps its density and picture.

    Raises:
        RunError: the first frame could not be counted, or a stream was lost for good.
        UsageError: there is no frame that can be decoded, or a region does not fit the frames.
    """
    smooth = smooth if smooth is not None and smooth.seconds else None
    frames = video.frames(every, after)
    batches = _one_by_one(frames) if video.live else _ahead(frames, batch_size)
    counted = 0
    with closing(video), closing(batches):  # the thread ends before the video that it reads is closed
        for batch in batches:
            for frame, result in _counted(batch, count, notice, first=counted == 0):
                counted += 1
                yield _frame_count(frame, result, smooth, regions, level, keep=results)


def _frame_count(
    frame: Frame,
    result: CountResult,
    smooth: TrailingMedian | None,
    regions: Regions | None,
    level: float,
    *,
    keep: bool,
) -> FrameCount:
    parts = None if regions is None else result.regions(regions)
    people = result.count if parts is None else parts.total
    return FrameCount(
        frame.index,
        frame.seconds,
        people,
        None if smooth is None else smooth.add(frame.seconds, people),
        frame.clock,
        frame.gap,
        None if parts is not None and parts.ignores else result.interval(level),
        parts,
        result.warnings,
        result if keep else None,
    )


def _one_by_one(frames: Iterator[Frame]) -> Generator[list[Frame], None, None]:
    for frame in frames:
        yield [frame]


def _ahead(frames: Iterator[Frame], batch_size: int) -> Generator[list[Frame], None, None]:
    """Yield batches, the next of which is decoded meanwhile; what ends them is raised behind those before it."""
    with ThreadPoolExecutor(1, "sam-mprompt-frames") as pool:

        def take() -> list[Frame]:
            return list(islice(frames, batch_size))

        coming = pool.submit(take)
        while batch := coming.result():
            coming = pool.submit(take)
            yield batch


def _counted(
    batch: Sequence[Frame], count: CountPixels, notice: Notice, *, first: bool
) -> Iterator[tuple[Frame, CountResult]]:
    """Yield the result of each frame; where a batch fails, of each alone, so that one that fails costs itself."""
    try:
        results = list(count([frame.pixels for frame in batch]))
    except RunError as error:
        if first and len(batch) == 1:
            raise
        if len(batch) == 1:
            notice(f"The frame at {clock(batch[0].seconds, 1)} was left out: {error}")
            return
        for frame in batch:
            yield from _counted([frame], count, notice, first=first and frame is batch[0])
        return
    yield from zip(batch, results, strict=True)
