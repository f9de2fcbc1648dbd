"""Files that are either whole or absent: written to a temporary name, flushed, then renamed."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import RunError, UsageError

_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it becomes `path`, on any error nothing changes.

    Works for a file and for a folder (create the folder at the yielded path); a folder that is replaced is moved
    aside first and deleted only after the new one is in place.

    Raises:
        RunError: the disk is full or not writable; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)  # of a process of this number that was killed
        yield temporary
        if temporary.is_dir():
            for file in temporary.rglob("*"):
                if file.is_file():
                    _flush(file)
            _swap_folder(temporary, path)
        else:
            _flush(temporary)
            temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            _remove(temporary)
        if is_disk_error(error):
            raise RunError(f"Cannot write '{path}': {_reason(error)}. Nothing already saved was changed.") from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the whole new one. RunError on a full disk."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary_path)` and rename the result to `path`. Raises RunError on a full disk."""
    with replacing(path) as temporary:
        write(temporary)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hexadecimal. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}. Expected a file.") from error


def recover(path: Path) -> None:
    """Mend what kills in the middle of `replacing` left beside `path`, which nobody may be writing now.

    Where the folder `path` was moved aside and its successor did not take its place, it is put back; the rest goes.
    """
    asides = sorted(path.parent.glob(f".{path.name}.*.old"), key=lambda old: old.stat().st_mtime, reverse=True)
    for old in asides:
        if path.exists():
            _remove(old)
        else:
            old.rename(path)
    for part in path.parent.glob(f".{path.name}.*.part"):
        _remove(part)


def is_disk_error(error: BaseException) -> bool:
    """Whether an error means that the disk is full or not writable (safetensors wraps the number in its text)."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return True
    return type(error).__name__ == "SafetensorError" and "os error" in str(error).lower()


def _reason(error: BaseException) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _swap_folder(new: Path, path: Path) -> None:
    if path.exists():
        old = path.with_name(f".{path.name}.{os.getpid()}.old")
        _remove(old)
        path.rename(old)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        old.rename(new)  # so that a folder moved aside is whole whenever a kill comes: this name means rubbish
        _remove(new)
    else:
        new.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
