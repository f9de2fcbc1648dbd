"""A table that a spreadsheet or a script wrote -> rows of cells and numbers, whatever it separates them with."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ....errors import UsageError
from ..text import streamed_lines

_SEPARATORS = ";\t,"  # with a decimal comma, a comma is the last thing to try
_EXCEL = "sep="


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        where: file and line, for messages.
        cells: without blanks around them.
        text: the row as it stands in the file.
    """

    where: str
    cells: list[str]
    text: str


class CsvRows:
    """The rows of a table, read one by one, never held as a whole.

    Args:
        path: a UTF-8 or UTF-16 text file of up to `text.MAX_BYTES`.
        columns: how many it has at least, by which a decimal comma is told from one that separates.

    Attributes:
        separator: what stands between two cells: a comma, a semicolon or a tabulator.

    Raises:
        UsageError: as `text.streamed_lines`.
    """

    def __init__(self, path: Path, columns: int = 3) -> None:
        self.path = path
        first = next((line.strip() for _, line in streamed_lines(path) if line.strip()), "")
        self._told = first.casefold().startswith(_EXCEL) and len(first) == len(_EXCEL) + 1
        self.separator = first[-1] if self._told else _separator(first, columns)

    def __iter__(self) -> Iterator[Row]:
        """Yield each row that is not empty, without Excel's `sep=;`.

        Raises:
            UsageError: as `text.streamed_lines`, or no CSV file.
        """
        reader = csv.reader((line for _, line in streamed_lines(self.path)), delimiter=self.separator)
        told = self._told
        try:
            for number, row in enumerate(reader, start=1):
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if told:
                    told = False
                    continue
                yield Row(f"'{self.path}' line {number}", cells, self.separator.join(row))
        except csv.Error as error:
            raise UsageError(f"'{self.path}' is not a CSV file: {error}.") from error


class Numbers:
    """Cells -> numbers; a comma in a number is a decimal comma where no comma separates cells and no point is decimal.

    Args:
        separator: what stands between two cells.
    """

    def __init__(self, separator: str) -> None:
        self._marks = {"."} if separator == "," else {".", ","}

    def __call__(self, cell: str) -> float:
        """Return a cell's number. Raises ValueError where it is none, or has another decimal mark than those before."""
        for mark in ".,":
            if mark in cell:
                if mark not in self._marks:
                    raise ValueError
                self._marks = {mark}
        return float(cell.replace(",", ".", 1))


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, with a decimal point or a decimal comma."""
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return True


def _separator(first: str, columns: int) -> str:
    """Return what separates the cells of a first row."""
    enough = (mark for mark in _SEPARATORS if first.count(mark) + 1 >= columns)
    return next(enough, next((mark for mark in _SEPARATORS if mark in first), ","))
