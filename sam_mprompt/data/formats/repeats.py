"""The same thing twice: heads of one image, and one picture under two names or in two splits."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...files import sha256_of
from ..sample import Sample
from .annotation import Annotation, SplitName
from .problems import Problems


def without_repeats(annotation: Annotation) -> tuple[Annotation, int]:
    """Return the annotation with each point and each box once, in their order, and how many points were repeats."""
    points, boxes = annotation.points, annotation.boxes
    paired = boxes is not None and len(boxes) == len(points)
    # Two people in one line with the camera may share a centre, but not a box.
    rows = np.hstack([points, boxes]) if paired and boxes is not None else points
    kept = _first_places(rows)
    if len(kept) == len(points):
        return annotation, 0
    if boxes is not None:
        boxes = boxes[kept if paired else _first_places(boxes)]
    return annotation._replace(points=points[kept], boxes=boxes), len(points) - len(kept)


def note_copies(read: Mapping[SplitName, tuple[list[Sample], Problems]]) -> None:
    """Note in the problems each picture that another split, or its own under another name, has byte for byte.

    Only files of equal size are hashed, so that most datasets are told apart by their listing.

    Args:
        read: the samples and problems of each split, as `collect` returns them; the problems are changed.
    """
    by_size: dict[int, list[tuple[SplitName, Path]]] = defaultdict(list)
    for split, (samples, _) in read.items():
        for sample in samples:
            by_size[sample.image.stat().st_size].append((split, sample.image))
    for group in by_size.values():
        if len(group) < 2:
            continue
        first: dict[str, tuple[SplitName, Path]] = {}
        for split, image in group:
            try:
                other, twin = first.setdefault(sha256_of(image), (split, image))
            except UsageError:  # it vanished, which decoding tells
                continue
            if twin != image:
                read[split][1].copies[image] = f"'{image.name}' is '{twin.name}' of {other}"


def _first_places(rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return where each different row stands first, in order."""
    places: NDArray[np.intp] = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    return places
