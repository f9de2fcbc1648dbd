"""A command in a process of its own, and what that process holds: open files, threads, memory, temporary files."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest


class Watched:
    """A process, seen from outside."""

    def __init__(self, process, temporary):
        self.process, self.temporary = process, temporary
        self._proc = Path(f"/proc/{process.pid}")

    @property
    def lives(self):
        return self.process.poll() is None

    def files(self):
        """Names of what it has open, without numbers that change."""
        found = []
        for link in (self._proc / "fd").iterdir():
            try:
                found.append(str(link.readlink()).partition(":[")[0])
            except OSError:
                continue
        return sorted(found)

    def threads(self):
        return sum(1 for _ in (self._proc / "task").iterdir())

    def megabytes(self):
        """Resident memory."""
        lines = (self._proc / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1000

    def temporary_files(self):
        return sorted(str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*") if path.is_file())

    def holds_beyond(self, before, seconds=30):
        """Which files are open beyond those of before, once that is none, or after so long.

        Fewer are none: a socket of before may have been on its way out.
        """
        end = time.monotonic() + seconds
        while (beyond := Counter(self.files()) - Counter(before)) and time.monotonic() < end:
            time.sleep(0.2)
        return sorted(beyond.elements())


@contextmanager
def command(folder, *arguments, says):
    """Run a command of this package, and yield it with the line on stderr in which `says` first stands."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("what a process holds is read from /proc, which this system does not have")
    temporary = folder / "temporary"
    temporary.mkdir()
    log = folder / "log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "sam_mprompt", *map(str, arguments)],
            stderr=told,
            stdout=told,
            env={**os.environ, "TMPDIR": str(temporary), "COLUMNS": "200"},
        )
    try:
        line, end = None, time.monotonic() + 300
        while line is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
            line = next((one for one in log.read_text().splitlines() if says in one), None)
        yield Watched(process, temporary), line
    finally:
        process.terminate()
        try:
            assert process.wait(300) == 0, log.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()
