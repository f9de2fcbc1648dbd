"""What one tool for annotating writes, as an object: how its files are told, read and written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..annotation import SplitName
from ..labels import Marks

Kind = Literal["one", "many"]
"""Whether a file annotates one image, the one that is called as the file is, or many, which it names."""

HEAD = "head"
"""What a head is called in every file that is written: read again it counts whatever else is annotated."""


class Collection(NamedTuple):
    """What one file says of many images.

    Attributes:
        marks: by image name, as the file spells it.
        listed: labels that the file defines, whether or not a mark has them.
        slices: by number of the image, from 1 in the order of their names, where the file has no name for it; 0 where
            it has no number either, so that there can be one image alone.
    """

    marks: dict[str, Marks]
    listed: frozenset[str] = frozenset()
    slices: Mapping[int, Marks] = MappingProxyType({})


@dataclass(frozen=True)
class Picture:
    """An image and its heads, as a writer gets them.

    Attributes:
        path: where the image lies, relative to the folder that is written, with slashes.
        size: (height, width) in pixels as displayed.
        points: float64 (N, 2), (x, y) of each head in pixels.
        boxes: float64 (N, 4) as (x1, y1, x2, y2), one for each head with the head in the middle; None without.
        split: the split that it belongs to; None where nothing is divided.
        bytes: size of the image's file, 0 where it is not known.
        reference: path from the annotation's folder to the image, where that is not `path`.
    """

    path: str
    size: tuple[int, int]
    points: NDArray[np.float64]
    boxes: NDArray[np.float64] | None = None
    split: SplitName | None = None
    bytes: int = 0
    reference: str = ""

    @property
    def name(self) -> str:
        """The image's file name."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The folder of the image with a slash behind it; empty for the one that is written."""
        return self.path[: -len(self.name)]

    @property
    def stem(self) -> str:
        """The image's path without its suffix."""
        return self.folder + Path(self.name).stem


Content = Mapping[str, str | bytes]
"""Files by their path, relative to the folder that is written, with slashes."""

Writer = Callable[[Sequence[Picture]], Content]
"""Makes the files of annotation of images, those of every split together; it writes nothing itself."""

Placed = Callable[[str, SplitName | None], str]
"""Where an image of this file name and split lies, relative to the folder that is written."""


def in_folders(name: str, split: SplitName | None) -> str:
    """A folder for each split, and none where nothing is divided."""
    return f"{split}/{name}" if split else name


def one_file(called: str, content: Callable[[Sequence[Picture]], str | bytes]) -> Writer:
    """Return a writer of a file that annotates many images, in the folder of each split."""

    def write(pictures: Sequence[Picture]) -> Content:
        splits = dict.fromkeys(picture.split for picture in pictures)
        return {
            in_folders(called, split): content([picture for picture in pictures if picture.split == split])
            for split in splits
        }

    return write


def file_each(suffix: str, content: Callable[[Picture], str | bytes]) -> Writer:
    """Return a writer of a file beside each image."""

    def write(pictures: Sequence[Picture]) -> Content:
        return {f"{picture.stem}{suffix}": content(picture) for picture in pictures}

    return write


def _itself(stem: str) -> str:
    return stem


@dataclass(frozen=True)
class Family:
    """What one tool writes.

    Attributes:
        name: what the user calls it.
        looks_like: the files that it is told by, for messages.
        suffixes: of its files of annotation, in lower case.
        kind: whether a file that has one of the suffixes is of this family, by its name or its content, and which kind;
            None where it is not. Reads little, and raises nothing.
        read_one: reads a file of one image; UsageError where it is malformed, naming the file and the place in it.
        read_many: reads a file of many images, likewise.
        write: makes its files, which read again give the same points to the format's precision; None: it is only read.
        place: where the images lie that it is written beside.
        image_of: the image that a file of one image is called after, from the file's name without suffix.
        boxes_only: it has no points: a head is a box, and the writer gets one for each.
    """

    name: str
    looks_like: str
    suffixes: tuple[str, ...]
    kind: Callable[[Path], Kind | None]
    read_one: Callable[[Path], Marks] | None = None
    read_many: Callable[[Path], Collection] | None = None
    write: Writer | None = None
    place: Placed = in_folders
    image_of: Callable[[str], str] = _itself
    boxes_only: bool = False

    def kind_of(self, file: Path) -> Kind | None:
        """Return the kind of any file, None for one that is not of this family."""
        return self.kind(file) if file.suffix.lower() in self.suffixes else None
