"""Arrays kept on disk, each with a checksum behind it: what the disk has changed is never trained on."""

import hashlib
import os
import tokenize
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RunError
from ...files import write_with

_MARK = b"sha256:"
_TRAILER_BYTES = len(_MARK) + 64
_BLOCK = 1 << 20
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    LookupError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)
"""What numpy raises for a file that is no array."""

_verified: set[tuple[str, int, int]] = set()
"""Path, size and time of change of the files whose checksum this process has compared."""


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as .npy with the SHA-256 of its bytes behind them, or nothing. Raises RunError on a full disk."""

    def write(temporary: Path) -> None:
        with temporary.open("w+b") as file:
            np.save(file, array)
            end = file.tell()
            file.write(_trailer(file, end))

    write_with(path, write)


def read_cached(path: Path) -> NDArray[Any]:
    """Return a cached array, mapped from disk; its checksum is compared once in a process.

    Files of version 0.1 have none and are taken as they are.

    Raises:
        RunError: the file is no array, is cut short, was changed after it was written, or is gone.
    """
    try:
        _check(path)
        return np.asarray(np.load(path, mmap_mode="r"))
    except _UNREADABLE as error:
        raise RunError(f"'{path}' in the cache cannot be read ({error}). Delete it: it is made again.") from error


def is_intact(path: Path) -> bool:
    """Whether a cached array is there as it was written; its checksum is compared once in a process and its forks."""
    try:
        _check(path)
    except _UNREADABLE:
        return False
    return True


def _check(path: Path) -> None:
    """Raise one of `_UNREADABLE` where a file is not as it was written."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        end = _end_of_array(file)
        known = (str(path), found.st_size, found.st_mtime_ns)
        if found.st_size == end + _TRAILER_BYTES and known not in _verified:
            file.seek(end)
            if file.read() != _trailer(file, end):
                raise ValueError("it was changed after it was written: its SHA-256 differs")
            _verified.add(known)
        elif found.st_size not in (end, end + _TRAILER_BYTES):
            raise ValueError(f"it holds {found.st_size} bytes, and its array takes {end}")


def _end_of_array(file: IO[bytes]) -> int:
    """Return where the array of an .npy file ends by its header. Raises ValueError and others when it is none."""
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("it is no array of ours")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject or any(side < 0 for side in shape):
        raise ValueError("it is no array of numbers")
    return file.tell() + int(np.prod(shape, dtype=object)) * dtype.itemsize


def _trailer(file: IO[bytes], end: int) -> bytes:
    """Return what stands behind the first `end` bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    left = end
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    file.seek(end)
    return _MARK + digest.hexdigest().encode()
