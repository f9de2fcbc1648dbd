"""What is in a dataset's folder and what is wrong with it: figures, a histogram, previews of the annotation."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from ..arrays import ByteImage
from ..errors import UsageError
from ..files import name_of
from ..render import draw_points, save_image, side_by_side
from .bounds import Reading
from .cache.hashes import RememberedHashes
from .formats.entries import Problems, SplitName, collect
from .formats.read import list_splits, tools_of
from .formats.repeats import note_copies
from .image import decode, read_image
from .sample import Sample

_PREVIEW_SIDE = 1600  # pixels of a preview's longer side; smaller images grow, up to twice or to half of this
_PREVIEW_LEAST = (320, 640)  # height and width that leave room for the caption over a narrow image
_LARGE_BOX = 40
_BOX_COLOUR = (255, 170, 40)
_USUAL = Reading()


@dataclass(frozen=True)
class SplitReport:
    """One split: its usable samples, every one decoded once, and its problems."""

    samples: list[Sample]
    problems: Problems

    @property
    def counts(self) -> list[int]:
        """Number of heads of each annotated sample."""
        return [sample.count for sample in self.samples if sample.points is not None]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and problems as plain data; the figures of heads are None where nothing is annotated."""
        counts = self.counts
        return {
            "images": len(self.samples),
            "annotated": len(counts),
            "heads": sum(counts) if counts else None,
            "min": min(counts, default=None),
            "median": median(counts) if counts else None,
            "max": max(counts, default=None),
            "problems": self.problems.as_dict(),
        }


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        root: the dataset's folder.
        format: name of its format.
        splits: each split that the dataset defines, and val where it is carved from train.
        carved: whether val is carved from train.
        tools: names of the families that the user's own annotation is of; empty for a published benchmark.
    """

    root: Path
    format: str
    splits: dict[SplitName, SplitReport]
    carved: bool
    tools: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there is an image, no problem at all and nothing that training would be wrong for."""
        splits = self.splits.values()
        return any(split.samples for split in splits) and not self.faults and not any(s.problems for s in splits)

    @property
    def faults(self) -> list[str]:
        """Why a training would be wrong, a phrase a split: problems that are serious, or nothing that can be used.

        Serious is what leaves out or changes something that the files seem to hold; see `Problems.serious`. Of a split
        of which nothing is annotated, such as a benchmark's test split, nothing is expected.
        """
        found = [f"in {name} something is left out or wrong" for name, s in self.splits.items() if s.problems.serious]
        if not any(split.counts for split in self.splits.values()):
            found.append("it has no annotated image that can be used")
        elif not any(count for split in self.splits.values() for count in split.counts):
            found.append("nobody is annotated in any of its images")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON, with every file of every problem."""
        return {
            "data": str(self.root),
            "format": self.format,
            "tools": list(self.tools),
            "sound": self.sound,
            "faults": self.faults,
            "val_carved_from_train": self.carved,
            "splits": {name: split.as_dict() for name, split in self.splits.items()},
        }


def check(
    root: Path,
    format: str | None = None,
    *,
    val_fraction: float = 0.1,
    seed: int = 0,
    fold: int = 1,
    label: str | None = None,
    columns: str = "",
    reading: Reading = _USUAL,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Read all splits of a dataset and decode every image completely, so that truncated ones are found too.

    Args:
        root: the dataset's folder.
        format: a name of `formats.read.FORMATS`; recognised when None.
        val_fraction: as `read_split`, which describes `seed` and `fold` too.
        seed: chooses the images of a carved val split.
        fold: of ucf50.
        label: of points.
        columns: of points, as `read_split`.
        reading: how images are decoded; where it stretches them, none is dim.
        progress: called after each image with the number decoded and the number of all.

    Raises:
        UsageError: the folder or its format is not known, or its lists contradict each other.
    """
    root = Path(root)
    format, entries, carved = list_splits(
        root, format=format, val_fraction=val_fraction, seed=seed, fold=fold, label=label, columns=columns
    )
    read = {name: collect(listed, reading) for name, listed in entries.items()}
    compare_pictures(root, {name: ([sample.image for sample in kept], found) for name, (kept, found) in read.items()})
    samples = [sample for kept, _ in read.values() for sample in kept]
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        errors: dict[Path, str] = {}
        dim: set[Path] = set()
        for done, (sample, found) in enumerate(
            zip(samples, pool.map(partial(_decoding, reading=reading), samples), strict=True), start=1
        ):
            if isinstance(found, UsageError):
                errors[sample.image] = str(found)
            elif found:
                dim.add(sample.image)
            if progress is not None:
                progress(done, len(samples))
    splits = {}
    for name, (kept, problems) in read.items():
        problems.unreadable.update({s.image: errors[s.image] for s in kept if s.image in errors})
        problems.dim.extend(s.image for s in kept if s.image in dim)
        splits[name] = SplitReport([s for s in kept if s.image not in errors], problems)
    return CheckReport(root, format, splits, carved, tools_of(root, format))


