"""Pseudo masks on disk: a folder of two-level PNG files, one per image under the image's own relative path."""

from pathlib import Path

import cv2
import numpy as np

from ..arrays import Mask
from ..errors import UsageError
from ..files import write_with
from .bounds import MAX_PIXELS_OF_LARGE_FILES, Reading
from .image import read_grey, read_header


def mask_path(folder: Path, image: Path, root: Path) -> Path:
    """Return where the mask of `image`, below the dataset's folder `root`, is or belongs."""
    return folder / image.relative_to(root).with_suffix(".png")


def write_mask(path: Path, mask: Mask) -> None:
    """Write bool (H, W) as a PNG of one bit a pixel. Raises RunError on a full disk."""
    _, packed = cv2.imencode(".png", mask.astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    write_with(path, lambda temporary: temporary.write_bytes(packed.tobytes()))


def read_mask(path: Path, size: tuple[int, int]) -> Mask:
    """Read a mask as bool (H, W).

    Args:
        path: the file.
        size: (height, width) of its image in pixels.

    Raises:
        UsageError: no such file, no picture, or of another size than the image. That is told from the header: a mask
            takes no more memory than its image allows.
    """
    if not path.is_file():
        raise UsageError(f"No pseudo mask '{path}'.", about="pseudo mask")
    try:
        reading = Reading(max_pixels=MAX_PIXELS_OF_LARGE_FILES)
        found = read_header(path, reading).size
        pixels = read_grey(path, reading) if found == size else None
    except (UsageError, OSError) as error:
        raise UsageError(f"The pseudo mask '{path}' cannot be decoded.", about="pseudo mask") from error
    if pixels is None:
        raise UsageError(
            f"The pseudo mask '{path}' has {found[1]}x{found[0]} pixels, its image {size[1]}x{size[0]}.",
            about="pseudo mask",
        )
    mask: Mask = pixels > 127
    return mask
