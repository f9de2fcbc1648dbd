"""Any image that a user may have -> uint8 RGB pixels, the way a viewer shows them."""

import os
import re
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..arrays import ByteImage
from ..errors import DimImageWarning, SmallerCopyWarning, UsageError, did_you_mean
from ..files import is_file
from .bounded_file import BoundedFile
from .bounds import Reading, Size, any_size, bounded, check_memory
from .packages import is_installed, needed
from .pixels import Decoded, decoded, orientation_of
from .png_rows import cannot_hold_its_rows, lacks_rows, may_lack_rows

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""Suffixes, in lower case, of the files that are taken for images when a folder is listed."""

HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
"""Suffixes of what phones save; they are images where the package is installed that reads them, see `reads_heic`."""

_HEIC_PACKAGE = "pillow_heif"
_SHORT = "fewer rows than its header says"
_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_OTHERS = re.compile(
    r"\.(gif|avif|jp2|j2k|jxl|svg|e?ps|pdf|psd|p[pgbn]m|tga|ico|icns|exr|hdr|dng|raw|cr[23]|nef|arw|orf|rw2"
    r"|raf|dcm|fits|jxr|wdp|mpo|mp4|mov|avi|mkv|webm)",
    re.IGNORECASE,
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257
_pillow_limit = threading.Lock()
_USUAL = Reading()


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says before its pixels.

    Attributes:
        size: (height, width) in pixels as displayed, that is after the EXIF orientation.
        orientation: the EXIF orientation, 1 (stored as displayed) to 8.
        more_pages: whether the file holds further pages or frames behind the one that is read.
    """

    size: tuple[int, int]
    orientation: int
    more_pages: bool = False


def read_header(path: str | os.PathLike[str], reading: Reading = _USUAL) -> ImageHeader:
    """Read size and orientation from the header only, without decoding pixels.

    Raises:
        UsageError: no such file, a pipe or a device, not an image, or one that `reading` does not accept.
    """
    with _opened(Path(path)) as (image, file):
        orientation = orientation_of(image)
        # Pillow turns the size of a TIFF when it opens or when it loads it, depending on its version; the tags tell.
        tags = getattr(image, "tag_v2", {})
        width, height = (tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]) if _TIFF_WIDTH in tags else image.size
        size = (width, height) if orientation >= 5 else (height, width)
        bounded(image, file, Path(path), reading, any_size)
        return ImageHeader(size, orientation, _has_more_pages(image))