def compare_pictures(
    root: Path,
    images: Mapping[SplitName, tuple[Iterable[Path], Problems]],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Note in the problems of each split the pictures that are the same file twice; what was hashed is remembered.

    Args:
        root: the dataset's folder, by which it is remembered.
        images: pictures and problems of each split; the problems are changed.
        progress: called after each picture that is hashed, with the number done and the number of all.
    """
    memory = RememberedHashes(root)
    note_copies(images, memory.sha256, progress=progress)
    memory.save()


def histogram(counts: Sequence[int]) -> list[tuple[str, int]]:
    """Return (range of heads, number of images) in ranges that grow as 1, 2, 5, 10, 20, 50...; 0 has its own."""
    edges = [0, 1, 2, 5]
    while edges[-1] <= max(counts):
        edges += [edges[-3] * 10]
    ranges = [(low, high - 1, sum(low <= count < high for count in counts)) for low, high in pairwise(edges)]
    filled = [index for index, (_, _, number) in enumerate(ranges) if number]
    shown = ranges[filled[0] : filled[-1] + 1]
    return [(str(low) if low == high else f"{low}-{high}", number) for low, high, number in shown]


def write_previews(
    report: CheckReport, directory: Path, *, per_split: int = 4, reading: Reading = _USUAL
) -> list[Path]:
    """Draw the annotation of a few images of each split, from the emptiest to the fullest, as JPEG files.

    Returns:
        The files written, named `<split>-<number>-<image>.jpg` (`files.name_of`).

    Raises:
        UsageError: `directory` is a file.
        RunError: the disk is full or not writable.
    """
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"Expected a folder for previews; '{directory}' is a file. Name another folder.")
    written = []
    for name, split in report.splits.items():
        ordered = sorted((sample for sample in split.samples if sample.points is not None), key=lambda s: s.count)
        places = np.unique(np.linspace(0, len(ordered) - 1, min(per_split, len(ordered))).round().astype(int))
        for number, place in enumerate(places, start=1):
            path = directory / name_of(ordered[place].image.stem, before=f"{name}-{number}-", after=".jpg")
            save_image(path, draw_sample(ordered[place], reading))
            written.append(path)
    return written


def draw_sample(sample: Sample, reading: Reading = _USUAL) -> ByteImage:
    """Return the image with its points and boxes under a line that names it, at a size fit for looking at.

    Raises:
        UsageError: the image cannot be decoded.
    """
    image = read_image(sample.image, reading)
    full = _PREVIEW_SIDE / max(sample.size)
    factor = min(full, max(2.0, full / 2))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    picture: ByteImage = cv2.resize(image, None, fx=factor, fy=factor, interpolation=interpolation)
    if sample.boxes is not None:
        for x1, y1, x2, y2 in np.floor(sample.boxes * factor).astype(int).tolist():
            thickness = 2 if min(x2 - x1, y2 - y1) >= _LARGE_BOX else 1
            cv2.rectangle(picture, (x1, y1), (x2, y2), _BOX_COLOUR, thickness)
    if sample.points is not None:
        picture = draw_points(picture, sample.points * np.float32(factor))
    missing = [max(0, least - side) for least, side in zip(_PREVIEW_LEAST, picture.shape[:2], strict=True)]
    picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)))
    height, width = sample.size
    facts = [f"{key} {value}" for key, value in sample.attributes.items()]
    title = " | ".join([sample.image.name, f"{sample.count:,} heads", f"{width}x{height}", *facts])
    return side_by_side([picture], [title.encode("ascii", "replace").decode()])


def _decoding(sample: Sample, reading: Reading) -> UsageError | bool:
    """Decode an image; return why that cannot be done, or whether it is a 16-bit image that is dim."""
    try:
        return decode(sample.image, reading).dim
    except UsageError as error:
        return error
