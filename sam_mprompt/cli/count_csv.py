"""The CSV file of `count`: a row as soon as there is a count, and what an interrupted one holds already."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import appending, write_text
from ..shown import csv_cell, csv_line, is_number
from .error_bars import COLUMNS

if TYPE_CHECKING:
    from ..counting.result import CountResult
    from .error_bars import ErrorBars

_HEADER = ["image", "count"]
_WITH_ERROR_BARS = [*_HEADER, *COLUMNS]


class Counted(frozenset[str]):
    """The images that a file has counts of, as its cells name them."""

    def __contains__(self, image: object) -> bool:
        return super().__contains__(csv_cell(image))


def counts_in(path: Path) -> Counted:
    """Return the images that a CSV file has counts of; a last row that a kill has cut is removed from the file.

    Raises:
        UsageError: the file is none of ours: its first row is another, or a row has no count.
    """
    if not path.is_file():
        return Counted()
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read '{path}' to go on with it: {error}.") from error
    if rows and rows[0] not in (_HEADER, _WITH_ERROR_BARS):
        raise UsageError(f"Cannot go on with '{path}': expected 'image,count' in its first line.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) or not is_number(row[1]):
            raise UsageError(f"Cannot go on with '{path}': expected an image and a count in line {number}.")
    if whole != text:
        write_text(path, whole)
    return Counted(row[0] for row in rows[1:])


def begun_without(path: Path) -> bool:
    """Whether a file that `counts_in` read was begun without error bars: it goes on as it was begun."""
    return path.is_file() and _first_line(path) == csv_line(_HEADER)


@contextmanager
def csv_rows(path: Path, bars: "ErrorBars", *, keep: bool) -> "Iterator[Callable[[CountResult], None]]":
    """Yield what writes a result as a row of a CSV file; the header comes first. RunError on a full disk.

    Args:
        path: the file, a device or `-`.
        bars: in columns of their own, where there are any.
        keep: add to what the file holds, in the columns that it has.
    """
    begun = keep and path.is_file() and path.stat().st_size > 0
    header = _HEADER if bars.missing is not None else _WITH_ERROR_BARS
    if begun:
        header = _HEADER if begun_without(path) else _WITH_ERROR_BARS
    with appending(path, keep=keep) as add:
        if not begun:
            add(csv_line(header))

        def written(result: "CountResult") -> None:
            own = [] if header is _HEADER else bars.cells(result)
            add(csv_line([result.image, f"{result.count:.4f}", *own]))

        yield written


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline()
