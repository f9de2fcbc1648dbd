"""Tables of heads, one a row: `image,x,y` of many images, `x,y` of the one that the file is called after."""

import csv
import io
from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .annotation import Annotation
from .csv_columns import columns_of
from .csv_rows import CsvRows, Numbers
from .labels import Label, Marks


class Rows:
    """The marks of one label in one image, gathered row by row in little memory."""

    def __init__(self) -> None:
        self.points, self.boxes = array("d"), array("d")

    def annotation(self) -> Annotation:
        """Return what was gathered."""
        boxes = np.array(self.boxes).reshape(-1, 4) if self.boxes else None
        return Annotation(np.array(self.points).reshape(-1, 2), boxes)


def read_csv(path: Path, columns: Mapping[str, str] | None = None) -> dict[str, Marks]:
    """Read rows `image,x,y`, or a header that names the columns; no coordinates: an image with nobody.

    Cells are separated by commas, semicolons or tabulators; with the latter two, numbers may have decimal commas.

    Args:
        path: the file.
        columns: what the columns are, as the user says it; see `recipe.columns`.

    Raises:
        UsageError: malformed, or a header that does not say which column is the image, x and y; the message names the
            line.
    """
    return _read(CsvRows(path), columns, one_image=False)


def read_csv_of_one_image(path: Path, columns: Mapping[str, str] | None = None) -> Marks:
    """Read rows `x,y`, or a header that names the columns, of the image that the file is called after.

    Raises:
        UsageError: as `read_csv`.
    """
    return _read(CsvRows(path, columns=2), columns, one_image=True).get("", Marks({}))


def _read(rows: CsvRows, chosen: Mapping[str, str] | None, *, one_image: bool) -> dict[str, Marks]:
    found: dict[str, dict[Label, Rows]] = {}
    frames: dict[str, tuple[int, int]] = {}
    columns, numbers = None, Numbers(rows.separator)
    for row in rows:
        where, cells, _ = row
        if columns is None:
            columns = columns_of(cells, where, chosen=chosen, one_image=one_image)
            if columns.header:
                continue
        name = columns.image(cells, where)
        by_label = found.setdefault(name, {})
        if frame := columns.frame(cells):
            frames.setdefault(name, frame)
        mark = columns.mark(row, numbers)
        if mark is not None:
            gathered = by_label.setdefault(columns.label(cells), Rows())
            gathered.points.extend(mark.point)
            gathered.boxes.extend(mark.box)
    return {
        name: Marks({label: rows.annotation() for label, rows in by_label.items()}, frames.get(name))
        for name, by_label in found.items()
    }


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as the text of a CSV file, in which numbers have a decimal point and at most three decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([f"{cell:.3f}".rstrip("0").rstrip(".") if isinstance(cell, float) else cell for cell in row] for row in rows)
    return text.getvalue()
