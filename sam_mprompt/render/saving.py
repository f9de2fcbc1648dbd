"""Pictures -> files."""

from pathlib import Path

import cv2

from ..arrays import ByteImage
from ..errors import UsageError
from ..files import write_with

_LONGEST_JPEG = 65_500  # pixels; what libjpeg takes

PICTURES = (".png", ".jpg", ".jpeg")
"""How the name of a picture that `save_image` writes may end."""


def save_image(path: Path, image: ByteImage) -> None:
    """Write a uint8 RGB image as PNG or JPEG by the path's suffix, whole or not at all.

    Raises:
        UsageError: another suffix, or more pixels a side than a JPEG can have.
        RunError: the disk is full or not writable.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise UsageError(f"Expected a picture named .png or .jpg, got '{path}'.")
    if suffix != ".png" and max(image.shape[:2]) > _LONGEST_JPEG:
        height, width = image.shape[:2]
        raise UsageError(f"'{path}' cannot be a JPEG of {width}x{height}: expected at most {_LONGEST_JPEG} a side.")
    encoded = encoded_image(image, suffix)
    write_with(path, lambda temporary: temporary.write_bytes(encoded))


def encoded_image(image: ByteImage, suffix: str) -> bytes:
    """Return a uint8 RGB image as the content of a file whose name ends in `suffix`, one of `PICTURES`."""
    quality = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
    _, encoded = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)
    return encoded.tobytes()
