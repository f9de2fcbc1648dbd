"""Images as files to decode: those of this machine as they are, those of object stores fetched ahead into memory."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from ..serve.memory_file import MemoryFile
from .place import file_system, is_address

_TOGETHER = 16
"""So many fetched images are held at once, and as many are on their way."""

_PAUSES = 0.5, 1.0, 2.0, None
"""Seconds after each try that failed; none after the last one."""

_NO_USE_TO_TRY = (FileNotFoundError, IsADirectoryError, PermissionError)


class _MissingError(Exception):
    """There is no such image; it is of no use to ask again."""


class Opened(NamedTuple):
    """Some images that can be decoded now, and why others cannot be had.

    Attributes:
        names: of the images by the path that opens each.
        missing: reasons by name.
    """

    names: dict[Path, str]
    missing: dict[str, str]


def opened(images: Sequence[str]) -> Iterator[Opened]:
    """Yield the images group by group; the paths of a group hold until the next one is asked for.

    Raises:
        UsageError: nothing here opens such an address.
        Exception: an object store does not answer, also not when it is asked again.
    """
    if local := [image for image in images if not is_address(image)]:
        yield Opened({Path(image): image for image in local}, {})
    with ThreadPoolExecutor(_TOGETHER, "sam-mprompt-fetch") as pool:
        remaining = iter([image for image in images if is_address(image)])

        def submit() -> list[tuple[str, Future[bytes]]]:
            return [(image, pool.submit(_fetched, image)) for image in islice(remaining, _TOGETHER)]

        coming = submit()
        while coming:
            current, coming = coming, submit()
            yield from _in_memory(current)


def _in_memory(current: Sequence[tuple[str, "Future[bytes]"]]) -> Iterator[Opened]:
    """Yield the fetched images of a group, and release them after."""
    files: dict[str, MemoryFile] = {}
    missing: dict[str, str] = {}
    for image, content in current:
        try:
            files[image] = MemoryFile(content.result())
        except _MissingError as error:
            missing[image] = str(error)
    yield Opened({file.path: image for image, file in files.items()}, missing)
    for file in files.values():
        file.release()


def _fetched(image: str) -> bytes:
    """Return the bytes of an image in an object store. What may pass is tried again, with longer and longer pauses."""
    files, path = file_system(image)
    for pause in _PAUSES:
        try:
            return bytes(files.cat_file(path))
        except _NO_USE_TO_TRY as error:
            raise _MissingError(f"No image can be read at '{image}': {error.strerror or error}.") from error
        except Exception:  # of many kinds: each kind of store has its own
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")
