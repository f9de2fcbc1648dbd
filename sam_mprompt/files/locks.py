"""One process at a time in a folder: the lock is freed by the system when its holder dies, however it dies."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import RunError, UsageError
from .processes import host, is_alive

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
"""The lock's file in the folder that is locked; it goes when the lock is freed."""

_LENGTH_LIMIT = 300
_TRIES = 100
_PAUSE_SECONDS = 0.05
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What file systems without locks answer."""

_held: dict[int, str] = {}
"""The locks that this process holds: their files' paths by descriptor."""


def _let_go() -> None:
    """In a forked child: close the parent's locks, or they would outlive a parent that is killed."""
    while _held:
        with suppress(OSError):
            os.close(_held.popitem()[0])


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(folder: Path, doing: str = "used") -> Iterator[None]:
    """Keep every other process and thread out of `folder`, which is made where it is missing, until the block ends.

    The file `.lock` in it names the process and host that hold it. The lock itself is the operating system's (flock;
    children do not inherit it), so one whose holder was killed is taken over. Where the file system has no locks the
    file alone is the lock, and is taken over when no process of its number lives on its host.

    Args:
        folder: what is locked; it stays when the block ends.
        doing: what is done with it, as in "is being trained by process 123".

    Raises:
        UsageError: another process or thread holds it; says which.
        RunError: the folder cannot be made or written.
    """
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _take(path, folder, doing)
    except OSError as error:
        raise RunError(f"Cannot lock '{folder}': {error.strerror or error}.") from error
    _held[descriptor] = os.path.realpath(path)
    try:
        yield
    finally:
        if descriptor in _held:  # not so in a child that was forked inside the block
            with suppress(OSError):
                if os.path.samestat(path.stat(), os.fstat(descriptor)):  # not another's, in a new folder of this name
                    path.unlink()
            del _held[descriptor]
            os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Return the "process 123" that holds the lock of `folder` by its own word, or None where there is no lock."""
    words = _words(folder / LOCK)
    if words is None:
        return None
    if len(words) != 2 or not words[0].isdecimal():
        return "another process"
    return f"process {words[0]}" + ("" if words[1] == host() else f" on {words[1]}")


def _take(path: Path, folder: Path, doing: str) -> int:
    """Return the descriptor of the lock's file, locked."""
    for _ in range(_TRIES):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            got = _lock(descriptor, path)
            if not got and not _is_of_the_dead(path):
                raise _taken(folder, doing, holder(folder) or "another process")
            with suppress(FileNotFoundError):
                if got and os.path.samestat(path.stat(), os.fstat(descriptor)):
                    _sign(descriptor, path)
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last holder removed it between our opening and our locking: the next may be ours
        if not got:
            time.sleep(_PAUSE_SECONDS)  # a child of the killed holder has not yet come to let go
    raise _taken(folder, doing, holder(folder) or "other processes, one after the other")


def _sign(descriptor: int, path: Path) -> None:
    """Write who holds the lock; on a full disk there is no lock, and its file goes."""
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {host()}\n".encode())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _lock(descriptor: int, path: Path) -> bool:
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        else:
            return True
    words = _words(path)
    if not words or len(words) != 2 or not words[0].isdecimal():
        return True  # empty, or nobody's
    if int(words[0]) == os.getpid():  # ours, or that of an earlier process of our number, as in a container
        return os.path.realpath(path) not in _held.values()
    return _is_of_the_dead(path)


def _is_of_the_dead(path: Path) -> bool:
    """Whether the lock's file names a process of this host that has ended."""
    words = _words(path)
    if words is None or len(words) != 2 or not words[0].isdecimal():
        return False
    return words[1] == host() and not is_alive(int(words[0]))


def _words(path: Path) -> list[str] | None:
    try:
        return path.read_bytes()[:_LENGTH_LIMIT].decode("utf-8", "replace").split()
    except OSError:
        return None


def _taken(folder: Path, doing: str, who: str) -> UsageError:
    return UsageError(
        f"'{folder}' is being {doing} by {who}. Expected a folder that nobody else uses: wait until it has ended, or "
        "give another folder."
    )
