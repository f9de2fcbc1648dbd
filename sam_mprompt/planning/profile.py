"""What a dataset is like, seen from its training images alone: the fingerprint that the rules read."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from ..arrays import FloatArray
from ..data.formats.read import read_split, recognise
from ..data.sample import Sample
from ..errors import UsageError

FEWEST = 2
"""Annotated images without which there is nothing to train on and to compare with."""


@dataclass(frozen=True)
class Profile:
    """A dataset's fingerprint; sizes and distances are pixels of the images as they are.

    Attributes:
        format: layout on disk.
        images: annotated training images, those included that a val split would be carved from.
        val_images: images of the val split that the dataset has of its own, 0 without one.
        short_side, long_side: medians over the images.
        smallest_side, largest_side: the shortest short side and the longest long side.
        heads: fewest, median and most heads of an image.
        mean_heads: mean heads of an image.
        spacing: the typical distance from a head to its nearest neighbour: the median over the images of each image's
            median; None where no image has two heads.
        head_side: the median side of the head boxes; None where there are none.
        heads_per_megapixel: median over the images.
    """

    format: str
    images: int
    val_images: int
    short_side: int
    long_side: int
    smallest_side: int
    largest_side: int
    heads: tuple[int, int, int]
    mean_heads: float
    spacing: float | None
    head_side: float | None
    heads_per_megapixel: float


def profile_of(root: Path, format: str | None = None, *, label: str | None = None, columns: str = "") -> Profile:
    """Read a dataset's training split: image headers and annotations, no pixels, and nothing of its test split.

    Of a val split it is only how many images it has: each is counted again and again while training.

    Args:
        root: the dataset's folder.
        format: its layout; recognised when None.
        label: the label whose marks are heads, as `read_split`.
        columns: which columns of a table are which, as `read_split`.

    Raises:
        UsageError: no such folder, no known format, or fewer than two annotated training images.
    """
    format = format or ("points" if columns else recognise(root))
    found = read_split(root, "train", format=format, val_fraction=0.0, label=label, columns=columns)
    samples = [sample for sample in found.samples if sample.points is not None]
    if len(samples) < FEWEST:
        raise UsageError(
            f"A plan needs at least {FEWEST} annotated training images, and '{root}' has {len(samples)}.",
            about="data",
            root=root,
        )
    val = 0 if found.carved else len(read_split(root, "val", format=format, val_fraction=0.0).samples)
    return profile(samples, format, val_images=val)


def profile(samples: Sequence[Sample], format: str, *, val_images: int) -> Profile:
    """Return the fingerprint of annotated samples."""
    short, long = (np.array([side(sample.size) for sample in samples]) for side in (min, max))
    counts = np.array([sample.count for sample in samples])
    boxes = [sample.boxes for sample in samples if sample.boxes is not None and len(sample.boxes)]
    distances = [spacing(sample.points) for sample in samples if sample.points is not None]
    known = [distance for distance in distances if distance is not None]
    return Profile(
        format=format,
        images=len(samples),
        val_images=val_images,
        short_side=int(np.median(short)),
        long_side=int(np.median(long)),
        smallest_side=int(short.min()),
        largest_side=int(long.max()),
        heads=(int(counts.min()), int(np.median(counts)), int(counts.max())),
        mean_heads=float(counts.mean()),
        spacing=float(np.median(known)) if known else None,
        head_side=_median_side(boxes),
        heads_per_megapixel=float(np.median(counts / (short * long / 1e6))),
    )


def spacing(points: FloatArray) -> float | None:
    """Return the median distance from a head to its nearest neighbour, (N, 2) -> pixels; None for fewer than two.

    Heads that were annotated twice at one place count once.
    """
    distinct = np.unique(points.reshape(-1, 2), axis=0)
    if len(distinct) < 2:
        return None
    return float(np.median(np.asarray(cKDTree(distinct).query(distinct, k=2)[0])[:, 1]))


def _median_side(boxes: Sequence[FloatArray]) -> float | None:
    if not boxes:
        return None
    sides = np.concatenate([np.sqrt((each[:, 2] - each[:, 0]) * (each[:, 3] - each[:, 1])) for each in boxes])
    return float(np.median(sides))
