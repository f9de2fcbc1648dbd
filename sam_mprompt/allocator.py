"""What the C library does with freed memory: give it back to the system, or keep it for the next layer."""

import os
import sys

SETTINGS = ("MALLOC_ARENA_MAX", "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
"""Variables of the environment by which a user tells glibc the same; so does `glibc.malloc.` in GLIBC_TUNABLES."""

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
"""What `mallopt` sets, by glibc's numbers (its malloc.h)."""

_MOST_FREE = (1 << 31) - 1
"""Bytes; more than an int holds cannot be asked for."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for whatever comes next; the command line does so at its start.

    By default glibc gives each block above 32 MiB back to the system when it is freed. The maps of a network are such
    blocks, so that every layer waits for the system to clear fresh pages. From here on there is one heap for all
    threads, with the large blocks in it, and only a free end of more than 2 GiB is given back: the process keeps
    nearly the most that it ever needed, which itself grows by some percent (`python -m benchmarks.speed.allocator`).
    Call it in a process that is yours, before threads and the first image.

    Returns:
        Whether glibc took it: not where the C library is another one, or the environment tells glibc otherwise. An
        allocator that was put in its place (LD_PRELOAD) goes its own way.
    """
    told = any(os.environ.get(name) for name in SETTINGS) or "glibc.malloc." in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or told:
        return False
    try:
        import ctypes  # where it is missing, or nothing may be loaded by it, commands work as well

        mallopt = ctypes.CDLL(None).mallopt
    except (ImportError, OSError, AttributeError):  # musl has no mallopt
        return False
    return all(mallopt(key, value) for key, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _MOST_FREE), (_ARENA_MAX, 1)))