def reads_heic() -> bool:
    """Whether the optional package is installed that reads HEIC."""
    return is_installed(_HEIC_PACKAGE)


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) in pixels as displayed (after EXIF orientation), from the header only.

    Raises:
        UsageError: as `read_header`.
    """
    return read_header(path).size


def decode(
    path: str | os.PathLike[str], reading: Reading = _USUAL, *, enough: Callable[[Size], Size] | None = None
) -> Decoded:
    """Decode an image file completely.

    The EXIF orientation is applied; grey becomes three equal channels; 16 bits are scaled from 0..65535 to 0..255;
    palettes and CMYK are converted; transparent pixels are composited on white. Of several frames the first is read.
    Beside the pixels returned, memory is needed for those of the file alone (1 to 4 bytes each).

    Args:
        path: the file, a JPEG, PNG, BMP, TIFF or WebP whatever its name, or HEIC where pillow-heif is installed.
        reading: how many pixels are accepted, and whether dark 16-bit images are stretched.
        enough: where `reading.reduced`, from the picture's (height, width) to those that will do: a JPEG above the
            limit may be decoded to a smaller copy of at least that size. None for its own size.

    Raises:
        UsageError: no such file, not an image, truncated, a pixel format without a meaning in RGB, or too large.
    """
    path = Path(path)
    with _opened(path) as (image, file):
        turned = orientation_of(image) >= 5
        width, height = image.size
        shown = (lambda size: enough(size[::-1])[::-1]) if turned and enough is not None else enough
        bounded(image, file, path, reading, shown)
        check_memory(image, file, path)
        with _every_row(image, file):
            found = decoded(image, path, reading.stretch, file)
        # A TIFF is turned by Pillow, at a time that depends on its version; it is never reduced.
        reduced = image.size != (width, height) and image.format != "TIFF"
        return found._replace(size=(width, height) if turned else (height, width)) if reduced else found


def read_image(
    path: str | os.PathLike[str], reading: Reading = _USUAL, *, enough: Callable[[Size], Size] | None = None
) -> ByteImage:
    """Return the pixels of `decode`, uint8 (H, W, 3), and warn (`DimImageWarning`) of a 16-bit image that is dim.

    Where `decode` reads a smaller copy, it warns of that too (`SmallerCopyWarning`).

    Raises:
        UsageError: as `decode`.
    """
    return _told(decode(path, reading, enough=enough), path).pixels


def read_grey(path: str | os.PathLike[str], reading: Reading = _USUAL) -> NDArray[np.uint8]:
    """Decode an image file to its brightness, uint8 (H, W), in the memory that its pixels take.

    Raises:
        UsageError: as `decode`.
    """
    path = Path(path)
    with _opened(path) as (image, file):
        bounded(image, file, path, reading, None)
        with _every_row(image, file):
            if image.mode in {"1", "L"} and orientation_of(image) == 1:
                return np.asarray(image.convert("L"))
            return np.asarray(Image.fromarray(decoded(image, path, stretch=False).pixels).convert("L"))


@contextmanager
def _every_row(image: Image.Image, file: IO[bytes]) -> Iterator[None]:
    """Raise ValueError where a PNG that is decoded in the block lacks rows."""
    png = image.format == "PNG"
    if png and cannot_hold_its_rows(file):
        raise ValueError(_SHORT)
    yield
    if png and may_lack_rows(image) and lacks_rows(file):
        raise ValueError(_SHORT)


def as_rgb(image: str | os.PathLike[str] | Image.Image | ByteImage, reading: Reading = _USUAL) -> ByteImage:
    """Return uint8 RGB (H, W, 3) of a path, a PIL image, or a uint8 array of shape (H, W, 3) RGB or (H, W) grey.

    Raises:
        UsageError: as `as_decoded`.
    """
    return as_decoded(image, reading).pixels


def as_decoded(
    image: str | os.PathLike[str] | Image.Image | ByteImage,
    reading: Reading = _USUAL,
    *,
    enough: Callable[[Size], Size] | None = None,
) -> Decoded:
    """Return the pixels, and what `decode` tells beside, of a path, a PIL image, or a uint8 array (H, W, 3) or (H, W).

    A PIL image is treated like the file it came from: an EXIF orientation that it still carries is applied. An array
    that already has the right form is not copied. Warns as `read_image`; `reading` and `enough` are those of `decode`.

    Raises:
        UsageError: the image cannot be read, or the value is none of these.
    """
    if isinstance(image, str | os.PathLike):
        return _told(decode(image, reading, enough=enough), image)
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "") or "<PIL image>"
        if 0 in image.size:
            raise UsageError(f"Expected an image with pixels; received one of {image.width}x{image.height}.")
        with _explained(name):
            return _told(decoded(image, name, reading.stretch), name)
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
    pixels = np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2))
    return Decoded(pixels, (pixels.shape[0], pixels.shape[1]))


class Folder(NamedTuple):
    """The pictures directly inside a folder, each list in natural order.

    Attributes:
        images: the files that are taken for images.
        passed_over: pictures of other kinds (HEIC where nothing is installed that reads it) and videos, and what has an
            image's name but is no file: a folder, a pipe, a device, a link to nowhere.
    """

    images: list[Path]
    passed_over: list[Path]


def sort_folder(folder: Path) -> Folder:
    """List a folder's images and what was passed over. A folder that does not exist holds neither; hidden files count
    as none."""
    images: list[Path] = []
    others: list[Path] = []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            for entry in entries:
                suffix = Path(entry.name).suffix
                if entry.name.startswith("."):
                    continue
                if suffix.lower() in IMAGE_SUFFIXES or (suffix.lower() in HEIC_SUFFIXES and reads_heic()):
                    (images if is_file(folder / entry.name) else others).append(folder / entry.name)
                elif suffix.lower() in HEIC_SUFFIXES or _OTHERS.fullmatch(suffix):
                    others.append(folder / entry.name)
    return Folder(sorted(images, key=natural_order), sorted(others, key=natural_order))


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly inside a folder, in natural order (`2.jpg` before `10.jpg`), without hidden ones.

    A folder that does not exist holds none. `sort_folder` tells what was passed over, too.
    """
    return sort_folder(folder).images


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Sort key under which numbers inside file names count as numbers."""
    parts = re.split("([0-9]+)", path.name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], path.name


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, IO[bytes]]]:
    """Open an image lazily; whatever goes wrong, here or while it is used, becomes a UsageError about this file."""
    with _explained(path):
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
            raise UsageError(f"Expected an image file, but '{path}' is a pipe or a device.")
        with BoundedFile(path) as file, _open_any_size(file, path) as image:
            yield image, file


def _open_any_size(file: IO[bytes], path: Path) -> Image.Image:
    if _is_heic(file):
        # Not by registering it in Pillow, which would change what other libraries of the process open.
        opened: Image.Image = needed(_HEIC_PACKAGE, "heic", f"Image '{path}' is HEIC, which").HeifImageFile(file)
        return opened
    # Pillow's own limit warns at a sixth of the largest NWPU photograph and refuses at a third. It is a global of a
    # module that other libraries share, so it is lifted for the moment of reading the header, and ours holds.
    with _pillow_limit:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(file, formats=_FORMATS)  # of the others some start programs of the system
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _is_heic(file: IO[bytes]) -> bool:
    beginning = file.read(12)
    file.seek(0)
    return beginning[4:8] == b"ftyp" and beginning[8:] in _HEIC_BRANDS


def _has_more_pages(image: Image.Image) -> bool:
    if image.format != "TIFF":
        # A JPEG of several pictures (MPO) holds views and previews of the same one.
        return image.format in {"PNG", "WEBP"} and getattr(image, "n_frames", 1) > 1
    try:
        image.seek(1)  # not n_frames, which follows a chain that may be as long as the file
    except Exception:  # whatever stands behind the first page is no page
        return False
    return True


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
    except OSError as error:
        if error.errno is None:  # Pillow's own, about the content
            raise UsageError(_broken(name, error)) from error
        raise UsageError(f"Cannot read image '{name}': {error.strerror}.") from error
    except Exception as error:  # Pillow's decoders answer broken files with nearly every type of exception.
        raise UsageError(_broken(name, error)) from error


def _broken(name: str | Path, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return f"Cannot read image '{name}': truncated or broken ({reason}). Replace it with an intact copy."


def _told(image: Decoded, name: str | os.PathLike[str]) -> Decoded:
    if image.dim:
        warnings.warn(
            f"Image '{name}' uses {image.bits} of its 16 bits and is dark for it: stretch it to count on it.",
            DimImageWarning,
            stacklevel=3,
        )
    height, width = image.pixels.shape[:2]
    if image.size != (height, width):
        warnings.warn(
            f"Image '{name}' has {image.size[1]}x{image.size[0]} pixels, more than accepted: a smaller copy of "
            f"{width}x{height} is read.",
            SmallerCopyWarning,
            stacklevel=3,
        )
    return image
