"""`count`: count the people in images."""

import glob
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import Interrupted, RunError, SamMpromptError, UsageError
from ..resources import bundled
from .advice import advised
from .ui import (
    Adapter,
    Base,
    BatchSize,
    Device,
    Paths,
    StreamedTable,
    check_outputs,
    messages,
    print_json,
    progress,
    say,
)

if TYPE_CHECKING:
    from ..counting.counter import Counter
    from ..counting.result import CountResult

EXAMPLE = "Example: `sam-mprompt count runs/shb street.jpg photos/ 'cam-*/*.png' --overlay out/`"

_STDOUT = ("-", "/dev/stdout")
_FAULTS = "could not be counted", "could not be drawn"


def count(
    adapter: Adapter,
    paths: Paths,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write image,count, row by row; - is stdout.")
    ] = None,
    resume_csv: Annotated[
        bool, typer.Option("--resume-csv", help="Keep what the CSV file holds, and count the other images.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in the end, instead of the table.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also draw heat maps with the count into this folder.")
    ] = None,
    points: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write where the heads are, to correct and train on.")
    ] = None,
    points_format: Annotated[
        str | None,
        typer.Option(metavar="F", help="csv, json, geojson, labelme, coco, label-studio, cvat, ...; else by suffix."),
    ] = None,
    batch_size: BatchSize = 1,
    precision: Annotated[
        Literal["no", "fp16", "bf16"], typer.Option(help="Mixed precision on a GPU; a CPU counts in float32.")
    ] = "no",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Translate the encoder first: for many images beyond a tile.")
    ] = False,
    base: Base = None,
    device: Device = None,
) -> None:
    """Count the people in images.

    Every count is printed and written as soon as there is one; an image that cannot be counted costs a line. What was
    stopped goes on with --resume-csv.
    """
    _check_outputs(csv_file, overlay, resume=resume_csv, as_json=as_json)
    images = expand(paths)

    from .count_csv import counts_in, csv_rows
    from .count_points import HeadPoints

    known = counts_in(csv_file) if csv_file is not None and resume_csv else frozenset()
    todo = [image for image in images if str(image) not in known]
    counted = [image for image in images if str(image) in known] if resume_csv else None
    heads = HeadPoints(points, points_format, images, counted) if points is not None else None

    from ..counting.counter import load

    counter = load(adapter, device=device, base=base, precision=precision, compile=compiled)
    job = _Job(todo, _picture_names(images, overlay) if overlay is not None else {})
    if len(todo) < len(images):
        job.say(f"{len(images) - len(todo)} of {len(images)} images are in '{csv_file}' already.")
    with ExitStack() as stack:
        if heads is not None:  # before the counts: what has a count has its points, whatever ends the process
            job.told.append(stack.enter_context(heads.writing()))
        if csv_file is not None:
            job.told.append(stack.enter_context(csv_rows(csv_file, keep=resume_csv)))
        if not as_json and str(csv_file) not in _STDOUT:
            job.told.append(_printed(todo))
        try:
            job.run(counter, batch_size)
        finally:
            if as_json and (job.rows or len(images) > 1):
                print_json({"adapter": adapter, "images": job.rows, "failed": job.failed})
    job.conclude()


