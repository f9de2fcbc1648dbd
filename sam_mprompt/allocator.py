"""What the C library does with freed memory: give it back to the system, or keep it for the next layer."""

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""What `mallopt` sets, by glibc's numbers (its malloc.h)."""

_LARGEST_KEPT = 1 << 30
_MOST_KEPT = (1 << 31) - 1
"""Bytes; more than an int holds cannot be asked for."""

_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Let this process keep up to 2 GiB of freed memory at the end of its heap; the command line does so at its start.

    By default glibc gives each block above 32 MiB back to the system when it is freed. The maps of a network are such
    blocks, so that every layer waits for the system to clear fresh pages. The most memory that a process ever has
    grows by some percent, and it is given back later (`python -m benchmarks.speed.allocator`). Call it before the
    first image, in a process that is yours: it holds for everything in it. Blocks from 1 GiB on are given back as ever.

    Returns:
        Whether it is so now: not where another C library is in use, or the environment says how glibc should behave.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SETTINGS):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
