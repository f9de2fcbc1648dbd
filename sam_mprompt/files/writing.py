"""Files that are either whole or absent: written to a temporary name, flushed, then renamed.

What is no file (a device, a pipe, `-` for standard output) is written to, never replaced; a symbolic link stays, and
what it points to is replaced.
"""

import errno
import hashlib
import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, cast

from ..errors import RunError, UsageError
from .exchange import exchange
from .leftovers import done_with, temporary_beside

_STANDARD = {"-": "stdout", "/dev/stdout": "stdout", "/dev/fd/1": "stdout", "/proc/self/fd/1": "stdout"} | {
    "/dev/stderr": "stderr", "/dev/fd/2": "stderr", "/proc/self/fd/2": "stderr"
}  # fmt: skip
_DISK_ERRORS = {
    getattr(errno, name)
    for name in (
        "EACCES", "EBUSY", "EDQUOT", "EFBIG", "EIO", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENODEV", "ENOSPC", "ENOTDIR",
        "ENOTEMPTY", "ENXIO", "EPERM", "EROFS", "ESTALE", "ETXTBSY",
    )
    if hasattr(errno, name)
}  # fmt: skip


def check_output(path: Path, kind: Literal["file", "folder"] = "file", suffixes: tuple[str, ...] = ()) -> None:
    """Check that `path` can be written, before work begins whose result goes there. Makes and changes nothing.

    Args:
        path: what will be written; a file may be a device, a pipe or `-`, and may exist already.
        kind: what it will be.
        suffixes: how a file's name has to end, such as (".jpg", ".png"); any way when empty.

    Raises:
        UsageError: the name cannot be one, a folder stands where a file is meant or the reverse, something above it is
            no folder, or the folder it goes to cannot be written.
    """
    _check_name(path, folder=kind == "folder")
    if kind == "file" and is_stream(path):
        return
    if suffixes and path.suffix.lower() not in suffixes:
        raise UsageError(f"Cannot write '{path}': expected a name that ends in {' or '.join(suffixes)}.")
    try:
        target = _behind_links(path)
        stands = "folder" if stat.S_ISDIR(target.stat().st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError):
        target = Path(os.path.realpath(path))
        stands = kind
    except OSError as error:
        raise UsageError(f"Cannot write '{path}': {_reason(error)}.") from error
    if stands != kind:
        raise UsageError(f"Cannot write '{path}': expected a {kind}, there is a {stands} of that name.")
    above = target if kind == "folder" else target.parent
    while not os.path.lexists(above):
        above = above.parent
    if not above.is_dir():
        raise UsageError(f"Cannot write '{path}': '{above}' is no folder.")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UsageError(f"Cannot write '{path}': this user may not write in '{above}'.")


def is_stream(path: Path) -> bool:
    """Whether `path` is to be written to, not replaced: `-` (standard output), a device or a pipe."""
    if str(path) in _STANDARD:
        return True
    try:
        mode = path.stat().st_mode  # one look: another process may put a file there meanwhile
    except (OSError, ValueError):
        return False
    return not (stat.S_ISDIR(mode) or stat.S_ISREG(mode))


