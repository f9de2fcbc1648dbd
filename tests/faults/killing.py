"""Ends forked children at random moments, and lets the next go on where the last one was ended."""

import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILLS = int(os.environ.get("SAM_MPROMPT_KILLS", "100"))
"""Of all families together; each has its share."""

SEED = int(os.environ.get("SAM_MPROMPT_KILL_SEED", "0"))
"""Of the moments."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.symlink", "shutil.rmtree"}
"""Audit events of Python that change what a folder holds; opening for writing is another."""

_LONGEST = 600.0
_FEW = 20
"""Changes of files in a job below which most kills are by the clock."""

Job = Callable[[Path], object]
"""Works in a folder: begins there, or goes on with what an earlier one has left."""


def share(percent: int) -> int:
    """Return how many of all kills a family gets."""
    return max(1, round(KILLS * percent / 100))


@dataclass
class Ended:
    """How a child ended: its exit code, negative for a signal; what it did, and what it said."""

    code: int
    changes: int
    seconds: float
    said: str

    @property
    def killed(self) -> bool:
        """Whether by us."""
        return self.code == -signal.SIGKILL


@dataclass
class Toll:
    """What a family has been through."""

    kills: int = 0
    at_changes: int = 0
    finished: int = 0
    places: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        by_clock = self.kills - self.at_changes
        return (
            f"{self.kills} kills ({self.at_changes} before a change of a file, at {len(self.places)} different ones; "
            f"{by_clock} by the clock), {self.finished} times to the end"
        )


class Child:
    """A fork of this process that does a job in a folder, and ends.

    Args:
        job: what it does.
        folder: where; it is made.
        before: the change of a file in the folder, counted from 1, before which it ends itself; None for none.
        group: whether it leads a group of its own.
    """

    def __init__(self, job: Job, folder: Path, *, before: int | None = None, group: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._said = folder.parent / f"{folder.name}.stderr"
        self._begun = time.monotonic()
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            _live(job, folder, writing, self._said, before, group)
        os.close(writing)
        self._told = reading
        self._code: int | None = None

    def wait(self, seconds: float = _LONGEST) -> bool:
        """Wait for its end; False where it has not come in time."""
        until = time.monotonic() + seconds
        while self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                return False
            else:
                time.sleep(0.002)
        return True

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Return how it ended; one that does not is killed, and fails the test."""
        late = not self.wait()
        if late:
            self.kill()
            self.wait()
        assert self._code is not None
        said = self.said()
        assert not late, f"the child did not end: {said}"
        os.set_blocking(self._told, False)  # a child of the child may have it open still
        try:
            told = os.read(self._told, 100)
        except BlockingIOError:
            told = b""
        os.close(self._told)
        return Ended(self._code, int(told or b"0"), time.monotonic() - self._begun, said)

    def said(self) -> str:
        """Return what it has written on stderr so far."""
        return self._said.read_text(errors="replace") if self._said.exists() else ""


def whole_job(job: Job, folder: Path) -> Ended:
    """Do a job without a fault; anything but success fails the test."""
    ended = Child(job, folder).end()
    assert ended.code == 0, ended.said
    return ended


def survive(
    job: Job,
    work: Path,
    outcome: Callable[[Path], Any],
    *,
    kills: int,
    name: str,
    check: Callable[[Path], object] = lambda _folder: None,
) -> Toll:
    """Kill a job `kills` times at random moments, and compare each outcome with that of a job nobody disturbed.

    Half of the moments are times up to what a job takes, half the moments before a change of a file in its folder; of a
    job that changes few files more are times.

    Args:
        job: goes on where it was killed.
        work: the folder that the jobs' folders are made in.
        outcome: what comes of a job's folder; equal means equal to the last bit.
        kills: how many.
        name: of the family; with `SEED` it decides the moments.
        check: looks at a folder after each kill, before anything mends it, and raises where a reader would be misled.
    """
    undisturbed = whole_job(job, work / "whole")
    expected, toll, draws = outcome(work / "whole"), Toll(), random.Random(f"{name} {SEED}")
    assert undisturbed.changes > 0, "the job changes no file in its folder"
    for trial in range(10 * kills):
        folder = work / f"trial-{trial}"
        while (ended := _disturbed(job, folder, undisturbed, draws, toll if toll.kills < kills else None)).killed:
            check(folder)
        assert ended.code == 0, ended.said
        toll.finished += 1
        assert outcome(folder) == expected, f"another outcome in {folder} after {toll}"
        assert leftovers(folder) == []
        if toll.kills >= kills:
            break
    assert toll.kills == kills, f"the job was too short to be killed: {toll}"
    tell(f"{name}: {toll}, {undisturbed.changes} changes of files in a job")
    return toll


def tell(line: str) -> None:
    """Print what a test has counted; `pytest -s` shows it."""
    sys.stdout.write(f"\n{line}\n")


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files below a folder that nobody will use any longer."""
    return sorted(path.name for path in folder.rglob(".*") if path.suffix in (".part", ".old", ".lock"))


def _disturbed(job: Job, folder: Path, undisturbed: Ended, draws: random.Random, toll: Toll | None) -> Ended:
    """Let a child do a job and kill it at a moment; without a toll, leave it in peace."""
    if toll is None:
        return Child(job, folder).end()
    if draws.random() < min(0.5, undisturbed.changes / _FEW):
        place = draws.randint(1, undisturbed.changes)
        ended = Child(job, folder, before=place).end()
        if ended.killed:
            toll.kills, toll.at_changes = toll.kills + 1, toll.at_changes + 1
            toll.places.add(place)
        return ended
    child = Child(job, folder)
    if not child.wait(draws.uniform(0, undisturbed.seconds)):
        child.kill()
    ended = child.end()
    toll.kills += ended.killed
    return ended


def _live(job: Job, folder: Path, told: int, said: Path, before: int | None, group: bool) -> None:
    """Do the job in the child, tell how many files it changed, and end without what pytest would still do."""
    code, changes, watched = 1, 0, f"{folder}{os.sep}"

    def seen(event: str, values: tuple[Any, ...]) -> None:
        nonlocal changes
        if not (event in _CHANGES or (event == "open" and isinstance(values[2], int) and values[2] & _WRITING)):
            return
        if not str(values[0]).startswith(watched):
            return
        changes += 1
        if changes == before:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        if group:
            os.setsid()
        _own_streams(said)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        import cv2

        cv2.setNumThreads(0)  # its pool of threads does not survive a fork
        sys.addaudithook(seen)
        job(folder)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.write(told, str(changes).encode())
        os._exit(code)


def _own_streams(said: Path) -> None:
    """Give a child streams of its own: pytest reads those of this process."""
    nothing, errors = os.open(os.devnull, os.O_RDWR), os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for number, source in enumerate((nothing, nothing, errors)):
        os.dup2(source, number)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
