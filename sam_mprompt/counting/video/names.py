"""What the name of a video says: a file, a numbered sequence of images, an address, a webcam. Opens nothing."""

import re
from pathlib import PurePath
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

VIDEO_SUFFIXES = frozenset(
    {
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
        ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv",
    }
)  # fmt: skip
"""Suffixes, in lower case, of the files that are taken for videos."""

SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "rtp", "srt", "tcp")
"""How the address of a stream may begin."""

_WEBCAM = re.compile(r"webcam:(\d{1,3})", re.IGNORECASE)
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_NUMBER = re.compile(r"%(0\d{1,2})?d")
_MOST_DIGITS = 18
_SECRET = re.compile(r"pass|pwd|token|secret|auth|key|sig|cred", re.IGNORECASE)
_HIDDEN = "***"


def webcam_number(name: str) -> int | None:
    """Return the number of `webcam:0`, None where a name is no webcam's."""
    found = _WEBCAM.fullmatch(name)
    return int(found[1]) if found else None


def scheme_of(name: str) -> str | None:
    """Return what stands before `://`, in lower case; None where a name is no address."""
    found = _ADDRESS.match(name)
    return found[1].lower() if found else None


def numbered(name: str) -> re.Pattern[str] | None:
    """Return what matches the files of `frame_%06d.jpg`, the number as its group; None where a name has no such place.

    `%06d` stands for six digits or more, `%d` for any number of them.
    """
    found = _NUMBER.search(name)
    if found is None:
        return None
    least = int(found[1] or 1)
    before, after = re.escape(name[: found.start()]), re.escape(name[found.end() :])
    return re.compile(rf"{before}(\d{{{least},{max(least, _MOST_DIGITS)}}}){after}")


def is_video(name: str) -> bool:
    """Whether a name is a video's: an address, a webcam, a numbered sequence, or a file with a video's suffix."""
    if webcam_number(name) is not None or scheme_of(name) is not None:
        return True
    path = PurePath(name)
    return path.suffix.lower() in VIDEO_SUFFIXES or numbered(path.name) is not None


def redacted(name: str) -> str:
    """Return the name as it may be printed: the password of an address, and values that look like one, are hidden."""
    if scheme_of(name) is None:
        return name
    try:
        parts = urlsplit(name)
        query = _without_secrets(parts.query)
    except ValueError:  # no address after all: then nothing behind the scheme is certain to be none
        return f"{name.partition('://')[0]}://{_HIDDEN}"
    place = parts.netloc
    if "@" in place:
        user, _, host = place.rpartition("@")
        place = f"{user.partition(':')[0]}:{_HIDDEN}@{host}" if ":" in user else f"{_HIDDEN}@{host}"
    return urlunsplit((parts.scheme, place, parts.path, query, ""))


def _without_secrets(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(_SECRET.search(key) for key, _ in pairs):
        return query
    return "&".join(f"{quote(key)}={_HIDDEN if _SECRET.search(key) else quote(value)}" for key, value in pairs)
