"""`count` of a video: rows as they come, an overlay, a plot, and a summary, whatever ends it."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from ..errors import Interrupted, RunError, UsageError
from ..shown import shown
from .advice import advised
from .count_regions import counted_regions
from .error_bars import ErrorBars
from .ui import messages, print_json, say
from .video_report import Report
from .video_request import VideoRequest

if TYPE_CHECKING:
    from ..counting.any_counter import AnyCounter
    from ..counting.video.film import Film
    from ..counting.video.frame import Video
    from ..counting.video.plot import Course
    from ..counting.video.series import FrameCount, Summary
    from .count_regions import CountedRegions
    from .video_rows import Columns, Row


def count_video(request: VideoRequest, adapter: str, load: "Callable[[], AnyCounter]", batch_size: int) -> None:
    """Count a video, write what was asked for, and print a summary.

    A file that is stopped ends as interrupted; to stop a live stream is its usual end.

    Raises:
        UsageError: the video cannot be read, or its csv file cannot be gone on with.
        RunError: a stream was lost for good, or something could not be drawn; what was counted is kept and printed.
        Interrupted: a file was stopped.
    """
    from ..counting.video.source import open_video
    from .video_median import MedianOfRows
    from .video_rows import Columns, rows_in

    request.check()
    parts = counted_regions(request.outputs.regions)
    Columns(smoothed=bool(request.options.smooth), regions=parts)  # refused before the network is loaded
    counter, options, console = load(), request.options, messages()

    def notice(line: str) -> None:
        say(console, line)

    video = open_video(
        request.source, fps=options.fps, reconnect=request.reconnect(), reading=counter.reading, notice=notice
    )
    if request.outputs.resume and video.live:
        raise UsageError("--resume-csv goes on with a file: what a live stream showed meanwhile is gone.")
    bars = ErrorBars(counter.calibration, request.outputs.level, of_parts=parts is not None and parts.regions.ignores)
    for line in [bars.why_not(), *(parts.announcement([]) if parts else ())]:
        if line:
            notice(line)
    median = MedianOfRows(options.smooth or 0)
    columns = Columns(bool(options.smooth), bars if bars.missing is None else None, parts)
    file = request.outputs.csv_file if request.outputs.resume else None
    known = rows_in(file, columns) if file is not None else []
    made = _Made.of(request, video, console, parts)
    for row in known:
        made.recall(row)
        median.add(row.seconds, row.count)
    if known:
        say(console, f"{len(known)} frames are in '{request.outputs.csv_file}' already.")
    frames = counter.count_video(
        video,
        every=request.every,
        smooth=median,
        after=known[-1].seconds if known else None,
        regions=parts.regions if parts else None,
        level=request.outputs.level,
        batch_size=batch_size,
        results=True,
        notice=notice,
    )
    try:
        ended = made.run(frames, columns)
    finally:
        made.finish()
    made.conclude(adapter, ended)


@dataclass
class _Made:
    """What is made of a video, and what became of it."""

    request: VideoRequest
    video: "Video"
    console: Console
    summary: "Summary"
    smoothed: "Summary"
    course: "Course | None"
    film: "Film | None"
    regions: "CountedRegions | None" = None
    outside: int = 0
    faults: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, request: VideoRequest, video: "Video", console: Console, regions: "CountedRegions | None") -> "_Made":
        from ..counting.video.every import Every
        from ..counting.video.film import Film
        from ..counting.video.plot import Course
        from ..counting.video.series import Summary

        film = (
            Film(request.outputs.overlay, Every.of(request.every).step(video.fps))
            if request.outputs.overlay is not None
            else None
        )
        course = Course() if request.options.plot is not None else None
        return cls(request, video, console, Summary(), Summary(), course, film, regions)

    def recall(self, row: "Row") -> None:
        """Take a row that an earlier counting has written."""
        self._note(row.seconds, row.count, row.smoothed, row.interval, row.gap)

    def run(self, frames: "Generator[FrameCount, None, None]", columns: "Columns") -> BaseException | None:
        """Write and draw each count; return what ended the counting before its end."""
        from .video_progress import video_progress
        from .video_rows import csv_rows, json_lines

        outputs, jsonl = self.request.outputs, self.request.options.jsonl
        try:
            with ExitStack() as stack:
                told: list[Callable[[FrameCount], None]] = []
                if outputs.csv_file is not None:
                    told.append(stack.enter_context(csv_rows(outputs.csv_file, columns, keep=outputs.resume)))
                if jsonl is not None:
                    told.append(stack.enter_context(json_lines(jsonl)))
                show = stack.enter_context(video_progress(self.video, self.console))
                stack.callback(self.video.close)
                stack.enter_context(closing(frames))  # before the video, which a thread of it may be reading
                for frame in frames:
                    for tell in told:
                        tell(frame)
                    interval = None if frame.interval is None else (frame.interval.low, frame.interval.high)
                    self._note(frame.seconds, frame.count, frame.smoothed, interval, frame.gap)
                    self._warn(frame)
                    self._draw(frame)
                    show(frame)
        except (KeyboardInterrupt, RunError, UsageError) as error:
            return error
        return None

    def conclude(self, adapter: str, ended: BaseException | None) -> None:
        """Print the summary, and raise what is to be told by the exit code."""
        if self.summary.frames:
            self._print(adapter)
        elif ended is None:
            say(self.console, f"'{self.video.name}' has no further frames.")
        if isinstance(ended, RunError | UsageError):
            raise ended
        if ended is not None and not self.video.live:
            raise self._interrupted() from ended
        if self.faults:
            raise RunError(f"{', '.join(self.faults)} could not be written: see above.")

    def _interrupted(self) -> Interrupted:
        from ..counting.video.times import clock

        place = f" at {clock(self.summary.last)}" if self.summary.frames else ""
        whole = f" of {clock(self.video.length)}" if place and self.video.length else ""
        line = f"stopped{place}{whole}; {self.summary.frames} frames were counted."
        if self.request.outputs.csv_file is None or self.request.prints_rows:
            return Interrupted(line)
        return Interrupted(line, about="stopped video")

    def _note(
        self, seconds: float, count: float, smoothed: float | None, interval: tuple[float, float] | None, gap: float
    ) -> None:
        self.summary.add(seconds, count)
        if smoothed is not None:
            self.smoothed.add(seconds, smoothed)
        if self.course is not None:
            self.course.add(seconds, count, smoothed, interval, gap)

    def _warn(self, frame: "FrameCount") -> None:
        """Tell of the first frame that lies outside what training saw, and count the others."""
        from ..counting.video.times import clock

        if not frame.warnings:
            return
        self.outside += 1
        if self.outside == 1:
            place = f"The frame at {clock(frame.seconds)}"
            say(self.console, f"{place}: {'; '.join(frame.warnings)}: expect a wrong count. Others are counted.")

    def _draw(self, frame: "FrameCount") -> None:
        from ..counting.video.film import stamped
        from .video_rows import time_of

        if self.film is None or frame.result is None:
            return
        with self._costing_itself(self.film.path):
            regions = self.regions.regions if self.regions else None
            picture = frame.result.overlay(regions=regions, level=self.request.outputs.level)
            self.film.add(frame.seconds, stamped(picture, time_of(frame)))

    def finish(self) -> None:
        """Finish the film and draw the plot, of whatever was counted."""
        from ..counting.video.plot import plot
        from ..render import save_image

        if self.film is not None:
            with self._costing_itself(self.film.path):
                self.film.close()
        file = self.request.options.plot
        if self.course is not None and file is not None and len(self.course):
            with self._costing_itself(file):
                save_image(file, plot(self.course, f"{self._title()}, every {self.request.every}"))

    @contextmanager
    def _costing_itself(self, file: Path) -> Iterator[None]:
        """Let a picture that cannot be written cost a line, and not the counts."""
        try:
            yield
        except (UsageError, RunError) as error:
            self.faults.append(f"'{file}'")
            self.film = None if self.film is not None and self.film.path == file else self.film
            say(self.console, advised(error))

    def _title(self) -> str:
        return os.path.basename(self.video.name.rstrip("/")) or self.video.name  # noqa: PTH119 - it may be an address

    def _print(self, adapter: str) -> None:
        report = Report(self.video, self.request.every, self.summary, self.smoothed, self.outside)
        if self.request.outputs.as_json:
            print_json({"adapter": adapter, **report.record()})
            return
        for line in report.lines():
            typer.echo(shown(line), err=self.request.prints_rows)
