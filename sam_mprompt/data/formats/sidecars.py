"""The user's own annotation of one image: a text file of points, JSON of points and boxes, or what labelme saves."""

from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UsageError
from .annotation import Annotation
from .frames import stated_frame
from .labels import Label, Marks, is_head_label, joined
from .parsing import centres, number_rows, table
from .text import read_json


def read_sidecar(path: Path) -> Marks:
    """Read the annotation of one image.

    A `.txt` has `x y` a line (empty: nobody). A `.json` is `{"points": [[x, y], ...]}`, with or without
    `"boxes": [[x1, y1, x2, y2], ...]`; boxes alone stand for the heads at their centres. Or it is what labelme and
    X-AnyLabeling save, with shapes of type point, rectangle and circle; points of a rectangle's group belong to it.

    Raises:
        UsageError: malformed; the message names the line or the field.
    """
    if path.suffix.lower() != ".json":
        return Marks({None: Annotation(number_rows(path, "x y"))})
    content = read_json(path)
    if isinstance(content, dict) and "shapes" in content:
        return _labelme(content, path)
    return marks_of(content, f"'{path}'")


def marks_of(content: Any, where: str) -> Marks:
    """Read an object of `points` and `boxes`; boxes alone stand for the heads at their centres.

    A `label` is that of all of them, `labels` are theirs one by one. `width` and `height` are those of the image.

    Raises:
        UsageError: malformed; `where` leads the message.
    """
    if not isinstance(content, dict) or not ("points" in content or "boxes" in content):
        raise UsageError(f'{where}: expected {{"points": [[x, y], ...]}} or {{"boxes": [[x1, y1, x2, y2], ...]}}.')
    boxes = table(content["boxes"], "x1 y1 x2 y2", f"{where} boxes") if "boxes" in content else None
    if "points" in content:
        points = table(content["points"], "x y", f"{where} points")
    else:
        points = np.empty((0, 2)) if boxes is None else centres(boxes)
    frame = stated_frame(content)
    if "labels" not in content:
        return Marks({label_of(content): Annotation(points, boxes)}, frame)
    labels = content["labels"]
    if not isinstance(labels, list) or len(labels) != len(points):
        raise UsageError(f"{where} labels: expected a list of one label for each of the {len(points)} heads.")
    paired = boxes is not None and len(boxes) == len(points)
    names = [_text(label) for label in labels]
    by_label: dict[Label, Annotation | UsageError] = {}
    for name in dict.fromkeys(names):
        chosen = np.array([other == name for other in names])
        by_label[name] = Annotation(points[chosen], boxes[chosen] if paired and boxes is not None else None)
    return Marks(by_label, frame)


def label_of(item: dict[str, Any]) -> Label:
    """Return what an object's `label`, `class` or `category` says, None where there is none."""
    return next((_text(item[key]) for key in ("label", "class", "category") if item.get(key) is not None), None)


def _text(label: Any) -> Label:
    """Return a label as text; numbers of classes are labels, too."""
    if isinstance(label, str):
        return label.strip() or None
    return None if label is None or isinstance(label, dict | list) else f"{label}"


def _labelme(content: dict[str, Any], path: Path) -> Marks:
    """Read labelme's shapes: a point or a circle's centre is a head, a rectangle is a box around one."""
    shapes = content["shapes"] if isinstance(content["shapes"], list) else [None]
    known = [shape for shape in shapes if isinstance(shape, dict)]
    boxed = {
        group for shape in known if shape.get("shape_type") == "rectangle" and (group := _group(shape)) is not None
    }
    parts: dict[Label, list[Annotation]] = {}
    wrong: dict[Label, UsageError] = {}
    for index, shape in enumerate(shapes):
        where = f"'{path}' shapes[{index}]"
        if not isinstance(shape, dict):
            raise UsageError(f"{where}: expected a point, rectangle or circle; received {shape!a:.60}.")
        label = _text(shape.get("label"))
        if shape.get("shape_type") == "point" and _group(shape) in boxed and not is_head_label(label):
            continue  # an eye of the head in the box
        parts.setdefault(label, [])
        try:
            parts[label].append(_shape(shape, where))
        except UsageError as error:  # a polygon around a car is no fault
            wrong.setdefault(label, error)
    by_label = {label: wrong.get(label) or joined(marks) for label, marks in parts.items()}
    return Marks(by_label, stated_frame(content))


def _shape(shape: dict[str, Any], where: str) -> Annotation:
    kind = shape.get("shape_type")
    if kind not in ("point", "circle", "rectangle"):
        raise UsageError(f"{where}: expected a point, rectangle or circle; received {kind!a:.60}.")
    places = table(shape.get("points"), "x y", where)
    if kind == "rectangle" and len(places) == 4:  # X-AnyLabeling writes all corners
        places = np.array([places.min(axis=0), places.max(axis=0)])
    expected = 1 if kind == "point" else 2
    if len(places) != expected:
        raise UsageError(f"{where}: expected {expected} points of a {kind}; received {len(places)}.")
    if kind != "rectangle":
        return Annotation(places[:1])
    box = np.concatenate([places.min(axis=0), places.max(axis=0)])[None]
    return Annotation(centres(box), box)


def _group(shape: dict[str, Any]) -> int | str | None:
    group = shape.get("group_id")
    return group if isinstance(group, int | str) else None
