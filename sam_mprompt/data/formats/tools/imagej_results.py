"""ImageJ and Fiji: the table of results that Measure gives for points, saved as .csv (or .tsv)."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ....errors import UsageError
from ....shown import csv_line
from ...image import IMAGE_SUFFIXES
from ..annotation import Annotation
from ..labels import Label, Marks
from .csv_rows import CsvRows, Numbers
from .family import Collection, Family, Kind, Picture, one_file

_MEASURED = {"area", "mean", "min", "max", "stddev", "mode", "median", "slice", "ch", "frame", "counter", "count", "xm"}
"""Columns that only ImageJ writes beside X and Y."""
_EXPECTED = "expected an ImageJ table with the columns X and Y"
BY_ORDER = "of ImageJ only the number of the slice is known: slice 1 is the first image in the order of their names"


class _Columns(NamedTuple):
    """Where in a row of results is what; None for what the table has not."""

    x: int
    y: int
    label: int | None
    slice: int | None
    counter: int | None


def is_results(cells: Sequence[str]) -> bool:
    """Whether a first row is the header of results: X and Y beside row numbers or measurements, and no image."""
    names = [cell.casefold() for cell in cells]
    if not {"x", "y"} <= set(names) or {"image", "file", "filename"} & set(names):
        return False
    return names[0] == "" or bool(_MEASURED & set(names))


def _kind(file: Path) -> Kind | None:
    try:
        cells = next(iter(CsvRows(file))).cells
    except (UsageError, StopIteration):
        return None
    if not is_results(cells):
        return None
    return "many" if {"label", "slice"} & {cell.casefold() for cell in cells} else "one"


def read_results(path: Path) -> Marks:
    """Read the results of one image, whatever their labels say as long as they say the same.

    A point's `Counter`, the kind of point that ImageJ's multi-point tool counts apart, is its label.

    Raises:
        UsageError: malformed, or of several images; the message names the line.
    """
    found = {(row.image, row.slice) for row in _rows(path)}
    if len(found) > 1:
        raise UsageError(f"'{path}': expected the results of one image; found those of {len(found)} labels or slices.")
    return _marks(list(_rows(path)))


def read_results_of_many(path: Path) -> Collection:
    """Read the results of many images, named by `Label` (`photo.jpg`, or `stack:photo.jpg`), else numbered by `Slice`.

    Raises:
        UsageError: malformed, or a row without an image; the message names the line.
    """
    by_image: dict[str, list[_Row]] = {}
    by_slice: dict[int, list[_Row]] = {}
    for row in _rows(path):
        if row.image:
            by_image.setdefault(row.image, []).append(row)
        elif row.slice is not None:
            by_slice.setdefault(row.slice, []).append(row)
        else:
            raise UsageError(f"{row.where}: expected the image's name as Label, or its number as Slice.")
    marks = {image: _marks(rows) for image, rows in by_image.items()}
    return Collection(marks, slices={number: _marks(rows, BY_ORDER) for number, rows in by_slice.items()})


class _Row(NamedTuple):
    where: str
    image: str
    slice: int | None
    label: Label
    point: tuple[float, float] | None


def _rows(path: Path) -> Iterator[_Row]:
    rows = CsvRows(path)
    numbers = Numbers(rows.separator)
    columns: _Columns | None = None
    for where, cells, text in rows:
        if columns is None:
            columns = _columns(cells, where)
            continue
        x, y = _cell(cells, columns.x), _cell(cells, columns.y)
        try:
            point = (numbers(x), numbers(y)) if x or y else None
        except ValueError as error:
            raise UsageError(f"{where}: {_EXPECTED} as two numbers; received {text!r:.80}.") from error
        counter = _cell(cells, columns.counter)
        number = _cell(cells, columns.slice)
        yield _Row(
            where,
            _image(_cell(cells, columns.label)),
            int(number) if number.isdecimal() and 0 < len(number) < 10 else None,
            f"counter {counter}" if counter else None,
            point,
        )


def _columns(cells: Sequence[str], where: str) -> _Columns:
    names = [cell.casefold() for cell in cells]
    places = {name: names.index(name) for name in names}
    if not {"x", "y"} <= set(names):
        raise UsageError(f"{where}: {_EXPECTED}; received {','.join(cells)!r:.80}.")
    return _Columns(places["x"], places["y"], places.get("label"), places.get("slice"), places.get("counter"))


def _image(label: str) -> str:
    """Return the image of a label: `photo.jpg`, `photo.jpg:0012-0034`, or `stack:photo.jpg` of a stack's slice."""
    parts = [part.strip() for part in label.split(":")]
    images = [part for part in parts if PurePosixPath(part).suffix.lower() in IMAGE_SUFFIXES]
    return images[-1] if images else parts[0]


def _marks(rows: Sequence[_Row], reading: str = "") -> Marks:
    by_label: dict[Label, list[tuple[float, float]]] = {}
    for row in rows:
        if row.point is not None:
            by_label.setdefault(row.label, []).append(row.point)
    return Marks({label: Annotation(np.array(points)) for label, points in by_label.items()}, reading=reading)


def _cell(cells: Sequence[str], place: int | None) -> str:
    return "" if place is None or place >= len(cells) else cells[place]


def _written(pictures: Sequence[Picture]) -> str:
    """Return the table as Measure gives it, and for an image with nobody a row without coordinates."""
    rows = [(picture.name, *place) for picture in pictures for place in picture.points.round(3).tolist() or [("", "")]]
    lines = [csv_line((number, *row)) for number, row in enumerate(rows, start=1)]
    return csv_line((" ", "Label", "X", "Y")) + "".join(lines)


IMAGEJ = Family(
    "imagej",
    "a Results.csv of ImageJ with X, Y and Label or Slice",
    (".csv", ".tsv"),
    _kind,
    read_one=read_results,
    read_many=read_results_of_many,
    write=one_file("Results.csv", _written),
)
