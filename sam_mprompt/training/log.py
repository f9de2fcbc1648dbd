"""What a training tells: a live display on a terminal, plain lines elsewhere, and metrics.jsonl always."""

import json
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..files import write_text

_GROUPS = (
    ("epoch", "step", "lr", "images_per_s", "memory_mb"),
    ("loss", "density", "count", "segmentation", "context", "overlap"),
    ("val_mae", "val_rmse", "val_nae", "val_iou"),
)
"""What the live display shows, a group a row; the validation figures are those of the last validation."""


def peak_memory_mb(device: torch.device) -> float:
    """Return the peak memory in MB: of the GPU when training on one, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


class RunLog:
    """Appends to metrics.jsonl and shows progress on stderr.

    Args:
        path: the metrics file; one JSON object a line.
        console: of stderr; a display when it is a terminal, else one plain line an epoch.
        epochs, batches: length of the training, for the bars and the ETA.
        kept_lines: lines of an earlier session that still hold; later ones are dropped (None drops all).
        active: False on all processes but the main one.
    """

    def __init__(
        self, path: Path, console: Console, *, epochs: int, batches: int, kept_lines: int, active: bool
    ) -> None:
        self.path, self.console, self.active = path, console, active
        self.lines = kept_lines
        self.live: Live | None = None
        self.latest: dict[str, Any] = {}
        if not active:
            return
        old = path.read_text(encoding="utf-8").splitlines(keepends=True)[:kept_lines] if path.is_file() else []
        self.lines = len(old)
        write_text(path, "".join(old))
        self.file = path.open("a", encoding="utf-8")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, TextColumn("ETA"), TimeRemainingColumn(), console=console)
        self.batch_task = self.progress.add_task("batches", total=epochs * batches)

    def __enter__(self) -> "RunLog":
        if self.active and self.console.is_terminal:
            self.live = Live(self._display(), console=self.console, refresh_per_second=4)
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
        if self.active:
            self.file.close()

    def batch(self, done: int, values: Mapping[str, float]) -> None:
        """Show that `done` batches of the whole training are behind, and the latest loss terms and rates."""
        if self.active:
            self.progress.update(self.batch_task, completed=done)
            self.latest |= values
            if self.live is not None:
                self.live.update(self._display())

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Append one record (flat JSON values, `epoch` 1-based) to metrics.jsonl and show it."""
        if not self.active:
            return
        self.file.write(json.dumps(record) + "\n")
        self.file.flush()
        self.lines += 1
        self.latest |= record
        if self.live is None:
            self.console.print(_line(record), soft_wrap=True, highlight=False)
        else:
            self.live.update(self._display())

    def _display(self) -> Table:
        """The bar, then a row of names over a row of values for each group that has values already."""
        display = Table.grid()
        display.add_row(self.progress)
        for group in _GROUPS:
            shown = {name: self.latest[name] for name in group if self.latest.get(name) is not None}
            if shown:
                values = Table(*shown, box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
                values.add_row(*(_text(value) for value in shown.values()))
                display.add_row(values)
        return display


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(record: Mapping[str, Any]) -> str:
    return " · ".join(f"{key} {_text(value)}" for key, value in record.items() if value is not None)
