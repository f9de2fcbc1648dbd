"""What the columns of a table of heads mean, as its header names them or the user says."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from ....errors import UsageError
from ...image import IMAGE_SUFFIXES
from ..labels import Label
from .column_names import named, suggested
from .csv_rows import Numbers, Row, is_number

IMAGE_COLUMNS = ("image", "file", "filename", "file_name", "name", "path", "image_name", "image_path", "img")
_LABEL = ("label", "labels", "class", "class_name", "category", "category_name")
_SPLIT = ("split", "subset", "partition", "set", "usage")
_SIDES = ("left", "top", "right", "bottom")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), _SIDES)
_SECOND = (("x2", "y2"), ("xmax", "ymax"))
_SIZES = (("width", "height"), ("w", "h"))
_FRAMES = (("image_height", "image_width"), ("img_height", "img_width"), ("height", "width"))


class Mark(NamedTuple):
    """A head of one row: its point (x, y), and its box (x1, y1, x2, y2) or nothing."""

    point: tuple[float, float]
    box: tuple[float, ...]


class Columns(NamedTuple):
    """Where in a row is what; None or empty for what the file has not.

    Attributes:
        image_at: the image's name; None in a table of one image.
        place_at: x and y of a point, or the two or four cells that say where the box is.
        box: how `place_at` says it: "" (a point), "corners" or "size" (the corner at the upper left, width, height).
        label_at: what the mark is called.
        frame_at: height and width of the image.
        split_at: the split that the image belongs to.
        header: whether the row that told this was a header and no head.
        names: the names or numbers that tell, one a column; none where a table without them is `image,x,y`.
    """

    image_at: int | None
    place_at: tuple[int, ...]
    box: str = ""
    label_at: int | None = None
    frame_at: tuple[int, ...] = ()
    split_at: int | None = None
    header: bool = False
    names: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """What a row should hold, for messages."""
        return "expected 'x,y'" if self.image_at is None else "expected 'image,x,y'"

    def image(self, cells: Sequence[str], where: str) -> str:
        """Return the name of the row's image, nothing in a table of one image. Raises UsageError where it lacks."""
        if self.image_at is None:
            return ""
        name = _cell(cells, self.image_at)
        if not name:
            raise UsageError(f"{where}: {self.expected}; received no image name.")
        return name

    def label(self, cells: Sequence[str]) -> Label:
        """Return the row's label, None without one."""
        return (_cell(cells, self.label_at) or None) if self.label_at is not None else None

    def split(self, cells: Sequence[str]) -> str:
        """Return the split that the row states, as it says it; empty without one."""
        return _cell(cells, self.split_at) if self.split_at is not None else ""

    def frame(self, cells: Sequence[str]) -> tuple[int, int] | None:
        """Return (height, width) of the row's image where the row states it in whole numbers."""
        values = [_cell(cells, place) for place in self.frame_at]
        sides = [int(value) for value in values if value.isdecimal() and len(value) < 10]
        return (sides[0], sides[1]) if len(sides) == 2 and min(sides) > 0 else None

    def mark(self, row: Row, numbers: Numbers) -> Mark | None:
        """Return the row's head, None where it has no coordinates.

        Raises:
            UsageError: these are no numbers, or more than they should be.
        """
        where, cells, received = row
        values = [_cell(cells, place) for place in self.place_at]
        if not any(values):
            return None
        known = len(self.names) or len(self.place_at) + (self.image_at is not None)
        if any(cells[known:]):
            under = f"under a header of {known}" if self.names else "without a header that names them, such as"
            example = "" if self.names else " 'image,x,y,width,height'"
            raise UsageError(
                f"{where}: {self.expected}; received {len(cells)} columns ({received!r:.80}) {under}{example}."
            )
        try:
            x, y, *rest = (numbers(value) for value in values)
        except ValueError as error:
            raise UsageError(f"{where}: {self.expected} with two numbers; received {received!r:.80}.") from error
        if not rest:
            return Mark((x, y), ())
        x2, y2 = rest if self.box == "corners" else (x + rest[0], y + rest[1])
        return Mark(((x + x2) / 2, (y + y2) / 2), (min(x, x2), min(y, y2), max(x, x2), max(y, y2)))


