"""Colour of 16 bits a channel, of which Pillow keeps the upper eight: how many are in use, and all of them."""

from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image that is not loaded yet has colour, or grey with transparency, of 16 bits a channel."""
    return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) and not image.mode.startswith("I")


def bits_in_use(image: Image.Image, file: IO[bytes] | None = None) -> int:
    """Return how many bits the largest value of a loaded deep image takes, 0 where it is black.

    Pillow's eight bits tell, but of an image that uses no more than the others: those are looked up in the file.
    """
    extremes = np.array(image.getextrema())[[band != "A" for band in image.getbands()]]
    if upper := int(extremes.max()):
        return 8 + upper.bit_length()
    return 0 if file is None else int(_values(file)[..., :3].max()).bit_length()


def stretched(file: IO[bytes]) -> Image.Image:
    """Decode a deep image anew, scaled from the bits that its largest value takes to 0..255.

    Raises:
        ValueError: it cannot be decoded.
    """
    values = _values(file)
    colour, alpha = values[..., 2::-1], values[..., 3:]
    top = (1 << max(int(colour.max()).bit_length(), 1)) - 1
    layers = [
        ((part.astype(np.uint32) * 255 + most // 2) // most).astype(np.uint8)
        for part, most in ((colour, top), (alpha, 65535))
    ]
    return Image.fromarray(np.concatenate(layers, axis=2))


def _values(file: IO[bytes]) -> NDArray[np.uint16]:
    """Return the image as OpenCV decodes it, uint16 (H, W, 3 or 4), blue first. Raises ValueError where it cannot."""
    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise ValueError("its colour of 16 bits cannot be decoded")
    return values
