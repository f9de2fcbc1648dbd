"""Watches the workers: what came of each input, also of one that ends or hangs its process."""

import json
import os
import select
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .worker import made, met, prepared

FAMILIES = (
    "images",
    "annotations",
    "recipes",
    "adapters",
    "bases",
    "exported",
    "saved",
    "counts",
    "regions",
    "corpora",
    "commands",
    "arguments",
)
"""Modules of this package, one a kind of input."""

MOST_SECONDS = 10.0
"""Of computing; a machine that does something else beside it is no finding."""

MOST_BYTES = 2 << 30
_STUCK_SECONDS = 45.0
_STILL_SECONDS = 300.0
_START_SECONDS = 900.0
_AGAIN_ABOVE = 1 << 30
"""A worker whose peak grew by so much is replaced: a later peak below it would not be seen."""

_BENIGN = ("read", "refused")


@dataclass(frozen=True)
class Found:
    """An input that did something else than being read or refused in one line.

    Attributes:
        number: of the input.
        kind: "traceback", "slow", "memory", "stuck", "died" or "long".
        what: was tried.
        detail: a traceback, a message or figures.
    """

    number: int
    kind: str
    what: str
    detail: str


@dataclass
class Report:
    """What came of a family's inputs."""

    family: str
    outcomes: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    @property
    def inputs(self) -> int:
        """How many were met."""
        return sum(self.outcomes.values())


def fuzz(
    family: str,
    numbers: Sequence[int],
    *,
    seed: int = 0,
    keep: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Run the inputs of a family with these numbers.

    Args:
        family: one of `FAMILIES`.
        numbers: which; each is made by family, seed and number alone.
        seed: another one gives others.
        keep: where the folders of what is found are copied to.
        progress: called after each with the number done.
    """
    report, left = Report(family), list(numbers)
    with TemporaryDirectory() as work:
        while left:
            done = _worked(report, left, seed, Path(work), keep, progress)
            left = left[done:]
    return report


def fuzz_here(family: str, numbers: Sequence[int], *, seed: int = 0) -> Report:
    """Run inputs in this process, which one that hangs takes along: the start of a worker takes longer than they."""
    report = Report(family)
    with TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        module = prepared(family, work)
        for number in numbers:
            attempt = made(module, family, seed, number, work)
            _note(report, {"number": number, "what": attempt.what, **met(attempt, work)}, work, None)
    return report


def _worked(
    report: Report,
    numbers: Sequence[int],
    seed: int,
    work: Path,
    keep: Path | None,
    progress: Callable[[int], None] | None,
) -> int:
    """Let one worker run as many of the inputs as it can; return how many."""
    begun: dict[str, Any] | None = None
    done = 0
    errors = work / "stderr"
    with errors.open("wb") as stderr, _worker(report.family, seed, numbers, work, stderr) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        while done < len(numbers):
            ready = _ready(worker) if begun else select.select([worker.stdout], [], [], _START_SECONDS)[0]
            line = worker.stdout.readline() if ready else b""
            if not line.endswith(b"\n"):
                worker.kill()
                worker.wait()
                detail = errors.read_text(encoding="utf-8", errors="replace")[-3000:]
                if begun is None:
                    raise RuntimeError(f"No input was made, by the worker of {report.family}: {detail}")
                _note(report, {**begun, "kind": "died" if ready else "stuck", "detail": detail}, work, keep)
                return done + 1
            told = json.loads(line)
            begun = told
            if "kind" in told:
                done += 1
                _note(report, told, work, keep)
                begun = None
                if progress is not None:
                    progress(report.inputs)
                if told["grown"] > _AGAIN_ABOVE:
                    worker.kill()
                    break
                worker.stdin.write(b"\n")
    return done


def _ready(worker: subprocess.Popen[bytes]) -> bool:
    """Wait until a worker tells something; False where it computes for too long, or stands still."""
    begun = _computed(worker.pid)
    for _ in range(round(_STILL_SECONDS / _STUCK_SECONDS)):
        if select.select([worker.stdout], [], [], _STUCK_SECONDS)[0]:
            return True
        if _computed(worker.pid) - begun > MOST_SECONDS:
            return bool(select.select([worker.stdout], [], [], 5)[0])
    return False


def _computed(pid: int) -> float:
    """Return for how many seconds a process has computed; no number where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _note(report: Report, told: dict[str, Any], work: Path, keep: Path | None) -> None:
    kind = told["kind"]
    report.slowest = max(report.slowest, told.get("busy", 0.0))
    report.largest = max(report.largest, told.get("grown", 0))
    if kind in _BENIGN and told["grown"] > MOST_BYTES:
        kind = "memory"
    elif kind in _BENIGN and told["busy"] > MOST_SECONDS:
        kind = "slow"
    report.outcomes[kind] += 1
    if kind in _BENIGN:
        return
    figures = f"{told.get('busy', 0):.1f} s, {told.get('grown', 0) / 1e6:.0f} MB"
    found = Found(told["number"], kind, told["what"], f"{figures}\n{told['detail']}")
    report.found.append(found)
    if keep is not None:
        folder = keep / f"{report.family}-{found.number}"
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(shutil.Error):  # what is no file, such as a pipe, stays behind
            shutil.copytree(work / "input", folder / "input", symlinks=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "finding.txt").write_text(
            f"{found.kind}\n{found.what}\n{found.detail}\n", encoding="utf-8", errors="backslashreplace"
        )


def _worker(family: str, seed: int, numbers: Sequence[int], work: Path, stderr: Any) -> subprocess.Popen[bytes]:
    package = __package__ or "fuzz"
    arguments = [family, str(seed), ",".join(map(str, numbers)), str(work), str(_STUCK_SECONDS)]
    return subprocess.Popen(
        [sys.executable, "-m", f"{package}.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=environment(),
        bufsize=0,
    )


def environment() -> dict[str, str]:
    """Return the environment of a process that fuzzes: one thread, no network, the same packages."""
    package = __package__ or "fuzz"
    paths = [str(Path(__file__).parents[package.count(".") + 1]), *sys.path]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in paths),  # noqa: PTH100 - "" is this folder
        "OMP_NUM_THREADS": "1",
        "OPENCV_LOG_LEVEL": "SILENT",
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "100",
    }
