"""What `count` is asked to make of a video, and whether that can be made."""

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from .error_bars import LEVEL, check_level
from .ui import check_outputs
from .video_options import VideoOptions

_STDOUT = ("-", "/dev/stdout")


@dataclass(frozen=True)
class Outputs:
    """What `count` makes of images and of a video alike; the overlay of a video is a file.

    Attributes:
        points: where head points were asked for, which a video has not.
        regions: a file of polygons.
        level: of the error bars.
    """

    csv_file: Path | None = None
    resume: bool = False
    as_json: bool = False
    overlay: Path | None = None
    points: Path | None = None
    regions: Path | None = None
    level: float = LEVEL


@dataclass(frozen=True)
class VideoRequest:
    """What is to be made of a video.

    Attributes:
        source: the video, or the images of one.
        options: those of videos alone.
        outputs: what is written and printed.
        max_pixels: the most pixels of a frame.
    """

    source: str | list[str]
    options: VideoOptions
    outputs: Outputs = field(default_factory=Outputs)
    max_pixels: int | None = None

    def check(self) -> None:
        """Refuse, before anything is loaded, what cannot be understood or written. Raises UsageError."""
        from ..counting.video.every import Every
        from ..counting.video.series import TrailingMedian
        from ..counting.video.source import open_video
        from ..data.bounds import Reading

        check_level(self.outputs.level)
        Every.of(self.every)
        TrailingMedian(self.options.smooth or 0)
        self.reconnect()
        self._check_outputs()
        if not self.may_be_live:  # a file that is none is told before the network is loaded
            open_video(self.source, fps=self.options.fps, reading=Reading(self.max_pixels)).close()

    def _check_outputs(self) -> None:
        from ..counting.video.film import FILM_CODECS
        from ..files import check_output, is_stream
        from ..render import PICTURES

        made, jsonl = self.outputs, self.options.jsonl
        if made.points is not None:
            raise UsageError("--points is for images: expected a video without it, or its frames as images.")
        if made.resume and (made.csv_file is None or is_stream(made.csv_file)):
            raise UsageError("--resume-csv needs --csv FILE: the file that holds the counts so far.")
        again = [f"--{name}" for name, file in (("overlay", made.overlay), ("jsonl", jsonl)) if file]
        if made.resume and again:
            raise UsageError(f"--resume-csv goes on with the csv file alone: expected no {' and no '.join(again)}.")
        if [str(made.csv_file) in _STDOUT, str(jsonl) in _STDOUT, made.as_json].count(True) > 1:
            raise UsageError("Expected one of --json, --csv - and --jsonl -: only one of them can be printed.")
        check_outputs(made.csv_file, jsonl)
        if made.overlay is not None:
            check_output(made.overlay, suffixes=tuple(FILM_CODECS))
        if self.options.plot is not None:
            check_output(self.options.plot, suffixes=PICTURES)

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
        return str(self.outputs.csv_file) in _STDOUT or str(self.options.jsonl) in _STDOUT
