"""Names of files that a file system takes, made of other files' names."""

import hashlib
import os

_LONGEST = 255  # bytes, in every usual file system
_DIGITS = 8


def name_of(stem: str, *, before: str = "", after: str = "") -> str:
    """Return `before + stem + after` as a file's name of at most 255 bytes.

    Of a stem that is too long as many whole characters are kept as fit, and eight digits of its SHA-256, so that two
    long names that begin alike stay two. Bytes of a name that are not UTF-8 stay as they are.
    """
    room = _LONGEST - len(os.fsencode(before + after))
    if len(os.fsencode(stem)) <= room:
        return before + stem + after
    digest = "-" + hashlib.sha256(os.fsencode(stem)).hexdigest()[:_DIGITS]
    kept = stem[:room]
    while len(os.fsencode(kept)) > room - len(digest):
        kept = kept[:-1]
    return before + kept + digest + after
