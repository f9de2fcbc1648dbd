"""How a training shows itself on stderr: a live display on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ..shown import shown
from ..training.observer import Observer
from .ui import say

_GROUPS = (
    ("epoch", "step", "lr", "images_per_s", "memory_mb"),
    ("loss", "density", "count", "segmentation", "context", "overlap"),
    ("likelihood", "bins", "scales", "transport", "variation"),
    ("val_mae", "val_rmse", "val_nae", "val_iou"),
)
"""What the live display shows, a group a row; the validation figures are those of the last validation."""


class TrainingDisplay(Observer):
    """Shows what trainings tell, one after the other; to be used in a `with`, which clears the terminal in the end."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._preparing: tuple[str, Progress] | None = None
        self._live: Live | None = None
        self._batches = Progress(disable=True)
        self._latest: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self._prepared()
        say(self.console, line)

    def progress(self, label: str, done: int, total: int | None, *, in_bytes: bool = False) -> None:
        """Show a bar that goes when what it counts is done, or something else is told."""
        if not self.console.is_terminal:
            return
        if self._preparing is None or self._preparing[0] != label:
            self._prepared()
            columns = (*Progress.get_default_columns(), *([DownloadColumn()] if in_bytes else []))
            bar = Progress(*columns, console=self.console, transient=True)
            bar.add_task(escape(shown(label)))
            bar.start()
            self._preparing = label, bar
        _, bar = self._preparing
        bar.update(bar.task_ids[0], completed=done, total=total)
        if done == total:
            self._prepared()

    def batch(self, done: int, total: int, values: Mapping[str, float]) -> None:
        """Show how far the training is, and the latest loss terms and rates."""
        self._prepared()
        self._latest |= values
        if not self.console.is_terminal:
            return
        if self._live is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._batches = Progress(*columns, TextColumn("ETA"), TimeRemainingColumn(), console=self.console)
            self._batches.add_task("batches", total=total)
            self._live = Live(self._display(), console=self.console, refresh_per_second=4)
            self._live.start()
        if done:
            self._batches.update(self._batches.task_ids[0], completed=done)
        self._live.update(self._display())

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Show a record: in the display, or as one plain line."""
        self._latest |= record
        if self._live is None:
            say(self.console, _line(record))
        else:
            self._live.update(self._display())

    def end(self) -> None:
        """Leave the last display where it is; what comes next begins anew."""
        self._prepared()
        if self._live is not None:
            self._live.stop()
        self._live, self._latest = None, {}

    def _prepared(self) -> None:
        if self._preparing is not None:
            self._preparing[1].stop()
        self._preparing = None

    def _display(self) -> Table:
        """The bar, then a row of names over a row of values for each group that has values already."""
        display = Table.grid()
        display.add_row(self._batches)
        for group in _GROUPS:
            known = {name: self._latest[name] for name in group if self._latest.get(name) is not None}
            if known:
                values = Table(*known, box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
                values.add_row(*(Text(_text(value)) for value in known.values()))
                display.add_row(values)
        return display


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


def _line(record: Mapping[str, Any]) -> str:
    return " · ".join(f"{key} {_text(value)}" for key, value in record.items() if value is not None)
