"""A run's folder as an object: the only place that knows what lies where in it.

state/          what training goes on from
state-before/   the state before that, until the training is done: what it goes on from where the disk damaged the other
adapter/        the best epoch's adapter
metrics.jsonl   a line an epoch (of a pre-training: every so many steps)
recipe.toml     the resolved recipe
plan.toml       the recipe as it was planned, with the reason of each value, where it was
held_out.jsonl  what images counted that no weight was trained on: see held_out.py
folds/          the trainings that hold out a fold each, until they are done
previews/       pictures of validation images
overlay.jpg     one validation image as the adapter counts it
fingerprint     what an ablation's run was trained on
.lock           names the process that trains here now
NAME.safetensors    the checkpoint of a pre-training
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from ..adapter.find import ADAPTER
from ..errors import RunError, UsageError
from ..files import LOCK, check_output, locked, recover, recover_within, remove, write_text

_RUNS = Path("runs")
_STATE, _METRICS, _RECIPE, _PREVIEWS = "state", "metrics.jsonl", "recipe.toml", "previews"
_OVERLAY, _FINGERPRINT, _PLAN = "overlay.jpg", "fingerprint", "plan.toml"
_HELD_OUT, _FOLDS = "held_out.jsonl", "folds"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training; making the object touches nothing on disk, `claimed` does."""

    path: Path

    @classmethod
    @contextmanager
    def claimed(cls, name: str, out: Path | None = None, *, resume: bool = False) -> Iterator[Self]:
        """Choose the folder of a run, and keep every other process out of it until the block ends.

        A new run gets `out`, or the next free number of its name in `runs`; the folder is made at once, so that two
        that choose at the same time get two. One in which a training was ended before it saved anything counts as free.
        To go on, `out` is taken, or the latest of its name; what a kill in the middle of a save left there is mended.
        When the block fails before anything is saved, a new run's folder goes as it came.

        Raises:
            UsageError: another process has it, it cannot be written, `out` holds something, or it has no state to go on
                from.
        """
        chosen = out or (_latest(name) if resume else _next(name))
        run = cls(chosen)
        if resume and not run.path.is_dir():
            raise UsageError(f"Nothing to resume in '{run.path}': there is no such folder.", about="nothing to resume")
        check_output(run.path, "folder")
        made = not run.path.exists() or out is None
        with locked(run.path, "trained"):
            run.recover()
            if resume:
                run.expect_state()
            else:
                run.discard_unsaved()
                run.expect_empty()
            try:
                yield run
            except BaseException:
                if not resume and not run.has_state:
                    run.discard_unsaved()
                    if made and run.is_empty:
                        shutil.rmtree(run.path, ignore_errors=True)
                raise

    def expect_empty(self) -> None:
        """Raise UsageError where the folder holds anything but a lock."""
        if not self.is_empty:
            raise UsageError(
                f"'{self.path}' is not empty: expected a new folder for a new run.", about="run in use", run=self.path
            )

    def expect_state(self) -> None:
        """Raise UsageError where there is no state to go on from; it tells whether a training was begun at all."""
        if self.has_state:
            return
        if self.is_unsaved:
            raise UsageError(
                f"Nothing to resume in '{self.path}': its training was ended before it saved anything.",
                about="nothing saved",
            )
        raise UsageError(f"Nothing to resume in '{self.path}': it has no saved state.", about="nothing to resume")

    def expect_begun(self) -> None:
        """Raise RunError where the folder of a training that has begun was deleted or moved: writing made it anew."""
        if not self.recipe.is_file():
            raise RunError(
                f"'{self.path}' was deleted or moved while it was trained (its {_RECIPE} is not there): nothing more "
                "can be saved in it."
            )

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def state(self) -> Path:
        """Folder of the resumable state."""
        return self.path / _STATE

    @property
    def state_before(self) -> Path:
        """Folder of the state before, beside the other; it is there while a training goes on."""
        home = Path(os.path.realpath(self.state)) if self.state.is_symlink() else self.state
        return home.with_name(f"{home.name}-before")

    @property
    def adapter(self) -> Path:
        """Adapter folder of the best epoch; a segmenter alone has none."""
        return self.path / ADAPTER

    @property
    def metrics(self) -> Path:
        """JSON lines."""
        return self.path / _METRICS

    @property
    def recipe(self) -> Path:
        """The resolved recipe, TOML."""
        return self.path / _RECIPE

    @property
    def plan(self) -> Path:
        """The recipe as it was planned, with the reason of each value, TOML; a run with a recipe has none."""
        return self.path / _PLAN

    @property
    def held_out(self) -> Path:
        """JSON lines, one an image: its true count and what weights counted that never saw it (`held_out.HeldOut`)."""
        return self.path / _HELD_OUT

    @property
    def folds(self) -> Path:
        """Folder of the trainings that hold out a fold."""
        return self.path / _FOLDS

    def fold(self, number: int) -> "RunFolder":
        """Return the run that holds out fold `number`, 1-based."""
        return RunFolder(self.folds / str(number))

    @property
    def overlay(self) -> Path:
        """A picture of one validation image with its density and count."""
        return self.path / _OVERLAY

    def preview(self, epoch: int, index: int) -> Path:
        """Return the picture of validation image `index` after an epoch, 1-based."""
        return self.path / _PREVIEWS / f"epoch{epoch:04d}-{index}.jpg"

    def checkpoint(self, name: str) -> Path:
        """Return the file of the base that a pre-training of that name makes."""
        return self.path / f"{name}.safetensors"

    @property
    def has_state(self) -> bool:
        """Whether there is a state to go on from."""
        return self.state.is_dir()

    @property
    def fingerprint(self) -> str | None:
        """What `mark` noted, or None."""
        file = self.path / _FINGERPRINT
        return file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else None

    def mark(self, fingerprint: str) -> None:
        """Note what the run is trained on, before it begins. Raises RunError on a full disk."""
        write_text(self.path / _FINGERPRINT, fingerprint + "\n")

    def recover(self) -> None:
        """Mend what kills in the middle of writing left."""
        recover_within(self.path)
        for part in (self.state, self.adapter):
            if part.is_symlink():
                recover(Path(os.path.realpath(part)))
        recover(self.state_before)
        for fold in sorted(self.folds.iterdir()) if self.folds.is_dir() else ():
            recover_within(fold)

    @property
    def is_empty(self) -> bool:
        """Whether the folder holds nothing, but for the lock, or is not there."""
        return not self.path.is_dir() or not any(entry.name != LOCK for entry in self.path.iterdir())

    @property
    def is_unsaved(self) -> bool:
        """Whether a training was begun here and ended before it saved anything; nothing else is in the folder then."""
        names = {entry.name for entry in self.path.iterdir()} if self.path.is_dir() else set()
        begun = {_METRICS, _FINGERPRINT, _PLAN}
        return not begun.isdisjoint(names) and names <= {*begun, _RECIPE, _PLAN, LOCK, self.name}

    def discard_unsaved(self) -> None:
        """Delete what `is_unsaved` tells of; other folders are left alone."""
        if self.is_unsaved:
            for entry in list(self.path.iterdir()):
                if entry.name != LOCK:
                    remove(entry)


def _numbered(name: str) -> Iterator[Path]:
    """NAME, NAME-2, NAME-3, ..."""
    yield _RUNS / name
    yield from (_RUNS / f"{name}-{number}" for number in count(2))


def _next(name: str) -> Path:
    """Make the first folder of `_numbered` that does not exist, and return it."""
    for path in _numbered(name):
        check_output(path, "folder")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
    raise AssertionError("numbers do not end")


def _latest(name: str) -> Path:
    """Return the last folder of `_numbered` before the first that does not exist."""
    latest = _RUNS / name
    for path in _numbered(name):
        if not path.exists():
            break
        latest = path
    return latest
