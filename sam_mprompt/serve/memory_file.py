"""Bytes that came over the network, as a file that the decoders open by its path and no disk ever holds."""

import os
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path

from ..errors import RunError

_NAME = "sam-mprompt"


class NoRoomError(RunError):
    """The memory, or the disk with the temporary files, is full."""


class MemoryFile:
    """A file that lies in memory where the system can (Linux), else in the folder of temporary files.

    Who made it holds it; who may open it by its path meanwhile, in another thread, takes hold of it too. It is gone
    when nobody holds it any longer, so that its path never becomes that of another file before.

    Args:
        content: of the file.

    Attributes:
        path: what opens it, in this process only.
        size: in bytes.

    Raises:
        NoRoomError: the memory, or the disk with the temporary files, is full.
    """

    def __init__(self, content: bytes | bytearray | memoryview) -> None:
        self.size = len(content)
        descriptor, self.path, named = _created()
        self._close = weakref.finalize(self, _gone, descriptor, self.path if named else None)
        self._lock, self._holders = threading.Lock(), 1
        try:
            _write(descriptor, memoryview(content))
        except OSError as error:
            self._close()
            raise NoRoomError(f"Cannot hold {self.size} bytes of a request: {error.strerror}.") from error

    def __fspath__(self) -> str:
        return str(self.path)

    def hold(self) -> None:
        """Keep the file until `release`."""
        with self._lock:
            self._holders += 1

    def release(self) -> None:
        """Need it no longer."""
        with self._lock:
            self._holders -= 1
            last = self._holders == 0
        if last:
            self._close()

    def unnamed(self, message: object, name: str) -> str:
        """Return a message about this file with a name that its sender knows instead of the path."""
        return str(message).replace(f"'{self.path}'", f"'{name}'").replace(str(self.path), name)


def _created() -> tuple[int, Path, bool]:
    """Return the descriptor of a new file, its path, and whether it has a name on a disk."""
    try:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC)
            path = Path(f"/proc/self/fd/{descriptor}")
            if path.exists():
                return descriptor, path, False
            os.close(descriptor)
        descriptor, name = tempfile.mkstemp(prefix=f"{_NAME}-")
    except OSError as error:
        raise NoRoomError(f"Cannot make a file for a request: {error.strerror}.") from error
    return descriptor, Path(name), True


def _write(descriptor: int, content: memoryview) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _gone(descriptor: int, path: Path | None) -> None:
    with suppress(OSError):
        os.close(descriptor)
    if path is not None:
        with suppress(OSError):
            path.unlink()
