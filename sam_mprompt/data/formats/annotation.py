"""What every reader of a format hands over: annotations as they stand in their files, and the images they belong to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

SplitName = Literal["train", "val", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "val", "test")


class Annotation(NamedTuple):
    """The annotation of one image as it stands in its file.

    Attributes:
        points: float64 (N, 2), (x, y) of each head in pixels; not yet checked against the image.
        boxes: float64 (M, 4) as (x1, y1, x2, y2), or None when the file has none.
        groups: number of annotated groups of people, or regions to ignore, that cannot be turned into heads.
        frame: (height, width) of the image as the file states it, in which the points are; None where it does not.
        others: labels of marks that are no heads and were not counted.
        stated: number of heads as the file states it beside the points; None where it does not.
        reading: how the file was understood, where that is worth telling; empty where it is a matter of course.
        shares: points and boxes are shares (0..1) of the image's width and height by their format, not pixels.
    """

    points: NDArray[np.float64]
    boxes: NDArray[np.float64] | None = None
    groups: int = 0
    frame: tuple[int, int] | None = None
    others: tuple[str, ...] = ()
    stated: int | None = None
    reading: str = ""
    shares: bool = False


@dataclass(frozen=True)
class Entry:
    """One image of a split, before anything is opened.

    Attributes:
        image: where the image is expected.
        annotation: reads the annotation (raising UsageError where its file is malformed); None when there is none.
        attributes: what the dataset says about the image.
        hidden: the dataset keeps this annotation to itself, so that its absence is no problem.
        official: a published benchmark's annotation, which is taken as it is: heads that it repeats stay.
        embedded: the image is no file, but the file of its annotation holds it.
        unused: `image` is no image of the split but a file of the dataset's folder that nothing reads.
    """

    image: Path
    annotation: Callable[[], Annotation] | None
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    hidden: bool = False
    official: bool = False
    embedded: bool = False
    unused: bool = False


Entries = dict[SplitName, list[Entry]]
"""The entries of each split that a dataset defines."""
