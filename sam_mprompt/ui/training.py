"""Trainings that are started on the page: one at a time, each in a process of its own; the others are on the disk."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import UsageError
from ..files import write_text
from ..training.run import RunFolder
from .datasets import NAME, checked
from .learner import Lesson

Phase = Literal["idle", "preparing", "training", "stopping", "done", "stopped", "failed"]
RUNNING: tuple[Phase, ...] = ("preparing", "training", "stopping")
LEARNER = (sys.executable, "-m", f"{__package__}.learner")
_NOTES = ".page"
"""Folder among the runs with a note on each."""

_HISTORY = 2000
_FOLD = "fold "


@dataclass
class Progress:
    """How a training is going.

    Attributes:
        run: its name; empty before the first.
        phase: where it is.
        line: what it is at, or what ended it, in one line.
        part: which of its trainings runs, once the main one is done: those that hold out a fold follow it.
        done, total: batches behind, and in all.
        started: of the clock that never goes back.
        history: (epoch, loss, validation MAE) of each epoch.
        outcome: what came of it: `FinetuneResult.as_dict`.
    """

    run: str = ""
    dataset: str = ""
    phase: Phase = "idle"
    line: str = ""
    part: str = ""
    done: int = 0
    total: int | None = None
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    loss: float | None = None
    history: list[tuple[float | None, float | None, float | None]] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values, without places on this machine."""
        values = asdict(self)
        for name in ("run", "adapter", "overlay"):
            values["outcome"].pop(name, None)
        return values


@dataclass(frozen=True)
class TrainedRun:
    """A run's folder of the page: trained to its end, stopped, or nothing."""

    name: str
    dataset: str
    finished: bool
    resumable: bool


class Trainings:
    """Trains, and knows what was trained.

    Args:
        root: folder of the runs.
        finished: called with the name of a run whose adapter is there now, from another thread.
        command: what is started to train: it reads a lesson and tells how it goes, as `learner` does.
    """

    def __init__(self, root: Path, finished: Callable[[str], None], command: Sequence[str] = LEARNER) -> None:
        self.root, self._finished, self._command = root, finished, command
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.progress = Progress()

    def all(self) -> list[TrainedRun]:
        """List the runs, by name."""
        try:
            found = sorted(path.name for path in self.root.iterdir() if path.is_dir() and NAME.fullmatch(path.name))
        except OSError:
            return []
        return [run for name in found if (run := self._run(name)) is not None]

    def adapter(self, name: str) -> Path:
        """Return the adapter folder of a run."""
        return RunFolder(self.root / checked(name, "training")).adapter

    def start(self, lesson: Lesson, dataset: str) -> None:
        """Begin to train. Raises UsageError while another training runs, RunError on a full disk."""
        name = Path(lesson.run).name
        with self._lock:
            if self.progress.phase in RUNNING:
                raise UsageError(f"'{self.progress.run}' is being trained: stop it first, or wait for its end.")
            self._mark(name, lesson, dataset)
            self.progress = Progress(run=name, dataset=dataset, phase="preparing", line="starting")
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
                    start_new_session=True,  # Ctrl-C in the terminal reaches it once, through `close`
                )
            except OSError as error:
                self.progress = Progress(run=name, phase="failed", line=f"Cannot start a process: {error.strerror}.")
                return
            self._process = process
        self._give(process, lesson)
        threading.Thread(target=self._listen, args=(process,), name="sam-mprompt-learner", daemon=True).start()

    def resume(self, name: str, data: Callable[[str], Path]) -> None:
        """Go on with a run that was stopped. Raises UsageError where there is none, or another training runs."""
        known = self._run(checked(name, "training"))
        if known is None or not known.resumable:
            raise UsageError(f"There is nothing saved of '{name}' to go on from.")
        values = self._noted(name)
        lesson = Lesson(
            data=str(data(known.dataset)), format=values.get("format", ""), run=str(self.root / name), resume=True
        )
        self.start(lesson, known.dataset)

    def stop(self) -> None:
        """Ask the training to end after its step; its state is saved."""
        with self._lock:
            if self._process is None or self.progress.phase not in RUNNING:
                return
            self.progress.phase, self.progress.line = "stopping", "stopping after this step"
            with suppress(OSError):
                self._process.send_signal(signal.SIGTERM)

    def close(self, seconds: float) -> None:
        """Stop, and wait until the state is saved; one that does not come to an end in time is ended."""
        self.stop()
        process = self._process
        if process is None:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _give(self, process: "subprocess.Popen[str]", lesson: Lesson) -> None:
        assert process.stdin is not None
        with suppress(OSError):  # it has ended: what it told says why
            process.stdin.write(lesson.to_json() + "\n")
            process.stdin.close()

    def _listen(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        progress = self.progress
        with process.stdout:
            for line in process.stdout:
                try:
                    told = json.loads(line)
                except ValueError:
                    continue
                self._note(progress, told)
        process.wait()
        with self._lock:
            if progress.phase == "stopping":
                progress.phase, progress.line = "stopped", "Stopped before anything was saved."
            elif progress.phase in RUNNING:
                progress.phase, progress.line = "failed", "The process that trained has ended: was the memory enough?"

    def _note(self, progress: Progress, told: dict[str, Any]) -> None:
        kind = told.pop("kind", "")
        progress.seconds = time.monotonic() - progress.started
        if kind in ("say", "preparing"):
            progress.line = str(told.get("line") or told.get("label"))
            if progress.line.startswith(_FOLD):
                progress.part = progress.line.partition(":")[0]
        elif kind == "batch":
            if progress.phase == "preparing":
                progress.phase = "training"
            progress.done, progress.total = int(told["done"]), int(told["total"])
            progress.loss = told["loss"] if told["loss"] is not None else progress.loss
            progress.line = "" if progress.phase == "training" else progress.line
        elif kind == "epoch":
            if len(progress.history) < _HISTORY and not progress.part:
                progress.history.append((told.get("epoch"), told.get("loss"), told.get("val_mae")))
        elif kind == "done":
            progress.outcome, progress.phase, progress.line = told, "done", ""
            self._finished(progress.run)
        elif kind in ("stopped", "failed"):
            progress.phase, progress.line = kind, str(told["line"])

    def _run(self, name: str) -> TrainedRun | None:
        run = RunFolder(self.root / name)
        dataset = str(self._noted(name).get("dataset", ""))
        finished, state = (run.adapter / "counter.json").is_file(), run.has_state
        done = finished and run.overlay.is_file()
        return TrainedRun(name, dataset, done, state and not done) if finished or state else None

    def _mark(self, name: str, lesson: Lesson, dataset: str) -> None:
        """Note what a run learns from. Raises RunError on a full disk."""
        if not lesson.resume:
            note = {"dataset": dataset, "format": lesson.format}
            write_text(self.root / _NOTES / f"{name}.json", json.dumps(note))

    def _noted(self, name: str) -> dict[str, Any]:
        try:
            found = json.loads((self.root / _NOTES / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
