"""What the columns of a CSV file of heads mean, as its header names them."""

from collections.abc import Sequence
from typing import NamedTuple

from ...errors import UsageError
from .labels import Label

_IMAGE = ("image", "file", "filename", "file_name", "name", "path", "image_name", "image_path", "img")
_LABEL = ("label", "labels", "class", "class_name", "category", "category_name")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"))
_SECOND = (("x2", "y2"), ("xmax", "ymax"))
_SIZES = (("width", "height"), ("w", "h"))
_FRAMES = (("image_height", "image_width"), ("img_height", "img_width"), ("height", "width"))
_EXPECTED = "expected 'image,x,y'"


class Mark(NamedTuple):
    """A head of one row: its point (x, y), and its box (x1, y1, x2, y2) or nothing."""

    point: tuple[float, float]
    box: tuple[float, ...]


class Columns(NamedTuple):
    """Where in a row is what; None or empty for what the file has not.

    Attributes:
        image_at: the image's name.
        place_at: x and y of a point, or the two or four cells that say where the box is.
        box: how `place_at` says it: "" (a point), "corners" or "size" (the corner at the upper left, width, height).
        label_at: what the mark is called.
        frame_at: height and width of the image.
        named: whether there is a header.
    """

    image_at: int
    place_at: tuple[int, ...]
    box: str = ""
    label_at: int | None = None
    frame_at: tuple[int, ...] = ()
    named: bool = False

    def image(self, cells: Sequence[str], where: str) -> str:
        """Return the name of the row's image. Raises UsageError where there is none."""
        name = _cell(cells, self.image_at)
        if not name:
            raise UsageError(f"{where}: {_EXPECTED}; received no image name.")
        return name

    def label(self, cells: Sequence[str]) -> Label:
        """Return the row's label, None without one."""
        return (_cell(cells, self.label_at) or None) if self.label_at is not None else None

    def frame(self, cells: Sequence[str]) -> tuple[int, int] | None:
        """Return (height, width) of the row's image where the row states it in whole numbers."""
        values = [_cell(cells, place) for place in self.frame_at]
        sides = [int(value) for value in values if value.isdecimal() and len(value) < 10]
        return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None

    def mark(self, cells: Sequence[str], where: str, received: str) -> Mark | None:
        """Return the row's head, None where it has no coordinates.

        Raises:
            UsageError: these are no numbers, or more than they should be; it shows the row as `received`.
        """
        values = [_cell(cells, place) for place in self.place_at]
        if not any(values):
            return None
        if not self.named and any(cells[3:]):
            raise UsageError(
                f"{where}: {_EXPECTED}; received {len(cells)} columns ({received!r:.80}) without a header that names "
                "them, such as 'image,x,y,width,height'."
            )
        try:
            x, y, *rest = (float(value) for value in values)
        except ValueError as error:
            raise UsageError(f"{where}: {_EXPECTED} with two numbers; received {received!r:.80}.") from error
        if not rest:
            return Mark((x, y), ())
        x2, y2 = rest if self.box == "corners" else (x + rest[0], y + rest[1])
        return Mark(((x + x2) / 2, (y + y2) / 2), (min(x, x2), min(y, y2), max(x, x2), max(y, y2)))


def columns_of(cells: Sequence[str], where: str) -> Columns:
    """Return what a file's columns mean, from its first row: a header, or image, x and y.

    Points are `x` and `y`; with `x2` and `y2`, or `width` and `height` behind them, those are a box, as are `x1` to
    `y2` and `xmin` to `ymax`. `width` and `height` that are no part of a box are those of the image.

    Raises:
        UsageError: a header without a column for the image.
    """
    names = [cell.casefold() for cell in cells]
    corners = _first(names, _CORNERS)
    points = _first(names, (("x", "y"),))
    if not corners and not points:
        return Columns(0, (1, 2))
    image = next((names.index(name) for name in _IMAGE if name in names), None)
    if image is None:
        raise UsageError(
            f"{where}: expected a column 'image' beside the coordinates; received {','.join(cells)!r:.80}."
        )
    place, box = corners or points, "corners" if corners else ""
    if points and not corners:
        size = _first(names, _SIZES)
        if second := _first(names, _SECOND):
            place, box = (*points, *second), "corners"
        elif size and min(size) > max(points):
            place, box = (*points, *size), "size"
    label = next((names.index(name) for name in _LABEL if name in names), None)
    frames = (frame for frame in (_first(names, (keys,)) for keys in _FRAMES) if frame and not set(frame) & set(place))
    return Columns(image, place, box, label, next(frames, ()), named=True)


def _first(names: Sequence[str], wanted: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
    """Return the places of the first group of names that is there as a whole, else nothing."""
    return next((tuple(names.index(key) for key in keys) for keys in wanted if set(keys) <= set(names)), ())


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
