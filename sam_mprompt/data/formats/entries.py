"""Entries -> samples: what stands in the files, checked against the images, with a record of all problems."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...arrays import FloatArray
from ...errors import UsageError
from ...files import is_file
from ..bounds import Reading
from ..image import HEIC_SUFFIXES, ImageHeader, read_header
from ..sample import Sample
from .annotation import SPLIT_NAMES, Annotation, Entries, Entry, SplitName
from .frames import fitted, in_one_place, in_rows_and_columns, in_shares
from .problems import Problems
from .repeats import without_repeats

__all__ = [
    "SPLIT_NAMES",
    "Annotation",
    "Entries",
    "Entry",
    "Problems",
    "Split",
    "SplitName",
    "carve",
    "collect",
]

_READING_THREADS = 8
_USUAL = Reading()


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


def collect(entries: Sequence[Entry], reading: Reading = _USUAL) -> tuple[list[Sample], Problems]:
    """Turn entries into samples, reading image headers (not pixels) and annotations with a few threads.

    A point is inside when 0 <= x < width and 0 <= y < height; all others are dropped and counted. Boxes are clipped to
    the frame. Nothing is left out without a note in the problems. `reading` says which images are too large.
    """
    problems = Problems()
    unique: dict[Path, Entry] = {}
    for entry in entries:
        if entry.unused:
            unread = problems.heic if entry.image.suffix.lower() in HEIC_SUFFIXES else problems.unused
            unread.append(entry.image)
            continue
        if entry.image in unique:
            problems.duplicates.append(entry.image)
        unique.setdefault(entry.image, entry)
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        read = list(pool.map(partial(_read, reading=reading), unique.values()))
    samples = []
    for entry, (header, annotation) in zip(unique.values(), read, strict=True):
        if header is None and entry.embedded:
            problems.embedded.append(entry.image)
        elif header is None:
            problems.missing_images.append(entry.image)
        elif isinstance(header, UsageError):
            problems.unreadable[entry.image] = str(header)
        elif isinstance(annotation, UsageError):
            problems.malformed[entry.image] = str(annotation)
        elif annotation is None and not entry.hidden:
            problems.missing_annotations.append(entry.image)
        elif (sample := _sample(entry, header, annotation, problems)) is not None:
            samples.append(sample)
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
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()


def _read(entry: Entry, reading: Reading) -> tuple[ImageHeader | UsageError | None, Annotation | UsageError | None]:
    if not is_file(entry.image):
        return None, None
    try:
        header = read_header(entry.image, reading)
    except UsageError as error:
        return error, None
    try:
        return header, entry.annotation() if entry.annotation else None
    except UsageError as error:
        return header, error


def _sample(entry: Entry, header: ImageHeader, annotation: Annotation | None, problems: Problems) -> Sample | None:
    """Return the sample, or None where the annotation is not one of this image; the problems tell why."""
    image = entry.image
    if header.orientation != 1:
        problems.turned.append(image)
    if header.more_pages:
        problems.more_pages.append(image)
    if annotation is None:
        return Sample(image, header.size, None, None, entry.attributes)
    placed = _placed(entry, header, annotation, problems)
    if placed is None:
        return None
    kept = _without_repeats(entry, placed, problems)
    points = _inside(kept.points, header.size)
    if outside := len(kept.points) - len(points):
        problems.points_outside[image] = outside
    boxes = None
    if kept.boxes is not None:
        boxes = _clipped(kept.boxes, header.size)
        if degenerate := len(kept.boxes) - len(boxes):
            problems.boxes_degenerate[image] = degenerate
    if kept.groups:
        problems.groups[image] = kept.groups
    if kept.reading:
        problems.readings[image] = kept.reading
    if kept.others:
        problems.other_labels[image] = ", ".join(kept.others)
    if kept.stated not in (None, len(annotation.points)):
        problems.miscounted[image] = f"it states {kept.stated} and holds {len(annotation.points)}"
    return Sample(image, header.size, points, boxes, entry.attributes)


def _placed(entry: Entry, header: ImageHeader, annotation: Annotation, problems: Problems) -> Annotation | None:
    """Return the annotation in pixels of its image, or None where it is not in them; the problems tell why."""
    image = entry.image
    placed = fitted(annotation, header.size)
    if isinstance(placed, str):
        problems.misframed[image] = placed
        return None
    if in_shares(annotation, header.size):
        problems.shares.append(image)
        return None
    if elsewhere := in_one_place(annotation, header.size):
        problems.misframed[image] = elsewhere
        return None
    if swapped := in_rows_and_columns(placed, header.size):
        problems.swapped[image] = swapped
        if not entry.official:
            return None
    if annotation.frame not in (None, header.size):
        problems.rescaled.append(image)
    return placed


def _without_repeats(entry: Entry, annotation: Annotation, problems: Problems) -> Annotation:
    kept, repeats = without_repeats(annotation)
    if repeats and entry.official:
        problems.official_repeats[entry.image] = repeats
        return annotation
    if repeats:
        problems.repeats[entry.image] = repeats
    return kept


def _inside(points: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    limits = np.array(size[::-1], dtype=np.float32)
    kept = points[((points >= 0) & (points < limits)).all(axis=1)]
    # A coordinate just below the limit may round up to it in float32, which would put the head outside again.
    return np.minimum(kept.astype(np.float32), np.nextafter(limits, np.float32(0)))


def _clipped(boxes: NDArray[np.float64], size: tuple[int, int]) -> FloatArray:
    height, width = size
    clipped = np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)
    return clipped[(clipped[:, 2] > clipped[:, 0]) & (clipped[:, 3] > clipped[:, 1])]
