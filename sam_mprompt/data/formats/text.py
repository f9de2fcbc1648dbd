"""Text that others wrote -> lines and JSON: encoding, size, nesting, digits and file names are checked in one place."""

import codecs
import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ... import files
from ...errors import UsageError

MAX_BYTES = 1 << 29
"""The largest file of many images' annotations that is read."""

MAX_BYTES_OF_ONE_IMAGE = 1 << 24
"""The largest list of names or table of one image's heads that is read: a million heads take less."""

_LONGEST_NAME = 255  # bytes, of a file in every usual file system


def check_regular(path: Path, limit: int) -> None:
    """Refuse with UsageError what is no file (a folder, a pipe, a device), or larger than `limit` bytes."""
    try:
        size, regular = path.stat().st_size, path.is_file()
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}.") from error
    if not regular:
        raise UsageError(f"Cannot read '{path}': expected a file; found a folder, a pipe or a device.")
    if size > limit:
        raise UsageError(f"Cannot read '{path}': it has {size} bytes; expected at most {limit}.")


def read_text(path: Path, limit: int = MAX_BYTES) -> str:
    """Read a text file: UTF-8 with or without a byte order mark, or UTF-16 with one.

    Raises:
        UsageError: it is no file, cannot be read, is no such text, or has more than `limit` bytes.
    """
    check_regular(path, limit)
    try:
        return path.read_text(encoding=_encoding(path))
    except (OSError, UnicodeError) as error:
        raise UsageError(f"Cannot read '{path}': {_why_unreadable(error)}.") from error


def numbered_lines(path: Path, *, limit: int = MAX_BYTES_OF_ONE_IMAGE, comments: bool = True) -> list[tuple[int, str]]:
    """Return (line number, text) of each line that is not empty, without `#` comments unless `comments` is False."""
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path, limit).splitlines(), start=1))
    return [(number, line) for number, line in lines if line and not (comments and line.startswith("#"))]


def streamed_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line with its end) of a file of up to `MAX_BYTES`, never holding it as a whole.

    Raises:
        UsageError: as `read_text`.
    """
    check_regular(path, MAX_BYTES)
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            yield from enumerate(file, start=1)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"Cannot read '{path}': {_why_unreadable(error)}.") from error


def _encoding(path: Path) -> str:
    """Return UTF-16 where a byte order mark says so (Excel's "Unicode text" has one), else UTF-8."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _why_unreadable(error: OSError | UnicodeError) -> str:
    return str(error.strerror) if isinstance(error, OSError) else "it is not UTF-8 text"


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises UsageError as `read_text`, or with the line at which it is malformed."""
    return parse_json(read_text(path), f"'{path}'")


def parse_json(text: str, where: str) -> Any:
    """Parse JSON. Raises UsageError, led by `where`, for what `files.parse_json` refuses, such as a key twice."""
    try:
        return files.parse_json(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}: {error.msg}"
    except ValueError as error:
        place = str(error)
    raise UsageError(f"{where} is not valid JSON: {place}.")


def file_name(name: str, where: str) -> str:
    """Return the last part of a path that a foreign file names, which may have separators of any system.

    Raises:
        UsageError: nothing on disk can be called so: empty, of more than 255 bytes, or not encodable.
    """
    plain = PurePosixPath(name.replace("\\", "/")).name
    try:
        length = len(os.fsencode(plain))
    except UnicodeEncodeError:
        length = 0
    if not 0 < length <= _LONGEST_NAME or "\0" in plain or plain == "..":
        raise UsageError(f"{where}: expected the file name of an image; received {name!a:.60}.")
    return plain
