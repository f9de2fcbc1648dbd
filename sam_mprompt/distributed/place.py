"""Where a job's results lie: a folder that all machines share, or an object store. Files there are whole or absent."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from ..errors import RunError, UsageError
from ..files import write_with


class Place:
    """A folder, by its path or by an address such as `s3://bucket/folder`.

    Args:
        address: the folder, which need not be there.

    Attributes:
        address: as processes on other machines find it; a path is made absolute.

    Raises:
        UsageError: an address of a kind that nothing here opens.
    """

    def __init__(self, address: str) -> None:
        self._files, self._root = file_system(address)
        self.local = Path(self._root) if isinstance(self._files, LocalFileSystem) else None
        self.address = address if self.local is None else str(self.local)

    def address_of(self, name: str) -> str:
        """Return the address of a file, as a user can open it."""
        return f"{self.address.rstrip('/')}/{name}"

    def read(self, name: str) -> bytes | None:
        """Return what a file holds, None where there is none. Raises RunError where it cannot be read."""
        with suppress(FileNotFoundError), self._explained("read", name):
            return bytes(self._files.cat_file(self._path(name)))
        return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, so that a reader finds the old one or the whole new one. Raises RunError where it cannot be."""
        if self.local is not None:
            write_with(self.local / name, lambda temporary: temporary.write_bytes(content))
            return
        with self._explained("write", name):
            self._files.pipe_file(self._path(name), content)  # an object appears when it is complete

    def open(self, name: str) -> BinaryIO:
        """Open a file to read some of it. Raises RunError, or FileNotFoundError where there is none."""
        with self._explained("read", name):
            return cast(BinaryIO, self._files.open(self._path(name), "rb"))

    def has(self, name: str) -> bool:
        """Whether there is such a file. Raises RunError where nobody can tell."""
        with self._explained("read", name):
            return bool(self._files.exists(self._path(name)))

    def remove(self, name: str) -> None:
        """Remove a file that may be gone."""
        with suppress(FileNotFoundError), self._explained("remove", name):
            self._files.rm_file(self._path(name))

    def names(self, folder: str = "") -> set[str]:
        """Return the names in a folder, none of one that is not there; hidden ones are left out."""
        paths: list[str] = []
        with suppress(FileNotFoundError), self._explained("list", folder):
            self._files.invalidate_cache()
            paths = self._files.ls(self._path(folder), detail=False)
        found = {path.rstrip("/").rpartition("/")[2] for path in paths}
        return {name for name in found if not name.startswith(".")}

    def _path(self, name: str) -> str:
        """Return the path of a file as its file system names it; that of the folder for no name."""
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    @contextmanager
    def _explained(self, doing: str, name: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # of many kinds: each kind of store has its own
            where, reason = self.address_of(name), getattr(error, "strerror", None) or error
            raise RunError(f"Cannot {doing} '{where}': {reason}. Nothing already saved was changed.") from error


def is_address(path: str) -> bool:
    """Whether a path is an address (`s3://bucket/folder`), not one of this machine's own."""
    return "://" in path


def file_system(address: str) -> tuple[AbstractFileSystem, str]:
    """Return what opens an address, and the address as that names it.

    Raises:
        UsageError: no such kind of address, or its package is not installed.
    """
    try:
        files, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(f"Cannot open '{address}': {error}.".replace("..", ".")) from error
    return files, path
