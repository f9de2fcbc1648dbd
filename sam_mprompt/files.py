"""Files that are either whole or absent: written to a temporary name, flushed, then renamed."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import WorkError

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
        WorkError: the disk is full or not writable; what stood at `path` before still stands.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
            raise WorkError(f"Cannot write '{path}': {_reason(error)}. Nothing already saved was changed.") from error
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that a reader sees the old file or the whole new one. WorkError on a full disk."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary_path)` and rename the result to `path`. Raises WorkError on a full disk."""
    with replacing(path) as temporary:
        write(temporary)


def settle(path: Path) -> None:
    """Put back the folder `path` where a kill in the middle of `replacing` left it moved aside, whole but unnamed."""
    if not path.exists():
        for old in path.parent.glob(f".{path.name}.*.old"):
            old.rename(path)
            return


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
        path.rename(old)
        try:
            new.rename(path)
        except OSError:
            old.rename(path)
            raise
        _remove(old)
    else:
        new.rename(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
