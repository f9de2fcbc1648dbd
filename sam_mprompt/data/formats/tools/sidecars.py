"""The user's own annotation of one image: a text file of points, JSON of points and boxes, or what labelme saves."""

from pathlib import Path
from typing import Any

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, label_text
from ..parsing import centres, number_rows, table
from ..text import read_json
from .labelme import shapes_of


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
        return shapes_of(content, path)
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
    names = [label_text(label) for label in labels]
    by_label: dict[Label, Annotation | UsageError] = {}
    for name in dict.fromkeys(names):
        chosen = np.array([other == name for other in names])
        by_label[name] = Annotation(points[chosen], boxes[chosen] if paired and boxes is not None else None)
    return Marks(by_label, frame)


def label_of(item: dict[str, Any]) -> Label:
    """Return what an object's `label`, `class` or `category` says, None where there is none."""
    return next((label_text(item[key]) for key in ("label", "class", "category") if item.get(key) is not None), None)
