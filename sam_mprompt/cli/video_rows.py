"""The rows of a video's counts: as csv and JSON lines, as soon as there is one, and read back to go on."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import appending, recover, write_text
from ..shown import csv_cell, csv_line
from .error_bars import COLUMNS

if TYPE_CHECKING:
    from ..counting.video.series import FrameCount
    from .count_regions import CountedRegions
    from .error_bars import ErrorBars


@dataclass(frozen=True)
class Row:
    """A row that a file holds: what a summary, a plot and a median need of it."""

    seconds: float
    count: float
    smoothed: float | None
    interval: tuple[float, float] | None
    gap: float


@dataclass(frozen=True)
class Columns:
    """Which columns a video's csv file has.

    Raises:
        UsageError: a region is called as another column.
    """

    smoothed: bool = False
    bars: "ErrorBars | None" = None
    regions: "CountedRegions | None" = None

    def __post_init__(self) -> None:
        header = self.header
        if twice := next((name for name in header if header.count(name) > 1), None):
            raise UsageError(f"A region cannot be called '{twice}', as there is a column of that name.")

    @property
    def header(self) -> list[str]:
        """Their names."""
        smoothed = ["smoothed"] if self.smoothed else []
        bars = [*COLUMNS] if self.bars is not None else []
        return ["time", "seconds", "count", *smoothed, *bars, *(self.regions.columns if self.regions else []), "gap"]

    def cells(self, frame: "FrameCount") -> list[object]:
        """Return a frame's row."""
        cells: list[object] = [time_of(frame), f"{frame.seconds:.3f}", f"{frame.count:.4f}"]
        cells += [f"{frame.smoothed:.4f}"] if self.smoothed and frame.smoothed is not None else []
        if frame.result is not None:
            cells += self.bars.cells(frame.result) if self.bars is not None else []
            cells += self.regions.cells(frame.result) if self.regions is not None else []
        return [*cells, f"{frame.gap:.3f}" if frame.gap else None]


def time_of(frame: "FrameCount") -> str:
    """Return when a frame was: h:mm:ss.mmm of a file, date and time of day of a live stream."""
    from ..counting.video.times import clock

    return clock(frame.seconds, 3) if frame.clock is None else frame.clock.isoformat(timespec="milliseconds")


def rows_in(path: Path, columns: Columns) -> list[Row]:
    """Return the rows of a csv file; a last one that a kill has cut is removed from the file.

    Raises:
        UsageError: the file has other columns, or a row that is none.
    """
    recover(path)
    if not path.is_file():
        return []
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read '{path}' to go on with it: {error}.") from error
    header = [csv_cell(name) for name in columns.header]
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
    if frame.interval is not None:
        record |= {"low": frame.interval.low, "high": frame.interval.high, "level": frame.interval.level}
    if frame.regions is not None:
        parts = frame.regions.as_dict()
        record |= {name: value for name, value in parts.items() if name != "total" and value is not None}
    if frame.warnings:
        record["warnings"] = list(frame.warnings)
    return record | ({"gap": round(frame.gap, 3)} if frame.gap else {})


def _row(cells: dict[str, str]) -> Row | None:
    try:
        smoothed = float(cells["smoothed"]) if "smoothed" in cells else None
        interval = (float(cells["low"]), float(cells["high"])) if cells.get("low") else None
        return Row(float(cells["seconds"]), float(cells["count"]), smoothed, interval, float(cells["gap"] or 0))
    except ValueError:
        return None