@dataclass
class _Job:
    """What is counted, who is told of every result, and what became of it."""

    images: Sequence[Path]
    pictures: dict[Path, Path]
    told: list[Callable[["CountResult"], None]] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)  # not the results: their densities fill the memory
    failed: list[str] = field(default_factory=list)
    undrawn: int = 0

    def __post_init__(self) -> None:
        self.console = messages()

    def say(self, line: str) -> None:
        """Tell the user a line."""
        say(self.console, line)

    def run(self, counter: "Counter", batch_size: int) -> None:
        """Count the images; raises the error of one that is alone, and Interrupted."""
        from .counted import counted

        def left_out(_image: Path, error: SamMpromptError) -> None:
            if len(self.images) == 1:
                raise error
            self.failed.append(advised(error))
            self.say(self.failed[-1])

        try:
            with progress("counting", len(self.images), console=self.console) as report:
                for result in counted(counter, self.images, batch_size=batch_size, on_error=left_out):
                    self.rows.append(_row(result))
                    for tell in self.told:
                        tell(result)
                    self._draw(result)
                    report(len(self.rows) + len(self.failed), len(self.images))
        except KeyboardInterrupt as error:
            raise Interrupted(f"stopped; {len(self.rows)} of {len(self.images)} images were counted.") from error

    def conclude(self) -> None:
        """Raise RunError where an image or a picture failed; each was told before."""
        faults = [
            f"{number} of {len(self.images)} images {what}"
            for number, what in zip((len(self.failed), self.undrawn), _FAULTS, strict=True)
            if number
        ]
        if faults:
            raise RunError(f"{', '.join(faults)}: see above.")

    def _draw(self, result: "CountResult") -> None:
        from ..render import save_image
        from .counted import memory_fault

        if result.image is None or result.image not in self.pictures:
            return
        path = self.pictures[result.image]
        try:
            save_image(path, result.overlay())
        except Exception as error:
            if not isinstance(error, UsageError | RunError) and not memory_fault(error):
                raise
            self.undrawn += 1
            why = advised(error) if isinstance(error, SamMpromptError) else "the memory was not enough."
            self.say(f"'{result.image}' was counted, but not drawn as '{path}': {why}")


def _check_outputs(csv_file: Path | None, overlay: Path | None, *, resume: bool, as_json: bool) -> None:
    """Refuse what cannot be written before anything is loaded."""
    from ..files import is_stream

    if resume and (csv_file is None or is_stream(csv_file)):
        raise UsageError("--resume-csv needs --csv FILE: the file that holds the counts so far.")
    if as_json and str(csv_file) in _STDOUT:
        raise UsageError("Expected --json or --csv -, got both: only one of them can be printed.")
    check_outputs(csv_file, folder=overlay)


def expand(paths: Sequence[str]) -> list[Path]:
    """Return the image files behind files, folders and globs, in that order and without repeats.

    Raises:
        UsageError: a path or pattern without any image.
    """
    from ..data.image import HEIC_SUFFIXES, sort_folder

    found: dict[Path, None] = {}
    for text in paths:
        path = Path(text)
        if not path.exists() and (shipped := bundled("adapters").parent / path).exists():
            path = shipped  # "adapters/demo/examples" works from anywhere, as "adapters/demo" does
        if path.is_file():
            images = [path]
        elif path.is_dir():
            images, passed_over = sort_folder(path)
            if not images and any(other.suffix.lower() in HEIC_SUFFIXES for other in passed_over):
                raise UsageError(
                    f"The photographs in '{text}' are HEIC, which needs the package 'pillow-heif'.",
                    about="extra",
                    extra="heic",
                )
        else:
            images = sorted(Path(match) for match in glob.glob(text, recursive=True) if Path(match).is_file())
        if not images:
            raise UsageError(f"No image at '{text}': expected an image file, a folder of images or a quoted glob.")
        found |= dict.fromkeys(images)
    return list(found)


def _picture_names(images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """Return one overlay path per image; images of one name from several folders get their folder's name too."""
    names: dict[Path, Path] = {}
    for image in images:
        name = folder / f"{image.stem}.jpg"
        if name in names.values():
            name = folder / f"{image.parent.name}_{image.stem}.jpg"
        number = 2
        while name in names.values():
            name = folder / f"{image.parent.name}_{image.stem}_{number}.jpg"
            number += 1
        names[image] = name
    return names


def _row(result: "CountResult") -> dict[str, object]:
    height, width = result.image_size
    return {"image": str(result.image), "count": result.count, "width": width, "height": height}


def _printed(images: Sequence[Path]) -> "Callable[[CountResult], None]":
    """Return what prints a result as a row of a table; the names of all images are known before their counts."""
    rows = StreamedTable({"image": [str(image) for image in images], "count": ["12345.6"]}, right=("count",))
    return lambda result: rows.add_row(str(result.image), f"{result.count:.1f}")
