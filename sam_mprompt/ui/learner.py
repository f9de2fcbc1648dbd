"""The process that trains for the page: reads what to train as a line of JSON, tells how it goes as lines of JSON.

It is a process of its own, so that the page answers meanwhile, and so that a signal ends it as it ends any training:
after a step, with its state saved.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from ..allocator import keep_freed_memory
from ..errors import Interrupted, SamMpromptError
from ..memory import memory_fault
from ..recipe.schema import Recipe
from ..training.observer import Observer

_PAUSE = 0.2
_NICE = 5


@dataclass(frozen=True)
class Lesson:
    """What is to be trained.

    Attributes:
        data: the dataset's folder.
        format: its layout.
        run: the run's folder.
        start: folder of the adapter to go on from; empty for a plan that starts anew.
        base: the base that adapter was put on, where that is not the recorded one.
        minutes: how long it may take.
        overrides: `KEY=VALUE` of the recipe.
        resume: whether the run goes on from its saved state.
    """

    data: str
    format: str
    run: str
    start: str = ""
    base: str | None = None
    minutes: float = 10.0
    overrides: tuple[str, ...] = ()
    resume: bool = False

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Lesson":
        """Read what `to_json` wrote."""
        values = json.loads(line)
        return cls(**{**values, "overrides": tuple(values["overrides"])})


class Telling(Observer):
    """Writes what a training tells as lines of JSON; where nobody reads them any longer the training is stopped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._last = stream, 0.0

    def tell(self, kind: str, **facts: Any) -> None:
        """Write one line."""
        try:
            self._stream.write(json.dumps({"kind": kind, **facts}, default=str) + "\n")
            self._stream.flush()
        except OSError:  # the page has gone
            os.kill(os.getpid(), signal.SIGTERM)
            self._stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - until this process ends

    def say(self, line: str) -> None:
        """Tell a line."""
        self.tell("say", line=line)

    def progress(self, label: str, done: int, total: int | None, *, in_bytes: bool = False) -> None:
        """Tell how far a preparation is."""
        if self._due(done == total):
            self.tell("preparing", label=label, done=done, total=total, in_bytes=in_bytes)

    def batch(self, done: int, total: int, values: Mapping[str, float]) -> None:
        """Tell how far the training is."""
        if self._due(done in (0, total)):
            self.tell("batch", done=done, total=total, loss=values.get("loss"))

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Tell what was measured."""
        self.tell("epoch", **{key: record.get(key) for key in ("epoch", "loss", "val_mae")})

    def _due(self, always: bool) -> bool:
        now = time.monotonic()
        if not always and now - self._last < _PAUSE:
            return False
        self._last = now
        return True


def learn(lesson: Lesson, observer: Observer) -> dict[str, Any]:
    """Train, and return what came of it.

    Raises:
        UsageError, RunError, Interrupted: as `training.finetune.finetune`.
    """
    from ..training.finetune import claimed_run, finetune

    named = Recipe(name=Path(lesson.run).name)
    with claimed_run(named, (), Path(lesson.run), resume=lesson.resume) as (resolved, run):
        recipe = resolved if lesson.resume else _recipe(lesson, observer)
        outcome = finetune(recipe, data=Path(lesson.data), run=run, resume=lesson.resume, observer=observer)
    return {} if outcome is None else outcome.as_dict()


def _recipe(lesson: Lesson, observer: Observer) -> Recipe:
    from ..adapter.find import find_adapter
    from ..adapter.folder import AdapterFolder
    from ..planning import timing
    from ..planning.continued import continued
    from ..planning.machine import this_machine
    from ..planning.plan import plan

    root, machine = Path(lesson.data), this_machine()

    def timed(recipe: Recipe, folder: Path) -> timing.Timing:
        observer.say("timing a few steps")
        return timing.time_training(recipe, folder, observer)

    shared: dict[str, Any] = {"minutes": lesson.minutes, "machine": machine, "timer": timed, "format": lesson.format}
    shared |= {"overrides": lesson.overrides}
    if not lesson.start:
        return plan(root, **shared).recipe
    start = find_adapter(lesson.start)
    return continued(AdapterFolder.read(start).recipe, start, root, base=lesson.base, **shared)


def main() -> int:
    """Read a lesson from stdin, and train."""
    with suppress(OSError):
        os.nice(_NICE)  # counting on the page goes first
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while it trains, a training's own handler hears it
    stream, sys.stdout = sys.stdout, sys.stderr  # nothing else may stand among the lines
    telling = Telling(stream)
    try:
        telling.tell("done", **learn(Lesson.from_json(sys.stdin.readline()), telling))
    except Interrupted as error:
        telling.tell("stopped", line=str(error))
    except KeyboardInterrupt:
        telling.tell("stopped", line="Stopped before anything was saved.")
    except SamMpromptError as error:
        telling.tell("failed", line=str(error))
    except Exception as error:
        if not memory_fault(error):
            telling.tell("failed", line="Training failed: the terminal of the page says why.")
            raise
        telling.tell("failed", line="The memory was not enough: train on smaller photographs, or close other programs.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
