"""`count` of a video: rows as they come, an overlay, a plot, and a summary, whatever ends it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from ..errors import Interrupted, RunError, UsageError
from .advice import advised
from .count_regions import counted_regions
from .error_bars import LEVEL, ErrorBars, check_level
from .ui import check_outputs, messages, print_json, say
from .video_options import VideoOptions

if TYPE_CHECKING:
    from ..counting.counter import Counter
    from ..counting.video.film import Film
    from ..counting.video.frame import Video
    from ..counting.video.plot import Course
    from ..counting.video.series import FrameCount, Summary
    from .count_regions import CountedRegions
    from .video_rows import Columns, Row

OCCUPANCY = (
    "These are people in the picture at each time (occupancy), not how many passed by (flow): somebody who stays is in "
    "every count, and how many different people came takes tracking."
)

_STDOUT = ("-", "/dev/stdout")
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@dataclass(frozen=True)
class VideoRequest:
    """What is to be made of a video: the options of `count` that hold for it.

    Attributes:
        source: the video, or the images of one.
        options: those of videos alone.
        csv_file, resume, as_json, overlay: as for images; the overlay is a file.
        points: where head points were asked for, which a video has not.
        max_pixels: the most pixels of a frame.
        regions: a file of polygons.
        level: of the error bars.
    """

    source: str | list[str]
    options: VideoOptions
    csv_file: Path | None = None
    resume: bool = False
    as_json: bool = False
    overlay: Path | None = None
    points: Path | None = None
    max_pixels: int | None = None
    regions: Path | None = None
    level: float = LEVEL

    def check(self) -> None:
        """Refuse, before anything is loaded, what cannot be understood or written. Raises UsageError."""
        from ..counting.video.every import Every
        from ..counting.video.film import FILM_CODECS
        from ..counting.video.series import TrailingMedian
        from ..counting.video.source import open_video
        from ..data.bounds import Reading
        from ..files import check_output, is_stream
        from ..render import PICTURES

        check_level(self.level)
        Every.of(self.every)
        TrailingMedian(self.options.smooth or 0)
        self.reconnect()
        if self.points is not None:
            raise UsageError("--points is for images: expected a video without it, or its frames as images.")
        if self.resume and (self.csv_file is None or is_stream(self.csv_file)):
            raise UsageError("--resume-csv needs --csv FILE: the file that holds the counts so far.")
        again = [f"--{name}" for name, file in (("overlay", self.overlay), ("jsonl", self.options.jsonl)) if file]
        if self.resume and again:
            raise UsageError(f"--resume-csv goes on with the csv file alone: expected no {' and no '.join(again)}.")
        if [str(self.csv_file) in _STDOUT, str(self.options.jsonl) in _STDOUT, self.as_json].count(True) > 1:
            raise UsageError("Expected one of --json, --csv - and --jsonl -: only one of them can be printed.")
        check_outputs(self.csv_file, self.options.jsonl)
        if self.overlay is not None:
            check_output(self.overlay, suffixes=tuple(FILM_CODECS))
        if self.options.plot is not None:
            check_output(self.options.plot, suffixes=PICTURES)
        if not self.may_be_live:  # a file that is none is told before the network is loaded
            open_video(self.source, fps=self.options.fps, reading=Reading(self.max_pixels)).close()

    @property
    def may_be_live(self) -> bool:
        """Whether the video is an address or a webcam."""
        from ..counting.video.names import scheme_of, webcam_number

        name = self.source
        return isinstance(name, str) and (scheme_of(name) is not None or webcam_number(name) is not None)

    @property
    def every(self) -> str:
        """How often a frame is counted."""
        return self.options.every or "1s"

    def reconnect(self) -> float:
        """Return for how many seconds a lost stream is tried again. Raises UsageError for no span."""
        from ..counting.video.live import RECONNECT
        from ..counting.video.times import span

        given = self.options.reconnect
        return RECONNECT if given is None else span(given, "reconnect", zero=True)

    @property
    def prints_rows(self) -> bool:
        """Whether rows go to stdout, where nothing else may go then."""
        return str(self.csv_file) in _STDOUT or str(self.options.jsonl) in _STDOUT


def count_video(request: VideoRequest, adapter: str, load: "Callable[[], Counter]", batch_size: int) -> None:
    """Count a video, write what was asked for, and print a summary.

    A file that is stopped ends as interrupted; to stop a live stream is its usual end.

    Raises:
        UsageError: the video cannot be read, or its csv file cannot be gone on with.
        RunError: a stream was lost for good, or something could not be drawn; what was counted is kept and printed.
        Interrupted: a file was stopped.
    """
    from ..counting.video.series import TrailingMedian
    from ..counting.video.source import open_video
    from .video_rows import Columns, rows_in

    request.check()
    parts = counted_regions(request.regions)
    Columns(smoothed=bool(request.options.smooth), regions=parts)  # refused before the network is loaded
    counter, options, console = load(), request.options, messages()

    def notice(line: str) -> None:
        say(console, line)

    video = open_video(
        request.source, fps=options.fps, reconnect=request.reconnect(), reading=counter.reading, notice=notice
    )
    if request.resume and video.live:
        raise UsageError("--resume-csv goes on with a file: what a live stream showed meanwhile is gone.")
    bars = ErrorBars(counter.calibration, request.level, of_parts=parts is not None and parts.regions.ignores)
    for line in [bars.why_not(), *(parts.announcement([]) if parts else ())]:
        if line:
            notice(line)
    median = TrailingMedian(options.smooth or 0)
    columns = Columns(bool(options.smooth), bars if bars.missing is None else None, parts)
    known = rows_in(request.csv_file, columns) if request.resume and request.csv_file is not None else []
    made = _Made.of(request, video, console, parts)
    for row in known:
        made.recall(row)
        median.add(row.seconds, row.count)
    if known:
        say(console, f"{len(known)} frames are in '{request.csv_file}' already.")
    frames = counter.count_video(
        video,
        every=request.every,
        smooth=median,
        after=known[-1].seconds if known else None,
        regions=parts.regions if parts else None,
        level=request.level,
        batch_size=batch_size,
        results=True,
        notice=notice,
    )
    with _signals_interrupt():
        ended = made.run(frames, columns)
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

        film = Film(request.overlay, Every.of(request.every).step(video.fps)) if request.overlay is not None else None
        course = Course() if request.options.plot is not None else None
        return cls(request, video, console, Summary(), Summary(), course, film, regions)

    def recall(self, row: "Row") -> None:
        """Take a row that an earlier counting has written."""
        self._note(row.seconds, row.count, row.smoothed, row.interval, row.gap)

    def run(self, frames: "Iterator[FrameCount]", columns: "Columns") -> BaseException | None:
        """Write and draw each count; return what ended the counting before its end."""
        from .video_progress import video_progress
        from .video_rows import csv_rows, json_lines

        request = self.request
        try:
            with ExitStack() as stack:
                told: list[Callable[[FrameCount], None]] = []
                if request.csv_file is not None:
                    told.append(stack.enter_context(csv_rows(request.csv_file, columns, keep=request.resume)))
                if request.options.jsonl is not None:
                    told.append(stack.enter_context(json_lines(request.options.jsonl)))
                show = stack.enter_context(video_progress(self.video, self.console))
                stack.callback(self.video.close)
                for frame in frames:
                    for tell in told:
                        tell(frame)
                    interval = None if frame.interval is None else (frame.interval.low, frame.interval.high)
                    self._note(frame.seconds, frame.count, frame.smoothed, interval, frame.gap)
                    self._warn(frame)
                    self._draw(frame)
                    show(frame)
        except (KeyboardInterrupt, RunError) as error:
            return error
        return None

    def conclude(self, adapter: str, ended: BaseException | None) -> None:
        """Finish the files, print the summary, and raise what is to be told by the exit code."""
        self._finish()
        if self.summary.frames:
            self._print(adapter)
        elif ended is None:
            say(self.console, f"'{self.video.name}' has no further frames.")
        if isinstance(ended, RunError):
            raise ended
        if ended is not None and not self.video.live:
            raise self._interrupted() from ended
        if self.faults:
            raise RunError(f"{', '.join(self.faults)} could not be written: see above.")

    def _interrupted(self) -> Interrupted:
        from ..counting.video.times import clock

        place = f" at {clock(self.summary.last)}" if self.summary.frames else ""
        whole = f" of {clock(self.video.length)}" if place and self.video.length else ""
        about = "stopped video" if self.request.csv_file is not None and not self.request.prints_rows else ""
        return Interrupted(f"stopped{place}{whole}; {self.summary.frames} frames were counted.", about=about)

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
            picture = frame.result.overlay(regions=regions, level=self.request.level)
            self.film.add(frame.seconds, stamped(picture, time_of(frame)))

    def _finish(self) -> None:
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
        if self.request.as_json:
            print_json({"adapter": adapter, **self._record()})
            return
        from ..counting.video.times import clock

        summary, health = self.summary, self.video.health
        rows = []
        span = f"{clock(summary.first)} to {clock(summary.last)}"
        rows.append(("frames counted", f"{summary.frames}, every {self.request.every}, {span}"))
        for name, found in (("", summary), ("smoothed ", self.smoothed)):
            if found.frames:
                rows.append((f"{name}mean", f"{found.mean:,.1f}"))
                rows.append((f"{name}peak", f"{found.peak.people:,.1f} at {clock(found.peak.seconds)}"))
                rows.append((f"{name}minimum", f"{found.minimum.people:,.1f} at {clock(found.minimum.seconds)}"))
        rows.append(("broken frames", str(health.broken)))
        rows.append(("gaps", f"{health.gaps}, {health.gap_seconds:.1f} s together" if health.gaps else "0"))
        if self.outside:
            rows.append(("unlike training", f"{self.outside} frames: expect wrong counts"))
        if self.video.live:
            rows.append(("dropped frames", str(health.dropped)))
        for line in [*(f"{name:<18}{value}" for name, value in rows), OCCUPANCY]:
            typer.echo(line, err=self.request.prints_rows)

    def _record(self) -> dict[str, object]:
        summary, health = self.summary, self.video.health
        return {
            "video": self.video.name,
            "every": self.request.every,
            "frames": summary.frames,
            "first": summary.first,
            "last": summary.last,
            "mean": summary.mean,
            "peak": {"count": summary.peak.people, "seconds": summary.peak.seconds},
            "minimum": {"count": summary.minimum.people, "seconds": summary.minimum.seconds},
            "broken": health.broken,
            "dropped": health.dropped,
            "gaps": health.gaps,
            "gap_seconds": round(health.gap_seconds, 3),
            "ended_early": health.ended_early,
            "unlike_training": self.outside,
            "measures": "occupancy: people in the picture at each time, not how many passed by",
        }


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the counting as Ctrl-C does, so that files are closed; ignored ones stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {n: signal.signal(n, stop) for n in _SIGNALS if signal.getsignal(n) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