@contextmanager
def replacing(path: Path, *, keep: Path | None = None) -> Iterator[Path]:
    """Yield a temporary path; on success what was written there becomes `path`, on any error nothing changes.

    Works for a file and for a folder (create the folder at the yielded path). A folder that is replaced changes places
    with the new one in one step where the system can, so that a reader always finds one of them; elsewhere it is moved
    aside first, and `recover` puts it back where a kill comes between. Into a device, a pipe or `-` the file is copied.

    Args:
        path: the file or folder.
        keep: where a folder that stood at `path` goes, in place of what stands there, instead of being deleted.

    Raises:
        RunError: the disk is full or not writable; what stood at `path` before still stands.
        UsageError: `path` cannot be the name of a file.
    """
    _check_name(path)
    if is_stream(path):
        with _copied_into(path) as temporary:
            yield temporary
        return
    with _explained(path, any_error=True):
        target = _behind_links(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_beside(target, "part")
    try:
        with _explained(path), _named(temporary, path):
            yield temporary
        with _explained(path, any_error=True):
            if temporary.is_dir():
                for file in temporary.rglob("*"):
                    if file.is_file():
                        _flush(file)
                stood = target.exists()
                _swap_folder(temporary, target)
                if stood and keep is not None:
                    _swap_folder(temporary, keep)
            else:
                _flush(temporary)
                temporary.replace(target)
    finally:
        with suppress(OSError):
            done_with(temporary)


def write_text(path: Path, text: str) -> None:
    r"""Write UTF-8 text so that a reader sees the old file or the whole new one. RunError on a full disk.

    What UTF-8 cannot hold (bytes of file names, lone surrogates) is written with a backslash, as `\udcff`.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_with(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write(temporary_path)` and rename the result to `path`. Raises RunError on a full disk."""
    with replacing(path) as temporary:
        write(temporary)


@contextmanager
def appending(path: Path, *, keep: bool = False) -> Iterator[Callable[[str], None]]:
    """Yield a function that adds text to a file and has it on its way to the disk when it returns.

    For results that come one by one: what was added stays, whatever ends the process, and of what does not fit on the
    disk nothing stays. Devices, pipes and `-` are written to.

    Args:
        path: the file; its folder is made where it is missing.
        keep: add to what the file holds, instead of beginning anew.

    Raises:
        RunError: the disk is full or not writable.
        UsageError: `path` cannot be the name of a file.
    """
    _check_name(path)
    with _explained(path, any_error=True):
        stream = is_stream(path)
        if not stream:
            path.parent.mkdir(parents=True, exist_ok=True)
        file = _opened(path) if stream else cast(BinaryIO, path.open("ab" if keep else "wb", buffering=0))

    def add(text: str) -> None:
        content = text.encode("utf-8", "backslashreplace")
        with _explained(path, any_error=True):
            if stream:
                file.write(content)
                file.flush()
            else:
                _add_whole(file, content)

    try:
        yield add
    finally:
        with _explained(path, any_error=True):
            if str(path) not in _STANDARD:
                file.close()


def is_file(path: Path) -> bool:
    """Whether there is such a file; also False, where `Path.is_file` raises, for what can be no file's name."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False, too, for what can be no folder's name."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hexadecimal. Raises UsageError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}. Expected a file.") from error


def is_disk_error(error: BaseException) -> bool:
    """Whether an error means that the disk is full or not writable (safetensors wraps the number in its text)."""
    if isinstance(error, OSError) and (error.errno in _DISK_ERRORS or _copied(error)[0] in _DISK_ERRORS):
        return True
    return type(error).__name__ == "SafetensorError" and "os error" in str(error).lower()


def _copied(error: OSError) -> tuple[int | None, str]:
    """Return number and words of the first file that `shutil.copytree` could not copy, which it has in its text."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return None, ""
    found = re.search(r"\[Errno (\d+)\] (.*?)(?:: '.*)?$", str(error.args[0][0][-1]))
    return (int(found[1]), found[2]) if found else (None, "")


def _check_name(path: Path, *, folder: bool = False) -> None:
    """Refuse what no file can be called. An empty name is the folder `.` to pathlib."""
    try:
        name = os.fsencode(path)
    except UnicodeEncodeError:
        name = b"\0"
    if b"\0" in name or (not folder and path.name in ("", "..")):
        raise UsageError(f"'{path}' cannot be written: expected a name, got an empty one or one that no file can have.")


def _behind_links(path: Path) -> Path:
    """Return what is to be replaced: the path itself, or what a symbolic link leads to, whether it exists or not."""
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


@contextmanager
def _explained(path: Path, *, any_error: bool = False) -> Iterator[None]:
    """Turn errors of the disk into RunError. `any_error`: what is done here is writing only, so all errors are."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has gone: no fault of the disk
    except Exception as error:
        if is_disk_error(error) or (any_error and isinstance(error, OSError)):
            raise RunError(f"Cannot write '{path}': {_reason(error)}. Nothing already saved was changed.") from error
        raise


def _reason(error: BaseException) -> str:
    if isinstance(error, FileExistsError):
        return "a file stands where a folder is needed"
    if not isinstance(error, OSError):
        return str(error)
    return error.strerror or _copied(error)[1] or str(error)


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Let an error name what is written, not its temporary path, which nobody finds again."""
    try:
        yield
    except (RunError, UsageError) as error:
        if str(temporary) not in str(error):
            raise
        raise type(error)(str(error).replace(str(temporary), str(path)), about=error.about, **error.facts) from error


def _add_whole(file: BinaryIO, content: bytes) -> None:
    """Add to the end of an unbuffered file, or leave it as it was."""
    end, left = file.seek(0, os.SEEK_END), memoryview(content)
    try:
        while left:
            left = left[file.write(left) :]
    except BaseException:
        with suppress(OSError):
            file.truncate(end)
        raise


@contextmanager
def _copied_into(path: Path) -> Iterator[Path]:
    """Yield a temporary path elsewhere whose content goes into the device, pipe or standard stream `path`."""
    with _explained(path), tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "content"
        yield temporary
        with _explained(path, any_error=True):
            file = _opened(path)
            try:
                with temporary.open("rb") as content:
                    shutil.copyfileobj(content, file)
                file.flush()
            finally:
                if str(path) not in _STANDARD:
                    file.close()


def _opened(path: Path) -> BinaryIO:
    """Open a device, a pipe or a standard stream for writing; a standard stream is not to be closed."""
    name = _STANDARD.get(str(path))
    if name is None:
        return path.open("wb")
    stream = getattr(sys, name)
    if stream is None:
        raise OSError(errno.EBADF, f"{name} is closed")
    stream.flush()
    return getattr(stream, "buffer", None) or cast(BinaryIO, _AsText(stream))


class _AsText(io.RawIOBase):
    """Bytes of UTF-8 for a stream that takes only text, as one that a program has put in place of stdout."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, content: Any) -> int:
        """Write whole characters."""
        self.stream.write(bytes(content).decode("utf-8", "backslashreplace"))
        return len(content)


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing; elsewhere a file may be one that is read only.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _swap_folder(new: Path, path: Path) -> None:
    """Put a folder at `path`; what stood there is at `new` then."""
    if not path.exists():
        new.rename(path)
        return
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file stands where a folder is written")
    if exchange(new, path):
        return
    old = temporary_beside(path, "old")
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    # So that a folder moved aside is whole whenever a kill comes: this name means rubbish.
    old.rename(new)
    done_with(old)
