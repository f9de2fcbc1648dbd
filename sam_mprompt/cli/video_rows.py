"""The rows of a video's counts: as csv and JSON lines, as soon as there is one, and read back to go on."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import appending, write_text
from ..shown import csv_line, is_number

if TYPE_CHECKING:
    from ..counting.video.series import FrameCount


@dataclass(frozen=True)
class Row:
    """A row that a file holds: what a summary, a plot and a median need of it."""

    seconds: float
    count: float
    smoothed: float | None
    gap: float


@dataclass(frozen=True)
class Columns:
    """Which columns a video's csv file has."""

    smoothed: bool

    @property
    def header(self) -> list[str]:
        """Their names."""
        return ["time", "seconds", "count", *(["smoothed"] if self.smoothed else []), "gap"]

    def cells(self, frame: "FrameCount") -> list[object]:
        """Return a frame's row."""
        smoothed = [_decimals(frame.smoothed)] if self.smoothed else []
        return [
            time_of(frame),
            f"{frame.seconds:.3f}",
            _decimals(frame.count),
            *smoothed,
            f"{frame.gap:.3f}" if frame.gap else None,
        ]


def time_of(frame: "FrameCount") -> str:
    """Return when a frame was: h:mm:ss.mmm of a file, date and time of day of a live stream."""
    from ..counting.video.times import clock

    return clock(frame.seconds, 3) if frame.clock is None else frame.clock.isoformat(timespec="milliseconds")


def rows_in(path: Path, columns: Columns) -> list[Row]:
    """Return the rows of a csv file; a last one that a kill has cut is removed from the file.

    Raises:
        UsageError: the file has other columns, or a row that is none.
    """
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read '{path}' to go on with it: {error}.") from error
    header = columns.header
    if rows and rows[0] != header:
        raise UsageError(
            f"Cannot go on with '{path}': expected '{','.join(header)}' in its first line, as the same command writes."
        )
    found: list[Row] = []
    for number, cells in enumerate(rows[1:], start=2):
        row = _row(dict(zip(header, cells, strict=False))) if len(cells) == len(header) else None
        if row is None or (found and row.seconds <= found[-1].seconds):
            raise UsageError(f"Cannot go on with '{path}': expected a later time and its count in line {number}.")
        found.append(row)
    if whole != text:
        write_text(path, whole)
    return found


@contextmanager
def csv_rows(path: Path, columns: Columns, *, keep: bool) -> "Iterator[Callable[[FrameCount], None]]":
    """Yield what writes a frame as a row of a csv file; the header comes first. RunError on a full disk."""
    begun = keep and path.is_file() and path.stat().st_size > 0
    with appending(path, keep=keep) as add:
        if not begun:
            add(csv_line(columns.header))
        yield lambda frame: add(csv_line(columns.cells(frame)))


@contextmanager
def json_lines(path: Path) -> "Iterator[Callable[[FrameCount], None]]":
    """Yield what writes a frame as a line with a JSON object. RunError on a full disk."""
    with appending(path) as add:
        yield lambda frame: add(json.dumps(_record(frame)) + "\n")


def _record(frame: "FrameCount") -> dict[str, object]:
    record: dict[str, object] = {
        "time": time_of(frame),
        "seconds": round(frame.seconds, 3),
        "frame": frame.index,
        "count": round(frame.count, 4),
    }
    if frame.smoothed is not None:
        record["smoothed"] = round(frame.smoothed, 4)
    return record | ({"gap": round(frame.gap, 3)} if frame.gap else {})


def _row(cells: dict[str, str]) -> Row | None:
    smoothed, gap = cells.get("smoothed"), cells["gap"] or "0"
    needed = [cells["seconds"], cells["count"], gap, *([] if smoothed is None else [smoothed])]
    if not all(map(is_number, needed)):
        return None
    return Row(
        float(cells["seconds"]), float(cells["count"]), None if smoothed is None else float(smoothed), float(gap)
    )


def _decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
