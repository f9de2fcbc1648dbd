"""What all pictures share: sizes, bytes and colours."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import ByteImage

Colour = tuple[int, int, int]
"""RGB, each 0..255."""

WHITE: Colour = (255, 255, 255)


def fit_within(image: ByteImage, longest: int) -> ByteImage:
    """Return the image shrunk so that its longer side is at most `longest` pixels; smaller ones as they are."""
    factor = min(1.0, longest / max(image.shape[:2]))
    return resized(image, (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))))


def resized(image: ByteImage, size: tuple[int, int]) -> ByteImage:
    """Return the image at (height, width): area-averaged when it shrinks, bicubic when it grows."""
    if size == image.shape[:2]:
        return image
    shrinks = size[0] * size[1] < image.shape[0] * image.shape[1]
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))


def as_bytes(values: NDArray[np.floating]) -> ByteImage:
    """Return values rounded to bytes, cut at 0 and 255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
