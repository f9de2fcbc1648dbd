"""labelme and X-AnyLabeling (https://github.com/wkentaro/labelme): a .json of shapes beside each image."""

import json
from base64 import b64decode
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Label, Marks, is_head_label, joined, label_text
from ..parsing import centres, table
from ..text import read_json
from .family import HEAD, Family, Kind, Picture, file_each
from .outline import json_outline

_VERSION = "5.5.0"


def _kind(file: Path) -> Kind | None:
    keys = json_outline(file).keys
    return "one" if "shapes" in keys or {"imagePath", "flags"} <= keys else None


def read_labelme(path: Path) -> Marks:
    """Read what labelme saves, with shapes of type point, rectangle and circle.

    Points of a rectangle's group belong to it, unless they are heads by their label.

    Raises:
        UsageError: malformed; the message names the shape.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UsageError(f"'{path}': expected an object with the list 'shapes'.")
    return shapes_of(content, path)


def shapes_of(content: dict[str, Any], path: Path) -> Marks:
    """Read labelme's shapes: a point or a circle's centre is a head, a rectangle is a box around one."""
    shapes = content.get("shapes")
    shapes = shapes if isinstance(shapes, list) else [None]
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
        label = label_text(shape.get("label"))
        if shape.get("shape_type") == "point" and _group(shape) in boxed and not is_head_label(label):
            continue  # an eye of the head in the box
        parts.setdefault(label, [])
        try:
            parts[label].append(_shape(shape, where))
        except UsageError as error:  # a polygon around a car is no fault
            wrong.setdefault(label, error)
    by_label = {label: wrong.get(label) or joined(marks) for label, marks in parts.items()}
    return Marks(by_label, stated_frame(content), embedded=bool(content.get("imageData")))


def embedded_image(path: Path) -> tuple[str, bytes] | None:
    """Return name and bytes of the image that a file of labelme holds, None where it holds none.

    Raises:
        UsageError: malformed.
    """
    content = read_json(path)
    data = content.get("imageData") if isinstance(content, dict) else None
    if not isinstance(data, str) or not data:
        return None
    try:
        image = b64decode(data, validate=True)
    except ValueError as error:
        raise UsageError(f"'{path}' imageData: expected an image in base64; received {data[:20]!a}.") from error
    named = content.get("imagePath")
    return PurePosixPath(named.replace("\\", "/")).name if isinstance(named, str) else "", image


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


def _written(picture: Picture) -> str:
    if picture.boxes is None:
        shapes = [_shape_of("point", [place]) for place in picture.points.round(3).tolist()]
    else:
        corners = picture.boxes.reshape(-1, 2, 2).round(3).tolist()
        shapes = [_shape_of("rectangle", places) for places in corners]
    height, width = picture.size
    content: dict[str, Any] = {
        "version": _VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": picture.reference or picture.name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(content, indent=1)


def _shape_of(kind: str, places: list[list[float]]) -> dict[str, Any]:
    return {"label": HEAD, "points": places, "group_id": None, "description": "", "shape_type": kind, "flags": {}}


LABELME = Family(
    "labelme",
    "a .json of shapes for each image",
    (".json",),
    _kind,
    read_one=read_labelme,
    write=file_each(".json", _written),
)
