"""Any image that a user may have -> uint8 RGB pixels, the way a viewer shows them."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..arrays import ByteImage
from ..errors import UsageError, did_you_mean

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that are taken for images when a folder is listed."""

MAX_PIXELS = 1 << 30
"""The largest image accepted, in pixels: the largest photograph of NWPU-Crowd has half as many."""

_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_pillow_limit = threading.Lock()


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says before its pixels.

    Attributes:
        size: (height, width) in pixels as displayed, that is after the EXIF orientation.
        orientation: the EXIF orientation, 1 (stored as displayed) to 8.
    """

    size: tuple[int, int]
    orientation: int


def read_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Read size and orientation from the header only, without decoding pixels.

    Raises:
        UsageError: no such file, not an image, or more than `MAX_PIXELS` pixels.
    """
    with _opened(Path(path)) as image:
        orientation = _orientation(image)
        # Pillow turns the size of a TIFF when it opens or when it loads it, depending on its version; the tags tell.
        tags = getattr(image, "tag_v2", {})
        width, height = (tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]) if _TIFF_WIDTH in tags else image.size
        return ImageHeader((width, height) if orientation >= 5 else (height, width), orientation)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) in pixels as displayed (after EXIF orientation), from the header only.

    Raises:
        UsageError: as `read_header`.
    """
    return read_header(path).size


def read_image(path: str | os.PathLike[str]) -> ByteImage:
    """Decode an image file completely.

    The EXIF orientation is applied; grey becomes three equal channels; 16-bit grey is scaled from 0..65535 to 0..255;
    palettes and CMYK are converted; transparent pixels are composited on white. Of several frames the first is read.

    Returns:
        uint8 (H, W, 3), RGB, contiguous and writable.

    Raises:
        UsageError: no such file, not an image, truncated, a pixel format without a meaning in RGB, or too large.
    """
    path = Path(path)
    with _opened(path) as image:
        return _pixels(image, path)


def as_rgb(image: str | os.PathLike[str] | Image.Image | ByteImage) -> ByteImage:
    """Return uint8 RGB (H, W, 3) of a path, a PIL image, or a uint8 array of shape (H, W, 3) RGB or (H, W) grey.

    A PIL image is treated like the file it came from: an EXIF orientation that it still carries is applied. An array
    that already has the right form is not copied.

    Raises:
        UsageError: the image cannot be read, or the value is none of these.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "") or "<PIL image>"
        with _explained(name):
            return _pixels(image, name)
    if not isinstance(image, np.ndarray):
        raise UsageError(
            f"Expected an image as a path, a PIL image or a uint8 array (H, W, 3); received {type(image).__name__}."
        )
    if image.dtype != np.uint8:
        raise UsageError(
            f"Expected an image array of type uint8 with values 0..255; received {image.dtype}. "
            "Scale it to 0..255 and convert it with .astype('uint8')."
        )
    if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or 0 in image.shape:
        raise UsageError(
            f"Expected an image array of shape (H, W, 3) RGB or (H, W) grey; received {image.shape}. "
            "Pass one image at a time, channels last, without an alpha channel."
        )
    return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2))


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly inside a folder, in natural order (`2.jpg` before `10.jpg`), without hidden ones.

    A folder that does not exist holds none.
    """
    if not folder.is_dir():
        return []
    files = [
        file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".")
    ]
    return sorted(files, key=natural_order)


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Sort key under which numbers inside file names count as numbers."""
    parts = re.split("([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image lazily; whatever goes wrong, here or while it is used, becomes a UsageError about this file."""
    with _explained(path), path.open("rb") as file, _open_any_size(file) as image:
        if image.width * image.height > MAX_PIXELS:
            raise UsageError(
                f"Image '{path}' has {image.width}x{image.height} pixels, more than the {MAX_PIXELS} accepted. "
                "Scale it down or cut it into parts."
            )
        yield image


def _open_any_size(file: IO[bytes]) -> Image.Image:
    # Pillow's own limit warns at a sixth of the largest NWPU photograph and refuses at a third. It is a global of a
    # module that other libraries share, so it is lifted for the moment of reading the header, and `MAX_PIXELS` holds.
    with _pillow_limit:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


@contextmanager
def _explained(name: str | Path) -> Iterator[None]:
    try:
        yield
    except (UsageError, MemoryError):
        raise
    except FileNotFoundError as error:
        siblings = [file.name for file in images_in(Path(name).parent)]
        raise UsageError(f"No image file at '{name}'.{did_you_mean(Path(name).name, siblings)}") from error
    except IsADirectoryError as error:
        raise UsageError(f"Expected an image file, but '{name}' is a folder.") from error
    except PermissionError as error:
        raise UsageError(f"Cannot read image '{name}': permission denied. Make the file readable.") from error
    except UnidentifiedImageError as error:
        what = "the file is empty" if Path(name).stat().st_size == 0 else "it is not an image of a known kind"
        raise UsageError(
            f"Cannot read image '{name}': {what}. Expected JPEG, PNG, BMP, TIFF or WebP; replace the file."
        ) from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every type of exception.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(
            f"Cannot read image '{name}': truncated or broken ({reason}). Replace it with an intact copy."
        ) from error


def _orientation(image: Image.Image) -> int:
    # Not `image.getexif()`: for a PNG that would decode every pixel in search of EXIF behind them.
    orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)
    return orientation if orientation in _TURNS else 1


def _pixels(image: Image.Image, name: str | Path) -> ByteImage:
    # Pillow itself turns a TIFF while loading it.
    turn = None if image.format == "TIFF" else _TURNS.get(_orientation(image))
    image.load()
    rgb = _rgb(image, name)
    return np.array(rgb if turn is None else rgb.transpose(turn))


def _rgb(image: Image.Image, name: str | Path) -> Image.Image:
    if image.mode.startswith("I"):
        return _from_16_bits(image, name).convert("RGB")
    if image.mode in {"F", "LAB", "HSV"}:
        raise UsageError(
            f"Image '{name}' has '{image.mode}' pixels; expected RGB, grey or CMYK. Save it as one of them."
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _from_16_bits(image: Image.Image, name: str | Path) -> Image.Image:
    """Scale grey of the range 0..65535 to 0..255; a fixed scale, so that brightness means the same in every image."""
    values = np.asarray(image).astype(np.int64)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise UsageError(f"Image '{name}' has pixels of {low}..{high}; expected 0..65535. Save it with 8 or 16 bits.")
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
