"""Disks that are full, and disks that nothing can be written to."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import pytest

_SIZE = 32 << 20
_PAGE = 4096


@contextmanager
def mounted(folder: Path, size: int = _SIZE) -> Iterator[Path]:
    """Yield a folder that is a disk of its own of so many bytes; skips where this user may mount none."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"a small disk takes root: {done.stderr.decode(errors='replace').strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing be written to a disk of `mounted` within the block."""
    for options in ("remount,ro", "remount,rw"):
        done = subprocess.run(["mount", "-o", options, str(folder)], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"cannot mount anew: {done.stderr.decode(errors='replace').strip()}")
        if options == "remount,ro":
            try:
                yield
            finally:
                pass


class Disk:
    """A folder on which there is as much room as a test says.

    Args:
        root: the folder.
        kind: "tmpfs" is a small disk; "limit" lets this process write no file beyond a size, which takes no rights.
    """

    def __init__(self, root: Path, kind: Literal["tmpfs", "limit"]) -> None:
        self.root, self.kind = root, kind

    @property
    def said(self) -> str:
        """What the system says where there is no more room."""
        return {"tmpfs": os.strerror(28), "limit": os.strerror(27)}[self.kind]

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Leave room for so many bytes within the block: on the disk, or for each file."""
        if self.kind == "limit":
            limits = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            try:
                yield
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            return
        filler = self.fill(size)
        try:
            yield
        finally:
            filler.unlink()

    def fill(self, size: int) -> Path:
        """Fill a small disk up to so many bytes, and return the file that does."""
        filler = self.root / "filler"
        free = os.statvfs(self.root)
        with filler.open("wb") as file, suppress(OSError):
            left = (free.f_bavail * free.f_frsize - size) // _PAGE * _PAGE
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))
                file.flush()
        return filler


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder, but for what fills the disk."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "filler"
    }
