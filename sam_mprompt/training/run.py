"""A run's folder as an object: the only place that knows what lies where in it.

state/          what training goes on from
adapter/        the best epoch's adapter
metrics.jsonl   a line an epoch (of a pre-training: every so many steps)
recipe.toml     the resolved recipe
previews/       pictures of validation images
overlay.jpg     one validation image as the adapter counts it
fingerprint     what an ablation's run was trained on
NAME.safetensors    the checkpoint of a pre-training
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from ..adapter.find import ADAPTER
from ..errors import UsageError
from ..files import recover, write_text

_RUNS = Path("runs")
_STATE, _METRICS, _RECIPE, _PREVIEWS = "state", "metrics.jsonl", "recipe.toml", "previews"
_OVERLAY, _FINGERPRINT = "overlay.jpg", "fingerprint"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one training; making the object touches nothing on disk."""

    path: Path

    @classmethod
    def new(cls, name: str, out: Path | None = None) -> Self:
        """Choose the folder of a new run: `out`, or the next free number of its name in `runs`.

        Raises:
            UsageError: `out` is in use.
        """
        run = cls(out or next(path for path in _numbered(name) if not path.exists()))
        if run.path.exists() and (not run.path.is_dir() or any(run.path.iterdir())):
            raise UsageError(
                f"'{run.path}' is not empty: expected a new folder for a new run.", about="run in use", run=run.path
            )
        return run

    @classmethod
    def to_resume(cls, name: str, out: Path | None = None) -> Self:
        """Find the run to go on with: `out`, or the latest of its name in `runs`; what a kill left in it is mended.

        Raises:
            UsageError: it has no state to go on from.
        """
        latest = _RUNS / name
        for path in _numbered(name) if out is None else ():
            if not path.exists():
                break
            latest = path
        run = cls(out or latest)
        run.recover()
        if not run.has_state:
            raise UsageError(f"Nothing to resume in '{run.path}': it has no saved state.", about="nothing to resume")
        return run

    @classmethod
    def choose(cls, name: str, out: Path | None, *, resume: bool) -> Self:
        """Return the folder `to_resume` or that of a `new` run. Raises as they do."""
        return cls.to_resume(name, out) if resume else cls.new(name, out)

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.name

    @property
    def state(self) -> Path:
        """Folder of the resumable state."""
        return self.path / _STATE

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
        return file.read_text(encoding="utf-8").strip() if file.is_file() else None

    def mark(self, fingerprint: str) -> None:
        """Note what the run is trained on, before it begins. Raises RunError on a full disk."""
        write_text(self.path / _FINGERPRINT, fingerprint + "\n")

    def recover(self) -> None:
        """Mend what a kill in the middle of a save left."""
        for part in (self.state, self.adapter):
            recover(part)

    def discard_unsaved(self) -> None:
        """Delete a run that was killed before it saved anything; other folders are left alone."""
        begun = self.fingerprint is not None or self.recipe.is_file()
        if begun and not self.has_state and not self.adapter.exists():
            shutil.rmtree(self.path)


def _numbered(name: str) -> Iterator[Path]:
    """NAME, NAME-2, NAME-3, ..."""
    yield _RUNS / name
    yield from (_RUNS / f"{name}-{number}" for number in count(2))
