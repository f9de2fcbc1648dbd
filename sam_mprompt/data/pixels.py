"""An opened PIL image -> uint8 RGB pixels as a viewer shows them, strip by strip so that memory stays bounded."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from ..arrays import ByteImage
from ..errors import UsageError
from .deep_colour import bits_in_use, is_deep, stretched

_STRIP = 1 << 22  # pixels converted at a time, so that no second copy of the whole image is held
_BITS_OF_A_DIM_IMAGE = 14
_ORIENTATION = 0x0112
# Of an array of the displayed image: the view in which the stored rows lie where they belong.
_AS_STORED: dict[int, Callable[[ByteImage], ByteImage]] = {
    2: lambda shown: shown[:, ::-1],
    3: lambda shown: shown[::-1, ::-1],
    4: lambda shown: shown[::-1],
    5: lambda shown: shown.swapaxes(0, 1),
    6: lambda shown: np.rot90(shown, 1),
    7: lambda shown: shown.swapaxes(0, 1)[::-1, ::-1],
    8: lambda shown: np.rot90(shown, -1),
}


class Decoded(NamedTuple):
    """An image and what is worth knowing about it.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, contiguous and writable.
        size: (height, width) of the picture as displayed: that of the pixels, unless they are a smaller copy.
        bits: number of bits that the largest value of a 16-bit image takes; None of any other image, and of colour
            that was stretched.
        dim: whether so few of the 16 bits are used (14 or fewer) that the image is dark; False where it was stretched.
    """

    pixels: ByteImage
    size: tuple[int, int]
    bits: int | None = None
    dim: bool = False


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or none that means anything."""
    # Not `image.getexif()`: for a PNG that would decode every pixel in search of EXIF behind them.
    orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return orientation if orientation in _AS_STORED else 1


def decoded(image: Image.Image, name: str | Path, stretch: bool, file: IO[bytes] | None = None) -> Decoded:
    """Decode an opened image; `name` leads messages, `stretch` scales 16-bit images from the bits that are in use.

    Colour of 16 bits can only be stretched where `file` is what the image is read from.

    Raises:
        UsageError: a pixel format without a meaning in RGB. The decoder raises what it likes on broken files.
    """
    # Pillow itself turns a TIFF while loading it.
    orientation = 1 if image.format == "TIFF" else orientation_of(image)
    deep = is_deep(image)
    image.load()
    if image.mode in {"F", "LAB", "HSV"}:
        raise UsageError(
            f"Image '{name}' has '{image.mode}' pixels; expected RGB, grey or CMYK. Save it as one of them."
        )
    bits, dim, top = None, False, 65535
    if image.mode.startswith("I"):
        bits = _bits(image, name)
        dim = 0 < bits <= _BITS_OF_A_DIM_IMAGE and not stretch
        top = (1 << max(bits, 1)) - 1 if stretch else top
    if deep and stretch and file is not None:
        image = stretched(file)
    elif deep:
        bits = bits_in_use(image, file)
        dim = 0 < bits <= _BITS_OF_A_DIM_IMAGE
    width, height = image.size
    pixels = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _AS_STORED[orientation](pixels) if orientation != 1 else pixels
    for rows, strip in _strips(image):
        stored[rows] = _rgb(strip, top)
    return Decoded(pixels, (pixels.shape[0], pixels.shape[1]), bits, dim)


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield the image in strips of full width, each with its rows."""
    width, height = image.size
    step = max(1, _STRIP // width)
    if step >= height:
        yield slice(0, height), image
        return
    for first in range(0, height, step):
        last = min(first + step, height)
        yield slice(first, last), image.crop((0, first, width, last))


def _rgb(image: Image.Image, top: int) -> ByteImage:
    """Return uint8 RGB (or grey, for three equal channels); `top` is the value of 16-bit grey that becomes 255."""
    if image.mode.startswith("I"):
        # A fixed scale, so that brightness means the same in every image.
        grey = ((np.asarray(image).astype(np.int64) * 255 + top // 2) // top).astype(np.uint8)
        return grey[:, :, None]
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _bits(image: Image.Image, name: str | Path) -> int:
    """Return how many bits the largest value takes. Raises UsageError where a value doesn't fit 16 bits."""
    extremes = [(int(values.min()), int(values.max())) for _, strip in _strips(image) for values in [np.asarray(strip)]]
    low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
    if low < 0 or high > 65535:
        raise UsageError(f"Image '{name}' has pixels of {low}..{high}; expected 0..65535. Save it with 8 or 16 bits.")
    return high.bit_length()
