"""Supervisely (https://developer.supervisely.com/getting-started/supervisely-annotation-format): `ann/a.jpg.json`."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import UsageError
from ..annotation import Annotation
from ..frames import stated_frame
from ..labels import Marks, label_text
from ..parsing import table
from ..text import read_json
from .family import Family, Kind
from .gathered import Gathered, in_box
from .outline import json_outline


def _kind(file: Path) -> Kind | None:
    outline = json_outline(file)
    return "one" if not outline.is_list and outline.keys >= {"objects", "size"} else None


def read_supervisely(path: Path) -> Marks:
    """Return the marks of one image: a point is a head, the middle of a rectangle likewise; the class is the label.

    Raises:
        UsageError: malformed; the message names the object.
    """
    content = read_json(path)
    objects = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(objects, list):
        raise UsageError(f"'{path}': expected an object with 'size' and the list 'objects', as Supervisely writes it.")
    gathered = Gathered()
    for place, item in enumerate(objects):
        where = f"'{path}' objects[{place}]"
        if not isinstance(item, dict):
            raise UsageError(f"{where}: expected an object of a class; received {item!a:.60}.")
        gathered.add(label_text(item.get("classTitle")), partial(_head, item, where))
    size = content.get("size")
    return gathered.marks(stated_frame(size) if isinstance(size, dict) else None)


def _head(item: dict[str, Any], where: str) -> Annotation:
    kind, points = item.get("geometryType"), item.get("points")
    places = table(points.get("exterior") if isinstance(points, dict) else None, "x y", f"{where} points")
    if kind == "point" and len(places) == 1:
        return Annotation(places)
    if kind == "rectangle" and len(places) == 2:
        return in_box(*np.concatenate(places).tolist())
    raise UsageError(f"{where}: expected a point or a rectangle; received {kind!a:.60} of {len(places)} points.")


SUPERVISELY = Family(
    "supervisely",
    "Supervisely's ann/ with a .json of objects for each image in img/",
    (".json",),
    _kind,
    read_one=read_supervisely,
)
