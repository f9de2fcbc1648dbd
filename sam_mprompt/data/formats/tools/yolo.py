"""YOLO (https://docs.ultralytics.com/datasets/detect/): a .txt of boxes in shares, beside each image or in labels/."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation, SplitName
from ..labels import Marks
from ..text import numbered_lines
from .family import HEAD, Content, Family, Kind, Picture
from .gathered import Gathered, in_box
from .outline import first_row
from .yolo_classes import Classes, classes_of

_BOX = 5  # class, x and y of the middle, width, height
_LEAST_OUTLINE = 6  # three corners
_ROUNDING = 1e-3


def _kind(file: Path) -> Kind | None:
    row = first_row(file)
    cells = row.split()
    if not cells:
        return "one" if _is_empty_label(file) else None
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return None
    return "one" if len(cells) >= _BOX and numbers[0].is_integer() and numbers[0] >= 0 else None


def _is_empty_label(file: Path) -> bool:
    return file.parent.name in ("labels", "obj_train_data") or file.parent.parent.name == "labels"


def read_yolo(path: Path) -> Marks:
    """Return the marks of one image in shares of it: rows `class x y width height`, a head in the middle of each.

    A sixth number is a confidence. With `kpt_shape` in data.yaml, rows go on with key points: the first labelled one
    is the head. Rows of three and more corners are outlines of segments: the head is in the middle of the box around
    one, which is told.

    Raises:
        UsageError: malformed, or in pixels; the message names the line.
    """
    classes, gathered, outlines = classes_of(path), Gathered(), 0
    for number, line in numbered_lines(path):
        where = f"'{path}' line {number}"
        try:
            kind, *values = (float(cell) for cell in line.split())
        except ValueError as error:
            raise UsageError(f"{where}: expected 'class x y width height'; received {line!a:.80}.") from error
        if not kind.is_integer() or len(values) < _BOX - 1:
            raise UsageError(f"{where}: expected 'class x y width height'; received {line!a:.80}.")
        outlines += _is_outline(values, classes)
        gathered.add(classes.label(int(kind)), partial(_head, values, classes, where))
    marks = gathered.marks(shares=True)
    return replace(marks, reading=f"{outlines} outlines, of each the middle of its box") if outlines else marks


def _is_outline(values: Sequence[float], classes: Classes) -> bool:
    """Whether these are corners of an outline, and no key points."""
    pose = classes.key_points is not None and len(values) == 4 + classes.key_points[0] * classes.key_points[1]
    return len(values) >= _LEAST_OUTLINE and len(values) % 2 == 0 and not pose


def _head(values: Sequence[float], classes: Classes, where: str) -> Annotation:
    if _is_outline(values, classes):
        _check_shares(values, where)
        return in_box(min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    points = 0 if classes.key_points is None else classes.key_points[0] * classes.key_points[1]
    if len(values) not in (4, 5, 4 + points):
        pose = "" if points else " Key points need 'kpt_shape' in data.yaml."
        raise UsageError(
            f"{where}: expected 'class x y width height', or an outline; received {len(values) + 1} numbers.{pose}"
        )
    x, y, width, height = values[:4]
    _check_shares(values[:4], where)
    box = in_box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if not points or classes.key_points is None or len(values) != 4 + points:
        return box
    places = np.reshape(np.array(values[4:]), classes.key_points)
    labelled = places[places[:, 2] > 0] if places.shape[1] == 3 else places[(places > 0).any(axis=1)]
    return box._replace(points=labelled[:1, :2]) if len(labelled) else box


def _check_shares(values: Sequence[float], where: str) -> None:
    if not -_ROUNDING <= min(values) <= max(values) <= 1 + _ROUNDING:
        raise UsageError(f"{where}: expected shares of the image from 0 to 1; received {max(values):g}.")


def _write(pictures: Sequence[Picture]) -> Content:
    files: dict[str, str | bytes] = {"classes.txt": f"{HEAD}\n"}
    for picture in pictures:
        height, width = picture.size
        boxes = np.empty((0, 4)) if picture.boxes is None else picture.boxes
        sides = np.column_stack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])
        rows = (sides / [width, height, width, height]).tolist()
        files[f"labels{picture.stem.removeprefix('images')}.txt"] = "".join(
            f"0 {' '.join(f'{share:.8f}' for share in row)}\n" for row in rows
        )
    splits = dict.fromkeys(picture.split for picture in pictures)
    folders = {split or "train": f"images/{split}" if split else "images" for split in splits}
    folders |= {"val": folders.get("val", next(iter(folders.values()), "images"))}
    lines = [f"{split}: {folder}\n" for split, folder in folders.items()]
    return {**files, "data.yaml": "".join([*lines, f"names:\n  0: {HEAD}\n"])}


def _place(name: str, split: SplitName | None) -> str:
    return f"images/{split}/{name}" if split else f"images/{name}"


YOLO = Family(
    "yolo",
    "YOLO's .txt of `class x y width height` for each image",
    (".txt",),
    _kind,
    read_one=read_yolo,
    write=_write,
    place=_place,
    boxes_only=True,
)
