"""How an image of any size becomes pixels for the model: one resize, then overlapping tiles. Free of torch."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .arrays import ByteImage
from .errors import UsageError
from .sizes import overlap_fault, sides_fault


@dataclass(frozen=True)
class Geometry:
    """Sizes in pixels that training and counting share.

    Attributes:
        max_side: the longer side after resizing is at most this.
        min_side: the shorter side after resizing is at least this, unless `max_side` forbids it.
        scale: factor applied to every image before the two limits.
        tile: largest side of the tiles in which larger images are counted.
        overlap: least overlap of neighbouring tiles, at most half of one. Tile and overlap are rounded up to the
            model's `size_divisor`.
        tile_step: tiles become smaller in steps of so many pixels, as long as no more of them are needed; 0 keeps them
            at `tile`.

    Raises:
        UsageError: sizes that contradict each other.
    """

    max_side: int = 2048
    min_side: int = 416
    scale: float = 1.0
    tile: int = 896
    overlap: int = 112
    tile_step: int = 0

    def __post_init__(self) -> None:
        if fault := sides_fault(self.min_side, self.max_side):
            raise UsageError(f"min_side: {fault}.")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"Expected a scale above 0, got {self.scale}. 1.0 keeps the image's own resolution.")
        if fault := overlap_fault(self.tile, self.overlap):
            raise UsageError(f"overlap: {fault}.")
        if self.tile_step < 0:
            raise UsageError(f"Expected a tile_step of 0 pixels or more, got {self.tile_step}.")


def resized(size: tuple[int, int], geometry: Geometry) -> tuple[int, int]:
    """Return (height, width) after resizing an image of (height, width) pixels, aspect kept to the nearest pixel.

    `scale` first, then the shorter side is raised to `min_side`, then the longer side is cut to `max_side`
    (paper section 4, implementation details). Where a panorama cannot satisfy both, the maximum wins: it bounds time
    and memory for any aspect ratio.
    """
    factor = min(max(geometry.scale, geometry.min_side / min(size)), geometry.max_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def resize_image(
    image: ByteImage, geometry: Geometry, size: tuple[int, int] | None = None
) -> tuple[ByteImage, tuple[float, float]]:
    """Resize a uint8 (H, W, 3) image by the rule of `resized`; area-averaged when it shrinks, bicubic when it grows.

    Args:
        image: the pixels.
        geometry: the rule.
        size: (height, width) of the picture that the image is a smaller copy of; None where it is no copy.

    Returns:
        The image (the same array when its size is right already) and the ratios new/old of (x, y), by which points
        and boxes are multiplied.
    """
    height, width = size or image.shape[:2]
    target = resized((height, width), geometry)
    if target == image.shape[:2]:
        return image, (target[1] / width, target[0] / height)
    shrinks = target[0] * target[1] < image.shape[0] * image.shape[1]
    image = cv2.resize(image, target[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return image, (target[1] / width, target[0] / height)


def round_up(value: int, size_divisor: int) -> int:
    """Return the smallest multiple of `size_divisor` that is at least `value`."""
    return -(-value // size_divisor) * size_divisor


def tile_starts(length: int, geometry: Geometry, size_divisor: int) -> tuple[int, list[int]]:
    """Return (tile side, first pixel of each tile) along one axis of `length` pixels, all multiples of `size_divisor`.

    The axis is padded to `padded = round_up(length, size_divisor)`. It is one tile when that fits; otherwise tiles are
    as few as the overlap allows, as small as their number allows (`tile_step`), and spread evenly from 0 to flush with
    `padded`. Two neighbours share no fewer pixels than the overlap.
    """
    padded = round_up(length, size_divisor)
    tile, overlap = (round_up(side, size_divisor) for side in (geometry.tile, geometry.overlap))
    if padded <= tile:
        return padded, [0]
    last = math.ceil((padded - tile) / max(size_divisor, tile - overlap))
    if geometry.tile_step:
        enough = math.ceil((padded + last * overlap) / (last + 1))
        tile = min(tile, round_up(enough, math.lcm(geometry.tile_step, size_divisor)))
    return tile, [i * (padded - tile) // last // size_divisor * size_divisor for i in range(last + 1)]


def tile_grid(
    size: tuple[int, int], geometry: Geometry, size_divisor: int
) -> tuple[tuple[int, int], list[int], list[int]]:
    """Return ((height, width) of the tiles, their first rows, their first columns) for an image of (height, width)."""
    (height, tops), (width, lefts) = (tile_starts(length, geometry, size_divisor) for length in size)
    return (height, width), tops, lefts


def tile_weights(starts: list[int], side: int) -> NDArray[np.float64]:
    """Return (tiles, side) blending weights along one axis, in (0, 1]; at every position they sum to exactly 1.

    A tile weighs most at its centre and falls linearly to its ends, where the model has seen the least context.
    """
    hat = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float64)
    total = np.zeros(starts[-1] + side)
    for start in starts:
        total[start : start + side] += hat
    return np.stack([hat / total[start : start + side] for start in starts])
