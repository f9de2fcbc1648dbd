"""How much of an image file is decoded: a limit on pixels, an estimate of memory, the smaller copy of a JPEG."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ..errors import UsageError
from ..memory import available_memory

MAX_PIXELS = 1 << 28
"""The largest image accepted of any file, in pixels: decoding it takes less than 2 GB."""

MAX_PIXELS_OF_LARGE_FILES = 1 << 30
"""The largest image accepted of a file that is large enough to be a photograph of that size; NWPU-Crowd has one of half
as many pixels."""

Size = tuple[int, int]
"""(height, width) in pixels."""

_PIXELS_A_BYTE = 64  # of a photograph: even a sky in JPEG has fewer; a decompression bomb has a thousand
_BYTES_STORED = {"1": 1, "L": 1, "P": 1, "LA": 4, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # by Pillow; else 4
_BYTES_RETURNED = 3
_BYTES_OF_COEFFICIENTS = 6  # of a JPEG that comes in several scans: three channels of 16 bits, whatever the scale
_MOST_BYTES = 4 + _BYTES_RETURNED + _BYTES_OF_COEFFICIENTS
_UNASKED = 1 << 28  # bytes: so little is taken without asking what there is
_JPEG = ("JPEG", "MPO")
_FACTORS = (2, 4, 8)
_START_OF_SCAN, _FRAMES = 0xDA, (0xC0, 0xC1)


@dataclass(frozen=True)
class Reading:
    """How image files are read.

    Attributes:
        max_pixels: the most pixels that are decoded of one image; None for `MAX_PIXELS`, and for
            `MAX_PIXELS_OF_LARGE_FILES` of a file that holds at least a byte for 64 of them.
        stretch: scale 16-bit images from the bits that the image uses (0..4095 of a camera with 12) instead of from
            0..65535.
        reduced: decode a JPEG above the limit at a half, a quarter or an eighth of its sides, where that is still as
            large as the one who asks will shrink it to. All other images are decoded in full, so their pixels, and
            the counts, do not depend on the limit.

    Raises:
        UsageError: a limit that is no number of pixels.
    """

    max_pixels: int | None = None
    stretch: bool = False
    reduced: bool = False

    def __post_init__(self) -> None:
        limit = self.max_pixels
        if limit is None:
            return
        if isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1:
            raise UsageError(f"max_pixels: expected a number of pixels from 1 on, got {limit!r}.")


def any_size(_size: Size) -> Size:
    """Say of any image that the smallest copy is enough."""
    return 1, 1


def bounded(
    image: Image.Image, file: IO[bytes], path: Path, reading: Reading, enough: Callable[[Size], Size] | None
) -> None:
    """Refuse an opened image of too many pixels, or have it decoded at a reduced scale. Decodes nothing.

    Args:
        image: as Pillow opened it.
        file: what it was opened from, to be read at any place.
        path: for messages.
        reading: the limit.
        enough: from the size of the picture as stored to the least one that will do; None where it is read in full.

    Raises:
        UsageError: more pixels than accepted, or none at all.
    """
    pixels = image.width * image.height
    if pixels == 0:
        raise UsageError(f"Image '{path}' has {image.width}x{image.height} pixels; expected at least one.")
    plausible = path.stat().st_size * _PIXELS_A_BYTE >= pixels
    limit = reading.max_pixels or (MAX_PIXELS_OF_LARGE_FILES if plausible else MAX_PIXELS)
    if pixels <= limit:
        return
    factor = None
    if reading.reduced and enough and plausible and image.format in _JPEG and _in_one_scan(file):
        factor = _factor((image.height, image.width), limit, enough)
    if factor is None:
        raise UsageError(
            f"Image '{path}' has {image.width}x{image.height} pixels, more than the {limit} accepted (decoding it "
            f"takes {_gigabytes(_needed(image, file))} of memory). Scale it down or cut it into parts.",
            about="too many pixels",
        )
    image.draft(None, (image.width // factor, image.height // factor))


def check_memory(image: Image.Image, file: IO[bytes], path: Path) -> None:
    """Refuse an opened image that takes more memory than is left, before it is decoded. Raises UsageError."""
    if image.width * image.height * _MOST_BYTES <= _UNASKED:
        return
    needed, left = _needed(image, file), available_memory()
    if left is not None and needed > left:
        raise UsageError(
            f"Image '{path}' has {image.width}x{image.height} pixels: decoding it takes {_gigabytes(needed)} of "
            f"memory, more than the {_gigabytes(left)} that are left. Scale it down or cut it into parts."
        )


def _needed(image: Image.Image, file: IO[bytes]) -> int:
    """Return how many bytes decoding takes: the file's pixels, those returned, and what its format needs beside."""
    beside = _BYTES_OF_COEFFICIENTS if image.format in _JPEG and not _in_one_scan(file) else 0
    return image.width * image.height * (_BYTES_STORED.get(image.mode, 4) + _BYTES_RETURNED + beside)


def _factor(size: Size, limit: int, enough: Callable[[Size], Size]) -> int | None:
    """Return the least factor by which a JPEG's sides are divided for its pixels to fit; None where none will do."""
    least = enough(size)
    for factor in _FACTORS:
        height, width = -(-size[0] // factor), -(-size[1] // factor)
        if height * width <= limit:
            return factor if height >= least[0] and width >= least[1] else None
    return None


def _in_one_scan(file: IO[bytes]) -> bool:
    """Whether a JPEG is decoded row by row: baseline, all channels in one scan. Others are held in memory in full."""
    place = file.tell()
    try:
        file.seek(2)
        channels = None
        while (marker := file.read(2)) and marker[0] == 0xFF:
            following = file.tell() + int.from_bytes(file.read(2), "big")
            if marker[1] in _FRAMES:
                channels = file.read(6)[5]
            elif marker[1] == _START_OF_SCAN:
                return channels == file.read(1)[0]
            file.seek(following)
    except IndexError:  # cut: the decoder tells
        pass
    finally:
        file.seek(place)
    return False


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
