"""A dataset of any format that is read -> one of the files that a tool for annotating reads, with its images."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError, UsageError, did_you_mean
from ..files import is_disk_error, recover, replacing, write_with
from .formats.entries import Problems, SplitName, collect
from .formats.read import FORMATS, list_splits
from .formats.tools.families import FAMILIES
from .formats.tools.family import Content, Family, Picture
from .head_boxes import nominal_boxes, paired_boxes
from .sample import Sample

WRITTEN = {name: family for name, family in FAMILIES.items() if family.write is not None}
"""The families that can be written, by name."""

_LEFT_OUT = ("unreadable", "malformed", "misframed", "shares", "swapped")


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
        root: the dataset that was read, of the format `format`.
        out: the folder that was written, of the family `to`.
        images: number of images by split; the only key is "all" where nothing is divided.
        heads: number of heads likewise.
        unannotated: images that were left out because nothing is known of their heads.
        linked: whether the images are links to those of `root`.
        problems: of each split that was read.
    """

    root: Path
    format: str
    out: Path
    to: str
    images: dict[str, int]
    heads: dict[str, int]
    unannotated: int
    linked: bool
    problems: dict[SplitName, Problems]

    @property
    def left_out(self) -> int:
        """Number of annotated images that could not be used; the problems say why."""
        return sum(len(getattr(problems, kind)) for problems in self.problems.values() for kind in _LEFT_OUT)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "data": str(self.root),
            "format": self.format,
            "out": str(self.out),
            "to": self.to,
            "images": self.images,
            "heads": self.heads,
            "unannotated": self.unannotated,
            "linked": self.linked,
            "problems": {split: problems.as_dict() for split, problems in self.problems.items()},
        }


