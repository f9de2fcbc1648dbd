"""Folders for what is needed only while a process runs; the next one removes those of processes that were killed."""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from .leftovers import remove
from .processes import host_mark, is_alive

_MADE = re.compile(r"sam-mprompt-(?P<process>\d{1,12})-(?P<host>[0-9a-f]{6})-\w+")


def scratch_folder() -> Path:
    """Make an empty folder among the system's temporary files. Who asked for it deletes it in the end.

    Its name tells whose it is, so that one whose process was killed goes when the next asks for one.
    """
    place = Path(tempfile.gettempdir())
    _clear(place)
    return Path(tempfile.mkdtemp(prefix=f"sam-mprompt-{os.getpid()}-{host_mark()}-", dir=place))


def _clear(place: Path) -> None:
    for folder in place.glob("sam-mprompt-*"):
        made = _MADE.fullmatch(folder.name)
        if made is None or made["host"] != host_mark() or is_alive(int(made["process"])):
            continue
        with suppress(OSError):  # another process removes the same, or it is another user's
            remove(folder)
