"""What the files of a dataset hash to, remembered from one start to the next."""

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import SamMpromptError
from ...files import parse_json, recover_within, sha256_of, write_text

CACHE_VARIABLE = "SAM_MPROMPT_CACHE"

_SETTLED_NS = 2_000_000_000
"""A file that was changed less long ago may change again without a later time: what it hashes to is not kept."""


class RememberedHashes:
    """The SHA-256 of files by path, size and time of change: what was hashed once costs a look at the file's state.

    Kept in one file a dataset in the user's cache folder ($SAM_MPROMPT_CACHE, else ~/.cache/sam-mprompt). Writers
    replace it whole, and each writes all that it was asked for, so that none needs to wait for another. A memory that
    is damaged is made anew; where none can be written there is none.

    Args:
        dataset: its folder.
    """

    def __init__(self, dataset: Path) -> None:
        self._file = _file_of(dataset)
        self._known = {} if self._file is None else _read(self._file)
        self._asked: dict[str, list[Any]] = {}

    def recall(self, path: Path) -> str | None:
        """Return what is remembered of a file as it is now, or None."""
        try:
            found = path.stat()
        except OSError:
            return None
        kept = self._known.get(name := str(path.absolute()))
        if kept is None or kept[:2] != [found.st_size, found.st_mtime_ns]:
            return None
        self._asked[name] = kept
        return str(kept[2])

    def sha256(self, path: Path) -> str:
        """Return the SHA-256 of a file, in lower-case hexadecimal; may be called by several threads.

        Raises:
            UsageError: it cannot be read.
        """
        if (remembered := self.recall(path)) is not None:
            return remembered
        with suppress(OSError):  # which hashing tells
            found = path.stat()
            digest = sha256_of(path)
            if time.time_ns() - found.st_mtime_ns > _SETTLED_NS:
                self._asked[str(path.absolute())] = [found.st_size, found.st_mtime_ns, digest]
            return digest
        return sha256_of(path)

    def save(self) -> None:
        """Keep what was asked for, where that is more than what is kept and a folder for it can be written."""
        if self._file is None or self._asked.items() <= self._known.items():
            return
        with suppress(SamMpromptError, OSError):
            recover_within(self._file.parent)
            write_text(self._file, json.dumps({"files": self._asked, "sha256": _checksum(self._asked)}))


def cache_folder() -> Path | None:
    """Return the user's cache folder: $SAM_MPROMPT_CACHE, else ~/.cache/sam-mprompt; None for a user without a home."""
    try:
        given = os.environ.get(CACHE_VARIABLE)
        return Path(given).expanduser() if given else Path.home() / ".cache" / "sam-mprompt"
    except RuntimeError:
        return None


def _file_of(dataset: Path) -> Path | None:
    folder = cache_folder()
    try:
        name = hashlib.sha256(os.fsencode(dataset.resolve())).hexdigest()[:16]
    except (OSError, RuntimeError):  # links that go round
        return None
    return None if folder is None else folder / "hashes" / f"{name}.json"


def _read(file: Path) -> dict[str, list[Any]]:
    """Return what a memory holds; nothing where it is not as it was written."""
    try:
        kept = parse_json(file.read_text(encoding="utf-8"))
        files: dict[str, list[Any]] = kept["files"]
        return files if kept["sha256"] == _checksum(files) else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _checksum(files: dict[str, list[Any]]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
