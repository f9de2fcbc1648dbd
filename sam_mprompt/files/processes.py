"""Who writes: the number and the host of a process, and whether one still lives."""

import hashlib
import os
import socket
import sys


def host() -> str:
    """Return the name of this machine or container; names of files and locks tell by it whose a number is."""
    return socket.gethostname() or "localhost"


def host_mark() -> str:
    """Return six hexadecimal digits that stand for `host` in the names of files."""
    return hashlib.sha256(host().encode()).hexdigest()[:6]


def is_alive(number: int) -> bool:
    """Whether a process of this machine has this number. Where that cannot be asked (Windows), all are alive."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True
