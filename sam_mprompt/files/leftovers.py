"""What a process that was killed in the middle of writing leaves: how it is named, known for dead, and mended."""

import hashlib
import itertools
import os
import re
import shutil
import time
from pathlib import Path
from typing import Literal

from .processes import host_mark, is_alive

_NAME_LIMIT = 255
_ROOM = 48
"""Bytes of a name that the marks of a temporary file take at most."""

_ELSEWHERE_SECONDS = 86_400
"""A process of another host (or container) is taken for dead when its file has not changed for a day."""

# .NAME.PROCESS.part of version 0.1, .NAME.PROCESS-HOST-NUMBER.part since; a name that is too long is cut, with ~DIGEST.
_MADE = re.compile(r"\.(?P<name>.+)\.(?P<process>\d{1,12})(-(?P<host>[0-9a-f]{6})-\d+)?\.(?P<kind>part|old)", re.DOTALL)
_number = itertools.count()
_ours: set[str] = set()
"""Temporary paths that this process is writing now."""


def temporary_beside(path: Path, kind: Literal["part", "old"]) -> Path:
    """Return a name for what is being written to `path` ("part") or was moved out of its way ("old").

    It names this process, and is not taken for a leftover until `done_with`.
    """
    made = path.with_name(f".{_short(path.name)}.{os.getpid()}-{host_mark()}-{next(_number)}.{kind}")
    _ours.add(str(made.absolute()))
    return made


def done_with(temporary: Path) -> None:
    """Delete what may be left at a path of `temporary_beside`, and forget it."""
    try:
        remove(temporary)
    finally:
        _ours.discard(str(temporary.absolute()))


def recover(path: Path) -> None:
    """Mend what dead processes left beside `path` while they wrote it; what the living write is left alone.

    Where the folder `path` was moved aside and its successor did not take its place, it is put back; the rest goes.
    """
    _mend(path.parent, _short(path.name), path)


def recover_within(folder: Path) -> None:
    """Do what `recover` does for everything directly in `folder`; nothing where it is no folder."""
    _mend(folder, None, None)


def remove(path: Path) -> None:
    """Delete a file, a link or a folder with all that it holds; nothing where nothing is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _mend(folder: Path, only: str | None, path: Path | None) -> None:
    try:
        names = [(file, _MADE.fullmatch(file.name)) for file in folder.iterdir()]
    except OSError:  # not there, no folder, or not ours to read
        return
    dead = [
        (file, made) for file, made in names if made and made["name"] == (only or made["name"]) and _dead(file, made)
    ]
    asides = [(file, made["name"]) for file, made in dead if made["kind"] == "old"]
    for old, name in sorted(asides, key=lambda aside: _changed(aside[0]), reverse=True):
        home = path or folder / name
        if path is None and _is_cut(name):
            continue  # whose name it is cannot be told from here: `recover` knows
        if home.exists():
            remove(old)
        else:
            old.rename(home)
    for file, made in dead:
        if made["kind"] == "part":
            remove(file)


def _dead(file: Path, made: re.Match[str]) -> bool:
    if str(file.absolute()) in _ours:
        return False
    if made["host"] not in (None, host_mark()):
        return time.time() - _changed(file) > _ELSEWHERE_SECONDS
    number = int(made["process"])
    return number == os.getpid() or not is_alive(number)


def _changed(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:  # removed by another process that mends the same
        return time.time()


def _short(name: str) -> str:
    """Return a name, cut so that with the marks of a temporary file it is no longer than file systems take."""
    if len(os.fsencode(name)) <= _NAME_LIMIT - _ROOM:
        return name
    mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
    while len(os.fsencode(name)) > _NAME_LIMIT - _ROOM - len(mark):
        name = name[:-1]
    return name + mark


def _is_cut(name: str) -> bool:
    return re.fullmatch(r".+~[0-9a-f]{8}", name, re.DOTALL) is not None and len(os.fsencode(name)) > 200
