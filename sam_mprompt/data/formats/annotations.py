"""The user's own annotation files: what one image's file, or one file for many images, says about heads."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UsageError
from .entries import Annotation
from .parsing import centres, number_rows, numbered_lines, read_json, read_text, table

_IMAGE_COLUMNS = ("image", "file", "filename", "file_name", "name", "path")
_HEAD_CATEGORIES = ("head", "heads", "person", "persons", "people", "pedestrian", "pedestrians")
_NOBODY = Annotation(np.empty((0, 2)))


def read_sidecar(path: Path) -> Annotation:
    """Read the annotation of one image.

    A `.txt` has `x y` a line (empty: nobody). A `.json` is `{"points": [[x, y], ...]}`, with or without
    `"boxes": [[x1, y1, x2, y2], ...]`; boxes alone stand for the heads at their centres. Or it is what labelme saves,
    with shapes of type point, rectangle and circle.

    Raises:
        UsageError: malformed; the message names the line or the field.
    """
    if path.suffix.lower() == ".txt":
        return Annotation(number_rows(path, "x y"))
    content = read_json(path)
    return (
        _labelme(content, path) if isinstance(content, dict) and "shapes" in content else _heads(content, f"'{path}'")
    )


def read_collection(path: Path) -> dict[str, Annotation]:
    """Read one file that annotates many images: a `.csv`, a `.jsonl`, or a COCO `.json`, by image name.

    Raises:
        UsageError: malformed; the message names the line or the field.
    """
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows, ".json": _coco_rows}
    parts = defaultdict(list)
    for name, annotation in readers[path.suffix](path):
        parts[name].append(annotation)
    return {name: _joined(annotations) for name, annotations in parts.items()}


def _csv_rows(path: Path) -> Iterator[tuple[str, Annotation]]:
    """Rows `image,x,y`, with or without a header that orders the columns; no coordinates: an image with nobody."""
    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise UsageError(f"'{path}' is not a CSV file: {error}.") from error
    columns = [0, 1, 2]
    for number, row in enumerate(rows, start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if number == 1 and {"x", "y"} <= {cell.lower() for cell in cells}:
            columns = _csv_header(cells, path)
            continue
        name, x, y = (cells[column] if column < len(cells) else "" for column in columns)
        if not name:
            raise UsageError(f"'{path}' line {number}: expected 'image,x,y'; received no image name.")
        if not x and not y:
            yield name, _NOBODY
            continue
        try:
            yield name, Annotation(np.array([[float(x), float(y)]]))
        except ValueError as error:
            raise UsageError(
                f"'{path}' line {number}: expected 'image,x,y' with two numbers; received {delimiter.join(row)!r:.80}."
            ) from error


def _csv_header(cells: list[str], path: Path) -> list[int]:
    names = [cell.lower() for cell in cells]
    image = next((name for name in _IMAGE_COLUMNS if name in names), None)
    if image is None:
        raise UsageError(
            f"'{path}' line 1: expected a column 'image' beside 'x' and 'y'; received {','.join(cells)!r:.80}."
        )
    return [names.index(image), names.index("x"), names.index("y")]


def _jsonl_rows(path: Path) -> Iterator[tuple[str, Annotation]]:
    """Objects with `image` and either `x` and `y`, or `points` and `boxes`, or nothing (an image with nobody)."""
    for number, line in numbered_lines(path):
        where = f"'{path}' line {number}"
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(f"{where}: not valid JSON ({error.msg}).") from error
        if not isinstance(content, dict) or not isinstance(content.get("image"), str):
            raise UsageError(f"{where}: expected an object with the file name of an image as 'image'.")
        if "x" in content or "y" in content:
            yield content["image"], Annotation(table([[content.get("x"), content.get("y")]], "x y", where))
        elif "points" in content or "boxes" in content:
            yield content["image"], _heads(content, where)
        else:
            yield content["image"], _NOBODY


def _coco_rows(path: Path) -> Iterator[tuple[str, Annotation]]:
    """COCO instances or keypoints (https://cocodataset.org/#format-data): each annotation is one head.

    The head is the first labelled keypoint, else the centre of the box. Of several categories the one named head or
    person counts. Annotations with `iscrowd` cover a group and are reported instead of counted.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    ):
        raise UsageError(f"'{path}': expected a COCO file, an object with the lists 'images' and 'annotations'.")
    names = {}
    for index, image in enumerate(content["images"]):
        name = image.get("file_name") if isinstance(image, dict) else None
        if not isinstance(name, str) or _key(image, "id") is None:
            raise UsageError(f"'{path}' images[{index}]: expected 'id' and 'file_name'.")
        names[_key(image, "id")] = name
        yield name, _NOBODY
    wanted = _coco_category(content, path)
    for index, annotation in enumerate(content["annotations"]):
        where = f"'{path}' annotations[{index}]"
        name = names.get(_key(annotation, "image_id"))
        if name is None:
            raise UsageError(f"{where}: expected the 'image_id' of one of the file's images.")
        if wanted in {None, _key(annotation, "category_id")}:
            yield name, _coco_head(annotation, where)