def columns_of(
    cells: Sequence[str], where: str, *, chosen: Mapping[str, str] | None = None, one_image: bool = False
) -> Columns:
    """Return what a file's columns mean, from its first row: a header, or image, x and y.

    Points are `x` and `y`; with `x2` and `y2`, or `width` and `height` behind them, those are a box, as are `x1` to
    `y2`, `xmin` to `ymax` and `left` to `bottom`. `width` and `height` that are no part of a box are the image's.

    Args:
        cells: the first row.
        where: file and line, for messages.
        chosen: the columns as the user names them, see `recipe.columns`; it comes before what the header says.
        one_image: the table is that of one image, whose rows need not name it.

    Raises:
        UsageError: a header in which no column is known for sure to be the image, x or y: the message names the columns
            found and suggests which may be meant. Or one stands twice, or a chosen column is not there.
    """
    names, header = named(cells, chosen, where) if chosen else ([cell.casefold() for cell in cells], True)
    _expect_once(names, where)
    corners, points = _first(names, _CORNERS), _first(names, (("x", "y"),))
    if not corners and not points:
        if _is_header(cells):
            raise _unknown(cells, names, where, one_image)
        return Columns(None, (0, 1)) if one_image and len(cells) == 2 else Columns(0, (1, 2))
    image = next((names.index(name) for name in IMAGE_COLUMNS if name in names), None)
    if image is None and not one_image:
        raise _unknown(cells, names, where, one_image)
    place, box = corners or points, "corners" if corners else ""
    if points and not corners:
        size = _first(names, _SIZES)
        if second := _first(names, _SECOND):
            place, box = (*points, *second), "corners"
        elif size and (chosen or min(size) > max(points)):
            place, box = (*points, *size), "size"
    label, split = (next((names.index(name) for name in known if name in names), None) for known in (_LABEL, _SPLIT))
    frames = (frame for frame in (_first(names, (keys,)) for keys in _FRAMES) if frame and not set(frame) & set(place))
    return Columns(image, place, box, label, next(frames, ()), split, header, tuple(names))


def _expect_once(names: Sequence[str], where: str) -> None:
    """Refuse a header in which a column that means something stands twice: which one is meant, nothing tells."""
    known = {"x", "y", *IMAGE_COLUMNS, *_LABEL, *_SPLIT, *(key for keys in (*_CORNERS, *_SIZES) for key in keys)}
    if twice := next((name for name in names if name in known and names.count(name) > 1), None):
        raise UsageError(f"{where}: expected each column once; found '{twice}' {names.count(twice)} times.")


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names columns: it has several cells, and none that only a row of a head would have."""
    filled = [cell for cell in cells if cell]
    values = any(is_number(cell) or PurePosixPath(cell).suffix.lower() in IMAGE_SUFFIXES for cell in filled)
    return len(filled) > 1 and not values


def _unknown(cells: Sequence[str], names: Sequence[str], where: str, one_image: bool) -> UsageError:
    wanted = ("x", "y") if one_image else ("image", "x", "y")
    found = ", ".join(f"'{cell}'" for cell in cells)
    missing = [key for key in wanted if key not in names and not (key == "image" and set(names) & set(IMAGE_COLUMNS))]
    may_be = suggested(cells, missing)
    guess = ",".join(f"{key}={may_be.get(key, 'COLUMN')}" for key in missing)
    expected = " and ".join(filter(None, [", ".join(f"'{key}'" for key in wanted[:-1]), f"'{wanted[-1]}'"]))
    return UsageError(
        f"{where}: expected columns called {expected}; found {found:.200}. Nothing is guessed: "
        f"{'if they are meant, ' if may_be else ''}name them as data.columns = '{guess}'.",
        about="columns",
        columns=guess,
    )


def _first(names: Sequence[str], wanted: Sequence[tuple[str, ...]]) -> tuple[int, ...]:
    """Return the places of the first group of names that is there as a whole, else nothing."""
    return next((tuple(names.index(key) for key in keys) for keys in wanted if set(keys) <= set(names)), ())


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""
