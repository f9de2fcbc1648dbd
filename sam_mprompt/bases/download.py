"""Fetch one large file whose size and SHA-256 are known, continuing where an earlier attempt stopped."""

import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from ..errors import RunError, UsageError
from ..files import sha256_of

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""

_CHUNK = 2**20
_TIMEOUT_SECONDS = 30


def download(url: str, target: Path, *, size: int, sha256: str, progress: Progress | None = None) -> None:
    """Fetch `url` to `target`, which is either whole and verified afterwards or as it was before.

    What has arrived stays in `target` + ".part", unlike a file that is written in one go, so that the next call can
    continue (HTTP Range). Of several processes one downloads and the others wait for it.

    Args:
        url: http or https.
        target: the file; one that exists is replaced unless it has this size and SHA-256.
        size: bytes of the whole file.
        sha256: of the whole file, lower-case hexadecimal.
        progress: called after every piece with (bytes done, bytes in all).

    Raises:
        UsageError: the server cannot be reached or has another file; the message says what to put where.
        RunError: the connection broke, the disk is full, or what arrived has another SHA-256 (it is deleted).
    """
    by_hand = f"Or put {target.name} ({size:,} bytes, SHA-256 {sha256}) into '{target.parent}' yourself."
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.with_name(f".{target.name}.lock")):
            if target.is_file() and target.stat().st_size == size and sha256_of(target) == sha256:
                return
            _fetch(url, part, size, by_hand, progress or (lambda *_: None))
            if (found := sha256_of(part)) != sha256:
                part.unlink()
                raise RunError(
                    f"What {url} sent has SHA-256 {found} instead of {sha256}; it was deleted. "
                    f"Run the command again. {by_hand}"
                )
            part.replace(target)
    except OSError as error:
        raise RunError(
            f"Cannot write '{part}': {error.strerror or error}. Make room for {size:,} bytes or choose another folder "
            "with $SAM_MPROMPT_CHECKPOINTS, then run the command again; what has arrived is kept."
        ) from error


def _fetch(url: str, part: Path, size: int, by_hand: str, progress: Progress) -> None:
    """Complete `part`."""
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    if (free := shutil.disk_usage(part.parent).free) < size - have:
        raise RunError(f"'{part.parent}' has room for {free:,} bytes and {size - have:,} are needed. Make room.")
    with _open(url, have, by_hand) as response:
        start = have if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        length = response.headers.get("Content-Length")
        if length is not None and length.strip() != str(size - start):
            offered = f"{start + int(length):,}" if length.isascii() and length.isdigit() and len(length) < 20 else "?"
            raise UsageError(f"{url} offers {offered} bytes instead of {size:,}: perhaps a login page. {by_hand}")
        with part.open("r+b" if have else "wb") as file:
            file.truncate(start)
            file.seek(start)
            _copy(response, file, start, size, progress)
            file.flush()
            os.fsync(file.fileno())


def _open(url: str, have: int, by_hand: str) -> http.client.HTTPResponse:
    headers = {"User-Agent": "sam-mprompt"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise UsageError(f"Cannot fetch {url} ({reason}). Connect and run the command again. {by_hand}") from error


def _copy(response: http.client.HTTPResponse, file: BinaryIO, have: int, size: int, progress: Progress) -> None:
    while have < size:
        try:
            chunk = response.read(min(_CHUNK, size - have))
            lost = "the server closed it"
        except (OSError, http.client.HTTPException) as error:
            chunk, lost = b"", str(error)
        if not chunk:
            raise RunError(
                f"The connection to {response.url} broke after {have:,} of {size:,} bytes ({lost}). "
                "Run the command again to continue there."
            )
        file.write(chunk)
        have += len(chunk)
        progress(have, size)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process downloads the same file (where the system offers such locks)."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with lock.open("w") as file:
        with suppress(OSError):  # a network folder without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
