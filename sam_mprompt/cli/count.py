"""`count`: count the people in images."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..errors import Interrupted, RunError, SamMpromptError, UsageError
from .advice import advised
from .count_adapters import AdapterOfImages, OtherAdapters
from .count_ray import count_with_ray, only_local
from .count_regions import CountedRegions, RegionsFile, counted_regions
from .count_video import count_video
from .error_bars import LEVEL, ErrorBars, Level, check_level
from .image_paths import Found, expand, named, picture_names
from .outside import Outside
from .ray_options import Actors, Engine, ImageTimeout, PartSize, PointsColumn, RayAddress, RayOptions, To
from .together import Flip, Means, Scales, Together
from .ui import (
    Adapter,
    Base,
    BatchSize,
    Device,
    MaxPixels,
    Paths,
    StreamedTable,
    StretchOfAdapter,
    check_outputs,
    messages,
    print_json,
    progress,
    recorded,
    say,
)
from .video_options import Every, Fps, Jsonl, Plot, Reconnect, Smooth, VideoOptions, video_among
from .video_request import Outputs, VideoRequest

if TYPE_CHECKING:
    from ..counting.any_counter import AnyCounter
    from ..counting.result import CountResult
    from ..data.bounds import Reading
    from .count_points import HeadPoints

EXAMPLE = "Example: `sam-mprompt count runs/shb street.jpg photos/ 'cam-*/*.png' --overlay out/`"

_STDOUT = ("-", "/dev/stdout")
_FAULTS = "could not be counted", "could not be drawn"
_OF_PAGES = (".tif", ".tiff", ".png", ".webp")

CsvFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Also write image,count, row by row; - is stdout.")
]
ResumeCsv = Annotated[bool, typer.Option("--resume-csv", help="Keep what the CSV file holds, and count the rest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON in the end, instead of the table.")]
Overlay = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Also draw heat maps into this folder; of a video, a FILE.mp4 or .mkv."),
]
Points = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also write where the heads are, to correct and train on.")
]
PointsFormat = Annotated[
    str | None, typer.Option(metavar="F", help="csv, geojson, labelme, label-studio, cvat, ...; else by suffix.")
]
Precision = Annotated[
    Literal["no", "fp16", "bf16"], typer.Option(help="Mixed precision on a GPU; a CPU counts in float32.")
]
Compiled = Annotated[
    bool, typer.Option("--compile", help="Translate the encoder first: for many images beyond a tile.")
]


def count(
    adapter: Adapter,
    paths: Paths,
    others: OtherAdapters = None,
    together: Together = None,
    flip: Flip = False,
    scales: Scales = None,
    csv_file: CsvFile = None,
    resume_csv: ResumeCsv = False,
    as_json: AsJson = False,
    overlay: Overlay = None,
    points: Points = None,
    points_format: PointsFormat = None,
    regions: RegionsFile = None,
    level: Level = LEVEL,
    batch_size: BatchSize = 1,
    precision: Precision = "no",
    compiled: Compiled = False,
    max_pixels: MaxPixels = None,
    stretch: StretchOfAdapter = None,
    base: Base = None,
    device: Device = None,
    every: Every = None,
    smooth: Smooth = None,
    fps: Fps = None,
    jsonl: Jsonl = None,
    plot: Plot = None,
    reconnect: Reconnect = None,
    engine: Engine = "local",
    to: To = None,
    actors: Actors = None,
    part_size: PartSize = None,
    ray_address: RayAddress = None,
    image_timeout: ImageTimeout = None,
    points_column: PointsColumn = False,
) -> None:
    """Count the people in images, or over time in a video, with error bars where the adapter has a calibration.

    Every count is printed and written as soon as there is one; an image that cannot be counted costs a line. What was
    stopped goes on with --resume-csv. A video is a file, an address (rtsp://, http://), webcam:0, or images with --fps.
    """
    means, adapter = Means.of(together, flip, scales), recorded(adapter)
    names = means.adapters(adapter)
    how: dict[str, Any] = {"base": base, "precision": precision, "compile": compiled, "max_pixels": max_pixels}
    how |= {"stretch": stretch, **means.how}
    made = Outputs(csv_file, resume_csv, as_json, overlay, points, regions, level)
    of_video = VideoOptions(every, smooth, fps, jsonl, plot, reconnect)
    ray = RayOptions(engine, to, actors, part_size, ray_address, image_timeout, points_column)
    if ray.asked(only_local(made, of_video, others)):
        count_with_ray(ray, names, paths, device, as_json=as_json, level=level, batch_size=batch_size, **how)
        return
    loading = partial(_loaded, names, device, how)
    if (video := video_among(paths, of_video)) is not None:
        if others:
            raise UsageError("--adapter is for images: expected none with a video, which one adapter counts.")
        count_video(VideoRequest(video, of_video, made, max_pixels), adapter, loading, batch_size)
        return
    counted_by = {"adapter": adapter} | means.record()
    _count_images(paths, adapter, others, loading, made, points_format, batch_size, counted_by)


def _count_images(
    paths: Sequence[str],
    adapter: str,
    others: Sequence[str] | None,
    loading: "Callable[[], AnyCounter]",
    made: Outputs,
    points_format: str | None,
    batch_size: int,
    counted_by: dict[str, object],
) -> None:
    """Count images one after the other, and tell of each when it is counted."""
    _check_outputs(made)
    csv_file = made.csv_file
    images = (found := expand(paths)).images
    adapters = AdapterOfImages.of(adapter, others, images)
    parts = counted_regions(made.regions)
    todo, counted = _divided(images, csv_file if made.resume else None, parts)
    heads = _heads(made.points, points_format, images, counted, parts)

    adapters.load(counter := loading())
    pictures = picture_names(images, made.overlay) if made.overlay is not None else {}
    level = made.level
    bars = ErrorBars(adapters.calibration(counter, level), level, of_parts=bool(parts and parts.regions.ignores))
    job = _Job(todo, adapters, bars, pictures, parts)
    job.announce(found, csv_file, resumed=made.resume)
    with ExitStack() as stack:
        told = _outputs(stack, heads, csv_file, job, keep=made.resume, table=not made.as_json)
        if made.as_json:
            stack.callback(job.print_json, counted_by, found)
        job.run(counter, batch_size, told)
    job.conclude()


def _loaded(adapter: str | Sequence[str], device: str | None, how: "Mapping[str, Any]") -> "AnyCounter":
    from ..deploy.load import load

    return load(adapter, device=device, **how)


@dataclass
class _Job:
    """What is counted, and what became of it."""

    images: Sequence[Path]
    adapters: AdapterOfImages
    bars: ErrorBars
    pictures: dict[Path, Path]
    regions: CountedRegions | None = None
    rows: list[dict[str, object]] = field(default_factory=list)  # not the results: their densities fill the memory
    failed: list[str] = field(default_factory=list)
    undrawn: int = 0
    several: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.console = messages()
        self.outside = Outside(self.say)

    def say(self, line: str) -> None:
        """Tell the user a line."""
        say(self.console, line)

    def announce(self, found: Found, csv_file: Path | None, *, resumed: bool) -> None:
        """Say what is not counted (what was passed over, what a CSV file holds already), and why without error bars."""
        from .count_csv import begun_without

        if line := self.bars.why_not():
            self.say(line)
        elif resumed and csv_file is not None and begun_without(csv_file):
            self.say(f"'{csv_file}' was begun without error bars, and goes on without.")
        if found.line:
            self.say(found.line)
        if len(self.images) < (every := len(found.images)):
            self.say(f"{every - len(self.images)} of {every} images are in '{csv_file}' already.")
        for line in self.regions.announcement(found.images) if self.regions else ():
            self.say(line)

    def run(self, counter: "AnyCounter", batch_size: int, told: Sequence[Callable[["CountResult"], None]]) -> None:
        """Count the images and tell of each; raises the error of one that is alone, and Interrupted."""
        from ..counting.counted import counted

        def left_out(_image: Path, error: SamMpromptError) -> None:
            if len(self.images) == 1:
                raise error
            self.failed.append(advised(error))
            self.say(self.failed[-1])

        try:
            with progress("counting", len(self.images), console=self.console) as report:
                names = self.adapters.names
                for result in counted(counter, self.images, names, batch_size=batch_size, on_error=left_out):
                    try:
                        self.rows.append(_row(result, self.adapters, self.bars, self.regions))
                    except UsageError as error:  # a region that does not fit the image
                        left_out(result.image or Path(), error)
                        continue
                    self.outside.note(result)
                    for tell in told:
                        tell(result)
                    self._draw(result)
                    self._note_pages(result, counter.reading)
                    report(len(self.rows) + len(self.failed), len(self.images))
        except KeyboardInterrupt as error:
            raise Interrupted(f"stopped; {len(self.rows)} of {len(self.images)} images were counted.") from error

    def print_json(self, counted_by: dict[str, object], found: Found) -> None:
        """Print all in the end, also where it was stopped; nothing where the only image failed."""
        if self.rows or len(found.images) > 1:
            others = [str(path) for path in found.passed_over]
            print_json(counted_by | {"images": self.rows, "failed": self.failed, "passed_over": others})

    def conclude(self) -> None:
        """Tell of further pages; raise RunError where an image or a picture failed, each of which was told before."""
        self.outside.conclude()
        for line in self.regions.conclusion() if self.regions else ():
            self.say(line)
        if self.several:
            self.say(f"Only the first page or frame was counted of {named(self.several)}.")
        faults = [
            f"{number} of {len(self.images)} images {what}"
            for number, what in zip((len(self.failed), self.undrawn), _FAULTS, strict=True)
            if number
        ]
        if faults:
            raise RunError(f"{', '.join(faults)}: see above.")

    def _note_pages(self, result: "CountResult", reading: "Reading") -> None:
        from ..data.image import read_header

        if result.image is None or result.image.suffix.lower() not in _OF_PAGES:
            return
        with suppress(UsageError):  # gone meanwhile
            if read_header(result.image, reading).more_pages:
                self.several.append(result.image)

    def _draw(self, result: "CountResult") -> None:
        from ..render import save_image
        from .memory import memory_fault

        if result.image is None or result.image not in self.pictures:
            return
        path = self.pictures[result.image]
        try:
            regions = self.regions
            save_image(
                path, regions.overlay(result, self.bars.level) if regions else result.overlay(level=self.bars.level)
            )
        except Exception as error:
            if not isinstance(error, UsageError | RunError) and not memory_fault(error):
                raise
            self.undrawn += 1
            why = advised(error) if isinstance(error, SamMpromptError) else "the memory was not enough."
            self.say(f"'{result.image}' was counted, but not drawn as '{path}': {why}")


def _divided(
    images: Sequence[Path], known: Path | None, regions: CountedRegions | None
) -> tuple[list[Path], list[Path] | None]:
    """Return the images that are to be counted, and those that a CSV file has counts of; None without a file."""
    from .count_csv import counts_in

    if known is None:
        return list(images), None
    done = counts_in(known, regions.columns if regions else ())
    return [image for image in images if str(image) not in done], [image for image in images if str(image) in done]


def _heads(
    path: Path | None,
    given: str | None,
    images: Sequence[Path],
    counted: Sequence[Path] | None,
    regions: CountedRegions | None,
) -> "HeadPoints | None":
    """Return what head points are written to, without those that regions ignore."""
    from .count_points import HeadPoints

    if path is None:
        return None
    return HeadPoints(path, given, images, counted, located=regions.points if regions else None)


def _outputs(
    stack: ExitStack,
    heads: "HeadPoints | None",
    csv_file: Path | None,
    job: _Job,
    *,
    keep: bool,
    table: bool,
) -> list[Callable[["CountResult"], None]]:
    """Open what is written as images are counted, and return what tells each of a result."""
    from .count_csv import csv_rows

    told = []
    if heads is not None:  # before the counts: what has a count has its points, whatever ends the process
        told.append(stack.enter_context(heads.writing()))
    if csv_file is not None:
        told.append(stack.enter_context(csv_rows(csv_file, job.bars, keep=keep, regions=job.regions)))
    if table and str(csv_file) not in _STDOUT:
        told.append(job.regions.printed(job.images, job.bars) if job.regions else _printed(job.images, job.bars))
    return told


def _check_outputs(made: Outputs) -> None:
    """Refuse what cannot be written before anything is loaded, and a level that is none."""
    from ..files import is_stream

    check_level(made.level)
    if made.resume and (made.csv_file is None or is_stream(made.csv_file)):
        raise UsageError("--resume-csv needs --csv FILE: the file that holds the counts so far.")
    if made.as_json and str(made.csv_file) in _STDOUT:
        raise UsageError("Expected --json or --csv -, got both: only one of them can be printed.")
    check_outputs(made.csv_file, folder=made.overlay)


def _row(
    result: "CountResult", adapters: AdapterOfImages, bars: ErrorBars, regions: CountedRegions | None
) -> dict[str, object]:
    height, width = result.image_size
    row = {"image": str(result.image), "count": result.count, "width": width, "height": height}
    row |= adapters.record(result.image) if result.image is not None else {}
    row |= {"warnings": list(result.warnings)} | bars.record(result)
    return row | (regions.as_dict(result) if regions else {})


def _printed(images: Sequence[Path], bars: ErrorBars) -> "Callable[[CountResult], None]":
    """Return what prints a result as a row of a table; the names of all images are known before their counts."""
    rows = StreamedTable({"image": [str(image) for image in images], "count": [bars.widest()]}, right=("count",))
    return lambda result: rows.add_row(str(result.image), bars.shown(result))
