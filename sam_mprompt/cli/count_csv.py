"""The CSV file of `count`: a row as soon as there is a count, and what an interrupted one holds already."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..files import appending, write_text
from ..shown import csv_cell, csv_line, is_number

if TYPE_CHECKING:
    from ..counting.result import CountResult
    from .count_regions import CountedRegions

_HEADER = ["image", "count"]


class Counted(frozenset[str]):
    """The images that a file has counts of, as its cells name them."""

    def __contains__(self, image: object) -> bool:
        return super().__contains__(csv_cell(image))


def counts_in(path: Path, columns: Sequence[str] = ()) -> Counted:
    """Return the images that a CSV file has counts of; a last row that a kill has cut is removed from the file.

    Args:
        path: the file; it need not be there.
        columns: those behind image and count.

    Raises:
        UsageError: the file is none of ours: its first row is another, or a row has no count.
    """
    header = [csv_cell(name) for name in (*_HEADER, *columns)]
    if not path.is_file():
        return Counted()
    try:
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines()))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"Cannot read '{path}' to go on with it: {error}.") from error
    if rows and rows[0] != header:
        raise UsageError(f"Cannot go on with '{path}': expected '{','.join(header)}' in its first line.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header) or not is_number(row[1]):
            raise UsageError(f"Cannot go on with '{path}': expected an image and a count in line {number}.")
    if whole != text:
        write_text(path, whole)
    return Counted(row[0] for row in rows[1:])


@contextmanager
def csv_rows(
    path: Path, *, keep: bool, regions: "CountedRegions | None" = None
) -> "Iterator[Callable[[CountResult], None]]":
    """Yield what writes a result as a row of a CSV file; the header comes first. RunError on a full disk.

    Args:
        path: the file, a device or `-`.
        keep: add to what the file holds.
        regions: what has further columns.
    """
    begun = keep and path.is_file() and path.stat().st_size > 0
    with appending(path, keep=keep) as add:
        if not begun:
            add(csv_line([*_HEADER, *(regions.columns if regions else ())]))

        def written(result: "CountResult") -> None:
            count = regions.counts(result).total if regions else result.count
            add(csv_line([result.image, f"{count:.4f}", *(regions.cells(result) if regions else ())]))

        yield written
