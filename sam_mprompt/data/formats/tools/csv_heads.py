"""Tables of heads, one a row: `image,x,y` of many images, `x,y` of the one that the file is called after."""

from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..labels import Label, Marks
from .column_names import suggested
from .csv_columns import columns_of
from .csv_rows import CsvRows, Numbers, is_number
from .family import Collection, Kind
from .neighbours import beside_its_image, is_alone, is_called_as

_CALLED = "annotations"
_ANY_CASE = [
    form
    for name in (f"{_CALLED}.csv", f"{_CALLED}.tsv")
    for form in (name, name.capitalize(), name.upper(), name[:-3] + name[-3:].upper())
]


class Rows:
    """The marks of one label in one image, gathered row by row in little memory."""

    def __init__(self) -> None:
        self.points, self.boxes = array("d"), array("d")

    def annotation(self) -> Annotation:
        """Return what was gathered."""
        boxes = np.array(self.boxes).reshape(-1, 4) if self.boxes else None
        return Annotation(np.array(self.points).reshape(-1, 2), boxes)


def read_csv(path: Path, columns: Mapping[str, str] | None = None) -> Collection:
    """Read rows `image,x,y`, or a header that names the columns; no coordinates: an image with nobody.

    Cells are separated by commas, semicolons or tabulators; with the latter two, numbers may have decimal commas.

    Args:
        path: the file.
        columns: what the columns are, as the user says it; see `recipe.columns`.

    Raises:
        UsageError: malformed, or a header that does not say which column is the image, x and y; the message names the
            line.
    """
    return Collection(_read(CsvRows(path), columns))


def read_csv_of_one_image(path: Path, columns: Mapping[str, str] | None = None) -> Marks:
    """Read rows `x,y`, or a header that names the columns, of the image that the file is called after.

    Raises:
        UsageError: as `read_csv`.
    """
    found = _read(CsvRows(path, columns=2), columns, one_image=True)
    others = [image for image in found if not is_called_as(path, image)] or list(found)[1:]
    if others:
        raise UsageError(
            f"'{path}': expected the heads of the image that it is called after; found some of '{others[0]}'."
        )
    return next(iter(found.values()), Marks({}))


def table_kind(file: Path, columns: Mapping[str, str] | None = None) -> Kind | None:
    """Return whether a table is one of heads, and whether of one image or of many, by its first row.

    A table whose columns have other names is taken for one where it is called `annotations.csv` or as an image is, or
    is the only file that may annotate the images: reading it then says which columns there are.
    """
    if file.stem.casefold() == _CALLED:
        return "many"
    if any(file.with_name(name).is_file() for name in _ANY_CASE):
        return None
    try:
        cells = next((row.cells for row in CsvRows(file, columns=2)), [])
    except UsageError:
        return None
    if not cells:
        return "one" if beside_its_image(file) else None
    return _kind_of(cells, file, columns)


def _kind_of(cells: list[str], file: Path, columns: Mapping[str, str] | None) -> Kind | None:
    try:
        found = columns_of(cells, "", chosen=columns, one_image=True)
    except UsageError:
        return None if columns else _under_other_names(cells, file)
    if found.header or columns:
        return "one" if found.image_at is None else "many"
    numbers = [is_number(cell) for cell in cells]
    if numbers == [True, True]:
        return "one"
    return "many" if numbers[:3] == [False, True, True] else None


def _under_other_names(cells: list[str], file: Path) -> Kind | None:
    may_be = suggested(cells, ("image", "x", "y"))
    if not {"x", "y"} <= may_be.keys():
        return None
    if beside_its_image(file):
        return "one"
    return "many" if is_alone(file) else None


def _read(rows: CsvRows, chosen: Mapping[str, str] | None, *, one_image: bool = False) -> dict[str, Marks]:
    found: dict[str, dict[Label, Rows]] = {}
    frames: dict[str, tuple[int, int]] = {}
    splits: dict[str, str] = {}
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
        if (split := columns.split(cells)) and splits.setdefault(name, split) != split:
            raise UsageError(
                f"{where}: puts '{name}' into the split '{split}', and a row before into '{splits[name]}'."
            )
        mark = columns.mark(row, numbers)
        if mark is not None:
            gathered = by_label.setdefault(columns.label(cells), Rows())
            gathered.points.extend(mark.point)
            gathered.boxes.extend(mark.box)
    return {
        name: Marks(
            {label: rows.annotation() for label, rows in by_label.items()}, frames.get(name), split=splits.get(name, "")
        )
        for name, by_label in found.items()
    }
