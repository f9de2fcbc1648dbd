"""Two names change places in one step, where the system can: nobody ever finds neither."""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Of Linux's renameat2."""

_RENAME_SWAP = 2
"""Of macOS's renamex_np."""


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders of one file system change their names in one step of the system.

    Returns:
        Whether they have; False, with nothing changed, where the system, its C library or the file system cannot, or
        where one of them is not there. Who asked then renames one after the other, and is told what is wrong.
    """
    call = _call()
    return call is not None and call(os.fsencode(one), os.fsencode(other)) == 0


@cache
def _call() -> Any:
    """Return the system's function of two paths, or None. Linux has it since 3.15, and glibc since 2.28."""
    if not sys.platform.startswith(("linux", "darwin")):
        return None
    import ctypes

    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            swap = library.renamex_np
            swap.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_uint)
            return lambda one, other: swap(one, other, _RENAME_SWAP)
        rename = library.renameat2
        rename.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    except (OSError, AttributeError):
        return None
    return lambda one, other: rename(_AT_FDCWD, one, _AT_FDCWD, other, _RENAME_EXCHANGE)
