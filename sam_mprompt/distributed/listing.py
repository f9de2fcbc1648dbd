"""The images that addresses of object stores name, and how an image is called in a table."""

import os
from collections.abc import Iterable
from pathlib import Path

from ..data.image import IMAGE_SUFFIXES
from ..errors import UsageError
from .place import file_system

_PATTERN = frozenset("*?[")


def name_of(image: Path) -> str:
    """Return how an image of this machine is called, from whatever folder it is named: its absolute path.

    Raises:
        UsageError: the path is not UTF-8, which tables cannot hold.
    """
    name = os.path.abspath(image)  # noqa: PTH100 - without following links: the image stays what the user called it
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="backslashreplace").decode()
        raise UsageError(f"'{shown}' is no UTF-8: expected a name that a table can hold. Rename the file.") from error
    return name


def images_at(address: str) -> list[str]:
    """Return the addresses of the images at an address: those directly in a folder, those of a pattern, or the one.

    `s3://bucket/folder/**` names all those below a folder.

    Raises:
        UsageError: no image there, or nothing opens such an address.
    """
    files, path = file_system(address)
    try:
        if _PATTERN & set(path):
            found = [name for name, entry in files.glob(path, detail=True).items() if entry["type"] == "file"]
        elif files.isdir(path):
            found = [entry["name"] for entry in files.ls(path, detail=True) if entry["type"] == "file"]
        else:
            found = [path] if files.exists(path) else []
    except Exception as error:  # of many kinds: each kind of store has its own
        raise UsageError(f"Cannot list '{address}': {getattr(error, 'strerror', None) or error}.") from error
    images = [files.unstrip_protocol(name) for name in found if _is_image(name)]
    if not images:
        raise UsageError(f"No image at '{address}': expected an image, a folder of images or a pattern.")
    return images


def in_order(images: Iterable[str]) -> list[str]:
    """Return the images sorted and each once, so that one list of images is always cut into the same parts."""
    return sorted(set(images))


def _is_image(name: str) -> bool:
    file = name.rpartition("/")[2]
    return not file.startswith(".") and Path(file).suffix.lower() in IMAGE_SUFFIXES
