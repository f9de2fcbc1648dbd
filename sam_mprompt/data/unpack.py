"""labelme's files that hold their image -> those images as files beside them."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from ..files import is_file, is_folder, write_with
from .formats.image_folders import ANNOTATIONS, files_in
from .formats.tools.labelme import LABELME, embedded_image
from .image import HEIC_SUFFIXES, IMAGE_SUFFIXES, read_header

_SIGNATURES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"BM": ".bmp", b"II*\0": ".tif", b"MM\0*": ".tif"}


def unpack(root: Path, progress: Callable[[int, int], None] | None = None) -> list[Path]:
    """Write the images that labelme's files hold as `imageData` beside the files, which stay as they are.

    An image is called as its file is, with the suffix of its content. Where an image of that name is there already
    nothing is written.

    Args:
        root: the folder; the files may lie in its `annotations/` too.
        progress: called after each file with the number done and the number of all.

    Returns:
        The images written.

    Raises:
        UsageError: no such folder, no file of labelme, one that is malformed, or that holds no image.
        RunError: the disk is full or not writable.
    """
    root = Path(root)
    if not is_folder(root):
        raise UsageError(f"Expected a folder of labelme's files at '{root}'; found none.")
    files = [file for place in (root, *(root / name for name in ANNOTATIONS)) for file in files_in(place)]
    files = [file for file in files if LABELME.kind_of(file) is not None]
    if not files:
        raise UsageError(f"'{root}' has no .json of labelme.")
    written = []
    for done, file in enumerate(files, start=1):
        there = any(is_file(image) for image in _candidates(file))
        found = None if there else embedded_image(file)
        if found is not None:
            path = file.with_name(PurePosixPath(file.name).stem + _suffix(found[1], found[0], file))
            write_with(path, partial(_checked, content=found[1], file=file))
            written.append(path)
        if progress is not None:
            progress(done, len(files))
    return written


def _candidates(file: Path) -> Iterator[Path]:
    stem = file.stem
    for suffix in sorted(IMAGE_SUFFIXES | HEIC_SUFFIXES):
        for form in (suffix, suffix.upper()):
            yield file.with_name(stem + form)


def _suffix(content: bytes, named: str, file: Path) -> str:
    """Return the suffix that the name has, where it is one of an image, else that of the content."""
    suffix = PurePosixPath(named).suffix
    if suffix.lower() in IMAGE_SUFFIXES:
        return suffix
    known = (found for start, found in _SIGNATURES.items() if content.startswith(start))
    found = next(known, ".webp" if content[8:12] == b"WEBP" else "")
    if not found:
        raise UsageError(f"'{file}' imageData: expected a JPEG, PNG, BMP, TIFF or WebP.")
    return found


def _checked(made: Path, *, content: bytes, file: Path) -> None:
    made.write_bytes(content)
    try:
        read_header(made)
    except UsageError as error:
        raise UsageError(f"'{file}' imageData: expected an image; it cannot be read.") from error