def convert(
    root: Path,
    to: str,
    out: Path | None = None,
    *,
    format: str | None = None,
    label: str | None = None,
    columns: str = "",
    split: SplitName | None = None,
    link: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Write a dataset as a tool reads it; heads are called "head", images are copied, and it is whole or absent.

    Where a tool knows no points, the boxes of the dataset are written, or squares whose size follows from how near the
    next heads are; the head is the middle of its box either way.

    Args:
        root: the dataset's folder.
        to: a name of `WRITTEN`.
        out: the folder to write; beside `root`, with the tool's name behind its own, when None.
        format: a name of `formats.read.FORMATS`; recognised when None.
        label: the label whose marks are heads.
        columns: which columns of a table are which, as `formats.read.read_split`.
        split: the only split to write, undivided; None for all.
        link: make symbolic links to the images instead of copies.
        overwrite: write into a folder that holds something; files of the same names are replaced.
        progress: called after each image with the number placed and the number of all.

    Raises:
        UsageError: no such folder, format, split or tool, no annotated image, two images whose annotation would be one
            file, or `out` is `root`, in it, or holds files.
        RunError: the disk is full or not writable.
    """
    root, family = Path(root), _family(to)
    out = Path(out) if out is not None else root.resolve().with_name(f"{root.resolve().name}-{to}")
    _check_out(root, out, overwrite=overwrite)
    format, read = _read(root, format, label, columns, split)
    annotated = _annotated(root, read)
    divided = split is None and list(annotated) != ["train"]
    where = [(sample, name if divided else None) for name, samples in annotated.items() for sample in samples]
    placed = [(sample, picture_of(sample, family, name)) for sample, name in where]
    pictures = [picture for _, picture in placed]
    check_names(pictures, family)
    content = family.write(pictures) if family.write is not None else {}
    _write(out, content, [(sample.image, picture.path) for sample, picture in placed], link=link, progress=progress)
    counted = {name if divided else "all": [sample.count for sample in some] for name, some in annotated.items()}
    return Conversion(
        root,
        format,
        out,
        to,
        images={name: len(counts) for name, counts in counted.items()},
        heads={name: sum(counts) for name, counts in counted.items()},
        unannotated=sum(len(samples) for samples, _ in read.values()) - len(placed),
        linked=link,
        problems={name: problems for name, (_, problems) in read.items()},
    )


def _annotated(
    root: Path, read: Mapping[SplitName, tuple[Sequence[Sample], Problems]]
) -> dict[SplitName, list[Sample]]:
    """Return the annotated images of each split that has some. Raises UsageError where there are none."""
    annotated = {name: [s for s in samples if s.points is not None] for name, (samples, _) in read.items()}
    if not any(annotated.values()):
        found = "; ".join(line for _, problems in read.values() for line in problems.lines())
        raise UsageError(f"No annotated image in '{root}' to write: {found or 'it is empty'}.", about="data", root=root)
    return {name: samples for name, samples in annotated.items() if samples}


def picture_of(sample: Sample, family: Family, split: SplitName | None = None) -> Picture:
    """Return what a writer of `family` gets of an annotated image."""
    points = (np.empty((0, 2)) if sample.points is None else sample.points).astype(np.float64)
    boxes = paired_boxes(points, sample.boxes, sample.size)
    if boxes is None and family.boxes_only:
        boxes = nominal_boxes(points, sample.size)
    path = family.place(sample.image.name, split)
    return Picture(path, sample.size, points, boxes, split, sample.image.stat().st_size)


def _family(name: str) -> Family:
    if name in WRITTEN:
        return WRITTEN[name]
    what = f"'{name}' is read, but not written" if name in FORMATS else f"Nothing is written as '{name}'"
    raise UsageError(f"{what}; expected {', '.join(WRITTEN)}.{did_you_mean(name, WRITTEN)}")


def _check_out(root: Path, out: Path, *, overwrite: bool) -> None:
    here, there = root.resolve(), out.resolve()
    if there == here or here in there.parents:
        raise UsageError(f"Cannot write '{out}': expected a folder outside the dataset '{root}'.")
    if not overwrite and out.is_dir() and any(out.iterdir()):
        raise UsageError(f"'{out}' holds files; expected a new or empty folder.", about="output holds files")


def _read(
    root: Path, format: str | None, label: str | None, columns: str, split: SplitName | None
) -> tuple[str, dict[SplitName, tuple[list[Sample], Problems]]]:
    """Return the format and what is in the splits to write; what is divided by folds alone, or not at all, is one."""
    format, entries, carved = list_splits(root, format=format, val_fraction=0, label=label, columns=columns)
    if carved:
        del entries["val"]
    if split is not None and split not in entries:
        raise UsageError(f"'{root}' has no {split} split of its own, only {' and '.join(entries)}.")
    if split is not None:
        entries = {split: entries[split]}
    elif FORMATS[format].folds > 1:
        entries = {"train": [entry for some in entries.values() for entry in some]}
    return format, {name: collect(some) for name, some in entries.items()}


def check_names(pictures: Sequence[Picture], family: Family) -> None:
    """Refuse with UsageError two images at one place, or whose annotation would be one file."""
    taken: dict[str, Picture] = {}
    for picture in pictures:
        key = (picture.path if family.read_one is None else picture.stem).casefold()
        other = taken.setdefault(key, picture)
        if other is not picture:
            raise UsageError(
                f"'{picture.path}' and '{other.path}' would share a name as {family.name}: expected different ones. "
                "Rename one image."
            )


def _write(
    out: Path,
    content: Content,
    images: Sequence[tuple[Path, str]],
    *,
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    recover(out)
    if out.is_dir() and any(out.iterdir()):
        _fill(out, content, images, write_with, link=link, progress=progress)
        return
    with replacing(out) as folder:
        folder.mkdir()
        _fill(folder, content, images, _put, link=link, progress=progress)


def _fill(
    folder: Path,
    content: Content,
    images: Sequence[tuple[Path, str]],
    put: Callable[[Path, Callable[[Path], object]], None],
    *,
    link: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    for done, (image, place) in enumerate(images, start=1):
        if (folder / place).is_symlink():  # of an earlier conversion: what it leads to is an image of a dataset
            (folder / place).unlink()
        put(folder / place, partial(_place, image, link=link))
        if progress is not None:
            progress(done, len(images))
    for place, text in content.items():
        data = text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")
        put(folder / place, methodcaller("write_bytes", data))


def _put(path: Path, make: Callable[[Path], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    make(path)


def _place(image: Path, made: Path, *, link: bool) -> None:
    try:
        if link:
            made.symlink_to(image.resolve())
        else:
            shutil.copyfile(image, made)
    except OSError as error:
        if is_disk_error(error):
            raise
        raise RunError(f"Cannot {'link to' if link else 'copy'} '{image}': {error.strerror or error}.") from error
