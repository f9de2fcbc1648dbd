"""The CSV file of `count`: a row as soon as there is a count, and what an interrupted one holds already."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import appending, recover, write_text
from ..shown import csv_cell, csv_line, is_number
from .error_bars import COLUMNS

if TYPE_CHECKING:
    from ..counting.result import CountResult
    from .count_regions import CountedRegions
    from .error_bars import ErrorBars

_HEADER = ["image", "count"]
_WITH_ERROR_BARS = [*_HEADER, *COLUMNS]


class Counted(frozenset[str]):
    """The images that a file has counts of, as its cells name them."""

    def __contains__(self, image: object) -> bool:
        return super().__contains__(csv_cell(image))


def counts_in(path: Path, columns: Sequence[str] = ()) -> Counted:
    """Return the images that a CSV file has counts of; a last row that a kill has cut is removed from the file.

    Args:
        path: the file; it need not be there.
        columns: the last ones, behind image, count and, where it has them, the error bars.

    Raises:
        UsageError: the file is none of ours: its first row is another, or a row has no count.
    """
    headers = [[*map(csv_cell, (*first, *columns))] for first in (_HEADER, _WITH_ERROR_BARS)]
    recover(path)
    if not path.is_file():
        return Counted()
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read '{path}' to go on with it: {error}.") from error
    if rows and rows[0] not in headers:
        raise UsageError(f"Cannot go on with '{path}': expected '{','.join(headers[0])}' in its first line.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) or not is_number(row[1]):
            raise UsageError(f"Cannot go on with '{path}': expected an image and a count in line {number}.")
    if whole != text:
        write_text(path, whole)
    return Counted(row[0] for row in rows[1:])


def begun_without(path: Path) -> bool:
    """Whether a file that `counts_in` read was begun without error bars: it goes on as it was begun."""
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", newline="") as file:
        header = next(csv.reader(file), [])
    return header[: len(_HEADER)] == _HEADER and header[: len(_WITH_ERROR_BARS)] != _WITH_ERROR_BARS


@contextmanager
def csv_rows(
    path: Path, bars: "ErrorBars", *, keep: bool, regions: "CountedRegions | None" = None
) -> "Iterator[Callable[[CountResult], None]]":
    """Yield what writes a result as a row of a CSV file; the header comes first. RunError on a full disk.

    Args:
        path: the file, a device or `-`.
        bars: in columns of their own, where there are any.
        keep: add to what the file holds, in the columns that it has.
        regions: in the last columns.
    """
    begun = keep and path.is_file() and path.stat().st_size > 0
    without = begun_without(path) if begun else bars.missing is not None
    with appending(path, keep=keep) as add:
        if not begun:
            add(csv_line([*(_HEADER if without else _WITH_ERROR_BARS), *(regions.columns if regions else ())]))

        def written(result: "CountResult") -> None:
            count = regions.counts(result).total if regions else result.count
            own = [] if without else bars.cells(result)
            add(csv_line([result.image, f"{count:.4f}", *own, *(regions.cells(result) if regions else ())]))

        yield written
