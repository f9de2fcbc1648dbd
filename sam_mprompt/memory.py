"""How much memory this process may still take, as far as the system tells, and which errors mean too little."""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_SAID = ("allocate memory", "Insufficient memory", "out of memory", "Storage size calculation overflowed")
_CGROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


def memory_fault(error: BaseException) -> bool:
    """Whether an error means that the memory was not enough; torch and OpenCV have no kind of their own for it."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _SAID)


def whole_memory(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return the bytes of main memory, or of the share that a container may have; None where nothing tells.

    `cgroup` is where the kernel tells of the container.
    """
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    for limit, _, _ in _CGROUPS:
        with suppress(OSError, ValueError):  # no such file, or "max"
            whole = min(whole, int((cgroup / limit).read_text(encoding="ascii")))
    return whole


def available_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return how many bytes can be had: the least of the machine's, the container's and the process's own limit.

    What the system keeps of files counts as free, as it gives that up. None where nothing tells (not on Linux).

    Args:
        proc: where the kernel tells of the machine and of this process.
        cgroup: where it tells of the container.
    """
    found: list[int] = []
    with suppress(OSError, KeyError, ValueError):
        meminfo = _table(proc / "meminfo")
        found.append((meminfo["MemAvailable"] + meminfo.get("SwapFree", 0)) * 1024)
    found += _left_of_containers(cgroup)
    with suppress(OSError, ValueError):
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int((proc / "self" / "statm").read_text(encoding="ascii").split()[0])
            found.append(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(found)) if found else None


def _left_of_containers(cgroup: Path) -> Iterator[int]:
    for limit, usage, cached in _CGROUPS:
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            most = int((cgroup / limit).read_text(encoding="ascii"))
            used = int((cgroup / usage).read_text(encoding="ascii"))
            files = _table((cgroup / usage).with_name("memory.stat")).get(cached, 0)
            yield most - used + files


def _table(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines such as `MemFree: 12 kB` or `file 12`."""
    rows = (line.replace(":", " ").split() for line in path.read_text(encoding="ascii").splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
