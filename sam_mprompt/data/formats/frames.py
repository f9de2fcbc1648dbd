"""Whether an annotation was made in the frame and the units of the image that it stands beside."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .annotation import Annotation

_SLIP = 0.01  # of the longer side
_FEW = 0.05  # of the points: fewer are strays
_SEVERAL = 3  # points: two may be one head and its double


def fitted(annotation: Annotation, size: tuple[int, int]) -> Annotation | str:
    """Return the annotation in pixels of an image of `size` (height, width), or why that cannot be.

    The frame that the annotation states for itself decides: the same picture at another size is scaled; the annotation
    comes back unchanged (the same object) where it is in pixels and the frame is the image's own, or is not stated.
    What is in shares by its format is taken times the image's sides, once its frame is one of this shape.
    """
    height, width = size
    if annotation.frame is None or annotation.frame == size:
        return _scaled(annotation, (width, height), size) if annotation.shares else annotation
    high, wide = annotation.frame
    stated = f"annotated as {wide}x{high}, the image is {width}x{height}"
    if _same_shape((high, wide), (height, width)):
        return _scaled(annotation, (width, height) if annotation.shares else (width / wide, height / high), size)
    if _same_shape((wide, high), (height, width)):
        return f"{stated}: turned after it was annotated, or by its EXIF orientation"
    return f"{stated}: cropped or another image"


def _scaled(annotation: Annotation, ratio: tuple[float, float], size: tuple[int, int]) -> Annotation:
    boxes = None if annotation.boxes is None else annotation.boxes * np.tile(ratio, 2)
    return annotation._replace(points=annotation.points * np.array(ratio), boxes=boxes, frame=size, shares=False)


def in_shares(annotation: Annotation, size: tuple[int, int]) -> bool:
    """Whether what should be pixels seems to be shares of the image: all lie in 0..1, not all on whole numbers."""
    points: NDArray[np.float64] = annotation.points
    if annotation.shares or not len(points) or max(size) <= 2:
        return False
    return bool(((points >= 0) & (points <= 1)).all() and (points % 1 != 0).any())


def in_one_place(annotation: Annotation, size: tuple[int, int]) -> str:
    """Return why the points seem to be in another unit, such as degrees on a map, or nothing.

    So they seem where three or more are apart from each other, and all of them within a pixel.
    """
    points: NDArray[np.float64] = annotation.points
    if annotation.shares or len(points) < _SEVERAL or max(size) <= 2:
        return ""
    spread = float(np.ptp(points, axis=0).max())
    return f"all {len(points)} heads lie within a pixel: in another unit, such as degrees" if 0 < spread < 1 else ""


def in_rows_and_columns(annotation: Annotation, size: tuple[int, int]) -> str:
    """Return why the points seem to be (y, x) of an image of `size` (height, width) instead of (x, y), or nothing.

    So they seem where more than a few lie outside as (x, y), by more than a slip of the hand at the border, and all of
    them lie inside as (y, x).
    """
    points: NDArray[np.float64] = annotation.points
    height, width = size
    limits = np.array([width, height])
    outside = ((points < 0) | (points >= limits)).any(axis=1)
    beyond = (points >= limits + _SLIP * max(size)).any(axis=1)
    swapped_inside = ((points >= 0) & (points < limits[::-1])).all()
    if not beyond.any() or beyond.mean() < _FEW or not swapped_inside:
        return ""
    return f"as (x, y) {int(outside.sum())} of {len(points)} lie outside {width}x{height}, as (y, x) none does"


def _same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    # A side that was rounded to a whole pixel differs by half of one.
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def stated_frame(content: dict[str, Any]) -> tuple[int, int] | None:
    """Return (height, width) of the image as an object of a foreign file states it, None where it does not."""
    for keys in (("height", "width"), ("imageHeight", "imageWidth")):
        high, wide = (content.get(key) for key in keys)
        if isinstance(high, int) and isinstance(wide, int) and high > 0 and wide > 0:
            return high, wide
    return None
