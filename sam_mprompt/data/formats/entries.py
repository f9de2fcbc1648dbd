"""What every reader hands over (entries) and what the project makes of it (samples, and a record of all problems)."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray
from ...errors import UsageError
from ..image import ImageHeader, read_header
from ..sample import Sample

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")

_READING_THREADS = 8


class Annotation(NamedTuple):
    """The annotation of one image as it stands in its file.

    Attributes:
        points: float64 (N, 2), (x, y) of each head in pixels; not yet checked against the image.
        boxes: float64 (M, 4) as (x1, y1, x2, y2), or None when the file has none.
        groups: number of annotated groups of people that cannot be turned into heads.
    """

    points: NDArray[np.float64]
    boxes: NDArray[np.float64] | None = None
    groups: int = 0


@dataclass(frozen=True)
class Entry:
    """One image of a split, before anything is opened.

    Attributes:
        image: where the image is expected.
        annotation: reads the annotation (raising UsageError where its file is malformed); None when there is none.
        attributes: what the dataset says about the image.
        hidden: the dataset keeps this annotation to itself, so that its absence is no problem.
    """

    image: Path
    annotation: Callable[[], Annotation] | None
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    hidden: bool = False


Entries = dict[SplitName, list[Entry]]
"""The entries of each split that a dataset defines."""


@dataclass
class Problems:
    """Everything about a split that is not as it should be; true when something was left out or dropped.

    Attributes:
        missing_annotations: images without an annotation.
        missing_images: images that a list or an annotation names, but that are not there.
        unreadable: image -> why it cannot be read.
        malformed: image -> what is wrong in the file of its annotation.
        points_outside: image -> number of points outside its frame (or NaN), which are dropped.
        boxes_degenerate: image -> number of boxes without area inside the frame, which are dropped.
        groups: image -> number of annotated groups of people, which contribute no head.
        turned: images stored with an EXIF orientation; their points are taken as pixels of the displayed image, which
            is worth a look at a preview.
        duplicates: images listed more than once in the split, read once.
    """

    missing_annotations: list[Path] = field(default_factory=list)
    missing_images: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)
    malformed: dict[Path, str] = field(default_factory=dict)
    points_outside: dict[Path, int] = field(default_factory=dict)
    boxes_degenerate: dict[Path, int] = field(default_factory=dict)
    groups: dict[Path, int] = field(default_factory=dict)
    turned: list[Path] = field(default_factory=list)
    duplicates: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(getattr(self, item.name) for item in fields(self) if item.name != "turned")

    def lines(self, examples: int = 3) -> list[str]:
        """Return one line per kind of problem: what it is and what was done, how many, and the first few file names."""
        listed: list[tuple[str, int, Sequence[Path]]] = [
            ("images without annotation, left out", len(self.missing_annotations), self.missing_annotations),
            ("images listed or annotated, but missing", len(self.missing_images), self.missing_images),
            ("unreadable images, left out", len(self.unreadable), list(self.unreadable)),
            ("images with a malformed annotation, left out", len(self.malformed), list(self.malformed)),
            ("points outside their image, dropped", sum(self.points_outside.values()), list(self.points_outside)),
            (
                "boxes without area in their image, dropped",
                sum(self.boxes_degenerate.values()),
                list(self.boxes_degenerate),
            ),
            ("annotated groups of people, not counted", sum(self.groups.values()), list(self.groups)),
            ("images turned by EXIF, whose points a preview should confirm", len(self.turned), self.turned),
            ("images listed more than once, read once", len(self.duplicates), self.duplicates),
        ]
        return [f"{text}: {number} ({_first_names(paths, examples)})" for text, number, paths in listed if paths]

    def as_dict(self) -> dict[str, list[str] | dict[str, str] | dict[str, int]]:
        """Return plain data for JSON: every kind, with every file."""
        plain = {}
        for item in fields(self):
            value = getattr(self, item.name)
            keyed = isinstance(value, dict)
            plain[item.name] = {str(k): v for k, v in value.items()} if keyed else [str(path) for path in value]
        return plain


@dataclass(frozen=True)
class Split:
    """A split of a dataset, ready for use.

    Attributes:
        samples: the usable images, in natural order of their names.
        problems: what was left out, dropped, or is worth a look.
        format: name of the format that was read.
        carved: whether the dataset has no val split of its own, so that train was divided.
    """

    samples: list[Sample]
    problems: Problems
    format: str
    carved: bool = False


def collect(entries: Sequence[Entry]) -> tuple[list[Sample], Problems]:
    """Turn entries into samples, reading image headers (not pixels) and annotations with a few threads.

    A point is inside when 0 <= x < width and 0 <= y < height; all others are dropped and counted. Boxes are clipped to
    the frame. Nothing is left out without a note in the problems.

    """
    problems = Problems()
    unique: dict[Path, Entry] = {}
    for entry in entries:
        if entry.image in unique:
            problems.duplicates.append(entry.image)
        unique.setdefault(entry.image, entry)
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        read = list(pool.map(_read, unique.values()))
    samples = []
    for entry, (header, annotation) in zip(unique.values(), read, strict=True):
        if header is None:
            problems.missing_images.append(entry.image)
        elif isinstance(header, UsageError):
            problems.unreadable[entry.image] = str(header)
        elif isinstance(annotation, UsageError):
            problems.malformed[entry.image] = str(annotation)
        elif annotation is None and not entry.hidden:
            problems.missing_annotations.append(entry.image)
        else:
            samples.append(_sample(entry, header, annotation, problems))
    return samples, problems


def carve(train: Sequence[Entry], *, fraction: float, seed: int) -> tuple[list[Entry], list[Entry]]:
    """Divide train into (train, val), val holding `fraction` of the annotated images (at least one of two or more).

    An image's place depends on its name, the seed and the other names only, never on the order of listing or on where
    the dataset lies. Images without annotation stay in train, where they are reported.
    """
    annotated = [entry for entry in train if entry.annotation is not None]
    wanted = round(fraction * len(annotated))
    if fraction > 0 and len(annotated) > 1:
        wanted = max(1, wanted)
    ranked = sorted(annotated, key=lambda entry: (_lot(entry.image.stem, seed), entry.image.name))
    chosen = {entry.image for entry in ranked[:wanted]}
    return (
        [entry for entry in train if entry.image not in chosen],
        [entry for entry in train if entry.image in chosen],
    )


def _lot(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def _read(entry: Entry) -> tuple[ImageHeader | UsageError | None, Annotation | UsageError | None]:
    if not entry.image.is_file():
        return None, None
    try:
        header = read_header(entry.image)
    except UsageError as error:
        return error, None
    try:
        return header, entry.annotation() if entry.annotation else None
    except UsageError as error:
        return header, error


def _sample(entry: Entry, header: ImageHeader, annotation: Annotation | None, problems: Problems) -> Sample:
    if header.orientation != 1:
        problems.turned.append(entry.image)
    if annotation is None:
        return Sample(entry.image, header.size, None, None, entry.attributes)
    points = _inside(annotation.points, header.size)
    if outside := len(annotation.points) - len(points):
        problems.points_outside[entry.image] = outside
    boxes = None
    if annotation.boxes is not None:
        boxes = _clipped(annotation.boxes, header.size)
        if degenerate := len(annotation.boxes) - len(boxes):
            problems.boxes_degenerate[entry.image] = degenerate
    if annotation.groups:
        problems.groups[entry.image] = annotation.groups
    return Sample(entry.image, header.size, points, boxes, entry.attributes)


def _inside(points: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    limits = np.array(size[::-1], dtype=np.float32)
    kept = points[((points >= 0) & (points < limits)).all(axis=1)]
    # A coordinate just below the limit may round up to it in float32, which would put the head outside again.
    return np.minimum(kept.astype(np.float32), np.nextafter(limits, np.float32(0)))


def _clipped(boxes: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    height, width = size
    clipped = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]


def _first_names(paths: Sequence[Path], examples: int) -> str:
    more = f" and {len(paths) - examples} more" if len(paths) > examples else ""
    return ", ".join(path.name for path in paths[:examples]) + more