def _coco_head(annotation: dict[str, Any], where: str) -> Annotation:
    if annotation.get("iscrowd"):
        return _NOBODY._replace(groups=1)
    boxes = None
    if annotation.get("bbox"):
        x, y, width, height = table([annotation["bbox"]], "x y width height", f"{where} bbox")[0]
        boxes = np.array([[x, y, x + width, y + height]])
    keypoints = annotation.get("keypoints") or []
    if not isinstance(keypoints, list) or len(keypoints) % 3:
        raise UsageError(f"{where} keypoints: expected a list of x, y, visibility, x, y, visibility...")
    triples = [keypoints[start : start + 3] for start in range(0, len(keypoints), 3)]
    places = table(triples, "x y visibility", f"{where} keypoints")
    labelled = places[places[:, 2] > 0, :2]
    if len(labelled):
        return Annotation(labelled[:1], boxes)
    if boxes is None:
        raise UsageError(f"{where}: expected a 'bbox' or a labelled keypoint.")
    return Annotation(centres(boxes), boxes)


def _coco_category(content: dict[str, Any], path: Path) -> int | str | None:
    """Return the id of the category that counts, or None when there is only one in use."""
    used = {_key(annotation, "category_id") for annotation in content["annotations"]}
    if len(used) <= 1:
        return None
    listed = content.get("categories")
    categories = [category for category in (listed if isinstance(listed, list) else []) if _key(category, "id") in used]
    names = {str(category.get("name")).lower(): _key(category, "id") for category in categories}
    for wanted in _HEAD_CATEGORIES:
        if wanted in names:
            return names[wanted]
    raise UsageError(
        f"'{path}' annotates several categories ({', '.join(sorted(names)) or 'without names'}); "
        "expected one, or one that is named 'head' or 'person'."
    )


def _key(item: Any, field: str) -> int | str | None:
    """Return an identifier of a COCO object, None when there is none or it is of another type."""
    value = item.get(field) if isinstance(item, dict) else None
    return value if isinstance(value, int | str) else None


def _labelme(content: dict[str, Any], path: Path) -> Annotation:
    """Read labelme's shapes: a point or a circle's centre is a head, a rectangle is a box around one."""
    points: list[list[float]] = []
    corners: list[list[float]] = []
    for index, shape in enumerate(content["shapes"] if isinstance(content["shapes"], list) else [None]):
        where = f"'{path}' shapes[{index}]"
        kind = shape.get("shape_type") if isinstance(shape, dict) else None
        if not isinstance(shape, dict) or kind not in ("point", "circle", "rectangle"):
            raise UsageError(f"{where}: expected a point, rectangle or circle; received '{kind}'.")
        places = table(shape.get("points"), "x y", where)
        expected = 1 if kind == "point" else 2
        if len(places) != expected:
            raise UsageError(f"{where}: expected {expected} points of a {kind}; received {len(places)}.")
        if kind == "rectangle":
            corners.append([*places.min(axis=0), *places.max(axis=0)])
        else:
            points.append([*places[0]])
    boxes = table(corners, "x1 y1 x2 y2", f"'{path}'")
    heads = np.concatenate([table(points, "x y", f"'{path}'"), centres(boxes)])
    return Annotation(heads, boxes if corners else None)


def _heads(content: Any, where: str) -> Annotation:
    """Read `points` and `boxes`; boxes alone stand for the heads at their centres."""
    if not isinstance(content, dict) or not ("points" in content or "boxes" in content):
        raise UsageError(f'{where}: expected {{"points": [[x, y], ...]}} or {{"boxes": [[x1, y1, x2, y2], ...]}}.')
    boxes = table(content["boxes"], "x1 y1 x2 y2", f"{where} boxes") if "boxes" in content else None
    if "points" in content:
        return Annotation(table(content["points"], "x y", f"{where} points"), boxes)
    return Annotation(np.empty((0, 2)) if boxes is None else centres(boxes), boxes)


def _joined(parts: list[Annotation]) -> Annotation:
    boxes = [part.boxes for part in parts if part.boxes is not None]
    return Annotation(
        np.concatenate([part.points for part in parts]),
        np.concatenate(boxes) if boxes else None,
        sum(part.groups for part in parts),
    )
